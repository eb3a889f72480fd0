"""What the README and the site say of the code holds. Their snippets run in tests/docs."""

import json
import re
from pathlib import Path

import clinia_async
from clinia_async.ingest.readers.ndjson import LineReader
from clinia_async.ingest.readers.ndjson_strict import Rules
from clinia_async.ingest.records.record import Record
from clinia_async.session.options import VARIABLES
from tests.readme_commands import commands
from tests.test_surface import CALLS, method_of

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
DOCS = Path(__file__).parent.parent / "docs"


def test_the_line_of_input_is_a_record() -> None:
    (text,) = re.findall(r"```json\n(.+?)\n```", (DOCS / "ingestion.md").read_text(encoding="utf-8"))
    assert isinstance(LineReader(Rules("ehr")).read(1, text.encode()), Record)
    assert json.loads(text)["type"] == "practises-at"


def test_there_are_two_commands_and_nothing_else_to_set_up() -> None:
    assert len(commands(README)) == 2
    assert all(command.startswith("python3 -m venv ") for command in commands(README))
    assert " --emulator --journal " in commands(README)[0]


def test_what_may_be_repeated_is_what_the_calls_say() -> None:
    page = (DOCS / "exactly-once.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (keyed|as its writes|idempotent|once) \| (.+?) \|", page, re.MULTILINE)
    said = {name: kind for kind, names in rows for name in re.findall(r"`([a-z_]+[a-z])`", names)}
    for name, call in CALLS.items():
        method = method_of(name)
        kind = "as its writes" if isinstance(call.retry_safety, property) else str(call.retry_safety)
        if method.startswith(("get_", "list_")):
            assert kind == "idempotent", name
        else:
            assert said.pop(method) == kind, name
    assert not said, "methods that are no call"


def test_files_that_contributing_names_exist() -> None:
    page = (DOCS.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:[a-z_]+/)+[a-z_]+\.(?:py|yaml|md))`", page))
    assert named
    package = Path(clinia_async.__file__).parent
    roots = (DOCS.parent, package.parent, package)
    assert [name for name in sorted(named) if not any((root / name).exists() for root in roots)] == []


def test_each_environment_variable_is_on_the_page_of_settings() -> None:
    page = (DOCS / "settings.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(CLINIA_\w+)` \| `([\w.]+)`", page, re.MULTILINE))
    assert rows == {variable: setting for variable, (setting, _) in VARIABLES.items()}
