"""Waiting for tasks: how many GETs, how late their ends are noticed, and what that costs.

All callers begin at once; the service ends each task after a time that depends on its key alone, so
every pace meets the same ones.
"""

from collections.abc import Sequence

from attrs import frozen

from benchmarks import pace_simulation
from benchmarks.measures.pending import held
from benchmarks.plan import Plan
from benchmarks.quartiles import AtMost, Quartiles
from benchmarks.rounds import Contender, Results, interleaved
from benchmarks.tables import Bars, Comparison, Goaled, Table

OURS = Contender("clinia_async", "waiting:ours", is_ours=True)
READ_BACK = Contender("clinia_async, with the record read back", "waiting:read_back", is_ours=True)


def _paced(name: str, pace: str, settings: Sequence[float] = (), needs: str | None = None) -> Contender:
    return Contender(name, "waiting_paces:paced", {"pace": pace, "settings": list(settings)}, needs=needs)


CONSTANT = _paced("a constant 0.25 s", "constant", [0.25])
QUICK_PEERS = (
    _paced("a constant 1 s", "constant", [1.0]),
    _paced("backoff, full jitter from 1 s", "backoff", [1.0], "backoff"),
    _paced("backoff, full jitter from 0.1 s", "backoff", [0.1], "backoff"),
    _paced("google-api-core's DEFAULT_POLLING", "google", needs="google.api_core"),
)
SCHEDULED = Contender("a heap, a constant 0.25 s", "waiting_paces:scheduled", {"interval": 0.25})
FEW = (CONSTANT, OURS)
FEW_PENDING = AtMost(1.1)
RESULTS = {"task.wait()": "wait", "await task, read_back=False": "result", "await task": "read back"}
RESULT_GOALS = {"await task, read_back=False": AtMost(1.05), "await task": AtMost(1.3)}
AZURE = _paced("azure-core's 30 s", "azure", needs="azure.core")


@frozen
class Load:
    title: str
    source: str
    count: int
    goals: dict[str, AtMost]


LOADS = (
    Load(
        "1,000 pending, log-normal (median 0.4 s, sigma 0.8)",
        "lognormal",
        1000,
        {"looks": AtMost(3), "p50_ms": AtMost(150), "p99_ms": AtMost(450)},
    ),
    Load(
        "1,000 pending, bimodal (80 % at 0.15 s, 20 % at 3 s, each within a tenth)",
        "bimodal",
        1000,
        {"looks": AtMost(4), "p50_ms": AtMost(120), "p99_ms": AtMost(650)},
    ),
)
MANY = Load(
    "10,000 pending, log-normal",
    "lognormal",
    10_000,
    {"cpu_us": AtMost(370), "p50_ms": AtMost(1000), "peak_mb": AtMost(115)},
)
COLUMNS = (
    ("GETs a task", "looks", ".2f"),
    ("late, p50 ms", "p50_ms", ".0f"),
    ("p90 ms", "p90_ms", ".0f"),
    ("p99 ms", "p99_ms", ".0f"),
    ("CPU us a task", "cpu_us", ".0f"),
    ("peak MB", "peak_mb", ".0f"),
)
CREATE_INCLUDED = "the CPU includes the create; the delay is from the task's end to the waiting coroutine"


def measure(plan: Plan) -> list[Table]:
    peers = [CONSTANT, SCHEDULED, *QUICK_PEERS, *([] if plan.quick else [AZURE])]
    rounds = plan.times(3, 1)
    tables = [_table(load, _seen(plan, load, [OURS, READ_BACK, *peers], rounds), plan) for load in LOADS]
    tables.append(_table(MANY, _seen(plan, MANY, [OURS, CONSTANT, SCHEDULED], rounds), plan))
    few = [_few_pending(plan, count) for count in (10, 100)]
    held_ = held(plan, [plan.size(20_000, 5000)])
    return [*tables, *few, _accepted(plan), held_, *pace_simulation.tables(quick=plan.quick)]


def _few_pending(plan: Plan, count: int) -> Table:
    """Few tasks, several times over, so that there is something to measure."""
    batches = {"batches": 200 // count}
    placed = [
        Contender(each.name, each.way, {**each.arguments, **batches}, is_ours=each.is_ours) for each in FEW
    ]
    results = interleaved(placed, plan.times(5, 1), url=plan.stub.url, count=count, source="takes-400")
    compared = Comparison(
        f"{count} pending, each 0.4 s",
        results,
        CONSTANT.name,
        "cpu_us",
        "CPU us a task",
        {OURS.name: FEW_PENDING},
        ratio_of_cost=True,
        more=[("GETs a task", "looks", ".2f"), ("late, p50 ms", "p50_ms", ".0f")],
    )
    return compared.table([CREATE_INCLUDED])


def _accepted(plan: Plan) -> Table:
    """What the result of an accepted create costs more than knowing that its task has ended."""
    placed = [
        Contender(name, "waiting:accepted", {"how": how}, is_ours=True) for name, how in RESULTS.items()
    ]
    count = plan.size(3000, 1000)
    results = interleaved(placed, plan.times(9, 5), url=plan.stub.url, count=count, in_flight=32)
    first, *_ = RESULTS
    return Comparison(
        "Accepted creates whose tasks end at once, 32 in flight",
        results,
        first,
        "cpu_us",
        "CPU us a create",
        RESULT_GOALS,
        ratio_of_cost=True,
    ).table()


def _seen(plan: Plan, load: Load, contenders: list[Contender], rounds: int) -> Results:
    return interleaved(contenders, rounds, url=plan.stub.url, count=load.count, source=load.source)


def _table(load: Load, results: Results, plan: Plan) -> Table:
    names = list(results.samples)
    seen = {name: _row(load, results, name) for name in names}
    delays = [Quartiles.of(results.of(name, "p50_ms")) for name in names]
    notes = [CREATE_INCLUDED, f"goals: {_goals(load)}"]
    notes += [f"not measured: {reason}" for reason in results.missing]
    notes += ["azure-core's 30 s was left out for time"] if plan.quick else []
    return Table(
        load.title,
        ["", *(heading for heading, _, _ in COLUMNS), "goals"],
        list(seen.values()),
        notes,
        _held(load, results),
        bars=Bars(
            "median delay in noticing the end, ms",
            names,
            [each.low for each in delays],
            [each.middle for each in delays],
            [each.high for each in delays],
        ),
    )


def _held(load: Load, results: Results) -> list[Goaled]:
    headings = {figure: heading for heading, figure, _ in COLUMNS}
    seen = {figure: Quartiles.of(results.of(OURS.name, figure)) for figure in load.goals}
    return [
        Goaled(f"{load.title}: {headings[figure]}", str(seen[figure]), str(goal), goal.result(seen[figure]))
        for figure, goal in load.goals.items()
    ]


def _row(load: Load, results: Results, name: str) -> list[str]:
    middles = {figure: Quartiles.of(results.of(name, figure)).middle for _, figure, _ in COLUMNS}
    missed = [
        heading
        for heading, figure, _ in COLUMNS
        if figure in load.goals and load.goals[figure].result(Quartiles.of([middles[figure]])) != "reached"
    ]
    result = f"short: {', '.join(missed)}" if missed else "reached"
    row = [name, *(f"{middles[figure]:{form}}" for _, figure, form in COLUMNS)]
    return [*row, result if name == OURS.name else ""]


def _goals(load: Load) -> str:
    headings = {figure: heading for heading, figure, _ in COLUMNS}
    return ", ".join(f"{headings[figure]} {goal}" for figure, goal in load.goals.items())
