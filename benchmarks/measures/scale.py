"""Records a second and CPU a record, by the number of processes and by how long a bulk takes."""

from collections.abc import Sequence

from benchmarks.measures.ndjson import ndjson
from benchmarks.plan import Plan
from benchmarks.quartiles import AtLeast, AtMost, Goal, Quartiles
from benchmarks.rounds import Contender, Results, interleaved
from benchmarks.tables import Goaled, Table

DELAYS = (0.0, 0.1, 1.0, 5.0)
PROCESSES = (1, 2, 4)
GOALS: Sequence[tuple[str, str, Goal]] = (
    ("per_second", "records a second", AtLeast(80_000)),
    ("peak_mb", "peak MB", AtMost(60)),
)
"""Of one process, where a bulk takes 1 s."""
PLAIN = Contender("plain script", "scale:plain")
PEER = Contender("elasticsearch async_bulk", "bulk_elasticsearch:bulk", needs="elasticsearch")
NOTES = (
    "the whole run of the command, less that of a small file: what it costs to start is not in it",
    "CPU is that of all its processes; peak MB is that of the largest one",
    "the plain script is raw aiohttp with json and dicts: 4 requests in flight, and a poll each 0.1 s",
    "where bulks take 1 s or more it loads 20,000 records: 4,000 at a time, however many there are",
)


def measure(plan: Plan) -> list[Table]:
    """Measure all of it, and the peer, which has no tasks to wait for."""
    tables = [_by_delay(plan, delay) for delay in DELAYS]
    peer = interleaved([PEER], plan.times(3, 1), url=plan.stub.url, count=20_000)
    rows = [_row(PEER, peer)] if PEER.name in peer.samples else []
    missing = [f"not measured: {reason}" for reason in peer.missing]
    first = tables[0]
    tables[0] = Table(first.title, first.columns, [*first.rows, *rows], [*first.notes, *missing])
    return tables


def _by_delay(plan: Plan, delay: float) -> Table:
    # enough that a job comes to the bound of what may be pending; the script has no more to say after less
    count = plan.size(400_000, 50_000) if delay >= 1 else plan.size(200_000, 50_000)
    ours = [
        Contender(f"{number} process{'es' if number > 1 else ''}", "scale:processes", {"processes": number})
        for number in PROCESSES
    ]
    few = {"count": plan.size(20_000, 4000)} if delay >= 1 else {}
    with ndjson(count) as path:
        given = {"path": path, "delay": delay}
        placed = [
            Contender(each.name, each.way, {**each.arguments, **given, **(few if each is PLAIN else {})})
            for each in (PLAIN, *ours)
        ]
        results = interleaved(placed, plan.times(3, 1), url=plan.stub.url, count=count)
    title = f"Bulks that take {delay:g} s, {count:,} records of NDJSON"
    columns = ["", "records a second", "CPU us a record", "peak MB"]
    held = (
        [] if delay != 1 else [_held(title, results.of(ours[0].name, each[0]), *each[1:]) for each in GOALS]
    )
    return Table(title, columns, [_row(each, results) for each in placed], NOTES, held)


def _held(title: str, figures: list[float], unit: str, goal: Goal) -> Goaled:
    found = Quartiles.of(figures)
    return Goaled(f"{title}, 1 process: {unit}", str(found), str(goal), goal.result(found))


def _row(contender: Contender, results: Results) -> list[str]:
    def middle(figure: str) -> float:
        return Quartiles.of(results.of(contender.name, figure)).middle

    return [
        contender.name,
        f"{middle('per_second'):,.0f}",
        f"{middle('cpu_us'):.1f}",
        f"{middle('peak_mb'):.0f}",
    ]
