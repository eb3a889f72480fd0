"""A real Dask cluster of two processes against an emulator in another one."""

import gzip
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dask import array, bag
from distributed import Client, LocalCluster

from clinia_async import (
    ColumnMapping,
    ConfigError,
    Disposition,
    InputError,
    PartitionConfig,
    ingest_partition,
)
from clinia_async.engines.on_dask import _partitions, _rows, ingest_dask
from tests.cli.served import Served
from tests.engines.same_state import load, state

KEY = "KEY_OF_THE_WORKER"
COLUMNS = ColumnMapping.parse("type==seen-at,from.id=patient,from.type==patient,to.id=ward,to.type==location")

pytestmark = pytest.mark.filterwarnings("ignore")  # of the engine's own, in its own threads


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with Served() as served:
        os.environ[KEY] = served.key
        yield served
        del os.environ[KEY]


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[Client]:
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        yield client


def config(served: Served, source: str, **more: object) -> PartitionConfig:
    return PartitionConfig(source=source, base_url=served.url, api_key_env=KEY, **more)  # type: ignore[arg-type]


def row(number: int, name: str = "pat") -> dict[str, object]:
    ends = {"from": {"id": f"{name}-{number}", "type": "patient"}, "to": {"id": "w-1", "type": "location"}}
    return {"type": "seen-at", **ends}


def test_parquet_files_are_loaded_each_on_a_worker(client: Client, served: Served, tmp_path: Path) -> None:
    paths = [tmp_path / f"part-{number}.parquet" for number in range(4)]
    for number, path in enumerate(paths):
        patients = [f"pat-{number}-{each}" for each in range(500)]
        pq.write_table(pa.table({"patient": patients, "ward": ["w-1"] * 500}), path)
    before = served.holds()
    receipts = [*ingest_dask(client, paths, config=config(served, "parquet", columns=COLUMNS))]
    assert sorted(receipt.partition for receipt in receipts) == ["0", "1", "2", "3"]
    assert all(receipt.all_landed and receipt.rows == 500 for receipt in receipts)
    assert all(receipt.tasks for receipt in receipts)
    assert served.holds() - before == 2000


def test_a_bag_of_rows_is_loaded_and_bad_rows_are_in_the_receipt(client: Client, served: Served) -> None:
    rows = [*map(row, range(20)), {"type": "seen-at"}]
    before = served.holds()
    receipts = [*ingest_dask(client, bag.from_sequence(rows, npartitions=3), config=config(served, "bag"))]
    assert sum(receipt.rows for receipt in receipts) == 21
    assert [failure.disposition for each in receipts for failure in each.failures] == [Disposition.INVALID]
    assert served.holds() - before == 20


def test_a_partition_whose_worker_dies_is_run_again_and_nothing_is_stored_twice(
    client: Client, served: Served, tmp_path: Path
) -> None:
    path, died = tmp_path / "rows.ndjson", tmp_path / "died"
    path.write_text("")
    rows = bag.from_sequence([*range(3000)], npartitions=2).map_partitions(_Dying, str(died))
    before = served.holds()
    receipts = [*ingest_dask(client, rows, config=config(served, "dies"))]
    assert died.exists()
    assert all(receipt.all_landed for receipt in receipts)
    assert sum(receipt.rows for receipt in receipts) == 3000
    assert served.holds() - before == 3000


class _Dying:
    """Rows whose reader is killed once, before one of them."""

    def __init__(self, numbers: list[int], died: str, name: str = "pat") -> None:
        self._numbers, self._died, self._name = numbers, Path(died), name

    def __iter__(self) -> Iterator[dict[str, object]]:
        for number in self._numbers:
            if number == 2500 and not self._died.exists():
                self._died.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            yield row(number, self._name)


def _each(numbers: list[int]) -> Iterator[dict[str, object]]:
    yield from map(row, numbers)


def test_partitions_that_are_iterators_can_be_read_twice_and_moved(client: Client) -> None:
    lazy = bag.from_sequence([*range(10)], npartitions=2).map_partitions(_each)
    parts = _partitions(client, lazy)
    client.replicate(parts)
    for _ in range(2):
        read = [rows for part in parts for rows in client.submit(list, part, pure=False).result()]
        assert read == [*map(row, range(10))]


