"""The first signal lets what is in flight come to its end; the second does not wait for it."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from clinia_async.cli.exit_codes import ExitCode
from clinia_async.cli.runs.ingest import STOPPING
from clinia_async.cli.runs.writes import OUTCOME_UNKNOWN, WAITING
from clinia_async.emulator import Accepted, Constant
from tests.cli.conftest import lead_to
from tests.cli.program import MIXED, Cli, ended, line, read_line, start
from tests.cli.served import Served
from tests.cli.servers import UnusualServer, reply
from tests.patience import PATIENCE


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_one_signal(number: int, code: int, served: Served) -> None:
    served.emulator.default = Accepted(Constant(0.2))
    process = start("ingest", MIXED, "--via", "single", "--workers", "4", "--json", "--dots", "escape")
    served.arrivals.wait("create_relationship")
    process.send_signal(number)
    ran = ended(process)
    report = ran.json
    assert (ran.code, ran.messages[0]) == (code, STOPPING)
    assert (report["complete"], report["stopped_by"]) == (False, "asked to stop")
    assert 0 < report["landed"] == report["sent"] < 1000
    assert report["landed"] + report["by_disposition"]["unsent"] == report["read"]
    assert served.holds() == report["landed"]


def test_one_signal_while_standard_input_brings_nothing(served: Served) -> None:
    process = start("ingest", "-", "--via", "single", "--workers", "2", "--json", stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(line("prac-1").encode())
    process.stdin.flush()
    served.arrivals.wait("create_relationship")  # the other worker waits for a second line
    process.send_signal(signal.SIGINT)
    process.wait(PATIENCE)  # and standard input is still open
    ran = ended(process)
    assert (ran.code, ran.messages) == (130, [STOPPING])
    assert (ran.json["read"], ran.json["landed"], served.holds()) == (1, 1, 1)


def test_two_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    records = Path("records.ndjson")
    records.write_text("".join(line(f"prac-{number}") for number in range(30)))
    with Served(bulk=Constant(3600)) as served:
        lead_to(served, monkeypatch)
        process = start("ingest", records, "--workers", "1", "--chunk-operations", "10", "--json")
        served.arrivals.wait("get_task")
        process.send_signal(signal.SIGINT)
        assert read_line(process) == f"{STOPPING}\n"
        process.send_signal(signal.SIGINT)
        ran = ended(process)
    report = ran.json
    assert (ran.code, report["complete"]) == (130, False)
    # the chunk that was polled, and those that went out while its task was pending
    unknown = 10 * served.arrivals["bulk_relationships"]
    said = {word: count for word, count in report["by_disposition"].items() if count}
    assert said == {word: count for word, count in (("unknown", unknown), ("unsent", 30 - unknown)) if count}
    assert report["read"] == report["completed"] == 30
    letters = [json.loads(text) for text in Path("records.dead.ndjson").read_text().splitlines()]
    assert [letter["deadLetter"]["disposition"] for letter in letters] == ["unknown"] * unknown


def test_a_signal_while_a_task_is_waited_for(served: Served) -> None:
    served.emulator.default = Accepted(Constant(3600))
    process = start("relationship", "create", "t", "--from", "p/a", "--to", "o/b")
    served.arrivals.wait("get_task")
    process.send_signal(signal.SIGINT)
    ran = ended(process)
    assert (ran.code, ran.out) == (130, "")
    assert ran.err.startswith("the task goes on; resume with: clinia-async task wait '{")
    assert ran.err.count("\n") == 1


def test_one_signal_waits_no_longer_than_the_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    records = Path("records.ndjson")
    records.write_text("".join(line(f"prac-{number}") for number in range(30)))
    arguments = ("ingest", records, "--chunk-operations", "10", "--journal", "j.db", "--json")
    with Served(bulk=Constant(3600)) as served:
        lead_to(served, monkeypatch)
        process = start(*arguments, "--grace", "0.1")
        served.arrivals.wait("get_task")
        process.send_signal(signal.SIGINT)
        ran = ended(process)
        assert (ran.code, ran.json["complete"]) == (130, False)
        assert ran.json["by_disposition"]["unknown"] == 10 * served.arrivals["bulk_relationships"]


ACCEPTED = {"status": "ACCEPTED", "taskId": "s_123"}
RELATE = ("relationship", "create", "t", "--from", "p/aa", "--to", "o/bb", "--source", "s")
SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]


def _held(status: str, body: object) -> UnusualServer:
    """A server whose answer comes when the test lets it."""
    return UnusualServer(lambda _: reply(status, json.dumps(body).encode()), is_held=True)


def _lead_to_held(held: UnusualServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLINIA_BASE_URL", held.url)
    monkeypatch.setenv("CLINIA_API_KEY", "a-key")


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_two_signals_before_the_answer_say_that_the_outcome_is_unknown(
    number: int, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _held("202 Accepted", ACCEPTED) as held:
        _lead_to_held(held, monkeypatch)
        process = start(*RELATE)
        assert held.arrived.wait(PATIENCE)
        process.send_signal(number)
        assert read_line(process) == f"{WAITING}\n"
        process.send_signal(number)
        assert ended(process) == (code, "", f"{OUTCOME_UNKNOWN}\n")


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_the_token_of_an_answer_after_the_signal_is_printed(
    number: int, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _held("202 Accepted", ACCEPTED) as held:
        _lead_to_held(held, monkeypatch)
        process = start(*RELATE)
        assert held.arrived.wait(PATIENCE)
        process.send_signal(number)
        assert read_line(process) == f"{WAITING}\n"
        held.release.set()
        ran = ended(process)
    assert (ran.code, ran.out) == (code, "")
    assert ran.err.startswith("the task goes on; resume with: clinia-async task wait '{")
    assert '"task": "s_123"' in ran.err.replace('":"', '": "')


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_read_is_interrupted_at_once(number: int, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with _held("200 OK", {}) as held:
        _lead_to_held(held, monkeypatch)
        process = start("partition", "get", "clinics")
        assert held.arrived.wait(PATIENCE)
        process.send_signal(number)
        assert ended(process) == (code, "", "")


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_partition_before_the_answer(number: int, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    source = {"type": "DATA_SOURCE", "key": "ehr", "collections": [{"key": "practitioner"}]}
    definition = json.dumps({"modules": {"search": "STANDARD"}, "source": source})
    with _held("200 OK", {}) as held:
        _lead_to_held(held, monkeypatch)
        process = start("partition", "create", "clinics", "--definition", definition)
        assert held.arrived.wait(PATIENCE)
        process.send_signal(number)
        assert read_line(process) == f"{WAITING}\n"
        process.send_signal(number)
        assert ended(process) == (code, "", f"{OUTCOME_UNKNOWN}\n")


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_the_wait_for_a_task_prints_its_token(number: int, code: int, served: Served) -> None:
    served.emulator.default = Accepted(Constant(3600))
    process = start(*RELATE, "--no-wait")
    token = ended(process).out.strip()
    process = start("task", "wait", token)
    served.arrivals.wait("get_task")
    process.send_signal(number)
    ran = ended(process)
    assert (ran.code, ran.out) == (code, "")
    assert ran.err.splitlines()[-1] == f"the task goes on; resume with: clinia-async task wait '{token}'"


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_signal_while_the_input_is_digested(number: int, code: int, served: Served) -> None:
    path = Path("large.ndjson")
    with path.open("wb") as file:
        file.truncate(2**40)  # a sparse file: its digest would take the better part of an hour
    process = start("ingest", path, "--journal", "j.db", "--report", "r.json", "--json")
    _wait_until_open(process.pid, path)
    process.send_signal(number)
    ran = ended(process)
    assert (ran.code, ran.json["read"], ran.json["stopped_by"]) == (code, 0, "asked to stop")
    assert json.loads(Path("r.json").read_text())["exit_code"] == code
    assert not Path("j.db").exists()


def _wait_until_open(pid: int, path: Path) -> None:
    descriptors = Path(f"/proc/{pid}/fd")
    for _ in range(PATIENCE * 20):
        if any(each.is_symlink() and each.readlink().name == path.name for each in descriptors.iterdir()):
            return
        time.sleep(0.05)
    pytest.fail("the file was never opened")


def _closed_pipe() -> int:
    """The end to write to of a pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    return writing


