"""Where a row of CSV ends in which a quotation mark or a carriage return is out of place.

It is read in two ways. By the one a quotation mark ends its cell wherever it stands, as most programs have
it; by the other only in front of a delimiter or the end of a line, for marks in a text may not be doubled.
The row ends where both are outside of marks, or by the first if it has no end by the other. If it goes over
several lines, and each but the first is a whole row by itself, with as many cells as the header, then the
first line alone is bad, and these are read as rows.
"""

import csv
from collections.abc import Iterable, Iterator

from attrs import define, field, frozen

from clinia_async.ingest.readers.line_splitter import LARGEST_LINE
from clinia_async.ingest.readers.text_lines import TextLines

LOOK_AHEAD = 16 * 1024
"""Characters behind a fault in which the end of its row is searched."""
MOST_GIVEN_BACK = 4 * 1024 * 1024
"""Characters of a table that are read again for its faults, at most: many faults take no long time."""
TOO_LARGE = "the row is too large"
_BY_MARK = "is no CSV: a quotation mark is out of place or left open"
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


@define
class Marks:
    """What separates cells, and what stands around them."""

    delimiter: str
    quote: str | None

    def reader(self, lines: Iterable[str]) -> Iterator[list[str]]:
        """Return the cells of rows. Raises `csv.Error`."""
        if self.quote is None:
            return csv.reader(lines, delimiter=self.delimiter, quoting=csv.QUOTE_NONE, strict=True)
        return csv.reader(lines, delimiter=self.delimiter, quotechar=self.quote, strict=True)

    def is_row(self, line: str, width: int) -> bool:
        """Return whether a line is a row by itself, with so many cells and all marks in their place."""
        if self.quote is not None and line.count(self.quote) % 2:
            return False
        try:
            (cells,) = self.reader([line])
        except (csv.Error, ValueError):
            return False
        return len(cells) == width

    def follow(self, line: str, are_open: tuple[bool, bool]) -> tuple[bool, bool]:
        """Return whether a row is inside of marks behind `line`, by each way, if it was before it."""
        by_any, by_plain = are_open
        return (
            self._stays_open(line, "", is_open=by_any),
            self._stays_open(line, f"{self.delimiter}\r\n", is_open=by_plain),
        )

    def _stays_open(self, line: str, behind: str, *, is_open: bool) -> bool:
        if self.quote is None:
            return False
        if is_open:
            return self._is_open(line, behind, 0, is_open=True)
        is_quoted = line.startswith(self.quote)
        return self._is_open(line, behind, int(is_quoted), is_open=is_quoted)

    def _is_open(self, line: str, behind: str, place: int, *, is_open: bool) -> bool:
        assert self.quote is not None
        while True:
            if is_open:
                place = self._end_of_cell(line, place, behind)
                if not place:
                    return True
            place = line.find(self.delimiter, place) + 1
            if not place:
                return False
            is_open = line.startswith(self.quote, place)
            place += is_open

    def _end_of_cell(self, line: str, place: int, behind: str) -> int:
        """Return where a cell ends that is inside of marks at `place`; 0 if it goes on behind the line.

        A mark ends it that is not doubled and, unless `behind` is empty, has one of its characters or the end
        of the line behind it.
        """
        assert self.quote is not None
        while (place := line.find(self.quote, place) + 1) and place < len(line):
            if line[place] == self.quote:
                place += 1
            elif not behind or line[place] in behind:
                break
        return place


class RowLines:
    """The lines of one row, for who takes no more of them than that. Raises `RowTooLarge`."""

    def __init__(self, lines: TextLines, marks: Marks) -> None:
        self._lines = lines
        self._marks = marks
        self._taken: list[str] = []
        self._size = 0
        self.given_back = 0
        """Characters of lines that will be read again."""
        self._are_open = False, False
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
                return self._are_open == (False, False)
            if is_kept and self._size > most:
                return False
            if not is_kept:
                del self._taken[:-1]
        return True

    def _has_ended(self) -> bool:
        return self._are_open == (False, False) and self._taken[-1].endswith(self._lines.end)

    def _next(self) -> str:
        line = self._lines.pop()
        if line:
            self._are_open = self._marks.follow(line, self._are_open)
            self._size += len(line)
            self._taken.append(line)
            if self._first_end is None and not self._are_open[0]:
                self._first_end = len(self._taken)
        return line


def _reason(lines: list[str]) -> str:
    text = lines[0].rstrip("\r\n")
    reason = _BY_RETURN if "\r" in text and len(lines) == 1 else _BY_MARK
    return f"{reason}; it goes over {len(lines):,} lines" if len(lines) > 1 else reason
