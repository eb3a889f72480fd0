"""Rows of CSV as RFC 4180 has it, read in a thread, block by block: plain, gzip or zstd, in UTF-8.

The first row names the columns. Rows are counted as a spreadsheet counts them, so the first record is
row 2. Cells are text; an empty one leaves its member out, and a row of empty cells alone is blank. Where a
quotation mark is out of place nobody can tell where the row ends: the input is not read on.
"""

import asyncio
import csv
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence

from attrs import frozen

from clinia_async.errors import ConfigError
from clinia_async.ingest.readers.column_mapping import ColumnMapping
from clinia_async.ingest.readers.compression import InputError, InputStream
from clinia_async.ingest.readers.line_splitter import LARGEST_LINE
from clinia_async.ingest.readers.table_rows import RowReader
from clinia_async.ingest.records.record import BadRecord, Blank, Item
from clinia_async.serialization import exact_json

_BATCH = 1000
"""Rows."""
_BOM = b"\xef\xbb\xbf"

RowsFor = Callable[[ColumnMapping], RowReader]


async def read_csv(
    stream: InputStream, mapping: ColumnMapping | None, rows_for: RowsFor
) -> AsyncGenerator[Item, None]:
    """The records of a table; without a mapping the names of the columns are those of the members."""
    table = _Table(stream)
    header = await asyncio.to_thread(table.header)
    sheet = _Sheet(header, rows_for(mapping or _named_by(header)))
    while rows := await asyncio.to_thread(table.rows):
        for row in rows:
            yield sheet.read(row)


def _named_by(header: Sequence[str]) -> ColumnMapping:
    try:
        return ColumnMapping({name: name for name in header})
    except ConfigError:
        pass  # raised below
    raise InputError("the header is not one of members, such as type and from.id: give a mapping of columns")


@frozen
class _Row:
    number: int
    cells: Sequence[str]
    is_text: bool
    """Whether it was UTF-8."""


class _Sheet:
    """Picks the cells that are mapped."""

    def __init__(self, header: Sequence[str], rows: RowReader) -> None:
        for name in rows.columns:
            if header.count(name) != 1:
                found = "more than one column" if name in header else "no column"
                raise InputError(f"the input has {found} for {rows.member_of(name)}")
        self._width = len(header)
        self._rows = rows
        self._places = [header.index(name) for name in rows.columns]

    def read(self, row: _Row) -> Item:
        if not any(row.cells):
            return Blank(row.number)
        if not row.is_text:
            return BadRecord(row.number, "$", "expected UTF-8", _as_read(row))
        if len(row.cells) != self._width:
            reason = f"must have as many cells as the header: {self._width}"
            return BadRecord(row.number, "$", reason, _as_read(row))
        return self._rows.read(row.number, [row.cells[place] or None for place in self._places])


def _as_read(row: _Row) -> bytes:
    cells = [cell.encode(errors="backslashreplace").decode() for cell in row.cells]
    return exact_json.dumps({"cells": cells})


class _Table:
    """Everything here runs in a thread."""

    def __init__(self, stream: InputStream) -> None:
        self._stream = stream
        self._reader = csv.reader(self._lines(), strict=True)
        self._number = 0
        self._size = 0
        self._left = 0
        self._is_text = True
        self._error: InputError | None = None

    def header(self) -> Sequence[str]:
        row = self._row()
        if row is None or not row.is_text:
            raise InputError("the input has no header in UTF-8")
        return row.cells

    def rows(self) -> Sequence[_Row]:
        """The rows of what has been read, or of the next block; none at the end."""
        rows: list[_Row] = []
        while self._error is None and (self._left or not rows) and len(rows) < _BATCH:
            try:
                row = self._row()
            except InputError as error:
                self._error = error  # told once the rows before it are
                break
            if row is None:
                break
            rows.append(row)
        if self._error is not None and not rows:
            raise self._error
        return rows

    def _row(self) -> _Row | None:
        self._number += 1
        self._size, self._is_text = 0, True
        try:
            cells = next(self._reader, None)
        except csv.Error:
            pass  # raised below, without an error of the library as its context
        else:
            return None if cells is None else _Row(self._number, cells, self._is_text)
        raise InputError(
            f"row {self._number} is no CSV: a quotation mark is out of place or left open, or a cell is"
            f" larger than {csv.field_size_limit():,} characters"
        )

    def _lines(self) -> Iterator[str]:
        start = b""
        is_first = True
        while block := self._stream.read():
            *lines, start = (start + block).split(b"\n")
            if is_first and lines:
                lines[0], is_first = lines[0].removeprefix(_BOM), False
            for self._left, line in zip(range(len(lines) - 1, -1, -1), lines, strict=True):
                yield self._text(line + b"\n")
            self._check(len(start))
        if start:
            yield self._text(start.removeprefix(_BOM) if is_first else start)

    def _text(self, line: bytes) -> str:
        self._size += len(line)
        self._check(0)
        try:
            return line.decode()
        except UnicodeDecodeError:
            self._is_text = False
            return line.decode(errors="surrogateescape")

    def _check(self, more: int) -> None:
        if self._size + more > LARGEST_LINE:
            raise InputError(f"row {self._number} is too large, or a quotation mark is left open in it")
