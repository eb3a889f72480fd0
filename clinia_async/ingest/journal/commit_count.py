"""How many commits a journal holds, in a file beside it: so a log that lost some of them is noticed.

SQLite takes a write-ahead log up to the first part that is damaged, as if the rest had never been written.
The number is written after each commit, and the file goes when the journal is closed. It is not synced: after
a power loss it may name fewer commits than there are, and never more.
"""

import os
from hashlib import blake2b
from pathlib import Path
from typing import Self

from clinia_async.ingest.journal.file import JournalError
from clinia_async.ingest.journal.sync import sync

LOST = "the journal is damaged: commits of the run before are missing"
_SIZE = 16


class CommitCount:
    """The number beside the journal at `path`; `known` is the one of the run before, 0 if that was closed."""

    def __init__(self, path: Path, descriptor: int, known: int) -> None:
        self._path = path
        self._descriptor = descriptor
        self.known = known

    @classmethod
    def open(cls, journal: Path, *, had_log: bool, may_be_copy: bool) -> Self:
        """Open the file, or make it before anything is written to the journal.

        Raises:
            JournalError: it is damaged; or it is missing beside a log, unless that may be a copy.
        """
        path = journal.with_name(f"{journal.name}-count")
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
        try:
            content = os.pread(descriptor, _SIZE + 1, 0)
            if content or (had_log and not may_be_copy):
                return cls(path, descriptor, _number(content))
            count = cls(path, descriptor, 0)
            count.write(0)
            os.fsync(descriptor)
            sync(path.parent)
        except BaseException:
            os.close(descriptor)
            raise
        return count

    def write(self, number: int) -> None:
        """Note that there are so many commits now."""
        os.pwrite(self._descriptor, _content(number), 0)

    def close(self) -> None:
        """Close the file; remove it where the journal needs no log any more."""
        os.close(self._descriptor)
        log = self._path.with_name(self._path.name.removesuffix("-count") + "-wal")
        if not log.exists():
            self._path.unlink(missing_ok=True)


def has_log(journal: Path) -> bool:
    """Return whether a run was cut off and has left commits in the log."""
    try:
        return journal.with_name(f"{journal.name}-wal").stat().st_size > 0
    except FileNotFoundError:
        return False


def _content(number: int) -> bytes:
    written = number.to_bytes(8, "big")
    return written + blake2b(written, digest_size=8).digest()


def _number(content: bytes) -> int:
    number = int.from_bytes(content[:8], "big")
    if content != _content(number):
        raise JournalError(LOST)
    return number
