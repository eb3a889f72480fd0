"""Compressed inputs: known by their first bytes, decompressed as they are read, refused if damaged."""

import gzip
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import zstandard

from clinia_async import BadRecord, InputError, Record, read_ndjson, read_records
from clinia_async.ingest.readers import compression as archives
from tests.ingest.running import SOURCE

GOOD = b'{"type":"t","from":{"id":"%d","type":"a"},"to":{"id":"z","type":"b"},"data":{"x":"CANARY"}}\n'
LINES = b"".join(GOOD % number for number in range(20_000))


def zstd(content: bytes, **parameters: int) -> bytes:
    # without a checksum, which the program writes unless it is told not to, damage may not be seen
    settings = zstandard.ZstdCompressionParameters(write_checksum=True, **parameters)
    return zstandard.ZstdCompressor(compression_params=settings).compress(content)


def streamed(content: bytes) -> bytes:
    """A frame that does not say how large it is, with a checksum, as a program writes to a pipe."""
    packer = zstandard.ZstdCompressor(write_checksum=True, write_content_size=False).compressobj()
    return packer.compress(content) + packer.flush()


SKIPPED = b"\x50\x2a\x4d\x18\x05\x00\x00\x00about"
Pack = Callable[[bytes], bytes]
PACKS: Sequence[Pack] = [
    lambda content: content,
    gzip.compress,
    lambda content: gzip.compress(content[:777]) + gzip.compress(content[777:]),
    zstd,
    streamed,
    lambda content: zstd(content[:777]) + streamed(content[777:]) + zstd(b""),
    lambda content: SKIPPED + zstd(content[:777]) + SKIPPED + zstd(content[777:]) + SKIPPED,
    lambda content: zstd(content, window_log=27, enable_ldm=True),
]


async def read(path: Path) -> list[object]:
    return [each async for each in read_ndjson(path, SOURCE)]


@pytest.mark.parametrize("pack", PACKS)
async def test_every_line_comes_out(pack: Pack, tmp_path: Path) -> None:
    path = tmp_path / "input"
    path.write_bytes(pack(LINES))
    found = [each async for each in read_ndjson(path, SOURCE)]
    assert [each.line for each in found] == list(range(1, 20_001))
    assert b"".join(each.text + b"\n" for each in found if isinstance(each, Record) and each.text) == LINES


@pytest.mark.parametrize("pack", PACKS[1:])
@pytest.mark.parametrize("lost", [1, 5, 1000])
async def test_an_archive_whose_end_is_missing_is_an_error(pack: Pack, lost: int, tmp_path: Path) -> None:
    packed = pack(LINES)
    if packed.endswith((SKIPPED, zstd(b""))):
        packed = packed.removesuffix(SKIPPED).removesuffix(zstd(b""))
    path = tmp_path / "input"
    path.write_bytes(packed[:-lost])
    with pytest.raises(InputError, match="damaged") as caught:
        await read(path)
    assert "CANARY" not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("pack", [gzip.compress, zstd, streamed])
@pytest.mark.parametrize("place", [0.2, 0.5, 0.9])
async def test_damage_inside_an_archive_is_an_error(pack: Pack, place: float, tmp_path: Path) -> None:
    packed = bytearray(pack(LINES))
    at = int(len(packed) * place)
    packed[at : at + 40] = b"\xff" * 40
    path = tmp_path / "input"
    path.write_bytes(packed)
    with pytest.raises(InputError, match="damaged") as caught:
        await read(path)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("pack", [gzip.compress, zstd])
async def test_what_follows_an_archive_and_is_none_is_an_error(pack: Pack, tmp_path: Path) -> None:
    path = tmp_path / "input"
    path.write_bytes(pack(LINES) + b"rubbish at the end")
    with pytest.raises(InputError, match="damaged"):
        await read(path)


async def test_a_frame_that_asks_for_an_absurd_window_is_refused(tmp_path: Path) -> None:
    settings = zstandard.ZstdCompressionParameters(window_log=30, enable_ldm=True)
    packer = zstandard.ZstdCompressor(compression_params=settings).compressobj()
    path = tmp_path / "input"
    path.write_bytes(packer.compress(LINES) + packer.flush())
    with pytest.raises(InputError, match="window"):
        await read(path)


@pytest.mark.parametrize("pack", [gzip.compress, zstd])
async def test_a_bomb_of_one_endless_line_is_one_bad_record(pack: Pack, tmp_path: Path) -> None:
    path = tmp_path / "input"
    path.write_bytes(pack(b"x" * 100_000_000 + b"\n" + GOOD % 1))
    assert path.stat().st_size < 200_000
    found = [each async for each in read_ndjson(path, SOURCE)]
    assert [type(each) for each in found] == [BadRecord, Record]


def test_no_step_of_a_bomb_is_large(tmp_path: Path) -> None:
    path = tmp_path / "input"
    path.write_bytes(zstd(b"x" * 300_000_000))
    largest = total = 0
    with archives.open_input(path) as raw:
        stream = archives.decompressed(raw)
        while block := archives.read_block(stream):
            largest = max(largest, len(block))
            total += len(block)
    assert total == 300_000_000
    assert largest <= 2**21 + archives.BLOCK


def test_without_its_extra_it_says_how_to_install_it(tmp_path: Path) -> None:
    path = tmp_path / "input.zst"
    path.write_bytes(zstd(LINES))
    program = f"""
import asyncio, sys
sys.modules["zstandard"] = None
from pathlib import Path
from clinia_async import InputError, read_ndjson
async def main():
    async for each in read_ndjson(Path({str(path)!r}), "s"): pass
try:
    asyncio.run(main())
except InputError as error:
    print(error, error.__context__)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "a zstd archive needs `zstandard`: pip install 'clinia-async[zstd]' None\n"


@pytest.mark.parametrize("name", ["x.ndjson.gz", "x.csv.ZST", "x.json.bz2", "x.xz", "x.fhir.ndjson.zip"])
async def test_a_file_of_no_bytes_is_none_that_is_compressed(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.touch()
    with pytest.raises(InputError, match="is empty"):
        [each async for each in read_records(path, SOURCE)]


@pytest.mark.parametrize("pack", [gzip.compress, zstd])
async def test_no_records_may_be_compressed(pack: Pack, tmp_path: Path) -> None:
    path = tmp_path / "x.ndjson.gz"
    path.write_bytes(pack(b""))
    assert await read(path) == []
