"""Progress goes to stderr: live on a terminal, now and then elsewhere, and never where the report goes."""

import asyncio
import bz2
import gzip
import lzma
import os
import pty
import random
import re
import sys
import tempfile
import threading
import zipfile
from collections.abc import Callable
from io import BufferedReader
from pathlib import Path
from typing import cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clinia_async import ChunkLimits, Ingestion, read_records
from clinia_async.cli.input_files import input_size
from clinia_async.cli.progress import OCCASIONAL, Progress, duration, shown
from clinia_async.cli.stdin import interruptible_stdin
from clinia_async.emulator import Constant, Emulator
from clinia_async.ingest.outcomes.outcome import Disposition
from clinia_async.ingest.outcomes.report import Report
from clinia_async.ingest.readers.compression import READ_POSITION, ReadPosition
from clinia_async.transport.adaptive_limit import AdaptiveLimit
from clinia_async.transport.permits import LoadSignal
from tests.cli.program import DIRTY, line, start
from tests.factories import session_at
from tests.patience import PATIENCE


def _report() -> Report:
    report = Report(read=1500)
    report.by_disposition.update({Disposition.PERSISTED: 1000, Disposition.FAILED: 200})
    return report


def _position(size: int, records: int) -> ReadPosition:
    """The position after `records` records that take `size` bytes of a file of a thousand."""
    position = ReadPosition()
    with tempfile.TemporaryFile() as file:
        file.write(b"x" * 1000)
        file.flush()
        position.follow(cast("BufferedReader", file))
    position.at(size / 1000)
    position.take(records)
    return position


async def test_the_line_has_counts_rate_time_share_and_requests() -> None:
    progress = Progress(_report(), AdaptiveLimit(), bytes_total=400, bytes_done=_position(100, 1500).of)
    await asyncio.sleep(10)
    assert progress.line() == (
        "1,500 read, 300 waiting, 1,000 landed, 200 did not, 120 records/s, 0:10 elapsed, 20% of the file,"
        " about 0:40 left, 0 requests in flight"
    )


async def test_a_pipe_has_a_rate_and_no_time_left() -> None:
    progress = Progress(_report(), AdaptiveLimit(), bytes_done=ReadPosition().of)
    await asyncio.sleep(10)
    assert progress.line().endswith(
        "120 records/s, 0:10 elapsed, time left unknown (a pipe), 0 requests in flight"
    )


async def test_what_an_earlier_run_did_says_nothing_about_the_time_left() -> None:
    report = Report(read=800, reported_before=800)
    report.by_disposition[Disposition.PERSISTED] = 800
    position = _position(800, 800)
    progress = Progress(report, AdaptiveLimit(), bytes_total=1000, bytes_done=position.of)
    await asyncio.sleep(2)  # 80 % of the file in two seconds, of which nothing was sent
    assert "80% of the file, time left not known yet" in progress.line()
    await asyncio.sleep(10)
    position.at(0.9)
    position.take(900)
    report.by_disposition[Disposition.PERSISTED] = 900
    assert "90% of the file, about 0:10 left" in progress.line()


async def test_no_time_is_promised_while_nothing_comes_to_an_end() -> None:
    progress = Progress(_report(), AdaptiveLimit(), bytes_total=400, bytes_done=_position(100, 1500).of)
    for _ in range(30):
        await asyncio.sleep(5)
        line = progress.line()
    assert "20% of the file, time left not known yet" in line


ROWS, BULK = 400, 20
TOOK = 10.0
"""Seconds that each bulk takes."""


def _ndjson(path: Path, start: int = 0, stop: int = ROWS) -> bytes:
    draw = random.Random(1)  # so that there is something to compress
    lines = (line(f"prac-{number}", data={"x": draw.randbytes(200).hex()}) for number in range(start, stop))
    content = "".join(lines).encode()
    path.write_bytes(content)
    return content


def _table(start: int = 0, stop: int = ROWS) -> dict[str, list[str]]:
    count = stop - start
    ends = {"from.id": [f"prac-{number}" for number in range(start, stop)], "to.id": ["org-1"] * count}
    same = {"type": "practises-at", "from.type": "practitioner", "to.type": "organization"}
    return ends | {name: [value] * count for name, value in same.items()}


