"""A job with a journal, stopped at any moment, goes on as if it had never been."""

import asyncio
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clinia_async import (
    ChunkLimits,
    CreateResource,
    Disposition,
    Ingestion,
    JournalBusy,
    JournalError,
    JournalMismatch,
    read_ndjson,
)
from clinia_async.emulator import Accepted, Constant, Emulator, LogNormal, LostReply, Persisted, Unavailable
from clinia_async.ingest.journal.replay import Replay
from clinia_async.ingest.readers.ndjson import LineReader, UnreadLines
from tests.ingest.running import (
    BOTH_WAYS,
    SOURCE,
    ran,
    run,
    session_for,
    stored_data,
    write,
    writes,
)

SMALL = ChunkLimits(operations=10)


async def cut_off(emulator: Emulator, items: object, after: int, **options: object) -> Ingestion:
    """Runs a job and drops it without a word after so many outcomes, as far as a process can to itself."""
    async with session_for(emulator) as session:
        job = Ingestion(session, SOURCE, items, **options)  # type: ignore[arg-type]
        async with job:
            count = 0
            async for _ in job:
                count += 1
                if count >= after:
                    break
        await session.aclose(grace=0)
    return job


@pytest.mark.parametrize("via", BOTH_WAYS)
@pytest.mark.parametrize("mode", [Persisted(), Accepted(LogNormal(0.4, 0.8))])
async def test_a_job_goes_on_where_it_was_cut_off(
    via: str, mode: Persisted | Accepted, tmp_path: Path
) -> None:
    sent, options = writes(200), {"via": via, "chunk": SMALL, "workers": 3, "journal": tmp_path / "j"}
    async with Emulator(default=mode, bulk=LogNormal(0.4, 0.8)) as emulator:
        runs = 0
        while True:
            job = await cut_off(emulator, sent, 37, **options)
            runs += 1
            if job.report.stopped_by is None or runs > 20:
                break
        found = await run(emulator, sent, **options)
        held = stored_data(emulator)
    assert 2 < runs <= 20
    assert held == {each.id: each.data for each in sent}
    assert found.error is None
    assert found.reported == {Disposition.PERSISTED: 200}
    assert found.report.reported_before == 200
    assert not found.report.sent, "what landed is not sent again"


@pytest.mark.parametrize("via", BOTH_WAYS)
async def test_failures_of_previous_runs_are_reported_again_in_full(via: str, tmp_path: Path) -> None:
    items = [*writes(60), *(write(f"prac-{n}", f"org-{n % 7}", number=-1) for n in range(0, 60, 3))]
    options = {"via": via, "chunk": SMALL, "journal": tmp_path / "j"}
    async with Emulator() as emulator:
        first = await run(emulator, items, **options)
        again = await run(emulator, items, **options)
    assert first.report.by_disposition[Disposition.FAILED] == 20
    assert again.report.by_disposition == first.report.by_disposition
    assert again.report.reasons == first.report.reasons
    assert again.lines(Disposition.FAILED) == first.lines(Disposition.FAILED)
    assert all(each.reported_before and each.attempts == 1 for each in again.outcomes)
    assert len(again.outcomes) == 20


async def test_what_is_accepted_is_waited_for_and_not_sent_again(tmp_path: Path) -> None:
    options = {"via": "bulk", "chunk": SMALL, "workers": 2, "journal": tmp_path / "j"}
    async with Emulator(bulk=Constant(30)) as emulator:
        async with session_for(emulator) as session:
            job = Ingestion(session, SOURCE, writes(20), **options)  # type: ignore[arg-type]
            async with job:
                await asyncio.sleep(10)
        assert set(job.report.by_disposition) == {Disposition.UNKNOWN}
        sent = emulator.requests["bulk_relationships"]
        found = await run(emulator, writes(20), **options)
        assert emulator.requests["bulk_relationships"] == sent == 2
    assert found.reported == {Disposition.PERSISTED: 20}
    assert not found.report.sent


