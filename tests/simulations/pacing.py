"""How near to the best possible a pace comes, without clock or service. `python -m tests.simulations.pacing`

Tasks whose durations follow a known law are looked at as the pace says, a thousand at a time; it learns as
it would from a service. The optimum knows the law: it is the least mean delay in noticing that any
schedule can have which asks as often. Durations are seconds, and answers take no time.
"""

import heapq
import math
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from random import Random
from statistics import NormalDist

from attrs import frozen

from clinia_async.models.task_id import TaskKind
from clinia_async.tasks.pacing import LearnedPace, Learner, ShareOfAge, jittered, learner

Durations = Sequence[float]
POINTS = 800
"""Into how many equally likely durations a law is cut for the optimum."""
AT_ONCE = 1000
JITTER = 0.1


@frozen
class Distribution:
    """Durations that follow one distribution after the other, for an equal number of tasks each."""

    phases: Sequence[Durations]

    def draws(self, count: int, chance: Random) -> Iterator[float]:
        for phase in self.phases:
            for _ in range(count // len(self.phases)):
                # between two of the points, so that nothing repeats
                place = chance.uniform(0, len(phase) - 1)
                low = int(place)
                yield phase[low] + (phase[min(low + 1, len(phase) - 1)] - phase[low]) * (place - low)


def log_normal(median: float, sigma: float, points: int = POINTS) -> list[float]:
    normal = NormalDist(math.log(median), sigma)
    return [math.exp(normal.inv_cdf((number + 0.5) / points)) for number in range(points)]


def _two_modes() -> list[float]:
    return log_normal(0.15, 0.4, POINTS * 4 // 5) + log_normal(3.0, 0.4, POINTS // 5)


LAWS = {
    "log-normal": Distribution([log_normal(0.4, 0.8)]),
    "bimodal": Distribution([_two_modes()]),
    "always 0.3 s": Distribution([[0.3, 0.3]]),
    "always 3 s": Distribution([[3.0, 3.0]]),
    "drifting": Distribution([log_normal(median, 0.5) for median in (0.4, 4.0, 0.2)]),
}


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
    durations = distribution.draws(count, chance)
    polls, delays = 0, list[float]()
    kind, source = TaskKind.SINGLE, "ehr"
    # the time of the next look, a number, the time of submission, the duration, the age last seen pending
    pending: list[tuple[float, int, float, float, float]] = []

    def submit(number: int, now: float) -> None:
        duration = next(durations, None)
        if duration is not None:
            pause = jittered(pace.pause(kind, source, 0.0), JITTER, chance)
            heapq.heappush(pending, (now + pause, number, now, duration, 0.0))

    for number in range(AT_ONCE):
        submit(number, chance.random())
    while pending:
        now, number, since, duration, seen = heapq.heappop(pending)
        polls += 1
        age = now - since
        if age >= duration:
            delays.append(age - duration)
            pace.learn(kind, source, seen, age, ended=True)
            submit(number, now)
        else:
            pace.learn(kind, source, seen, age, ended=False)
            pause = jittered(pace.pause(kind, source, age), JITTER, chance)
            heapq.heappush(pending, (now + pause, number, since, duration, age))
    return Figures.of(polls, delays)


def optimum(durations: Durations, cost: float) -> tuple[float, float]:
    """Looks and mean delay of the best schedule if a look costs as much as `cost` seconds of delay."""
    count = len(durations)
    ages = [0.0, *accumulate(durations)]
    value, following = [0.0] * (count + 1), [0] * count
    for ended in reversed(range(count)):
        least = math.inf
        for then in range(ended + 1, count + 1):
            delay = (then - ended) * durations[then - 1] - (ages[then] - ages[ended])
            if delay >= least:
                break
            if delay + value[then] < least:
                least, following[ended] = delay + value[then], then
        value[ended] = least + cost * (count - ended)
    polls, ended = 0, 0
    while ended < count:
        polls += count - ended
        ended = following[ended]
    return polls / count, (value[0] - cost * polls) / count


def least_delay(distribution: Distribution, polls: float) -> float:
    """The least mean delay of any schedule that takes so many looks a task and knows the law."""

    def at(cost: float) -> tuple[float, float]:
        each = [optimum(phase, cost) for phase in distribution.phases]
        return sum(polls for polls, _ in each) / len(each), sum(delay for _, delay in each) / len(each)

    dear, cheap = 10.0, 1e-4
    for _ in range(20):
        middle = math.sqrt(dear * cheap)
        if at(middle)[0] > polls:
            cheap = middle
        else:
            dear = middle
    (fewer, longer), (more, shorter) = at(dear), at(cheap)
    share = 0.0 if more == fewer else min(1.0, max(0.0, (polls - fewer) / (more - fewer)))
    return longer + (shorter - longer) * share


def main() -> None:
    def full_jitter(_: TaskKind, age: float) -> float:
        return chance.uniform(0, 0.1 + 2 * age)  # where the steps have doubled from 0.1 s to this age

    chance = Random(1)
    ways: dict[str, Callable[[], Learner]] = {
        "learned": LearnedPace,
        "before it has learned": lambda: LearnedPace(enough=10**9),
        "every 0.25 s": lambda: learner(lambda _, __: 0.25),
        "a share of the age": lambda: learner(ShareOfAge()),
        "exponential, full jitter": lambda: learner(full_jitter),
    }
    print(f"{'':<14}{'':<26}{'looks':>6}{'mean ms':>9}{'p50':>6}{'p90':>6}{'p99':>6}  by the optimum's mean")
    for title, distribution in LAWS.items():
        for way, pace in ways.items():
            got = simulate(pace(), distribution)
            best = least_delay(distribution, got.polls)
            delays = "".join(f"{1000 * each:>6.0f}" for each in (got.p50, got.p90, got.p99))
            ratio = f"{got.mean / best:.2f}" if best > 0.001 else "-"
            print(
                f"{title:<14}{way:<26}{got.polls:>6.2f}{1000 * got.mean:>9.0f}{delays}  {ratio}", flush=True
            )


if __name__ == "__main__":
    main()
