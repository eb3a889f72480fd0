"""Help costs nothing, and every command has some."""

import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from clinia_async.cli import INSTALL, api_table
from clinia_async.cli.exit_codes import ExitCode
from clinia_async.cli.lazy_group import group
from clinia_async.cli.summaries import CALLS, SUMMARIES
from tests.cli.program import WARNINGS_ARE_ERRORS, Cli, ended, start
from tests.patience import PATIENCE

HEAVY = ("aiohttp", "attr", "attrs", "cattrs", "orjson", "rich", "backoff")


def _commands(
    command: click.Command, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from _commands(inner, (*path, name))


COMMANDS = dict(_commands(group, ()))


def test_these_are_the_commands() -> None:
    groups: dict[str, set[str]] = {}
    for first, *rest in filter(None, COMMANDS):
        groups.setdefault(first, set()).update(rest)
    assert groups == {
        "browse": set(),
        "bulk": {"create", "get"},
        "bundle": {"create"},
        "collection": {"put", "get"},
        "completion": set(),
        "contained": {"create", "upsert", "delete"},
        "doctor": set(),
        "definition": {"put", "get", "list"},
        "emulator": set(),
        "fhir": {"definitions"},
        "ingest": set(),
        "journal": {"show"},
        "partition": {"create", "get", "list", "delete"},
        "profile": {"put"},
        "purge": {"create", "get"},
        "relationship": {"create", "get", "update", "delete"},
        "resource": {"create", "upsert", "get", "delete"},
        "retry": set(),
        "source": {"create", "get", "list", "delete"},
        "task": {"get", "wait"},
        "validate": set(),
    }


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_and_option_is_explained(path: tuple[str, ...], cli: Cli) -> None:
    command = COMMANDS[path]
    options = [each for each in command.params if isinstance(each, click.Option)]
    assert command.help
    assert all(option.help for option in options)
    ran = cli(*path, "--help")
    assert (ran.code, ran.err) == (0, "")
    assert all(f"{code:>3}  " in ran.out for code in ExitCode)


@pytest.mark.parametrize("name", SUMMARIES)
def test_the_line_on_each_command_is_what_the_command_says_of_itself(name: str) -> None:
    own = COMMANDS[name,].get_short_help_str(limit=1000)
    assert click.Command(name, help=SUMMARIES[name]).get_short_help_str(limit=1000) == own


def test_there_is_a_line_on_each_command() -> None:
    assert set(SUMMARIES) == {path[0] for path in COMMANDS if path}
    assert set(CALLS) == set(api_table.COMMANDS)


def test_the_help_of_the_program_loads_no_command() -> None:
    program = """
import sys
from clinia_async.cli import main
assert main(["--help"]) == 0
loaded = {name for name in sys.modules if name.startswith(("clinia_async.cli.", "asyncio"))}
print(*sorted(name.removeprefix("clinia_async.cli.") for name in loaded), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.split() == ["exit_codes", "groups", "lazy_group", "summaries"]


def test_the_help_of_every_command_loads_nothing_heavy() -> None:
    program = f"""
import sys
from clinia_async.cli import main
for path in {list(COMMANDS)!r}:
    assert main([*path, "--help"]) == 0
assert main(["--version"]) == 0
heavy = sys.modules.keys() & set({HEAVY!r})
assert not heavy, heavy
"""
    command = [sys.executable, *WARNINGS_ARE_ERRORS, "-c", program]
    done = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_escaped_dots_are_said_to_be_reversible(cli: Cli) -> None:
    text = " ".join(cli("ingest", "--help").out.split())
    assert "write `.` as `_2E` and `_` as `_5F`" in text
    assert "undone exactly" in text


def test_the_version() -> None:
    ran = ended(start("--version"))
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("clinia-async, version ")


def test_without_its_extra_it_says_how_to_install_it() -> None:
    program = "import sys; sys.modules['click'] = None; import clinia_async.__main__"
    done = subprocess.run(
        [sys.executable, *WARNINGS_ARE_ERRORS, "-c", program],
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr.decode()) == (2, b"", INSTALL + "\n")
    assert "pip install 'clinia-async[cli]'" in INSTALL


@pytest.mark.parametrize(
    "arguments",
    [(), ("no-such-command",), ("ingest",), ("task",), ("ingest", "--no-such-option"), ("ingest", "gone")],
)
def test_wrong_usage_is_reported_in_one_line(arguments: tuple[str, ...], cli: Cli) -> None:
    ran = cli(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: ")
    assert ran.err.count("\n") == 1
