"""Every message of the command line: it names the option and says what to do, in one line and without Python.

The first table is run; the test at the end reads the messages from the code and finds each in a table.
"""

import ast
import re
import resource
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import clinia_async.cli
from clinia_async.cli.distinct_keys import DistinctKeys
from tests.cli.program import Cli, line
from tests.cli.servers import SILENCE, UnusualServer, service
from tests.cli.test_full_output import PROBLEM
from tests.privileges import without_rights_of_root

GET = "relationship get t id --source s"
CREATE = "relationship create t --from p/aa --to o/bb --source s"
PUT = "profile put patient --source s"
INGEST = "ingest a.ndjson --source s"
PURGE = "purge create resources patient --source s"
PARTITION = "partition create clinics --definition"

NO_JSON = "Invalid value for '--data': must be JSON, @FILE or - for standard input; as a file"
NO_JSON += " it cannot be read:"
MESSAGES = (
    ("", "Missing command. (see clinia-async --help)"),
    ("gone", "No such command 'gone'. (see clinia-async --help)"),
    ("resorce", "No such command 'resorce'. Did you mean 'resource' or 'source'? (see clinia-async --help)"),
    ("task wiat", "No such command 'wiat'. Did you mean 'wait'? (see clinia-async task --help)"),
    (
        f"{INGEST} --journal no/j.db --emulator",
        "Invalid value for '--journal': its folder does not exist or cannot be written to; name a",
    ),
    (
        f"{INGEST} --journal other --emulator",
        (
            "the emulator cannot start: the data file cannot be used: file is not a database; check"
            " --journal: its records are kept beside that file"
        ),
    ),
    ("ingest a.ndjson --emulator", "Missing option '--source' (env var: 'CLINIA_SOURCE')."),
    (f"{GET} --base-url ftp://x", "--base-url must be an https URL with a host"),
    (f"{GET} --workspace a --base-url b", "--workspace and --base-url exclude each other: give one of them."),
    (f"{GET} --timeout 0", "Invalid value for '--timeout': must be more than 0 seconds."),
    (
        f"{GET} --timeout x",
        "Invalid value for '--timeout': must be a finite number of seconds, and not negative.",
    ),
    (f"{GET} --api-key-file locked", "--api-key-file: the file cannot be read: Permission denied"),
    (f"{GET} --api-key-file keyless", "--api-key-file: it holds no key: write the key in it, and nothing"),
    (
        "journal show closed/j",
        "Invalid value for 'FILE': the file closed/j cannot be reached: Permission denied.",
    ),
    (
        f"{INGEST} --emulator --journal j",
        "j.emulator: Is a directory; check its name and rights",
    ),
    (
        f"{CREATE} --from aa",
        "Invalid value for '--from': must be TYPE/ID, such as practitioner/prac-1.",
    ),
    (f"{CREATE} --data gone", f"{NO_JSON} No such file or directory."),
    (f"{CREATE} --data a\0b", f"{NO_JSON} no such file."),
    (f"{CREATE} --data [1]", "--data: $: must be an object"),
    (f"{CREATE} --data {{", "--data: $: must be JSON"),
    (f"{CREATE} --from p/a.b", "--from: $.from.id: must be 1 to 256 characters, none of them a dot"),
    ("relationship update t id --source s --patch {}", "--patch: $: must be a list"),
    ('relationship update t id --source s --patch [{"op":1}]', "--patch: $[0].op: must be a string"),
    (
        f'{PUT} --definition {{"properties":{{}},"x":1}}',
        "--definition: $.x: must be left out: the field is unknown",
    ),
    (
        f'{PARTITION} {{"modules":{{}},"source":{{"type":"X"}}}}',
        "--definition: $.source.type: must be DATA_SOURCE or MDM",
    ),
    (
        f"{CREATE} --on-existing keep --no-wait",
        "--on-existing does not go with --no-wait: no token holds it",
    ),
    (
        "resource create t --source s --data {} --on-existing keep",
        "--on-existing needs --id: without one",
    ),
    ("source create no!key", "KEY: $.key: must be 1 to 62"),
    ("task get s_1", "--source: a task id needs the source that it belongs to; a token names it"),
    (
        PURGE,
        "Delete all records of resources patient for good? Nobody can answer here: give --yes to do it",
    ),
    ("bundle create empty --source s", "FILE: holds no record: name one that does"),
    ("bundle create wrong --source s", "FILE: line 1: $: expected JSON"),
    (
        f"{INGEST} --via single --chunk-bytes 1",
        "--chunk-operations, --chunk-bytes and --linger do not go with --via single: leave",
    ),
    (
        f"{INGEST} --via single --linger 1",
        "--chunk-operations, --chunk-bytes and --linger do not go with --via single: leave",
    ),
    (
        "ingest - --source s --api-key-file -",
        "FILE and --api-key-file cannot both be standard input: name a file",
    ),
    ("ingest gone --source s", "Invalid value for 'FILE...': the file gone does not exist."),
    (
        "ingest - a.ndjson --source s",
        "Invalid value for 'FILE...': `-` is standard input, and cannot stand beside",
    ),
    (
        "ingest folder --source s",
        (
            "Invalid value for 'FILE...': the folder folder holds no file whose name says what is in it; name"
            " the files."
        ),
    ),
    (
        "validate text",
        "this is no NDJSON: none of its first lines is JSON; give its format with --format",
    ),
    ("ingest *.none --source s", "Invalid value for 'FILE...': the pattern *.none matches no file."),
    (
        f"{INGEST} --emulator a.ndjson",
        "Invalid value for 'FILE...': the file a.ndjson is named twice, perhaps by a folder or a pattern",
    ),
    (
        f"{INGEST} --emulator --workspace a",
        "--emulator excludes --workspace, --base-url and --api-key-file: leave",
    ),
    (
        f"{INGEST} --max-errors x",
        "Invalid value for '--max-errors': must be a number of records, such as 20, or a share",
    ),
    (
        f"{INGEST} --dead-letters link",
        "Invalid value for '--dead-letters': must not be a symbolic link; name the file",
    ),
    (
        f"{INGEST} --report no/r.json",
        "Invalid value for '--report': its folder does not exist or cannot be written",
    ),
    (
        f"{INGEST} --report a.ndjson",
        "Invalid value for '--report': is the file that is being read; name another",
    ),
    (
        f"{INGEST} --report /dev/full --emulator",
        "--report: /dev/full cannot be written: No space left on device",
    ),
    (
        "validate wrong --dead-letters /dev/full",
        "Invalid value for '--dead-letters': must be a regular file; name another one.",
    ),
    ("validate a.ndjson --source no!key", "--source: must be 1 to 62"),
    ("doctor --workspace a --base-url b", "--workspace and --base-url exclude each other: give one of them."),
    ("doctor --collection c", "--collection needs --source."),
    ("fhir definitions -", "FILE: standard input is not read here; name a file."),
    ("fhir definitions a.ndjson --apply", "--apply needs --source."),
    ("emulator --accept x", "Invalid value for '--accept': must be TYPE=LATENCY."),
    ("emulator --fault x", "the emulator cannot start: "),
    (
        f"{INGEST} --journal folder --emulator",
        "Invalid value for '--journal': is a folder, perhaps the journal of several processes: give",
    ),
    (
        "ingest - --source s --processes 2",
        "--processes cannot share standard input: name a file.",
    ),
    (
        f"{INGEST} --processes 2 --api-key-file -",
        "--processes needs the key from the environment or a file.",
    ),
    (
        f"{INGEST} --processes 2 --fhir both",
        "--processes does not go with --fhir both: load --fhir resources first, then --fhir references.",
    ),
    (
        "doctor --write-profile no/p.env",
        "Invalid value for '--write-profile': its folder does not exist or cannot be written to; name a",
    ),
    (
        "validate /proc/self/mem --columns type==t",
        "the input is a damaged archive or cannot be read to its end",
    ),
    (INGEST, "cannot connect to 127.0.0.1:1: Connection refused; nothing was sent"),
)
IN_A_SITUATION = (
    # the arguments, the message, and the function below that prepares for it
    (
        f"{INGEST} --report r.html",
        "Invalid value for '--report': an HTML report needs its extra: pip install 'clinia-async[report]'",
        "no_matplotlib",
    ),
    (f"{GET}", "no API key: set CLINIA_API_KEY, or give --api-key-file", "no_key"),
    (
        f"{GET}",
        "no service: give --workspace or --base-url, or set CLINIA_WORKSPACE or CLINIA_BASE_URL",
        "no_service",
    ),
    (
        "doctor",
        "no service: give --workspace or --base-url, or set CLINIA_WORKSPACE or CLINIA_BASE_URL.",
        "no_service",
    ),
    (
        "doctor",
        "no API key: set CLINIA_API_KEY or CLINIA_TOKEN, or give --api-key-file.",
        "no_key",
    ),
    (
        f"{INGEST} --emulator",
        "a proxy does not lead to the emulator of a run: unset CLINIA_PROXY for it",
        "silent_proxy",
    ),
    (f"{GET} --api-key-file -", "--api-key-file: standard input is closed", "closed_standard_input"),
    ("ingest - --source s --emulator", "standard input is closed: name a file", "closed_standard_input"),
    (
        f"{INGEST} --base-url https://nowhere.invalid",
        "no connection to nowhere.invalid in time (3 attempts of 0 s); nothing was sent",
        "silent_proxy",
    ),
    (
        "validate long --dead-letters d.ndjson",
        "--dead-letters: the file cannot be written: File too large",
        "full_disk",
    ),
    (
        "ingest long --source s --emulator --dead-letters d.ndjson",
        "--dead-letters: the file cannot be written: File too large",
        "full_disk",
    ),
    (
        "doctor --write-profile /dev/full",
        "--write-profile: the file cannot be written: No space left on device",
        "service",
    ),
    (
        "validate many",
        "no room for temporary files: database or disk is full; set TMPDIR to a folder that has it",
        "full_tmpdir",
    ),
    ("emulator --port 1", "the emulator cannot start: ", "taken_port"),
)


