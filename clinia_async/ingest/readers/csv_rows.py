"""Rows of CSV to cells: many at once where each is plain, else one by one.

A file may have escapes that nobody said it has. Read without them, most of its rows are no CSV or have too
many cells, and some have wrong values. So where no option says whether there are escapes, a row that a
backslash makes ambiguous is a bad row: it has as many cells as it should have with escapes, and others.
"""

import csv
import re
from collections.abc import Sequence
from contextlib import suppress

from attrs import define, evolve, field

from clinia_async.ingest.readers.csv_faults import BY_MARK, BadRow, RowLines, RowTooLarge, over_lines
from clinia_async.ingest.readers.csv_marks import (
    BACKSLASH,
    OUT_OF_PLACE,
    BadEscape,
    Marks,
    likely_escapes,
)
from clinia_async.ingest.readers.line_splitter import LARGEST_LINE
from clinia_async.ingest.readers.text_lines import TextLines

TRY_ESCAPE = "; try --escape backslash, or quoted-backslash for a file of Apache Spark"
_AMBIGUOUS = (
    "has other cells if a backslash is an escape: say so with --escape backslash, or quoted-backslash for a"
    " file of Apache Spark, or none"
)
_SEVERAL = "is a row in each of its lines if quotation marks are text: give --quote none"


