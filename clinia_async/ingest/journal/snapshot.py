"""What a journal says at one moment, read beside the job that has it open."""

import os
import shutil
import sqlite3
import stat
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from attrs import frozen

from clinia_async.ingest.journal.commit_count import has_count, has_log, log_of, without_log
from clinia_async.ingest.journal.errors import JournalError
from clinia_async.ingest.journal.file import (
    APPLICATION,
    VERSION,
    check_file,
    failure,
    is_in_use,
    version_of,
)
from clinia_async.ingest.journal.folder import part_of, processes_of
from clinia_async.ingest.journal.tables import DAMAGED
from clinia_async.ingest.outcomes.outcome import Disposition
from clinia_async.ingest.records import position_ranges as positions
from clinia_async.ingest.records.chunk import ChunkState

_HEADER = 32
"""Bytes of the header of a write-ahead log; each checkpoint that begins the log anew changes it."""
_ATTEMPTS = 20


@frozen
class FailureGroup:
    """Records that failed for one reason; `first` is the position of the first of them in the input."""

    disposition: Disposition
    reason: str | None
    count: int
    first: int


@frozen
class JournalSnapshot:
    """Where a job is: counts of records, as of its last commit."""

    source: str
    service: str
    via: str
    changed_at: float
    """When the journal was written last, in seconds since the epoch."""
    read: int
    """Records read of the input."""
    landed: Mapping[Disposition, int]
    failures: Sequence[FailureGroup]
    """The most frequent first."""
    waiting: Mapping[ChunkState, int]
    """Records without an outcome, by the state of their chunk."""
    tasks: int
    """Tasks that have not ended."""
    invalid: int
    """Records that were read and are in no chunk: they were refused here, and are not in the journal."""


def _is_folder(path: Path) -> bool:
    """Return whether a journal is that of several processes. Raises `JournalError` if there is none."""
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        reason = "there is no journal of this name"
    except OSError as error:
        reason = f"the journal cannot be read: {error.strerror}"
    raise JournalError(reason)


def read_snapshot(path: Path) -> JournalSnapshot:
    """Read a journal, whether or not a job of another process has it open; the job does not notice.

    Not for the process of the job itself: to close a file there releases the locks on it.

    For the folder of a job of several processes, the counts are of all of them, and the position of a failure
    is that among the records of one process.

    Raises:
        JournalError: there is no journal at `path`, it is damaged or without its log, or it changes too fast
            to be copied.
    """
    if _is_folder(path):
        parts = [part_of(path, number) for number in range(processes_of(path))]
        return _sum([*map(read_snapshot, parts)])
    check_file(path)
    with tempfile.TemporaryDirectory(prefix="clinia-journal-") as folder:
        copy = Path(folder) / "journal"
        try:
            was_alone = _is_alone(path)
            _copy(path, copy)
            is_alone = was_alone and _is_alone(path)  # and not of a job that began or ended meanwhile
            changed_at = max(each.stat().st_mtime for each in (path, log_of(path)) if each.exists())
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
        else:
            return _read(copy, changed_at, without_log(path) if is_alone else None)
    raise JournalError(f"the journal cannot be read: {reason}")


def _is_alone(path: Path) -> bool:
    return not (has_log(path) or has_count(path))


def _sum(parts: Sequence[JournalSnapshot]) -> JournalSnapshot:
    landed: Counter[Disposition] = Counter()
    waiting: Counter[ChunkState] = Counter()
    failures: dict[tuple[Disposition, str | None], FailureGroup] = {}
    for part in parts:
        landed.update(part.landed)
        waiting.update(part.waiting)
        for group in part.failures:
            name = group.disposition, group.reason
            other = failures.get(name, FailureGroup(*name, 0, group.first))
            failures[name] = FailureGroup(*name, other.count + group.count, min(other.first, group.first))
    return JournalSnapshot(
        *max((part.source, part.service, part.via) for part in parts),
        max(part.changed_at for part in parts),
        sum(part.read for part in parts),
        landed,
        sorted(failures.values(), key=lambda group: group.count, reverse=True),
        waiting,
        sum(part.tasks for part in parts),
        sum(part.invalid for part in parts),
    )


def _copy(path: Path, copy: Path) -> None:
    """Copy the database and its log while another process writes to them.

    The log only grows between two headers, and what a checkpoint moves to the database is still in it. So
    the copies belong together if the header is the same before and after.
    """
    for _ in range(_ATTEMPTS):
        before = _header(path)
        shutil.copyfile(path, copy)
        if before:
            shutil.copyfile(log_of(path), log_of(copy))
        if _header(path) == before:
            return
        time.sleep(0.05)
    raise JournalError("the journal changes too fast to be read; try again")


def _header(path: Path) -> bytes:
    try:
        with log_of(path).open("rb") as log:
            return log.read(_HEADER)
    except FileNotFoundError:
        return b""


def _read(copy: Path, changed_at: float, if_in_use: JournalError | None) -> JournalSnapshot:
    error: JournalError
    try:
        with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
            if if_in_use is None or not is_in_use(connection):
                return _snapshot(connection, changed_at)
            error = if_in_use
    except sqlite3.Error as fault:
        error = failure(fault)
    except (LookupError, TypeError, ValueError):
        error = JournalError(DAMAGED)
    raise error


def _snapshot(connection: sqlite3.Connection, changed_at: float) -> JournalSnapshot:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if (application, version_of(connection)) != (APPLICATION, VERSION):
        raise JournalError(f"the file is no journal of version {VERSION}")
    job = connection.execute("SELECT source, service, via, read_to FROM job").fetchone()
    landed: Counter[Disposition] = Counter()
    waiting: Counter[ChunkState] = Counter()
    tasks = in_chunks = 0
    for state, where, task, found in connection.execute("SELECT state, positions, task, landed FROM chunk"):
        in_chunks += _length(where)
        for part in found.split(";") if found else ():
            disposition, _, places = part.partition("=")
            landed[Disposition(disposition)] += _length(places)
        if ChunkState(state) in _WAITING:
            waiting[ChunkState(state)] += _length(where)
            tasks += task is not None
    groups = connection.execute(
        "SELECT disposition, reason, count(*), min(position) FROM failure GROUP BY 1, 2 ORDER BY 3 DESC"
    )
    failures = [FailureGroup(Disposition(each), *rest) for each, *rest in groups]
    source, service, via, read = job or ("", "", "", 0)
    return JournalSnapshot(
        source, service, via, changed_at, read, landed, failures, waiting, tasks, max(read - in_chunks, 0)
    )


_WAITING = frozenset({ChunkState.PLANNED, ChunkState.SENDING, ChunkState.ACCEPTED})


def _length(where: str) -> int:
    return sum(last - first + 1 for first, last in positions.read(where))
