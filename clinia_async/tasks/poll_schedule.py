"""The best ages at which to look at tasks whose durations are known: dynamic programming, backwards.

A look costs as much as `cost` seconds of delay. From each age the next look is the one for which the
delay until the end is noticed, plus the cost of this look and of all that follow, is least. A delay
that is long for what the task took counts for more than its length: one of a second is worse than ten of
a tenth.
"""

import math
from array import array
from collections.abc import Sequence

from clinia_async.tasks.duration_histogram import EDGES, RATIO, bin_of, doubt

_FURTHER = 12
"""Bins beyond the longest age seen, in which things are believed to go on as in as many before it."""
_PER_BIN = math.log(RATIO)
_DREAD = 0.8
"""By how much more of itself a delay counts that is as long as all that the task took."""
_STRENGTH = 6.0
"""How many completions speak as loud for a tendency as there is belief in none."""


def blind_interval(age: float, cost: float, tendency: float = 1.0) -> float:
    """The best gap where a task's age is all that tells how long it may still take.

    `tendency` is by how much faster than the age the number of those falls that are pending: where it is
    1, half of them are left when the age has doubled, and where it is 2, a quarter.
    """
    return math.sqrt(2 * cost * age / tendency)


class PollSchedule:
    """When to look next, from any age at which a task was pending: so jitter and late looks do no harm."""

    __slots__ = ("_cost", "_next", "_tendency")

    def __init__(self, weights: Sequence[float], rest: float, cost: float) -> None:
        """Of so many tasks, `weights` end in each bin, and `rest` outlast them all."""
        even = doubt(len(weights))
        self._cost = cost
        self._tendency = _tendency(weights, rest)
        believed = [weight + even for weight in weights]
        outlasting = rest + even / _PER_BIN
        for _ in range(min(_FURTHER, len(EDGES) - 1 - len(believed))):
            believed.append(outlasting * (1 - RATIO**-self._tendency))
            outlasting -= believed[-1]
        self._next = _best(believed, outlasting, cost, self._tendency)

    def gap(self, age: float) -> float:
        """Seconds to the next look."""
        table = self._next
        if age >= EDGES[len(table) - 1]:
            return blind_interval(age, self._cost, self._tendency)
        number = bin_of(age)
        low, high = EDGES[number], EDGES[number + 1]
        part = (age - low) / (high - low)
        return table[number] + (table[number + 1] - table[number]) * part - age


def _tendency(weights: Sequence[float], rest: float) -> float:
    """By how much faster than age itself the share of pending tasks fell in the last bins; never slower."""
    ended, exposed = 0.0, 0.0
    pending = rest
    for weight in reversed(weights[-_FURTHER:]):
        ended += weight
        pending += weight
        exposed += pending * _PER_BIN
    return max(1.0, (ended + _STRENGTH) / (exposed + _STRENGTH))


def _best(weights: Sequence[float], rest: float, cost: float, tendency: float) -> "array[float]":
    """The best age for the look after each edge. `rest` is the weight of what outlasts the last bin."""
    size = len(weights)
    done, ages, squares = _sums(weights)
    end = EDGES[size]
    last = blind_interval(end, cost, tendency)
    value = [0.0] * size + [rest * 2 * last]
    following = array("d", [0.0] * size + [end + last])
    for here in range(size - 1, -1, -1):
        least = math.inf
        for there in range(here + 1, size + 1):
            age, count, sum_ = EDGES[there], done[there] - done[here], ages[there] - ages[here]
            delay = age * count - sum_
            delay += _DREAD * (delay - sum_ + (squares[there] - squares[here]) / age)
            if delay >= least:
                break
            if delay + value[there] < least:
                least, following[here] = delay + value[there], EDGES[there]
        value[here] = least + cost * (done[size] - done[here] + rest)
    return following


def _sums(weights: Sequence[float]) -> tuple[list[float], list[float], list[float]]:
    """Up to each edge: the weight of the bins, and that times the age in their middle, and its square."""
    done, ages, squares = [0.0], [0.0], [0.0]
    for number, weight in enumerate(weights):
        age = (EDGES[number] + EDGES[number + 1]) / 2
        done.append(done[-1] + weight)
        ages.append(ages[-1] + weight * age)
        squares.append(squares[-1] + weight * age * age)
    return done, ages, squares
