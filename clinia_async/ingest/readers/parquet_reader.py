"""Rows of a Parquet file, batch by batch, in a thread.

A column may be a field of a struct, by its path with dots. Values keep their types: whole numbers, finite
numbers, text, booleans, and lists or structs of those; decimals with every digit; timestamps as RFC 3339 in
UTC, and dates as ISO 8601. What is null leaves its member out. A timestamp without a time zone is no moment:
it is refused, as are all other types. Memory is bounded by one batch and a page of each column mapped.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from types import ModuleType

from clinia_async.errors import ConfigError
from clinia_async.ingest.readers.arrow_values import Column, Values, values_of
from clinia_async.ingest.readers.column_mapping import ColumnMapping
from clinia_async.ingest.readers.compression import BLOCK, InputError
from clinia_async.ingest.readers.csv_reader import RowsFor
from clinia_async.ingest.readers.table_rows import RowReader
from clinia_async.ingest.records.record import Item

_BATCH = 500
"""Rows."""


async def read_parquet(
    path: Path | None, mapping: ColumnMapping | None, rows_for: RowsFor
) -> AsyncGenerator[Item, None]:
    """The records of a table; without a mapping the names of the columns are those of the members."""
    with ExitStack() as opened:
        table = await asyncio.to_thread(_Table, path, opened)
        rows = rows_for(mapping or table.own_mapping())
        await asyncio.to_thread(table.choose, rows)
        number = 0
        while (batch := await asyncio.to_thread(table.rows)) is not None:
            for cells in batch:
                number += 1
                yield rows.read(number, cells)


class _Table:
    """Everything here runs in a thread."""

    def __init__(self, path: Path | None, opened: ExitStack) -> None:
        self._arrow = _pyarrow()
        if path is None or not path.is_file():
            raise InputError("Parquet must be a regular file: it is not read from front to back")
        parquet = import_module("pyarrow.parquet")
        try:
            self._file = opened.enter_context(
                parquet.ParquetFile(path, pre_buffer=False, buffer_size=BLOCK, memory_map=False)
            )
            self._schema = self._file.schema_arrow
        except (self._arrow.ArrowException, OSError, ValueError):
            pass  # raised below: the error of the library may quote what it has read
        else:
            return
        raise InputError("the input is not Parquet, is damaged, or cannot be opened")

    def own_mapping(self) -> ColumnMapping:
        try:
            return ColumnMapping({name: name for name in _leaves(self._arrow, self._schema)})
        except ConfigError:
            pass  # raised below
        raise InputError("the columns are not named as members, such as type and from.id: give a mapping")

    def choose(self, rows: RowReader) -> None:
        columns = rows.columns
        found = [self._find(name, rows.member_of(name)) for name in columns]
        self._paths = [path for path, _ in found]
        self._values: list[Values] = [values for _, values in found]
        try:
            self._batches = self._file.iter_batches(_BATCH, columns=list(columns), use_threads=False)
        except (self._arrow.ArrowException, OSError, ValueError):
            pass
        else:
            return
        raise InputError("the input is damaged or cannot be read")

    def rows(self) -> Sequence[Sequence[object]] | None:
        """The cells of the next batch, row by row; None at the end."""
        try:
            batch = next(self._batches, None)
            if batch is None:
                return None
            columns = [
                values(self._inside(batch, path))
                for path, values in zip(self._paths, self._values, strict=True)
            ]
        except (self._arrow.ArrowException, OSError, ValueError):
            pass
        else:
            return list(zip(*columns, strict=True)) if columns else [()] * batch.num_rows
        raise InputError("the input is damaged, or cannot be read to its end")

    def _find(self, name: str, member: str) -> tuple[Sequence[str], Values]:
        """Where a column is, by its name or by its path through structs, and how its values are read."""
        path = [name] if name in self._schema.names else name.split(".")
        fields = [field for field in self._schema if field.name == path[0]]
        for part in path[1:]:
            inner = [field.type for field in fields if self._arrow.types.is_struct(field.type)]
            fields = [field for type_ in inner for field in type_ if field.name == part]
        if len(fields) != 1:
            raise InputError(f"the input has {'more than one' if fields else 'no'} column for {member}")
        values = values_of(self._arrow, fields[0].type)
        if isinstance(values, str):
            raise InputError(f"the column for {member} cannot be carried: {values}")
        return path, values

    def _inside(self, batch: object, path: Sequence[str]) -> Column:
        inner: Column = batch.column(path[0])  # type: ignore[attr-defined]
        compute = import_module("pyarrow.compute")
        for part in path[1:]:
            inner = compute.struct_field(inner, part)
        return inner


def _leaves(arrow: ModuleType, fields: object, before: str = "") -> list[str]:
    names: list[str] = []
    for field in fields:  # type: ignore[attr-defined]
        name = before + field.name
        names += _leaves(arrow, field.type, f"{name}.") if arrow.types.is_struct(field.type) else [name]
    return names


def _pyarrow() -> ModuleType:
    try:
        return import_module("pyarrow")
    except ImportError:
        pass
    raise InputError("Parquet needs `pyarrow`: pip install 'clinia-async[parquet]'")
