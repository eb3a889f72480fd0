"""A worker: one process, with a session and a job of its own, that says what it has done on standard output.

It ends with its coordinator: once the orders end, nothing is left that could use what it does.
"""

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Thread
from typing import IO, cast

from attrs import define, field

from clinia_async.errors import CliniaError, ConfigError
from clinia_async.ingest.file_job import FileJob
from clinia_async.ingest.journal.commit_count import check_complete
from clinia_async.ingest.journal.errors import JournalBusy
from clinia_async.ingest.journal.file import open_file
from clinia_async.ingest.processes.frames import (
    Cancel,
    Stop,
    WorkerEnd,
    WorkerOrder,
    WorkerState,
    framed,
    read_frame,
)
from clinia_async.ingest.readers.compression import READ_POSITION, ReadPosition
from clinia_async.ingest.records.input_part import SeenInput
from clinia_async.ingest.records.record_stream import RecordStream
from clinia_async.models.secret import trace_without_text
from clinia_async.session.session import Session
from clinia_async.transport.adaptive_limit import AdaptiveLimit

_EVERY = 0.1
"""Seconds between two states that are sent."""
_NOT_HERE = (
    "session, read or an option holds a function or a class that the processes of the job cannot import:"
    " define it in a module of its own, and not in the program that is run or in a notebook"
)
_BUSY_FOR, _BUSY_PAUSE = 20.0, 0.1
"""Seconds for which a journal may still be held by a worker whose coordinator was killed just before."""


def main() -> None:
    """Do what the first frame on standard input orders."""
    # the coordinator is told of signals, and tells its workers
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    if sys.stderr is None:  # closed, and the next file that is opened would take what is printed
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115  until the process ends
    output = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what else is printed is no frame
    orders = sys.stdin.buffer
    sys.path[:] = cast("list[str]", read_frame(orders))  # that of the coordinator
    try:
        order = cast("WorkerOrder", read_frame(orders))
    except EOFError:
        os._exit(1)  # the coordinator is gone
    except Exception:  # noqa: BLE001  a class or a module that is not here, and whatever importing it raises
        output.write(framed(WorkerEnd(None, error=ConfigError(_NOT_HERE))))
    else:
        asyncio.run(_Worker(order, output).run(orders))
    sys.stderr.flush()
    os._exit(0)  # a thread waits for orders still, and an interpreter would wait for the thread


Step = Callable[[FileJob], None]


@define(eq=False)
class _Worker:
    order: WorkerOrder
    output: IO[bytes]
    _job: FileJob | None = None
    _limit: AdaptiveLimit | None = None
    _position: ReadPosition = field(factory=ReadPosition)
    _seen: SeenInput = field(factory=SeenInput)
    _early: list[Step] = field(factory=list)
    """Orders that came before there was a job."""

    async def run(self, orders: IO[bytes]) -> None:
        """Run the job; send its state now and then, and how it ended."""
        loop = asyncio.get_running_loop()

        def obey(step: Step) -> None:
            loop.call_soon_threadsafe(self._obey, step)

        Thread(target=_listen, args=(orders, obey), name="clinia-orders", daemon=True).start()
        end: WorkerEnd
        try:
            end = await self._ended()
        except CliniaError as error:
            end = WorkerEnd(self._state(), error=error)
        except Exception as error:  # noqa: BLE001  the coordinator must hear of it, whatever it is
            end = WorkerEnd(self._state(), unexpected_error=trace_without_text(error))
        self._send(end)

    def _obey(self, step: Step) -> None:
        if self._job is None:
            self._early.append(step)
        else:
            step(self._job)

    async def _ended(self) -> WorkerEnd:
        order = self.order
        journal = order.options.get("journal")
        if journal is not None:
            # before the journal is opened: that alone may change what its files show
            check_complete(Path(journal), may_be_copy=order.options.get("journal_is_copy", False))
            await _wait_until_free(Path(journal))
        READ_POSITION.set(self._position)
        async with Session.from_env(**order.session, api_key=order.api_key) as session:  # type: ignore[arg-type]
            with session.limit_concurrency(order.options["limits"], background=True) as self._limit:
                job = self._job = FileJob(
                    session, order.source, self._read, dead_letters=order.dead_letters, **order.options
                )
                for step in self._early:
                    step(job)
                reporting = asyncio.create_task(self._report(), name="clinia-states")
                try:
                    await job.run()
                finally:
                    reporting.cancel()
                    await asyncio.gather(reporting, return_exceptions=True)
                unexpected = job.unexpected_error
                return WorkerEnd(
                    self._state(),
                    job.skipped_references,
                    job.error,
                    None if unexpected is None else trace_without_text(unexpected),
                    self._seen.digest(),
                )

    def _read(self, skipped_references: Counter[str]) -> RecordStream:
        return self.order.part.of(self.order.read(skipped_references), self._seen)

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(_EVERY)
            self._send(self._state())

    def _state(self) -> WorkerState | None:
        if self._job is None or self._limit is None:
            return None
        limit = self._limit
        return WorkerState(
            self._job.report.at_this_moment(),
            limit.in_flight,
            limit.limit,
            limit.closed_until - asyncio.get_running_loop().time(),
            limit.last_throttle,
            self._position(),
        )

    def _send(self, message: object) -> None:
        try:
            self.output.write(framed(message))
        except BrokenPipeError:
            os._exit(1)  # the coordinator is gone


def _listen(orders: IO[bytes], obey: Callable[[Step], object]) -> None:
    """Pass the orders on; end the process at once where they end, as a kill would."""
    try:
        while True:
            order = read_frame(orders)
            if isinstance(order, Stop):
                obey(partial(FileJob.stop, grace=order.grace))
            elif isinstance(order, Cancel):
                obey(FileJob.cancel)
    except (EOFError, OSError, RuntimeError, ValueError):
        os._exit(1)


async def _wait_until_free(journal: Path) -> None:
    """Wait for the end of a worker of the run before, whose coordinator was killed."""
    until = asyncio.get_running_loop().time() + _BUSY_FOR
    while asyncio.get_running_loop().time() < until:
        try:
            open_file(journal).close()
        except JournalBusy:
            await asyncio.sleep(_BUSY_PAUSE)
        else:
            return
