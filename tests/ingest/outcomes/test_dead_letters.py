"""What did not land is written down so that it can be fed back in."""

import json
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from clinia_async import (
    Action,
    BadRecord,
    BatchWrite,
    Blank,
    ChunkLimits,
    ColumnMapping,
    ConfigError,
    Contained,
    CreateRelationship,
    CreateResource,
    DeadLetters,
    DeleteRelationship,
    DeleteResource,
    Disposition,
    RecordOutcome,
    Ref,
    UpsertRelationship,
    UpsertResource,
    escape_dots,
    read_ndjson,
)
from clinia_async.emulator import Constant, Emulator
from clinia_async.ingest.file_job import FileJob
from clinia_async.ingest.outcomes.dead_letters import PREFIX, dead_letter, join_dead_letters
from clinia_async.ingest.records.record import Record
from tests.ingest.journal.test_disk_trouble import files_limited_to
from tests.ingest.reading import good, read_file, read_line
from tests.ingest.running import SOURCE, ran, run, session_for, write

GOOD = b'{"type":"t","from":{"id":"a","type":"x"},"to":{"id":"b","type":"y"},"data":{"n":1.10}}'
BROKEN = [b"{", b"[1]", b'{"type":"t"}', b'"\xe9"', b'{"type":"t","type":"t"}', b'{"x":"\xff"}', b"null"]


def outcome_of(text: bytes | None, line: int = 7) -> RecordOutcome:
    record = read_line(text, number=line)
    assert not isinstance(record, Record) or text is not None
    return RecordOutcome(record, Disposition.FAILED, "INTERNAL")  # type: ignore[arg-type]


def test_a_line_that_could_be_read_is_kept_as_it_was() -> None:
    text = dead_letter(outcome_of(b"  " + GOOD + b"  "))
    assert text.endswith(GOOD[1:] + b"\n")
    assert json.loads(text)["deadLetter"] == {"line": 7, "disposition": "failed", "reason": "INTERNAL"}
    again = good(text)
    assert again.write == good(GOOD).write
    assert again.operation() == good(GOOD).operation()
    assert dead_letter(RecordOutcome(again, Disposition.FAILED, "X")).count(b"deadLetter") == 1


def test_a_write_from_python_becomes_a_line() -> None:
    text = dead_letter(RecordOutcome(Record(3, write("a", "b", n=1)), Disposition.UNKNOWN))
    assert good(text).write.id == "a.b"


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_line_is_carried_along_and_broken_again(text: bytes) -> None:
    first = outcome_of(text)
    again = read_line(dead_letter(first))
    assert isinstance(again, BadRecord)
    assert isinstance(first.record, BadRecord)
    assert (again.line, again.path, again.reason, again.text) == (7, *_what_is_wrong(first.record), text)
    third = dead_letter(RecordOutcome(again, Disposition.INVALID))
    assert third == dead_letter(RecordOutcome(first.record, Disposition.INVALID)), "it does not grow"


def _what_is_wrong(record: BadRecord) -> tuple[str, str]:
    return record.path, record.reason


def test_a_letter_is_known_by_the_line_number_of_its_original() -> None:
    letter = dead_letter(outcome_of(GOOD, 4711))
    assert good(letter).line == 4711
    assert good(letter).text == GOOD


def test_dead_letters_of_earlier_releases_that_hold_dead_letters_are_opened_to_the_innermost() -> None:
    text = json.dumps({"deadLetter": {"line": 9, "disposition": "invalid", "text": "{"}})
    for line in (1, 2):
        text = json.dumps({"deadLetter": {"line": line, "disposition": "invalid", "text": text}})
    found = read_line(text.encode(), number=3)
    assert isinstance(found, BadRecord)
    assert (found.line, found.text) == (9, b"{")


def test_a_line_that_was_too_large_is_reported_by_its_number() -> None:
    assert json.loads(dead_letter(outcome_of(None, 12)))["deadLetter"]["line"] == 12


def test_the_file_is_its_owners_alone_and_follows_no_link(tmp_path: Path) -> None:
    path = tmp_path / "dead.ndjson"
    with DeadLetters(path) as letters:
        assert not path.exists()
        letters.add(outcome_of(GOOD))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    link = tmp_path / "link"
    link.symlink_to(path)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for unfit in (link, pipe, tmp_path):
        with pytest.raises(ConfigError, match="regular file"):
            DeadLetters(unfit)


def test_a_file_that_was_there_is_replaced_and_not_written_into(tmp_path: Path) -> None:
    """What others may read, or know by another name, holds no record afterwards."""
    path, other = tmp_path / "dead.ndjson", tmp_path / "other"
    there = dead_letter(outcome_of(GOOD)) * 2
    path.write_bytes(there)
    path.chmod(0o666)
    other.hardlink_to(path)
    with DeadLetters(path) as letters:
        letters.add(outcome_of(GOOD))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert other.read_bytes() == there
    assert path.read_bytes() == dead_letter(outcome_of(GOOD))
    assert sorted(each.name for each in tmp_path.iterdir()) == ["dead.ndjson", "other"]


