"""Every variable that gives a setting gives it to every command: a wrong one is refused by each of them."""

import json
from pathlib import Path

import pytest

from clinia_async.session.options import VARIABLES
from tests.cli.program import Cli

COMMANDS = {
    "ingest": ["ingest", "records.ndjson", "--patience", "1"],
    "ingest with --timeout": ["ingest", "records.ndjson", "--patience", "1", "--timeout", "1"],
    "ingest by processes": ["ingest", "records.ndjson", "--processes", "2", "--patience", "1"],
    "ingest to the emulator": ["ingest", "records.ndjson", "--emulator"],
    "task": ["task", "wait", "s_1"],
    "relationship": ["relationship", "get", "t", "a.b"],
}
NUMBERS = [name for name, (_, parse) in VARIABLES.items() if parse is not str]


@pytest.fixture(autouse=True)
def _given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    ends = {"from": {"id": "a", "type": "a"}, "to": {"id": "b", "type": "b"}}
    Path("records.ndjson").write_text(json.dumps({"type": "t", **ends}) + "\n")
    for name, value in (("BASE_URL", "http://127.0.0.1:9"), ("API_KEY", "key"), ("SOURCE", "ehr")):
        monkeypatch.setenv(f"CLINIA_{name}", value)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_variable_is_read_by_every_command(
    command: str, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    overridden = {"CLINIA_TIMEOUT"} if command.endswith("--timeout") else set()
    for variable in NUMBERS:
        if variable in overridden:
            continue
        monkeypatch.setenv(variable, "no-number")
        ran = cli(*COMMANDS[command])
        monkeypatch.delenv(variable)
        assert ran.code == 2, variable
        assert f"the environment variable {variable} must be" in ran.err
