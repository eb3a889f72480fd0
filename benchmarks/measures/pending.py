"""What a pending task holds in memory, beyond the coroutine of the caller who waits for it."""

from collections.abc import Sequence

from benchmarks.plan import Plan
from benchmarks.quartiles import AtMost, Quartiles
from benchmarks.rounds import Contender, interleaved
from benchmarks.tables import Goaled, Lines, Table

GOAL = AtMost(1200)
NOTES = (
    "the caller is a coroutine that waits for a bare future",
    "beyond it are the handle, its state and the coroutine of `wait`, 170 to 210 bytes each,",
    "about 500 of the write, with the caller's own two ends and ids, and 120 to find the task by its id",
)
_OURS = Contender("clinia_async", "pending:ours", {"traced": True}, is_ours=True)
_CALLERS = Contender("the callers alone", "pending:callers", {"traced": True})


def held(plan: Plan, counts: Sequence[int]) -> Table:
    rows, beyond, goals = [], [], []
    for count in counts:
        results = interleaved([_CALLERS, _OURS], plan.times(3, 1), url=plan.stub.url, count=count)
        alone, all_ = results.of(_CALLERS.name, "bytes"), results.of(_OURS.name, "bytes")
        more = Quartiles.of([mine - theirs for mine, theirs in zip(all_, alone, strict=True)])
        beyond.append(more.middle)
        callers = Quartiles.of(alone).middle
        goals.append(
            Goaled(f"bytes a pending task, {count:,} pending", str(more), str(GOAL), GOAL.result(more))
        )
        rows.append([f"{count:,}", f"{callers:.0f}", str(more), str(GOAL), GOAL.result(more)])
    return Table(
        "Bytes a pending task, by tracemalloc",
        ["pending", "of the caller", "beyond it [q1..q3]", "goal", ""],
        rows,
        NOTES,
        goals=goals,
        lines=Lines("bytes beyond the caller's own", list(counts), "pending tasks", {"clinia_async": beyond}),
    )
