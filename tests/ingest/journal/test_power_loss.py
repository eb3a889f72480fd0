"""What a journal has acknowledged is there after a power loss, and a job that goes on with it is right.

The long run is `python -m tests.ingest.journal.power_loss --trials 1000`.
"""

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from attrs import define, field, frozen

from clinia_async.errors import Evidence
from clinia_async.ingest.journal import file as journal_file
from clinia_async.ingest.journal.errors import JournalError
from clinia_async.ingest.journal.journal import Journal
from clinia_async.ingest.journal.rows import History, JobIdentity
from clinia_async.ingest.outcomes.outcome import ChunkOutcomes, Disposition
from clinia_async.ingest.pipeline.checkpoints import ChunkCheckpoints
from clinia_async.ingest.records.chunk import Chunk
from clinia_async.ingest.records.record import Record
from clinia_async.ingest.records.record_batch import RecordBatches
from clinia_async.models.task_id import TaskId
from tests.ingest.journal.lossy_disk import NoSuchLibrary, library, recording, restore
from tests.ingest.journal.power_loss import run_one
from tests.ingest.running import SOURCE, writes

pytestmark = pytest.mark.campaign

JOB = JobIdentity(SOURCE, "http://127.0.0.1:1", "bulk", None)
_WORKERS, _CHUNKS = 3, 4
_TOLD = (Disposition.SUCCEEDED, Disposition.PERSISTED, Disposition.EXISTING, Disposition.FAILED)

State = object
"""What the journal says of a chunk: its row while it is unfinished, or what became of each record."""


@pytest.fixture(autouse=True)
def _needs_the_library() -> None:
    try:
        library()
    except NoSuchLibrary as reason:
        pytest.skip(str(reason))


@define
class ReadSoFar:
    read_to: int = 0
    digest: bytes = b"digest"


@define
class Written:
    """All states that each chunk was given, in their order, and how many of them were acknowledged."""

    states: dict[int, list[State]] = field(factory=dict)
    acknowledged: dict[int, int] = field(factory=dict)

    def missing(self, found: dict[int, State]) -> list[int]:
        """Chunks that stand in the journal as they were before what was acknowledged last."""
        return [
            number
            for number, count in self.acknowledged.items()
            if found.get(number) not in self.states[number][count - 1 :]
        ]

    def snapshot(self) -> dict[int, int]:
        return dict(self.acknowledged)


@frozen
class Clerk:
    """Writes chunks into a journal, as a lane does."""

    checkpoints: ChunkCheckpoints
    input_reader: ReadSoFar
    written: Written
    random: Random

    async def work(self, records: Iterator[Record]) -> None:
        for _ in range(_CHUNKS):
            taken = [next(records) for _ in range(self.random.randrange(1, 5))]
            self.input_reader.read_to = max(self.input_reader.read_to, taken[-1].position)
            await self._through(Chunk(RecordBatches.of(taken)))

    async def _through(self, chunk: Chunk) -> None:
        # its number is given when it is written, so its first state counts from the acknowledgement on
        await self.checkpoints.planned(chunk)
        states = self.written.states[chunk.number] = [row(chunk, "PLANNED")]
        self.written.acknowledged[chunk.number] = 1
        while self.random.random() < 0.9:
            chunk.maybe_applied = chunk.maybe_applied or self.random.random() < 0.3
            await self._step(chunk, states)
        findings = [(self.random.choice(_TOLD), None, Evidence.NONE) for _ in chunk.records]
        outcomes = ChunkOutcomes.of_chunk(chunk, findings)
        states.append({outcome.record.position: outcome.disposition for outcome in outcomes})
        await self.checkpoints.completed(chunk, outcomes)
        self.written.acknowledged[chunk.number] += 1

    async def _step(self, chunk: Chunk, states: list[State]) -> None:
        match self.random.randrange(3):
            case 0:
                states.append(row(chunk, "SENDING", attempts=chunk.attempts + 1))
                await self.checkpoints.sending(chunk)
            case 1:
                task = TaskId(f"bk_{self.random.randrange(10**9)}")
                states.append(row(chunk, "ACCEPTED", task=task))
                await self.checkpoints.accepted(chunk, task, maybe_applied=chunk.maybe_applied)
            case _:
                states.append(row(chunk, "PLANNED"))
                await self.checkpoints.withdrawn(chunk)
        self.written.acknowledged[chunk.number] += 1


