"""The best ages at which to poll tasks whose durations are known, by dynamic programming from the end.

A poll costs as much as `cost` seconds of delay. From each age the next poll is the one for which the delay
until the end is noticed, plus the cost of this poll and of all that follow, is least.
"""

import math
from array import array
from collections.abc import Sequence
from itertools import accumulate, pairwise

from clinia_async.tasks.duration_histogram import EDGES, bin_of


def blind_interval(age: float, cost: float) -> float:
    """Return the best pause where only a task's age says how long it may still take.

    Half of the tasks are taken to be left when their age has doubled.
    """
    return math.sqrt(2 * cost * age)


class PollSchedule:
    """The time of the next poll, from any age at which a task was pending, so that jitter does no harm."""

    __slots__ = ("_cost", "_next")

    def __init__(self, weights: Sequence[float], rest: float, cost: float) -> None:
        """Plan for tasks of which the shares `weights` end in each bin, and `rest` outlast all bins."""
        self._cost = cost
        self._next = _best(weights, rest, cost)

    def gap(self, age: float) -> float:
        """Return the seconds from an age to the next poll."""
        table = self._next
        if age >= EDGES[len(table) - 1]:
            return blind_interval(age, self._cost)
        number = bin_of(age)
        low, high = EDGES[number], EDGES[number + 1]
        part = (age - low) / (high - low)
        return table[number] + (table[number + 1] - table[number]) * part - age


def _best(weights: Sequence[float], rest: float, cost: float) -> "array[float]":
    """Return the best age for the poll after each edge; `rest` is the share that outlasts the last bin."""
    size = len(weights)
    done, ages = _sums(weights)
    end = EDGES[size]
    last = blind_interval(end, cost)
    value = [0.0] * size + [rest * 2 * last]
    following = array("d", [0.0] * size + [end + last])
    for here in range(size - 1, -1, -1):
        pending = done[size] - done[here] + rest
        least, following[here] = _within_bin(here, weights[here], pending, cost)
        least += value[here + 1]
        for there in range(here + 2, size + 1):
            delay = EDGES[there] * (done[there] - done[here]) - (ages[there] - ages[here])
            if delay >= least:
                break
            if delay + value[there] < least:
                least, following[here] = delay + value[there], EDGES[there]
        value[here] = least + cost * pending
    return following


def _within_bin(number: int, weight: float, pending: float, cost: float) -> tuple[float, float]:
    """Return what polls within a bin cost, without the first of them, and the age of that one.

    They are spread evenly. A bin is wide where tasks are old, and may then be worth more than one poll.
    """
    low, width = EDGES[number], EDGES[number + 1] - EDGES[number]
    polls = max(1.0, math.sqrt(weight * width / (2 * cost * pending)))
    delay = weight * width / (2 * polls)
    return delay + (polls - 1) * cost * (pending - weight / 2), low + width / polls


def _sums(weights: Sequence[float]) -> tuple[list[float], list[float]]:
    """Return the sums up to each edge of the weight, and of weight times age."""
    middles = ((low + high) / 2 for low, high in pairwise(EDGES))
    ages = (weight * age for weight, age in zip(weights, middles, strict=False))
    return [0.0, *accumulate(weights)], [0.0, *accumulate(ages)]
