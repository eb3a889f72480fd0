"""How long tasks take, learned from polls: nobody sees the moment itself at which a task ends.

A poll shows that a task was still pending at one age, or that it ended between two. Both are kept by bins of
age: how many tasks were pending at the beginning of each bin (at risk), and how many of them ended in it.
Their ratio is the hazard of the bin. So tasks that are still pending count for as long as they were seen to
take, tasks that began together are not judged by the first of them to end, and the few that wait for a
person's review say nothing of the ages that all others end at.

What ended between two polls is spread over the bins between them as is believed of those bins: an even
spread would blur what earlier polls have resolved. Ages are seconds. The bins grow in proportion to the age,
so one set of them serves a tenth of a second as well as an hour.
"""

import math
from array import array
from collections.abc import Sequence

RATIO = 1.08
FIRST = 0.01
LONGEST = 2 * 3600.0
_PER_E = 1 / math.log(RATIO)
EDGES = (0.0, *(FIRST * RATIO**number for number in range(int(math.log(LONGEST / FIRST) * _PER_E) + 2)))
"""Bin number i holds the ages from EDGES[i] to EDGES[i + 1]; what took longer counts into the last."""

_PRIOR = 2.0
"""How many tasks at risk the prior counts for, in each bin."""
_PRIOR_ENDED = _PRIOR * (1 - 1 / RATIO)
"""How many of them end in the bin: half of the pending tasks are left when their age has doubled."""
_NEGLIGIBLE = 1e-4
"""The share of tasks that is not worth a plan."""
_CONTRADICTION = 4.0
"""Standard deviations by which the ends that polls find may differ from what was believed."""
_LATELY = 1 - 1 / 64
"""What is left of the weight of a poll after the next, where polls are compared with what was believed."""
_KEPT = 8.0
"""How many tasks at risk are kept in each bin of what was contradicted."""


def bin_of(age: float) -> int:
    """Return the number of the bin that holds an age in seconds."""
    if age < FIRST:
        return 0
    return min(int(math.log(age / FIRST) * _PER_E) + 1, len(EDGES) - 2)


class Durations:
    """How long tasks of one kind take, by the last `memory` tasks that were pending in each bin of age."""

    __slots__ = ("_at_risk", "_ended", "_fewer", "_memory", "_more", "_variance", "polls", "seen")

    def __init__(self, memory: float) -> None:
        self._memory = memory
        self.polls = 0
        self.seen = 0
        """How many of the polls found their task ended."""
        self._ended = array("d", bytes(8 * (len(EDGES) - 1)))
        self._at_risk = array("d", self._ended)
        self._more = self._fewer = 0.0
        """By how many the last polls found more ends than is believed, and fewer."""
        self._variance = 0.0
        """The variance of these numbers, if what is believed is right."""

    def observe(self, after: float, by: float, *, ended: bool) -> bool:
        """Count a poll at the age `by` of a task that was pending at the age `after`.

        Returns:
            Whether the last polls contradict what was believed, so that most of it is forgotten.
        """
        by = max(after, by)
        first, last = bin_of(after), bin_of(by)
        parts = [1.0] * (last - first + 1)
        parts[-1] = _part(by, last)
        parts[0] -= _part(after, first)
        hazards = self._hazards(first, last + 1)
        self.polls += 1
        is_contradicted = self._is_contradicted(hazards, ended=ended)
        if ended:
            self.seen += 1
            self._count_end(first, parts, hazards)
        else:
            for number, part in enumerate(parts, first):
                self._add(number, part, 0.0)
        if is_contradicted:
            for number in range(len(self._at_risk)):
                self._keep(number, _KEPT)
        return is_contradicted

    def distribution(self) -> tuple[list[float], float]:
        """Return the shares of tasks that end in each bin, while any are worth a plan, and what is left."""
        weights, pending = list[float](), 1.0
        for hazard in self._hazards(0, len(self._ended)):
            weights.append(pending * hazard)
            pending -= weights[-1]
            if pending < _NEGLIGIBLE:
                break
        return weights, pending

    def _hazards(self, first: int, end: int) -> list[float]:
        counted = zip(self._ended[first:end], self._at_risk[first:end], strict=True)
        return [min(1.0, (ended + _PRIOR_ENDED) / (at_risk + _PRIOR)) for ended, at_risk in counted]

    def _count_end(self, first: int, parts: Sequence[float], hazards: Sequence[float]) -> None:
        shares, pending = list[float](), 1.0
        for part, hazard in zip(parts, hazards, strict=True):
            shares.append(pending * hazard * part)
            pending -= shares[-1]
        total, pending = sum(shares), 1.0
        for number, (part, share) in enumerate(zip(parts, shares, strict=True), first):
            ended = share / total if total > 0.0 else 1.0 / len(shares)
            begun = part if number == first else 1.0  # of what ends in a bin the whole bin is known
            self._add(number, max(pending * begun, ended), ended)
            pending -= ended

    def _add(self, number: int, at_risk: float, ended: float) -> None:
        self._at_risk[number] += at_risk
        self._ended[number] += ended
        self._keep(number, self._memory)

    def _keep(self, number: int, most: float) -> None:
        """Reduce the weight of what was counted in a bin to at most so many tasks at risk."""
        at_risk = self._at_risk[number]
        if at_risk > most:
            self._at_risk[number] = most
            self._ended[number] *= most / at_risk

    def _is_contradicted(self, hazards: Sequence[float], *, ended: bool) -> bool:
        """Whether the last polls, this one included, contradict the hazards of the bins that they touch.

        Nothing is believed of where in a bin tasks end: at least what ends in the bins between the two ages
        is expected, and at most what ends in all. A poll counts for more the surer its result was.
        """
        pending = [1.0 - hazard for hazard in hazards]
        least, rest = 1.0 - math.prod(pending[1:-1]), math.prod(pending)
        self._more = max(0.0, self._more * _LATELY + rest * (ended - 1.0 + rest))
        self._fewer = max(0.0, self._fewer * _LATELY + least * (least - ended))
        variance = max(least**3 * (1.0 - least), rest**3 * (1.0 - rest))
        self._variance = self._variance * _LATELY**2 + variance
        if max(self._more, self._fewer) <= _CONTRADICTION * math.sqrt(self._variance + 1.0):
            return False
        self._more = self._fewer = self._variance = 0.0
        return True


def _part(age: float, number: int) -> float:
    """Return the share of a bin that lies before an age in it."""
    return min(1.0, (age - EDGES[number]) / (EDGES[number + 1] - EDGES[number]))
