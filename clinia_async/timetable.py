"""The best ages at which to look at tasks whose durations are known: dynamic programming, backwards.

A look costs as much as `cost` seconds of delay. From each age the next look is the one for which the
delay until the end is noticed, plus the cost of this look and of all that follow, is least.
"""

import math
from array import array
from collections.abc import Sequence

from clinia_async.durations import EDGES, RATIO, bin_of, doubt

_FURTHER = 12
"""Bins beyond the longest duration seen, in which there is nothing but doubt."""


def in_the_dark(age: float, cost: float) -> float:
    """The best gap where a task's age is all that tells how long it may still take."""
    return math.sqrt(2 * cost * age)


class Timetable:
    """When to look next, from any age at which a task was pending: so jitter and late looks do no harm."""

    __slots__ = ("_next",)

    def __init__(self, weights: Sequence[float], cost: float) -> None:
        even = doubt(len(weights))
        believed = [*(weight + even for weight in weights), *([even] * _FURTHER)]
        self._next = _best(believed[: len(EDGES) - 1], even / math.log(RATIO), cost)

    def gap(self, age: float) -> float | None:
        """Seconds to the next look; None beyond all that was seen."""
        table = self._next
        if age >= EDGES[len(table) - 1]:
            return None
        number = bin_of(age)
        low, high = EDGES[number], EDGES[number + 1]
        part = (age - low) / (high - low)
        return table[number] + (table[number + 1] - table[number]) * part - age


def _best(weights: Sequence[float], rest: float, cost: float) -> "array[float]":
    """The best age for the look after each edge. `rest` is the weight of what outlasts the last bin."""
    size = len(weights)
    done, ages = _sums(weights)
    end = EDGES[size]
    value = [0.0] * size + [rest * 2 * in_the_dark(end, cost)]
    following = array("d", [0.0] * size + [end + in_the_dark(end, cost)])
    for here in range(size - 1, -1, -1):
        least = math.inf
        for there in range(here + 1, size + 1):
            delay = EDGES[there] * (done[there] - done[here]) - (ages[there] - ages[here])
            if delay >= least:
                break
            if delay + value[there] < least:
                least, following[here] = delay + value[there], EDGES[there]
        value[here] = least + cost * (done[size] - done[here] + rest)
    return following


def _sums(weights: Sequence[float]) -> tuple[list[float], list[float]]:
    """Up to each edge: the weight of the bins, and their weight times the age in their middle."""
    done, ages = [0.0], [0.0]
    for number, weight in enumerate(weights):
        done.append(done[-1] + weight)
        ages.append(ages[-1] + weight * (EDGES[number] + EDGES[number + 1]) / 2)
    return done, ages
