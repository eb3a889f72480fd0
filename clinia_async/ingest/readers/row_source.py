"""Rows of frames and of database cursors, made into records, some at a time."""

import asyncio
import inspect
import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Protocol
from uuid import UUID
from zoneinfo import ZoneInfo

from clinia_async.errors import ConfigError
from clinia_async.ingest.readers.arrow_rows import ArrowRows, leaves, pyarrow
from clinia_async.ingest.readers.arrow_values import NAIVE, decimal_cell
from clinia_async.ingest.readers.bad_cell import BadCell
from clinia_async.ingest.readers.column_mapping import ColumnMapping, missing_column, own_mapping
from clinia_async.ingest.readers.compression import InputError
from clinia_async.ingest.readers.ndjson import LineReader
from clinia_async.ingest.readers.ndjson_strict import checked_rules
from clinia_async.ingest.readers.table_options import TableOptions
from clinia_async.ingest.readers.table_rows import Block, RowReader
from clinia_async.ingest.records.record import IdMapping
from clinia_async.ingest.records.record_stream import RecordStream
from clinia_async.models import Action
from clinia_async.models.refusal import without_locals

ROWS = 512
"""Rows at once."""
_PLAIN = frozenset({str, int, bool, type(None)})
_OWN_THREAD = "sqlite3"
"""The module of cursors that are used only in the thread that made them."""

Rows = Sequence[Sequence[object]]


