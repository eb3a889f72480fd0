"""The rows of a journal, and what they mean to the next run of the job.

Each row carries a checksum of all that is in it, and the row of the job the sum of all of them. So a row that
was changed, added or lost, by a failing disk or by hand, is noticed before anything is sent.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b

from attrs import define, evolve, field, frozen

from clinia_async.errors import Evidence
from clinia_async.ingest.journal.file import JournalError, JournalMismatch
from clinia_async.ingest.outcomes.outcome import ChunkOutcomes, Disposition, RecordOutcome
from clinia_async.ingest.records import position_ranges as positions
from clinia_async.ingest.records.chunk import Chunk, ChunkState
from clinia_async.ingest.records.position_ranges import Positions, Range
from clinia_async.ingest.records.record import Record
from clinia_async.ingest.records.record_batch import RecordBatches
from clinia_async.models.task_id import TaskId

Value = int | str | bytes | None
DAMAGED = "the journal is damaged: it does not hold what was written"

_PAGE = 1000
_UNFINISHED = frozenset({ChunkState.PLANNED, ChunkState.SENDING, ChunkState.ACCEPTED, ChunkState.UNKNOWN})


@frozen
class Put:
    """Writes a row, in place of one with the same key, which is the first of its values."""

    table: str
    values: tuple[Value, ...] = field(repr=False)


@frozen
class Remove:
    """Deletes the row with that key, if there is one."""

    table: str
    key: int


@frozen
class Progress:
    """Says how far the input was read, unless the journal knows of more."""

    read_to: int
    digest: bytes


Change = Put | Remove | Progress


@frozen
class JobIdentity:
    """What must be the same for a job to be continued. `input` is None for what cannot be read ahead."""

    source: str
    service: str
    """The address of the registry."""
    via: str
    input: str | None


@frozen
class JobRow:
    """The one row about the whole job. `inode` is that of the file, so that a copy of it is noticed."""

    identity: JobIdentity
    inode: int
    read_to: int = 0
    digest: bytes = b""
    commits: int = 0
    """How often something was written down: the log may lose the end of that, and it must be noticed."""
    total: int = 0
    """The sum of the checksums of all other rows, modulo 2**64."""

    @property
    def values(self) -> tuple[Value, ...]:
        who = self.identity
        about = (1, who.source, who.service, who.via, who.input, self.inode, self.read_to, self.digest)
        return (*about, self.commits, self.total.to_bytes(8, "big"))


@frozen
class Failure:
    """A record that did not land, as a previous run of the job reported it."""

    position: int
    disposition: Disposition
    reason: str | None
    evidence: Evidence
    attempts: int
    maybe_applied: bool
    task: TaskId | None


@define(eq=False)
class Unfinished:
    """A chunk that a previous run left; its records are collected while the input is read again."""

    number: int
    state: ChunkState
    positions: Positions
    attempts: int
    maybe_applied: bool
    task: TaskId | None
    records: list[Record] = field(factory=list)

    @property
    def lost_an_answer(self) -> bool:
        """Whether an answer to it may be lost; not so for a chunk that was accepted or withdrawn."""
        return self.maybe_applied or self.state is ChunkState.SENDING

    @property
    def may_have_arrived(self) -> bool:
        return self.maybe_applied or self.state is not ChunkState.PLANNED


@define
class History:
    """What previous runs of the job have written down. Up to the position `read_to` the input is known."""

    read_to: int = 0
    digest: bytes = b""
    last: int = 0
    """The highest number of a chunk."""
    landed: Mapping[Disposition, Positions] = field(factory=dict)
    unfinished: Sequence[Unfinished] = ()
    late: Positions = field(factory=Positions)
    """Records that have an outcome and may have been sent twice: one of the two may still be carried out."""

    def landed_as(self, position: int) -> Disposition | None:
        for disposition, where in self.landed.items():
            if position in where:
                return disposition
        return None

    def all_landed_as(self, first: int, last: int) -> Disposition | None:
        """Return the one disposition with which all of these positions landed; None if there is none."""
        for disposition, where in self.landed.items():
            if first in where and where.holds_all(first, last):
                return disposition
        return None

    def chunk_of(self, position: int) -> Unfinished | None:
        for chunk in self.unfinished:
            if position in chunk.positions:
                return chunk
        return None


# ------------------------------------------------------------------------------ reading


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


# ------------------------------------------------------------------------------ writing


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


# ------------------------------------------------------------------------------ what is written


def chunk_row(chunk: Chunk) -> Put:
    """The row of a chunk that is not completed."""
    return _chunk_row(chunk, _written(chunk.ranges or chunk.records.ranges()), None)


def chunk_removal(chunk: Chunk) -> Remove:
    return Remove("chunk", chunk.number)


def completion(chunk: Chunk, outcomes: ChunkOutcomes) -> tuple[list[Chunk], list[Change]]:
    """The chunks that are left over from this one, and what is written of the rest."""
    unknown: Sequence[int] = ()
    unsent: Sequence[int] = ()
    if not outcomes.all_landed:
        unknown, unsent = outcomes.open_places(), outcomes.places_of(Disposition.UNSENT)
    parts: list[Chunk] = []
    if unknown:
        parts.append(_rest(chunk, unknown, ChunkState.UNKNOWN))
    if unsent:
        parts.append(_rest(chunk, unsent, ChunkState.PLANNED))
    changes: list[Change] = [_completed(chunk, _where(outcomes, {*unknown, *unsent}))]
    if chunk.reported_before:
        changes += [Remove("failure", each.record.position) for each in outcomes]
    return parts, changes + failure_rows(outcomes)


def failure_rows(outcomes: ChunkOutcomes) -> list[Change]:
    """What is written of records that did not land and that were sent."""
    failed = (each for each in outcomes.unlanded() if each.disposition is not Disposition.UNSENT)
    return [*map(_failure_row, failed)]


def _where(outcomes: ChunkOutcomes, without: Collection[int]) -> dict[Disposition, list[Range]]:
    """The positions of the records by their disposition, without those at some places."""
    records = outcomes.records
    if len(outcomes.counts) == 1 and not without and isinstance(records, RecordBatches):  # nearly always
        ((disposition, *_),) = outcomes.counts
        return {disposition: records.ranges()}
    found: defaultdict[Disposition, list[int]] = defaultdict(list)
    for place, (disposition, *_) in enumerate(outcomes.findings):
        if place not in without:
            found[disposition].append(records[place].position)
    return {disposition: positions.ranges_of(sorted(where)) for disposition, where in found.items()}


def _rest(chunk: Chunk, places: Iterable[int], state: ChunkState) -> Chunk:
    return Chunk(
        RecordBatches.of(chunk.records[place] for place in places),
        state=state,
        attempts=chunk.attempts,
        maybe_applied=state is ChunkState.UNKNOWN or chunk.maybe_applied,
    )


def _completed(chunk: Chunk, where: Mapping[Disposition, Sequence[Range]]) -> Change:
    if not where:
        return chunk_removal(chunk)
    chunk.state = ChunkState.REJECTED if set(where) == {Disposition.REJECTED} else ChunkState.COMPLETED
    landed = ";".join(
        f"{disposition}={_written(ranges)}" for disposition, ranges in where.items() if disposition.has_landed
    )
    return _chunk_row(chunk, _written(each for ranges in where.values() for each in ranges), landed or None)


def _chunk_row(chunk: Chunk, where: str, landed: str | None) -> Put:
    state, maybe_applied = str(chunk.state), int(chunk.maybe_applied)
    values = (chunk.number, state, where, chunk.attempts, maybe_applied, _text(chunk.task), landed)
    return Put("chunk", values)


def _failure_row(outcome: RecordOutcome) -> Put:
    values = (
        outcome.record.position,
        str(outcome.disposition),
        outcome.reason,
        str(outcome.evidence),
        outcome.attempts,
        int(outcome.maybe_applied),
        _text(outcome.task_id),
    )
    return Put("failure", values)


def _written(ranges: Iterable[Range]) -> str:
    return positions.written(positions.merged(ranges))


def _text(task: TaskId | None) -> str | None:
    return None if task is None else str(task)
