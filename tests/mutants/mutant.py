"""One change that takes a defence away, and where it is made."""

from collections.abc import Sequence
from pathlib import Path

from attrs import frozen

ROOT = Path(__file__).resolve().parents[2]


@frozen
class Mutant:
    """`old` occurs exactly once in `file`; with `new` in its place, one of `tests` (node ids) must fail."""

    name: str
    file: str
    old: str
    new: str
    tests: Sequence[str]

    def fault(self, root: Path = ROOT) -> str | None:
        """Return why the mutant cannot be made; None if it can."""
        path = root / self.file
        count = path.read_text().count(self.old) if path.is_file() else 0
        if count != 1:
            return f"{self.name}: its old text occurs {count} times in {self.file}"
        missing = [test for test in self.tests if not (root / test.partition("::")[0]).is_file()]
        return f"{self.name}: no such test file: {missing[0]}" if missing else None
