"""What `clinia-async ingest` does, from the file to the exit code."""

import asyncio
import gc
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path

from attrs import asdict, define, evolve, field, frozen

from clinia_async.cli.connection_options import Connection, SessionSettings
from clinia_async.cli.exit_codes import say
from clinia_async.cli.input_files import input_size
from clinia_async.cli.input_options import InputOptions
from clinia_async.cli.param_types import MaxErrors
from clinia_async.cli.progress import Progress, shown
from clinia_async.cli.runs.job_report import RunResult, print_report, write_report
from clinia_async.cli.runs.source_checks import check_reachable, check_source
from clinia_async.cli.runs.timeline import Timeline
from clinia_async.cli.signals import Signals
from clinia_async.cli.stdin import interruptible_stdin
from clinia_async.errors import CliniaError, ConfigError, reason_of
from clinia_async.ingest.file_job import FileJob
from clinia_async.ingest.options import IngestionOptions
from clinia_async.ingest.outcomes.report import Report
from clinia_async.ingest.readers.compression import READ_POSITION, InputError, ReadPosition
from clinia_async.ingest.records.chunk import ChunkLimits
from clinia_async.ingest.records.record_stream import RecordStream
from clinia_async.models.lazy_loading import LOADS_AT_NEED
from clinia_async.session.options import group_of, with_profile
from clinia_async.session.session import Session
from clinia_async.tasks.poller import Polling
from clinia_async.transport.adaptive_limit import ConcurrencyLimits
from clinia_async.transport.retry import RetryPolicy

