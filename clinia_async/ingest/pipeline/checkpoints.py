"""The states that a chunk goes through, each written down before the step that it allows is taken."""

from collections.abc import Sequence

from clinia_async.ingest.journal import rows
from clinia_async.ingest.journal.journal import Journal
from clinia_async.ingest.journal.rows import Statement
from clinia_async.ingest.outcomes.outcome import RecordOutcome
from clinia_async.ingest.pipeline.input_reader import InputReader
from clinia_async.ingest.records.chunk import Chunk, ChunkState
from clinia_async.models.task_id import TaskId


class ChunkCheckpoints:
    """Without a journal the states are kept, and written nowhere."""

    def __init__(self, journal: Journal | None, input_reader: InputReader) -> None:
        self._journal = journal
        self._input_reader = input_reader
        self._last = journal.history.last if journal else 0

    async def planned(self, chunk: Chunk) -> None:
        """A new chunk, and how far the input was read by then."""
        if self._journal is not None:
            read_to, digest = self._input_reader.read_to, self._input_reader.digest
            await self._journal.write(self._insertion(chunk), rows.progress(read_to, digest))

    async def sending(self, chunk: Chunk) -> None:
        """Before the first byte leaves; counts the attempt."""
        chunk.attempts += 1
        await self._moved(chunk, ChunkState.SENDING)

    async def accepted(self, chunk: Chunk, task: TaskId, *, maybe_applied: bool) -> None:
        """Before anybody sees the handle."""
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
            await self._journal.write(rows.deletion(chunk), *map(self._insertion, parts))

    async def completed(self, chunk: Chunk, outcomes: Sequence[RecordOutcome]) -> None:
        """What became of each record of a chunk. What is unknown or unsent stays, as a chunk of its own."""
        if self._journal is not None:
            parts, statements = rows.completion(chunk, outcomes)
            await self._journal.write(*statements, *map(self._insertion, parts))

    async def reported(self, outcomes: Sequence[RecordOutcome]) -> None:
        """Of a chunk that stays as it is, for the next run to find out more."""
        if self._journal is not None:
            await self._journal.write(*rows.failed(outcomes))

    async def _moved(self, chunk: Chunk, state: ChunkState) -> None:
        chunk.state = state
        if self._journal is not None:
            await self._journal.write(rows.update(chunk))

    def _insertion(self, chunk: Chunk) -> Statement:
        self._last += 1
        chunk.number = self._last
        return rows.insertion(chunk)
