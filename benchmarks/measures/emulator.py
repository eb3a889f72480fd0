"""Single creates per CPU second of the emulator, against the least that any such server does."""

from benchmarks.plan import Plan
from benchmarks.quartiles import AtMost
from benchmarks.rounds import Contender, interleaved
from benchmarks.tables import Comparison, Table

BARE = Contender("a bare aiohttp.web handler, one SQLite insert", "emulating:bare")
OURS = Contender("the emulator", "emulating:emulator", is_ours=True)
GOAL = AtMost(2.0)


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
    return [comparison.table([f"{pragmas}; the load comes from another process"])]
