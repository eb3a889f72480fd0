"""Standard output that cannot be written: one line says so, whatever the command was, and no traceback."""

import json
import os
from pathlib import Path

import pytest

from clinia_async.cli.exit_codes import ExitCode
from tests.cli.program import Cli, ended, line, start
from tests.cli.served import Served

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
