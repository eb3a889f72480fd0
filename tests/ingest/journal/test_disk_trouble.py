"""A journal that cannot be written: nothing more is sent, what flies is told truly, the job goes on later."""

import asyncio
import os
import resource
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from attrs import define, field

from clinia_async import ChunkLimits, CreateRelationship, Disposition, JournalError
from clinia_async.emulator import Accepted, Constant, Emulator
from clinia_async.errors import reason_of
from clinia_async.ingest.journal import file as journal_file
from clinia_async.ingest.journal.snapshot import read_snapshot
from tests.ingest.running import Ran, run, stored_data, writes
from tests.privileges import without_rights_of_root

RECORDS = 6
STRIDE = int(os.environ.get("STATEMENTS_APART", "5"))
"""With 1 every statement is made to fail, which takes minutes."""
MODE = Accepted(Constant(3))
WAYS = ("single", "bulk", "bundle")


@define
class Failing:
    """A connection whose `at`th statement fails: before it is done, or after, as a failed sync would."""

    plain: sqlite3.Connection
    at: int
    kind: str
    done_first: bool
    count: int = 0
    sent: int = 0
    """Chunks that may have been sent, by what was committed."""
    _sending: int = field(default=0)

    def execute(self, sql: str, values: tuple[object, ...] = ()) -> sqlite3.Cursor:
        self.count += 1
        if self.count == self.at:
            if self.done_first:
                self.plain.execute(sql, values)
            fault = sqlite3.OperationalError("secret words of the library")
            fault.sqlite_errorname = self.kind  # type: ignore[misc]
            raise fault
        found = self.plain.execute(sql, values)
        self._sending += "SENDING" in values
        if sql == "COMMIT":
            self.sent, self._sending = self.sent + self._sending, 0
        return found

    def close(self) -> None:
        self.plain.close()


@contextmanager
def connected(change: Callable[[sqlite3.Connection], object]) -> Iterator[None]:
    """Journals that are opened meanwhile are on a connection that `change` has made its own."""
    plain = journal_file._connect
    journal_file._connect = lambda path: change(plain(path))  # type: ignore[assignment, return-value]
    try:
        yield
    finally:
        journal_file._connect = plain


def options(via: str, journal: Path) -> dict[str, object]:
    return {"via": via, "chunk": ChunkLimits(operations=2), "workers": 2, "journal": journal}


def check_reported(found: Ran, emulator: Emulator) -> None:
    assert isinstance(found.error, JournalError)
    assert found.error.__context__ is None
    assert "secret" not in str(found.error)
    assert found.report.stopped_by == reason_of(found.error)
    held = stored_data(emulator)
    by_id = {each.id: number for number, each in enumerate(writes(RECORDS), 1)}
    landed = {line for kind in (Disposition.PERSISTED, Disposition.SUCCEEDED) for line in found.lines(kind)}
    assert {by_id[id_] for id_ in held} == landed, "what flew came to its end, and nothing else is there"
    assert set(found.reported) <= {Disposition.PERSISTED, Disposition.UNSENT}
    assert all(bool(each.attempts) is each.disposition.has_landed for each in found.outcomes)


@pytest.mark.campaign
@pytest.mark.parametrize("via", WAYS)
@pytest.mark.parametrize("done_first", [False, True])
async def test_a_fault_at_any_statement_stops_the_job_and_loses_nothing(
    via: str, done_first: bool, tmp_path: Path
) -> None:
    kinds = ["SQLITE_IOERR_WRITE", "SQLITE_IOERR_FSYNC", "SQLITE_FULL", "SQLITE_READONLY"]
    for at in range(2 if done_first else 1, 300, STRIDE):
        used: list[Failing] = []

        def fail(plain: sqlite3.Connection, at: int = at, used: list[Failing] = used) -> Failing:
            used.append(Failing(plain, at, kinds[at % len(kinds)], done_first))
            return used[-1]

        journal = tmp_path / f"j{at}"
        async with Emulator(default=MODE, bulk=MODE.latency, bundle=MODE) as emulator:
            with connected(fail):
                found = await run(emulator, writes(RECORDS), **options(via, journal))
            if found.error is None:
                assert found.reported == {Disposition.PERSISTED: RECORDS}
                if used[0].count < at:
                    break
                # the fault met the journal as it was closed, and has left it as one in use
            else:
                check_reported(found, emulator)
            route = {"single": "create_relationship", "bulk": "bulk_relationships"}.get(via, via)
            assert emulator.requests[route] <= used[0].sent
            again = await run(emulator, writes(RECORDS), **options(via, journal))
            assert again.reported == {Disposition.PERSISTED: RECORDS}
            assert stored_data(emulator) == {each.id: each.data for each in writes(RECORDS)}
    assert at > 10