def _plain(folder: Path) -> list[Path]:
    _ndjson(folder / "a.ndjson")
    return [folder / "a.ndjson"]


def _packed(name: str, pack: Callable[[bytes], bytes]) -> Callable[[Path], list[Path]]:
    def make(folder: Path) -> list[Path]:
        path = folder / f"a.ndjson.{name}"
        path.write_bytes(pack(_ndjson(folder / "plain")))
        return [path]

    return make


def _in_parts(content: bytes) -> list[bytes]:
    """Of bzip2 nothing can be read before a whole block is there, of 900 kB, or a whole stream."""
    return [content[start : start + 10_000] for start in range(0, len(content), 10_000)]


def _zip(folder: Path) -> list[Path]:
    with zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.ndjson", _ndjson(folder / "plain"))
    return [folder / "a.zip"]


def _parquet(folder: Path) -> list[Path]:
    pq.write_table(pa.table(_table()), folder / "a.parquet", row_group_size=150)
    return [folder / "a.parquet"]


def _csv(folder: Path) -> list[Path]:
    table = _table()
    lines = [",".join(table), *(",".join(row) for row in zip(*table.values(), strict=True))]
    (folder / "a.csv").write_text("\n".join(lines))
    return [folder / "a.csv"]


def _several(folder: Path) -> list[Path]:
    """Plain, compressed and Parquet, of as many rows each: the last is a small part of the bytes."""
    third = ROWS // 3
    _ndjson(folder / "a.ndjson", 0, third)
    (folder / "b.ndjson.gz").write_bytes(gzip.compress(_ndjson(folder / "plain", third, 2 * third)))
    pq.write_table(pa.table(_table(2 * third, ROWS)), folder / "c.parquet")
    return [folder / "a.ndjson", folder / "b.ndjson.gz", folder / "c.parquet"]


FORMATS: dict[str, Callable[[Path], list[Path]]] = {
    "ndjson": _plain,
    "gzip": _packed("gz", gzip.compress),
    "bzip2": _packed("bz2", lambda content: b"".join(map(bz2.compress, _in_parts(content)))),
    "xz": _packed("xz", lzma.compress),
    "zip": _zip,
    "csv": _csv,
    "parquet": _parquet,
}


@pytest.fixture
def _one_chunk_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """And few bytes at a time: of a large file a block is a small part."""
    monkeypatch.setattr("clinia_async.ingest.pipeline.pending_chunks.MOST_RECORDS", BULK)
    monkeypatch.setattr("clinia_async.ingest.readers.compression.BLOCK", 4 * 1024)
    monkeypatch.setattr("clinia_async.ingest.readers.parquet_reader._ROWS", BULK)


async def _run(paths: list[Path]) -> tuple[list[tuple[float, float | None, str]], float]:
    """Load files, a bulk at a time. Return time, time left and line, every 20 s, and the whole time."""
    seen: list[tuple[float, float | None, str]] = []
    async with Emulator(bulk=Constant(TOOK)) as emulator, session_at(emulator) as session:
        loop, position = asyncio.get_running_loop(), ReadPosition()
        READ_POSITION.set(position)
        records = read_records(paths, "ehr")
        job = Ingestion(session, "ehr", records, workers=1, chunk=ChunkLimits(operations=BULK))
        progress = Progress(job.report, AdaptiveLimit(), input_size(tuple(paths)), position.of)

        async def sample() -> None:
            while True:
                await asyncio.sleep(20)
                text = progress.line()
                left = re.search(r"about (\d+):(\d+) left", text)
                seconds = None if left is None else int(left[1]) * 60 + int(left[2])
                seen.append((loop.time() - progress.started, seconds, text))

        sampling = asyncio.create_task(sample())
        async with job:
            assert [outcome async for outcome in job.unlanded()] == []
        sampling.cancel()
        await asyncio.gather(sampling, return_exceptions=True)
        assert job.report.landed == ROWS
        assert position() == progress.bytes_total
        return seen, loop.time() - progress.started


