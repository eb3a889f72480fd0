"""A database for what a job remembers of an input of any size: a few MiB in memory, the rest in a file."""

import sqlite3
from collections.abc import Iterable
from contextlib import suppress
from hashlib import blake2b
from threading import Lock

from attrs import define, field

from clinia_async.ingest.readers.compression import InputError


@define
class TemporaryDatabase:
    """Is made when it is used first. SQLite deletes its file when it is closed, or the process ends.

    Any thread may use it. Raises `InputError` where there is no room for temporary files, and once it is
    closed.
    """

    schema: str
    is_closed: bool = field(default=False, init=False)
    _connection: sqlite3.Connection | None = field(default=None, init=False, repr=False)
    _lock: Lock = field(factory=Lock, init=False, repr=False)

    @property
    def is_open(self) -> bool:
        """Whether anything was stored."""
        return self._connection is not None

    def execute(self, text: str, *values: object) -> tuple[object, ...] | None:
        """Run a statement; return its first row. Raises `InputError`."""
        with self._lock, suppress(sqlite3.Error):
            row: tuple[object, ...] | None = self._opened().execute(text, values).fetchone()
            return row
        raise self._no_room()

    def execute_many(self, text: str, rows: Iterable[tuple[object, ...]]) -> None:
        """Run a statement for each row. Raises `InputError`."""
        with self._lock, suppress(sqlite3.Error):
            self._opened().executemany(text, rows)
            return
        raise self._no_room()

    def close(self) -> None:
        """Remove the database. May be called again."""
        self.is_closed = True
        with self._lock:
            if self._connection is not None:
                self._connection.close()

    def _opened(self) -> sqlite3.Connection:
        if self.is_closed:
            raise InputError("the input was left before its end: read it again")
        if self._connection is None:
            self._connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
            self._connection.executescript(
                f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; {self.schema}; BEGIN"
            )
        return self._connection

    @staticmethod
    def _no_room() -> InputError:
        return InputError("no room for temporary files: set TMPDIR to a folder that has it")


def digest(*texts: str) -> bytes:
    """Return 16 bytes that stand for texts."""
    return blake2b("\0".join(texts).encode("utf-8", "surrogatepass"), digest_size=16).digest()
