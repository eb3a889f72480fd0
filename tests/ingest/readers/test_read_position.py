"""How far an input has been read is known while it is read: by the bytes of its files, compressed or not."""

import gzip
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from clinia_async import TableOptions, read_records
from clinia_async.ingest.readers.compression import READ_POSITION, ReadPosition

LINE = b'{"type": "t", "from": {"id": "aa", "type": "p"}, "to": {"id": "bb", "type": "o"}}\n'


async def _positions(*paths: Path) -> list[int | None]:
    position = ReadPosition()
    token = READ_POSITION.set(position)
    found = [position()]
    try:
        for path in paths:
            async for _ in read_records(path, "s"):
                found.append(position())  # noqa: PERF401  each is asked for while the next record is not read
    finally:
        READ_POSITION.reset(token)
    return [*dict.fromkeys(found), position()]


async def test_it_grows_from_none_to_the_size_of_all_files(tmp_path: Path) -> None:
    plain, packed = tmp_path / "a.ndjson", tmp_path / "b.ndjson.gz"
    plain.write_bytes(LINE * 10_000)
    packed.write_bytes(gzip.compress(LINE * 10_000))
    found = await _positions(plain, packed)
    first, *known = found
    assert first is None
    assert known == sorted(known)
    assert len(set(known)) > 3
    assert known[-1] == plain.stat().st_size + packed.stat().st_size


async def test_nothing_is_known_where_nobody_asks(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(LINE)
    assert [record async for record in read_records(path, "s")]
    assert READ_POSITION.get() is None


async def test_of_parquet_it_is_the_share_of_its_rows(tmp_path: Path) -> None:
    path, rows = tmp_path / "a.parquet", 5000
    table = {"type": ["t"], "from.id": ["aa"], "from.type": ["p"], "to.id": ["bb"], "to.type": ["o"]}
    parquet.write_table(pa.table({name: values * rows for name, values in table.items()}), path)
    found = await _positions(path)
    size = path.stat().st_size
    first, *known = found
    shares = {size * done // rows for done in range(rows + 1)}
    assert first is None
    assert known == sorted(known)
    assert len(set(known)) > 3
    assert set(known) <= shares
    assert known[-1] == size


async def test_a_file_of_which_the_rest_is_not_needed_counts_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("type,from.id,from.type,to.id,to.type\n" + "t,aa,p,bb,o\n" * 100_000)
    position = ReadPosition()
    token = READ_POSITION.set(position)
    records = read_records(path, "s", table=TableOptions(limit=1))
    assert len([record async for record in records]) == 1
    READ_POSITION.reset(token)
    assert position() == path.stat().st_size


async def test_records_are_turned_into_bytes_by_what_was_taken_so_far(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(LINE * 10)
    position = ReadPosition()
    with path.open("rb") as file:
        position.follow(file)
        assert position.of(0) is None
        file.read()
        position.take(10)
        assert [position.of(records) for records in (0, 5, 10, 20)] == [
            0,
            5 * len(LINE),
            10 * len(LINE),
            10 * len(LINE),  # no more than was read
        ]
