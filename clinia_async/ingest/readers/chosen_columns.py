"""The cells of CSV that are mapped, picked out of rows; rows that are no records are bad."""

import re
from collections.abc import Iterator, Sequence
from itertools import chain, repeat, takewhile

from attrs import evolve, frozen

from clinia_async.ingest.readers.bad_cell import BadCell
from clinia_async.ingest.readers.column_mapping import missing_column
from clinia_async.ingest.readers.compression import InputError
from clinia_async.ingest.readers.csv_faults import BadRow
from clinia_async.ingest.readers.csv_marks import BACKSLASH
from clinia_async.ingest.readers.csv_rows import TRY_ESCAPE
from clinia_async.ingest.readers.stand_ins import stand_ins
from clinia_async.ingest.readers.table_options import TableOptions
from clinia_async.ingest.readers.table_rows import Block, RowReader, row_text
from clinia_async.ingest.records.record import BadRecord, Blank

_NO_NAMES = "the row that should name the columns is empty: pass over the lines before it with --skip"
_AGAIN = "must be a record, and is the row that names the columns once more"
_LINE = "must be a record, and is a line under the names of the columns"
NOT_TEXT = re.compile(r"[\udc80-\udcff]")
_DELIMITERS = {"\t": "tab", ";": "semicolon", "|": "pipe", ",": "comma"}


@frozen(repr=False)
class Rows:
    """Rows one after another, from row `first` on."""

    first: int
    cells: Sequence[Sequence[str] | BadRow]
    are_text: bool
    """Whether all of it was in the encoding that it should be in."""


