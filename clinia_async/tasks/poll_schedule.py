"""The best ages at which to poll tasks whose durations are known: dynamic programming, backwards.

A poll costs as much as `cost` seconds of delay. From each age the next poll is the one for which the delay
until the end is noticed, plus the cost of this poll and of all that follow, is least. A delay that is long
for what the task took counts for more than its length: one of a second is worse than ten of a tenth.
"""

import math
from array import array
from collections.abc import Sequence

from clinia_async.tasks.duration_histogram import EDGES, RATIO, bin_of, prior_weight

_FURTHER = 12
"""Bins beyond the longest age seen, which are assumed to continue as in as many bins before it."""
_PER_BIN = math.log(RATIO)
_LATENESS_WEIGHT = 0.8
"""Extra weight of a delay that is as long as the whole task, as a share of the delay."""
_HAZARD_PRIOR = 6.0
"""Prior weight of a hazard of 1, in completions."""


def blind_interval(age: float, cost: float, hazard: float = 1.0) -> float:
    """The best interval until the next poll where only the age of a task is known.

    `hazard` is how fast the share of pending tasks falls with the logarithm of the age: at 1, half of them
    are left when the age has doubled, at 2 a quarter.
    """
    return math.sqrt(2 * cost * age / hazard)


class PollSchedule:
    """When to poll next, from any age at which a task was pending: so jitter and late polls do no harm."""

    __slots__ = ("_cost", "_hazard", "_next")

    def __init__(self, weights: Sequence[float], rest: float, cost: float) -> None:
        """`weights` are the tasks that end in each bin, `rest` those that outlast all bins."""
        even = prior_weight(len(weights))
        self._cost = cost
        self._hazard = _hazard(weights, rest)
        estimates = [weight + even for weight in weights]
        outlasting = rest + even / _PER_BIN
        for _ in range(min(_FURTHER, len(EDGES) - 1 - len(estimates))):
            estimates.append(outlasting * (1 - RATIO**-self._hazard))
            outlasting -= estimates[-1]
        self._next = _best(estimates, outlasting, cost, self._hazard)

    def gap(self, age: float) -> float:
        """Seconds until the next poll."""
        table = self._next
        if age >= EDGES[len(table) - 1]:
            return blind_interval(age, self._cost, self._hazard)
        number = bin_of(age)
        low, high = EDGES[number], EDGES[number + 1]
        part = (age - low) / (high - low)
        return table[number] + (table[number + 1] - table[number]) * part - age


def _hazard(weights: Sequence[float], rest: float) -> float:
    """The hazard in the last bins, per unit of the logarithm of the age; at least 1."""
    ended, exposed = 0.0, 0.0
    pending = rest
    for weight in reversed(weights[-_FURTHER:]):
        ended += weight
        pending += weight
        exposed += pending * _PER_BIN
    return max(1.0, (ended + _HAZARD_PRIOR) / (exposed + _HAZARD_PRIOR))


def _best(weights: Sequence[float], rest: float, cost: float, hazard: float) -> "array[float]":
    """The best age of the next poll from each edge. `rest` is the weight of what outlasts the last bin."""
    size = len(weights)
    done, ages, squares = _sums(weights)
    end = EDGES[size]
    last = blind_interval(end, cost, hazard)
    value = [0.0] * size + [rest * 2 * last]
    following = array("d", [0.0] * size + [end + last])
    for here in range(size - 1, -1, -1):
        least = math.inf
        for there in range(here + 1, size + 1):
            age, count, sum_ = EDGES[there], done[there] - done[here], ages[there] - ages[here]
            delay = age * count - sum_
            delay += _LATENESS_WEIGHT * (delay - sum_ + (squares[there] - squares[here]) / age)
            if delay >= least:
                break
            if delay + value[there] < least:
                least, following[here] = delay + value[there], EDGES[there]
        value[here] = least + cost * (done[size] - done[here] + rest)
    return following


def _sums(weights: Sequence[float]) -> tuple[list[float], list[float], list[float]]:
    """Cumulative sums up to each edge: weight, weight times middle age, and weight times its square."""
    done, ages, squares = [0.0], [0.0], [0.0]
    for number, weight in enumerate(weights):
        age = (EDGES[number] + EDGES[number + 1]) / 2
        done.append(done[-1] + weight)
        ages.append(ages[-1] + weight * age)
        squares.append(squares[-1] + weight * age * age)
    return done, ages, squares
