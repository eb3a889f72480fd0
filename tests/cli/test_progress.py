"""How a long run stands: often on a terminal, at times elsewhere, and never where the report goes."""

import asyncio
import os
import pty
import threading

import pytest

from clinia_async.cli.progress import OCCASIONAL, progress, progress_line
from clinia_async.ingest import Disposition, Report
from tests.cli.program import DIRTY, start


def _report() -> Report:
    report = Report(read=1500)
    report.by_disposition.update({Disposition.PERSISTED: 1000, Disposition.FAILED: 200})
    return report


LINE = "1,500 read, 300 under way, 1,000 landed, 200 did not"


def test_the_counts() -> None:
    assert progress_line(_report()) == LINE


async def test_a_line_at_times(capsys: pytest.CaptureFixture[str]) -> None:
    async with progress(_report()):
        await asyncio.sleep(OCCASIONAL * 2.5)
    assert capsys.readouterr() == ("", f"{LINE}\n{LINE}\n")


async def test_a_short_run_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    async with progress(_report()):
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
        except OSError:  # the last who had the terminal has closed it
            return
        if not piece:
            return
        shown.append(piece)
