"""Every variable that gives a setting gives it to every command: a wrong one is refused by each of them."""

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from clinia_async import ConfigError, Session
from clinia_async.session.options import VARIABLES, with_environment
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


class Nearest(NamedTuple):
    options: list[str]
    variables: dict[str, str]
    timeout: float
    patience: float


NEAREST = [
    Nearest([], {}, 60, 60),
    Nearest(["--timeout", "7", "--patience", "1"], {}, 7, 1),
    Nearest(["--timeout", "7"], {"CLINIA_TIMEOUT": "8", "CLINIA_POLLING_PATIENCE": "9"}, 7, 9),
    Nearest(["--patience", "1"], {"CLINIA_TIMEOUT": "8", "CLINIA_POLLING_PATIENCE": "9"}, 8, 1),
]


@pytest.mark.parametrize("service", [["--base-url", "http://127.0.0.1:9"], ["--emulator"]])
@pytest.mark.parametrize("nearest", NEAREST)
def test_what_is_nearer_to_a_job_decides(
    nearest: Nearest, service: list[str], cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An option, then a variable, then the default, for a service and for an emulator alike."""
    made: list[Session] = []

    def from_env(**given: Any) -> Session:
        given = {name: value for name, value in given.items() if value is not None}
        made.append(Session(**with_environment(given, os.environ)))  # type: ignore[arg-type]
        raise ConfigError("that is enough")

    monkeypatch.setattr(Session, "from_env", from_env)
    for name, value in nearest.variables.items():
        monkeypatch.setenv(name, value)
    assert cli("ingest", "records.ndjson", *service, *nearest.options).code == 2
    settings = made[0]._engine.options
    assert (settings.timeout, settings.polling.patience) == (nearest.timeout, nearest.patience)
    assert settings.retry.patience == (60 if nearest.patience == 9 else nearest.patience)
