"""The rows of a journal in SQLite: read, checked and written.

Each row carries a checksum of all that is in it, and the row of the job the sum of all of them. So a row that
was changed, added or lost, by a failing disk or by hand, is noticed before anything is sent.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b

from attrs import evolve

from clinia_async.errors import Evidence
from clinia_async.ingest.journal.errors import JournalError, JournalMismatch
from clinia_async.ingest.journal.rows import (
    Change,
    Failure,
    History,
    JobIdentity,
    JobRow,
    Progress,
    Put,
    Remove,
    Unfinished,
    Value,
)
from clinia_async.ingest.outcomes.outcome import Disposition
from clinia_async.ingest.records import position_ranges as positions
from clinia_async.ingest.records.chunk import ChunkState
from clinia_async.ingest.records.position_ranges import Positions, Range
from clinia_async.models.task_id import TaskId

DAMAGED = "the journal is damaged: it does not hold what was written"

_PAGE = 1000
_UNFINISHED = frozenset({ChunkState.PLANNED, ChunkState.SENDING, ChunkState.ACCEPTED, ChunkState.UNKNOWN})


def read(
    connection: sqlite3.Connection, identity: JobIdentity, inode: int, *, may_be_copy: bool = False
) -> tuple[JobRow, History]:
    """Read a journal that is about this job, or begin one that is empty.

    Raises:
        JournalMismatch: it is about another job, or a copy of a journal.
        JournalError: a row is not as it was written.
    """
    rows = connection.execute("SELECT * FROM job").fetchall()
    if not rows:
        return _begun(connection, identity, inode)
    try:
        job = _job(rows)
        chunks = [_checked(row) for row in connection.execute("SELECT * FROM chunk ORDER BY id")]
        found = sum(map(_sum_of, chunks)) + sum(_sums(connection))
        if found % 2**64 == job.total:
            _check_same(identity, job.identity)
            return _same_file(connection, job, inode, may_be_copy=may_be_copy), _history(job, chunks)
    except (LookupError, TypeError, ValueError, OverflowError):
        pass
    raise JournalError(DAMAGED)


def inode(connection: sqlite3.Connection) -> int | None:
    """Return the inode of the file that a journal was begun in; None where it says nothing yet."""
    found = connection.execute("SELECT inode FROM job").fetchone()
    return None if found is None else int(found[0])


def failures(connection: sqlite3.Connection, first: int) -> list[Failure]:
    """Return a page of failures, in order, from the position `first` on."""
    found = connection.execute(
        "SELECT * FROM failure WHERE position >= ? ORDER BY position LIMIT ?", (first, _PAGE)
    )
    return [
        Failure(
            position,
            Disposition(disposition),
            reason,
            Evidence(evidence),
            attempts,
            bool(maybe_applied),
            TaskId(task) if task else None,
        )
        for position, disposition, reason, evidence, attempts, maybe_applied, task, _ in found
    ]


def _begun(connection: sqlite3.Connection, identity: JobIdentity, inode: int) -> tuple[JobRow, History]:
    job = JobRow(identity, inode)
    if connection.execute("SELECT count(*) FROM chunk").fetchone() != (0,):
        raise JournalError(DAMAGED)
    _write_job(connection, job)
    return job, History()


def _job(rows: Sequence[tuple[Value, ...]]) -> JobRow:
    """Raise `ValueError` for rows that were not written as the one of the job."""
    (row,) = rows
    _, source, service, via, given, inode, read_to, digest, commits, total, _ = _checked(row)
    identity = JobIdentity(source, service, via, given)  # type: ignore[arg-type]  # the checksum says so
    sum_ = int.from_bytes(total, "big")  # type: ignore[arg-type]
    return JobRow(identity, inode, read_to, digest, commits, sum_)  # type: ignore[arg-type]


def _same_file(connection: sqlite3.Connection, job: JobRow, inode: int, *, may_be_copy: bool) -> JobRow:
    if job.inode == inode:
        return job
    if not may_be_copy:
        raise JournalMismatch(
            "the journal is a copy: the job may have gone on with the original since, and what that sent"
            " would be sent again; use the original, or say that the copy takes its place"
        )
    job = evolve(job, inode=inode)
    _write_job(connection, job)
    return job


def _check_same(now: JobIdentity, previous: JobIdentity) -> None:
    for name, ours, theirs in (
        ("source", now.source, previous.source),
        ("service", now.service, previous.service),
        ("way", now.via, previous.via),
        ("input", now.input, previous.input),
    ):
        if ours != theirs:
            raise JournalMismatch(f"the journal belongs to another job: its {name} is not the same")


def _history(job: JobRow, chunks: Sequence[tuple[Value, ...]]) -> History:
    landed: defaultdict[Disposition, list[Range]] = defaultdict(list)
    late: list[Range] = []
    unfinished = []
    for number, state, where, attempts, maybe_applied, task, found, _ in chunks:
        ranges = [*positions.read(str(where))]
        if ChunkState(str(state)) in _UNFINISHED:
            id_ = TaskId(str(task)) if task else None
            left = Unfinished(
                int(number),  # type: ignore[arg-type]
                ChunkState(str(state)),
                Positions(ranges),
                int(attempts),  # type: ignore[arg-type]
                bool(maybe_applied),
                id_,
            )
            unfinished.append(left)
        elif maybe_applied:
            late += ranges
        for part in str(found).split(";") if found else ():
            disposition, _, places = part.partition("=")
            landed[Disposition(disposition)].extend(positions.read(places))
    last = int(chunks[-1][0]) if chunks else 0  # type: ignore[arg-type]
    everywhere = {disposition: Positions(ranges) for disposition, ranges in landed.items()}
    return History(job.read_to, job.digest, last, everywhere, unfinished, Positions(late))


def apply(connection: sqlite3.Connection, job: JobRow, changes: Iterable[Change]) -> JobRow:
    """Make the changes, within a transaction of the caller's; return the row of the job as it is then."""
    total, read_to, digest = job.total, job.read_to, job.digest
    for change in changes:
        if isinstance(change, Progress):
            # the job may read on while chunks of an earlier moment are written down
            if change.read_to > read_to:
                read_to, digest = change.read_to, change.digest
        else:
            total += _apply(connection, change)
    commits = job.commits + 1
    job = evolve(job, read_to=read_to, digest=digest, commits=commits, total=total % 2**64)
    _write_job(connection, job)
    return job


