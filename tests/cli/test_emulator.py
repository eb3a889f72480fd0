"""The emulator as a program: what it prints leads a client to it, and a signal ends it well."""

import json
import os
import signal
import socket
import subprocess
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from tests.cli.program import Cli, Ran, ended, line, start

LONG_KEY = "k" * 40


def _running(*arguments: str) -> tuple[subprocess.Popen[bytes], dict[str, str]]:
    """The process and the variables that it told, once it serves."""
    process = start("emulator", *arguments)
    assert process.stdout is not None
    is_given = "--key" in arguments or "CLINIA_API_KEY" in os.environ
    told = [process.stdout.readline() for _ in range(1 if is_given else 2)]
    pairs = [line.decode().strip().removeprefix("export ").split("=", 1) for line in told]
    return process, dict(pairs)


def _stopped(process: subprocess.Popen[bytes], number: int) -> Ran:
    process.send_signal(number)
    return ended(process)


def _some_records() -> Path:
    path = Path("some.ndjson")
    path.write_text("".join(line(f"prac-{number}") for number in range(10)))
    return path


def _lead(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_it_prints_leads_to_it(number: int, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    process, variables = _running("--seed", "7")
    assert list(variables) == ["CLINIA_BASE_URL", "CLINIA_API_KEY"]
    assert len(variables["CLINIA_API_KEY"]) >= 32
    _lead(variables, monkeypatch)
    assert cli("ingest", _some_records(), "--source", "s").code == 0
    assert _stopped(process, number) == (0, "", "")


def test_options_of_latency(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ("--accept", "slow=3600", "--accept", "quick=0", "--accept-all", "0.01", "--bulk-latency", "0")
    process, variables = _running(*options)
    _lead(variables, monkeypatch)
    monkeypatch.setenv("CLINIA_SOURCE", "s")
    ends = ("--from", "p/a", "--to", "o/b")
    assert cli("relationship", "create", "slow", *ends, "--no-wait").out.startswith("{")
    assert cli("relationship", "create", "quick", *ends).code == 0
    assert cli("relationship", "create", "other", *ends, "--no-wait").out.startswith("{")
    assert cli("ingest", _some_records()).code == 0
    assert _stopped(process, signal.SIGTERM).code == 0


def test_a_key_of_ones_own_is_not_shown(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    process, variables = _running("--key", LONG_KEY, "--host", "0.0.0.0")
    assert list(variables) == ["CLINIA_BASE_URL"]
    _lead({**variables, "CLINIA_API_KEY": LONG_KEY}, monkeypatch)
    assert cli("partition", "get", "clinics").code == 1
    stopped = _stopped(process, signal.SIGINT)
    assert (stopped.code, stopped.out) == (0, "")
    assert "--key-file" in stopped.err
    assert LONG_KEY not in stopped.err


def test_a_key_from_a_file_or_the_environment_is_not_shown(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("key").write_text(f"{LONG_KEY}\n")
    process = start("emulator", "--key-file", "key")
    _check_key(process, cli, monkeypatch)
    monkeypatch.setenv("CLINIA_EMULATOR_KEY", LONG_KEY)
    process = start("emulator", "--accept-all", "0.01~0.5", "--bulk-latency", "0.01~1")
    _check_key(process, cli, monkeypatch)


def _check_key(process: subprocess.Popen[bytes], cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert process.stdout is not None
    url = process.stdout.readline().decode().strip().partition("=")[2]
    _lead({"CLINIA_BASE_URL": url, "CLINIA_API_KEY": LONG_KEY}, monkeypatch)
    assert cli("ingest", _some_records(), "--source", "s").code == 0
    assert _stopped(process, signal.SIGTERM) == (0, "", "")


def test_faults_and_chaos(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    process, variables = _running("--chaos", "1", "--fault", "unavailable-executed:bulk_relationships:0.5:0")
    _lead(variables, monkeypatch)
    assert cli("ingest", _some_records(), "--source", "s").code == 0
    request = Request(f"{variables['CLINIA_BASE_URL']}/emulator")
    request.add_header("X-Clinia-API-Key", variables["CLINIA_API_KEY"])
    with urlopen(request) as response:
        assert json.load(response)["relationships"] == 10
    assert _stopped(process, signal.SIGTERM) == (0, "", "")


def test_what_is_kept_in_a_file_is_there_again(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    for disposition in ("succeeded", "existing"):
        process, variables = _running("--data", "registry.db")
        _lead(variables, monkeypatch)
        report = cli("ingest", _some_records(), "--source", "s", "--json").json
        assert report["by_disposition"][disposition] == 10
        assert _stopped(process, signal.SIGTERM).code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("--host", "0.0.0.0"),
        ("--host", "0.0.0.0", "--key", "short"),
        ("--key", "with space"),
        ("--port", "65536"),
        ("--accept", "3"),
        ("--accept", "=3"),
        ("--accept", "type=soon"),
        ("--accept-all", "-1"),
        ("--accept-all", "inf"),
        ("--bulk-latency", "nan"),
        ("--data", "no-database"),
        ("--data", "no/such/folder"),
        ("--bulk-latency", "1~2~3"),
        ("--accept", "type=1~wide"),
        ("--fault", "lost-reply:nowhere"),
        ("--key-file", "no-such-file"),
        ("--patience", "-1"),
    ],
    ids=" ".join,
)
def test_it_cannot_start(arguments: tuple[str, ...], cli: Cli) -> None:
    Path("no-database").write_bytes(b"something else " * 100)
    ran = cli("emulator", *arguments)
    assert (ran.code, ran.out) == (2, "")
    errors = [line for line in ran.err.splitlines() if not line.startswith("warning: --key ")]
    assert len(errors) == 1
    assert errors[0].startswith("error: ")


def test_its_port_is_taken(cli: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ran = cli("emulator", "--port", taken.getsockname()[1])
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: the emulator cannot start: ")
    assert "give another --port, or 0 for one that is free" in ran.err


def test_a_strict_one_knows_only_what_was_made(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    process, variables = _running("--strict")
    _lead(variables, monkeypatch)
    assert cli("ingest", _some_records(), "--source", "s").code == 1
    assert cli("source", "create", "s").code == 0
    assert cli("source", "get", "s").code == 0
    assert _stopped(process, signal.SIGTERM).code == 0


def test_the_dialect_and_the_window(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    process, variables = _running("--dialect", "go", "--window", "counts")
    _lead(variables, monkeypatch)
    assert process.stderr is not None
    address = process.stderr.readline().decode().removeprefix("window: ").strip()
    assert address.startswith(variables["CLINIA_BASE_URL"])
    with urlopen(address) as response:
        assert b"Clinia emulator" in response.read()
    request = Request(f"{variables['CLINIA_BASE_URL']}/catalog/v1/partitions")
    request.add_header("X-Clinia-API-Key", variables["CLINIA_API_KEY"])
    with urlopen(request) as response:
        assert json.load(response)["data"] is None
    assert _stopped(process, signal.SIGTERM).code == 0