async def test_what_somebody_else_stored_is_no_success_of_a_job_that_waited_for_its_answer(
    tmp_path: Path,
) -> None:
    """The only attempt was accepted, so no answer was lost: a key that is taken was taken by others."""
    options = {"via": "bulk", "chunk": SMALL, "journal": tmp_path / "j", "on_existing": "fail"}
    async with Emulator(bulk=Constant(5)) as emulator:
        await run(emulator, writes(10))
        async with (
            session_for(emulator) as session,
            Ingestion(session, SOURCE, writes(10), **options),  # type: ignore[arg-type]
        ):
            await asyncio.sleep(2)
        assert emulator.requests["bulk_relationships"] == 2
        found = await run(emulator, writes(10), **options)
    assert found.reported == {Disposition.FAILED: 10}
    assert not found.report.reconciled


async def test_a_task_that_could_not_be_watched_to_its_end_is_watched_by_the_next_run(tmp_path: Path) -> None:
    """Even of creates whose ids the service makes: they are not sent again, and their ends are known."""
    items = [CreateResource(SOURCE, "patient", data={"n": n}) for n in range(5)]
    async with Emulator(bulk=Constant(30)) as emulator:
        emulator.faults.add(Unavailable(route="get_task"))
        first = await run(emulator, items, journal=tmp_path / "j")
        emulator.faults.clear()
        again = await run(emulator, items, journal=tmp_path / "j")
        assert emulator.requests["bulk_resources"] == 1
    assert set(first.report.by_disposition) == {Disposition.UNKNOWN}
    assert again.report.by_disposition == {Disposition.SUCCEEDED: 5}


@pytest.mark.parametrize("via", BOTH_WAYS)
async def test_what_was_on_its_way_is_reconciled_as_its_own(via: str, tmp_path: Path) -> None:
    """The answers of the first run are all lost: the second one finds its records there, and knows them."""
    options = {"via": via, "chunk": SMALL, "workers": 2, "journal": tmp_path / "j", "on_existing": "fail"}
    async with Emulator() as emulator:
        for route in ("create_relationship", "bulk_relationships"):
            emulator.faults.add(LostReply(route=route))
        first = await run(emulator, writes(20), patience=0.5, **options)
        emulator.faults.clear()
        assert emulator.relationships() > 0
        assert set(first.report.by_disposition) <= {Disposition.UNKNOWN, Disposition.UNSENT}
        found = await run(emulator, writes(20), **options)
        assert stored_data(emulator) == {each.id: each.data for each in writes(20)}
    assert found.reported == {Disposition.PERSISTED: 20}
    assert found.report.reconciled > 0


async def test_other_input_another_source_or_service_is_refused(tmp_path: Path) -> None:
    journal = tmp_path / "j"
    changed = [*writes(5), write("other", "org-1"), *writes(20)[6:]]
    async with Emulator() as emulator:
        await run(emulator, writes(20), journal=journal, chunk=SMALL)
        requests = emulator.requests.total()
        for items in (changed, writes(19)):
            found = await run(emulator, items, journal=journal)
            assert isinstance(found.error, JournalMismatch)
        async with Emulator() as another:
            assert isinstance((await run(another, writes(20), journal=journal)).error, JournalMismatch)
            assert not another.requests
        async with session_for(emulator) as session:
            with pytest.raises(JournalMismatch, match="its source is not the same"):
                await Ingestion(session, "other", [], journal=journal).run()
            with pytest.raises(JournalMismatch, match="its input is not the same"):
                await Ingestion(session, SOURCE, [], journal=journal, input_id="x").run()
            with pytest.raises(JournalMismatch, match="its way is not the same"):
                await Ingestion(session, SOURCE, [], journal=journal, via="single").run()
        assert emulator.requests.total() == requests


async def test_a_second_job_on_one_journal_fails_at_once(tmp_path: Path) -> None:
    journal = tmp_path / "j"
    async with Emulator(bulk=Constant(30)) as emulator, session_for(emulator) as session:
        async with Ingestion(session, SOURCE, writes(5), journal=journal):
            await asyncio.sleep(1)
            found = await ran(session, writes(5), journal=journal)
        assert isinstance(found.error, JournalBusy)
        assert emulator.requests["bulk_relationships"] == 1