@pytest.mark.campaign
def test_the_same_file_leaves_the_same_state_by_one_process_by_four_and_by_dask(
    client: Client, served: Served, tmp_path: Path
) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    for number in range(4):
        patients = [f"same-{each}" for each in range(number, 20_000, 4)]
        pq.write_table(pa.table({"patient": patients, "ward": ["w-1"] * 5000}), folder / f"{number}.parquet")
    load(served, folder, "by-one", str(COLUMNS), processes=1)
    assert load(served, folder, "by-four", str(COLUMNS), processes=4, kills=1) == 1
    rows, died = bag.from_sequence(range(20_000), npartitions=4), tmp_path / "died"
    lines = rows.map_partitions(_Dying, str(died), "same")
    assert all(receipt.all_landed for receipt in ingest_dask(client, lines, config=config(served, "by-dask")))
    whole = ingest_dask(client, sorted(folder.iterdir()), config=config(served, "by-files", columns=COLUMNS))
    assert all(receipt.all_landed for receipt in whole)
    assert died.exists()
    expected = state(served, "by-one")
    assert len(expected) == 20_000
    for way in ("by-four", "by-dask", "by-files"):
        assert state(served, way) == expected


@pytest.mark.parametrize(
    "data",
    [3, dask.delayed([]), bag.from_sequence([1]).count(), [dask.delayed([])], array.ones(4, chunks=2)],
    ids=["number", "delayed", "item", "list of delayed", "array"],
)
def test_what_is_no_collection_is_refused(data: object, client: Client, served: Served) -> None:
    with pytest.raises(ConfigError, match="data must be a Dask DataFrame"):
        ingest_dask(client, data, config=config(served, "none"))


@pytest.mark.parametrize(
    ("name", "given"),
    [
        *(("retries", each) for each in (-1, "2", 1.5, True, None)),
        *(("config", each) for each in ({}, None)),
        *(("client", each) for each in (None, "tcp://127.0.0.1:1")),
        ("data", ["a.ndjson", "a.ndjson"]),
        ("data", "a\0b"),
    ],
)
def test_a_wrong_argument_is_refused_by_the_call(
    name: str, given: Any, client: Client, served: Served, tmp_path: Path
) -> None:
    """And not by the first receipt, which may come much later."""
    right = {"client": client, "data": [tmp_path / "a"], "config": config(served, "none"), "retries": 2}
    arguments: dict[str, Any] = {**right, name: given}
    with pytest.raises(ConfigError):
        ingest_dask(arguments.pop("client"), arguments.pop("data"), **arguments)


@pytest.mark.parametrize("ending", ["ndjson", "parquet"])
def test_a_file_that_cannot_be_read_is_an_error_of_the_input(
    ending: str, client: Client, served: Served, tmp_path: Path
) -> None:
    paths = [tmp_path / f"missing.{ending}"]
    with pytest.raises(InputError, match="regular file"):
        [*ingest_dask(client, paths, config=config(served, "none"), retries=0)]


def test_a_file_that_is_written_to_while_a_worker_reads_it_is_an_error_of_the_input(
    served: Served, tmp_path: Path
) -> None:
    path = tmp_path / "x.ndjson"
    path.write_text("".join(json.dumps(row(number)) + "\n" for number in range(2)))

    def read() -> Iterator[Any]:
        for each in _rows(path):
            yield each
            os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))

    with pytest.raises(InputError, match="written to while it was read"):
        ingest_partition(read(), config=config(served, "changing"), partition=0)


LINES = "".join(json.dumps(row(number, "line")) + "\n" for number in range(3)).encode()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.ndjson", LINES),
        ("x", LINES.replace(b"\n", b"\r\n\r\n")),
        ("x.jsonl", b"\xef\xbb\xbf" + LINES),
        ("x.ndjson.gz", gzip.compress(LINES)),
    ],
)
def test_lines_are_read_as_a_job_reads_them(
    name: str, content: bytes, served: Served, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    receipt = ingest_partition(_rows(path), config=config(served, "read-alike"), partition=0)
    assert (receipt.rows, receipt.all_landed) == (3, True)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.csv", b"id,v\naa,1\n"),
        ("x", b"id,v\naa,1\n"),
        ("x.json", b"[" + LINES.splitlines()[0] + b"]"),
        ("x.ndjson", LINES.decode().encode("utf-16")),
        ("x.fhir.ndjson", b'{"resourceType":"Patient","id":"p1"}\n'),
        ("x.ndjson.zst", b""),
    ],
)
def test_a_file_of_another_format_is_refused_as_a_whole(
    name: str, content: bytes, served: Served, tmp_path: Path
) -> None:
    """Each of its lines would be a bad record."""
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError):
        ingest_partition(_rows(path), config=config(served, "none"), partition=0)
