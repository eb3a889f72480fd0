"""Every snippet of the README and of the site runs, and prints what the page shows."""

import os
import re
import subprocess
import sys
from inspect import isclass
from pathlib import Path

import pytest

import clinia_async
from clinia_async import telemetry
from tests.docs.snippets import missing_output, script, snippets
from tests.patience import PATIENCE
from tests.readme_commands import commands

pytestmark = pytest.mark.campaign

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
HEAVY = set(commands((ROOT / "README.md").read_text(encoding="utf-8")))
"""What the README tells a newcomer to run in a clone: `python -m tests.readme_commands` runs it, in CI."""


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_snippet_of_the_page_runs(path: Path, tmp_path: Path) -> None:
    page = path.read_text(encoding="utf-8")
    for command in HEAVY:
        page = page.replace(command, "true")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CLINIA_")}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    ran = subprocess.run(
        ["bash", "-c", script(page, tmp_path)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        cwd=tmp_path,
        env=environment,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert missing_output(page, ran.stdout) == []


def test_a_wrong_output_is_found() -> None:
    page = '```python\nprint("a")\n```\n\n```text\nb\n```\n'
    assert len(snippets(page)) == 1
    assert missing_output(page, "a\n") == ["line 1: b"]


def test_every_public_name_has_a_place_in_the_reference() -> None:
    pages = [path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "reference").glob("*.md")]
    named = sorted(re.findall(r"^::: clinia_async\.(\w+)$", "\n".join(pages), re.MULTILINE))
    names = {name: getattr(clinia_async, name) for name in clinia_async.__all__}
    aliases = {name for name, value in names.items() if isclass(value) and value.__name__ != name}
    assert named == sorted(names.keys() - aliases)


def test_every_event_has_a_place_in_the_reference() -> None:
    page = (ROOT / "docs" / "reference" / "events.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^::: clinia_async\.telemetry\.(\w+)$", page, re.MULTILINE))
    public = {name: getattr(telemetry, name) for name in telemetry.__all__}
    events = {name for name, value in public.items() if isclass(value) and issubclass(value, telemetry.Event)}
    assert named == events | {"Observer"}


def test_every_error_has_a_row_that_says_what_it_is() -> None:
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    errors = [name for name in clinia_async.__all__ if _is_error(getattr(clinia_async, name))]
    assert len(errors) > 30
    assert [name for name in errors if f"`{name}`" not in page] == []


def _is_error(value: object) -> bool:
    return isclass(value) and issubclass(value, BaseException)


def test_links_between_pages_lead_to_files() -> None:
    for path in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path.name}: {target}"
