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

from attrs import frozen

from clinia_async.ingest.readers.column_mapping import NOT_NAMED, ColumnMapping, missing_column, own_mapping
from clinia_async.ingest.readers.compression import InputError, InputStream
from clinia_async.ingest.readers.csv_faults import MOST_GIVEN_BACK, BadRow
from clinia_async.ingest.readers.csv_marks import BACKSLASH, Marks
from clinia_async.ingest.readers.csv_rows import TRY_ESCAPE, RowParser
from clinia_async.ingest.readers.formats import is_named_tsv
from clinia_async.ingest.readers.line_splitter import LARGEST_LINE
from clinia_async.ingest.readers.table_options import NO_ESCAPE, NO_QUOTE, QUOTED_BACKSLASH, TableOptions
from clinia_async.ingest.readers.table_rows import BadCell, Block, RowReader, row_text
from clinia_async.ingest.readers.text_lines import TextLines
from clinia_async.ingest.records.record import BadRecord, Blank, Item
from clinia_async.ingest.records.record_batch import RecordBatch

_ROWS = 1024
"""Rows at once, at most."""
_NO_NAMES = "the row that should name the columns is empty: pass over the lines before it with --skip"
NULL = "\\N"
"""What exports of databases have in place of a value, and nobody as a text."""
_NO_NULL = BadCell(
    "must not be \\N, as databases write no value: give --escape backslash or --null \\N", NULL
)
_AGAIN = "must be a record, and is the row that names the columns once more"
_NAMED = re.compile(r'("?)sep=([^"\r\n])\1[\r\n]*')
_NOT_TEXT = re.compile(r"[\udc80-\udcff]")
_DELIMITERS = {"\t": "tab", ";": "semicolon", "|": "pipe", ",": "comma"}

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


def _records_in(item: Item | RecordBatch) -> int:
    return len(item) if isinstance(item, RecordBatch) else not isinstance(item, Blank)


@frozen(repr=False)
class Rows:
    """Rows one after another, from row `first` on."""

    first: int
    cells: Sequence[Sequence[str] | BadRow]
    are_text: bool
    """Whether all of it was in the encoding that it should be in."""


class ChosenColumns:
    """Picks the cells that are mapped. Raises `InputError` for a column that is not there."""

    def __init__(self, header: Sequence[str], rows: RowReader, delimiter: str, options: TableOptions) -> None:
        for name in rows.columns:
            if header.count(name) != 1:
                raise _missing(name, rows, header, delimiter)
        self._header = header
        self._delimiter = delimiter
        self._has_unknown_escapes = options.escape is None
        self._has_unknown_nulls = options.escape is None and options.null != NULL
        self._names = header if options.header and len(header) > 1 else None
        self._encoding = options.encoding.upper()
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
            if not isinstance(cells, BadRow) and not any(cells):
                others.append(Blank(number))
                continue
            if cells == self._names:  # kept so that its dead letter is no record either
                cells = BadRow(_AGAIN, self._delimiter.join(self._names))  # noqa: PLW2901
            if limit is not None and len(good) + sum(type(item) is BadRecord for item in others) >= limit:
                break
            reason = self._reason(cells, are_text=rows.are_text)
            if reason is None and not isinstance(cells, BadRow):
                found.append(number)
                good.append(cells)
            else:
                others.append(BadRecord(number, "$", reason or "", self._text(cells)))
        return self._rows.read(_range(found), self._columns(good), others)

    def _are_whole(self, rows: Rows) -> bool:
        """Return whether each row has a cell for each column, and is neither blank nor the header again."""
        cells = rows.cells
        if not rows.are_text or set(map(type, cells)) != {list} or self._names in cells:
            return False
        return set(map(len, cells)) == {len(self._header)} and all(map(any, cells))  # type: ignore[arg-type]

    def _text(self, cells: Sequence[str] | BadRow) -> bytes | None:
        """Return a row as its dead letter has it. One without cells stays bad until it is mended."""
        if not isinstance(cells, BadRow):
            return row_text(self._header, [cell or None for cell in cells])
        return None if cells.text is None else row_text(self._header, [BadCell(cells.reason, cells.text)])

    def _reason(self, cells: Sequence[str] | BadRow, *, are_text: bool) -> str | None:
        """Return why a row is bad, if it is."""
        if isinstance(cells, BadRow):
            return cells.reason
        if not are_text and any(map(_NOT_TEXT.search, cells)):
            return f"expected {self._encoding}"
        if len(cells) != len(self._header):
            lines = 1 + sum(cell.count("\n") for cell in cells)
            goes_on = f"; it goes over {lines:,} lines" if lines > 1 else ""
            if self._has_unknown_escapes and any(cell.endswith(BACKSLASH) for cell in cells):
                goes_on += TRY_ESCAPE
            return f"must have as many cells as the header: {len(self._header)}{goes_on}"
        return None

    def _columns(self, rows: Sequence[Sequence[str]]) -> Sequence[Sequence[object]]:
        columns = [*zip(*rows, strict=True)] or [()] * len(self._header)
        chosen: list[Sequence[object]] = [columns[place] for place in self._places]
        if self._has_unknown_nulls and any(NULL in column for column in chosen):
            chosen = [[_NO_NULL if cell == NULL else cell for cell in column] for column in chosen]
        return [[cell or None for cell in column] if "" in column else column for column in chosen]


def _range(numbers: list[int]) -> Sequence[int]:
    first = numbers[0] if numbers else 1
    known = range(first, first + len(numbers))
    return known if not numbers or numbers[-1] == known[-1] else numbers


def _own_mapping(header: Sequence[str], delimiter: str) -> ColumnMapping:
    with suppress(InputError):
        return own_mapping(header)
    raise _with_hint(InputError(NOT_NAMED), header, delimiter)


def _missing(name: str, rows: RowReader, header: Sequence[str], delimiter: str) -> InputError:
    error = missing_column(name, rows.field_of(name), header, found=header.count(name))
    return _with_hint(error, header, delimiter)


def _with_hint(error: InputError, header: Sequence[str], delimiter: str) -> InputError:
    if not any(header):
        return InputError(_NO_NAMES)
    if len(header) != 1:
        return error
    other = _other_delimiter(header[0], delimiter)
    if other is None:
        return error
    return InputError(f"{error}; the header is one column: try --delimiter {other}")


def _other_delimiter(text: str, delimiter: str, before: str = "") -> str | None:
    """Return the name of another delimiter that stands in `text`, behind `before`."""
    return next(
        (known for mark, known in _DELIMITERS.items() if before + mark in text and mark != delimiter), None
    )


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
        self._null = options.null
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
            self._lines.skip()
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
        if any(map(_NOT_TEXT.search, first)):
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
        return _other_delimiter(row.text, self.delimiter, quote)

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