@pytest.mark.parametrize("output", ["json", "ndjson", "table"])
def test_output_that_nobody_reads_ends_a_command(output: str, cli: Cli, served: Served) -> None:
    assert cli("source", "create", "ehr-prod").code == 0
    stdout = _closed_pipe()
    ran = ended(start("source", "list", "--output", output, stdout=stdout))
    os.close(stdout)
    assert (ran.code, ran.err) == (ExitCode.OUTPUT_CLOSED, "")


def test_a_report_that_nobody_reads_loses_no_file(served: Served) -> None:
    Path("a.ndjson").write_text(line("aa") + line("b.b"))
    stdout = _closed_pipe()
    ran = ended(start("ingest", "a.ndjson", "--report", "r.json", stdout=stdout))
    os.close(stdout)
    assert ran.code == ExitCode.OUTPUT_CLOSED
    assert "Traceback" not in ran.err
    assert json.loads(Path("r.json").read_text())["landed"] == served.holds() == 1
    assert Path("a.dead.ndjson").exists()


def test_messages_that_nobody_reads_stop_no_job(served: Served) -> None:
    Path("a.ndjson").write_text(line("aa") + line("b.b"))
    stderr = _closed_pipe()
    process = start("ingest", "a.ndjson", "--json", stderr=stderr)
    os.close(stderr)
    out, _ = process.communicate(timeout=PATIENCE)
    assert (process.returncode, json.loads(out)["landed"], served.holds()) == (1, 1, 1)
