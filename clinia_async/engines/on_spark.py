"""Apache Spark: a data source to write to, `df.write.format("clinia").options(...).mode("append").save()`.

Needs `clinia-async[spark]` and Spark 4. Each executor reads the key from its environment: it is no option,
and so in no plan, no UI and no log.
"""

import asyncio
import json
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence

from attrs import asdict, frozen
from pyspark import TaskContext
from pyspark.sql.datasource import (
    DataSource,
    DataSourceArrowWriter,
    DataSourceStreamArrowWriter,
    WriterCommitMessage,
)

from clinia_async.engines.spark_options import SparkOptions
from clinia_async.errors import CliniaError, ConfigError
from clinia_async.ingest.partition import PartitionConfig, PartitionReceipt, ingest_partition
from clinia_async.models import Action
from clinia_async.models.secret import Secret
from clinia_async.session.session import Session

_APPEND_ONLY = (
    "clinia takes mode('append') only: records are written by their keys, and nothing is deleted. "
    "To replace records, set the option action to upsert"
)


@frozen
class PartitionMessage(WriterCommitMessage):
    """What a task of Spark hands to the commit: the receipt of its partition."""

    receipt: PartitionReceipt


class CliniaDataSource(DataSource):
    """The data source `clinia`: writing in batches and as a stream, by append alone."""

    @classmethod
    def name(cls) -> str:
        """Return the name for `format(...)`."""
        return "clinia"

    def writer(self, schema: object, overwrite: bool) -> "CliniaWriter":
        """Return the writer of a batch. Raises `ConfigError` for `mode("overwrite")`."""
        if overwrite:
            raise ConfigError(_APPEND_ONLY)
        return CliniaWriter(SparkOptions.of(self.options))

    def streamWriter(self, schema: object, overwrite: bool) -> "CliniaStreamWriter":  # noqa: N802
        """Return the writer of a stream. Raises `ConfigError` for the output mode `complete`."""
        if overwrite:
            raise ConfigError(_APPEND_ONLY)
        return CliniaStreamWriter(SparkOptions.of(self.options))


class _Writing:
    """What both writers do."""

    def __init__(self, options: SparkOptions) -> None:
        self._options = options
        if options.config.action != Action.CREATE:
            warnings.warn(
                "rows of one record must be in one partition, in order, or the last write is open:"
                " use repartition(n, key).sortWithinPartitions(key)",
                stacklevel=2,
            )

    def write(self, iterator: Iterator[object]) -> PartitionMessage:
        """Send the rows of one partition, in an executor. Raises what ends a job: Spark tries again."""
        task = TaskContext.get()
        number, attempt = (task.partitionId(), task.attemptNumber()) if task else (0, 0)
        receipt = ingest_partition(
            iterator,  # type: ignore[arg-type]  # batches of Arrow
            config=self._options.config,
            partition=number,
            attempt=attempt,
        )
        return PartitionMessage(receipt)

    def _finish(self, messages: Sequence[PartitionMessage | None], batch: int | None) -> None:
        """Poll every task once more, write the report, and fail if a row did not land."""
        receipts = [message.receipt for message in messages if message is not None]
        ended = asyncio.run(_statuses(self._options.config, receipts))
        rows, landed = sum(each.rows for each in receipts), sum(map(_landed, receipts))
        self._write(receipts, batch, state="committed", tasks=ended)
        if self._options.fails and landed < rows:
            raise CliniaError(
                f"{rows - landed} of {rows} rows did not land, or may not have; the others are stored. The"
                " option report names a file that says which; with onFailed=report the write does not fail"
            )

    def _give_up(self, messages: Sequence[PartitionMessage | None], batch: int | None) -> None:
        receipts = [message.receipt for message in messages if message is not None]
        self._write(receipts, batch, state="aborted", tasks={})
        landed = sum(map(_landed, receipts))
        warnings.warn(
            f"the write was aborted. {landed} rows of the partitions that had finished are stored, and those"
            " of the others may be: that cannot be undone. Writing again stores none of them twice",
            stacklevel=2,
        )

    def _write(
        self, receipts: Sequence[PartitionReceipt], batch: int | None, *, state: str, tasks: Mapping[str, str]
    ) -> None:
        if self._options.report is None:
            return
        report = {"state": state, "batch": batch, "tasks": tasks, "partitions": [*map(_as_json, receipts)]}
        with self._options.report.open("a", encoding="utf-8") as file:
            file.write(json.dumps(report) + "\n")


class CliniaWriter(_Writing, DataSourceArrowWriter):
    """Writes a DataFrame."""

    def commit(self, messages: Sequence[PartitionMessage | None]) -> None:
        """Check what became of all partitions. Raises `CliniaError` if a row did not land."""
        self._finish(messages, None)

    def abort(self, messages: Sequence[PartitionMessage | None]) -> None:
        """Report what the partitions that had finished have stored."""
        self._give_up(messages, None)


class CliniaStreamWriter(_Writing, DataSourceStreamArrowWriter):
    """Writes a stream, one batch after the other."""

    def commit(self, messages: Sequence[PartitionMessage | None], batchId: int) -> None:  # noqa: N803
        """Check what became of all partitions of a batch. Raises `CliniaError` if a row did not land."""
        self._finish(messages, batchId)

    def abort(self, messages: Sequence[PartitionMessage | None], batchId: int) -> None:  # noqa: N803
        """Report what the partitions that had finished have stored."""
        self._give_up(messages, batchId)


async def _statuses(config: PartitionConfig, receipts: Sequence[PartitionReceipt]) -> dict[str, str]:
    """Poll each task once and return its status by id; a task that cannot be polled is left out."""
    key = Secret(os.environ.get(config.api_key_env, ""))
    tasks = [task for receipt in receipts for task in receipt.tasks]
    if not key.reveal() or not tasks:
        return {}
    statuses: dict[str, str] = {}
    async with Session(config.workspace, api_key=key, base_url=config.base_url) as session:
        for task in tasks:
            try:
                statuses[task] = str((await session.task(task, source=config.source).refresh()).status)
            except CliniaError:
                continue
    return statuses


def _landed(receipt: PartitionReceipt) -> int:
    return sum(count for each, count in receipt.counts.items() if each.has_landed)


def _as_json(receipt: PartitionReceipt) -> dict[str, object]:
    counts = {str(each): count for each, count in receipt.counts.items()}
    failures = [{**asdict(each), "disposition": str(each.disposition)} for each in receipt.failures]
    return {
        **asdict(receipt, recurse=False),
        "counts": counts,
        "failures": failures,
        "tasks": [*receipt.tasks],
    }
