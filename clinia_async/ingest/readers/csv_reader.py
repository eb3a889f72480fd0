"""Rows of CSV as RFC 4180 has it, and its usual relatives, read block by block in a thread.

Rows are counted as a spreadsheet counts them: where the first row names the columns, the first record is
row 2. Cells are text; an empty one leaves its field out, and a row of empty cells alone is blank. Rows end
with a line feed, with or without a carriage return before it; in a file without a single line feed at its
start, with a carriage return. A row over 1 MiB costs itself. Where a quotation mark is out of place the end
of the row is unknown: the input is not read on.
"""

import asyncio
import csv
import re
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence

from attrs import frozen

from clinia_async.ingest.readers.column_mapping import ColumnMapping, missing_column, own_mapping
from clinia_async.ingest.readers.compression import InputError, InputStream
from clinia_async.ingest.readers.line_splitter import LARGEST_LINE
from clinia_async.ingest.readers.table_options import NO_QUOTE, TableOptions
from clinia_async.ingest.readers.table_rows import Block, RowReader, row_text
from clinia_async.ingest.readers.text_lines import TextLines
from clinia_async.ingest.records.record import BadRecord, Blank, Item
from clinia_async.ingest.records.record_batch import RecordBatch

_ROWS = 1024
"""Rows at once, at most."""
_NOT_TEXT = re.compile(r"[\udc80-\udcff]")
_DELIMITERS = {"\t": "tab", ";": "semicolon", "|": "pipe", ",": "comma"}

RowsFor = Callable[[ColumnMapping], RowReader]


async def read_csv(
    stream: InputStream, mapping: ColumnMapping | None, options: TableOptions, rows_for: RowsFor
) -> AsyncGenerator[Block, None]:
    """Yield the records of a table; without a mapping columns are named as fields. Raises `InputError`."""
    table = await asyncio.to_thread(CsvTable, stream, options)
    header = await asyncio.to_thread(table.header)
    columns = ChosenColumns(header, rows_for(mapping or own_mapping(header)), table.delimiter)
    left = options.limit
    while left is None or left > 0:
        rows = await asyncio.to_thread(table.rows)
        if rows is None:
            break
        block = columns.read(rows, left)
        yield block
        if left is not None:
            left -= sum(map(_records_in, block))


def _records_in(item: Item | RecordBatch) -> int:
    return len(item) if isinstance(item, RecordBatch) else not isinstance(item, Blank)


@frozen
class Rows:
    """Rows one after another, from row `first` on; None is one that is too large."""

    first: int
    cells: Sequence[Sequence[str] | None]
    are_text: bool
    """Whether all of it was in the encoding that it should be in."""


class ChosenColumns:
    """Picks the cells that are mapped. Raises `InputError` for a column that is not there."""

    def __init__(self, header: Sequence[str], rows: RowReader, delimiter: str) -> None:
        for name in rows.columns:
            if header.count(name) != 1:
                raise _missing(name, rows, header, delimiter)
        self._header = header
        self._rows = rows
        self._places = [header.index(name) for name in rows.columns]

    def read(self, rows: Rows, limit: int | None) -> Block:
        """Return the records of `rows`, the first `limit` of them."""
        if limit is None and self._are_whole(rows):
            numbers = range(rows.first, rows.first + len(rows.cells))
            return self._rows.read(numbers, self._columns(rows.cells))  # type: ignore[arg-type]
        others: list[BadRecord | Blank] = []
        found: list[int] = []
        good: list[Sequence[str]] = []
        for number, cells in enumerate(rows.cells, rows.first):
            if cells is not None and not any(cells):
                others.append(Blank(number))
                continue
            if limit is not None and len(good) + sum(type(item) is BadRecord for item in others) >= limit:
                break
            reason = self._reason(cells, are_text=rows.are_text)
            if reason is None and cells is not None:
                found.append(number)
                good.append(cells)
            else:
                text = row_text(self._header, cells) if cells is not None else None
                others.append(BadRecord(number, "$", reason or "", text))
        return self._rows.read(_range(found), self._columns(good), others)

    def _are_whole(self, rows: Rows) -> bool:
        """Return whether each row has a cell for each column, and is neither blank nor ambiguous."""
        cells = rows.cells
        if not rows.are_text or None in cells:
            return False
        return set(map(len, cells)) == {len(self._header)} and all(map(any, cells))  # type: ignore[arg-type]

    def _reason(self, cells: Sequence[str] | None, *, are_text: bool) -> str | None:
        """Return why a row is bad, if it is."""
        if cells is None:
            return "the row is too large"
        if not are_text and any(map(_NOT_TEXT.search, cells)):
            return "expected UTF-8"
        if len(cells) != len(self._header):
            return f"must have as many cells as the header: {len(self._header)}"
        return None

    def _columns(self, rows: Sequence[Sequence[str]]) -> Sequence[Sequence[object]]:
        columns = [*zip(*rows, strict=True)] or [()] * len(self._header)
        chosen = [columns[place] for place in self._places]
        return [[cell or None for cell in column] if "" in column else column for column in chosen]


