"""What `clinia-async ingest` does, from the file to the exit code."""

import asyncio
import gc
import json
import sys
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator
from contextlib import ExitStack, aclosing, asynccontextmanager, contextmanager
from pathlib import Path

import click
from attrs import define, field, frozen

from clinia_async.cli.connection_options import Connection, SessionSettings
from clinia_async.cli.exit_codes import ExitCode, exit_code_of, print_error
from clinia_async.cli.input_options import InputOptions
from clinia_async.cli.progress import progress
from clinia_async.cli.signals import Signals
from clinia_async.cli.stdin import interruptible_stdin
from clinia_async.errors import CliniaError, ConfigError
from clinia_async.ingest import (
    ChunkLimits,
    DeadLetters,
    Disposition,
    Ingestion,
    InputError,
    Report,
)
from clinia_async.ingest.records.record import Item
from clinia_async.ingest.records.record_batch import RecordBatch
from clinia_async.ingest.records.record_stream import RecordStream
from clinia_async.session.session import Session
from clinia_async.tasks.poller import Polling
from clinia_async.transport.adaptive_limit import ConcurrencyLimits

STOPPING = "stopping: requests in flight are being completed; interrupt again to stop at once"


@frozen
class IngestRequest:
    """What the command line asks for; `files` of None are standard input."""

    files: tuple[Path, ...] | None
    source: str
    via: str
    journal: Path | None
    on_existing: str
    on_unknown: str
    workers: int | None
    chunk: ChunkLimits
    limits: ConcurrencyLimits
    input_options: InputOptions
    dead_letters: Path
    patience: float
    grace: float
    connection: Connection | None
    """None starts an emulator for the run."""
    as_json: bool


@define
class RunResult:
    report: Report
    dead_letters: int = 0
    error: CliniaError | None = None
    unexpected_error: BaseException | None = None
    """An error that is no `CliniaError`: it is raised after the report was printed."""
    signal: int | None = None
    passed_over: Counter[str] = field(factory=Counter)
    emulator_holds: tuple[int, int] | None = None
    """Relationships and resources."""

    @property
    def code(self) -> int:
        if self.signal is not None:
            return 128 + self.signal
        if self.error is not None:
            return exit_code_of(self.error)
        return ExitCode.OK if self.report.all_landed else ExitCode.FAILED


async def ingest_file(request: IngestRequest, signals: Signals) -> int:
    # the digest takes a pass over the whole file, and only a journal compares it
    input_id = await request.input_options.identity(request.files) if request.journal else None
    async with _open_session(request) as (session, stored_count):
        with _frozen_gc():
            result = await _Run(request, session, input_id, signals).run()
        result.emulator_holds = stored_count()
    _print_report(request, result)
    if result.unexpected_error is not None:
        raise result.unexpected_error
    return result.code


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

    async with (
        Emulator() as emulator,
        Session(api_key=emulator.key, base_url=emulator.url, **settings) as session,
    ):
        yield session, lambda: (emulator.relationships(), emulator.resources())


