"""What did not land is written down so that it can be fed back in."""

import json
import stat
from pathlib import Path

import pytest

from clinia_async import (
    Action,
    BadRecord,
    BatchWrite,
    Blank,
    ColumnMapping,
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
from clinia_async.emulator import Emulator
from clinia_async.ingest.outcomes.dead_letters import dead_letter
from clinia_async.ingest.records.record import Record
from tests.ingest.reading import good, read_file, read_line
from tests.ingest.running import SOURCE, run, write

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
    assert not isinstance(again, Record)
    assert (again.reason == first.record.reason) or b"\xff" in text or b"\xe9" in text  # type: ignore[union-attr]


def test_a_line_that_was_too_large_is_told_by_its_number() -> None:
    assert json.loads(dead_letter(outcome_of(None, 12)))["deadLetter"]["line"] == 12


def test_the_file_is_its_owners_alone_and_follows_no_link(tmp_path: Path) -> None:
    path = tmp_path / "dead.ndjson"
    with DeadLetters(path) as letters:
        assert not path.exists()
        letters.add(outcome_of(GOOD))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    link = tmp_path / "link"
    link.symlink_to(path)
    with DeadLetters(link) as letters, pytest.raises(OSError, match="symbolic link"):
        letters.add(outcome_of(GOOD))
    assert letters.count == 0


async def test_letters_fed_back_in_land_once_the_reason_is_gone(tmp_path: Path) -> None:
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


async def test_letters_of_a_table_are_read_with_the_options_of_its_run(tmp_path: Path) -> None:
    columns = ColumnMapping.parse("type=t,from.id=a,from.type==x,to.id=b,to.type==y,data.n:int=n")
    table = tmp_path / "table.csv"
    table.write_text("t,a,b,n\nr,a.1,b,007\nr,a.1,b,7\nr,,b,\nr,a,b\n")
    options = {"format": "csv", "columns": columns, "map_id": escape_dots, "action": "UPSERT"}
    found = await read_file(table, **options)
    path = tmp_path / "table.dead.ndjson"
    with DeadLetters(path) as letters:
        for each in found:
            assert not isinstance(each, Blank)
            letters.add(RecordOutcome(each, Disposition.UNSENT))
    again = await read_file(path, **options)
    assert [type(each) for each in again] == [type(each) for each in found]
    assert [each.operation() for each in again if isinstance(each, Record)] == [
        each.operation() for each in found if isinstance(each, Record)
    ]
