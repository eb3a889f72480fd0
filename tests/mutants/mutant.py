"""One change that takes a defence away, and where it is made."""

from collections.abc import Sequence
from pathlib import Path

from attrs import frozen

import clinia_async

TESTS = Path(__file__).resolve().parents[1]
PACKAGE = Path(clinia_async.__file__).resolve().parent
"""The package as it is imported: beside the tests in a checkout, elsewhere where it is installed."""


@frozen
class Mutant:
    """`old` occurs exactly once in `file`; with `new` in its place, one of `tests` (node ids) must fail."""

    name: str
    file: str
    old: str
    new: str
    tests: Sequence[str]

    def fault(self, package: Path = PACKAGE.parent, tests: Path = TESTS.parent) -> str | None:
        """Return why the mutant cannot be made; None if it can. Arguments: the folders that hold each."""
        path = package / self.file
        count = path.read_text().count(self.old) if path.is_file() else 0
        if count != 1:
            return f"{self.name}: its old text occurs {count} times in {self.file}"
        missing = [test for test in self.tests if not (tests / test.partition("::")[0]).is_file()]
        return f"{self.name}: no such test file: {missing[0]}" if missing else None
