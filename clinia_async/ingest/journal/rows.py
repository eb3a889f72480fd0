"""What stands in a journal, and what it means to the next run of the job."""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from attrs import define, field, frozen

from clinia_async.ingest.journal.file import JournalError, JournalMismatch
from clinia_async.ingest.outcomes.outcome import ChunkOutcomes, Disposition, RecordOutcome, unlanded
from clinia_async.ingest.records import position_ranges as positions
from clinia_async.ingest.records.chunk import Chunk, ChunkState
from clinia_async.ingest.records.position_ranges import Positions, Range
from clinia_async.ingest.records.record import Record
from clinia_async.ingest.records.record_batch import RecordBatches
from clinia_async.models.task_id import TaskId

Statement = tuple[str, tuple[object, ...]]

_PAGE = 1000


@frozen
class JobIdentity:
    """What must be the same for a job to go on. `input` is None for what cannot be read ahead."""

    source: str
    service: str
    """The address of the registry."""
    via: str
    input: str | None


@frozen
class Failure:
    """A record that did not land, as a former run of the job told it."""

    position: int
    disposition: Disposition
    reason: str | None
    attempts: int
    task: TaskId | None


@define(eq=False)
class Unfinished:
    """A chunk that a former run left; its records are collected while the input is read again."""

    number: int
    state: ChunkState
    positions: Positions
    attempts: int
    maybe_applied: bool
    task: TaskId | None
    records: list[Record] = field(factory=list)

    @property
    def answer_lost(self) -> bool:
        """Whether an answer to it may be lost. What was taken, or withdrawn, tells by itself."""
        return self.maybe_applied or self.state is ChunkState.SENDING

    @property
    def may_have_arrived(self) -> bool:
        return self.maybe_applied or self.state is not ChunkState.PLANNED


@define
class History:
    """What former runs of the job have written down. Up to the position `read_to` the input is known."""

    read_to: int = 0
    digest: bytes = b""
    last: int = 0
    """The highest number of a chunk."""
    landed: Mapping[Disposition, Positions] = field(factory=dict)
    unfinished: Sequence[Unfinished] = ()
    late: Positions = field(factory=Positions)
    """Records that were told of and may have been sent twice: one of the two may still be carried out."""

    def landed_as(self, position: int) -> Disposition | None:
        for disposition, where in self.landed.items():
            if position in where:
                return disposition
        return None

    def chunk_of(self, position: int) -> Unfinished | None:
        for chunk in self.unfinished:
            if position in chunk.positions:
                return chunk
        return None


def history(connection: sqlite3.Connection, job: JobIdentity) -> History:
    """What stands there, if it is about this job; begins the journal if nothing does."""
    row = connection.execute("SELECT source, service, via, input, read_to, digest FROM job").fetchone()
    if row is None:
        connection.execute(
            "INSERT INTO job VALUES (1, ?, ?, ?, ?, 0, X'')", (job.source, job.service, job.via, job.input)
        )
        return History()
    _check_same(job, JobIdentity(*row[:4]))
    (last,) = connection.execute("SELECT max(id) FROM chunk").fetchone()
    try:
        landed, unfinished, late = _landed(connection), _unfinished(connection), _late(connection)
    except (LookupError, TypeError, ValueError):
        pass
    else:
        return History(row[4], row[5], last or 0, landed, unfinished, late)
    raise JournalError("the journal is damaged: a row of it makes no sense")


def _check_same(job: JobIdentity, previous: JobIdentity) -> None:
    for name, now, then in (
        ("source", job.source, previous.source),
        ("service", job.service, previous.service),
        ("way", job.via, previous.via),
        ("input", job.input, previous.input),
    ):
        if now != then:
            raise JournalMismatch(f"the journal belongs to another job: its {name} is not the same")


def _landed(connection: sqlite3.Connection) -> dict[Disposition, Positions]:
    found: defaultdict[Disposition, list[Range]] = defaultdict(list)
    for (text,) in connection.execute("SELECT landed FROM chunk WHERE landed IS NOT NULL"):
        for part in text.split(";"):
            disposition, _, where = part.partition("=")
            found[Disposition(disposition)].extend(positions.read(where))
    return {disposition: Positions(ranges) for disposition, ranges in found.items()}


def _late(connection: sqlite3.Connection) -> Positions:
    found = connection.execute(
        "SELECT positions FROM chunk WHERE doubtful AND state IN ('SETTLED', 'REJECTED')"
    )
    return Positions(each for (text,) in found for each in positions.read(text))


def _unfinished(connection: sqlite3.Connection) -> list[Unfinished]:
    chunks = connection.execute(
        "SELECT id, state, positions, attempts, doubtful, task FROM chunk"
        " WHERE state IN ('PLANNED', 'SENDING', 'ACCEPTED', 'UNKNOWN') ORDER BY id"
    )
    return [
        Unfinished(
            number,
            ChunkState(state),
            Positions(positions.read(where)),
            attempts,
            bool(maybe_applied),
            TaskId(task) if task else None,
        )
        for number, state, where, attempts, maybe_applied, task in chunks
    ]