def no_matplotlib(patch: pytest.MonkeyPatch, _: ExitStack) -> None:
    patch.setattr("clinia_async.cli.output_paths.find_spec", lambda name: None)


def no_key(patch: pytest.MonkeyPatch, _: ExitStack) -> None:
    patch.delenv("CLINIA_API_KEY")


def no_service(patch: pytest.MonkeyPatch, _: ExitStack) -> None:
    patch.delenv("CLINIA_BASE_URL")


def closed_standard_input(patch: pytest.MonkeyPatch, _: ExitStack) -> None:
    patch.setattr(sys, "stdin", None)


def silent_proxy(patch: pytest.MonkeyPatch, opened: ExitStack) -> None:
    """One that takes connections and says nothing, as a firewall does."""
    patch.setattr("clinia_async.cli.runs.source_checks._TIMEOUT", 0.05)
    patch.setattr("clinia_async.cli.runs.source_checks._PAUSE", 0.0)
    patch.setenv("CLINIA_PROXY", opened.enter_context(UnusualServer(lambda _: SILENCE)).url)


def full_disk(_: pytest.MonkeyPatch, opened: ExitStack) -> None:
    """No file may grow beyond 10 kB, and the record that fails is longer."""
    Path("long").write_text("{" + "x" * 20_000 + "\n")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    opened.callback(resource.setrlimit, resource.RLIMIT_FSIZE, before)


