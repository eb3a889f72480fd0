"""Progress goes to stderr: live on a terminal, now and then elsewhere, and never where the report goes."""

import asyncio
import os
import pty
import threading

import pytest

from clinia_async.cli.progress import OCCASIONAL, Progress, duration, shown
from clinia_async.ingest import Disposition, Report
from clinia_async.transport.adaptive_limit import AdaptiveLimit, LoadSignal
from tests.cli.program import DIRTY, start


def _report() -> Report:
    report = Report(read=1500)
    report.by_disposition.update({Disposition.PERSISTED: 1000, Disposition.FAILED: 200})
    return report


async def test_the_line_has_counts_rate_time_share_and_requests() -> None:
    progress = Progress(_report(), AdaptiveLimit(), bytes_total=400, bytes_read=lambda: 100)
    await asyncio.sleep(10)
    assert progress.line() == (
        "1,500 read, 300 waiting, 1,000 landed, 200 did not, 120 records/s, 0:10 elapsed, 25% of the file,"
        " about 0:30 left, 0 requests in flight"
    )


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
    out, _ = process.communicate(timeout=60)
    reading.join(60)
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