def spoiled(journal: Path) -> Iterator[tuple[str, str]]:
    """Each way in which a journal may be unfit, and what is said of it."""
    whole = journal.read_bytes()
    yield "is empty", _replaced(journal, b"")
    yield "damaged", _replaced(journal, b"no database at all" * 300)
    yield "damaged", _replaced(journal, whole[:4096] + b"\xff" * (len(whole) - 4096))
    yield "no journal", _with(journal, whole, "PRAGMA application_id=7")
    yield "is of version 99", _with(journal, whole, "PRAGMA user_version=99")
    for change in (
        "INSERT INTO chunk VALUES (9999, 'PLANNED', '1', 0, 0, NULL, NULL, X'0000000000000000')",
        "DELETE FROM chunk WHERE id = 7",
        "UPDATE chunk SET positions = '7' WHERE id = 8",
        "UPDATE chunk SET checksum = (SELECT checksum FROM chunk WHERE id = 1) WHERE id = 2",
        "UPDATE job SET read_to = read_to - 1",
        "UPDATE job SET one = 2",
        "DELETE FROM job",
    ):
        yield "does not hold what was written", _with(journal, whole, change)
    yield "its tables are not as they were made", _with(journal, whole, "CREATE INDEX i ON chunk(state)")
    _replaced(journal, whole)
    journal.chmod(0o644)
    yield "readable by nobody else", ""
    journal.chmod(0o600)
    journal.rename(journal.with_name("target"))
    journal.symlink_to("target")
    yield "symbolic link", ""
    journal.unlink()
    journal.mkdir()
    yield "regular file", ""


def _replaced(journal: Path, content: bytes) -> str:
    journal.write_bytes(content)
    return ""


def _with(journal: Path, whole: bytes, statement: str) -> str:
    journal.write_bytes(whole)
    with sqlite3.connect(journal, isolation_level=None) as connection:
        connection.execute(statement)
    connection.close()
    return ""


async def test_an_unfit_journal_is_refused_and_nothing_is_sent(tmp_path: Path) -> None:
    journal = tmp_path / "j"
    async with Emulator() as emulator:
        await run(emulator, writes(300), journal=journal, chunk=ChunkLimits(operations=1))
        requests = emulator.requests.total()
        for words, _ in spoiled(journal):
            found = await run(emulator, writes(300), journal=journal)
            assert isinstance(found.error, JournalError), words
            assert words in str(found.error)
            assert found.error.__context__ is None
        assert emulator.requests.total() == requests


async def test_a_folder_that_is_unfit_is_refused(tmp_path: Path) -> None:
    async with Emulator() as emulator:
        missing = await run(emulator, writes(5), journal=tmp_path / "no" / "j")
        assert "not there" in str(missing.error)
        public = tmp_path / "public"
        public.mkdir()
        public.chmod(0o777)
        assert "by everybody" in str((await run(emulator, writes(5), journal=public / "j")).error)
        assert not emulator.requests


async def test_a_journal_is_private_and_holds_no_record_and_no_key(tmp_path: Path) -> None:
    journal = tmp_path / "j"
    items = [write("canary-one", "canary-two", note="canary-three"), write("canary-one", "canary-two", n=2)]
    async with (
        Emulator() as emulator,
        session_for(emulator) as session,
        Ingestion(session, SOURCE, items, journal=journal) as job,
    ):
        async for _ in job:
            check_private(tmp_path, emulator.key)
    assert names_in(tmp_path) == ["j"]


def check_private(folder: Path, key: str) -> None:
    for each in folder.iterdir():
        assert each.stat().st_mode & 0o777 == 0o600
        content = each.read_bytes()
        assert b"canary" not in content
        assert key.encode() not in content


def names_in(folder: Path) -> list[str]:
    return [each.name for each in folder.iterdir()]