@define
class _Input:
    """The records of a file. An error of reading ends them, so that the records read so far are completed."""

    request: IngestRequest
    error: InputError | None = None
    passed_over: Counter[str] = field(factory=Counter)
    """References of FHIR that are no relationships, by reason."""

    async def blocks(self) -> AsyncGenerator[Iterable[Item | RecordBatch], None]:
        request = self.request
        try:
            if request.files is None and sys.stdin is None:
                raise InputError("standard input is closed")
            records = request.input_options.records(request.files, request.source, self.passed_over)
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
            input_id=self.input_id,
            via=request.via,
            on_existing=request.on_existing,
            on_unknown=request.on_unknown,
            workers=request.workers,
            chunk=request.chunk,
            limits=request.limits,
            patience=request.patience,
        )

    async def run(self) -> RunResult:
        dead_letters = DeadLetters(self.request.dead_letters)
        try:
            result = await self._run(dead_letters)
        finally:
            unwritten = _close(dead_letters)
        result.error = result.error or unwritten
        return result

    async def _run(self, dead_letters: DeadLetters) -> RunResult:
        with ExitStack() as stack:
            stop_reading = (
                stack.enter_context(interruptible_stdin()) if self.request.files is None else _do_nothing
            )
            async with self.job:
                collecting = asyncio.create_task(self._collect(dead_letters), name="clinia-outcomes")
                stack.enter_context(self.signals.steps(self._stop(stop_reading), collecting.cancel))
                async with progress(self.job.report):
                    await asyncio.wait([collecting])
            if collecting.cancelled():
                await self.session.aclose(grace=0)
                # the outcomes of the remaining records are known now that the job has ended
                await asyncio.gather(self._collect(dead_letters), return_exceptions=True)
            return self._result(dead_letters, collecting)

    async def _collect(self, dead_letters: DeadLetters) -> None:
        async for outcome in self.job.unlanded():
            dead_letters.add(outcome)

    def _stop(self, stop_reading: Callable[[], None]) -> Callable[[], None]:
        def stop() -> None:
            click.echo(STOPPING, err=True)
            self.job.stop(self.request.grace)
            stop_reading()

        return stop

    def _result(self, dead_letters: DeadLetters, collecting: asyncio.Task[None]) -> RunResult:
        result = RunResult(
            self.job.report, dead_letters.count, signal=self.signals.first, passed_over=self.input.passed_over
        )
        error = None if collecting.cancelled() else collecting.exception() or self.input.error
        if isinstance(error, OSError) and not isinstance(error, CliniaError):
            error = _dead_letters_unwritable(error)  # only the dead letters are files here
        if isinstance(error, CliniaError):
            result.error = error
            result.report.stopped_by = result.report.stopped_by or str(error)
        else:
            result.unexpected_error = error
        return result


def _close(dead_letters: DeadLetters) -> ConfigError | None:
    try:
        dead_letters.close()
    except OSError as error:
        return _dead_letters_unwritable(error)
    return None


def _dead_letters_unwritable(error: OSError) -> ConfigError:
    return ConfigError(f"the dead letters cannot be written: {error.strerror}")


def _do_nothing() -> None:
    """A file needs no interruption."""


def _print_report(request: IngestRequest, result: RunResult) -> None:
    if request.as_json:
        click.echo(json.dumps(_report_fields(request, result)))
    else:
        click.echo(str(result.report))
        for why, count in result.passed_over.most_common():
            click.echo(f"  {count:>9,} references skipped: {why}")
        if result.emulator_holds is not None:
            relationships, resources = result.emulator_holds
            more = f" and {resources:,} resources" if resources else ""
            click.echo(f"the emulator holds {relationships:,} relationships{more}")
    if result.dead_letters:
        click.echo(
            f"{result.dead_letters:,} records that did not land are in {request.dead_letters}", err=True
        )
    if result.error is not None and result.signal is None:
        print_error(str(result.error))


def _report_fields(request: IngestRequest, result: RunResult) -> dict[str, object]:
    report = result.report
    members: dict[str, object] = {
        "read": report.read,
        "blank": report.blank,
        "sent": report.sent,
        "settled": report.completed,
        "landed": report.landed,
        "former": report.reported_before,
        "reconciled": report.reconciled,
        "resent": report.resent,
        "by_disposition": {str(each): report.by_disposition[each] for each in Disposition},
        "reasons": [
            {"disposition": str(disposition), "reason": reason, "count": count}
            for (disposition, reason), count in report.reasons.most_common()
        ],
        "seconds": report.seconds,
        "records_per_second": report.records_per_second,
        "throttles": report.throttles,
        "concurrency": report.concurrency,
        "most_in_flight": report.most_in_flight,
        "most_bytes_in_flight": report.most_bytes_in_flight,
        "lag": {"tasks": report.lag.tasks, "mean": report.lag.mean, "worst": report.lag.worst},
        "passed_over": dict(result.passed_over),
        "complete": report.stopped_by is None,
        "stopped_by": report.stopped_by,
        "dead_letters": str(request.dead_letters) if result.dead_letters else None,
    }
    if result.emulator_holds is None:
        return members
    relationships, resources = result.emulator_holds
    return {**members, "emulator_holds": relationships, "emulator_holds_resources": resources}
