"""Medians and quartiles of ratios that are paired inside one round, and what they say about a goal."""

import statistics
from collections.abc import Sequence

from attrs import frozen


@frozen
class Quartiles:
    low: float
    middle: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Quartiles":
        """Of one value, all three are that value: there is no spread to tell."""
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        return cls(*statistics.quantiles(values, n=4, method="inclusive"))

    def __str__(self) -> str:
        places = 2 if abs(self.middle) < 100 else 0
        return f"{self.middle:.{places}f} [{self.low:.{places}f}..{self.high:.{places}f}]"


def paired(upper: Sequence[float], lower: Sequence[float]) -> Quartiles:
    """`upper` by `lower`, round by round: what slows a whole round down takes itself out."""
    return Quartiles.of([above / below for above, below in zip(upper, lower, strict=True)])


@frozen
class AtLeast:
    """A figure that should reach `goal`. It fails only where the upper quartile is below `fail`."""

    goal: float
    fail: float | None = None

    def result(self, seen: Quartiles) -> str:
        if self.fail is not None and seen.high < self.fail:
            return "FAIL"
        return "reached" if seen.middle >= self.goal else "short"

    def __str__(self) -> str:
        fail = "" if self.fail is None else f", fails below {self.fail:.2f}"
        return f">= {self.goal:g}{fail}"


@frozen
class AtMost:
    """A figure that should stay within `goal`. It fails only where the lower quartile is above `fail`."""

    goal: float
    fail: float | None = None

    def result(self, seen: Quartiles) -> str:
        if self.fail is not None and seen.low > self.fail:
            return "FAIL"
        return "reached" if seen.middle <= self.goal else "short"

    def __str__(self) -> str:
        fail = "" if self.fail is None else f", fails above {self.fail:g}"
        return f"<= {self.goal:g}{fail}"


Goal = AtLeast | AtMost
