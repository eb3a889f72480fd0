"""Exact count of keys that occur again in an input of any size, on a temporary database."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from hashlib import blake2b

from clinia_async.errors import ConfigError
from clinia_async.models.tasks import Key

_BATCH = 1000


class DistinctKeys(closing["DistinctKeys"]):
    """Counts keys by a keyed digest of 16 bytes, from which no key can be read.

    SQLite keeps a few MiB in memory and the rest in a file that it deletes, about 20 MB per million keys.
    Two different keys count as one with a probability of about 2**-64.
    """

    def __init__(self) -> None:
        super().__init__(self)
        self.added = 0
        self._secret = os.urandom(32)
        self._batch: list[tuple[bytes]] = []
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.executescript("PRAGMA journal_mode = OFF; CREATE TABLE keys (digest BLOB); BEGIN")

    def add(self, key: Key) -> None:
        """Add one key. Raises `ConfigError` if there is no room for temporary files."""
        text = "\0".join(key).encode("utf-8", "surrogatepass")
        self._batch.append((blake2b(text, digest_size=16, key=self._secret).digest(),))
        self.added += 1
        if len(self._batch) >= _BATCH:
            self._store()

    def repeated(self) -> int:
        """Return how many of the added keys had been added before. Raises `ConfigError` as `add` does."""
        self._store()
        distinct = "SELECT count(*) FROM (SELECT 1 FROM keys GROUP BY digest)"
        with _room_for_keys():
            (count,) = self._database.execute(distinct).fetchone()
        return self.added - int(count)

    def close(self) -> None:
        self._database.close()

    def _store(self) -> None:
        with _room_for_keys():
            self._database.executemany("INSERT INTO keys VALUES (?)", self._batch)
        self._batch.clear()


@contextmanager
def _room_for_keys() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        reason = str(error)
    else:
        return
    raise ConfigError(f"no room for temporary files: {reason}; set TMPDIR to a folder that has it")
