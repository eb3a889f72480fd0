"""Records from files: one way in for every format, and a name for what was read."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from enum import StrEnum
from pathlib import Path

from clinia_async.errors import ConfigError
from clinia_async.ingest.outcomes.dead_letters import PREFIX
from clinia_async.ingest.readers.column_mapping import ColumnMapping
from clinia_async.ingest.readers.compression import InputError, open_input, read_blocks
from clinia_async.ingest.readers.csv_reader import read_csv
from clinia_async.ingest.readers.fhir_reader import read_fhir
from clinia_async.ingest.readers.fhir_references import PassedOver
from clinia_async.ingest.readers.line_splitter import LARGEST_LINE, LineSplitter
from clinia_async.ingest.readers.ndjson import LineReader
from clinia_async.ingest.readers.ndjson_strict import Rules
from clinia_async.ingest.readers.parquet_reader import read_parquet
from clinia_async.ingest.readers.table_rows import RowReader
from clinia_async.ingest.records.iter_batches import iter_batches
from clinia_async.ingest.records.record import IdMapping, Item
from clinia_async.ingest.records.record_batch import RecordBatch
from clinia_async.ingest.records.record_stream import RecordStream
from clinia_async.models import Action
from clinia_async.serialization import exact_json


class InputFormat(StrEnum):
    NDJSON = "ndjson"
    CSV = "csv"
    PARQUET = "parquet"
    FHIR = "fhir"


_ENDINGS = {
    ".csv": InputFormat.CSV,
    ".parquet": InputFormat.PARQUET,
    ".fhir.ndjson": InputFormat.FHIR,
    ".fhir.json": InputFormat.FHIR,
}
_ROWS = 32
"""Records of a table or of FHIR that come at once: each may be as large as a line."""
_TABLES = frozenset({InputFormat.CSV, InputFormat.PARQUET})


def read_ndjson(
    path: Path | None,
    source: str,
    *,
    action: Action | str = Action.CREATE,
    map_id: IdMapping | None = None,
    largest_line: int = LARGEST_LINE,
) -> RecordStream:
    """The records of an NDJSON file, plain, gzip or zstd; None reads standard input.

    `action` is for lines that name none. Nothing is sent for a line that is wrong: it comes as a
    `BadRecord`. Raises `InputError` where the file itself cannot be read on.
    """
    return RecordStream(_read_lines(path, _line_reader(source, action, map_id), largest_line))


def read_records(
    path: Path | None,
    source: str,
    *,
    format: InputFormat | str | None = None,
    columns: ColumnMapping | None = None,
    action: Action | str = Action.CREATE,
    map_id: IdMapping | None = None,
    passed_over: PassedOver | None = None,
) -> RecordStream:
    """The records of a file in any format; None reads standard input.

    Without a `format` it is told by the name: `.csv`, `.parquet`, `.fhir.json`, `.fhir.ndjson`, all but
    Parquet with `.gz` or `.zst` after it too, and NDJSON for any other. Dead letters are NDJSON whatever
    the format, so that they can be read with the options of the run that they are from. `columns` are for
    tables, and may be left out if the columns bear the names of members. `passed_over` counts, by reason,
    the references of FHIR that are no relationships.

    Nothing is sent for a record that is wrong: it comes as a `BadRecord`. Memory is bounded, whatever the
    size of the file. Raises `InputError` where the file cannot be read on, and `ConfigError` at once for
    options that do not go together.
    """
    known = _format(path, format)
    if columns is not None and known not in _TABLES:
        raise ConfigError("columns are for CSV and Parquet")
    lines = _line_reader(source, action, map_id)
    if known == InputFormat.NDJSON:
        return RecordStream(_read_lines(path, lines, LARGEST_LINE))
    return RecordStream(_read(path, known, columns, lines, Counter() if passed_over is None else passed_over))


async def identity_of(
    path: Path | None,
    *,
    format: InputFormat | str | None = None,
    columns: ColumnMapping | None = None,
    action: Action | str = Action.CREATE,
    map_id: IdMapping | None = None,
) -> str | None:
    """A SHA-256 of the file and of all that changes what its records are; None for standard input.

    A `map_id` counts by its name. Raises `InputError`.
    """
    if path is None:
        return None
    options = {
        "format": str(_format(path, format)),
        "columns": None if columns is None else str(columns),
        "action": str(_action(action)),
        "map_id": None if map_id is None else f"{map_id.__module__}.{map_id.__qualname__}",
    }
    return await asyncio.to_thread(_digest, path, exact_json.dumps(options))


def _digest(path: Path, options: bytes) -> str:
    with open_input(path) as file:
        try:
            content = hashlib.file_digest(file, "sha256").digest()
        except OSError as error:
            number = error.errno
        else:
            return hashlib.sha256(content + options).hexdigest()
    raise InputError(f"the input cannot be read (error {number})")


def _format(path: Path | None, asked: InputFormat | str | None) -> InputFormat:
    if asked is not None:
        try:
            return InputFormat(asked)
        except ValueError:
            pass
        raise ConfigError("the format must be ndjson, csv, parquet or fhir")
    name = "" if path is None else path.name.lower()
    for packed in (".gz", ".zst", ".zstd"):
        name = name.removesuffix(packed)
    return next((known for ending, known in _ENDINGS.items() if name.endswith(ending)), InputFormat.NDJSON)


def _action(action: Action | str) -> Action:
    known = Action(action)
    if known not in set(Action):
        raise ConfigError("the action must be CREATE, UPSERT or DELETE")
    return known


def _line_reader(source: str, action: Action | str, map_id: IdMapping | None) -> LineReader:
    return LineReader(Rules(source, _action(action), map_id))


async def _read(
    path: Path | None,
    format_: InputFormat,
    columns: ColumnMapping | None,
    lines: LineReader,
    passed_over: PassedOver,
) -> AsyncGenerator[Iterable[Item | RecordBatch], None]:
    if path is not None and await asyncio.to_thread(_holds_letters, path):
        format_ = InputFormat.NDJSON
    if format_ == InputFormat.NDJSON:
        blocks = _read_lines(path, lines, LARGEST_LINE)
    elif format_ == InputFormat.FHIR:
        blocks = iter_batches(read_fhir(path, lines, passed_over), _ROWS)
    else:
        read_table = read_csv if format_ == InputFormat.CSV else read_parquet
        blocks = iter_batches(read_table(path, columns, lambda mapping: RowReader(lines, mapping)), _ROWS)
    async with aclosing(blocks):
        async for block in blocks:
            yield block


def _holds_letters(path: Path) -> bool:
    with open_input(path) as file:
        try:
            return file.peek(len(PREFIX)).startswith(PREFIX)
        except OSError:
            return False  # whoever reads on will tell


async def _read_lines(
    path: Path | None, reader: LineReader, largest_line: int
) -> AsyncGenerator[Iterable[Item | RecordBatch], None]:
    splitter = LineSplitter(largest_line)
    number = 1
    async with aclosing(read_blocks(path)) as blocks:
        async for block in blocks:
            lines = splitter.split(block)
            yield reader.read_all(range(number, number + len(lines)), lines)
            number += len(lines)
    yield reader.read_all([number], splitter.rest())