async def test_records_that_landed_are_counted_together(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A resumed job whose input has an id counts whole batches, but for one that holds a failure."""
    sent, placed = writes(600), 0
    plain = Replay.place_of

    async def counted(replay: Replay, record: Any) -> Any:
        nonlocal placed
        placed += 1
        return await plain(replay, record)

    monkeypatch.setattr(Replay, "place_of", counted)
    options: dict[str, Any] = {"journal": tmp_path / "j", "input_id": "one"}
    async with Emulator() as emulator:
        await run(emulator, sent, **options)
        requests = emulator.requests.total()
        found = await run(emulator, sent, **options)
        assert (placed, emulator.requests.total()) == (0, requests)
        assert found.report.reported_before == found.report.read == found.report.completed == 600
        more = await run(emulator, [*sent, *writes(601)[600:]], **options)
        assert (more.report.read, emulator.relationships()) == (601, 601)
        other = await run(emulator, sent, journal=tmp_path / "j", input_id="other")
        assert isinstance(other.error, JournalMismatch)
    async with Emulator() as emulator:
        await run(emulator, [write("prac-300", "org-6", number="another's")])
        options["journal"] = tmp_path / "with a failure"
        first = await run(emulator, sent, **options)
        again = await run(emulator, sent, **options)
        assert first.lines(Disposition.FAILED) == again.lines(Disposition.FAILED) == [301]
        assert again.report.by_disposition == first.report.by_disposition
        assert again.report.reported_before == 600


@pytest.mark.parametrize("extra", ["", "  \n", "{\n", '{"deadLetter":{"line":9,"text":"{"}}\n', "last"])
async def test_lines_that_landed_are_not_read_again(
    extra: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A resumed job whose input has an id tells the same as one that reads each line."""
    lines = [f"{each.to_line().decode()}\n" for each in writes(900)]
    lines[300:300] = [extra.replace("last", "")]
    path, more = tmp_path / "x.ndjson", tmp_path / "more.ndjson"
    path.write_text("".join(lines).removesuffix("\n" if extra == "last" else ""))
    more.write_text("".join([*lines, writes(901)[900].to_line().decode()]))
    options: dict[str, Any] = {"journal": tmp_path / "j", "input_id": "one", "chunk": ChunkLimits(400)}
    batches: list[int] = []
    plain = LineReader.read_all

    def read_all(reader: LineReader, numbers: Any, lines: Any) -> Any:
        batches.append(len(lines))
        return plain(reader, numbers, lines)

    async with Emulator() as emulator:
        first = await run(emulator, read_ndjson(path, SOURCE), **options)
        monkeypatch.setattr(LineReader, "read_all", read_all)
        again = await run(emulator, read_ndjson(path, SOURCE), **options)
        read = sum(batches)
        monkeypatch.setattr(UnreadLines, "count", lambda _: (0, 0))
        slow = await run(emulator, read_ndjson(path, SOURCE), **options)
        monkeypatch.undo()
        longer = await run(emulator, read_ndjson(more, SOURCE), **options)
        assert emulator.relationships() == 901
    for each in (first, again, slow):
        assert (each.report.read, each.report.blank) == (first.report.read, first.report.blank)
        assert each.report.by_disposition == first.report.by_disposition
    assert [*map(repr, again.outcomes)] == [*map(repr, slow.outcomes)]
    assert read < len(lines) if extra in {"", "  \n", "last"} else read >= 740
    assert longer.report.read == first.report.read + 1


@pytest.mark.parametrize("name", [":memory:", "file:j.db", "file:j.db?mode=memory", "j#1%20.db"])
async def test_a_journal_may_have_a_name_that_sqlite_gives_a_meaning(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with Emulator() as emulator:
        first = await run(emulator, writes(20), journal=name)
        again = await run(emulator, writes(20), journal=name)
    assert first.error is again.error is None
    assert (again.report.reported_before, again.report.sent) == (20, 0)
    assert os.listdir(tmp_path) == [name]  # noqa: PTH208
