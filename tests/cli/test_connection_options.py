"""Where the service is, and who asks: from options, a file or the environment, and never told."""

import io
import sys
from pathlib import Path

import pytest

from tests.cli.program import Cli, ended, start
from tests.cli.served import Served

GET = ("relationship", "get", "practises-at", "a.b", "--source", "ehr-prod")
EVERY = (
    GET,
    ("relationship", "create", "t", "--from", "p/a", "--to", "o/b", "--source", "s"),
    ("partition", "get", "clinics"),
    ("task", "get", "s_1", "--source", "s"),
    ("task", "wait", "s_1", "--source", "s"),
)
NOT_FOUND = "GET /sources/{source}/v1/relationships/{type}/{id}: 404 NOT_FOUND"
NOT_THERE = f"error: {NOT_FOUND}; it is not there: check the id, the type, the source and the workspace\n"


def test_the_environment_says_it_all(cli: Cli, served: Served) -> None:
    ran = cli(*GET)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == NOT_THERE


def test_options_win_over_the_environment(
    cli: Cli, served: Served, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CLINIA_BASE_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("CLINIA_API_KEY", "not-this-one")
    key = tmp_path / "key"
    key.write_text(f"{served.key}\n")
    assert cli(*GET, "--base-url", served.url, "--api-key-file", key, "--timeout", "5").code == 1
    assert served.arrivals["get_relationship"] == 1


def test_a_workspace_wins_over_the_base_url_of_the_environment(cli: Cli, served: Served) -> None:
    ran = cli(*GET, "--workspace", "Not A Label")
    assert ran.code == 2
    assert ran.err.startswith("error: --workspace must be one DNS label")
    assert not served.arrivals


def test_the_key_from_standard_input(cli: Cli, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLINIA_API_KEY", "not-this-one")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(served.key.encode())))
    assert cli(*GET, "--api-key-file", "-").code == 1


@pytest.mark.parametrize("arguments", EVERY, ids=" ".join)
def test_a_wrong_key(
    arguments: tuple[str, ...], cli: Cli, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLINIA_API_KEY", "a-wrong-key")
    ran = cli(*arguments)
    assert (ran.code, ran.out.strip()) == (3, "")
    assert ran.err.splitlines()[-1].startswith("error: ")
    assert "a-wrong-key" not in ran.err


@pytest.mark.usefixtures("nothing_listens")
@pytest.mark.parametrize("arguments", EVERY[:4], ids=" ".join)
def test_nothing_listens(arguments: tuple[str, ...], cli: Cli) -> None:
    ran = cli(*arguments)
    assert (ran.code, ran.out) == (4, "")
    assert ran.err.startswith("error: ")
    assert ran.err.count("\n") == 1


def test_there_is_no_option_for_the_key(cli: Cli, served: Served) -> None:
    for arguments in (("--api-key", "top-secret"), ("--api-key=top-secret",)):
        ran = cli(*GET, *arguments)
        assert (ran.code, ran.out) == (2, "")
        assert "top-secret" not in ran.err


def test_a_file_that_holds_no_key_is_named_as_such(cli: Cli, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.write_text("\n")
    ran = cli(*GET, "--workspace", "acme", "--api-key-file", empty)
    assert (ran.code, "--api-key-file: it holds no key" in ran.err) == (2, True)


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--workspace", "acme"),
        ("--workspace", "acme", "--base-url", "https://registry.example"),
        ("--api-key-file", "empty"),
        ("--api-key-file", "gone"),
        ("--api-key-file", "not-ascii", "--workspace", "acme"),
        ("--api-key-file", "fine"),
        ("--api-key-file", "fine", "--base-url", "http://registry.example"),
        ("--timeout", "0"),
        ("--timeout", "nan"),
        ("--timeout", "soon"),
    ],
    ids=" ".join,
)
def test_settings_that_are_wrong(arguments: tuple[str, ...], cli: Cli) -> None:
    Path("empty").touch()
    Path("not-ascii").write_bytes(b"caf\xc3\xa9")
    Path("fine").write_text("key")
    ran = cli(*GET, *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: ")
    assert ran.err.count("\n") == 1


def test_a_program_of_its_own_says_the_same(served: Served) -> None:
    ran = ended(start(*GET))
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == NOT_THERE