def service_that_answers(patch: pytest.MonkeyPatch, opened: ExitStack) -> None:
    patch.setenv("CLINIA_BASE_URL", opened.enter_context(UnusualServer(service)).url)


def full_tmpdir(patch: pytest.MonkeyPatch, _: ExitStack) -> None:
    """As SQLite reports a disk without room."""
    Path("many").write_text("".join(line(f"prac-{number}") for number in range(1000)))
    make = DistinctKeys.__init__

    def made_small(keys: DistinctKeys) -> None:
        make(keys)
        keys._database.execute("PRAGMA max_page_count = 2")

    patch.setattr(DistinctKeys, "__init__", made_small)


def taken_port(patch: pytest.MonkeyPatch, opened: ExitStack) -> None:
    patch.setattr("clinia_async.emulator.Emulator.start", _taken)


async def _taken(_: object) -> None:
    raise OSError("port 1 is in use")


SITUATIONS = {
    each.__name__: each
    for each in (
        no_matplotlib,
        no_key,
        no_service,
        closed_standard_input,
        silent_proxy,
        full_disk,
        full_tmpdir,
        taken_port,
    )
} | {"service": service_that_answers}
_CALLS = {"BadParameter", "UsageError", "ConfigError", "InputError", "NetworkGivenUp", "_bad", "print_error"}