class ArrowStream(Protocol):
    """What gives rows through Arrow's C stream interface: frames of pandas and polars, tables of Arrow."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object: ...


class Cursor(Protocol):
    """A cursor of a database, as PEP 249 has it, after a query; `fetchmany` may be a coroutine function."""

    @property
    def description(self) -> Sequence[Sequence[object]] | None: ...
    def fetchmany(self, size: int, /) -> Rows | Awaitable[Rows]: ...


RowsFor = Callable[[ColumnMapping], RowReader]


@without_locals
def rows(
    data: "ArrowStream | Cursor",
    source: str,
    *,
    columns: ColumnMapping | None = None,
    timezone: str | None = None,
    action: Action | str = Action.CREATE,
    map_id: IdMapping | None = None,
) -> RecordStream:
    """Return the records of the rows of a frame, a table or a database cursor, for a job.

        clinia.Ingestion(session, "ehr", clinia.rows(frame, "ehr", columns=mapping))

    A frame of pandas or polars, or whatever else has Arrow's C stream interface, needs `pyarrow` to be read
    (`[parquet]`), and a cursor needs nothing: one as PEP 249 has it, with the query executed, whose rows are
    fetched some hundred at a time, in a thread where the driver allows that; `fetchmany` may be a coroutine
    function. Rows are numbered from 1. A row that is wrong comes as a `BadRecord`.

    Args:
        columns: The fields of records by columns. Without it columns bear the names of fields.
        timezone: The time zone that timestamps without one are in; without it they are refused, but for a
            field that is `:str`.
        action: The action of rows that name none.
        map_id: What is done to the ids of both ends before they are checked, such as `escape_dots`.

    Raises:
        ConfigError: At once, if `data` is neither, or for an option that is wrong.
        InputError: From the stream, for a column that is missing or that no record can carry.
    """
    options = TableOptions(timezone=timezone)
    rules = checked_rules(source, action, map_id)
    lines = LineReader(rules)

    def rows_for(mapping: ColumnMapping) -> RowReader:
        return RowReader(lines, mapping)

    if hasattr(data, "__arrow_c_stream__"):
        return RecordStream(read_arrow(data, columns, options.timezone, rows_for), rules.options())
    if hasattr(data, "fetchmany"):
        return RecordStream(read_cursor(data, columns, options.timezone, rows_for), rules.options())
    raise ConfigError(
        "rows must be of a frame or a table with Arrow's C stream interface, or of a cursor: collect a frame"
        " that is lazy"
    )


async def read_arrow(
    frame: object, mapping: ColumnMapping | None, timezone: str | None, rows_for: RowsFor
) -> AsyncGenerator[Block, None]:
    """Yield the records of a frame, numbered from 1. Raises `InputError`."""
    batches = _Batches(frame)
    rows = rows_for(mapping or own_mapping(leaves(batches.schema)))
    arrow_rows = ArrowRows(batches.schema, rows, timezone)
    _check_objects(frame, rows)
    number = 1
    while (batch := await asyncio.to_thread(batches.next, arrow_rows)) is not None:
        count, columns = batch
        yield rows.read(range(number, number + count), columns)
        number += count


def _check_objects(frame: object, rows: RowReader) -> None:
    """Raise `InputError` for a column of polars that holds objects of Python: Arrow has their addresses."""
    types: object = getattr(frame, "schema", None) if type(frame).__module__.startswith("polars.") else None
    for name, type_ in types.items() if isinstance(types, Mapping) else ():
        if str(type_) == "Object" and name in rows.columns:
            raise InputError(
                f"the column for {rows.field_of(name)} cannot be carried: it holds objects of Python; make"
                " them texts or numbers"
            )


class _Batches:
    """The batches of a frame, cut to few rows. Runs in a thread."""

    def __init__(self, frame: object) -> None:
        self._arrow = pyarrow("A frame needs")
        try:
            reader = self._arrow.RecordBatchReader.from_stream(frame)
            self.schema = reader.schema
        except (self._arrow.ArrowException, OSError, TypeError, ValueError):
            pass  # raised below: the error of the library may quote a value
        else:
            self._parts = self._cut(reader)
            return
        raise InputError(
            "the frame cannot be read as Arrow: perhaps it is one column and no frame, two of its columns"
            " have one name, or a column has values of several types or of one that Arrow has not"
        )

    def next(self, rows: ArrowRows) -> tuple[int, list[Sequence[object]]] | None:
        """Return the size and the columns of the next part; None at the end. Raises `InputError`."""
        try:
            part = next(self._parts, None)
            return None if part is None else (part.num_rows, rows.columns(part))  # type: ignore[attr-defined]
        except InputError:
            raise
        except (self._arrow.ArrowException, OSError, ValueError):
            pass  # what gives the batches has raised, and Arrow tells its text and its traceback
        raise InputError("the frame cannot be read to its end")

    @staticmethod
    def _cut(reader: object) -> Iterator[object]:
        for batch in reader:  # type: ignore[attr-defined]
            for start in range(0, batch.num_rows, ROWS):
                yield batch.slice(start, ROWS)


async def read_cursor(
    cursor: Cursor, mapping: ColumnMapping | None, timezone: str | None, rows_for: RowsFor
) -> AsyncGenerator[Block, None]:
    """Yield the records of a cursor, numbered from 1. Raises `InputError`, and what the cursor raises."""
    description = getattr(cursor, "description", None)
    if description is None:
        raise ConfigError(
            "the cursor must have rows, and a description as PEP 249 has it: execute a query first, and of a"
            " result that holds a cursor give that"
        )
    names = [str(column[0]) for column in description]
    rows = rows_for(mapping or own_mapping(names))
    for name in rows.columns:
        if names.count(name) != 1:
            raise missing_column(name, rows.field_of(name), names, found=names.count(name))
    cells = _Cells(timezone)
    picked = [(names.index(name), rows.is_text(name)) for name in rows.columns]
    number = 1
    while found := await _fetched(cursor):
        columns = [cells.column(_column(found, place), as_text=text) for place, text in picked]
        yield rows.read(range(number, number + len(found)), columns)
        number += len(found)


def _column(rows: Rows, place: int) -> list[object]:
    """Return the values of a column. Raises `InputError` where a row is none that PEP 249 has."""
    with suppress(IndexError, KeyError, TypeError):
        return [row[place] for row in rows]
    raise InputError("the cursor must give each row as a sequence with a value for each of its columns")


def _stays_in_its_thread(cursor: object) -> bool:
    """Return whether it is a cursor of such a driver, of a class made of one, or one around another."""
    kinds = [*type(cursor).__mro__, *type(getattr(cursor, "cursor", None)).__mro__]
    return any(kind.__module__ == _OWN_THREAD for kind in kinds)


async def _fetched(cursor: Cursor) -> Rows:
    if inspect.iscoroutinefunction(cursor.fetchmany) or _stays_in_its_thread(cursor):
        found = cursor.fetchmany(ROWS)
    else:
        found = await asyncio.to_thread(cursor.fetchmany, ROWS)
    return await found if inspect.isawaitable(found) else found


class _Cells:
    """Makes values of Python into those of JSON."""

    def __init__(self, timezone: str | None) -> None:
        self._zone = None if timezone is None else ZoneInfo(timezone)
        self._makers: Mapping[type, Callable[[object], object]] = {
            float: _finite,
            Decimal: _decimal,
            datetime: self._moment,
            date: str,
            time: str,
            UUID: str,
            bytes: _text,
            bytearray: _text,
            memoryview: _text,
            list: self._list,
            tuple: self._list,
            dict: self._object,
        }

    def column(self, values: Sequence[object], *, as_text: bool) -> Sequence[object]:
        """Return the cells of a column; `as_text` is for one that is `:str`."""
        if set(map(type, values)) <= _PLAIN:
            return values
        return [_local_text(value) if as_text and _is_local(value) else self._cell(value) for value in values]

    def _cell(self, value: object) -> object:
        if type(value) in _PLAIN:
            return value
        if isinstance(value, Enum):
            return self._cell(value.value)
        if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
            return self._of_numpy(value)
        if isinstance(value, str):
            return str.__str__(value)
        if isinstance(value, int):
            return int.__int__(value)
        make = next((make for kind, make in self._makers.items() if isinstance(value, kind)), None)
        return BadCell("must be a value that JSON has") if make is None else make(value)

    def _of_numpy(self, value: object) -> object:
        """Return the cell of a scalar or an array; of one that Python has only as a number, none."""
        found: object = value.tolist()  # type: ignore[attr-defined]
        kind = value.dtype.kind  # type: ignore[attr-defined]
        if type(found).__module__ == "numpy" or (kind in "mM" and not _has_moments(found)):
            return BadCell("must be a value that JSON has", str(value))
        return self._cell(found)

    def _moment(self, value: object) -> object:
        assert isinstance(value, datetime)
        if value != value:  # noqa: PLR0124  pandas' NaT, a moment that is absent
            return None
        if value.tzinfo is None and self._zone is None:
            return BadCell(NAIVE, value.isoformat())
        moment = value if value.tzinfo is not None else value.replace(tzinfo=self._zone)
        try:
            return moment.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"
        except OverflowError:
            return BadCell("must lie in the years 1 to 9999")

    def _list(self, value: object) -> object:
        assert isinstance(value, list | tuple)
        items = [*map(self._cell, value)]
        return next((item for item in items if isinstance(item, BadCell)), items)

    def _object(self, value: object) -> object:
        assert isinstance(value, dict)
        if not all(isinstance(name, str) for name in value):
            return BadCell("must have texts as keys")
        found = {name: self._cell(inner) for name, inner in value.items() if inner is not None}
        return next((inner for inner in found.values() if isinstance(inner, BadCell)), found)


def _has_moments(value: object) -> bool:
    """Return whether there are dates and times in place of numbers of some unit."""
    if isinstance(value, list):
        return all(map(_has_moments, value))
    return value is None or isinstance(value, date | timedelta)


def _is_local(value: object) -> bool:
    return isinstance(value, datetime) and value.tzinfo is None


def _local_text(value: object) -> str:
    assert isinstance(value, datetime)
    return value.isoformat()


def _finite(value: object) -> object:
    assert isinstance(value, float)
    return value if math.isfinite(value) else BadCell("must be a finite number", repr(value))


def _decimal(value: object) -> object:
    assert isinstance(value, Decimal)
    return decimal_cell(value)


def _text(value: object) -> object:
    raw = bytes(value)  # type: ignore[call-overload]
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return BadCell("must be text in UTF-8", raw.decode(errors="surrogateescape"))
