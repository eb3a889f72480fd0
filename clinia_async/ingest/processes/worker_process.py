"""A worker as its coordinator sees it: a process that takes orders, says how far it is, and how it ends."""

import asyncio
import contextlib
import pickle
import signal
import sys
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Self

from attrs import define

import clinia_async
from clinia_async.ingest.processes.frames import (
    LENGTH,
    Cancel,
    WorkerEnd,
    WorkerState,
    framed,
    length_of,
)
from clinia_async.transport.forks import leave_in_forks

_CODE = "import sys; sys.path.insert(0, {!r}); from clinia_async.ingest.processes.worker import main; main()"
_LAST_GRACE = 10.0
"""Seconds that workers have to end in after a cancel."""


@define(eq=False)
class WorkerProcess:
    """A worker. `state` is the last that it has sent, and `end` how it ended, as far as it said so."""

    number: int
    process: asyncio.subprocess.Process
    state: WorkerState | None = None
    end: WorkerEnd | None = None

    @classmethod
    async def start(cls, number: int) -> Self:
        """Start a worker, which waits for its order."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-c",
            _CODE.format(str(Path(clinia_async.__file__).parent.parent)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,  # a terminal's signals are for the coordinator alone
        )
        worker = cls(number, process)
        leave_in_forks(worker, _leave_orders)
        worker.say(sys.path)
        return worker

    def say(self, message: object) -> None:
        """Send a message; none to a worker that has ended."""
        if self.process.stdin is not None and not self.process.stdin.is_closing():
            with contextlib.suppress(ConnectionError):
                self.process.stdin.write(framed(message))

    async def news(self) -> AsyncGenerator[None, None]:
        """Yield after each message that changed `state` or `end`, until it has ended or was killed."""
        assert self.process.stdout is not None
        with contextlib.suppress(asyncio.IncompleteReadError):
            while self.end is None:
                head = await self.process.stdout.readexactly(LENGTH)
                message = pickle.loads(await self.process.stdout.readexactly(length_of(head)))  # noqa: S301
                if isinstance(message, WorkerEnd):
                    self.end, self.state = message, message.state or self.state
                elif isinstance(message, WorkerState):
                    self.state = message
                yield

    async def how_it_ended(self) -> str:
        """Wait for the end of the process, and return it in words: by a signal, or with a code."""
        code = await self.process.wait()
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"


def _leave_orders(worker: WorkerProcess) -> None:
    """Close this copy of the pipe, in a fork: a worker ends when nobody can give it an order any more."""
    orders = worker.process.stdin
    pipe = None if orders is None else orders.transport.get_extra_info("pipe")
    if pipe is not None:
        pipe.close()


async def end_all(workers: Sequence[WorkerProcess]) -> None:
    """End what still runs, where the job was cancelled: in order, and at once after a while."""
    running = [worker for worker in workers if worker.process.returncode is None]
    for worker in running:
        worker.say(Cancel())
    if running:
        await asyncio.wait(
            [asyncio.ensure_future(worker.process.wait()) for worker in running], timeout=_LAST_GRACE
        )
    for worker in workers:
        if worker.process.stdin is not None:
            worker.process.stdin.close()
        if worker.process.returncode is None:
            worker.process.kill()
            await worker.process.wait()