def failures(connection: sqlite3.Connection, first: int) -> list[Failure]:
    found = connection.execute(
        "SELECT position, disposition, reason, attempts, task FROM failure"
        " WHERE position >= ? ORDER BY position LIMIT ?",
        (first, _PAGE),
    )
    return [
        Failure(position, Disposition(disposition), reason, attempts, TaskId(task) if task else None)
        for position, disposition, reason, attempts, task in found
    ]


def progress(read_to: int, digest: bytes) -> Statement:
    # the job may read on while chunks of an earlier moment are written down
    return "UPDATE job SET read_to = ?, digest = ? WHERE read_to < ?", (read_to, digest, read_to)


def insertion(chunk: Chunk) -> Statement:
    where = _written(chunk.records.ranges())
    values = (chunk.number, chunk.state, where, chunk.attempts, chunk.maybe_applied, _text(chunk.task))
    return "INSERT INTO chunk VALUES (?, ?, ?, ?, ?, ?, NULL)", values


def update(chunk: Chunk) -> Statement:
    return (
        "UPDATE chunk SET state = ?, attempts = ?, doubtful = ?, task = ? WHERE id = ?",
        (chunk.state, chunk.attempts, chunk.maybe_applied, _text(chunk.task), chunk.number),
    )


def deletion(chunk: Chunk) -> Statement:
    return "DELETE FROM chunk WHERE id = ?", (chunk.number,)


def completion(chunk: Chunk, outcomes: Sequence[RecordOutcome]) -> tuple[list[Chunk], list[Statement]]:
    """The chunks that are left over from this one, and how to write down what became of the rest."""
    where = _where(outcomes)
    parts = []
    if where.pop(Disposition.UNKNOWN, None):
        parts.append(_rest(chunk, outcomes, Disposition.UNKNOWN))
    if where.pop(Disposition.UNSENT, None):
        parts.append(_rest(chunk, outcomes, Disposition.UNSENT))
    statements = [_of_completed(chunk, where)]
    for outcome in outcomes if chunk.reported_before else unlanded(outcomes):
        if outcome.disposition.has_landed or outcome.disposition is Disposition.UNSENT:
            if chunk.reported_before:
                statements.append(("DELETE FROM failure WHERE position = ?", (outcome.record.position,)))
        else:
            statements.append(_failure(outcome))
    return parts, statements


def _where(outcomes: Sequence[RecordOutcome]) -> dict[Disposition, list[Range]]:
    """The positions of what became of records, by that."""
    if isinstance(outcomes, ChunkOutcomes) and len(outcomes.counts) == 1:  # nearly always
        return {outcomes[0].disposition: outcomes.records.ranges()}
    found: defaultdict[Disposition, list[int]] = defaultdict(list)
    for outcome in outcomes:
        found[outcome.disposition].append(outcome.record.position)
    return {disposition: positions.ranges_of(sorted(where)) for disposition, where in found.items()}


def _rest(chunk: Chunk, outcomes: Iterable[RecordOutcome], disposition: Disposition) -> Chunk:
    is_unknown = disposition is Disposition.UNKNOWN
    return Chunk(
        RecordBatches.of(outcome.sent for outcome in outcomes if outcome.disposition is disposition),
        state=ChunkState.UNKNOWN if is_unknown else ChunkState.PLANNED,
        attempts=chunk.attempts,
        maybe_applied=is_unknown or chunk.maybe_applied,
    )


def _of_completed(chunk: Chunk, where: Mapping[Disposition, Sequence[Range]]) -> Statement:
    if not where:
        return deletion(chunk)
    chunk.state = ChunkState.REJECTED if set(where) == {Disposition.REJECTED} else ChunkState.SETTLED
    landed = ";".join(
        f"{disposition}={_written(ranges)}" for disposition, ranges in where.items() if disposition.has_landed
    )
    completed = _written(each for ranges in where.values() for each in ranges)
    return (
        "UPDATE chunk SET state = ?, positions = ?, doubtful = ?, landed = ? WHERE id = ?",
        (chunk.state, completed, chunk.maybe_applied, landed or None, chunk.number),
    )


def failed(outcomes: Iterable[RecordOutcome]) -> list[Statement]:
    return [_failure(outcome) for outcome in outcomes]


def _failure(outcome: RecordOutcome) -> Statement:
    return (
        "INSERT OR REPLACE INTO failure VALUES (?, ?, ?, ?, ?)",
        (
            outcome.record.position,
            outcome.disposition,
            outcome.reason,
            outcome.attempts,
            _text(outcome.task_id),
        ),
    )


def _written(ranges: Iterable[Range]) -> str:
    return positions.written(positions.merged(ranges))


def _text(task: TaskId | None) -> str | None:
    return None if task is None else str(task)
