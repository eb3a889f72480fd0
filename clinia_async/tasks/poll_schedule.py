"""The best ages at which to poll tasks whose durations are known, by dynamic programming from the end.

A poll costs as much as `cost` seconds of delay. From each age the next poll is the one for which the delay
until the end is noticed, plus the cost of this poll and of all that follow, is least. A delay that is long
for what the task took counts for more than its length: one of a second is worse than ten of a tenth.
"""

import math
from array import array
from collections.abc import Sequence

from clinia_async.tasks.duration_histogram import EDGES, RATIO, bin_of, prior_weight

_FURTHER = 12
"""Bins beyond the longest age seen, for which the hazard of as many bins before it is assumed."""
_PER_BIN = math.log(RATIO)
_LATENESS_WEIGHT = 0.8
"""By what share of itself a delay counts for more that is as long as the task took."""
_PRIOR_COMPLETIONS = 6.0
"""The prior weight of a decay rate of 1, in completions."""


def blind_interval(age: float, cost: float, decay: float = 1.0) -> float:
    """Return the best pause where only a task's age says how long it may still take.

    `decay` is the exponent by which the share of pending tasks falls with age: with 1 half of them are left
    when the age has doubled, with 2 a quarter.
    """
    return math.sqrt(2 * cost * age / decay)


class PollSchedule:
    """The time of the next poll, from any age at which a task was pending, so that jitter does no harm."""

    __slots__ = ("_cost", "_decay", "_next")

    def __init__(self, weights: Sequence[float], rest: float, cost: float) -> None:
        """Plan for tasks of which `weights` end in each bin, and `rest` outlast all bins."""
        even = prior_weight(len(weights))
        self._cost = cost
        self._decay = _decay_rate(weights, rest)
        believed = [weight + even for weight in weights]
        outlasting = rest + even / _PER_BIN
        for _ in range(min(_FURTHER, len(EDGES) - 1 - len(believed))):
            believed.append(outlasting * (1 - RATIO**-self._decay))
            outlasting -= believed[-1]
        self._next = _best(believed, outlasting, cost, self._decay)

    def gap(self, age: float) -> float:
        """Return the seconds from an age to the next poll."""
        table = self._next
        if age >= EDGES[len(table) - 1]:
            return blind_interval(age, self._cost, self._decay)
        number = bin_of(age)
        low, high = EDGES[number], EDGES[number + 1]
        part = (age - low) / (high - low)
        return table[number] + (table[number + 1] - table[number]) * part - age


def _decay_rate(weights: Sequence[float], rest: float) -> float:
    """Return the exponent by which the share of pending tasks fell in the last bins, at least 1."""
    ended, exposed = 0.0, 0.0
    pending = rest
    for weight in reversed(weights[-_FURTHER:]):
        ended += weight
        pending += weight
        exposed += pending * _PER_BIN
    return max(1.0, (ended + _PRIOR_COMPLETIONS) / (exposed + _PRIOR_COMPLETIONS))


def _best(weights: Sequence[float], rest: float, cost: float, decay: float) -> "array[float]":
    """Return the best age for the poll after each edge; `rest` is the weight that outlasts the last bin."""
    size = len(weights)
    done, ages, squares = _sums(weights)
    end = EDGES[size]
    last = blind_interval(end, cost, decay)
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
    """Return the sums up to each edge of the weight, of weight times age, and of weight times its square."""
    done, ages, squares = [0.0], [0.0], [0.0]
    for number, weight in enumerate(weights):
        age = (EDGES[number] + EDGES[number + 1]) / 2
        done.append(done[-1] + weight)
        ages.append(ages[-1] + weight * age)
        squares.append(squares[-1] + weight * age * age)
    return done, ages, squares
