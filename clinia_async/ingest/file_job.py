"""A job on files: its records are read to the first error of reading, and what does not land is kept."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Unpack

from attrs import define, field

from clinia_async.errors import CliniaError, ConfigError, reason_of
from clinia_async.ingest.job import Ingestion
from clinia_async.ingest.options import JobOptions
from clinia_async.ingest.outcomes.dead_letters import DeadLetters
from clinia_async.ingest.outcomes.outcome import RecordOutcome
from clinia_async.ingest.readers.compression import InputError
from clinia_async.ingest.records.record import Barrier, Item
from clinia_async.ingest.records.record_batch import RecordBatch
from clinia_async.ingest.records.record_stream import RecordStream
from clinia_async.session.session import Session

ReadFiles = Callable[[Counter[str]], RecordStream]
"""Opens an input. It counts, by reason, the references of FHIR that are no relationships."""


@define
class _Input:
    """The records of files. An error of reading ends them, so that the records read so far are completed."""

    read: ReadFiles
    note_options: Callable[[Mapping[str, str]], None] = field(repr=False)
    error: InputError | None = None
    skipped_references: Counter[str] = field(factory=Counter)

    async def blocks(self) -> AsyncGenerator[Iterable[Item | RecordBatch | Barrier], None]:
        try:
            records = self.read(self.skipped_references)
            self.note_options(records.options)
            async with aclosing(records):
                async for block in records.blocks:
                    yield block
        except InputError as error:
            self.error = error
        except OSError as error:
            self.error = InputError(f"the input cannot be read: {error.strerror or type(error).__name__}")


class FileJob:
    """Runs an `Ingestion` of what `read` opens, and writes the records that do not land to `dead_letters`.

    `error` is what ended the job before its input did, `unexpected_error` one that is no `CliniaError`, and
    `on_failure` is called after each outcome of a record that did not land.
    """

    def __init__(
        self,
        session: Session,
        source: str,
        read: ReadFiles,
        *,
        dead_letters: Path,
        on_failure: Callable[[], None] = lambda: None,
        **options: Unpack[JobOptions],
    ) -> None:
        self._session = session
        self._input = _Input(read, self._note_options)
        self._on_failure = on_failure
        self._collecting: asyncio.Task[None] | None = None
        self.job = Ingestion(session, source, RecordStream(self._input.blocks()), **options)
        self.report = self.job.report
        self.skipped_references = self._input.skipped_references
        self.dead_letters = DeadLetters(dead_letters)
        self.error: CliniaError | None = None
        self.unexpected_error: BaseException | None = None
        self._unwritten: ConfigError | None = None

    async def run(self) -> None:
        """Run the job to its end, however it ends."""
        try:
            await self._run()
        finally:
            self._close()
        self.error = self.error or self._unwritten

    def stop(self, grace: float | None) -> None:
        """Read and send no further record, and complete what is in flight, for `grace` seconds at most."""
        self.job.stop(grace)

    def cancel(self) -> None:
        """Wait for nothing more: what is in flight is reported as unknown."""
        if self._collecting is not None:
            self._collecting.cancel()

    def _note_options(self, options: Mapping[str, str]) -> None:
        self.dead_letters.options = options

    async def _run(self) -> None:
        async with self.job:
            collecting = self._collecting = asyncio.create_task(self._collect(), name="clinia-outcomes")
            await asyncio.wait([collecting])
        if collecting.cancelled():
            await self._session.aclose(grace=0)
            # the outcomes of the remaining records are known now that the job has ended
            await asyncio.gather(self._collect(), return_exceptions=True)
        self._note_error(collecting)

    async def _collect(self) -> None:
        async for outcome in self.job.unlanded():
            self._keep(outcome)
            self._on_failure()

    def _keep(self, outcome: RecordOutcome) -> None:
        """Write a dead letter. Where none can be written, send no more: what failed could not be kept."""
        if self._unwritten is not None:
            return
        try:
            self.dead_letters.add(outcome)
        except OSError as error:
            self._unwritten = unwritable(error)
            self.report.stopped_by = self.report.stopped_by or reason_of(self._unwritten)
            self.job.stop()

    def _note_error(self, collecting: asyncio.Task[None]) -> None:
        error = None if collecting.cancelled() else collecting.exception() or self._input.error
        if isinstance(error, CliniaError):
            self.error = error
            self.report.stopped_by = self.report.stopped_by or reason_of(error)
        else:
            self.unexpected_error = error

    def _close(self) -> None:
        try:
            self.dead_letters.close(all_landed=self.error is None and self.report.all_landed)
        except OSError as error:
            self._unwritten = unwritable(error)


def unwritable(error: OSError, parts: Sequence[Path] = ()) -> ConfigError:
    """Return the error for a file of dead letters that cannot be written; `parts` hold its letters still."""
    names = ", ".join(part.name for part in parts)
    where = (
        f"what did not land is in {names} beside it" if parts else "not all that did not land is in the file"
    )
    return ConfigError(
        f"--dead-letters: the file cannot be written: {error.strerror}; name another, or make room, and run"
        f" the job again: {where}"
    )
