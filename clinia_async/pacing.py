"""When to look at a task again: pure schedules, given its kind and its age."""

from collections.abc import Callable

from attrs import frozen

from clinia_async.task_id import TaskKind

Pace = Callable[[TaskKind, float], float]
"""Seconds until the next look at a task, from its kind and its age in seconds since it was accepted."""

_LONG_WORK = frozenset({TaskKind.BULK, TaskKind.BUNDLE, TaskKind.PURGE, TaskKind.LEGACY})


@frozen
class ShareOfAge:
    """Looks again after a share of the time that the task has taken so far.

    So the delay in noticing stays in proportion to the work: a quarter of it by default, never
    less than `least` and never more than `most` seconds (`most_for_long_work` for bulks, bundles
    and purges). The service documents no interval; this is our own choice.
    """

    share: float = 0.25
    least: float = 0.1
    most: float = 5.0
    most_for_long_work: float = 15.0

    def __call__(self, kind: TaskKind, age: float) -> float:
        most = self.most_for_long_work if kind in _LONG_WORK else self.most
        return min(max(self.least, age * self.share), most)
