"""Whatever a job writes into its journal, and whenever it ends: what stands there is what was written."""

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Sequence
from pathlib import Path

import pytest
from attrs import define, field
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from clinia_async import Disposition, RecordOutcome
from clinia_async.errors import Evidence
from clinia_async.ingest.journal.journal import Journal
from clinia_async.ingest.journal.replay import _chunk
from clinia_async.ingest.journal.rows import Failure, History, JobIdentity, Unfinished
from clinia_async.ingest.outcomes.outcome import ChunkOutcomes
from clinia_async.ingest.pipeline.checkpoints import ChunkCheckpoints
from clinia_async.ingest.records.chunk import Chunk, ChunkState
from clinia_async.ingest.records.position_ranges import Positions
from clinia_async.ingest.records.record import Record
from clinia_async.ingest.records.record_batch import RecordBatches
from clinia_async.models.task_id import TaskId
from tests.ingest.running import SOURCE, write

JOB = JobIdentity(SOURCE, "http://127.0.0.1:1", "bulk", None)
TOLD = st.sampled_from(Disposition)
LEFT = frozenset({Disposition.UNKNOWN, Disposition.UNSENT})


@define
class Reading:
    """What a ledger needs of the reader."""

    read_to: int = 0

    @property
    def digest(self) -> bytes:
        return str(self.read_to).encode()


@define
class Known:
    """What the journal must say."""

    read_to: int = 0
    landed: dict[int, Disposition] = field(factory=dict)
    failures: dict[int, Failure] = field(factory=dict)
    late: set[int] = field(factory=set)
    unfinished: dict[int, tuple[object, ...]] = field(factory=dict)

    def put(self, chunk: Chunk) -> None:
        positions = sorted(record.position for record in chunk.records)
        self.unfinished[chunk.number] = (
            positions,
            chunk.state,
            chunk.attempts,
            bool(chunk.maybe_applied),
            chunk.task,
        )


def all_of(positions: Positions) -> list[int]:
    ranges = zip(positions._firsts, positions._lasts, strict=True)
    return [position for first, last in ranges for position in range(first, last + 1)]


def record_at(position: int) -> Record:
    return Record(position, write(f"p{position}", "o"), position=position)


