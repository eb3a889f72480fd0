"""The rows of a journal, and what they mean to the next run of the job."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from attrs import define, field, frozen

from clinia_async.errors import Evidence
from clinia_async.ingest.outcomes.outcome import ChunkOutcomes, Disposition, RecordOutcome
from clinia_async.ingest.records import position_ranges as positions
from clinia_async.ingest.records.chunk import Chunk, ChunkState
from clinia_async.ingest.records.position_ranges import Positions, Range
from clinia_async.ingest.records.record import Record
from clinia_async.ingest.records.record_batch import RecordBatches
from clinia_async.models.task_id import TaskId

Value = int | str | bytes | None


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
