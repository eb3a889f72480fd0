"""Rows of a Parquet file, batch by batch, in a thread.

A column may be a field of a struct, by its path with dots. `arrow_values` says what becomes of the types.
Memory is bounded by one batch of rows and a page of each column mapped.

Arrow has room for the years 1677 to 2262 in the nanoseconds that it makes of INT96, as Spark, Hive and Impala
write moments, and gives others a wrong year. So a file with INT96 is read in seconds, too.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Protocol

from clinia_async.ingest.readers.arrow_rows import ArrowRows, leaves, pyarrow
from clinia_async.ingest.readers.column_mapping import ColumnMapping, own_mapping
from clinia_async.ingest.readers.compression import BLOCK, READ_POSITION, InputError, check_same
from clinia_async.ingest.readers.input_paths import is_regular_file
from clinia_async.ingest.readers.table_options import TableOptions
from clinia_async.ingest.readers.table_rows import Block, RowReader

_ROWS = 1024
"""Rows at once, at most."""
_BATCH = 4 * 1024 * 1024
"""Bytes of rows at once, as the file says their size, unless a row is larger."""

_DAMAGED = "the input is damaged, or cannot be read to its end"

RowsFor = Callable[[ColumnMapping], RowReader]


async def read_parquet(
    path: Path | None, mapping: ColumnMapping | None, options: TableOptions, rows_for: RowsFor
) -> AsyncGenerator[Block, None]:
    """Yield the records of a table; without a mapping columns are named as fields. Raises `InputError`."""
    with ExitStack() as opened:
        table = await asyncio.to_thread(_Table, path, opened)
        rows = rows_for(mapping or own_mapping(table.leaves))
        await asyncio.to_thread(table.choose, rows, options.timezone)
        number, last = 1, None if options.limit is None else options.skip + options.limit
        position = READ_POSITION.get()
        while (batch := await asyncio.to_thread(table.columns)) is not None:
            count, columns = batch
            if position is not None:
                position.at((number - 1 + count) / max(table.rows, 1))
            start, stop = max(options.skip - number + 1, 0), count if last is None else last - number + 1
            if start < stop:
                numbers = range(number, number + count)[start:stop]
                yield rows.read(numbers, [column[start:stop] for column in columns])
            number += count
            if last is not None and number > last:
                return
        if number - 1 != table.rows:
            raise InputError(_DAMAGED)
        await asyncio.to_thread(table.check_unchanged)


class _Table:
    """Everything here runs in a thread."""

    def __init__(self, path: Path | None, opened: ExitStack) -> None:
        self._arrow = pyarrow()
        if path is None or not is_regular_file(path):
            raise InputError("Parquet must be a regular file: it is not read from front to back")
        self._path, self._before = path, _written(path)
        open_ = partial(
            import_module("pyarrow.parquet").ParquetFile,
            path,
            pre_buffer=False,
            buffer_size=BLOCK,
            memory_map=False,
        )
        try:
            self._file = opened.enter_context(open_())
            self._in_seconds = None
            if any(column.physical_type == "INT96" for column in self._file.schema):
                self._in_seconds = opened.enter_context(open_(coerce_int96_timestamp_unit="s"))
            self.schema = self._file.schema_arrow
            self.leaves = leaves(self.schema)  # a name may be no text
            metadata = self._file.metadata
            self._groups = [metadata.row_group(place) for place in range(metadata.num_row_groups)]
            in_groups = sum(max(group.num_rows, 0) for group in self._groups)
            self.rows: int = max(metadata.num_rows, in_groups)  # some files say 0 of themselves
        except (self._arrow.ArrowException, OSError, ValueError):
            pass  # raised below: the error of the library may quote what it has read
        else:
            return
        raise InputError("the input is not Parquet, is damaged, or cannot be opened: check the file")

    def choose(self, rows: RowReader, timezone: str | None) -> None:
        """Read the columns that `rows` needs. Raises `InputError` if one is missing or cannot be carried."""
        try:
            self._rows = ArrowRows(self.schema, rows, timezone)
            files = [self._file] if self._in_seconds is None else [self._file, self._in_seconds]
            self._batches = zip(*(self._read(file, rows) for file in files), strict=True)
        except InputError:
            raise
        except (self._arrow.ArrowException, OSError, ValueError):
            pass
        else:
            return
        raise InputError("the input is damaged or cannot be read")

    def columns(self) -> tuple[int, list[Sequence[object]]] | None:
        """Return the number of rows of the next batch, and its columns; None at the end.

        Raises:
            InputError: the file is damaged.
        """
        try:
            batches = next(self._batches, None)
            return None if batches is None else (batches[0].num_rows, self._rows.columns(*batches))
        except (self._arrow.ArrowException, OSError, ValueError):
            pass
        raise InputError(_DAMAGED)

    def check_unchanged(self) -> None:
        """Raise `InputError` if the file was written to; another one in its place was not read."""
        now = _written(self._path)
        if now[:1] == self._before[:1]:
            check_same(self._before, now)

    def _read(self, file: "_File", rows: RowReader) -> Iterator["_Batch"]:
        return file.iter_batches(self._rows_at_once(), columns=list(rows.columns), use_threads=False)

    def _rows_at_once(self) -> int:
        size = max((group.total_byte_size // max(group.num_rows, 1) for group in self._groups), default=0)
        return max(1, min(_ROWS, _BATCH // max(size, 1)))


def _written(path: Path) -> tuple[int, ...]:
    """Return which file is there, and what changes when it is written to; nothing if there is none."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns


class _Batch(Protocol):
    num_rows: int


class _File(Protocol):
    def iter_batches(self, batch_size: int, *, columns: list[str], use_threads: bool) -> Iterator[_Batch]: ...