STOPPING = "stopping: requests in flight are being completed; interrupt again to stop at once"
DIGESTING = "reading the input once to compare it with the journal"
_EMULATOR = "emulator"
_SHOWN = frozenset(
    {
        "source",
        "via",
        "journal",
        "on_existing",
        "on_unknown",
        "workers",
        "processes",
        "patience",
        "grace",
        "dead_letters",
    }
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
    processes: int
    chunk: ChunkLimits
    limits: ConcurrencyLimits
    input_options: InputOptions
    dead_letters: Path
    patience: float
    is_patience_given: bool
    """Whether it is said for this run, and so goes before what the environment says of polls."""
    grace: float
    max_errors: MaxErrors | None
    reports: tuple[Path, ...]
    connection: Connection
    emulator: bool
    """Whether an emulator is started for the run, in place of a service."""
    output: str

    def options(self) -> IngestionOptions:
        """Return the options of the job."""
        return IngestionOptions(
            via=self.via,
            on_existing=self.on_existing,
            on_unknown=self.on_unknown,
            workers=self.workers,
            chunk=self.chunk,
            limits=self.limits,
            patience=self.patience,
        )

    def settings(self) -> dict[str, object]:
        """Return what a report shows of it: no key, and no address that may hold one."""
        shown = {name: value for name, value in asdict(self, recurse=False).items() if name in _SHOWN}
        return {
            **{name: str(value) if isinstance(value, Path) else value for name, value in shown.items()},
            "files": ["standard input"] if self.files is None else [str(file) for file in self.files],
            "max_errors": None if self.max_errors is None else str(self.max_errors),
            "chunk": asdict(self.chunk),
            "limits": asdict(self.limits),
            "emulator": self.emulator,
        }


async def ingest_file(request: IngestRequest, signals: Signals) -> int:
    """Run the job; print its report, and write it to files, however the job ends. Return the exit code."""
    result = RunResult(Report(), request.dead_letters, settings=request.settings())
    try:
        await _fill(result, request, signals)
    except CliniaError as error:
        result.error = error
        result.report.stopped_by = result.report.stopped_by or reason_of(error)
    except asyncio.CancelledError:
        if signals.first is None:
            raise
        result.report.stopped_by = result.report.stopped_by or "asked to stop"
    finally:
        result.signal = signals.first
        for path in request.reports:
            write_report(result, path)
    print_report(result, request.output)
    if result.unexpected_error is not None:
        raise result.unexpected_error
    return result.code


async def _fill(result: RunResult, request: IngestRequest, signals: Signals) -> None:
    LOADS_AT_NEED.set(True)  # a job needs little of it, and waits for nothing but itself
    check_source(request.source)
    async with _service(request) as (arguments, stored_count):
        async with Session.from_env(**arguments) as session:  # type: ignore[arg-type]
            result.has_started = True
            if not request.emulator:
                await check_reachable(session)
            input_id = await _input_id(request)
            if request.processes == 1:
                with _frozen_gc():
                    await _Run(request, session, input_id, signals, result).run()
        if request.processes > 1:
            await run_processes(request, arguments, input_id, signals, result)
        result.emulator_holds = stored_count()


async def _input_id(request: IngestRequest) -> str | None:
    """Return the digest of the input if there is a journal: it takes a pass over the whole file."""
    if request.journal is None:
        return None
    position, total = ReadPosition(), input_size(request.files)
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
async def _service(
    request: IngestRequest,
) -> AsyncIterator[tuple[dict[str, object], Callable[[], tuple[int, int] | None]]]:
    """Yield the arguments of a session, and a function that counts the records in the emulator of the run."""
    environment = with_profile(os.environ)
    polling, retry = group_of(environment, Polling), group_of(environment, RetryPolicy)
    # one call, or the wait for one task, brings nothing but failures for no longer than the job is patient
    if request.is_patience_given or not environment.get("CLINIA_POLLING_PATIENCE", "").strip():
        polling = evolve(polling, patience=request.patience)
    if request.is_patience_given or not environment.get("CLINIA_RETRY_PATIENCE", "").strip():
        retry = evolve(retry, patience=request.patience)
    settings = SessionSettings(polling=polling, retry=retry)
    if not request.emulator:
        yield request.connection.arguments(settings), lambda: None
        return
    if environment.get("CLINIA_PROXY", "").strip():
        raise ConfigError("a proxy does not lead to the emulator of a run: unset CLINIA_PROXY for it")
    # a server takes memory, and few runs need one
    from clinia_async.emulator import DataFileError, Emulator  # noqa: PLC0415

    # a job that is resumed must find what it has stored
    data = None if request.journal is None else request.journal.with_name(f"{request.journal.name}.emulator")
    emulator = Emulator(data=data)
    try:
        await emulator.start()
    except DataFileError as error:
        raise ConfigError(
            f"the emulator cannot start: {error}; check --journal: its records are kept beside that file"
        ) from None
    async with emulator:
        where = {"api_key": emulator.key, "base_url": emulator.url}
        arguments: dict[str, object] = {**where, **request.connection.settings, **settings}
        yield arguments, lambda: (emulator.relationships(), emulator.resources())


@define
class _Run:
    request: IngestRequest
    session: Session
    input_id: str | None
    signals: Signals
    result: RunResult
    job: FileJob = field(init=False)

    def __attrs_post_init__(self) -> None:
        request = self.request
        self.job = FileJob(
            self.session,
            request.source,
            self._read,
            dead_letters=request.dead_letters,
            on_failure=self._check_errors,
            journal=request.journal,
            journal_is_copy=request.journal_is_copy,
            input_id=self.input_id,
            service=_EMULATOR if request.emulator else None,
            **request.options(),
        )
        self.result.report = self.job.report
        self.result.skipped = self.job.skipped_references

    def _read(self, skipped_references: Counter[str]) -> RecordStream:
        request = self.request
        if request.files is None and sys.stdin is None:
            raise InputError("standard input is closed: name a file")
        return request.input_options.records(request.files, request.source, skipped_references)

    async def run(self) -> None:
        """Run the job to its end, and fill `result`."""
        try:
            await self._run()
        finally:
            self.result.dead_letters = self.job.dead_letters.count
            self.result.error = self.job.error
            self.result.unexpected_error = self.job.unexpected_error

    async def _run(self) -> None:
        with ExitStack() as stack:
            stop_reading = (
                stack.enter_context(interruptible_stdin()) if self.request.files is None else _do_nothing
            )
            position = ReadPosition()
            READ_POSITION.set(position)
            limit = stack.enter_context(self.session.limit_concurrency(self.request.limits, background=True))
            stack.enter_context(self.signals.steps(self._stop(stop_reading), self.job.cancel))
            size = input_size(self.request.files, passes=self.request.input_options.passes)
            progress = Progress(self.job.report, limit, size, position.of)
            timeline = Timeline(self.job.report, limit)
            try:
                async with shown(progress.line), timeline.recorded():
                    await self.job.run()
            finally:
                self.result.timeline = timeline.fields()

    def _check_errors(self) -> None:
        if _has_too_many_errors(self.request, self.job.report):
            self.job.stop(self.request.grace)

    def _stop(self, stop_reading: Callable[[], None]) -> Callable[[], None]:
        def stop() -> None:
            say(STOPPING)
            self.job.stop(self.request.grace)
            stop_reading()

        return stop


async def run_processes(
    request: IngestRequest,
    session: dict[str, object],
    input_id: str | None,
    signals: Signals,
    result: RunResult,
) -> None:
    """Run the job in several processes to its end, and fill `result`."""
    from clinia_async.ingest.processes.job import ProcessIngestion  # noqa: PLC0415  few runs need it

    job = ProcessIngestion(
        request.files or (),
        request.source,
        processes=request.processes,
        dead_letters=request.dead_letters,
        session=session,
        open_input=partial(request.input_options.records, request.files, request.source),
        journal=request.journal,
        journal_is_copy=request.journal_is_copy,
        input_id=input_id,
        service=_EMULATOR if request.emulator else None,
        **request.options(),
    )
    result.report, result.skipped = job.report, job.skipped_references

    def check_errors() -> None:
        if _has_too_many_errors(request, job.report):
            job.stop(request.grace)

    def stop() -> None:
        say(STOPPING)
        job.stop(request.grace)

    job.on_state = check_errors
    size = input_size(request.files, passes=request.input_options.passes)
    progress = Progress(job.report, job.load, size, job.bytes_of)
    timeline = Timeline(job.report, job.load)
    try:
        with signals.steps(stop, job.cancel):
            async with shown(progress.line), timeline.recorded():
                await job.run()
    finally:
        result.timeline = timeline.fields()
        result.dead_letters = job.dead_letters_count


def _has_too_many_errors(request: IngestRequest, report: Report) -> bool:
    """Return whether the job is to be stopped for its errors; the report says so then."""
    allowed, errors = request.max_errors, report.completed - report.landed
    if allowed is None or report.stopped_by is not None or not allowed.is_exceeded(errors, report.read):
        return False
    report.stopped_by = f"more errors than --max-errors {allowed} allows"
    return True


def _do_nothing() -> None:
    """A file needs no interruption."""
