"""Every message of the command line: it names the option and says what to do, in one line and without Python.

The first table is run; the test at the end reads the messages from the code and finds each in a table.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import clinia_async.cli
from tests.cli.program import Cli, line

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
    (f"{GET} --workspace a --base-url b", "--workspace and --base-url exclude each other: give one of them."),
    (f"{GET} --timeout 0", "Invalid value for '--timeout': must be more than 0 seconds."),
    (
        f"{GET} --timeout x",
        "Invalid value for '--timeout': must be a finite number of seconds, and not negative.",
    ),
    (f"{GET} --api-key-file locked", "--api-key-file: the file cannot be read: Permission denied"),
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
    ("source create no!key", "KEY: $.key: must be 1 to 62"),
    ("task get s_1", "--source: a task id needs the source that it belongs to; a token names it"),
    (
        PURGE,
        "Delete all records of resources patient for good? Nobody can answer here: give --yes to do it",
    ),
    ("bundle create empty --source s", "FILE: holds no record"),
    ("bundle create wrong --source s", "FILE: line 1: $: expected JSON"),
    (
        f"{INGEST} --via single --chunk-bytes 1",
        "--chunk-operations and --chunk-bytes do not go with --via single: leave",
    ),
    (
        "ingest - --source s --api-key-file -",
        "FILE and --api-key-file cannot both be standard input: name a file",
    ),
    ("ingest gone --source s", "Invalid value for 'FILE...': a file does not exist."),
    (
        "ingest - a.ndjson --source s",
        "Invalid value for 'FILE...': `-` is standard input, and cannot stand beside",
    ),
    ("ingest folder --source s", "Invalid value for 'FILE...': a folder holds no file whose name says what"),
    ("ingest *.none --source s", "Invalid value for 'FILE...': a pattern matches no file."),
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
    (INGEST, "cannot connect to 127.0.0.1:1: Connection refused; nothing was sent"),
)
ELSEWHERE = {
    "an HTML report needs its extra: pip install 'clinia-async[report]'; or name a .json file.": (
        "test_html_report"
    ),
    "--dead-letters: the file cannot be written: ": "a full disk",
    "--write-profile: the file cannot be written: ": "a full disk",
    "no API key: set CLINIA_API_KEY or CLINIA_TOKEN, or give --api-key-file.": "test_doctor",
    "no service: give --workspace or --base-url.": "test_doctor",
    "--collection needs --source.": "test_doctor",
    "--apply needs --source.": "test_fhir",
    "FILE: standard input is not read here; name a file.": "test_retry",
    "its name does not resolve": "test_doctor",
    "its certificate is not accepted: ": "a server with TLS",
    "no TLS connection": "a server with TLS",
    "what it answers is no HTTP": "test_doctor",
    "no answer within 5 s": "test_doctor",
    "no API key: set CLINIA_API_KEY, or give --api-key-file": "test_without_a_key_or_a_service",
    "no service: give --workspace or --base-url, or set CLINIA_WORKSPACE or CLINIA_BASE_URL": (
        "test_without_a_key_or_a_service"
    ),
    "--api-key-file: standard input is closed": "test_standard_input_that_is_closed",
    "standard input is closed": "test_ingest",
    "no room for temporary files in the folder that TMPDIR names: ": "test_distinct_keys",
    "no connection within 3 s": "a host that does not answer: no such host is on every machine",
    "the input cannot be read: ": "an error of the disk",
}
_CALLS = {"BadParameter", "UsageError", "ConfigError", "InputError", "NetworkGivenUp", "_bad"}
_OTHERS = {"emulator.py"}


@pytest.fixture(autouse=True)
def _files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLINIA_BASE_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("CLINIA_API_KEY", "a-key")
    Path("a.ndjson").write_text(line("aa"))
    Path("empty").write_text("\n")
    Path("wrong").write_text("no JSON\n")
    Path("folder").mkdir()
    Path("link").symlink_to("a.ndjson")
    Path("locked").touch(0o000)


def _readable_by_root(arguments: str) -> bool:
    return "locked" in arguments and bool(Path("locked").touch() or not Path("locked").stat().st_uid)


@pytest.mark.parametrize(("arguments", "message"), MESSAGES)
def test_a_message(arguments: str, message: str, cli: Cli) -> None:
    if _readable_by_root(arguments):
        pytest.skip("root can read every file")
    ran = cli(*arguments.split())
    assert ran.code in {2, 4}
    *_, last = ran.messages
    assert last.startswith(f"error: {message}")
    assert "Traceback" not in ran.err
    assert "escape_dots" not in ran.err


def test_without_a_key_or_a_service(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLINIA_BASE_URL")
    service = "no service: give --workspace or --base-url, or set CLINIA_WORKSPACE or CLINIA_BASE_URL"
    assert cli(*GET.split()) == (2, "", f"error: {service}\n")
    monkeypatch.delenv("CLINIA_API_KEY")
    key = "no API key: set CLINIA_API_KEY, or give --api-key-file"
    assert cli(*GET.split()) == (2, "", f"error: {key}\n")


def test_standard_input_that_is_closed(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    ran = cli(*GET.split(), "--api-key-file", "-")
    assert ran == (2, "", "error: --api-key-file: standard input is closed\n")


def _templates() -> Iterator[str]:
    """The texts of all messages in the code, with a star for each value in them."""
    folder = Path(clinia_async.cli.__file__).parent
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if path.name not in _OTHERS and isinstance(node, ast.Call) and node.args:
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
    known = [message for _, message in MESSAGES] + list(ELSEWHERE)
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