class JournalStates(RuleBasedStateMachine):
    chunks = Bundle("chunks")

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.runner = asyncio.Runner()
        self.reading, self.known = Reading(), Known()
        self.path = self.folder / "journal-0"
        self.copies = 0
        self.alive: dict[int, Chunk] = {}
        self.open()

    def do(self, *work: Awaitable[object]) -> None:
        async def all_at_once() -> None:
            await asyncio.gather(*work)

        self.runner.run(all_at_once())

    def open(self) -> None:
        self.journal = self.runner.run(Journal.open(self.path, JOB, may_be_copy=True))
        self.checkpoints = ChunkCheckpoints(self.journal, self.reading)

    def teardown(self) -> None:
        self.runner.run(self.journal.close())
        self.runner.close()
        shutil.rmtree(self.folder)

    # A chunk comes

    def plan(self, sizes: Sequence[int], *, gap: int, maybe_applied: bool) -> list[Chunk]:
        planned = []
        for size in sizes:
            first = self.reading.read_to + gap + 1
            self.reading.read_to = first + size - 1
            records = [record_at(position) for position in range(first, first + size)]
            planned.append(Chunk(RecordBatches.of(records), maybe_applied=maybe_applied))
        self.do(*map(self.checkpoints.planned, planned))
        self.known.read_to = self.reading.read_to
        for chunk in planned:
            self.known.put(chunk)
            self.alive[chunk.number] = chunk
        return planned

    @rule(
        target=chunks,
        sizes=st.lists(st.integers(1, 6), min_size=1, max_size=3),
        gap=st.integers(0, 2),
        maybe_applied=st.booleans(),
    )
    def planned(self, sizes: list[int], gap: int, maybe_applied: bool) -> object:
        return multiple(*self.plan(sizes, gap=gap, maybe_applied=maybe_applied))

    def now(self, chunk: Chunk) -> Chunk | None:
        """The chunk of this run; a former one goes on as the one that was read from the journal."""
        return self.alive.get(chunk.number)

    # A chunk goes on

    @rule(chunk=chunks)
    def sending(self, chunk: Chunk) -> None:
        if (mine := self.now(chunk)) and mine.state in {
            ChunkState.PLANNED,
            ChunkState.SENDING,
            ChunkState.UNKNOWN,
        }:
            self.do(self.checkpoints.sending(mine))
            self.known.put(mine)

    @rule(chunk=chunks, number=st.integers(1, 9), maybe_applied=st.booleans())
    def accepted(self, chunk: Chunk, number: int, maybe_applied: bool) -> None:
        if (mine := self.now(chunk)) and mine.state is ChunkState.SENDING:
            self.do(self.checkpoints.accepted(mine, TaskId(f"bk_{number}"), maybe_applied=maybe_applied))
            self.known.put(mine)

    @rule(chunk=chunks)
    def withdrawn(self, chunk: Chunk) -> None:
        if (mine := self.now(chunk)) and mine.state is ChunkState.SENDING:
            self.do(self.checkpoints.withdrawn(mine))
            self.known.put(mine)

    @rule(chunk=chunks)
    def lost(self, chunk: Chunk) -> None:
        if (mine := self.now(chunk)) and mine.state is ChunkState.ACCEPTED:
            self.do(self.checkpoints.lost(mine))
            assert mine.task is None
            self.known.put(mine)

    @rule(target=chunks, chunk=consumes(chunks))
    def split(self, chunk: Chunk) -> object:
        mine = self.now(chunk)
        if mine is None or mine.state is not ChunkState.SENDING or len(mine.records) < 2:
            return chunk
        middle = len(mine.records) // 2
        parts = [
            Chunk(mine.records[part], maybe_applied=mine.maybe_applied)
            for part in (slice(middle), slice(middle, None))
        ]
        self.do(self.checkpoints.split(mine, parts))
        self.gone(mine)
        for part in parts:
            self.known.put(part)
            self.alive[part.number] = part
        return multiple(*parts)

    @rule(chunk=consumes(chunks), reported=st.lists(TOLD, min_size=6, max_size=6), unmixed=st.booleans())
    def reconciled(self, chunk: Chunk, reported: list[Disposition], unmixed: bool) -> None:
        if (mine := self.now(chunk)) is None:
            return
        reported = reported[:1] * 6 if unmixed else reported
        findings = [(disposition, "a reason", Evidence.NONE) for disposition in reported[: len(mine.records)]]
        outcomes = ChunkOutcomes(
            mine.records,
            findings,
            task=mine.task,
            attempts=mine.attempts,
            maybe_applied=mine.maybe_applied,
        )
        last = max(self.known.unfinished)
        self.do(self.checkpoints.completed(mine, outcomes))
        self.gone(mine)
        self.reconcile(mine, outcomes)
        self.leave(mine, outcomes, self.checkpoints_numbers(last, outcomes))

    def checkpoints_numbers(self, last: int, outcomes: Sequence[RecordOutcome]) -> list[int]:
        count = len({outcome.disposition for outcome in outcomes} & LEFT)
        newest = self.checkpoints._last
        assert newest >= last
        return list(range(newest - count + 1, newest + 1))

    def reconcile(self, mine: Chunk, outcomes: Sequence[RecordOutcome]) -> None:
        for outcome in outcomes:
            position, disposition = outcome.record.position, outcome.disposition
            if disposition is not Disposition.UNSENT:
                self.known.failures.pop(position, None)
            if disposition.has_landed:
                self.known.landed[position] = disposition
            elif disposition is not Disposition.UNSENT:
                self.known.failures[position] = Failure(
                    position,
                    disposition,
                    "a reason",
                    outcome.evidence,
                    outcome.attempts,
                    outcome.maybe_applied,
                    outcome.task_id,
                )
            if disposition not in LEFT and mine.maybe_applied:
                self.known.late.add(position)

    def leave(self, mine: Chunk, outcomes: Sequence[RecordOutcome], numbers: list[int]) -> None:
        """What is left of a chunk is unfinished still: what is unknown first."""
        for disposition, state, maybe_applied in (
            (Disposition.UNKNOWN, ChunkState.UNKNOWN, True),
            (Disposition.UNSENT, ChunkState.PLANNED, mine.maybe_applied),
        ):
            records = [outcome.sent for outcome in outcomes if outcome.disposition is disposition]
            if records:
                rest = Chunk(
                    RecordBatches.of(records),
                    numbers.pop(0),
                    state,
                    mine.attempts,
                    maybe_applied=maybe_applied,
                )
                self.known.put(rest)

    def gone(self, chunk: Chunk) -> None:
        del self.known.unfinished[chunk.number]
        del self.alive[chunk.number]

    # A run ends, and another one goes on

    @rule(target=chunks)
    def closed(self) -> object:
        self.runner.run(self.journal.close())
        return self.reopened()

    @rule(target=chunks)
    def killed(self) -> object:
        """The files as they are at this moment, while the journal is open."""
        self.copies += 1
        copy = self.folder / f"journal-{self.copies}"
        for ending in ("", "-wal", "-count"):
            source = self.path.with_name(self.path.name + ending)
            if source.exists():
                shutil.copy(source, copy.with_name(copy.name + ending))
        self.runner.run(self.journal.close())
        self.path = copy
        return self.reopened()

    def reopened(self) -> object:
        self.open()
        found = self.journal.history
        self.compare(found)
        self.alive = {left.number: self.taken_up(left) for left in found.unfinished}
        return multiple(*self.alive.values())

    def taken_up(self, left: Unfinished) -> Chunk:
        left.records.extend(map(record_at, all_of(left.positions)))
        return _chunk(left)

    def compare(self, found: History) -> None:
        known = self.known
        assert (found.read_to, found.digest) == (
            known.read_to,
            str(known.read_to).encode() if known.read_to else b"",
        )
        everywhere = range(1, known.read_to + 2)
        assert {n: found.landed_as(n) for n in everywhere if found.landed_as(n)} == known.landed
        assert {n for n in everywhere if n in found.late} == known.late
        assert {each.number: self.row(each) for each in found.unfinished} == known.unfinished
        assert found.last >= max(known.unfinished, default=0)
        for position, (positions, *_) in ((p, row) for row in known.unfinished.values() for p in row[0]):  # type: ignore[attr-defined]
            left = found.chunk_of(position)
            assert left is not None
            assert positions == self.row(left)[0]

    def row(self, left: Unfinished) -> tuple[object, ...]:
        return all_of(left.positions), left.state, left.attempts, left.maybe_applied, left.task

    @invariant()
    def failures_are_there_in_order(self) -> None:
        if hasattr(self, "journal"):
            found = self.runner.run(self.journal.failures(1))
            assert [each.position for each in found] == sorted(each.position for each in found)
            # what is tried again is asked for among the chunks first, and what landed is not asked for here
            again = {p for row in self.known.unfinished.values() for p in row[0]}  # type: ignore[attr-defined]
            over = {
                each.position: each for each in found if each.position not in {*again, *self.known.landed}
            }
            assert over == {p: each for p, each in self.known.failures.items() if p not in again}


JournalStates.TestCase.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
TestJournalStates = pytest.mark.campaign(JournalStates.TestCase)
