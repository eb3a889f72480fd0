"""One partition of a distributed job, as an engine such as Spark or Dask runs it: rows in, a receipt out.

What goes in and what comes out can be pickled, and the key is in neither.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import chain, groupby, islice
from pathlib import Path
from time import monotonic
from typing import Protocol, cast

from attrs import evolve, field, frozen

from clinia_async.calls import BatchWrite
from clinia_async.calls.validation import check_key
from clinia_async.errors import ConfigError, InvalidWrite
from clinia_async.errors.settings import Number, check_class, check_named, optional_path_of
from clinia_async.ingest.job import Ingestion
from clinia_async.ingest.options import IngestionOptions, checked_options
from clinia_async.ingest.outcomes.outcome import Disposition, RecordOutcome
from clinia_async.ingest.outcomes.report import Report
from clinia_async.ingest.readers.arrow_rows import pyarrow
from clinia_async.ingest.readers.column_mapping import ColumnMapping
from clinia_async.ingest.readers.ndjson import LineReader
from clinia_async.ingest.readers.ndjson_strict import Rules, known_action
from clinia_async.ingest.readers.row_source import ArrowStream
from clinia_async.ingest.readers.row_source import rows as arrow_rows
from clinia_async.ingest.records.record import BadRecord, Blank, IdMapping, Item, Record
from clinia_async.ingest.records.record_batch import RecordBatch
from clinia_async.ingest.records.record_stream import RecordStream
from clinia_async.models import Action
from clinia_async.models.refusal import made_without_locals, without_locals
from clinia_async.models.secret import Secret
from clinia_async.serialization import exact_json
from clinia_async.session.session import Session

Row = Mapping[str, object] | bytes | str | BatchWrite
"""A line of NDJSON, as an object or as text, or a write."""


class ArrowBatch(Protocol):
    """One batch of rows of Arrow."""

    @property
    def schema(self) -> object: ...
    def __arrow_c_array__(self, requested_schema: object = None) -> object: ...


Rows = Iterable[Row] | Iterable[ArrowBatch] | ArrowStream
"""The rows of a partition, or a table of Arrow, or its batches."""
Found = Item | RecordBatch

_ROWS = 128
"""Rows that are read together."""
_ROWS_FOR = 0.02
"""Seconds after which the rows that a slow source has given are sent on."""


def _journals(path: Path | str | None) -> Path | None:
    return optional_path_of("PartitionConfig.journals", path)


@made_without_locals
@frozen(kw_only=True)
class PartitionConfig:
    """What every partition of a job has in common.

    Args:
        source: the source that the records belong to.
        workspace: the workspace, unless `base_url` says where the service is.
        base_url: where the service is.
        api_key_env: the environment variable that the key is read from, where the partition runs.
        action: the action of rows that name none.
        map_id: applied to the ids of resources and of both ends before they are checked, such as
            `escape_dots`.
        columns: which columns of Arrow's batches become which fields. Other rows are refused with it.
        timezone: the time zone of Arrow's timestamps that have none. Other rows are refused with it.
        journals: a folder that outlives the worker. The next attempt resumes where the last one was
            stopped, if the engine gives it the same rows in the same order.
        most_failures: of how many rows that did not land the receipt says which.
        options: the options of the `Ingestion`.
    """

    source: str
    workspace: str | None = None
    base_url: str | None = None
    api_key_env: str = "CLINIA_API_KEY"
    action: Action = field(default=Action.CREATE, converter=known_action)
    map_id: IdMapping | None = None
    columns: ColumnMapping | None = None
    timezone: str | None = None
    journals: Path | None = field(default=None, converter=_journals)
    most_failures: int = field(default=1000, validator=Number(least=0, whole=True))
    options: IngestionOptions = field(factory=IngestionOptions)

    def __attrs_post_init__(self) -> None:
        check_key(self.source, "$.source")
        check_named("PartitionConfig.options", self.options)
        checked_options(**self.options)


@frozen
class RowFailure:
    """`row` counts from 1 within the partition. Nothing of the row itself is here."""

    row: int
    disposition: Disposition
    reason: str | None


@frozen(kw_only=True)
class PartitionReceipt:
    """What became of a partition. `failures` may be cut off; `counts` covers all rows.

    `attempt` is the number that the engine gave, from 0. `reconciled` is how many rows were proven by reading
    the record back, and `seconds` how long it took. `tasks` are the ids of the tasks that the service made,
    so that a coordinator can ask for them again.
    """

    partition: int | str
    attempt: int
    rows: int
    counts: Mapping[Disposition, int]
    failures: Sequence[RowFailure]
    reconciled: int
    seconds: float
    tasks: Sequence[str] = ()

    @property
    def all_landed(self) -> bool:
        """Whether every row is stored."""
        return sum(count for each, count in self.counts.items() if each.has_landed) == self.rows


@without_locals
def ingest_partition(
    rows: Rows, *, config: PartitionConfig, partition: int | str, attempt: int = 0
) -> PartitionReceipt:
    """Send the rows of one partition in an event loop and a session of its own; wait for all of them.

    `rows` are lines, objects or writes; a table of Arrow; or its batches, one after the other. Where an event
    loop is running already, as in an async task of an engine, it stands still until the end.

    `config` says how to connect and what to do, and is the same for all partitions.

    `attempt` counts from 0. In a later one an equal record that exists is taken for what the attempt before
    has sent: its answers are lost, but not what it did. Creates whose id the service makes would be stored
    twice by a second attempt, and so are reported as unknown: for those use `journals`, or let the engine
    try once.

    Raises:
        ConfigError: the environment has no key, or an option is wrong or has no use for these rows.
        JobStopped: the key was refused or the network given up, so that the engine tries again. A row that
            is refused raises nothing: it is in the receipt.
    """
    check_class("config", config, PartitionConfig)
    Number(least=0, whole=True).check("attempt", attempt)
    if isinstance(rows, str | bytes | Mapping) or not (
        isinstance(rows, Iterable) or hasattr(rows, "__arrow_c_stream__")
    ):
        raise ConfigError(f"rows must be an iterable of rows or a table of Arrow, not {type(rows).__name__}")
    work = partial(asyncio.run, _ingest(rows, config, partition, attempt))
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return work()
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(work).result()


async def _ingest(
    rows: Rows, config: PartitionConfig, partition: int | str, attempt: int
) -> PartitionReceipt:
    failures: list[RowFailure] = []
    tasks: dict[str, None] = {}
    options = config.options.copy()
    options["may_have_arrived"] = attempt > 0
    async with _session(config) as session:
        job = Ingestion(
            session,
            config.source,
            _records(rows, config),
            journal=_journal(config, partition),
            **options,
        )
        async with job:
            async for outcome in job:
                _note(outcome, failures, config.most_failures)
                if outcome.task_id is not None:
                    tasks[str(outcome.task_id)] = None
    return evolve(_receipt(job.report, failures, partition, attempt), tasks=tuple(tasks))


def _session(config: PartitionConfig) -> Session:
    key = Secret(os.environ.get(config.api_key_env, ""))
    if not key.reveal():
        raise ConfigError(f"the environment of the worker has no {config.api_key_env}: set it on each worker")
    return Session(config.workspace, api_key=key, base_url=config.base_url)


def _journal(config: PartitionConfig, partition: int | str) -> Path | None:
    if config.journals is None:
        return None
    name = str(partition)
    if not name.isascii() or not name.replace("-", "").replace("_", "").isalnum():
        raise ConfigError("a partition with a journal must be named by ASCII letters, digits, `-` and `_`")
    return config.journals / f"partition-{name}.db"


def _records(rows: Rows, config: PartitionConfig) -> RecordStream:
    if not hasattr(rows, "__arrow_c_stream__"):
        every = iter(cast("Iterable[object]", rows))
        begin = [*islice(every, 1)]
        first, every = begin[0] if begin else None, chain(begin, every)
        if not hasattr(first, "__arrow_c_array__"):
            if begin and (config.columns is not None or config.timezone is not None):
                raise ConfigError(
                    "columns and timezone are for tables and batches of Arrow, and these rows are none: leave"
                    " them out, or give such rows"
                )
            return RecordStream(_blocks(cast("Iterator[Row]", every), config))
        schema = cast("ArrowBatch", first).schema
        rows = pyarrow("Batches of Arrow need").RecordBatchReader.from_batches(schema, every)
    return arrow_rows(
        cast("ArrowStream", rows),
        config.source,
        columns=config.columns,
        timezone=config.timezone,
        action=config.action,
        map_id=config.map_id,
    )


async def _blocks(rows: Iterator[Row], config: PartitionConfig) -> AsyncGenerator[Iterable[Found], None]:
    reader, number = LineReader(Rules(config.source, config.action, config.map_id)), 1
    while block := [*_together(rows)]:
        yield [item for run in _runs(number, block) for item in _read(reader, *run)]
        number += len(block)
        await asyncio.sleep(0)


def _together(rows: Iterator[Row]) -> Iterator[Row]:
    """Some of the rows: as many as are read together, or as a slow source gives in a moment."""
    until = monotonic() + _ROWS_FOR
    for row in islice(rows, _ROWS):
        yield row
        if monotonic() >= until:
            return


def _runs(number: int, rows: Sequence[Row]) -> Iterator[tuple[int, Sequence[Row]]]:
    """Runs of rows that are all writes or all lines, each with the number of its first row."""
    for _, run in groupby(rows, key=lambda row: isinstance(row, BatchWrite)):
        block = [*run]
        yield number, block
        number += len(block)


def _read(reader: LineReader, number: int, rows: Sequence[Row]) -> Iterable[Found]:
    if isinstance(rows[0], BatchWrite):
        return [Record(number + place, cast("BatchWrite", row)) for place, row in enumerate(rows)]
    lines: list[bytes] = []
    for place, row in enumerate(rows):
        try:
            lines.append(_line(row))
        except InvalidWrite as error:
            bad = BadRecord(number + place, error.path, error.rule)
            before, after = rows[:place], rows[place + 1 :]
            return [
                *(_read(reader, number, before) if before else ()),
                bad,
                *(_read(reader, number + place + 1, after) if after else ()),
            ]
    found = reader.read_all(range(number, number + len(lines)), lines)
    # a blank line of text is no row at all, but an engine counts it as one
    return [
        BadRecord(item.line, "$", "must not be blank") if isinstance(item, Blank) else item for item in found
    ]


def _line(row: object) -> bytes:
    """Return a row as a line of JSON. Raises `InvalidWrite` for what is none: it costs that row alone."""
    match row:
        case Mapping():
            return exact_json.dumps(dict(row))
        case bytes() | bytearray() | memoryview():
            return bytes(row)
        case str():
            with suppress(UnicodeEncodeError):
                return row.encode()
            raise InvalidWrite("$", "must be text of Unicode")
        case _:
            raise InvalidWrite("$", "must be an object, a line of JSON or a write")


def _note(outcome: RecordOutcome, failures: list[RowFailure], most: int) -> None:
    if not outcome.disposition.has_landed and len(failures) < most:
        failures.append(RowFailure(outcome.line, outcome.disposition, outcome.reason))


def _receipt(
    report: Report, failures: Sequence[RowFailure], partition: int | str, attempt: int
) -> PartitionReceipt:
    return PartitionReceipt(
        partition=partition,
        attempt=attempt,
        rows=report.read,
        counts=dict(report.by_disposition),
        failures=tuple(sorted(failures, key=lambda failure: failure.row)),
        reconciled=report.reconciled,
        seconds=report.seconds,
    )
