"""Dask distributed: load the partitions of a collection, or files, on the workers of a cluster.

Needs `clinia-async[dask]`. Each worker reads the key from its environment: no task and no result holds it.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

from dask.bag import Bag
from distributed import Client, as_completed, worker_client

from clinia_async.errors import ConfigError
from clinia_async.errors.settings import Number, check_class
from clinia_async.ingest.partition import PartitionConfig, PartitionReceipt, Rows, ingest_partition
from clinia_async.ingest.readers.arrow_rows import pyarrow
from clinia_async.ingest.readers.compression import InputError, InputStream, open_input
from clinia_async.ingest.readers.formats import (
    PEEKED,
    InputFormat,
    checked_format,
    format_by_name,
    is_peeked,
)
from clinia_async.ingest.readers.input_paths import listed_files
from clinia_async.ingest.readers.line_splitter import LARGEST_LINE, LineSplitter

_BATCH = 512
"""Rows of a file that are read together."""
_BY_LINE = {InputFormat.NDJSON, InputFormat.DEAD_LETTERS}


def ingest_dask(
    client: Client, data: object, *, config: PartitionConfig, retries: int = 2
) -> Iterator[PartitionReceipt]:
    """Load every partition of `data` on the cluster; yield each receipt as it finishes.

    A partition whose worker dies, or that raises, is run again up to `retries` times. It then takes an equal
    record that exists for what the attempt before has sent, so nothing is lost and nothing is stored twice.
    Creates whose id the service makes are reported as unknown in a later attempt. Leaving the iteration
    cancels the partitions that have not started; one that runs goes on to its end.

    All rows of one record have to be in one partition, or the order of its writes is open. Shuffle the
    collection by the key of the record first.

    Args:
        client: the client of the cluster.
        data: a Dask DataFrame, a Bag of rows, or the paths of Parquet or NDJSON files, one partition each.
            NDJSON may be compressed.
        config: what all partitions have in common. `columns` maps the columns of a DataFrame or of Parquet.
        retries: how often a partition is run again.

    Raises:
        ConfigError: `data` is none of these, names a file twice, or another argument is wrong.
        CliniaError: what a partition raised in its last attempt, such as `InputError` for a file.
    """
    check_class("client", client, Client)
    check_class("config", config, PartitionConfig)
    Number(least=0, whole=True).check("retries", retries)
    return _receipts(client, _checked(data), config, retries)


def _receipts(
    client: Client, data: object, config: PartitionConfig, retries: int
) -> Iterator[PartitionReceipt]:
    parts = _partitions(client, data)
    run = uuid4().hex
    futures = [
        client.submit(
            _run, part, config, f"{number}", run, key=f"clinia-{run}-{number}", retries=retries, pure=False
        )
        for number, part in enumerate(parts)
    ]
    try:
        for future in as_completed(futures):
            yield future.result()
    finally:
        client.cancel([each for each in futures if not each.done()])


def _partitions(client: Client, data: object) -> Sequence[object]:
    if isinstance(data, Bag):
        data = data.map_partitions(_readable_again)
    if _is_frame(data):
        return client.compute(cast("Any", data).to_delayed())  # type: ignore[no-any-return]
    return cast("Sequence[Path]", data)


def _checked(data: object) -> object:
    """Return a collection as it is, or a sequence of paths. Raises `ConfigError`."""
    if isinstance(data, Bag) or _is_frame(data):
        return data
    if isinstance(data, str | Path):
        data = [data]
    if isinstance(data, Sequence) and all(isinstance(path, str | Path) for path in data):
        return listed_files([*data])
    raise ConfigError("data must be a Dask DataFrame or Bag, or paths of Parquet or NDJSON files")


def _is_frame(data: object) -> bool:
    """Return whether it has partitions of rows: a Delayed has any attribute, and an array has blocks."""
    return all(hasattr(type(data), name) for name in ("to_delayed", "map_partitions"))


def _readable_again(rows: Iterable[object]) -> Iterable[object]:
    """Return the rows of a Bag's partition as what can be read again, and moved to another worker.

    An iterator can be neither: a second attempt would find the rest of it alone.
    """
    return list(rows) if isinstance(rows, Iterator) else rows


def _run(part: object, config: PartitionConfig, partition: str, run: str) -> PartitionReceipt:
    """Run one attempt at one partition, on a worker."""
    return ingest_partition(_rows(part), config=config, partition=partition, attempt=_attempt(run, partition))


def _attempt(run: str, partition: str) -> int:
    """Count the attempts at a partition: the scheduler keeps the number, since a worker may die."""
    keys = ["clinia", run, partition]
    with worker_client(separate_thread=False) as client:
        attempt: int = client.get_metadata(keys, 0)
        client.set_metadata(keys, attempt + 1)
    return attempt


def _rows(part: object) -> Rows:
    if not isinstance(part, Path):
        return part  # type: ignore[return-value]  # a frame, a table or a list of rows
    if format_by_name(part) is InputFormat.PARQUET:
        pyarrow()  # says what to install, where it is not
        return import_module("pyarrow.parquet").ParquetFile(open_input(part)).iter_batches(_BATCH)  # type: ignore[no-any-return]
    return cast("Rows", _lines(part))


def _lines(path: Path) -> Iterator[bytes | None]:
    """Yield the lines that are not blank; None for one that is too large."""
    with InputStream(path) as stream:
        start = stream.peek(PEEKED, until=partial(is_peeked, is_named=True))
        if checked_format(None, format_by_name(path) or InputFormat.NDJSON, start) not in _BY_LINE:
            raise InputError("a file that is no Parquet must be NDJSON: one record a line, and named so")
        splitter = LineSplitter(LARGEST_LINE)
        while block := stream.read():
            yield from (line for line in splitter.split(block) if line is None or line.strip())
        yield from (line for line in splitter.rest() if line is None or line.strip())