@pytest.mark.usefixtures("_one_chunk_at_a_time")
@pytest.mark.parametrize("name", FORMATS)
async def test_the_time_left_is_right_whatever_the_format(name: str, tmp_path: Path) -> None:
    seen, took = await _run(FORMATS[name](tmp_path))
    assert took >= ROWS / BULK * TOOK
    _, *later = [(at, left) for at, left, _ in seen]
    assert len(later) > 5
    for at, left in later:
        assert left is not None
        # as exact as can be known from whole bulks, of which one may be about to end
        assert abs(at + left - took) <= TOOK + 1.5 * took * TOOK / at, (at, left, took)


@pytest.mark.usefixtures("_one_chunk_at_a_time")
async def test_several_files_are_summed_up(tmp_path: Path) -> None:
    seen, _ = await _run(_several(tmp_path))
    shares = [int(found[1]) for _, _, text in seen if (found := re.search(r"(\d+)% of the file", text))]
    assert shares == sorted(shares)
    assert 0 < shares[0] < shares[-1] <= 100


async def test_the_rate_is_that_of_the_last_ten_seconds() -> None:
    report = Report()
    progress = Progress(report, AdaptiveLimit())
    rates = []
    for per_second in (100, 300):
        for _ in range(30):
            await asyncio.sleep(1)
            report.by_disposition[Disposition.PERSISTED] += per_second
            line = progress.line()
        rates.append(line.split(", ")[4])
    assert rates == ["100 records/s", "300 records/s"]


async def test_records_of_an_earlier_run_are_no_rate() -> None:
    report = Report(reported_before=1200)
    report.by_disposition[Disposition.PERSISTED] = 1200
    progress = Progress(report, AdaptiveLimit())
    await asyncio.sleep(5)
    assert ", 0 records/s, " in progress.line()


async def test_a_throttle_says_its_status_and_when_the_next_try_is() -> None:
    now, limit = asyncio.get_running_loop().time(), AdaptiveLimit(jitter=lambda: 0.0)
    limit.last_throttle = "503"
    limit.leave(limit.enter(1, now), LoadSignal.THROTTLED, now, retry_after=20)
    progress = Progress(_report(), limit)
    assert progress.line().endswith("0 requests in flight, 503, next try in 20 s")
    await asyncio.sleep(21)
    assert progress.line().endswith("0 requests in flight")


def test_standard_input_may_be_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path, position = tmp_path / "a.ndjson", ReadPosition()
    path.write_text(line("aa"))
    with path.open() as file:
        monkeypatch.setattr("sys.stdin", file)
        assert input_size(None) == path.stat().st_size
        with interruptible_stdin():
            position.follow(cast("BufferedReader", sys.stdin.buffer))
            sys.stdin.buffer.read()
            assert position() == path.stat().st_size


def test_a_pipe_has_no_size(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading) as pipe, os.fdopen(writing, "w"):
        monkeypatch.setattr("sys.stdin", pipe)
        assert input_size(None) is None


def test_durations() -> None:
    assert [duration(seconds) for seconds in (0, 65.4, 3725)] == ["0:00", "1:05", "1:02:05"]


async def test_a_line_every_five_seconds_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with shown(lambda: "line"):
        await asyncio.sleep(OCCASIONAL * 2.5)
    assert capsys.readouterr() == ("", "line\nline\n")


async def test_a_short_run_prints_no_progress(capsys: pytest.CaptureFixture[str]) -> None:
    async with shown(lambda: "line"):
        await asyncio.sleep(OCCASIONAL / 2)
    assert capsys.readouterr() == ("", "")


def test_a_terminal_shows_it_live_and_the_report_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    screen, terminal = pty.openpty()
    shown: list[bytes] = []
    reading = threading.Thread(target=_read_all, args=(screen, shown))
    reading.start()
    process = start("ingest", DIRTY, "--source", "s", "--emulator", "--json", stderr=terminal)
    os.close(terminal)
    out, _ = process.communicate(timeout=PATIENCE)
    reading.join(PATIENCE)
    os.close(screen)
    assert process.returncode == 1
    assert out.startswith(b'{"read": 990, ')
    assert b"starting" in b"".join(shown)
    assert b"\x1b[?25h" in b"".join(shown)  # the cursor is there again


def _read_all(screen: int, shown: list[bytes]) -> None:
    while True:
        try:
            piece = os.read(screen, 4096)
        except OSError:  # the last process that had the terminal has closed it
            return
        if not piece:
            return
        shown.append(piece)
