"""A real Dask cluster of two processes against an emulator in another one."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dask import bag
from distributed import Client, LocalCluster

from clinia_async import ColumnMapping, ConfigError, Disposition, InputError, PartitionConfig
from clinia_async.engines.on_dask import _partitions, ingest_dask
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


def test_what_is_no_collection_is_refused(client: Client, served: Served) -> None:
    with pytest.raises(ConfigError, match="data must be a Dask DataFrame"):
        ingest_dask(client, 3, config=config(served, "none"))


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