@define
class RowParser:
    """Reads the rows of `lines`. `is_certain` says that there are no escapes but those of `marks`."""

    lines: TextLines = field(repr=False)
    marks: Marks
    is_certain: bool
    width: int | None = field(default=None, init=False)
    """How many cells a row should have, once that is known."""
    given_back: int = field(default=0, init=False)
    """Characters of rows that are no CSV and that were read again."""
    hint: str = field(default="", init=False, repr=False)
    """What to try if the last row is no CSV."""
    _trial: Marks | None = field(init=False, repr=False)
    """With escapes that may be there."""
    _bare_trial: Marks | None = field(init=False, repr=False)
    """The same for a row without a quotation mark."""
    _likely: "re.Pattern[str]" = field(init=False, repr=False)
    _special: Sequence[str] = field(init=False, repr=False)
    """What is in no line whose rows can be read together with others."""
    _space: str | None = field(default=None, init=False, repr=False)
    _spaced: "re.Pattern[str]" = field(default=re.compile("(?!)"), init=False, repr=False)
    """What finds a quotation mark behind a space that begins a cell."""

    def __attrs_post_init__(self) -> None:
        marks = self.marks
        is_certain = self.is_certain or BACKSLASH in (marks.delimiter, marks.quote)
        self._trial = None if is_certain else evolve(marks, escape=BACKSLASH, is_trial=True)
        self._bare_trial = self._trial
        if self._trial is not None and marks.delimiter == "\t":
            self._bare_trial = evolve(self._trial, quote=None)
        self._likely = likely_escapes(marks.delimiter, marks.quote)
        self._special = [marks.escape] if marks.escape is not None else []
        if marks.quote is not None:
            self._space = f" {marks.quote}"
            spaced = rf"(?:^|{re.escape(marks.delimiter)}) +{re.escape(marks.quote)}"
            self._spaced = re.compile(spaced, re.MULTILINE)

    def set_null(self, null: str | None) -> None:
        """Take cells that are `null` for empty from now on: in records, and not in the header."""
        marks = self.marks
        for each in (marks, self._trial, self._bare_trial):
            if each is not None:
                each.null = null
        if null is not None and marks.quote is not None:
            self._special = [*self._special, f"{marks.quote}{null}{marks.quote}"]

    def read_together(self, lines: Sequence[str]) -> list[list[str]] | None:
        """Return the rows that lines are; None if each must be read by itself."""
        if not self._are_plain(lines):
            return None
        try:
            rows = [*self.marks.reader(lines)]
        except csv.Error:
            return None
        if self.marks.delimiter == "\t" and len(rows) != len(lines):
            return None  # a row goes over several lines
        if self._may_be_spaced(lines) and any(map(self._is_spaced, rows)):
            return None
        null = self.marks.null
        if null is None:
            return rows
        return [["" if cell == null else cell for cell in row] if null in row else row for row in rows]

    def _are_plain(self, lines: Sequence[str]) -> bool:
        """Return whether no row of the lines has to be read by itself for what it holds."""
        if any(text in line for text in self._special for line in lines):
            return False
        return self._trial is None or not self._may_have_escapes(lines)

    def _is_spaced(self, row: Sequence[str]) -> bool:
        """Return whether a cell begins with a space and a quotation mark; within JSON they are usual."""
        quote = self.marks.quote
        if quote is None or "\0 " not in "\0" + "\0".join(row):
            return False
        return any(cell[:1] == " " and cell.lstrip(" ").startswith(quote) for cell in row)

    def next(self) -> list[str] | BadRow | None:
        """Return the cells of the next row; None if there is no row, but a fault whose end is unknown."""
        cells = self._on_one_line() if self._special else None
        if cells is not None:
            return cells
        row = RowLines(self.lines, self.marks)
        found = self._cells(row)
        self.hint = ""
        if self._trial is not None and self._may_have_escapes([text := row.text]):
            row.return_all()
            other = self._ambiguous(found, self._trial_of(text))
            if other is not None:
                return other
            row, self.hint = RowLines(self.lines, self.marks), TRY_ESCAPE
            found = self._cells(row)
        if isinstance(found, list):
            return self._certain(found, row.text)
        if isinstance(found, BadEscape):
            return BadRow(OUT_OF_PLACE, row.text)
        bad = row.cut(self.width, is_large=isinstance(found, RowTooLarge))
        self.given_back += row.given_back
        return bad if bad is None or bad.text is None else evolve(bad, reason=bad.reason + self.hint)

    def _on_one_line(self) -> list[str] | None:
        """Take the next row, if it is plainly one line; else return None."""
        line = self.lines.pop()
        if line.endswith(self.lines.end) and len(line) <= LARGEST_LINE and not self.marks.goes_on(line):
            with suppress(csv.Error):
                return self.marks.cells(line)
        self.lines.put_back([line])
        return None

    def _certain(self, cells: list[str], text: str) -> list[str] | BadRow:
        """Return the cells of a row, or why it is bad, if it may be meant otherwise."""
        marks = self.marks
        if self._is_spaced(cells):
            try:
                return marks.cells(text)
            except csv.Error:
                return BadRow(BY_MARK, text)
        has_marks = marks.quote is not None and marks.quote in text
        lines = text.rstrip("\r\n").split("\n") if marks.delimiter == "\t" and has_marks else []
        if len(lines) > 1 and {line.count("\t") for line in lines} == {len(cells) - 1}:
            return BadRow(_SEVERAL + over_lines(len(lines)), text)
        return cells

    def _may_be_spaced(self, lines: Sequence[str]) -> bool:
        space = self._space
        if space is None or not any(space in line for line in lines):
            return False
        return self._spaced.search("".join(lines)) is not None

    def _may_have_escapes(self, lines: Sequence[str]) -> bool:
        return any(BACKSLASH in line for line in lines) and self._likely.search("".join(lines)) is not None

    def _cells(self, row: RowLines) -> list[str] | Exception:
        marks = self.marks
        try:
            if not self._special and marks.null is None:
                return next(marks.reader(row))
            text = row.whole()
            if marks.null is None and not any(special in text for special in self._special):
                return next(marks.reader([text]))
            return marks.cells(text)
        except (csv.Error, RowTooLarge) as error:
            return error

    def _trial_of(self, row: str) -> Marks:
        trial = self._trial if self.marks.quote is not None and self.marks.quote in row else self._bare_trial
        assert trial is not None
        return trial

    def _ambiguous(self, cells: list[str] | Exception, marks: Marks) -> BadRow | None:
        """Return the next row if it is one with escapes, and other `cells` or none without them."""
        row = RowLines(self.lines, marks)
        text = row.whole_within(self.width)
        found = None
        with suppress(csv.Error):
            found = None if text is None else marks.cells(text)
        if text is None or found is None or found == cells or self.width not in (None, len(found)):
            row.return_all()
            return None
        if not isinstance(cells, list):
            return BadRow(BY_MARK + TRY_ESCAPE + over_lines(text.count("\n")), text)
        # what follows is right by both ways only where both are at the start of a row
        has_end = row.end_by(self.marks)
        self.hint = TRY_ESCAPE
        return BadRow(_AMBIGUOUS + over_lines(row.text.count("\n")), row.text, is_last=not has_end)
