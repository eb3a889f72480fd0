"""Where a row of CSV ends in which a quotation mark or a carriage return is out of place.

It is read in two ways. By the one a quotation mark ends its cell wherever it stands, as most programs have
it; by the other only in front of a delimiter or the end of a line, for marks in a text may not be doubled.
The row ends where both are outside of marks, or by the first if it has no end by the other. If it goes over
several lines, and each but the first is a whole row by itself, with as many cells as the header, then the
first line alone is bad, and these are read as rows.
"""

import csv
from collections.abc import Iterator

from attrs import field, frozen

from clinia_async.ingest.readers.csv_marks import Inside, Marks
from clinia_async.ingest.readers.line_splitter import LARGEST_LINE
from clinia_async.ingest.readers.text_lines import TextLines

LOOK_AHEAD = 16 * 1024
"""Characters behind a fault in which the end of its row is searched."""
MOST_GIVEN_BACK = 4 * 1024 * 1024
"""Characters of a table that are read again for its faults, at most: many faults take no long time."""
TOO_LARGE = "the row is too large"
BY_MARK = "is no CSV: a quotation mark is out of place or left open"
_BY_RETURN = "is no CSV: a carriage return stands in a cell without quotation marks"


@frozen
class BadRow:
    """A row without cells, and why; `text` is all of it, if it is kept."""

    reason: str
    text: str | None = field(default=None, repr=False)
    is_last: bool = False
    """Its end is unknown, so the rows behind it are, too."""


class RowTooLarge(Exception):
    """A row is larger than what is kept."""


class RowLines:
    """The lines of one row, for who takes no more of them than that. Raises `RowTooLarge`."""

    def __init__(self, lines: TextLines, marks: Marks) -> None:
        self._lines = lines
        self._marks = marks
        self._taken: list[str] = []
        self._size = 0
        self.given_back = 0
        """Characters of lines that will be read again."""
        self._insides = Inside.NOTHING, Inside.NOTHING
        self._first_end: int | None = None
        """After how many lines the row ends as most programs have it."""

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._next()
        if not line:
            raise StopIteration
        if self._size > LARGEST_LINE:
            raise RowTooLarge
        return line

    @property
    def text(self) -> str:
        """What was taken so far."""
        return "".join(self._taken)

    def whole(self) -> str:
        """Take all lines of the row, as most programs have it; return its text.

        Raises `RowTooLarge`, and `csv.Error` for a row that has no end.
        """
        for line in self:
            if not self._insides[0] and line.endswith(self._lines.end):
                break
        if self._insides[0]:
            raise csv.Error("the row has no end")
        return self.text

    def whole_within(self, cells: int | None) -> str | None:
        """Do as `whole`; return None if the row has no end close by, or more cells than so many."""
        found, most = 0, None
        while line := self._next():
            most = most or self._size + LOOK_AHEAD
            if not self._insides[0] and line.endswith(self._lines.end):
                return self.text
            if self._insides[0] is Inside.BARE:
                found += self._marks.delimiters(line)
            if self._size > most or (cells is not None and found >= cells):
                return None
        return self.text if self._taken and not self._insides[0] else None

    def end_by(self, marks: Marks) -> bool:
        """Take lines until the row ends by `marks`, too; return whether it does close by."""
        inside = Inside.NOTHING, Inside.NOTHING
        for line in self._taken:
            inside = marks.follow(line, inside)
        most = self._size + LOOK_AHEAD
        while inside[0] or self._insides[0]:
            line = self._next()
            if not line or self._size > most:
                return False
            inside = marks.follow(line, inside)
        return True

    def return_all(self) -> None:
        """Give all lines back, to be read again."""
        self._lines.put_back(self._taken)

    def cut(self, width: int | None, *, is_large: bool) -> BadRow | None:
        """Return the row, which cannot be read, to its end; None if that is unknown.

        Lines that are rows of `width` cells by themselves are given back.
        """
        has_ended = is_large or self._complete(is_kept=True)
        first, *rest = self._taken
        if rest and width is not None and all(self._marks.is_row(line, width) for line in rest):
            self._give_back(rest)
            return BadRow(_reason([first]), first)
        if is_large:
            return BadRow(TOO_LARGE, is_last=not self._complete(is_kept=False))
        if not has_ended and self._first_end is None:
            return None
        end = len(self._taken) if has_ended else self._first_end
        self._give_back(self._taken[end:])  # they cannot belong to it: by the other way it has no end
        row = self._taken[:end]
        return BadRow(_reason(row), "".join(row))

    def _give_back(self, lines: list[str]) -> None:
        self.given_back = sum(map(len, lines))
        self._lines.put_back(lines)

    def _complete(self, *, is_kept: bool) -> bool:
        """Take the rest of the row; return whether it has an end, and is not too large to be kept."""
        most = self._size + LOOK_AHEAD
        while not self._has_ended():
            if not self._next():
                return not any(self._insides)
            if is_kept and self._size > most:
                return False
            if not is_kept:
                del self._taken[:-1]
        return True

    def _has_ended(self) -> bool:
        return not any(self._insides) and self._taken[-1].endswith(self._lines.end)

    def _next(self) -> str:
        line = self._lines.pop()
        if line:
            self._insides = self._marks.follow(line, self._insides)
            self._size += len(line)
            self._taken.append(line)
            if self._first_end is None and not self._insides[0]:
                self._first_end = len(self._taken)
        return line


def _reason(lines: list[str]) -> str:
    text = lines[0].rstrip("\r\n")
    reason = _BY_RETURN if "\r" in text and len(lines) == 1 else BY_MARK
    return reason + over_lines(len(lines))


def over_lines(count: int) -> str:
    """Return what a reason adds for a row of so many lines."""
    return f"; it goes over {count:,} lines" if count > 1 else ""
