"""Positions of records in their input, kept as ranges: a chunk of thousands is a few of them."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator

Range = tuple[int, int]
"""First and last position; both belong to it."""


def ranges_of(positions: Iterable[int]) -> list[Range]:
    """Ascending positions as ranges."""
    found: list[Range] = []
    for position in positions:
        if found and found[-1][1] == position - 1:
            found[-1] = (found[-1][0], position)
        else:
            found.append((position, position))
    return found


def merged(ranges: Iterable[Range]) -> list[Range]:
    """The same positions as ascending ranges, as few as can be. `ranges` must not overlap."""
    found: list[Range] = []
    for first, last in sorted(ranges):
        if found and found[-1][1] == first - 1:
            found[-1] = (found[-1][0], last)
        else:
            found.append((first, last))
    return found


def written(ranges: Iterable[Range]) -> str:
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)


def read(text: str) -> Iterator[Range]:
    """Raises `ValueError` for text that `written` did not write."""
    for part in text.split(","):
        first, dash, last = part.partition("-")
        yield int(first), int(last if dash else first)


class Positions:
    """Many positions, asked one by one. `ranges` may come in any order and must not overlap."""

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        ascending = merged(ranges)
        self._firsts = [first for first, _ in ascending]
        self._lasts = [last for _, last in ascending]

    def __contains__(self, position: int) -> bool:
        place = bisect_right(self._firsts, position) - 1
        return place >= 0 and position <= self._lasts[place]

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in zip(self._firsts, self._lasts, strict=True))
