"""Systems other than Linux: what cannot be kept there is refused in words, and a sync reaches the disk."""

import fcntl
import os
import sqlite3
from pathlib import Path

import pytest

from clinia_async import ConfigError, DeadLetters, JournalError
from clinia_async.emulator import Emulator
from clinia_async.ingest.journal import file as journal_file
from clinia_async.ingest.journal.sync import sync
from tests.ingest.running import run, write


@pytest.fixture
def without_posix(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Python lacks on Windows."""
    for name in ("geteuid", "fchmod", "O_NOFOLLOW", "O_CLOEXEC"):
        monkeypatch.delattr(os, name)


def is_empty(folder: Path) -> bool:
    return not any(folder.iterdir())


@pytest.mark.usefixtures("without_posix")
async def test_a_journal_needs_posix_and_says_so_before_anything_is_sent(tmp_path: Path) -> None:
    async with Emulator() as emulator:
        found = await run(emulator, [write("p1", "org-1")], journal=tmp_path / "load.db")
        assert isinstance(found.error, JournalError)
        assert "POSIX" in str(found.error)
        assert not emulator.requests["bulk_relationships"]
    assert is_empty(tmp_path)


@pytest.mark.usefixtures("without_posix")
def test_dead_letters_need_posix_and_say_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="POSIX"):
        DeadLetters(tmp_path / "bad.ndjson")
    assert is_empty(tmp_path)


@pytest.mark.usefixtures("without_posix")
async def test_a_job_without_files_needs_no_posix() -> None:
    async with Emulator() as emulator:
        found = await run(emulator, [write("p1", "org-1")])
        assert found.error is None
        assert emulator.relationships() == 1


@pytest.mark.parametrize("refused", [False, True], ids=["granted", "refused by the file system"])
def test_a_sync_on_macos_asks_the_disk_itself(
    refused: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def control(descriptor: int, command: int) -> None:
        asked.append(f"fcntl {command}")
        if refused:
            raise OSError

    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", control)
    monkeypatch.setattr(os, "fsync", lambda _: asked.append("fsync"))
    sync(tmp_path)
    assert asked == ["fcntl 51", *(["fsync"] if refused else [])]


def test_a_commit_of_a_journal_asks_the_disk_itself(tmp_path: Path) -> None:
    connection: sqlite3.Connection = journal_file.open_file(tmp_path / "load.db")
    try:
        found = [
            connection.execute(f"PRAGMA {name}").fetchone()
            for name in ("synchronous", "fullfsync", "checkpoint_fullfsync")
        ]
    finally:
        connection.close()
    assert found == [(2,), (1,), (1,)]
