"""Every snippet of the README runs, and says what it should."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from clinia_async.ingest.readers.ndjson import LineReader
from clinia_async.ingest.readers.ndjson_strict import Rules
from clinia_async.ingest.records.record import Record
from tests.readme_commands import commands
from tests.test_surface import CALLS, method_of

PYPROJECT = Path(__file__).parent.parent / "pyproject.toml"
README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```python\n(.+?)```", README, re.DOTALL)
SAID = [
    ["SUCCESS practises-at 0"],
    ["single SUCCESS", "Relationship"],
    ["200 creates in 1 request"],
    ["persisted         1,000", "settled by reading back"],
    ["0 before,", "1000 landed", "1000 stored"],
    ["True 0\nTrue 100\n"],
    ["bundle stored", "bulk 1000 SUCCESS", "left 1000", "purged 1001 []"],
    ["1 passed"],
]


@pytest.mark.parametrize(("snippet", "said"), list(zip(SNIPPETS, SAID, strict=True)))
def test_python_snippets_run(snippet: str, said: list[str], tmp_path: Path) -> None:
    path = tmp_path / "test_snippet.py"
    path.write_text(snippet, encoding="utf-8")
    arguments = [str(path)]
    if "async def test_" in snippet:
        arguments = [
            "-m",
            "pytest",
            "-q",
            "-c",
            str(PYPROJECT),
            "--rootdir",
            str(tmp_path),
            "-p",
            "no:cacheprovider",
            *arguments,
        ]
    ran = subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
    )
    assert ran.returncode == 0, ran.stderr + ran.stdout
    for text in said:
        assert text in ran.stdout


def test_the_line_of_input_is_a_record() -> None:
    (text,) = re.findall(r"```json\n(.+?)\n```", README)
    assert isinstance(LineReader(Rules("ehr")).read(1, text.encode()), Record)
    assert json.loads(text)["type"] == "practises-at"


def test_there_are_two_commands_and_nothing_else_to_set_up() -> None:
    assert len(commands(README)) == 2
    assert all(command.startswith("python3 -m venv ") for command in commands(README))


def test_what_may_be_repeated_is_what_the_calls_say() -> None:
    rows = re.findall(r"^\| (keyed|as its writes|idempotent|once) \| (.+?) \|", README, re.MULTILINE)
    said = {name: kind for kind, names in rows for name in re.findall(r"`([a-z_]+[a-z])`", names)}
    for name, call in CALLS.items():
        method = method_of(name)
        kind = "as its writes" if isinstance(call.retry_safety, property) else str(call.retry_safety)
        if method.startswith(("get_", "list_")):
            assert kind == "idempotent", name
        else:
            assert said.pop(method) == kind, name
    assert not said, "methods that are no call"
