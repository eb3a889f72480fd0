"""Standard output that cannot be written: one line says so, whatever the command was, and no traceback."""

import json
import os
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import pytest

from clinia_async.cli.exit_codes import ExitCode
from tests.cli.program import Cli, ended, line, start
from tests.cli.served import Served
from tests.patience import PATIENCE

COMMANDS = (
    "--version",
    "--help",
    "ingest --help",
    "ingest a.ndjson --source ehr",
    "ingest a.ndjson --source ehr --json",
    "ingest a.ndjson --source ehr --journal j.db",
    "validate a.ndjson",
    "validate a.ndjson --json",
    "relationship get practises-at aa.org-1 --source ehr",
    "relationship create practises-at --from p/aa --to o/bb --source ehr",
    "source list",
    "source list --output table",
    "source list --output ndjson",
    "journal show done.db",
)
PROBLEM = (
    "error: the output cannot be written: No space left on device; send it elsewhere. What the command has"
    " changed stays changed"
)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk_behind_standard_output(command: str, cli: Cli, served: Served) -> None:
    Path("a.ndjson").write_text(line("aa"))
    assert cli("source", "create", "ehr").code == 0
    assert cli("ingest", "a.ndjson", "--source", "ehr", "--journal", "done.db").code == 0
    full = os.open("/dev/full", os.O_WRONLY)
    ran = ended(start(*command.split(), stdout=full))
    os.close(full)
    assert ran.code == ExitCode.USAGE
    assert ran.messages == [PROBLEM]


def test_a_report_that_cannot_be_printed_is_in_its_file(served: Served) -> None:
    Path("a.ndjson").write_text(line("aa"))
    full = os.open("/dev/full", os.O_WRONLY)
    ran = ended(start("ingest", "a.ndjson", "--source", "ehr", "--report", "r.json", stdout=full))
    os.close(full)
    assert ran.code == ExitCode.USAGE
    assert json.loads(Path("r.json").read_text())["landed"] == served.holds() == 1


CLOSED = [streams for count in (1, 2, 3) for streams in combinations(("0<&-", "1>&-", "2>&-"), count)]


@pytest.mark.parametrize("closed", CLOSED, ids=" ".join)
@pytest.mark.parametrize("more", ["", "--journal j.db", "--processes 2 --journal j"])
def test_standard_streams_that_are_closed(closed: tuple[str, ...], more: str, served: Served) -> None:
    """What would be written to them goes nowhere, and nothing else changes."""
    Path("a.ndjson").write_text(line("aa") + line("bb"))
    command = [sys.executable, "-W", "error", "-m", "clinia_async", "ingest", "a.ndjson", "--source", "ehr"]
    shell = ["sh", "-c", f'exec "$0" "$@" {" ".join(closed)}', *command, *more.split()]
    ran = subprocess.run(shell, capture_output=True, timeout=PATIENCE, check=False)
    assert ran.returncode == ExitCode.OK
    assert served.holds() == 2
    assert bool(ran.stdout) is ("1>&-" not in closed)
    if more:
        shown = subprocess.run(
            [*command[:5], "journal", "show", more.rsplit(maxsplit=1)[-1]], capture_output=True, check=True
        )
        assert b"landed" in shown.stdout


@pytest.mark.parametrize("closed", CLOSED, ids=" ".join)
def test_a_failure_has_its_exit_code_where_nobody_can_read_of_it(
    closed: tuple[str, ...], nothing_listens: None
) -> None:
    Path("a.ndjson").write_text(line("aa"))
    command = [sys.executable, "-m", "clinia_async", "ingest", "a.ndjson", "--patience", "0.1"]
    shell = ["sh", "-c", f'exec "$0" "$@" {" ".join(closed)}', *command]
    assert subprocess.run(shell, capture_output=True, timeout=PATIENCE, check=False).returncode == 4


@pytest.mark.skipif(sys.platform == "darwin", reason="its file names are UTF-8")
@pytest.mark.parametrize("processes", [1, 2])
def test_a_name_that_is_not_utf_8(processes: int, cli: Cli) -> None:
    name = os.fsdecode(b"clinics-\xff.ndjson")
    Path(name).write_text(line("aa") + line("a.a"))
    for _ in range(2):  # the second run resumes
        options = ["--source", "ehr", "--emulator", "--journal", f"{name}.db", "--processes", processes]
        ran = cli("ingest", name, *options, "--report", f"{name}.html", "--report", f"{name}.json")
        assert ran.code == ExitCode.FAILED
        assert "the emulator holds 1 relationships" in ran.out
        assert r"clinics-\udcff.ndjson" in Path(f"{name}.html").read_text(encoding="utf-8")
        assert json.loads(Path(f"{name}.json").read_bytes())["settings"]["files"] == [name]
        assert not [*Path().glob(".*.tmp")]
    assert len(Path(os.fsdecode(b"clinics-\xff.dead.ndjson")).read_text().splitlines()) == 1


def test_json_is_json_whatever_the_terminal_can_show(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    document = {"resourceType": "Patient", "id": "p1", "mood\U0001f600": "x"}
    Path("a.json").write_text(json.dumps(document))
    monkeypatch.setenv("PYTHONIOENCODING", "utf-8")
    wanted = ended(start("fhir", "definitions", "a.json")).json
    assert "\U0001f600" in str(wanted)
    monkeypatch.setenv("PYTHONIOENCODING", "latin-1")
    assert ended(start("fhir", "definitions", "a.json")).json == wanted


@pytest.mark.parametrize("output", ["table", "json", "ndjson"])
def test_text_that_the_terminal_cannot_show_is_escaped(
    output: str, cli: Cli, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("a.ndjson").write_text(line("aa", data={"note": "\u2620"}))
    assert cli("ingest", "a.ndjson", "--source", "ehr").code == 0
    monkeypatch.setenv("PYTHONIOENCODING", "latin-1")
    ran = ended(
        start("relationship", "get", "practises-at", "aa.org-1", "--source", "ehr", "--output", output)
    )
    assert (ran.code, ran.err) == (ExitCode.OK, "")
    assert "\u2620" in ran.out or "\\u2620" in ran.out
