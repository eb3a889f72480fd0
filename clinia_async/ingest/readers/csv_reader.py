"""Rows of CSV as RFC 4180 has it, and its usual relatives, read block by block in a thread.

Rows are counted as a spreadsheet counts them: where the first row names the columns, the first record is
row 2. A line `sep=;` in front of them, as Excel has it, names the delimiter. Cells are text; an empty one
leaves its field out, and a row of empty cells alone is blank. Rows end with a line feed, with or without a
carriage return before it; in a file without a single line feed at its start, with a carriage return.

What stands before a character that is meant as it is, and a text for no value, are in `csv_marks`.

A row over 1 MiB, one with a quotation mark that is out of place, and one with a carriage return in a cell
without marks cost themselves. `csv_faults` says where such a row ends; where that is unknown, the input is
not read on.
"""

import asyncio
import csv
import re
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress

from clinia_async.ingest.readers.chosen_columns import (
    NOT_TEXT,
    ChosenColumns,
    Rows,
    other_delimiter,
    with_hint,
)
from clinia_async.ingest.readers.column_mapping import NOT_NAMED, ColumnMapping, own_mapping
from clinia_async.ingest.readers.compression import InputError, InputStream
from clinia_async.ingest.readers.csv_faults import MOST_GIVEN_BACK, BadRow
from clinia_async.ingest.readers.csv_marks import BACKSLASH, Marks
from clinia_async.ingest.readers.csv_rows import RowParser
from clinia_async.ingest.readers.formats import is_named_tsv
from clinia_async.ingest.readers.line_splitter import LARGEST_LINE
from clinia_async.ingest.readers.table_options import (
    NO_ESCAPE,
    NO_NULL,
    NO_QUOTE,
    QUOTED_BACKSLASH,
    TableOptions,
)
from clinia_async.ingest.readers.table_rows import Block, RowReader
from clinia_async.ingest.readers.text_lines import TextLines
from clinia_async.ingest.records.record import Blank, Item
from clinia_async.ingest.records.record_batch import RecordBatch

_ROWS = 1024
"""Rows at once, at most."""
_NAMED = re.compile(r'("?)sep=([^"\r\n])\1[\r\n]*')

RowsFor = Callable[[ColumnMapping], RowReader]


async def read_csv(
    stream: InputStream, mapping: ColumnMapping | None, options: TableOptions, rows_for: RowsFor
) -> AsyncGenerator[Block, None]:
    """Yield the records of a table; without a mapping columns are named as fields. Raises `InputError`."""
    table = await asyncio.to_thread(CsvTable, stream, options)
    header = await asyncio.to_thread(table.header)
    reader = rows_for(mapping or _own_mapping(header, table.delimiter))
    columns = ChosenColumns(header, reader, table.delimiter, options)
    left = options.limit
    while left is None or left > 0:
        rows = await asyncio.to_thread(table.rows)
        if rows is None:
            break
        block = columns.read(rows, left)
        yield block
        if left is not None:
            left -= sum(map(_records_in, block))
        if columns.error is not None and left != 0:
            raise columns.error


def _records_in(item: Item | RecordBatch) -> int:
    return len(item) if isinstance(item, RecordBatch) else not isinstance(item, Blank)


def _own_mapping(header: Sequence[str], delimiter: str) -> ColumnMapping:
    with suppress(InputError):
        return own_mapping(header)
    raise with_hint(InputError(NOT_NAMED), header, delimiter)


