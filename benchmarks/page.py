"""The results page: what the last run of each command found, with its plots, machine and date."""

import json
from collections.abc import Sequence
from pathlib import Path

from attrs import frozen
from cattrs.preconf.json import make_converter

from benchmarks import plots
from benchmarks.tables import Table

FOLDER = Path(__file__).with_name("results")
_JSON = make_converter()
_TOP = """# Results

Written by `python -m benchmarks COMMAND --write`; each part says when and on what. A ratio is paired inside
one round, and is given with its quartiles. CPU is the user and system time of the client's process alone,
so ratios hold on a busy machine; delays, rates and whatever is told by the second do not.
"""


@frozen
class Section:
    command: str
    date: str
    machine: Sequence[str]
    tables: Sequence[Table]

    def markdown(self) -> str:
        about = [f"`python -m benchmarks {self.command}`, {self.date}", *self.machine]
        lines = [f"## {self.command}", "", *(f"* {line}" for line in about), ""]
        for number, table in enumerate(self.tables, start=1):
            plot = f"{self.command}-{number}.svg"
            lines.append(table.markdown())
            if (FOLDER / plot).exists():
                lines += [f"![{table.title}]({plot})", ""]
        return "\n".join(lines)


def write(section: Section) -> None:
    """Keeps the section beside those of other commands and renders the page anew from all."""
    kept = FOLDER / "data"
    kept.mkdir(parents=True, exist_ok=True)
    (kept / f"{section.command}.json").write_text(json.dumps(_JSON.unstructure(section), indent=1) + "\n")
    for old in FOLDER.glob(f"{section.command}-*.svg"):
        old.unlink()
    for number, table in enumerate(section.tables, start=1):
        plots.draw(table, FOLDER / f"{section.command}-{number}.svg")
    sections = [_JSON.loads(path.read_text(), Section) for path in sorted(kept.glob("*.json"))]
    (FOLDER / "README.md").write_text("\n".join([_TOP, *(each.markdown() for each in sections)]))
