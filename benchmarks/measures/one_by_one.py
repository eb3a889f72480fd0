"""A file sent a request a record, against a plain loop of our own session; and what a journal costs."""

from benchmarks.measures.ndjson import ndjson
from benchmarks.plan import Plan
from benchmarks.quartiles import AtLeast, AtMost, Quartiles
from benchmarks.rounds import Contender, interleaved
from benchmarks.tables import Comparison, Goaled, Table

GATHER = Contender("gather and a semaphore of 32", "one_by_one:gathered")
SINGLE = Contender("ingest --via single", "one_by_one:ingested", is_ours=True)
WITH_JOURNAL = Contender(
    "ingest --via single --journal", "one_by_one:ingested", {"journal": True}, is_ours=True
)
GOALS = {SINGLE.name: AtLeast(1.0), WITH_JOURNAL.name: AtLeast(0.8)}
RESUMED = Contender("ingest --journal, once more", "one_by_one:resumed", is_ours=True)
RESUME = AtMost(0.3)
NOTES = (
    "each reads the same NDJSON; the loop checks what `json.loads` does, and keeps no outcome and no report",
)


def measure(plan: Plan) -> list[Table]:
    count = plan.size(4000, 1500)
    with ndjson(count) as path:
        placed = [_at(each, path) for each in (GATHER, SINGLE, WITH_JOURNAL)]
        results = interleaved(placed, plan.times(9, 5), url=plan.stub.url, count=count)
    compared = Comparison(
        f"{count:,} lines of NDJSON, a request each, 32 in flight",
        results,
        GATHER.name,
        "cpu_us",
        "CPU us a record",
        GOALS,
        more=[("records a second", "per_second", ",.0f")],
    )
    return [compared.table(NOTES), _resumed(plan)]


def _resumed(plan: Plan) -> Table:
    """What a record costs that a finished journal has: a large file less a small one."""
    count = plan.size(500_000, 50_000)
    with ndjson(count) as path:
        results = interleaved([_at(RESUMED, path)], plan.times(5, 3), url=plan.stub.url, count=count)
    found = Quartiles.of(results.of(RESUMED.name, "cpu_us"))
    row = [RESUMED.name, str(found), str(RESUME), RESUME.result(found)]
    title = f"A finished journal of {count:,} records"
    goal = Goaled(f"{title}, resumed: CPU us a record", str(found), str(RESUME), row[-1])
    return Table(title, ["", "CPU us a record [q1..q3]", "goal", ""], [row], goals=[goal])


def _at(contender: Contender, path: str) -> Contender:
    given = {**contender.arguments, "path": path}
    return Contender(contender.name, contender.way, given, is_ours=contender.is_ours)
