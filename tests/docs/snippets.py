"""The snippets of a page of Markdown, and one shell script that runs them all in order.

A fence is run by its language:

* ``python`` runs as a program, or by pytest if it defines a test;
* ``sh`` runs in the one shell of the page, so that a process in the background lives to its end;
* any fence with ``title="NAME"`` is written to the file NAME instead;
* ``json`` without a title has to be one JSON value a line, or one in all;
* ``python spark`` is run by ``python -m tests.engines.spark``;
* ``text`` right after a snippet lists lines that the snippet has to print, in this order.
"""

import json
import re
import shlex
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

from attrs import frozen

FENCE = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?( spark)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LANGUAGES = {"python", "sh", "json", "csv", "text"}
END = "--- end of snippet"
PLUGIN = "clinia_async.testing.plugin"
IS_INSTALLED = any(entry.value == PLUGIN for entry in entry_points(group="pytest11"))
PYTEST = (
    f"{shlex.quote(sys.executable)} -m pytest -q -p no:cacheprovider -W error -o asyncio_mode=auto"
    f" -o asyncio_default_fixture_loop_scope=function --rootdir .{'' if IS_INSTALLED else f' -p {PLUGIN}'}"
)


@frozen
class Snippet:
    line: int
    language: str
    title: str | None
    text: str
    output: tuple[str, ...] = ()


def snippets(page: str) -> list[Snippet]:
    """List the snippets of a page, each with the output that the page shows for it."""
    found: list[Snippet] = []
    end = 0
    for match in FENCE.finditer(page):
        language, title, spark, text = match.groups()
        if spark:
            continue
        line = page.count("\n", 0, match.start()) + 1
        if language == "text" and title is None:
            assert found, f"line {line}: output of nothing"
            assert not page[end : match.start()].strip(), f"line {line}: output that is not right below"
            last = found.pop()
            found.append(Snippet(last.line, last.language, last.title, last.text, tuple(text.splitlines())))
        else:
            found.append(Snippet(line, language, title, text))
        end = match.end()
    return found


def script(page: str, folder: Path) -> str:
    """Write the files of a page to `folder`; return the shell script that runs its snippets there."""
    return "\n".join(
        ["set -euo pipefail", "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT", *_steps(page, folder)]
    )


def _steps(page: str, folder: Path) -> Iterator[str]:
    for number, snippet in enumerate(snippets(page)):
        assert snippet.language in LANGUAGES, (
            f"line {snippet.line}: {snippet.language} is not run by anything"
        )
        if snippet.language == "sh":
            yield snippet.text
        elif snippet.language == "python":
            name = snippet.title or f"test_snippet_{number}.py"
            yield _write(folder, name, snippet.text)
            yield _run(name, snippet)
        elif snippet.title is not None:
            yield _write(folder, snippet.title, snippet.text)
        elif snippet.language == "json":
            _check_json(snippet.text)
        yield f"echo; echo '{END}'"


def _write(folder: Path, name: str, text: str) -> str:
    # written when its turn comes: a page may show one file twice
    (folder / ".files").mkdir(exist_ok=True)
    kept = folder / ".files" / f"{len(list((folder / '.files').iterdir()))}"
    kept.write_text(text, encoding="utf-8")
    return f"cp {shlex.quote(str(kept))} {shlex.quote(name)}"


def _run(name: str, snippet: Snippet) -> str:
    if re.search(r"^(?:async )?def test_", snippet.text, re.MULTILINE):
        return f"{PYTEST} {name}"
    if snippet.title is not None:
        return f"{shlex.quote(sys.executable)} -W error -c 'import {name.removesuffix('.py')}'"
    return f"{shlex.quote(sys.executable)} -W error {name}"


def _check_json(text: str) -> None:
    try:
        json.loads(text)
    except ValueError:
        for line in text.splitlines():
            json.loads(line)


def missing_output(page: str, printed: str) -> list[str]:
    """List the lines that a page shows and that running it did not print, in their order."""
    missing = []
    for snippet, part in zip(snippets(page), printed.split(END), strict=False):
        at = 0
        for line in snippet.output:
            found = part.find(line.strip(), at)
            if found < 0:
                missing.append(f"line {snippet.line}: {line}")
            else:
                at = found + len(line.strip())
    return missing
