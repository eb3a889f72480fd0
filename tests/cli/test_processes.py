"""One job in several processes: one report, one file of dead letters, one journal."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from clinia_async.cli.runs.ingest import STOPPING
from clinia_async.emulator import Accepted, Constant
from clinia_async.ingest.journal.folder import JournalFolder
from tests.cli.conftest import lead_to
from tests.cli.program import Cli, ended, line, start
from tests.cli.served import Served
from tests.patience import PATIENCE


def _records(count: int, *more: str) -> Path:
    path = Path("records.ndjson")
    path.write_text("".join([*(line(f"prac-{number}") for number in range(count)), *more]))
    return path


def _children(pid: int) -> list[int]:
    found = [path.read_text().split() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    return [int(child) for children in found for child in children]


def test_the_report_the_dead_letters_and_the_journal_are_those_of_one_job(cli: Cli, served: Served) -> None:
    path = _records(300, "\n", '{"type": 1}\n', '{"type": 2}\n', line("prac-7"))
    command = ("ingest", path, "--processes", "2", "--journal", "j", "--chunk-operations", "50", "--json")
    first = cli(*command)
    assert first.code == 1
    counts = {name: count for name, count in first.json["by_disposition"].items() if count}
    assert counts == {"succeeded": 300, "invalid": 2, "existing": 1}
    assert (first.json["read"], first.json["blank"], first.json["complete"]) == (303, 1, True)
    assert first.json["reasons"][0]["first_lines"] == [302, 303]
    assert first.messages == ["2 records that did not land are in records.dead.ndjson"]
    letters = [json.loads(text) for text in Path("records.dead.ndjson").read_text().splitlines()]
    assert sorted(letter["deadLetter"]["line"] for letter in letters) == [302, 303]
    assert Path("records.dead.ndjson").stat().st_mode & 0o777 == 0o600
    assert [*Path().glob("*.part-*")] == []
    assert served.holds() == 300
    requests = served.arrivals["bulk_relationships"]
    again = cli(*command)
    assert again.json["by_disposition"] == first.json["by_disposition"]
    assert (again.json["sent"], served.arrivals["bulk_relationships"]) == (0, requests)
    shown = cli("journal", "show", "j", "--json").json
    assert (shown["read"], shown["landed"], shown["invalid"]) == (303, 301, 2)


def test_dead_letters_that_cannot_be_joined_are_named_by_their_files(
    cli: Cli, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("clinia_async.ingest.processes.job.join_dead_letters", fail)
    path = _records(10, *(f'{{"type": {number}}}\n' for number in range(200)))
    ran = cli("ingest", path, "--processes", "2", "--chunk-operations", "5", "--json")
    assert ran.code == 2
    parts = sorted(each.name for each in Path().glob("*.part-*"))
    assert parts
    assert f"what did not land is in {', '.join(parts)} beside it" in ran.messages[-1]
    letters = [text for each in parts for text in Path(each).read_text().splitlines()]
    assert len(letters) == 200


@pytest.mark.campaign
def test_writes_of_one_record_keep_their_order(cli: Cli, served: Served) -> None:
    lines = [
        line(f"prac-{number % 20}", data={"version": number // 20}, action="UPSERT") for number in range(400)
    ]
    path = Path("versions.ndjson")
    path.write_text("".join(lines))
    ran = cli("ingest", path, "--processes", "3", "--chunk-operations", "10", "--json")
    assert (ran.code, ran.json["landed"]) == (0, 400)
    stored = served.ask(lambda emulator: [each.data for each in emulator.stored()])
    assert stored == [{"version": 19}] * 20


def test_a_journal_of_several_processes_is_none_of_one(cli: Cli, served: Served) -> None:
    JournalFolder.open(Path("j"), 2, {}).close()
    ran = cli("ingest", _records(1), "--journal", "j")
    assert (ran.code, served.arrivals["bulk_relationships"]) == (2, 0)
    assert "give --processes as before" in ran.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("-",), "cannot share standard input"),
        (("records.ndjson", "--fhir", "both"), "does not go with --fhir both"),
        (("records.ndjson", "--api-key-file", "-"), "needs the key from the environment or a file"),
    ],
)
def test_what_several_processes_cannot_do_is_refused_at_once(
    options: tuple[str, ...], words: str, cli: Cli, served: Served
) -> None:
    _records(1)
    ran = cli("ingest", *options, "--processes", "2")
    assert (ran.code, words in ran.err, served.arrivals["bulk_relationships"]) == (2, True, 0)


@pytest.mark.campaign
def test_a_refused_key_ends_all_processes(cli: Cli, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLINIA_API_KEY", "another")
    ran = cli("ingest", _records(20), "--processes", "2", "--json")
    assert ran.code == 3
    assert ran.json["by_disposition"]["unsent"] == ran.json["read"]


@pytest.mark.campaign
@pytest.mark.parametrize("signals", [1, 2])
def test_signals_reach_every_process(signals: int, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _records(40)
    with Served(bulk=Constant(3600 if signals > 1 else 0.3)) as served:
        lead_to(served, monkeypatch)
        process = start("ingest", path, "--processes", "2", "--chunk-operations", "5", "--json")
        served.arrivals.wait("get_task")
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        assert f"{STOPPING}\n".encode() in iter(process.stderr.readline, b"")
        if signals > 1:
            process.send_signal(signal.SIGTERM)
        ran = ended(process)
    report = ran.json
    assert (ran.code, report["complete"], report["read"]) == (143, False, report["completed"])
    assert (report["by_disposition"]["unknown"] > 0) == (signals > 1)
    assert (report["landed"] > 0) == (signals == 1)


@pytest.mark.campaign
@pytest.mark.parametrize("victim", ["coordinator", "worker"])
def test_a_killed_process_loses_nothing(victim: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _records(60)
    command = ("ingest", path, "--processes", "2", "--journal", "j", "--chunk-operations", "5", "--json")
    with Served(default=Accepted(Constant(0.5)), bulk=Constant(0.5)) as served:
        lead_to(served, monkeypatch)
        process = start(*command)
        served.arrivals.wait("bulk_relationships")
        workers = _children(process.pid)
        os.kill(process.pid if victim == "coordinator" else workers[0], signal.SIGKILL)
        killed = ended(process)
        if victim == "worker":
            assert killed.code == 4
            assert "of 2 was killed by SIGKILL; the same job resumes" in killed.err
            assert killed.json["read"] == killed.json["completed"]
        ran = ended(start(*command))
        assert (ran.code, ran.json["landed"], ran.json["read"], served.holds()) == (0, 60, 60, 60)
    _wait_for_the_end(workers)


def _wait_for_the_end(pids: list[int]) -> None:
    """A worker whose coordinator was killed ends by itself."""
    until = time.monotonic() + PATIENCE
    while any(Path(f"/proc/{pid}/stat").exists() and _is_running(pid) for pid in pids):
        assert time.monotonic() < until
        time.sleep(0.01)


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


FHIR = {
    "resourceType": "Bundle",
    "type": "transaction",
    "entry": [
        {"request": {"method": "DELETE", "url": "Observation/gone"}},
        *(
            {
                "resource": {
                    "resourceType": "Observation",
                    "id": f"o-{number % 8}",
                    "subject": {"reference": f"Patient/p-{number}"},
                    "performer": [{"identifier": {"value": "x"}}, {"reference": "#c"}],
                },
                "request": {"method": "POST", "url": "Observation"},
            }
            for number in range(10)
        ),
    ],
}
OF_TIME = {"seconds", "records_per_second", "concurrency", "lag"}
INPUTS = {
    "lines": ({"x.ndjson": line("a") + '\n{"type":1}\n' + line("a", data={"other": 1}) + line("b")}, ()),
    "tables": ({"x.csv": "id,v\nc1,1\nc2\n\nc3,3\nc4,NULL\n"}, ("--columns", "type==t,id=id,data.v=v")),
    "a table without its column": ({"x.csv": "id,v\nc1,1\n"}, ("--columns", "type==t,id=ident")),
    "several": ({"x.ndjson": line("a") + "{}\n", "y.json": f"[{line('b')},5]"}, ()),
    "references": ({"x.fhir.json": json.dumps(FHIR)}, ()),
    "resources": ({"x.fhir.json": json.dumps(FHIR)}, ("--fhir", "resources", "--on-existing", "keep")),
    "too many errors": ({"x.ndjson": '{"type":1}\n'}, ("--max-errors", "0")),
}


@pytest.mark.parametrize("name", INPUTS)
def test_the_report_of_several_processes_is_that_of_one(name: str, cli: Cli) -> None:
    files, options = INPUTS[name]
    for path, content in files.items():
        Path(path).write_text(content)
    reports = []
    for processes in ("1", "2"):
        with Served() as served, pytest.MonkeyPatch.context() as patch:
            lead_to(served, patch)
            ran = cli("ingest", *files, *options, "--processes", processes, "--json")
        fields = {key: value for key, value in ran.json.items() if key not in OF_TIME and "most_" not in key}
        fields["reasons"] = sorted(map(str, fields["reasons"]))
        reports.append((ran.code, ran.err, fields))
    assert reports[0] == reports[1]