def test_only_records_that_failed_are_written(tmp_path: Path) -> None:
    path = tmp_path / "dead.ndjson"
    record = Record(3, write("a", "b"))
    with DeadLetters(path) as letters:
        letters.add(RecordOutcome(record, Disposition.UNSENT))
    assert not path.exists()


def test_a_run_in_which_all_records_landed_leaves_no_dead_letters(tmp_path: Path) -> None:
    path = tmp_path / "dead.ndjson"
    path.write_bytes(dead_letter(outcome_of(GOOD)))
    DeadLetters(path).close()
    assert path.exists(), "the run did not say that all records landed"
    DeadLetters(path).close(all_landed=True)
    assert not path.exists()


def test_a_file_that_holds_something_else_is_never_replaced(tmp_path: Path) -> None:
    """It may be the journal of the job, its key or its input: whatever it is, nobody asked to delete it."""
    path, part = tmp_path / "load.db", tmp_path / "part-0"
    early = DeadLetters(path)
    path.write_bytes(b"SQLite format 3\0")
    with pytest.raises(ConfigError, match="holds something else"):
        DeadLetters(path)
    with pytest.raises(FileExistsError):
        early.add(outcome_of(GOOD))
    early.close(all_landed=True)
    part.write_bytes(dead_letter(outcome_of(GOOD)))
    with pytest.raises(FileExistsError):
        join_dead_letters(path, [part], all_landed=False)
    assert path.read_bytes() == b"SQLite format 3\0"
    assert part.read_bytes() == dead_letter(outcome_of(GOOD))
    path.write_bytes(b"")
    with DeadLetters(path) as empty:
        empty.add(outcome_of(GOOD))
    assert path.read_bytes() == dead_letter(outcome_of(GOOD))


async def test_dead_letters_fed_back_in_land_once_the_reason_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "dead.ndjson"
    async with Emulator() as emulator:
        await run(emulator, [write("a", "b", n=1)])
        found = await run(emulator, [write("a", "b", n=2), write("a", "c", n=3)])
        with DeadLetters(path) as letters:
            for outcome in found.outcomes:
                if not outcome.disposition.has_landed:
                    letters.add(outcome)
    async with Emulator() as emulator:
        again = await run(emulator, read_ndjson(path, SOURCE))
        assert again.report.all_landed
        assert [each.data for each in emulator.stored()] == [{"n": 2}]


WRITES: list[BatchWrite] = [
    UpsertRelationship(SOURCE, "t", Ref("a", "x"), Ref("b", "y"), {"n": 1}),
    DeleteRelationship(SOURCE, "t", "a.b"),
    CreateResource(SOURCE, "p", data={"n": 1}),
    CreateResource(SOURCE, "p", "p-1", data={"n": 1}),
    UpsertResource(SOURCE, "p", "p-1", data={}, contained={"o": (Contained("q", {}),)}),
    DeleteResource(SOURCE, "p", "p-1"),
]


@pytest.mark.parametrize("write", WRITES)
def test_every_write_of_python_is_carried_with_its_action(write: BatchWrite) -> None:
    for default in Action:
        again = good(
            dead_letter(RecordOutcome(Record(3, write), Disposition.FAILED, "INTERNAL")), action=default
        )
        assert (again.key, again.action, again.target) == (Record(3, write).key, write.action, write.target)
        assert json.loads(again.operation()) == json.loads(write.operation())


@pytest.mark.parametrize(
    "write",
    [
        DeleteRelationship(SOURCE, "t", "system:value:use"),
        DeleteRelationship(SOURCE, "t", "a.b.c"),
        CreateRelationship(SOURCE, "t", Ref("a", "x"), Ref("b", "y"), {"n": float("nan")}),
    ],
)
def test_a_write_that_no_line_says_is_a_letter_that_is_refused(write: BatchWrite) -> None:
    text = dead_letter(RecordOutcome(Record(3, write), Disposition.INVALID))
    assert json.loads(text)["deadLetter"]["line"] == 3
    assert isinstance(read_line(text), BadRecord)


