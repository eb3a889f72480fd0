"""Single creates, typed in and typed out, retries on, done at once: against raw aiohttp."""

from benchmarks.plan import Plan
from benchmarks.quartiles import AtLeast
from benchmarks.rounds import Contender, Results, interleaved
from benchmarks.tables import Comparison, Table

BORROWED_GOAL = AtLeast(0.95, 0.85)
GOALS = {1: AtLeast(0.95, 0.85), 32: AtLeast(1.20, 0.90), 128: AtLeast(1.05, 0.95)}
ON_UVLOOP, COALESCED = AtLeast(1.45, 1.10), AtLeast(7.0)
FEW_CALLERS = {1: AtLeast(0.90), 8: AtLeast(1.30)}
"""What coalescing is to be worth to few callers: to one it gives nothing, and should cost nothing."""

RAW = Contender("raw aiohttp", "single_raw:create")
OURS = Contender("clinia_async", "single:ours", is_ours=True)
BORROWED = Contender("clinia_async, http_session=", "single:borrowed", is_ours=True)
UVLOOP = (
    Contender("raw aiohttp, uvloop", "single_raw:create", {"loop": "uvloop"}, needs="uvloop"),
    Contender("clinia_async, uvloop", "single:ours", {"loop": "uvloop"}, needs="uvloop", is_ours=True),
)
_FEW = {"count": 1000}  # they take long enough
PEERS = (
    Contender("httpx", "single_httpx:create", _FEW, needs="httpx"),
    Contender("clinia-context-engine", "single_context_engine:ingest", _FEW, needs="clinia_context_engine"),
)
_CALLERS = {"in_flight": 1000}


def measure(plan: Plan) -> list[Table]:
    return [
        _at(plan, 1, [RAW, OURS, *PEERS]),
        _at(plan, 32, [RAW, OURS, BORROWED, *UVLOOP, *PEERS]),
        _at(plan, 128, [RAW, OURS, *PEERS]),
        _coalesced(plan),
        *(table for callers in FEW_CALLERS for table in _few_callers(plan, callers)),
    ]


def checked(plan: Plan) -> list[Table]:
    """Our own against raw aiohttp, and nothing else."""
    return [
        _at(plan, 32, [RAW, OURS, BORROWED]),
        *(_at(plan, in_flight, [RAW, OURS]) for in_flight in (1, 128)),
    ]


def _at(plan: Plan, in_flight: int, contenders: list[Contender]) -> Table:
    count = plan.size(4000, 1500)
    results = interleaved(contenders, plan.times(9, 7), url=plan.stub.url, count=count, in_flight=in_flight)
    goals = {OURS.name: GOALS[in_flight]}
    if in_flight == 32:
        goals |= {UVLOOP[1].name: ON_UVLOOP, BORROWED.name: BORROWED_GOAL}
    title = (
        f"Single creates, {in_flight} in flight" if in_flight > 1 else "Single creates, one after the other"
    )
    return _compared(title, results, goals)


def _coalesced(plan: Plan) -> Table:
    many = Contender("raw aiohttp, 1,000 in flight", RAW.way, _CALLERS)
    contenders = [RAW, many, Contender("clinia_async, 1,000 in flight", OURS.way, _CALLERS, is_ours=True)]
    gathered = Contender(
        "clinia_async, 1,000 in flight, coalesced", "single:coalesced", _CALLERS, is_ours=True
    )
    results = interleaved(
        [*contenders, gathered],
        plan.times(7, 3),
        url=plan.stub.url,
        count=plan.size(10_000, 4000),
        in_flight=32,
    )
    goals = {gathered.name: COALESCED}
    return _compared("A thousand creates at once, against raw aiohttp with 32", results, goals)


def _few_callers(plan: Plan, callers: int) -> list[Table]:
    """Ours with and without `coalesce=True`, by CPU and by the clock."""
    gathered = Contender("clinia_async, coalesced", "single:coalesced", is_ours=True)
    results = interleaved(
        [OURS, gathered], plan.times(7, 3), url=plan.stub.url, count=plan.size(4000, 1500), in_flight=callers
    )
    title = f"Coalescing for {callers} caller{'s' if callers > 1 else ''}"
    goals = {gathered.name: FEW_CALLERS[callers]}
    by_cpu = Comparison(f"{title}, by CPU", results, OURS.name, "cpu_us", "CPU us a create", goals)
    by_clock = Comparison(f"{title}, by the clock", results, OURS.name, "wall_us", "us a create", goals)
    return [by_cpu.table(), by_clock.table()]


def _compared(title: str, results: Results, goals: dict[str, AtLeast]) -> Table:
    comparison = Comparison(
        title,
        results,
        RAW.name,
        "cpu_us",
        "CPU us a create",
        goals,
        more=[("a second", "per_second", ",.0f")],
    )
    return comparison.table([])
