"""Drift: how answers of the service differ from what is documented, by path, kind and count.

Values are never kept. Names of unknown fields are, if they have the form of names.
"""

import threading
from collections import Counter
from collections.abc import Mapping
from contextvars import ContextVar
from enum import StrEnum

LARGEST = 500
"""Paths that are counted one by one; all further ones are counted together."""

_LONGEST_NAME = 40


class DriftKind(StrEnum):
    """How a part of an answer differs from the documentation."""

    UNKNOWN_FIELD = "unknown field"
    """It is kept in `unknown_fields`."""
    UNKNOWN_VALUE = "unknown value"
    """An enum has a value that this version does not know; it is kept."""
    WRONG_TYPE = "wrong type"
    """The part is left out, and kept in `unknown_fields` of the value that it belongs to."""
    MISSING = "missing"
    """A documented part is absent, null or empty."""


class Drift:
    """Counts of differences, such as `{"TaskSnapshot.receipts[].error.details": {"wrong type": 3}}`.

    At most `LARGEST` paths are counted; the rest is under the path `...`.
    """

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, DriftKind]] = Counter()

    def add(self, path: str, kind: DriftKind, count: int = 1) -> None:
        """Count a difference."""
        key = (path, kind)
        if key not in self._counts and len(self._counts) >= LARGEST:
            key = ("...", kind)
        self._counts[key] += count

    def counts(self) -> Mapping[str, Mapping[str, int]]:
        """Return a copy of the counts, by path and kind."""
        found: dict[str, dict[str, int]] = {}
        for (path, kind), count in sorted(self._counts.items()):
            found.setdefault(path, {})[str(kind)] = count
        return found


class Notes(threading.local):
    """The differences of the answer that this thread is decoding, each with the path below its own value."""

    def __init__(self) -> None:
        self.found: list[tuple[str, DriftKind, int]] = []
        self.depth = 0
        """How many objects within each other are being read."""

    def add(self, path: str, kind: DriftKind, count: int = 1) -> None:
        """Note a difference."""
        self.found.append((path, kind, count))

    def put_below(self, start: int, step: str) -> None:
        """Put a step, such as `.error` or `[]`, before the paths of all notes from `start` on."""
        self.found[start:] = [(f"{step}{path}", kind, count) for path, kind, count in self.found[start:]]

    def report(self, root: str) -> None:
        """Add the notes to the counts of the session, if it has any, and forget them."""
        found, self.found = self.found, []
        drift = counting_drift.get() if found else None
        if drift is not None:
            for path, kind, count in found:
                drift.add(f"{root}{path}", kind, count)


notes = Notes()

counting_drift: ContextVar[Drift | None] = ContextVar("counting_drift", default=None)
"""The counts of the session whose answer is being decoded."""


def step_to(name: str) -> str:
    """Return the step of a path to a field. A name that may be a value is not shown."""
    is_name = name.isascii() and name.isidentifier() and len(name) <= _LONGEST_NAME
    return f".{name}" if is_name else ".*"
