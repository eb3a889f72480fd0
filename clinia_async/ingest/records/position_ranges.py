"""Positions of records in their input as ranges: a chunk of thousands of records is a few of them."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator

Range = tuple[int, int]
"""First and last position; both belong to it."""


def ranges_of(positions: Iterable[int]) -> list[Range]:
    """Return ascending positions as ranges."""
    found: list[Range] = []
    for position in positions:
        if found and found[-1][1] == position - 1:
            found[-1] = (found[-1][0], position)
        else:
            found.append((position, position))
    return found


def merged(ranges: Iterable[Range]) -> list[Range]:
    """Return the same positions as the fewest ascending ranges. `ranges` must not overlap."""
    found: list[Range] = []
    for first, last in sorted(ranges):
        if found and found[-1][1] == first - 1:
            found[-1] = (found[-1][0], last)
        else:
            found.append((first, last))
    return found


def written(ranges: Iterable[Range]) -> str:
    """Return the ranges as text, which `read` reads."""
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)


def read(text: str) -> Iterator[Range]:
    """Yield the ranges of a text.

    Raises:
        ValueError: the text is not one that `written` returns.
    """
    for part in text.split(","):
        first, dash, last = part.partition("-")
        yield int(first), int(last if dash else first)


class Positions:
    """A set of positions. `ranges` may come in any order and must not overlap."""

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        ascending = merged(ranges)
        self._firsts = [first for first, _ in ascending]
        self._lasts = [last for _, last in ascending]

    def __contains__(self, position: int) -> bool:
        place = bisect_right(self._firsts, position) - 1
        return place >= 0 and position <= self._lasts[place]

    def holds_all(self, first: int, last: int) -> bool:
        """Return whether each position from `first` to `last` is in the set."""
        place = bisect_right(self._firsts, first) - 1
        return place >= 0 and last <= self._lasts[place]

    def ranges(self) -> list[Range]:
        return [*zip(self._firsts, self._lasts, strict=True)]

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in zip(self._firsts, self._lasts, strict=True))
