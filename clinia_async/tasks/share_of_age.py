"""A pace by the age of a task alone, for those who do not want one that learns."""

from attrs import field, frozen

from clinia_async.errors.settings import Number
from clinia_async.models.task_id import TaskKind
from clinia_async.models.value import EqualByFields

_LONG_WORK = frozenset({TaskKind.BULK, TaskKind.BUNDLE, TaskKind.PURGE, TaskKind.LEGACY})


@frozen(eq=False, repr=False)
class ShareOfAge(EqualByFields):
    """Polls again after a share of the task's age, so that long work costs few polls.

    Args:
        share: the pause, as a share of the task's age; the delay in noticing its end is at most that.
        least: the shortest pause, in seconds.
        most: the longest pause, in seconds.
        most_for_long_work: the same for bulks, bundles and purges.
    """

    share: float = field(default=0.25, validator=Number(least=0))
    least: float = field(default=0.1, validator=Number(above=0))
    most: float = field(default=5.0, validator=Number(above=0))
    most_for_long_work: float = field(default=15.0, validator=Number(above=0))

    def __call__(self, kind: TaskKind, age: float) -> float:
        most = self.most_for_long_work if kind in _LONG_WORK else self.most
        return min(max(self.least, age * self.share), most)