class ChosenColumns:
    """Picks the cells that are mapped. Raises `InputError` for a column that is not there.

    `error` is set behind the last row that can be read.
    """

    def __init__(self, header: Sequence[str], rows: RowReader, delimiter: str, options: TableOptions) -> None:
        for name in rows.columns:
            if header.count(name) != 1:
                raise _missing(name, rows, header, delimiter)
        self.error: InputError | None = None
        self._header = header
        self._delimiter = delimiter
        self._is_escape_known = options.escape is not None
        self._names = header if options.header and len(header) > 1 else None
        self._is_under_header = options.header
        self._encoding = options.encoding.upper()
        self._try = "" if self._encoding == "UTF-8" else "; try another --encoding, or none for UTF-8"
        self._rows = rows
        self._places = [header.index(name) for name in rows.columns]
        known = stand_ins(options.null, is_escape_known=self._is_escape_known)
        of_json = stand_ins("", is_escape_known=True)  # there, null is a value
        self._stand_ins = [of_json if rows.is_json(name) else known for name in rows.columns]
        self._in_letters = [of_json if rows.is_json(name) else known for name in header]
        self._beyond = known

    def read(self, rows: Rows, limit: int | None) -> Block:
        """Return the records of `rows`, the first `limit` of them."""
        rows = self._in_order(rows)
        if limit is None and self._are_whole(rows):
            numbers = range(rows.first, rows.first + len(rows.cells))
            return self._rows.read(numbers, self._columns(rows.cells))  # type: ignore[arg-type]
        others: list[BadRecord | Blank] = []
        found: list[int] = []
        good: list[Sequence[str]] = []
        for number, cells in self._numbered(rows):
            if not isinstance(cells, BadRow) and not any(cells):
                others.append(Blank(number))
                continue
            if limit is not None and len(good) + sum(type(item) is BadRecord for item in others) >= limit:
                break
            reason = self._reason(cells, are_text=rows.are_text)
            if reason is None and not isinstance(cells, BadRow):
                found.append(number)
                good.append(cells)
            else:
                others.append(BadRecord(number, "$", reason or "", self._text(cells)))
        return self._rows.read(_range(found), self._columns(good), others)

    def _in_order(self, rows: Rows) -> Rows:
        """Return the rows in front of one that names the columns in another order, and note that."""
        if self._names is None:
            return rows
        names = frozenset(self._names)
        if names.isdisjoint([row[0] for row in rows.cells if isinstance(row, list) and row]):
            return rows
        in_order = [*takewhile(lambda row: not self._is_other_order(row), rows.cells)]
        if len(in_order) < len(rows.cells):
            self.error = InputError(
                f"row {rows.first + len(in_order)} names the columns in another order, as files that were put"
                " together do: read them one by one"
            )
        return evolve(rows, cells=in_order)

    def _is_other_order(self, row: Sequence[str] | BadRow) -> bool:
        names = self._names
        if isinstance(row, BadRow) or names is None or row == names:
            return False
        return len(set(names)) > 1 and sorted(row) == sorted(names)

    def _numbered(self, rows: Rows) -> Iterator[tuple[int, Sequence[str] | BadRow]]:
        """Yield the rows; the header once more and the line under it are bad, and so are their letters."""
        for number, cells in enumerate(rows.cells, rows.first):
            is_header, is_line = cells == self._names, self._is_under_header and _is_line(cells)
            self._is_under_header = is_header
            if is_header or is_line:
                text = self._delimiter.join(cells)  # type: ignore[arg-type]  # a row that is bad is neither
                yield number, BadRow(_AGAIN if is_header else _LINE, text)
            else:
                yield number, cells

    def _are_whole(self, rows: Rows) -> bool:
        """Return whether each row has a cell for each column, and is neither blank nor of the header."""
        cells = rows.cells
        if not rows.are_text or set(map(type, cells)) != {list} or self._names in cells:
            return False
        if self._is_under_header and _is_line(cells[0]):
            return False
        if set(map(len, cells)) != {len(self._header)} or not all(map(any, cells)):  # type: ignore[arg-type]
            return False
        self._is_under_header = False
        return True

    def _text(self, cells: Sequence[str] | BadRow) -> bytes | None:
        """Return a row as its dead letter has it. One without cells stays bad until it is mended."""
        if not isinstance(cells, BadRow):
            # as in a record: a text for no value is none in a row that is mended, either
            known = chain(self._in_letters, repeat(self._beyond))
            return row_text(self._header, [each.get(cell, cell) or None for each, cell in zip(known, cells)])  # noqa: B905
        return None if cells.text is None else row_text(self._header, [BadCell(cells.reason, cells.text)])

    def _reason(self, cells: Sequence[str] | BadRow, *, are_text: bool) -> str | None:
        """Return why a row is bad, if it is."""
        if isinstance(cells, BadRow):
            return cells.reason
        if not are_text and any(map(NOT_TEXT.search, cells)):
            return f"expected {self._encoding}{self._try}"
        if len(cells) != len(self._header):
            lines = 1 + sum(cell.count("\n") for cell in cells)
            goes_on = f"; it goes over {lines:,} lines" if lines > 1 else ""
            if not self._is_escape_known and any(cell.endswith(BACKSLASH) for cell in cells):
                goes_on += TRY_ESCAPE
            return f"must have as many cells as the header: {len(self._header)}{goes_on}"
        return None

    def _columns(self, rows: Sequence[Sequence[str]]) -> Sequence[Sequence[object]]:
        columns = [*zip(*rows, strict=True)] or [()] * len(self._header)
        chosen: list[Sequence[object]] = [columns[place] for place in self._places]
        for place, (column, known) in enumerate(zip(chosen, self._stand_ins, strict=True)):
            if not known.keys().isdisjoint(column):
                chosen[place] = [known.get(cell, cell) for cell in column]
        return [[cell or None for cell in column] if "" in column else column for column in chosen]


def _is_line(cells: Sequence[str] | BadRow) -> bool:
    """Return whether each cell is drawn of dashes, as `sqlcmd` has it."""
    return (
        not isinstance(cells, BadRow) and bool(cells) and all(cell and not cell.strip("-") for cell in cells)
    )


def _range(numbers: list[int]) -> Sequence[int]:
    first = numbers[0] if numbers else 1
    known = range(first, first + len(numbers))
    return known if not numbers or numbers[-1] == known[-1] else numbers


def _missing(name: str, rows: RowReader, header: Sequence[str], delimiter: str) -> InputError:
    error = missing_column(name, rows.field_of(name), header, found=header.count(name))
    return with_hint(error, header, delimiter)


def with_hint(error: InputError, header: Sequence[str], delimiter: str) -> InputError:
    """Return the error of a header, with the option to give if that can be seen."""
    if not any(header):
        return InputError(_NO_NAMES)
    if len(header) != 1:
        return error
    other = other_delimiter(header[0], delimiter)
    if other is None:
        return error
    return InputError(f"{error}; the header is one column: try --delimiter {other}")


def other_delimiter(text: str, delimiter: str, before: str = "") -> str | None:
    """Return the name of another delimiter that stands in `text`, behind `before`."""
    return next(
        (known for mark, known in _DELIMITERS.items() if before + mark in text and mark != delimiter), None
    )
