"""The states that a chunk goes through, each written down before the step that it allows is taken."""

from collections.abc import Sequence
from typing import Protocol

from clinia_async.ingest import journal as journals
from clinia_async.ingest.journal import rows
from clinia_async.ingest.journal.rows import Change, Progress
from clinia_async.ingest.outcomes.outcome import ChunkOutcomes
from clinia_async.ingest.records.chunk import Chunk, ChunkState
from clinia_async.ingest.records.position_ranges import Range
from clinia_async.models.task_id import TaskId


class ReadPosition(Protocol):
    """How far the input was read, and the digest of what was."""

    @property
    def read_to(self) -> int: ...
    @property
    def digest(self) -> bytes: ...


class ChunkCheckpoints:
    """Writes states of chunks to the journal; without one the states are kept in memory alone.

    Each method raises `JournalError` if the state cannot be written.
    """

    def __init__(self, journal: "journals.Journal | None", position: ReadPosition) -> None:
        self._journal = journal
        self._position = position
        self._last = journal.history.last if journal else 0

    async def planned(self, chunk: Chunk) -> None:
        """A new chunk, and how far the input was read by then."""
        if self._journal is not None:
            progress = Progress(self._position.read_to, self._position.digest)
            await self._journal.write(self._new_row(chunk), progress)

    async def begun(self, chunk: Chunk) -> None:
        """Before the first byte leaves, of a chunk that is new or planned: both steps in one."""
        chunk.attempts += 1
        if chunk.number or self._journal is None:
            await self._moved(chunk, ChunkState.SENDING)
        else:
            chunk.state = ChunkState.SENDING
            await self.planned(chunk)

    async def sending(self, chunk: Chunk) -> None:
        """Before the first byte leaves. Counts the attempt."""
        chunk.attempts += 1
        await self._moved(chunk, ChunkState.SENDING)

    async def accepted(self, chunk: Chunk, task: TaskId, *, maybe_applied: bool) -> None:
        """The service has taken it, before anything is done with its task."""
        chunk.task, chunk.maybe_applied = task, maybe_applied
        await self._moved(chunk, ChunkState.ACCEPTED)

    async def withdrawn(self, chunk: Chunk) -> None:
        """It was proven that nothing of this attempt was carried out."""
        await self._moved(chunk, ChunkState.PLANNED)

    async def lost(self, chunk: Chunk) -> None:
        """The service no longer knows its task, so it is not known what became of it."""
        chunk.task, chunk.maybe_applied = None, True
        await self._moved(chunk, ChunkState.UNKNOWN)

    async def split(self, chunk: Chunk, parts: Sequence[Chunk], left: Sequence[Range] = ()) -> None:
        """`parts` take the place of a chunk; `left` are positions of it that are in none of them."""
        if self._journal is not None:
            chunk.ranges = left
            row = rows.chunk_row(chunk) if left else rows.chunk_removal(chunk)
            await self._journal.write(row, *map(self._new_row, parts))

    async def cut_off(
        self, run: Chunk, stored: Chunk | None, outcomes: ChunkOutcomes | None, others: Sequence[Chunk]
    ) -> None:
        """A run ended early: its first records are stored, and the others go on as chunks of their own.

        If nothing of it is stored and it goes on as a whole, it is one of the `others` itself.
        """
        if self._journal is None:
            return
        changes: list[Change] = []
        if stored is not None and outcomes is not None:
            stored.number = run.number
            _, changes = rows.completion(stored, outcomes)
        elif run not in others:
            changes = [rows.chunk_removal(run)]
        elif run.state is ChunkState.PLANNED:
            changes = [rows.chunk_row(run)]
        changes += [self._new_row(chunk) for chunk in others if chunk is not run]
        if changes:
            await self._journal.write(*changes)

    async def completed(self, chunk: Chunk, outcomes: ChunkOutcomes) -> None:
        """The outcome of each record. Records that are unknown or unsent stay, as chunks of their own."""
        if self._journal is not None:
            parts, changes = rows.completion(chunk, outcomes)
            await self._journal.write(*changes, *map(self._new_row, parts))

    async def reported(self, outcomes: ChunkOutcomes) -> None:
        """The outcomes of a chunk that stays as it is, for the next run to find out more."""
        if self._journal is not None:
            await self._journal.write(*rows.failure_rows(outcomes))

    async def _moved(self, chunk: Chunk, state: ChunkState) -> None:
        chunk.state = state
        if self._journal is not None:
            await self._journal.write(rows.chunk_row(chunk))

    def _new_row(self, chunk: Chunk) -> Change:
        self._last += 1
        chunk.number = self._last
        return rows.chunk_row(chunk)
