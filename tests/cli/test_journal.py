"""A journal is read beside the job that has it open: consistently, and without disturbing the job."""

import asyncio
import signal
import sqlite3
from pathlib import Path

import pytest

from clinia_async.cli.runs.ingest import STOPPING
from clinia_async.emulator import Constant
from clinia_async.ingest.journal.errors import JournalError
from clinia_async.ingest.journal.snapshot import read_snapshot
from tests.cli.conftest import lead_to
from tests.cli.program import Cli, ended, line, read_line, start
from tests.cli.served import Served


def _records(count: int) -> Path:
    path = Path("records.ndjson")
    path.write_text("".join(line(f"prac-{number}") for number in range(count)) + '{"type": "t"}\n')
    return path


def test_a_job_is_shown_while_it_runs(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    with Served(bulk=Constant(3600)) as served:
        lead_to(served, monkeypatch)
        command = ("ingest", _records(30), "--journal", "j.db", "--chunk-operations", "10", "--workers", "2")
        process = start(*command)
        served.arrivals.wait("get_task")
        shown = cli("journal", "show", "j.db", "--json")
        process.send_signal(signal.SIGINT)
        assert read_line(process) == f"{STOPPING}\n"  # two signals that wait are one
        process.send_signal(signal.SIGINT)
        assert ended(process).code == 130
    assert (shown.code, shown.err) == (0, "")
    fields = shown.json
    assert (fields["source"], fields["via"], fields["service"]) == ("ehr-prod", "bulk", served.url)
    assert fields["landed"] == 0
    assert fields["waiting"]["accepted"] >= 10
    assert fields["tasks"] >= 1


def test_a_job_is_shown_after_its_end(cli: Cli) -> None:
    command = ("ingest", _records(30), "--journal", "j.db", "--source", "s", "--emulator", "--json")
    assert cli(*command).json["landed"] == 30
    fields = cli("journal", "show", "j.db", "--json").json
    assert (fields["read"], fields["landed"], fields["by_disposition"]) == (31, 30, {"succeeded": 30})
    assert (fields["invalid"], fields["failed"], fields["waiting"], fields["tasks"]) == (1, 0, {}, 0)
    lines = cli("journal", "show", "j.db").out.splitlines()
    assert lines[0] == "job          source s, by bulk to emulator"
    assert lines[2:] == [
        "read                 31",
        "landed               30",
        "         30 succeeded",
        "failed                0",
        "invalid               1   not sent",
    ]
    assert cli(*command).json["reported_before"] == 30


def test_a_journal_that_changes_all_the_time_is_read_consistently(tmp_path: Path) -> None:
    """Every snapshot holds as many rows in the one table as in the other, checkpoints or not."""
    path = tmp_path / "j.db"
    connection = _busy_journal(path)
    found = []
    for number in range(200):
        connection.execute("BEGIN")
        connection.execute(
            "INSERT INTO chunk VALUES (?, 'COMPLETED', ?, 1, 0, NULL, ?, X'')",
            (number, f"{number}", f"persisted={number}"),
        )
        connection.execute("UPDATE job SET read_to = read_to + 1")
        connection.execute("COMMIT")
        if number % 7 == 0:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)" if number % 2 else "PRAGMA wal_checkpoint")
        if number % 5 == 0:
            snapshot = read_snapshot(path)
            found.append(snapshot.read)
            assert snapshot.read == sum(snapshot.landed.values()) == number + 1
    connection.close()
    assert found[-1] == 196


def _busy_journal(path: Path) -> sqlite3.Connection:
    from clinia_async.ingest.journal import file

    connection = file.open_file(path)
    connection.execute("INSERT INTO job VALUES (1, 's', 'u', 'bulk', NULL, 0, 0, X'', 0, X'', X'')")
    return connection


def test_failures_are_grouped_by_reason(cli: Cli, served: Served) -> None:
    assert cli("ingest", _records(3)).code == 1
    Path("other.ndjson").write_text("".join(line(f"prac-{number}", data={"n": 1}) for number in range(5)))
    assert cli("ingest", "other.ndjson", "--journal", "j.db").code == 1
    fields = cli("journal", "show", "j.db", "--json").json
    assert (fields["read"], fields["landed"], fields["failed"]) == (5, 2, 3)
    (group,) = fields["reasons"]
    assert (group["disposition"], group["count"], group["first_record"]) == ("failed", 3, 1)
    assert f"          3 failed: {group['reason']} (record 1 first)" in cli("journal", "show", "j.db").out


@pytest.mark.parametrize("content", [b"no database", b""])
def test_what_is_no_journal(content: bytes, cli: Cli) -> None:
    Path("j.db").write_bytes(content)
    Path("j.db").chmod(0o600)
    ran = cli("journal", "show", "j.db")
    assert (ran.code, ran.out, len(ran.messages)) == (2, "", 1)
    assert cli("journal", "show", "gone").code == 2


async def test_a_name_without_a_journal(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="there is no journal of this name"):
        await asyncio.to_thread(read_snapshot, tmp_path / "gone")