class CsvTable:
    """The rows of a table. Everything here runs in a thread, and raises `InputError`."""

    def __init__(self, stream: InputStream, options: TableOptions) -> None:
        self._has_header = options.header
        self._encoding = options.encoding
        self._lines = TextLines(stream, options.encoding)
        named = None if options.skip else self._named_delimiter()
        self.delimiter = options.delimiter or named or _default_delimiter(stream)
        self._parser = RowParser(
            self._lines, _marks(self.delimiter, options), is_certain=options.escape is not None
        )
        self._null = None if options.null == NO_NULL else options.null
        self._number = 1 + options.skip + (named is not None)
        self._skip = options.skip
        self._error: InputError | None = None
        self._held: Rows | None = None
        if csv.field_size_limit() < LARGEST_LINE:
            csv.field_size_limit(LARGEST_LINE)  # a row is bounded by its size

    def _named_delimiter(self) -> str | None:
        """Take the first line if it names the delimiter, and return that."""
        line = self._lines.pop()
        match = _NAMED.fullmatch(line)
        if match is None:
            self._lines.put_back([line] if line else [])
        return None if match is None else match[2]

    def header(self) -> Sequence[str]:
        """Return the names of the columns. Raises `InputError`."""
        for _ in range(self._skip):
            if not self._lines.skip():
                break  # a number far beyond the end of the file would take for ever
        if not self._has_header:
            self._parser.set_null(self._null)
            return self._numbered()
        rows = self._take(1)
        if rows is None:
            raise self._error or InputError("the input is empty, and has no header: give one that has")
        (first,) = rows.cells
        if isinstance(first, BadRow):
            other = self._other_delimiter(first)
            if other is not None:
                raise InputError(f"the input has no header: {first.reason}; try --delimiter {other}")
            raise InputError(f"the input has no header: {first.reason}; correct it")
        if any(map(NOT_TEXT.search, first)):
            raise InputError(
                f"the header is not in {self._encoding.upper()}: give its encoding with --encoding"
            )
        self._parser.width = len(first)
        self._parser.set_null(self._null)
        return first

    def _numbered(self) -> Sequence[str]:
        """Return the numbers of the columns that the first row with cells has; rows up to it are kept."""
        held: list[Sequence[str] | BadRow] = []
        first, are_text = self._number, True
        while not self._parser.width:
            rows = self._take(1)
            if rows is None:
                raise self._error or self._no_row(held)
            held += rows.cells
            are_text = are_text and rows.are_text
            widths = (len(each) for each in rows.cells if not isinstance(each, BadRow))
            self._parser.width = next(widths, None)
        self._held = Rows(first, held, are_text)
        return [str(number) for number in range(1, self._parser.width + 1)]

    def _no_row(self, held: list[Sequence[str] | BadRow]) -> InputError:
        other = next(filter(None, map(self._other_delimiter, held)), None)
        if other is not None:
            return InputError(f"the input has no row without a fault: try --delimiter {other}")
        return InputError("the input has no row whose columns could be numbered: give one that has")

    def _other_delimiter(self, row: Sequence[str] | BadRow) -> str | None:
        """Return the name of another delimiter, if the marks of a row that is no CSV stand before it."""
        quote = self._parser.marks.quote
        if not isinstance(row, BadRow) or row.text is None or quote is None:
            return None
        return other_delimiter(row.text, self.delimiter, quote)

    def rows(self) -> Rows | None:
        """Return the next rows; None at the end."""
        held, self._held = self._held, None
        return held or self._take()

    def _take(self, most: int = _ROWS) -> Rows | None:
        if self._error is not None:
            raise self._error
        lines = self._lines.take(most)
        if not lines:
            return None
        are_text = self._lines.are_text
        cells: Sequence[list[str] | BadRow] | None = None
        if max(map(len, lines)) <= LARGEST_LINE:
            cells = self._parser.read_together(lines)
        if cells is None:
            cells = self._take_apart(lines, most)
        if not cells and self._error is not None:
            raise self._error
        first, self._number = self._number, self._number + len(cells)
        return Rows(first, cells, are_text and self._lines.are_text)

    def _take_apart(self, lines: list[str], most: int) -> list[list[str] | BadRow]:
        """Read rows one by one: one of them goes on in the lines that follow, is too large, or is no CSV."""
        cells: list[list[str] | BadRow] = []
        self._lines.put_back(lines)
        while self._error is None and self._lines.has_pending() and len(cells) < most:
            found = self._parser.next()
            if self._parser.given_back > MOST_GIVEN_BACK:
                self._error = InputError(
                    f"row {self._number + len(cells)}: too many rows are no CSV: see --quote, --escape and"
                    " --delimiter"
                )
                break
            if found is not None:
                cells.append(found)
            if found is None or (isinstance(found, BadRow) and found.is_last):
                self._error = self._no_csv(len(cells) - (found is not None))
        return cells

    def _no_csv(self, read: int) -> InputError:
        return InputError(
            f"row {self._number + read} is no CSV: a quotation mark is out of place or left open"
            f"{self._parser.hint}"
        )


def _marks(delimiter: str, options: TableOptions) -> Marks:
    """Return the marks of a table. Raises `InputError` if two of them are one character."""
    quote = None if options.quote == NO_QUOTE else options.quote
    only_quoted = options.escape == QUOTED_BACKSLASH
    escape = BACKSLASH if only_quoted else None if options.escape == NO_ESCAPE else options.escape
    if delimiter in (quote, escape):
        raise InputError(
            "the first line names a quotation mark or escape as delimiter: leave it with --skip 1"
        )
    return Marks(delimiter, quote, escape, only_quoted)


def _default_delimiter(stream: InputStream) -> str:
    """Return a tab where the name of the file, or of the one in an archive, ends with `.tsv`."""
    return "\t" if any(map(is_named_tsv, (stream.path, stream.member))) else ","
