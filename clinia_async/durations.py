"""How long tasks take, learned from intervals: nobody sees the moment itself at which a task ends.

All that a completion tells is the last look that found it pending and the first that found it ended.
It is spread over the bins between the two, in proportion to what is believed of each bin already: an
even spread would blur what earlier looks made sharp. Ages are seconds. The bins grow in proportion to
the age, so one set of them serves a tenth of a second as well as an hour.
"""

import math
from array import array

RATIO = 1.08
FIRST = 0.01
LONGEST = 2 * 3600.0
_PER_E = 1 / math.log(RATIO)
EDGES = (0.0, *(FIRST * RATIO**number for number in range(int(math.log(LONGEST / FIRST) * _PER_E) + 2)))
"""Bin number i holds the ages from EDGES[i] to EDGES[i + 1]; what took longer counts into the last."""

_DOUBT = 6.0
"""Completions' worth of belief that is spread evenly over the bins, whatever was seen.

Without it what no look ever told apart would stay so for ever, and no look would be spent on a task
that takes longer than all before it.
"""


def bin_of(age: float) -> int:
    if age < FIRST:
        return 0
    return min(int(math.log(age / FIRST) * _PER_E) + 1, len(EDGES) - 2)


def doubt(bins: int) -> float:
    """How much is believed of each of so many bins before anything is seen."""
    return _DOUBT / bins


class Durations:
    """About the last `memory` completions of one kind of task, as the weights of bins."""

    __slots__ = ("_memory", "seen", "weights")

    def __init__(self, memory: int) -> None:
        self._memory = memory
        self.seen = 0
        self.weights = array("d")

    def add(self, after: float, by: float) -> None:
        """A task was pending at the age of `after` seconds and had ended at the age of `by`."""
        first, last = bin_of(after), bin_of(by)
        if last >= len(self.weights):
            self.weights.extend([0.0] * (last + 1 - len(self.weights)))
        if first < last:
            self._spread(after, by)
        else:
            self.weights[last] += 1.0
        self.seen += 1

    def fade(self, count: int) -> None:
        """Forgets the oldest, a little of all, if `count` more would be too many."""
        if sum(self.weights) + count > self._memory:
            keep = max(0.0, 1.0 - count / self._memory)
            self.weights = array("d", [weight * keep for weight in self.weights])

    def _spread(self, after: float, by: float) -> None:
        weights, first, last = self.weights, bin_of(after), bin_of(by)
        even = doubt(len(weights))
        shares = [weight + even for weight in weights[first : last + 1]]
        shares[0] *= (EDGES[first + 1] - after) / (EDGES[first + 1] - EDGES[first])
        shares[-1] *= min(1.0, (by - EDGES[last]) / (EDGES[last + 1] - EDGES[last]))
        scale = 1.0 / sum(shares)
        for number, share in enumerate(shares, first):
            weights[number] += share * scale