def _range(numbers: list[int]) -> Sequence[int]:
    first = numbers[0] if numbers else 1
    known = range(first, first + len(numbers))
    return known if not numbers or numbers[-1] == known[-1] else numbers


def _missing(name: str, rows: RowReader, header: Sequence[str], delimiter: str) -> InputError:
    error = missing_column(name, rows.field_of(name), header, found=header.count(name))
    if len(header) != 1:
        return error
    others = [known for mark, known in _DELIMITERS.items() if mark in header[0] and mark != delimiter]
    if not others:
        return error
    return InputError(f"{error}; the header is one column: try --delimiter {others[0]}")


class CsvTable:
    """The rows of a table. Everything here runs in a thread, and raises `InputError`."""

    def __init__(self, stream: InputStream, options: TableOptions) -> None:
        self.delimiter = options.delimiter or _default_delimiter(stream)
        self._has_header = options.header
        self._lines = TextLines(stream, options.encoding)
        self._quote = None if options.quote == NO_QUOTE else options.quote
        self._number = 1 + options.skip
        self._skip = options.skip
        self._error: InputError | None = None
        self._held: Rows | None = None
        if csv.field_size_limit() < LARGEST_LINE:
            csv.field_size_limit(LARGEST_LINE)  # a row is bounded by its size

    def header(self) -> Sequence[str]:
        """Return the names of the columns. Raises `InputError`."""
        for _ in range(self._skip):
            self._lines.pop()
        rows = self._take()
        first = rows.cells[0] if rows is not None else None
        if rows is None or first is None or any(map(_NOT_TEXT.search, first)):
            raise self._error or InputError("the input has no header in its encoding")
        if self._has_header:
            self._held = Rows(rows.first + 1, rows.cells[1:], rows.are_text) if rows.cells[1:] else None
            return first
        self._held = rows
        return [str(number) for number in range(1, len(first) + 1)]

    def rows(self) -> Rows | None:
        """Return the next rows; None at the end."""
        held, self._held = self._held, None
        return held or self._take()

    def _take(self) -> Rows | None:
        if self._error is not None:
            raise self._error
        lines = self._lines.take(_ROWS)
        if not lines:
            return None
        cells: list[list[str] | None]
        try:
            is_large = max(map(len, lines)) > LARGEST_LINE
            cells = self._take_apart(lines) if is_large else [*self._reader(lines)]
        except csv.Error:
            cells = self._take_apart(lines)
        if not cells and self._error is not None:
            raise self._error
        first, self._number = self._number, self._number + len(cells)
        return Rows(first, cells, self._lines.are_text)

    def _take_apart(self, lines: list[str]) -> list[list[str] | None]:
        """Read rows one by one: one of them goes on in the lines that follow, is too large, or is no CSV."""
        cells: list[list[str] | None] = []
        self._lines.put_back(lines)
        while self._error is None and self._lines.has_pending() and len(cells) < _ROWS:
            row = _RowLines(self._lines, self._quote)
            try:
                cells.append(next(self._reader(row)))
            except _RowTooLarge:
                cells.append(None)
                if not row.skip():
                    self._error = self._no_csv(len(cells) - 1)
            except csv.Error:
                self._error = self._no_csv(len(cells))
        return cells

    def _reader(self, lines: Iterable[str]) -> Iterator[list[str]]:
        if self._quote is None:
            return csv.reader(lines, delimiter=self.delimiter, quoting=csv.QUOTE_NONE, strict=True)
        return csv.reader(lines, delimiter=self.delimiter, quotechar=self._quote, strict=True)

    def _no_csv(self, read: int) -> InputError:
        number = self._number + read
        return InputError(
            f"row {number} is no CSV: a quotation mark is out of place or left open, or a carriage return"
            " stands in a cell without them"
        )


class _RowTooLarge(Exception):
    """A row is larger than what is kept."""


class _RowLines:
    """The lines of one row, for who takes no more of them than that. Raises `_RowTooLarge`."""

    def __init__(self, lines: TextLines, quote: str | None) -> None:
        self._lines = lines
        self._quote = quote
        self._size = 0
        self._is_quoted = False
        """Whether the row is inside of quotation marks where it was read to."""
        self._has_ended = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._next()
        if not line:
            raise StopIteration
        if self._size > LARGEST_LINE:
            raise _RowTooLarge
        return line

    def skip(self) -> bool:
        """Pass over the rest of the row; return whether it has an end."""
        while not self._has_ended:
            if not self._next():
                return not self._is_quoted
        return True

    def _next(self) -> str:
        line = self._lines.pop()
        self._size += len(line)
        if self._quote is not None and line.count(self._quote) % 2:
            self._is_quoted = not self._is_quoted
        self._has_ended = line.endswith(self._lines.end) and not self._is_quoted
        return line


def _default_delimiter(stream: InputStream) -> str:
    name = "" if stream.path is None else stream.path.name.lower()
    return "\t" if ".tsv" in name else ","
