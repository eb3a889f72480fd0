"""The results page: everything from one run, at one version, on one machine, with the goals at its top."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from attrs import frozen
from cattrs.preconf.json import make_converter

from benchmarks import plots
from benchmarks.tables import Goaled, Table, piped

FOLDER = Path(__file__).with_name("results")
_JSON = make_converter()
_TOP = """# Results

Written whole by `python -m benchmarks all --write`: one run, one version, one machine. A ratio is paired
inside one round, and is given with its quartiles. CPU is the user and system time of the client's process
alone, so ratios hold where other programs of this machine are busy; delays, rates and whatever is counted by
the second do not. Where the processor itself is now fast and now slow, as with other guests of its host,
nothing is certain: the loop below shows how steady it was.
"""


class MixedVersions(Exception):
    """The library changed while it was measured, or holds changes that no commit has."""


@frozen
class Section:
    command: str
    tables: Sequence[Table]

    def markdown(self) -> str:
        lines = [f"## {self.command}", ""]
        for number, table in enumerate(self.tables, start=1):
            plot = f"{self.command}-{number}.svg"
            lines.append(table.markdown())
            if (FOLDER / plot).exists():
                lines += [f"![{table.title}]({plot})", ""]
        return "\n".join(lines)


@frozen
class Page:
    """All that one run found. `about` says when, on what machine and of which versions."""

    about: Sequence[str]
    sections: Sequence[Section]

    def markdown(self) -> str:
        about = [*(f"* {line}" for line in self.about), ""]
        return "\n".join([_TOP, *about, *self._goals(), *(each.markdown() for each in self.sections)])

    def _goals(self) -> list[str]:
        held = [goal for section in self.sections for table in section.tables for goal in table.goals]
        reached = sum(goal.result == "reached" for goal in held)
        head = ["## Goals", "", f"{reached} of {len(held)} are reached.", ""]
        return [
            *head,
            piped(["", "found", "goal", ""]),
            piped(["---", "--:", "--:", "---"]),
            *map(_row, held),
            "",
        ]


def one_version(before: str, after: str) -> str:
    """Return the version that was measured from the first to the last.

    Raises:
        MixedVersions: it is not the same, or has changes that are not committed.
    """
    if before != after or "changed" in before:
        raise MixedVersions(
            f"the library was at {before} when this began and is at {after} now: commit, and run it again"
        )
    return after


def write(page: Page) -> None:
    """Replace the folder of results: the page, its plots, and the figures as JSON."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    for section in page.sections:
        for number, table in enumerate(section.tables, start=1):
            plots.draw(table, FOLDER / f"{section.command}-{number}.svg")
    (FOLDER / "figures.json").write_text(json.dumps(_JSON.unstructure(page), indent=1) + "\n")
    (FOLDER / "README.md").write_text(page.markdown())


def _row(goal: Goaled) -> str:
    return piped([goal.what, goal.found, goal.goal, goal.result])
