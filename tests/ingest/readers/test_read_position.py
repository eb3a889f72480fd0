"""How far an input has been read is known while it is read: by the bytes of its files, compressed or not."""

import gzip
from pathlib import Path

from clinia_async import read_records
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