@pytest.fixture(autouse=True)
def _files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLINIA_BASE_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("CLINIA_API_KEY", "a-key")
    Path("a.ndjson").write_text(line("aa"))
    Path("empty").write_text("\n")
    Path("text").write_text("id: aa\n")
    Path("wrong").write_text("{no JSON\n")
    Path("folder").mkdir()
    Path("other.emulator").write_text("no data of an emulator\n" * 100)
    Path("link").symlink_to("a.ndjson")
    Path("keyless").touch()
    Path("locked").touch(0o000)
    Path("closed").mkdir(0o000)
    Path("j.emulator").mkdir()


@pytest.mark.parametrize(("arguments", "message"), MESSAGES)
def test_a_message(arguments: str, message: str, cli: Cli) -> None:
    with without_rights_of_root():
        ran = cli(*arguments.split())
    assert ran.code in {2, 4}
    *_, last = ran.messages
    assert last.startswith(f"error: {message}")
    assert "Traceback" not in ran.err
    assert "escape_dots" not in ran.err


@pytest.mark.parametrize(("arguments", "message", "situation"), IN_A_SITUATION)
def test_a_message_in_a_situation(
    arguments: str, message: str, situation: str, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as opened:
        SITUATIONS[situation](monkeypatch, opened)
        ran = cli(*arguments.split())
    assert ran.code in {2, 4}
    *_, last = ran.messages
    assert last.startswith(f"error: {message}")
    assert "Traceback" not in ran.err


def _templates() -> Iterator[str]:
    """The texts of all messages in the code, with a star for each value in them."""
    folder = Path(clinia_async.cli.__file__).parent
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and node.args:
                name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                yield from _texts(node.args[0]) if name in _CALLS else ()
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in {"problem", "reason"}:
                yield from _texts(node.value)


def _texts(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value:
        yield node.value
    if isinstance(node, ast.JoinedStr):
        parts = [str(each.value) if isinstance(each, ast.Constant) else "\0" for each in node.values]
        yield "".join(parts)


def test_every_message_in_the_code_is_in_a_table() -> None:
    known = [message for _, message, *_ in (*MESSAGES, *IN_A_SITUATION)] + [PROBLEM]
    templates = set(_templates())
    assert len(templates) > 30
    assert [each for each in templates if not any(_fits(each, message) for message in known)] == []


def _fits(template: str, message: str) -> bool:
    """Whether the longest literal part of the template, or its beginning, stands in `message`."""
    longest = max(template.rstrip(".").split("\0"), key=len)
    return longest[:40] in message


def test_no_message_has_a_name_of_python() -> None:
    texts = " ".join(_templates())
    assert not re.search(r"\b[a-z]+_[a-z]+\b|\b[A-Z][a-z]+[A-Z]\w+Error|None|Exception", texts)
