"""When to look at a task again, given its kind, its source and its age: seconds throughout, and no clock."""

import math
from collections import OrderedDict
from collections.abc import Callable
from random import Random
from typing import Protocol, runtime_checkable

from attrs import define, field, frozen

from clinia_async.models.task_id import TaskKind
from clinia_async.tasks.duration_histogram import Durations
from clinia_async.tasks.poll_schedule import PollSchedule

Pace = Callable[[TaskKind, float], float]
"""Seconds until the next look at a task, from its kind and its age in seconds since it was accepted."""

_LONG_WORK = frozenset({TaskKind.BULK, TaskKind.BUNDLE, TaskKind.PURGE, TaskKind.LEGACY})


@runtime_checkable
class Learner(Protocol):
    """A pace that is told how long tasks took; times are ages in seconds since a task was accepted."""

    def pause(self, kind: TaskKind, source: str, age: float) -> float:
        """Seconds until the next look at a task that was still pending at this age."""
        ...

    def learn(self, kind: TaskKind, source: str, after: float, by: float, *, ended: bool) -> None:
        """What a look told: a task was pending at the age of `after`, and by that of `by` it `ended` or not.

        `after` is the age at which it was last seen pending, or 0.
        """
        ...


@frozen
class ShareOfAge:
    """Looks again after a share of the time that the task has taken so far: few looks at long work.

    So the delay in noticing stays in proportion to the work: a quarter of it by default, never
    less than `least` and never more than `most` seconds (`most_for_long_work` for bulks, bundles
    and purges).
    """

    share: float = 0.25
    least: float = 0.1
    most: float = 5.0
    most_for_long_work: float = 15.0

    def __call__(self, kind: TaskKind, age: float) -> float:
        most = self.most_for_long_work if kind in _LONG_WORK else self.most
        return min(max(self.least, age * self.share), most)


_EVEN_FOR = 2.0
_LEAST = 0.02
_AT_A_TIME = 128


@define(eq=False)
class LearnedPace:
    """Looks when a look is worth most, by how long tasks of the same kind and source took.

    `cost` is how many seconds of delay in noticing one request is worth: 0.067 asks about 2.9 times for
    each task that takes about 0.4 s; less of it asks more often and notices sooner. Until `enough` tasks
    have ended it looks every `first` seconds, and ever more seldom once a task is older than two seconds.
    No pause is longer than `most` seconds. About the last `memory` completions count, for each of the
    `distinct` pairs of a kind and a source used last. One instance belongs to one thread; sessions that
    share it learn together.
    """

    cost: float = 0.067
    first: float = 0.2
    enough: int = 16
    most: float = 15.0
    memory: int = 1024
    distinct: int = 64
    _known: "OrderedDict[tuple[TaskKind, str], _Experience]" = field(
        factory=OrderedDict, init=False, repr=False
    )

    def pause(self, kind: TaskKind, source: str, age: float) -> float:
        known = self._known.get((kind, source))
        if known is None or known.timetable is None:
            gap = self.first * math.sqrt(max(1.0, age / _EVEN_FOR))
        else:
            gap = known.timetable.gap(age)
        return min(max(_LEAST, gap), self.most)

    def learn(self, kind: TaskKind, source: str, after: float, by: float, *, ended: bool) -> None:
        known = self._known.get((kind, source))
        if known is None:
            known = self._known[kind, source] = _Experience(Durations(self.memory), self.enough)
            while len(self._known) > self.distinct:
                self._known.popitem(last=False)
        if not ended:
            known.durations.passed(after, by)
            return
        self._known.move_to_end((kind, source))
        known.durations.add(after, by)
        if known.durations.seen >= known.due:
            known.plan(self.cost)


@define(eq=False, repr=False)
class _Experience:
    """What is known of one kind of task at one source. Planning costs a millisecond, so it is seldom."""

    durations: Durations
    due: int
    """The number of completions at which to plan next."""
    timetable: PollSchedule | None = None

    def plan(self, cost: float) -> None:
        more = min(self.due, _AT_A_TIME)
        self.timetable = PollSchedule(*self.durations.law(), cost)
        self.durations.fade(more)
        self.due += more


@frozen(eq=False, repr=False)
class _Unlearning:
    """A plain function as a pace."""

    pace: Pace

    def pause(self, kind: TaskKind, source: str, age: float) -> float:
        return self.pace(kind, age)

    def learn(self, kind: TaskKind, source: str, after: float, by: float, *, ended: bool) -> None:
        """Nothing: a function of the kind and the age stays what it is."""


def learner(pace: Pace | Learner | None) -> Learner:
    if pace is None:
        return LearnedPace()
    return pace if isinstance(pace, Learner) else _Unlearning(pace)


def jittered(pause: float, share: float, chance: Random) -> float:
    """So that tasks of one age are not looked at in one moment."""
    return pause * (1 + share * chance.uniform(-1, 1))
