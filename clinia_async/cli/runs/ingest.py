"""What `clinia-async ingest` does, from the file to the exit code."""

import asyncio
import gc
import sys
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator
from contextlib import ExitStack, aclosing, asynccontextmanager, contextmanager
from pathlib import Path

import click
from attrs import asdict, define, field, frozen

from clinia_async.cli.connection_options import Connection, SessionSettings
from clinia_async.cli.input_options import InputOptions
from clinia_async.cli.param_types import MaxErrors
from clinia_async.cli.progress import Progress, shown
from clinia_async.cli.runs.job_report import RunResult, print_report, write_report
from clinia_async.cli.runs.source_checks import check_reachable, check_source
from clinia_async.cli.runs.timeline import Timeline
from clinia_async.cli.signals import Signals
from clinia_async.cli.stdin import interruptible_stdin
from clinia_async.errors import CliniaError, ConfigError
from clinia_async.ingest import ChunkLimits, DeadLetters, Ingestion, InputError, Report
from clinia_async.ingest.readers.compression import READ_POSITION, ReadPosition
from clinia_async.ingest.records.record import Barrier, Item
from clinia_async.ingest.records.record_batch import RecordBatch
from clinia_async.ingest.records.record_stream import RecordStream
from clinia_async.session.session import Session
from clinia_async.tasks.poller import Polling
from clinia_async.transport.adaptive_limit import ConcurrencyLimits

STOPPING = "stopping: requests in flight are being completed; interrupt again to stop at once"
DIGESTING = "reading the input once to compare it with the journal"
_EMULATOR = "emulator"
_SHOWN = frozenset(
    {"source", "via", "journal", "on_existing", "on_unknown", "workers", "patience", "grace", "dead_letters"}
)


@frozen
class IngestRequest:
    """What the command line asks for; `files` of None are standard input."""

    files: tuple[Path, ...] | None
    source: str
    via: str
    journal: Path | None
    journal_is_copy: bool
    on_existing: str
    on_unknown: str
    workers: int | None
    chunk: ChunkLimits
    limits: ConcurrencyLimits
    input_options: InputOptions
    dead_letters: Path
    patience: float
    grace: float
    max_errors: MaxErrors | None
    reports: tuple[Path, ...]
    connection: Connection | None
    """None starts an emulator for the run."""
    as_json: bool

    def settings(self) -> dict[str, object]:
        """Return what a report shows of it: no key, and no address that may hold one."""
        shown = {name: value for name, value in asdict(self, recurse=False).items() if name in _SHOWN}
        return {
            **{name: str(value) if isinstance(value, Path) else value for name, value in shown.items()},
            "files": ["standard input"] if self.files is None else [str(file) for file in self.files],
            "max_errors": None if self.max_errors is None else str(self.max_errors),
            "chunk": asdict(self.chunk),
            "limits": asdict(self.limits),
            "emulator": self.connection is None,
        }


async def ingest_file(request: IngestRequest, signals: Signals) -> int:
    """Run the job; print its report, and write it to files, however the job ends. Return the exit code."""
    result = RunResult(Report(), request.dead_letters, settings=request.settings())
    try:
        await _fill(result, request, signals)
    except CliniaError as error:
        result.error = error
        result.report.stopped_by = result.report.stopped_by or str(error)
    except asyncio.CancelledError:
        if signals.first is None:
            raise
        result.report.stopped_by = result.report.stopped_by or "asked to stop"
    finally:
        result.signal = signals.first
        for path in request.reports:
            write_report(result, path)
    print_report(result, as_json=request.as_json)
    if result.unexpected_error is not None:
        raise result.unexpected_error
    return result.code


async def _fill(result: RunResult, request: IngestRequest, signals: Signals) -> None:
    check_source(request.source)
    async with _open_session(request) as (session, stored_count):
        result.has_started = True
        if request.connection is not None:
            await check_reachable(session.registry)
        input_id = await _input_id(request)
        with _frozen_gc():
            await _Run(request, session, input_id, signals, result).run()
        result.emulator_holds = stored_count()


async def _input_id(request: IngestRequest) -> str | None:
    """Return the digest of the input if there is a journal: it takes a pass over the whole file."""
    if request.journal is None:
        return None
    position, total = ReadPosition(), _size_of(request.files)
    READ_POSITION.set(position)
    async with shown(lambda: f"{DIGESTING}: {(position() or 0) / (total or 1):.0%}"):
        return await request.input_options.identity(request.files)