LINES = [
    b'{"type":"t","action":"UPSERT","from":{"id":"a.1","type":"x"},"to":{"id":"b","type":"y"}}',
    b'{"type":"t","from":{"id":"a.1","type":"x"},"to":{"id":"b","type":"y"},"data":{"n":1.10}}',
    b'{"type":"p","id":"p-1","data":{"n":1.10}}',
    b'{"type":"p","id":"p-1","action":"DELETE"}',
]


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("action", [Action.CREATE, Action.UPSERT])
def test_a_letter_read_with_the_options_of_its_run_is_the_same_record(line: bytes, action: Action) -> None:
    first = good(line, action=action, map_id=escape_dots)
    again = good(dead_letter(RecordOutcome(first, Disposition.FAILED)), action=action, map_id=escape_dots)
    assert (again.operation(), again.key) == (first.operation(), first.key)
    assert again.write == first.write


async def test_dead_letters_of_a_table_are_read_with_the_options_of_its_run(tmp_path: Path) -> None:
    columns = ColumnMapping.parse("type=t,from.id=a,from.type==x,to.id=b,to.type==y,data.n:int=n")
    table = tmp_path / "table.csv"
    table.write_text("t,a,b,n\nr,a.1,b,007\nr,a.1,b,7\nr,,b,\nr,a,b\n")
    options = {"format": "csv", "columns": columns, "map_id": escape_dots, "action": "UPSERT"}
    found = await read_file(table, **options)
    path = tmp_path / "table.dead.ndjson"
    with DeadLetters(path) as letters:
        for each in found:
            assert not isinstance(each, Blank)
            letters.add(RecordOutcome(each, Disposition.FAILED))
    again = await read_file(path, **options)
    assert [type(each) for each in again] == [type(each) for each in found]
    assert [each.operation() for each in again if isinstance(each, Record)] == [
        each.operation() for each in found if isinstance(each, Record)
    ]


def no_room(_: Path) -> AbstractContextManager[None]:
    return files_limited_to(400)


@contextmanager
def removed(path: Path) -> Iterator[None]:
    path.unlink()
    yield


@contextmanager
def folder_removed(path: Path) -> Iterator[None]:
    shutil.rmtree(path.parent)
    yield


@contextmanager
def renamed(path: Path) -> Iterator[None]:
    path.rename(path.with_name("other"))
    yield


@contextmanager
def replaced(path: Path) -> Iterator[None]:
    path.unlink()
    path.write_bytes(b"of somebody else\n")
    yield


@pytest.mark.parametrize("trouble", [no_room, removed, folder_removed, renamed, replaced])
@pytest.mark.parametrize("count", [2, 2000])
def test_dead_letters_are_counted_only_where_they_are_to_be_found(
    trouble: Callable[[Path], AbstractContextManager[None]], count: int, tmp_path: Path
) -> None:
    """Whatever becomes of the file, `count` is how many whole letters `path` holds."""
    path = tmp_path / "folder" / "dead.ndjson"
    path.parent.mkdir()
    letters = DeadLetters(path)
    letters.add(outcome_of(GOOD))

    def add_all() -> None:
        for _ in range(count):
            letters.add(outcome_of(GOOD))
        letters.close()

    with trouble(path), pytest.raises(OSError, match="Errno") as caught:
        add_all()
    assert caught.value.strerror
    found = path.read_bytes() if path.exists() else b""
    assert letters.count == found.count(PREFIX) == found.count(dead_letter(outcome_of(GOOD)))
    assert letters.count == 0 or found == dead_letter(outcome_of(GOOD)) * letters.count
    with pytest.raises(OSError, match=re.escape(caught.value.strerror)):
        letters.add(outcome_of(GOOD))
    letters.close(all_landed=True)


LINE = (
    b'{"type":"practises-at","from":{"id":"a-%d","type":"practitioner"},'
    b'"to":{"id":"b","type":"organization"},"data":{"differs":1}}\n'
)


async def test_a_job_whose_dead_letters_cannot_be_written_reports_all_that_it_has_sent(
    tmp_path: Path,
) -> None:
    """It reads and sends no more, and does not turn what is in flight into unknown records."""
    kept = [write(f"a-{n}", "b") for n in range(400)]
    path = tmp_path / "in.ndjson"
    path.write_bytes(b"".join(LINE % n for n in range(400)))
    async with Emulator(bulk=Constant(1.0)) as emulator, session_for(emulator) as session:
        assert (await ran(session, kept)).report.all_landed
        job = FileJob(
            session,
            SOURCE,
            lambda _: read_ndjson(path, SOURCE),
            dead_letters=tmp_path / "gone" / "dead.ndjson",
            chunk=ChunkLimits(operations=10),
        )
        await job.run()
    assert isinstance(job.error, ConfigError)
    assert "--dead-letters" in str(job.report.stopped_by)
    assert job.unexpected_error is None
    assert job.report.by_disposition[Disposition.UNKNOWN] == 0
    assert job.report.by_disposition[Disposition.FAILED] == job.report.sent > 0
    assert job.report.completed == job.report.read
    assert job.dead_letters.count == 0