@contextmanager
def files_limited_to(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def small(connection: sqlite3.Connection) -> sqlite3.Connection:
    connection.execute("PRAGMA max_page_count=5")
    return connection


async def test_a_full_disk(tmp_path: Path) -> None:
    """As SQLite meets it: in the pages of the database, or in the file of the log."""
    sent = writes(240)
    for name, limit in (("pages", connected(small)), ("file", files_limited_to(120_000))):
        settings = {**options("bulk", tmp_path / name), "chunk": ChunkLimits(operations=2)}
        async with Emulator(bulk=Constant(0.3)) as emulator:
            with limit:
                found = await run(emulator, sent, **settings)
            assert isinstance(found.error, JournalError), name
            assert 0 < emulator.relationships() < 240
            assert emulator.relationships() == found.reported[Disposition.PERSISTED]
            assert set(found.reported) == {Disposition.PERSISTED, Disposition.UNSENT}
            written = sum(read_snapshot(tmp_path / name).landed.values())
            again = await run(emulator, sent, **settings)
            assert again.reported == {Disposition.PERSISTED: 240}
            assert again.report.reported_before == written < 240


async def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o500)
    with without_rights_of_root():
        await refused_at(folder / "j")


async def test_a_place_where_no_file_can_be() -> None:
    await refused_at(Path("/proc/self/journal"))


async def refused_at(journal: Path) -> None:
    async with Emulator() as emulator:
        found = await run(emulator, writes(3), journal=journal)
        assert isinstance(found.error, JournalError)
        assert str(journal) not in str(found.error)
        assert not emulator.requests


def removed(path: Path) -> None:
    path.unlink()


def folder_removed(path: Path) -> None:
    shutil.rmtree(path.parent)


def renamed(path: Path) -> None:
    path.rename(path.with_name("other"))


def replaced(path: Path) -> None:
    shutil.copy(path, path.with_name("backup"))
    path.with_name("backup").replace(path)


@pytest.mark.parametrize("change", [removed, folder_removed, renamed, replaced])
@pytest.mark.parametrize("via", WAYS)
async def test_a_job_whose_journal_is_no_longer_in_its_place_stops(
    change: Callable[[Path], None], via: str, tmp_path: Path
) -> None:
    """What it would go on to write down, no later run would find."""
    journal = tmp_path / "folder" / "j"
    journal.parent.mkdir()
    async with Emulator(default=MODE, bulk=MODE.latency, bundle=MODE) as emulator:

        async def items() -> AsyncIterator[CreateRelationship]:
            for number, each in enumerate(writes(60)):
                if number == 20:
                    change(journal)
                yield each
                await asyncio.sleep(1.0)

        found = await run(emulator, items(), **options(via, journal))
        assert isinstance(found.error, JournalError)
        assert "moved or removed" in str(found.error)
        landed = found.reported[Disposition.PERSISTED]
        assert 0 < landed < 40
        assert landed == len(stored_data(emulator)), "what flew came to its end, and is told"
        assert set(found.reported) <= {Disposition.PERSISTED, Disposition.UNSENT}
        if journal.parent.exists():  # and the next run does not begin anew as if nothing had been sent
            again = await run(emulator, writes(60), **options(via, journal))
            assert isinstance(again.error, JournalError)


async def test_what_to_do_about_a_full_disk_is_not_to_begin_another_journal(tmp_path: Path) -> None:
    async with Emulator() as emulator:
        with connected(small):
            found = await run(emulator, writes(240), **options("bulk", tmp_path / "j"))
    assert "with this journal" in str(found.error)
    assert "name another" not in str(found.error)
