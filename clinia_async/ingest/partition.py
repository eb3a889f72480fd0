"""One partition of a distributed job, as an engine such as Spark or Dask runs it: rows in, a receipt out.

What goes in and what comes out can be pickled, and the key is in neither.
"""

import asyncio
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from attrs import field, frozen

from clinia_async.calls import BatchWrite
from clinia_async.errors import ConfigError, InvalidWrite
from clinia_async.ingest.job import Ingestion
from clinia_async.ingest.options import IngestionOptions, checked_options
from clinia_async.ingest.outcomes.outcome import Disposition, RecordOutcome
from clinia_async.ingest.outcomes.report import Report
from clinia_async.ingest.readers.ndjson import LineReader
from clinia_async.ingest.readers.ndjson_strict import Rules
from clinia_async.ingest.records.record import BadRecord, IdMapping, Record
from clinia_async.models import Action
from clinia_async.serialization import exact_json
from clinia_async.session.session import Session

Row = Mapping[str, object] | bytes | str | BatchWrite
"""A line of NDJSON, as an object or as text, or a write."""


@frozen(kw_only=True)
class PartitionConfig:
    """What every partition of a job has in common.

    The key is read where the partition runs, from the environment variable `api_key_env`. `action` is
    for rows that name none. Of rows that did not land a receipt lists `most_failures`. With `journals`, a
    folder that outlives the worker, the next attempt goes on where the last one was stopped, if the
    engine gives it the same rows in the same order.
    """

    source: str
    workspace: str | None = None
    base_url: str | None = None
    api_key_env: str = "CLINIA_API_KEY"
    action: Action = field(default=Action.CREATE, converter=Action)
    map_id: IdMapping | None = None
    journals: Path | None = None
    most_failures: int = 1000
    options: IngestionOptions = field(factory=IngestionOptions)

    def __attrs_post_init__(self) -> None:
        checked_options(**self.options)


@frozen
class RowFailure:
    """`row` counts from 1 within the partition. Nothing of the row itself is here."""

    row: int
    disposition: Disposition
    reason: str | None


@frozen(kw_only=True)
class PartitionReceipt:
    """What became of a partition. `failures` may be cut off: `counts` tell of all rows."""

    partition: int | str
    attempt: int
    rows: int
    counts: Mapping[Disposition, int]
    failures: Sequence[RowFailure]
    reconciled: int
    seconds: float

    @property
    def all_landed(self) -> bool:
        return sum(count for each, count in self.counts.items() if each.has_landed) == self.rows


def ingest_partition(
    rows: Iterable[Row], *, config: PartitionConfig, partition: int | str, attempt: int = 0
) -> PartitionReceipt:
    """Sends the rows of one partition in an event loop and a session of its own, and waits for all of them.

    `attempt` counts from 0. In a later one an equal record that is there already is taken for what the
    attempt before has sent: its answers are lost, but not what it did. Creates whose id the service makes
    would be doubled by a second attempt: for those use `journals`, or let the engine try once.

    Raises what ends a job, such as `NetworkGivenUp`, so that the engine tries again. A row that is refused
    is no reason to: it is in the receipt.
    """
    return asyncio.run(_ingest(rows, config, partition, attempt))


async def _ingest(
    rows: Iterable[Row], config: PartitionConfig, partition: int | str, attempt: int
) -> PartitionReceipt:
    failures: list[RowFailure] = []
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
    return _receipt(job.report, failures, partition, attempt)


def _session(config: PartitionConfig) -> Session:
    key = os.environ.get(config.api_key_env)
    if not key:
        raise ConfigError(f"the environment of the worker has no {config.api_key_env}")
    return Session(config.workspace, api_key=key, base_url=config.base_url)


def _journal(config: PartitionConfig, partition: int | str) -> Path | None:
    if config.journals is None:
        return None
    name = str(partition)
    if not name.isascii() or not name.replace("-", "").replace("_", "").isalnum():
        raise ConfigError("a partition with a journal must be named by ASCII letters, digits, `-` and `_`")
    return config.journals / f"partition-{name}.db"


def _records(rows: Iterable[Row], config: PartitionConfig) -> Iterator[Record | BadRecord]:
    read = LineReader(Rules(config.source, config.action, config.map_id)).read
    for number, row in enumerate(rows, 1):
        if isinstance(row, BatchWrite):
            yield Record(number, row)
            continue
        try:
            text = exact_json.dumps(dict(row)) if isinstance(row, Mapping) else row
        except InvalidWrite as error:
            yield BadRecord(number, error.path, error.rule)
            continue
        found = read(number, text.encode() if isinstance(text, str) else text)
        # a blank line of text is no row at all, but an engine counts it as one
        yield found if isinstance(found, Record | BadRecord) else BadRecord(number, "$", "must not be blank")


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
