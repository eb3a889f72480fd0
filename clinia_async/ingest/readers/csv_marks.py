"""What separates the cells of CSV, what stands around them, and what stands in front of a character.

An escape stands in front of a quotation mark, a delimiter, a line end or another escape, and means that
character, as in the module `csv` of Python; as Apache Spark writes CSV, and PostgreSQL with an escape, only
between quotation marks. In a table without quotation marks letters behind an escape are what databases write:
`\\n` is a line feed. A cell `\\N` without quotation marks has no value, unless escapes are between them only.

In front of any other character an escape is out of place. Python would drop it, but who writes escapes has
none there, and who writes no escapes means it as a part of the text.
"""

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import IntEnum

from attrs import define, field

BACKSLASH = "\\"
OUT_OF_PLACE = (
    "has an escape before a character that needs none: see --escape, and --quote none for an export without"
    " quotation marks"
)
_NO_VALUE = "N"
_LETTERS = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "0": "\0", "'": "'", '"': '"'}
_LINE_ENDS = {"\r": "\r", "\n": "\n"}

Match = Callable[[str, int], "re.Match[str] | None"]


class BadEscape(csv.Error):
    """An escape is out of place."""


class Inside(IntEnum):
    """What goes on in the next line."""

    NOTHING = 0
    MARKS = 1
    """A cell between quotation marks."""
    BARE = 2
    """A cell without quotation marks, whose line end is escaped."""


