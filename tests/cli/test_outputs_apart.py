"""Files that a command writes: none of them takes the place of another one that it reads or writes."""

import itertools
import os
from pathlib import Path

import pytest

from tests.cli.program import Cli, line

KEY = "key.txt"
PROFILE = "clinia.env"
INPUT = "a.ndjson"
WAYS = {
    "same": lambda name: name,
    "spelled otherwise": lambda name: f"./folder/../{name}",
    "absolute": os.path.abspath,
    "by a linked folder": lambda name: f"here/{name}",
}
OPTIONS = ("--journal", "--dead-letters", "--report")
BESIDE = ("-wal", "-shm", "-journal", "-count", ".emulator", ".emulator-wal")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLINIA_BASE_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("CLINIA_PROFILE", PROFILE)
    monkeypatch.delenv("CLINIA_API_KEY", raising=False)
    Path(INPUT).write_text(line("aa") + line("b.b"))
    Path(KEY).write_text("a-key")
    Path(PROFILE).write_text("CLINIA_TIMEOUT=5\n")
    for secret in (KEY, PROFILE, INPUT):
        Path(secret).chmod(0o600)
    Path("folder").mkdir()
    Path("here").symlink_to(".")


def _there() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(Path().iterdir()) if path.is_file()}


def _is_refused(cli: Cli, *arguments: str) -> None:
    before = _there()
    ran = cli(*arguments)
    assert ran.code == 2, arguments
    assert "name another one" in ran.err
    assert "Traceback" not in ran.err
    assert _there() == before, "nothing is written, or replaced"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("first", "second"), [*itertools.combinations(OPTIONS, 2), ("--report", "--report")])
def test_two_options_with_one_file(cli: Cli, first: str, second: str, way: str) -> None:
    ingest = ("ingest", INPUT, "--source", "s", "--emulator")
    _is_refused(cli, *ingest, first, "x", second, WAYS[way]("x"))
    _is_refused(cli, *ingest, "--processes", "2", second, "x", first, WAYS[way]("x"))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("used", [KEY, PROFILE, INPUT])
def test_an_option_with_a_file_that_is_read(cli: Cli, option: str, used: str, way: str) -> None:
    ingest = ("ingest", INPUT, "--source", "s", "--api-key-file", KEY)
    _is_refused(cli, *ingest, option, WAYS[way](used))
    if option != "--journal":
        os.link(used, "linked")
        _is_refused(cli, *ingest, option, "linked")


@pytest.mark.parametrize("option", ["--dead-letters", "--report"])
@pytest.mark.parametrize("ending", BESIDE)
def test_what_belongs_to_a_journal(cli: Cli, option: str, ending: str) -> None:
    ingest = ("ingest", INPUT, "--source", "s", "--emulator", "--journal", "load.db")
    _is_refused(cli, *ingest, option, f"load.db{ending}")


@pytest.mark.parametrize("option", ["--dead-letters", "--report"])
def test_what_belongs_to_a_job_of_several_processes(cli: Cli, option: str) -> None:
    Path("load").mkdir()
    ingest = ("ingest", INPUT, "--source", "s", "--emulator", "--processes", "2")
    _is_refused(cli, *ingest, "--journal", "load", option, "load/part-0")
    _is_refused(cli, *ingest, "--dead-letters", "x", "--report", "x.part-1")


def test_other_commands(cli: Cli) -> None:
    _is_refused(cli, "validate", INPUT, "--dead-letters", PROFILE)
    _is_refused(cli, "doctor", "--api-key-file", KEY, "--write-profile", KEY)


def test_a_file_that_another_program_has_written_is_no_draft_of_a_report(cli: Cli) -> None:
    Path("load.json.part").write_text("a download")
    ran = cli(
        "ingest", INPUT, "--source", "s", "--emulator", "--report", "load.json", "--report", "/dev/null"
    )
    assert ran.code == 1
    assert Path("load.json.part").read_text() == "a download"
    assert {path.name for path in Path().iterdir()} >= {"load.json", "a.dead.ndjson"}
    assert not list(Path().glob(".*.tmp"))


def test_devices_may_be_named_by_all(cli: Cli) -> None:
    devices = ("--report", "/dev/null", "--report", "/dev/null")
    assert cli("ingest", INPUT, "--source", "s", "--emulator", *devices).code == 1


def test_files_of_their_own_are_taken(cli: Cli) -> None:
    ingest = ("ingest", INPUT, "--source", "s", "--emulator", "--journal", "load.db")
    for _ in range(2):
        assert cli(*ingest, "--report", "load.json", "--dead-letters", "load.dead").code == 1


def test_dead_letters_that_are_none_are_not_replaced(cli: Cli) -> None:
    Path("notes").write_text("notes")
    ran = cli("ingest", INPUT, "--source", "s", "--emulator", "--dead-letters", "notes")
    assert (ran.code, Path("notes").read_text()) == (2, "notes")
    assert "name another" in ran.err
