"""When to poll a task again, from its kind, its source and its age. All in seconds; no clock is read."""

import math
from collections import OrderedDict
from collections.abc import Callable
from random import Random
from typing import Protocol, runtime_checkable

from attrs import define, field

from clinia_async.errors.settings import Number
from clinia_async.models.refusal import made_without_locals
from clinia_async.models.struct import Struct
from clinia_async.models.task_id import TaskKind
from clinia_async.models.value import EqualByFields
from clinia_async.tasks.duration_histogram import Durations
from clinia_async.tasks.poll_schedule import PollSchedule

Pace = Callable[[TaskKind, float], float]
"""Returns the seconds until the next poll of a task, from its kind and its age since it was accepted."""


@runtime_checkable
class Learner(Protocol):
    """A pace that learns how long tasks take. Times are ages of a task, in seconds since it was accepted."""

    def pause(self, kind: TaskKind, source: str, age: float) -> float:
        """Return the seconds until the next poll of a task that was still pending at this age."""
        ...

    def learn(self, kind: TaskKind, source: str, after: float, by: float, *, ended: bool) -> None:
        """Take in the result of a poll.

        Args:
            kind: the kind of the task.
            source: the source that it is for.
            after: the age at which the task was last seen pending, or 0.
            by: its age at this poll.
            ended: whether this poll found it ended.
        """
        ...


_EVEN_FOR = 2.0
_LEAST = 0.02
_FIRST_POLLS = 16
"""Polls after the first plan, and after what contradicts it, at which to plan next; then twice as many."""
_AT_A_TIME = 256
"""The most polls from one plan to the next."""


@made_without_locals
@define(eq=False, repr=False)
class LearnedPace:
    """Polls when a poll is worth most, by how long tasks of the same kind and source took.

    One instance belongs to one thread. Sessions that share it learn together.

    Args:
        cost: how many seconds of delay in noticing an end one poll is worth. With 0.055 a task that takes
            about 0.4 s is polled about 2.8 times; a smaller cost polls more often and notices sooner.
        first: seconds between polls until `enough` tasks have ended; the pauses grow once a task is older
            than two seconds.
        enough: how many completions there must be before the pace is planned.
        most: the longest pause, in seconds.
        memory: how many of the last tasks that were pending at an age count there, for each kind and source.
            Where polls contradict what was learned, most of it is forgotten at once.
        distinct: how many pairs of a kind and a source are kept: those used last.
    """

    __repr__ = EqualByFields.__repr__

    cost: float = field(default=0.055, validator=Number(above=0))
    first: float = field(default=0.2, validator=Number(above=0))
    enough: int = field(default=16, validator=Number(least=1, whole=True))
    most: float = field(default=15.0, validator=Number(above=0))
    memory: int = field(default=512, validator=Number(least=1, whole=True))
    distinct: int = field(default=64, validator=Number(least=1, whole=True))
    _known: "OrderedDict[tuple[TaskKind, str], _Experience]" = field(
        factory=OrderedDict, init=False, repr=False
    )

    def pause(self, kind: TaskKind, source: str, age: float) -> float:
        """Return the seconds until the next poll of a task that was still pending at this age."""
        known = self._known.get((kind, source))
        if known is None or known.schedule is None:
            gap = self.first * math.sqrt(max(1.0, age / _EVEN_FOR))
        else:
            gap = known.schedule.gap(age)
        return min(max(_LEAST, gap), self.most)

    def learn(self, kind: TaskKind, source: str, after: float, by: float, *, ended: bool) -> None:
        """Take in the result of a poll. `ended` says whether it found the task ended; ages are in seconds."""
        known = self._known.get((kind, source))
        if known is None:
            known = self._known[kind, source] = _Experience(Durations(self.memory), self.enough)
            while len(self._known) > self.distinct:
                self._known.popitem(last=False)
        if ended:
            self._known.move_to_end((kind, source))
        known.observe(after, by, ended=ended, cost=self.cost)


class _Experience(Struct, frozen=False):
    """What is known of one kind of task at one source. Planning costs a millisecond, so it is seldom."""

    durations: Durations
    enough: int
    """How many completions there must be to plan at all."""
    due: int = 0
    """The number of polls at which to plan next."""
    step: int = _FIRST_POLLS
    schedule: PollSchedule | None = None

    def observe(self, after: float, by: float, *, ended: bool, cost: float) -> None:
        durations = self.durations
        if durations.observe(after, by, ended=ended):
            self.step = _FIRST_POLLS
            self.due = durations.polls + self.step
        if durations.polls >= self.due and durations.seen >= self.enough:
            self.schedule = PollSchedule(*durations.distribution(), cost)
            self.due = durations.polls + self.step
            self.step = min(2 * self.step, _AT_A_TIME)


class _FixedPace:
    """A plain function as a pace."""

    def __init__(self, pace: Pace) -> None:
        self.pace = pace

    def pause(self, kind: TaskKind, source: str, age: float) -> float:
        return self.pace(kind, age)

    def learn(self, kind: TaskKind, source: str, after: float, by: float, *, ended: bool) -> None:
        """Do nothing: a function of the kind and the age does not learn."""


def learner(pace: Pace | Learner | None) -> Learner:
    """Return `pace` as a learner; a new `LearnedPace` for None."""
    if pace is None:
        return LearnedPace()
    return pace if isinstance(pace, Learner) else _FixedPace(pace)


def jittered(pause: float, share: float, random: Random) -> float:
    """Vary a pause by up to `share` of it, so that tasks of one age are not polled at the same moment."""
    return pause * (1 + share * random.uniform(-1, 1))
