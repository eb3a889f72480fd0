"""How many commits a journal holds, in a file beside it: so a log that lost some of them is noticed.

SQLite takes a write-ahead log up to the first part that is damaged, as if the rest had never been written.
The number is written after each commit, and the file goes when the journal is closed. It is not synced: after
a power loss it may name fewer commits than there are, and never more.

A journal that is refused is refused by the next run, too: what shows the damage stays as it is.
"""

import os
from hashlib import blake2b
from pathlib import Path
from typing import Self

from clinia_async.ingest.journal.errors import JournalError
from clinia_async.ingest.journal.sync import flush, sync

_GO_ON_ANYWAY = (
    "resume with journal_is_copy=True or --journal-is-copy, to go on with what is there: the records of the"
    " missing commits are then sent again"
)
LOST = "the journal is damaged: commits of the run before are missing"
_SIZE = 16


def lost(journal: Path) -> JournalError:
    """Return the error for a log that does not hold all commits, which says how to go on."""
    name = journal.name
    return _advised(
        LOST,
        f"put {name}-wal back as that run left it; or remove {name}-count and {_GO_ON_ANYWAY}",
    )


def check_complete(journal: Path, *, may_be_copy: bool) -> None:
    """Raise `JournalError` if a file of a journal is gone that another one needs. Nothing is changed."""
    name, log, count = journal.name, log_of(journal), _count_of(journal)
    left = [each.name for each in (log, count) if os.path.lexists(each)]
    if left and not os.path.lexists(journal):
        raise _advised(
            f"the journal is gone, but not all that belongs to it: {' and '.join(left)}",
            f"put {name} back; or remove what is left to begin anew: what was sent before is then sent again",
        )
    if has_log(journal) and not os.path.lexists(count) and not may_be_copy:
        raise _advised(
            f"the journal is incomplete: {count.name} is missing",
            f"put it back; or, if {log.name} is as the run before left it, resume with journal_is_copy=True"
            " or --journal-is-copy",
        )


def without_log(journal: Path) -> JournalError:
    """Return the error for a journal that was in use and has neither its log nor the number beside it."""
    name = journal.name
    return _advised(
        f"the journal is incomplete: {name}-wal and {name}-count are missing",
        "put both back as the run before left them, and copy them with a copy; or, where this is no copy,"
        f" {_GO_ON_ANYWAY}",
    )


def moved_away() -> JournalError:
    """Return the error for a journal that is no longer where a job has opened it."""
    return _advised(
        "the journal was moved or removed while the job was at work",
        "put it back and run the same job again; if it is gone, a new one knows nothing of what was sent",
    )


def _advised(text: str, advice: str) -> JournalError:
    error = JournalError(text)
    error.advice = advice
    return error


def log_of(journal: Path) -> Path:
    """Return the path of the log of a journal, which holds commits that the file does not hold yet."""
    return journal.with_name(f"{journal.name}-wal")


def _count_of(journal: Path) -> Path:
    return journal.with_name(f"{journal.name}-count")


class CommitCount:
    """The number beside the journal at `path`; `known` is the one of the run before, 0 if that was closed."""

    def __init__(self, path: Path, descriptor: int, known: int) -> None:
        self._path = path
        self._descriptor = descriptor
        self.known = known

    @classmethod
    def open(cls, journal: Path, *, needs_log: bool, may_be_copy: bool) -> Self:
        """Open the file, or make it before anything is written to the journal.

        Raises:
            JournalError: it is damaged; or it is empty where commits may be in the log alone (`needs_log`),
                unless that may be a copy.
        """
        path = _count_of(journal)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
        try:
            content = os.pread(descriptor, _SIZE + 1, 0)
            if content or (needs_log and not may_be_copy):
                return cls(path, descriptor, _number(content, journal))
            count = cls(path, descriptor, 0)
            count.write(0)
            flush(descriptor)
            sync(path.parent)
        except BaseException:
            os.close(descriptor)
            raise
        return count

    def write(self, number: int) -> None:
        """Note that there are so many commits now."""
        os.pwrite(self._descriptor, _content(number), 0)

    def close(self, *, is_kept: bool = False) -> None:
        """Close the file, and remove it unless it `is_kept`, as where the journal needs its log still."""
        os.close(self._descriptor)
        if not is_kept:
            self._path.unlink(missing_ok=True)


def has_count(journal: Path) -> bool:
    """Return whether there is a number beside a journal."""
    return os.path.lexists(_count_of(journal))


def has_log(journal: Path) -> bool:
    """Return whether a run was cut off and has left commits in the log."""
    try:
        return log_of(journal).stat().st_size > 0
    except FileNotFoundError:
        return False


def _content(number: int) -> bytes:
    written = number.to_bytes(8, "big")
    return written + blake2b(written, digest_size=8).digest()


def _number(content: bytes, journal: Path) -> int:
    number = int.from_bytes(content[:8], "big")
    if content != _content(number):
        raise lost(journal)
    return number