@contextmanager
def _frozen_gc() -> Iterator[None]:
    """Keep the garbage collector from traversing the loaded modules again and again."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@asynccontextmanager
async def _open_session(
    request: IngestRequest,
) -> AsyncIterator[tuple[Session, Callable[[], tuple[int, int] | None]]]:
    """Open the session; also yield a function that counts the records in the emulator of the run."""
    # a task without a good answer to its polls is waited for as long as the job is patient
    settings = SessionSettings(polling=Polling(patience=request.patience))
    if request.connection is not None:
        async with request.connection.session(settings) as session:
            yield session, lambda: None
        return
    from clinia_async.emulator import Emulator  # noqa: PLC0415  a server takes memory, and few runs need one

    # a job that is resumed must find what it has stored
    data = None if request.journal is None else request.journal.with_name(f"{request.journal.name}.emulator")
    async with (
        Emulator(data=data) as emulator,
        Session(api_key=emulator.key, base_url=emulator.url, **settings) as session,
    ):
        yield session, lambda: (emulator.relationships(), emulator.resources())


@define
class _Input:
    """The records of a file. An error of reading ends them, so that the records read so far are completed."""

    request: IngestRequest
    error: InputError | None = None
    skipped_references: Counter[str] = field(factory=Counter)
    """References of FHIR that are no relationships, by reason."""

    async def blocks(self) -> AsyncGenerator[Iterable[Item | RecordBatch | Barrier], None]:
        request = self.request
        try:
            if request.files is None and sys.stdin is None:
                raise InputError("standard input is closed")
            records = request.input_options.records(request.files, request.source, self.skipped_references)
            async with aclosing(records):
                async for block in records.blocks:
                    yield block
        except InputError as error:
            self.error = error
        except OSError as error:
            self.error = InputError(f"the input cannot be read: {error.strerror or type(error).__name__}")


@define
class _Run:
    request: IngestRequest
    session: Session
    input_id: str | None
    signals: Signals
    result: RunResult
    input: _Input = field(init=False)
    job: Ingestion = field(init=False)

    def __attrs_post_init__(self) -> None:
        request = self.request
        self.input = _Input(request)
        self.job = Ingestion(
            self.session,
            request.source,
            RecordStream(self.input.blocks()),
            journal=request.journal,
            journal_is_copy=request.journal_is_copy,
            input_id=self.input_id,
            service=_EMULATOR if request.connection is None else None,
            via=request.via,
            on_existing=request.on_existing,
            on_unknown=request.on_unknown,
            workers=request.workers,
            chunk=request.chunk,
            limits=request.limits,
            patience=request.patience,
        )
        self.result.report = self.job.report
        self.result.skipped_references = self.input.skipped_references

    async def run(self) -> None:
        """Run the job to its end, and fill `result`."""
        dead_letters = DeadLetters(self.request.dead_letters)
        try:
            await self._run(dead_letters)
        finally:
            well = self.result.error is None and self.job.report.all_landed
            unwritten = _close(dead_letters, all_landed=well)
            self.result.dead_letters = dead_letters.count
        self.result.error = self.result.error or unwritten

    async def _run(self, dead_letters: DeadLetters) -> None:
        with ExitStack() as stack:
            stop_reading = (
                stack.enter_context(interruptible_stdin()) if self.request.files is None else _do_nothing
            )
            position = ReadPosition()
            READ_POSITION.set(position)
            limit = stack.enter_context(self.session.limit_concurrency(self.request.limits))
            async with self.job:
                collecting = asyncio.create_task(self._collect(dead_letters), name="clinia-outcomes")
                stack.enter_context(self.signals.steps(self._stop(stop_reading), collecting.cancel))
                progress = Progress(self.job.report, limit, _size_of(self.request.files), position)
                timeline = Timeline(self.job.report, limit)
                async with shown(progress.line), timeline.recorded():
                    await asyncio.wait([collecting])
            self.result.timeline = timeline.fields()
            if collecting.cancelled():
                await self.session.aclose(grace=0)
                # the outcomes of the remaining records are known now that the job has ended
                await asyncio.gather(self._collect(dead_letters), return_exceptions=True)
            self._note_error(collecting)

    async def _collect(self, dead_letters: DeadLetters) -> None:
        report, allowed = self.job.report, self.request.max_errors
        async for outcome in self.job.unlanded():
            dead_letters.add(outcome)
            errors = report.completed - report.landed
            if allowed is not None and report.stopped_by is None and allowed.is_exceeded(errors, report.read):
                report.stopped_by = f"more errors than --max-errors {allowed} allows"
                self.job.stop(self.request.grace)

    def _stop(self, stop_reading: Callable[[], None]) -> Callable[[], None]:
        def stop() -> None:
            click.echo(STOPPING, err=True)
            self.job.stop(self.request.grace)
            stop_reading()

        return stop

    def _note_error(self, collecting: asyncio.Task[None]) -> None:
        result = self.result
        error = None if collecting.cancelled() else collecting.exception() or self.input.error
        if isinstance(error, OSError) and not isinstance(error, CliniaError):
            error = _dead_letters_unwritable(error)  # only the dead letters are files here
        if isinstance(error, CliniaError):
            result.error = error
            result.report.stopped_by = result.report.stopped_by or str(error)
        else:
            result.unexpected_error = error


def _size_of(files: tuple[Path, ...] | None) -> int | None:
    return None if files is None else sum(file.stat().st_size for file in files)


def _close(dead_letters: DeadLetters, *, all_landed: bool) -> ConfigError | None:
    try:
        dead_letters.close(all_landed=all_landed)
    except OSError as error:
        return _dead_letters_unwritable(error)
    return None


def _dead_letters_unwritable(error: OSError) -> ConfigError:
    return ConfigError(f"--dead-letters: the file cannot be written: {error.strerror}")


def _do_nothing() -> None:
    """A file needs no interruption."""
