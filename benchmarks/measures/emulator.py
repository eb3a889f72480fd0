"""What a single create, and a record of a bulk, cost the emulator."""

from benchmarks.plan import Plan
from benchmarks.quartiles import AtMost, Quartiles
from benchmarks.rounds import Contender, interleaved
from benchmarks.tables import Comparison, Goaled, Table

BARE = Contender("a bare aiohttp.web handler, one SQLite insert", "emulating:bare")
OURS = Contender("the emulator", "emulating:emulator", is_ours=True)
GOAL = AtMost(1.2)
BULK = Contender("the emulator", "emulating:bulks", is_ours=True)
BULK_GOAL = AtMost(12.0)


def measure(plan: Plan) -> list[Table]:
    results = interleaved([BARE, OURS], plan.times(9, 5), count=plan.size(4000, 1500))
    comparison = Comparison(
        "The emulator, single creates, 32 in flight",
        results,
        BARE.name,
        "cpu_us",
        "CPU us a create",
        {OURS.name: GOAL},
        ratio_of_cost=True,
        more=[("creates a CPU second", "per_cpu_second", ",.0f")],
    )
    pragmas = "both in memory, journal_mode WAL, synchronous NORMAL, locking_mode EXCLUSIVE"
    return [comparison.table([f"{pragmas}; the load comes from another process"]), _bulks(plan)]


def _bulks(plan: Plan) -> Table:
    results = interleaved([BULK], plan.times(7, 3), count=plan.size(100_000, 20_000))
    found = Quartiles.of(results.of(BULK.name, "cpu_us"))
    row = [BULK.name, str(found), str(BULK_GOAL), BULK_GOAL.result(found)]
    title = "The emulator, bulks of 1,000 creates, 4 in flight, with their receipts"
    goal = Goaled(f"{title}: CPU us a record", str(found), str(BULK_GOAL), row[-1])
    return Table(title, ["", "CPU us a record [q1..q3]", "goal", ""], [row], goals=[goal])
