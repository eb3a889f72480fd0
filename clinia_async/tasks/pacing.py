"""When to poll a task again, given its kind, source and age. Times are seconds; no clock is read."""

import math
from collections import OrderedDict
from collections.abc import Callable
from random import Random
from typing import Protocol, runtime_checkable

from attrs import define, field, frozen

from clinia_async.models.task_id import TaskKind
from clinia_async.tasks.duration_histogram import DurationHistogram
from clinia_async.tasks.poll_schedule import PollSchedule

Pace = Callable[[TaskKind, float], float]
"""Seconds until the next poll of a task, from its kind and its age in seconds since it was accepted."""

_LONG_WORK = frozenset({TaskKind.BULK, TaskKind.BUNDLE, TaskKind.PURGE, TaskKind.LEGACY})


@runtime_checkable
class Learner(Protocol):
    """A pace that learns how long tasks take; times are ages in seconds since a task was accepted."""

    def pause(self, kind: TaskKind, source: str, age: float) -> float:
        """Return the seconds until the next poll of a task that was still pending at this age."""
        ...

    def learn(self, kind: TaskKind, source: str, after: float, by: float, *, ended: bool) -> None:
        """Take in a poll: a task was pending at the age of `after`, and at that of `by` it `ended` or not.

        `after` is the age at which it was last seen pending, or 0.
        """
        ...


@frozen
class ShareOfAge:
    """Poll again after a share of the time that the task has taken so far: few polls of long work.

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


_CONSTANT_FOR = 2.0
_LEAST = 0.02
_REPLAN_AFTER = 128


@define(eq=False)
class LearnedPace:
    """Poll when a poll is worth most, by how long tasks of the same kind and source took.

    `cost` is how many seconds of delay in noticing one request is worth: 0.067 asks about 2.9 times for
    each task that takes about 0.4 s; less of it asks more often and notices sooner. Until `enough` tasks
    have ended it polls every `first` seconds, and ever more seldom once a task is older than two seconds.
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
    _experiences: "OrderedDict[tuple[TaskKind, str], _Experience]" = field(
        factory=OrderedDict, init=False, repr=False
    )

    def pause(self, kind: TaskKind, source: str, age: float) -> float:
        known = self._experiences.get((kind, source))
        if known is None or known.schedule is None:
            gap = self.first * math.sqrt(max(1.0, age / _CONSTANT_FOR))
        else:
            gap = known.schedule.gap(age)
        return min(max(_LEAST, gap), self.most)

    def learn(self, kind: TaskKind, source: str, after: float, by: float, *, ended: bool) -> None:
        known = self._experiences.get((kind, source))
        if known is None:
            known = self._experiences[kind, source] = _Experience(DurationHistogram(self.memory), self.enough)
            while len(self._experiences) > self.distinct:
                self._experiences.popitem(last=False)
        if not ended:
            known.histogram.add_pending(after, by)
            return
        self._experiences.move_to_end((kind, source))
        known.histogram.add(after, by)
        if known.histogram.seen >= known.due:
            known.plan(self.cost)


@define(eq=False, repr=False)
class _Experience:
    """The durations of one kind of task at one source. Planning costs a millisecond, so it is seldom."""

    histogram: DurationHistogram
    due: int
    """The number of completions at which to plan next."""
    schedule: PollSchedule | None = None

    def plan(self, cost: float) -> None:
        more = min(self.due, _REPLAN_AFTER)
        self.schedule = PollSchedule(*self.histogram.survival(), cost)
        self.histogram.fade(more)
        self.due += more


@frozen(eq=False, repr=False)
class _FixedPace:
    """A plain function as a learner."""

    pace: Pace

    def pause(self, kind: TaskKind, source: str, age: float) -> float:
        return self.pace(kind, age)

    def learn(self, kind: TaskKind, source: str, after: float, by: float, *, ended: bool) -> None:
        """Do nothing: a function of the kind and the age has nothing to learn."""


def learner(pace: Pace | Learner | None) -> Learner:
    """Return the learner for a `Polling.pace`."""
    if pace is None:
        return LearnedPace()
    return pace if isinstance(pace, Learner) else _FixedPace(pace)


def jittered(pause: float, share: float, random: Random) -> float:
    """Return `pause`, up to `share` longer or shorter: so tasks of one age are not polled in one moment."""
    return pause * (1 + share * random.uniform(-1, 1))