def _apply(connection: sqlite3.Connection, change: Put | Remove) -> int:
    """Make a change; return by how much the sum of all checksums grows."""
    table = change.table
    key = change.values[0] if isinstance(change, Put) else change.key
    old = connection.execute(_SELECT[table], (key,)).fetchone()
    grown = -int.from_bytes(old[0], "big") if old else 0
    if isinstance(change, Remove):
        connection.execute(_DELETE[table], (key,))
        return grown
    checksum = checksum_of(change.values)
    connection.execute(_INSERT[table], (*change.values, checksum))
    return grown + int.from_bytes(checksum, "big")


_SELECT = {
    "chunk": "SELECT checksum FROM chunk WHERE id = ?",
    "failure": "SELECT checksum FROM failure WHERE position = ?",
}
_DELETE = {"chunk": "DELETE FROM chunk WHERE id = ?", "failure": "DELETE FROM failure WHERE position = ?"}
_INSERT = {
    "job": "INSERT OR REPLACE INTO job VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    "chunk": "INSERT OR REPLACE INTO chunk VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    "failure": "INSERT OR REPLACE INTO failure VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
}


def _write_job(connection: sqlite3.Connection, job: JobRow) -> None:
    connection.execute(_INSERT["job"], (*job.values, checksum_of(job.values)))


def checksum_of(values: tuple[Value, ...]) -> bytes:
    plain = tuple(str(value) if isinstance(value, str) else value for value in values)  # as SQLite keeps them
    return blake2b(repr(plain).encode("utf-8", "surrogatepass"), digest_size=8).digest()


def _checked(row: tuple[Value, ...]) -> tuple[Value, ...]:
    """Raise `ValueError` for a row that is not as it was written."""
    if checksum_of(row[:-1]) != row[-1]:
        raise ValueError
    return row


def _sum_of(row: tuple[Value, ...]) -> int:
    return int.from_bytes(row[-1], "big")  # type: ignore[arg-type]  # it was checked


def _sums(connection: sqlite3.Connection) -> Iterator[int]:
    return (_sum_of(_checked(row)) for row in connection.execute("SELECT * FROM failure"))
