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

from clinia_async.cli.connection_options import Connection, Options
from clinia_async.cli.exit_codes import Exit, code_of, say
from clinia_async.cli.input_options import InputOptions
from clinia_async.cli.progress import progress
from clinia_async.cli.signals import Signals
from clinia_async.cli.stdin import stoppable
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
from clinia_async.ingest.records.record_batch import Stretch
from clinia_async.ingest.records.record_stream import RecordStream
from clinia_async.session.session import Session
from clinia_async.tasks.poller import Polling
from clinia_async.transport.adaptive_limit import GateLimits

STOPPING = "stopping: what is in flight comes to its end; once more to stop at once"


@frozen
class Order:
    """What was asked for on the command line; a `file` of None is standard input."""

    file: Path | None
    source: str
    via: str
    journal: Path | None
    on_existing: str
    on_unknown: str
    workers: int | None
    chunk: ChunkLimits
    limits: GateLimits
    reading: InputOptions
    dead_letters: Path
    patience: float
    grace: float
    connection: Connection | None
    """None is for an emulator of its own."""
    as_json: bool


@define
class Result:
    report: Report
    letters: int = 0
    error: CliniaError | None = None
    fault: BaseException | None = None
    """What should not happen: it is raised, but only after the report."""
    signal: int | None = None
    passed_over: Counter[str] = field(factory=Counter)
    emulator_holds: int | None = None

    @property
    def code(self) -> int:
        if self.signal is not None:
            return 128 + self.signal
        if self.error is not None:
            return code_of(self.error)
        return Exit.FINE if self.report.all_landed else Exit.FAILED


async def ingest(order: Order) -> int:
    # the whole file is read for it, so it is asked for only where a journal compares it
    input_id = await order.reading.identity(order.file) if order.journal else None
    async with _service(order) as (session, held):
        with _loaded_for_good():
            result = await _Run(order, session, input_id).to_its_end()
        result.emulator_holds = held()
    _tell(order, result)
    if result.fault is not None:
        raise result.fault
    return result.code


@contextmanager
def _loaded_for_good() -> Iterator[None]:
    """The garbage collector need not go through all that is loaded by now again and again."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@asynccontextmanager
async def _service(order: Order) -> AsyncIterator[tuple[Session, Callable[[], int | None]]]:
    """The session, and what tells how many relationships an emulator of its own holds."""
    # a task whose looks bring nothing good is waited for as long as the job is patient
    options = Options(polling=Polling(patience=order.patience))
    if order.connection is not None:
        async with order.connection.session(options) as session:
            yield session, lambda: None
        return
    from clinia_async.emulator import Emulator  # noqa: PLC0415  a server takes memory, and few runs need one

    async with (
        Emulator() as emulator,
        Session(api_key=emulator.key, base_url=emulator.url, **options) as session,
    ):
        yield session, emulator.relationships


@define
class _Input:
    """The records of a file. One that breaks ends here, so that what was read comes to its end as usual."""

    order: Order
    error: InputError | None = None
    passed_over: Counter[str] = field(factory=Counter)
    """References of FHIR that are no relationships, by the reason."""

    async def blocks(self) -> AsyncGenerator[Iterable[Item | Stretch], None]:
        order = self.order
        try:
            if order.file is None and sys.stdin is None:
                raise InputError("standard input is closed")
            records = order.reading.records(order.file, order.source, self.passed_over)
            async with aclosing(records):
                async for block in records.blocks:
                    yield block
        except InputError as error:
            self.error = error
        except OSError as error:
            self.error = InputError(f"the input cannot be read: {error.strerror or type(error).__name__}")


@define
class _Run:
    order: Order
    session: Session
    input_id: str | None
    input: _Input = field(init=False)
    job: Ingestion = field(init=False)

    def __attrs_post_init__(self) -> None:
        order = self.order
        self.input = _Input(order)
        self.job = Ingestion(
            self.session,
            order.source,
            RecordStream(self.input.blocks()),
            journal=order.journal,
            input_id=self.input_id,
            via=order.via,
            on_existing=order.on_existing,
            on_unknown=order.on_unknown,
            workers=order.workers,
            chunk=order.chunk,
            limits=order.limits,
            patience=order.patience,
        )

    async def to_its_end(self) -> Result:
        letters = DeadLetters(self.order.dead_letters)
        try:
            result = await self._run(letters)
        finally:
            unwritten = _closed(letters)
        result.error = result.error or unwritten
        return result

    async def _run(self, letters: DeadLetters) -> Result:
        with ExitStack() as stack:
            let_go = stack.enter_context(stoppable()) if self.order.file is None else _nothing
            async with self.job:
                collecting = asyncio.create_task(self._collect(letters), name="clinia-outcomes")
                signals = stack.enter_context(Signals(self._stop(let_go), collecting.cancel))
                async with progress(self.job.report):
                    await asyncio.wait([collecting])
            if collecting.cancelled():
                await self.session.aclose(grace=0)
                # now that the job has ended it tells how the rest stands
                await asyncio.gather(self._collect(letters), return_exceptions=True)
            return self._result(letters, collecting, signals)

    async def _collect(self, letters: DeadLetters) -> None:
        async for outcome in self.job.unlanded():
            letters.add(outcome)

    def _stop(self, let_go: Callable[[], None]) -> Callable[[], None]:
        def stop() -> None:
            click.echo(STOPPING, err=True)
            self.job.stop(self.order.grace)
            let_go()

        return stop

    def _result(self, letters: DeadLetters, collecting: asyncio.Task[None], signals: Signals) -> Result:
        result = Result(
            self.job.report, letters.count, signal=signals.first, passed_over=self.input.passed_over
        )
        error = None if collecting.cancelled() else collecting.exception() or self.input.error
        if isinstance(error, OSError) and not isinstance(error, CliniaError):
            error = _unwritable(error)  # only the dead letters are files here
        if isinstance(error, CliniaError):
            result.error = error
            result.report.stopped_by = result.report.stopped_by or str(error)
        else:
            result.fault = error
        return result


def _closed(letters: DeadLetters) -> ConfigError | None:
    try:
        letters.close()
    except OSError as error:
        return _unwritable(error)
    return None


def _unwritable(error: OSError) -> ConfigError:
    return ConfigError(f"the dead letters cannot be written: {error.strerror}")


def _nothing() -> None:
    """A file needs no letting go of."""


def _tell(order: Order, result: Result) -> None:
    if order.as_json:
        click.echo(json.dumps(_members(order, result)))
    else:
        click.echo(str(result.report))
        for why, count in result.passed_over.most_common():
            click.echo(f"  {count:>9,} references passed over: {why}")
        if result.emulator_holds is not None:
            click.echo(f"the emulator holds {result.emulator_holds:,} relationships")
    if result.letters:
        click.echo(f"{result.letters:,} records that did not land are in {order.dead_letters}", err=True)
    if result.error is not None and result.signal is None:
        say(str(result.error))


def _members(order: Order, result: Result) -> dict[str, object]:
    report = result.report
    members: dict[str, object] = {
        "read": report.read,
        "blank": report.blank,
        "sent": report.sent,
        "settled": report.settled,
        "landed": report.landed,
        "former": report.former,
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
        "dead_letters": str(order.dead_letters) if result.letters else None,
    }
    return members if result.emulator_holds is None else {**members, "emulator_holds": result.emulator_holds}
