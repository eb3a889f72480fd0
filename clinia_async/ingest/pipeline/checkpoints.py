"""The states that a chunk goes through, each written down before the step that it allows is taken."""

from collections.abc import Sequence
from typing import Protocol

from clinia_async.ingest.journal import rows
from clinia_async.ingest.journal.journal import Journal
from clinia_async.ingest.journal.rows import Change, Progress
from clinia_async.ingest.outcomes.outcome import ChunkOutcomes
from clinia_async.ingest.records.chunk import Chunk, ChunkState
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

    def __init__(self, journal: Journal | None, position: ReadPosition) -> None:
        self._journal = journal
        self._position = position
        self._last = journal.history.last if journal else 0

    async def planned(self, chunk: Chunk) -> None:
        """A new chunk, and how far the input was read by then."""
        if self._journal is not None:
            progress = Progress(self._position.read_to, self._position.digest)
            await self._journal.write(self._new_row(chunk), progress)

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

    async def split(self, chunk: Chunk, parts: Sequence[Chunk]) -> None:
        """`parts` take the place of a chunk that was too large."""
        if self._journal is not None:
            await self._journal.write(rows.chunk_removal(chunk), *map(self._new_row, parts))

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
