"""How long tasks take, learned from intervals: nobody sees the moment itself at which a task ends.

A poll shows that a task was still pending at one age, or that it ended between two. Both are kept by bins of
age: how many tasks ended in each bin, and how many were pending at its beginning (at risk). Their ratio is
the hazard of the bin. So tasks that are still pending count for as long as they were seen to take, and tasks
that began together are not judged by the first of them to end.

What ended between two polls is spread over the bins between them, in proportion to the weight that each bin
has already: an even spread would blur what earlier polls have resolved. Ages are seconds. The bins grow in
proportion to the age, so one set of them serves a tenth of a second as well as an hour.
"""

import math
from array import array
from itertools import accumulate

RATIO = 1.08
FIRST = 0.01
LONGEST = 2 * 3600.0
_PER_E = 1 / math.log(RATIO)
EDGES = (0.0, *(FIRST * RATIO**number for number in range(int(math.log(LONGEST / FIRST) * _PER_E) + 2)))
"""Bin number i holds the ages from EDGES[i] to EDGES[i + 1]; what took longer counts into the last."""

_PRIOR = 16.0
"""Prior weight of all bins together, in completions.

Without it bins that no poll ever resolved would never be polled apart, and no poll would be spent on a task
that takes longer than all before it.
"""
_SPREAD_PRIOR = 4.0
"""The prior weight where a completion is spread, as a multiple: spreads must not confirm themselves."""


def bin_of(age: float) -> int:
    """Return the number of the bin that holds an age in seconds."""
    if age < FIRST:
        return 0
    return min(int(math.log(age / FIRST) * _PER_E) + 1, len(EDGES) - 2)


def prior_weight(bins: int) -> float:
    """Prior weight of one bin of so many, in completions."""
    return _PRIOR / bins


class Durations:
    """About the last `memory` completions of one kind of task, by bins of age."""

    __slots__ = ("_at_risk", "_ended", "_memory", "_steps", "seen")

    def __init__(self, memory: int) -> None:
        self._memory = memory
        self.seen = 0
        self._ended = array("d")
        self._at_risk = array("d")
        """How many tasks were pending in each bin, apart from what `_steps` adds."""
        self._steps = array("d", [0.0])
        """By how much more tasks were pending from each bin on, so that a range of bins takes two entries."""

    def passed(self, after: float, by: float) -> None:
        """Count a task that was pending at the age of `after` seconds, and still at the age of `by`."""
        self._reach(bin_of(by))
        self._pending_from(after, 1.0)
        self._pending_from(by, -1.0)

    def add(self, after: float, by: float) -> None:
        """Count a task that was pending at the age of `after` seconds and had ended at the age of `by`."""
        first, last = bin_of(after), bin_of(by)
        self._reach(last)
        if first < last:
            self._spread(after, by)
        else:
            self._ended[last] += 1.0
            self._at_risk[last] += 1.0 - _part(after, last)
        self.seen += 1

    def distribution(self) -> tuple[list[float], float]:
        """Return, of tasks that begin together, how many end in each bin, and how many outlast all bins."""
        weights, pending = list[float](), 0.0
        for ended, at_risk in zip(self._ended, self._all_at_risk(), strict=True):
            pending = pending if weights else at_risk
            share = min(1.0, ended / at_risk) if at_risk > 0.0 else 0.0
            weights.append(pending * share)
            pending -= weights[-1]
        return weights, pending

    def fade(self, count: int) -> None:
        """Reduce the weight of what was counted, if `count` more completions would exceed the memory."""
        if sum(self._ended) + count > self._memory:
            keep = max(0.0, 1.0 - count / self._memory)
            for name in ("_ended", "_at_risk", "_steps"):
                setattr(self, name, array("d", [weight * keep for weight in getattr(self, name)]))

    def _all_at_risk(self) -> list[float]:
        return [more + steps for more, steps in zip(self._at_risk, accumulate(self._steps), strict=False)]

    def _pending_from(self, age: float, count: float) -> None:
        number = bin_of(age)
        self._at_risk[number] += count * (1.0 - _part(age, number))
        self._steps[number + 1] += count

    def _reach(self, last: int) -> None:
        more = [0.0] * (last + 1 - len(self._ended))
        self._ended.extend(more)
        self._at_risk.extend(more)
        self._steps.extend(more)

    def _spread(self, after: float, by: float) -> None:
        ended, first, last = self._ended, bin_of(after), bin_of(by)
        even = _SPREAD_PRIOR * prior_weight(len(ended))
        shares = [weight + even for weight in ended[first : last + 1]]
        shares[0] *= 1.0 - _part(after, first)
        shares[-1] *= _part(by, last)
        scale = 1.0 / sum(shares)
        pending = 1.0
        for number, share in enumerate(shares, first):
            ended[number] += share * scale
            self._at_risk[number] += pending
            pending -= share * scale
        self._at_risk[first] -= _part(after, first)


def _part(age: float, number: int) -> float:
    """Return the share of a bin that lies before an age in it."""
    return min(1.0, (age - EDGES[number]) / (EDGES[number + 1] - EDGES[number]))