def row(chunk: Chunk, state: str, *, attempts: int | None = None, task: TaskId | None = None) -> State:
    attempts = chunk.attempts if attempts is None else attempts
    return state, attempts, chunk.maybe_applied, task or chunk.task


async def found_in(journal: Journal, written: Written) -> dict[int, State]:
    history: History = journal.history
    found: dict[int, State] = {
        each.number: (str(each.state), each.attempts, each.maybe_applied, each.task)
        for each in history.unfinished
    }
    told = {failure.position: failure.disposition for failure in await journal.failures(1)}
    for number, states in written.states.items():
        if number not in found and isinstance(states[-1], dict):
            found[number] = {
                position: history.landed_as(position) or told.get(position) for position in states[-1]
            }
    return found


async def lost_by(seed: int, folder: Path) -> list[int]:
    """Writes chunks until the power fails; what the journal has acknowledged and lost."""
    random, written = Random(seed), Written()
    before, after = folder / "before", folder / "after"
    for each in (before, after):
        each.mkdir(parents=True)
    events = random.randrange(1, 250)
    image: dict[str, bytes] | None = None
    known: dict[int, int] = {}

    def on_event(_: str) -> None:
        nonlocal events, image, known
        events -= 1
        if events == 0:
            known, image = written.snapshot(), disk.image(random)

    with recording(before, on_event) as disk:
        journal = await Journal.open(before / "job", JOB)
        await write_all(journal, written, random)
        if image is None:
            known, image = written.snapshot(), disk.image(random)
        await journal.close()
    restore(image, after)
    again = await Journal.open(after / "job", JOB, may_be_copy=True)
    try:
        found = await found_in(again, written)
    finally:
        await again.close()
    written.acknowledged = known
    return written.missing(found)


async def write_all(journal: Journal, written: Written, random: Random) -> None:
    input_reader = ReadSoFar()
    checkpoints = ChunkCheckpoints(journal, input_reader)
    records = iter([Record(line, each, position=line) for line, each in enumerate(writes(200), 1)])
    clerks = [Clerk(checkpoints, input_reader, written, random) for _ in range(_WORKERS)]
    await asyncio.gather(*(clerk.work(records) for clerk in clerks))


@pytest.mark.parametrize("seed", range(0, 200, 20))
async def test_what_was_acknowledged_is_there_after_a_power_loss(seed: int, tmp_path: Path) -> None:
    for each in range(seed, seed + 20):
        assert await lost_by(each, tmp_path / str(each)) == []


async def test_without_full_syncs_what_was_acknowledged_is_lost(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The proof that the test above can fail. Where the number of commits is left, the loss is noticed."""
    monkeypatch.setattr(journal_file, "SYNCHRONOUS", "NORMAL")
    found: list[object] = []
    for seed in range(5):
        try:
            found += await lost_by(seed, tmp_path / str(seed))
        except JournalError as error:
            found.append(error)
    assert found


@pytest.mark.parametrize("seed", range(12))
def test_a_job_goes_on_with_what_a_power_loss_leaves(seed: int) -> None:
    trial = run_one(seed)
    assert list(trial.findings) == []


def test_a_job_whose_journal_is_not_fully_synced_reports_what_is_not_true_or_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(journal_file, "SYNCHRONOUS", "NORMAL")
    found: list[object] = []
    for seed in range(5):
        try:
            found += run_one(seed).findings
        except JournalError as error:
            found.append(error)
    assert found


def test_the_recorder_is_there_in_its_block_alone(tmp_path: Path) -> None:
    def made(name: str) -> None:
        connection = sqlite3.connect(tmp_path / name, isolation_level=None)
        connection.execute("CREATE TABLE t(x)")
        connection.close()

    with recording(tmp_path) as disk:
        made("in")
    made("out")
    names = {name for seed in range(20) for name in disk.image(Random(seed))}
    assert names == {"in", "in-journal"}, "the deletion of the rollback journal may come undone"
