"""How near to the best possible a pace comes, without clock or service; `python -m benchmarks wait` shows it.

Tasks whose durations follow a known distribution are polled as the pace says, a thousand at a time; it
learns as it would from a service. The optimum knows the distribution: it is the least mean delay in noticing
that any schedule can have which polls as often. Durations are seconds, and answers take no time.

The constants of the pace were chosen on `TUNED_ON` alone. It is judged by `JUDGED`; they share nothing.
"""

import heapq
import math
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, pairwise
from random import Random
from statistics import NormalDist

from attrs import frozen

from benchmarks.quartiles import AtMost, Quartiles
from benchmarks.tables import Goaled, Table
from clinia_async.models.task_id import TaskKind
from clinia_async.tasks.duration_histogram import bin_of
from clinia_async.tasks.pacing import LearnedPace, Learner, jittered, learner
from clinia_async.tasks.poll_schedule import PollSchedule
from clinia_async.tasks.share_of_age import ShareOfAge

Durations = Sequence[float]
POINTS = 800
"""Into how many equally likely durations a distribution is cut for the optimum."""
AT_ONCE = 1000
JITTER = 0.1


@frozen
class Distribution:
    """Durations that follow one distribution after the other, for an equal number of tasks each."""

    phases: Sequence[Durations]

    def draws(self, count: int, chance: Random) -> Iterator[tuple[int, float]]:
        """Yield the number of the phase and the duration of each task."""
        for number, phase in enumerate(self.phases):
            for _ in range(count // len(self.phases)):
                # between two of the points, so that nothing repeats
                place = chance.uniform(0, len(phase) - 1)
                low = int(place)
                following = phase[min(low + 1, len(phase) - 1)]
                yield number, phase[low] + (following - phase[low]) * (place - low)


def log_normal(median: float, sigma: float, points: int = POINTS) -> list[float]:
    normal = NormalDist(math.log(median), sigma)
    return [math.exp(normal.inv_cdf((number + 0.5) / points)) for number in range(points)]


def _two_modes() -> list[float]:
    return log_normal(0.15, 0.4, POINTS * 4 // 5) + log_normal(3.0, 0.4, POINTS // 5)


def _weibull(scale: float, shape: float) -> list[float]:
    places = ((number + 0.5) / POINTS for number in range(POINTS))
    return [scale * (-math.log(1 - place)) ** (1 / shape) for place in places]


def _evenly(least: float, most: float, points: int = POINTS) -> list[float]:
    return [least + (most - least) * (number + 0.5) / points for number in range(points)]


TUNED_ON = {
    "log-normal": Distribution([log_normal(0.4, 0.8)]),
    "bimodal": Distribution([_two_modes()]),
    "narrow modes": Distribution(
        [log_normal(0.4, 0.15, POINTS // 2) + log_normal(2.5, 0.15, POINTS // 2)],
    ),
    "exponential after 0.3 s": Distribution([[0.3 + each for each in _weibull(0.5, 1.0)]]),
    "triangular": Distribution([[0.3 + 1.2 * math.sqrt(each) for each in _evenly(0.0, 1.0)]]),
    "2 % take 20 to 200 s": Distribution(
        [log_normal(0.3, 0.4, POINTS * 98 // 100) + _evenly(20, 200, POINTS * 2 // 100)]
    ),
    "always 0.3 s": Distribution([[0.3, 0.3]]),
    "always 3 s": Distribution([[3.0, 3.0]]),
    "drifting": Distribution([log_normal(median, 0.5) for median in (0.4, 4.0, 0.2)]),
    "drifting by more": Distribution([log_normal(median, 0.3) for median in (2.0, 0.1, 1.0)]),
}
"""What the tests of the pace use, and what its constants were chosen on: the geometric mean of the ratios."""

JUDGED = {
    "log-normal (median 0.7 s, sigma 1.1)": Distribution([log_normal(0.7, 1.1)]),
    "bimodal (60 % at 0.25 s, 40 % at 1.5 s)": Distribution(
        [log_normal(0.25, 0.2, POINTS * 3 // 5) + log_normal(1.5, 0.2, POINTS * 2 // 5)]
    ),
    "Weibull (k 0.5, mean 0.6 s)": Distribution([_weibull(0.3, 0.5)]),
    "constant (0.8 s)": Distribution([[0.8, 0.8]]),
    "drift (0.05, 0.5, 5 s)": Distribution([log_normal(median, 0.4) for median in (0.05, 0.5, 5.0)]),
    "review (1 % take 1 to 10 minutes)": Distribution(
        [log_normal(0.5, 0.5, POINTS * 99 // 100) + _evenly(60, 600, POINTS // 100)]
    ),
    "uniform (0.1 to 2 s)": Distribution([_evenly(0.1, 2.0)]),
}
"""What it is judged by: no constant of the pace was chosen on any of these."""
GOAL = AtMost(1.10)
LEARNED = "learned"
NOTHING = 0.001
"""Seconds: where the best possible has no delay to speak of, there is no ratio to it."""
NOTES = (
    "the least possible is that of the best schedule which knows the distribution and polls as often",
    "it is that of 800 durations, and so has no delay for what lies between the few that take minutes",
    "as drawn: the same of the distribution that the tasks are drawn from, with what lies between the 800",
    "informed: a pace in the same simulation, with as many polls, that is told what holds at the first end",
    "so that pace begins as blind as ours, and meets each change as unprepared",
    "the first 1,000 tasks begin together, before anything is known of any",
    "where all take exactly as long, the least possible is 0, and there is no ratio",
)


@frozen
class Figures:
    """`polls` is a mean per task, the others are delays in noticing."""

    polls: float
    mean: float
    p50: float
    p90: float
    p99: float

    @classmethod
    def of(cls, polls: int, delays: list[float]) -> "Figures":
        delays.sort()
        count = len(delays)
        at = [delays[int(count * share)] for share in (0.5, 0.9, 0.99)]
        return cls(polls / count, sum(delays) / count, *at)


def simulate(pace: Learner, distribution: Distribution, *, count: int = 30_000, seed: int = 1) -> Figures:
    chance = Random(seed)
    draws = distribution.draws(count, chance)
    polls, delays = 0, list[float]()
    kind, source = TaskKind.SINGLE, "ehr"
    # the time of the next poll, a number, the time of submission, phase and duration, the age seen pending
    pending: list[tuple[float, int, float, tuple[int, float], float]] = []

    def submit(number: int, now: float) -> None:
        drawn = next(draws, None)
        if drawn is not None:
            pause = jittered(pace.pause(kind, source, 0.0), JITTER, chance)
            heapq.heappush(pending, (now + pause, number, now, drawn, 0.0))

    for number in range(AT_ONCE):
        submit(number, chance.random())
    while pending:
        now, number, since, (phase, duration), seen = heapq.heappop(pending)
        polls += 1
        age = now - since
        if age >= duration:
            delays.append(age - duration)
            if isinstance(pace, _Informed):
                pace.inform(phase)
            pace.learn(kind, source, seen, age, ended=True)
            submit(number, now)
        else:
            pace.learn(kind, source, seen, age, ended=False)
            pause = jittered(pace.pause(kind, source, age), JITTER, chance)
            heapq.heappush(pending, (now + pause, number, since, (phase, duration), age))
    return Figures.of(polls, delays)


@frozen
class Segment:
    """A part of a distribution: what ends in it has ended by `by`, and on average at `mean`."""

    by: float
    mean: float
    weight: float


def points(durations: Durations) -> list[Segment]:
    """The distribution as so many durations, each exactly."""
    return [Segment(each, each, 1 / len(durations)) for each in durations]


_FINEST = 0.01


def as_drawn(durations: Durations) -> list[Segment]:
    """The distribution that `Distribution.draws` draws from, in parts of at most a hundredth of their age."""
    found = list[Segment]()
    for low, high in pairwise(durations):
        count = max(1, math.ceil((high - low) / (_FINEST * high)))
        step, weight = (high - low) / count, 1 / (len(durations) - 1) / count
        found += [Segment(low + step * (at + 1), low + step * (at + 0.5), weight) for at in range(count)]
    return found


def optimum(segments: Sequence[Segment], cost: float) -> tuple[float, float]:
    """Polls and mean delay of the best schedule if a poll costs as much as `cost` seconds of delay."""
    count = len(segments)
    done = [0.0, *accumulate(each.weight for each in segments)]
    ages = [0.0, *accumulate(each.weight * each.mean for each in segments)]
    value, following = [0.0] * (count + 1), [0] * count
    for here in reversed(range(count)):
        least = math.inf
        for there in range(here + 1, count + 1):
            delay = (done[there] - done[here]) * segments[there - 1].by - (ages[there] - ages[here])
            if delay >= least:
                break
            if delay + value[there] < least:
                least, following[here] = delay + value[there], there
        value[here] = least + cost * (done[count] - done[here])
    polls, here = 0.0, 0
    while here < count:
        polls += done[count] - done[here]
        here = following[here]
    return polls, value[0] - cost * polls


def least_delay(
    distribution: Distribution, polls: float, segments_of: Callable[[Durations], list[Segment]] = points
) -> float:
    """The least mean delay of any schedule that takes so many polls a task and knows the distribution."""
    cut = [segments_of(phase) for phase in distribution.phases]

    def at(cost: float) -> tuple[float, float]:
        each = [optimum(segments, cost) for segments in cut]
        return sum(polls for polls, _ in each) / len(each), sum(delay for _, delay in each) / len(each)

    return _at_as_many(at, polls, steps=20)


def informed_delay(distribution: Distribution, polls: float, *, count: int) -> float:
    """The mean delay of a pace that is told each distribution at the first end, at so many polls a task."""

    def at(cost: float) -> tuple[float, float]:
        got = simulate(_Informed(distribution, cost), distribution, count=count)
        return got.polls, got.mean

    return _at_as_many(at, polls, steps=10)


def _at_as_many(at: Callable[[float], tuple[float, float]], polls: float, steps: int) -> float:
    """The delay at so many polls; `at` gives polls and delay by the cost of a poll, in seconds of delay."""
    dear, cheap = 10.0, 1e-4
    for _ in range(steps):
        middle = math.sqrt(dear * cheap)
        if at(middle)[0] > polls:
            cheap = middle
        else:
            dear = middle
    (fewer, longer), (more, shorter) = at(dear), at(cheap)
    share = 0.0 if more == fewer else min(1.0, max(0.0, (polls - fewer) / (more - fewer)))
    return longer + (shorter - longer) * share


class _Informed:
    """A pace that knows each distribution from when the first task of it is seen to end.

    It is no bound: who learns may know a little before that, as tasks outlast what was usual.
    """

    def __init__(self, distribution: Distribution, cost: float) -> None:
        self._schedules = [_schedule(as_drawn(phase), cost) for phase in distribution.phases]
        self._now: PollSchedule | None = None
        self._blind = LearnedPace(enough=10**9)

    def inform(self, phase: int) -> None:
        self._now = self._schedules[phase]

    def pause(self, kind: TaskKind, source: str, age: float) -> float:
        if self._now is None:
            return self._blind.pause(kind, source, age)
        return max(SHORTEST, self._now.gap(age))

    def learn(self, kind: TaskKind, source: str, after: float, by: float, *, ended: bool) -> None:
        """Do nothing: it is told."""


SHORTEST = 0.02
"""Seconds; as in the pace that learns."""


def _schedule(segments: Sequence[Segment], cost: float) -> PollSchedule:
    weights = [0.0] * (bin_of(segments[-1].by) + 1)
    for each in segments:
        weights[bin_of(each.mean)] += each.weight
    return PollSchedule(weights, 0.0, cost)


def tables(*, quick: bool) -> list[Table]:
    """Judge the shipped pace on distributions by which none of its constants was chosen."""
    count = 6000 if quick else 30_000
    rows, goals = [], []
    for title, distribution in JUDGED.items():
        for way, pace in _ways().items():
            got = simulate(pace, distribution, count=count)
            best = least_delay(distribution, got.polls)
            delays = [f"{1000 * each:.0f}" for each in (got.mean, got.p50, got.p90, got.p99)]
            ratio = got.mean / best if best > NOTHING else None
            said = "-" if ratio is None else f"{ratio:.2f}"
            fairer = ["", ""]
            if way == LEARNED and ratio is not None:
                others = (
                    least_delay(distribution, got.polls, as_drawn),
                    informed_delay(distribution, got.polls, count=count),
                )
                fairer = [f"{got.mean / each:.2f}" for each in others]
                result = GOAL.result(Quartiles.of([ratio]))
                goals.append(
                    Goaled(f"pace, {title}: mean delay by the least possible", said, str(GOAL), result)
                )
            rows.append([f"{title}, {way}", f"{got.polls:.2f}", *delays, said, *fairer])
    columns = ["", "GETs a task", "mean ms", "p50", "p90", "p99", "mean by the least possible"]
    columns += ["as drawn", "by one who is informed"]
    return [Table("Pace against the best possible, offline", columns, rows, NOTES, goals=goals)]


def _ways() -> dict[str, Learner]:
    chance = Random(1)

    def full_jitter(_: TaskKind, age: float) -> float:
        return chance.uniform(0, 0.1 + 2 * age)  # where the steps have doubled from 0.1 s to this age

    return {
        LEARNED: LearnedPace(),
        "before it has learned": LearnedPace(enough=10**9),
        "every 0.25 s": learner(lambda _, __: 0.25),
        "a share of the age": learner(ShareOfAge()),
        "exponential, full jitter": learner(full_jitter),
    }