@define
class Marks:
    """The characters of a table that are no text. A cell that is `null`, not in marks, is empty."""

    delimiter: str
    quote: str | None
    escape: str | None = None
    only_quoted: bool = False
    null: str | None = None
    is_trial: bool = False
    """Whether rows are read to see if escapes may be in them. Then one may stand before a carriage return and
    a line feed, meant for both or for the first alone, and a cell without a value stays as it is written."""
    _bare_escape: str | None = field(init=False, repr=False)
    _to_quote: Match = field(init=False, repr=False)
    _to_delimiter: Match = field(init=False, repr=False)
    _quoted_cell: Match = field(init=False, repr=False)
    _bare_cell: Match = field(init=False, repr=False)
    _in_quoted: "re.Pattern[str]" = field(init=False, repr=False)
    _in_bare: "re.Pattern[str]" = field(init=False, repr=False)
    _meanings: tuple[Mapping[str, str], Mapping[str, str]] = field(init=False, repr=False)
    """Of what stands behind an escape, between quotation marks and outside of them."""

    def __attrs_post_init__(self) -> None:
        self._bare_escape = None if self.only_quoted else self.escape
        end = rf"({re.escape(self.delimiter)}|[\r\n]*+\Z)"
        quote = re.escape(self.quote or "")
        inside = _without(self.quote or "\n", self.escape)
        self._to_quote = re.compile(inside, re.DOTALL).match
        self._to_delimiter = re.compile(_without(self.delimiter, self._bare_escape), re.DOTALL).match
        quoted = f"{quote}({inside}(?:{quote}{quote}{inside})*){quote}{end}"
        self._quoted_cell = re.compile(quoted, re.DOTALL).match
        bare = _without(self.delimiter + "\r\n", self._bare_escape)
        self._bare_cell = re.compile(f"({bare}){end}", re.DOTALL).match
        self._in_quoted = re.compile(f"{_escaped(self.escape)}|{quote}{quote}", re.DOTALL)
        self._in_bare = re.compile(_escaped(self._bare_escape), re.DOTALL)
        known = {mark: mark for mark in (self.delimiter, self.quote, self.escape) if mark} | _LINE_ENDS
        bare_meanings = known if self.quote is not None else _LETTERS | known
        both = {"\r\n": "\r\n"}
        self._meanings = {**known, **both, "'": "'"}, {**bare_meanings, **(both if self.is_trial else {})}

    def reader(self, lines: Iterable[str]) -> Iterator[list[str]]:
        """Return the cells of rows without an escape and without `null`. Raises `csv.Error`."""
        if self.quote is None:
            return csv.reader(lines, delimiter=self.delimiter, quoting=csv.QUOTE_NONE, strict=True)
        return csv.reader(lines, delimiter=self.delimiter, quotechar=self.quote, strict=True)

    def cells(self, row: str) -> list[str]:
        """Return the cells of one whole row. Raises `csv.Error`, and as that `BadEscape`."""
        cells: list[str] = []
        place, end = 0, self.delimiter
        while end == self.delimiter:
            is_quoted = self.quote is not None and row.startswith(self.quote, place)
            found = (self._quoted_cell if is_quoted else self._bare_cell)(row, place)
            if found is None:
                raise csv.Error("a mark is out of place")
            if not is_quoted and self._is_misplaced(found[1]):
                raise csv.Error("a quotation mark behind a space")
            cells.append(self._unquoted(found[1]) if is_quoted else self._unescaped(found[1]))
            place, end = found.end(), found[2]
        return cells

    def is_row(self, line: str, width: int) -> bool:
        """Return whether a line is a row by itself, with so many cells and all marks in their place."""
        has_escape = self.escape is not None and self.escape in line
        if self.quote is not None and not has_escape and line.count(self.quote) % 2:
            return False
        try:
            (cells,) = [self.cells(line)] if has_escape else self.reader([line])
        except (csv.Error, ValueError):
            return False
        return len(cells) == width

    def follow(self, line: str, insides: tuple[Inside, Inside]) -> tuple[Inside, Inside]:
        """Return what goes on behind `line`, by each way, if that went on before it."""
        if insides == (Inside.NOTHING, Inside.NOTHING) and not self._holds_any(line):
            return insides
        by_any, by_plain = insides
        return self._behind(line, "", by_any), self._behind(line, f"{self.delimiter}\r\n", by_plain)

    def goes_on(self, line: str) -> bool:
        """Return whether an escape stands before the end of a line, outside of quotation marks."""
        escape = self._bare_escape
        if escape is None or line[-1:] not in ("\r", "\n"):
            return False
        text = line[:-1].removesuffix("\r") if line.endswith("\n") else line[:-1]
        return (len(text) - len(text.rstrip(escape))) % 2 == 1

    def delimiters(self, line: str) -> int:
        """Return how many delimiters are in a line in which no cell is between quotation marks."""
        count = place = 0
        while place := self._find(self.delimiter, line, place) + 1:
            count += 1
        return count

    def _is_misplaced(self, text: str) -> bool:
        """Return whether a cell begins with a space and a quotation mark, which is no mark then."""
        return self.quote is not None and text[:1] == " " and text.lstrip(" ").startswith(self.quote)

    def _unquoted(self, text: str) -> str:
        return self._in_quoted.sub(self._meant_in_quoted, text)

    def _unescaped(self, text: str) -> str:
        if text == self.null:
            return ""
        if self._bare_escape is None or self._bare_escape not in text:
            return text
        if text == self._bare_escape + _NO_VALUE:
            return text if self.is_trial else ""
        return self._in_bare.sub(self._meant_in_bare, text)

    def _meant_in_quoted(self, found: "re.Match[str]") -> str:
        return self.quote or "" if found[1] is None else _meant(found[1], self._meanings[0])

    def _meant_in_bare(self, found: "re.Match[str]") -> str:
        return _meant(found[1], self._meanings[1])

    def _holds_any(self, line: str) -> bool:
        """Return whether a cell of the line may be between quotation marks, or have an escape."""
        if self.quote is not None and self.quote in line:
            return True
        return self._bare_escape is not None and self._bare_escape in line

    def _behind(self, line: str, after: str, inside: Inside) -> Inside:
        """Return what goes on behind a line; `after` are the characters that follow the end of a cell."""
        place = 0
        is_quoted = inside is Inside.MARKS
        if inside is Inside.NOTHING and self.quote is not None:
            is_quoted = line.startswith(self.quote)
            place += is_quoted
        while True:
            if is_quoted:
                place = self._end_of_cell(line, place, after)
                if not place:
                    return Inside.MARKS
            place = self._find(self.delimiter, line, place) + 1
            if not place:
                return Inside.BARE if self.goes_on(line) else Inside.NOTHING
            is_quoted = self.quote is not None and line.startswith(self.quote, place)
            place += is_quoted

    def _end_of_cell(self, line: str, place: int, after: str) -> int:
        """Return where a cell ends that is between quotation marks at `place`; 0 if not in this line.

        A mark ends it that is not doubled and, unless `after` is empty, has one of its characters or the end
        of the line behind it.
        """
        assert self.quote is not None
        while (place := self._find(self.quote, line, place) + 1) and place < len(line):
            if line[place] == self.quote:
                place += 1
            elif not after or line[place] in after:
                break
        return place

    def _find(self, mark: str, line: str, place: int) -> int:
        """Return where a mark stands that is not escaped, from `place` on; -1 if nowhere."""
        is_delimiter = mark == self.delimiter
        escape = self._bare_escape if is_delimiter else self.escape
        if escape is None or escape not in line:
            return line.find(mark, place)
        found = (self._to_delimiter if is_delimiter else self._to_quote)(line, place)
        end = len(line) if found is None else found.end()
        return end if line.startswith(mark, end) else -1


def likely_escapes(delimiter: str, quote: str | None) -> "re.Pattern[str]":
    """Return what finds a backslash that, in a table with escapes, would stand in front of a mark.

    In a table without quotation marks, that may be any; and in one with tabs, which seldom has them.
    """
    if quote is None or delimiter == "\t":
        return re.compile(r"\\")
    marks = rf"[{re.escape(delimiter)}\r\n]"
    if quote is not None:
        quote = re.escape(quote)
        marks += rf"|{quote}(?!{quote})|{quote}{quote}(?={marks}|\Z)"
    return re.compile(rf"(?<!\\)(?:\\\\)*\\(?:{marks})")


def _without(marks: str, escape: str | None) -> str:
    """Return the pattern of a text that holds none of `marks` that is not escaped."""
    escaped = "" if escape is None else rf"|{re.escape(escape)}(?:\r\n|.)"
    return rf"(?:[^{re.escape(marks + (escape or ''))}]++{escaped})*"


def _escaped(escape: str | None) -> str:
    return "()(?!)" if escape is None else rf"{re.escape(escape)}(\r\n|.)"


def _meant(character: str, meanings: Mapping[str, str]) -> str:
    """Return what an escape in front of a character means. Raises `BadEscape`."""
    if character not in meanings:
        raise BadEscape(OUT_OF_PLACE)
    return meanings[character]
