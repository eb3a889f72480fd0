"""An emulator on a thread of its own, for tests with and without an event loop."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from types import TracebackType
from typing import Self, TypeVar

from clinia_async.emulator import Emulator, Faults, Received, Script, Stored
from clinia_async.session.session import Session

_T = TypeVar("_T")
_TIMEOUT = 30.0
"""Seconds that one step of the emulator's thread may take."""


class EmulatorServer:
    """Serves an emulator on a thread of its own, between `start()` and `stop()` or in a `with` block.

    Its methods may be called from any thread, in tests with and without an event loop. Settings of the
    emulator that are plain attributes, such as `default`, are set on `emulator`.
    """

    # so that `server.default = ...`, which would change nothing, is an error
    __slots__ = ("__weakref__", "_loop", "_thread", "emulator")

    def __init__(self, emulator: Emulator | None = None) -> None:
        """Serve an emulator that is not running yet; without one, an emulator that records requests."""
        self.emulator = Emulator(recording=True) if emulator is None else emulator
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def __repr__(self) -> str:
        return f"<EmulatorServer {self.emulator!r}>"

    def start(self) -> None:
        """Serve until `stop()`.

        Raises:
            OSError: the emulator cannot start; its port or data file is in use, for example.
            RuntimeError: it is running already.
        """
        if self._loop is not None:
            raise RuntimeError("the emulator is running already: stop it first")
        self._loop = loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=_run, args=(loop,), name="clinia emulator", daemon=True)
        self._thread.start()
        try:
            self._run(self.emulator.start)
        except BaseException:
            self._end_thread()
            raise

    def stop(self) -> None:
        """End the emulator and its thread. May be called again."""
        if self._thread is not None:
            self._run(self.emulator.close)
            self._end_thread()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # Connecting to it

    @property
    def url(self) -> str:
        return self.emulator.url

    @property
    def key(self) -> str:
        return self.emulator.key

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables with which `Session.from_env` and the command line connect to the emulator."""
        return {"CLINIA_BASE_URL": self.url, "CLINIA_API_KEY": self.key}

    def session(self, source: str | None = None) -> Session:
        """Return a session that is connected to the emulator and not open yet."""
        return Session(api_key=self.key, base_url=self.url, source=source)

    def run(self, work: Callable[[Session], Awaitable[_T]]) -> _T:
        """Run asynchronous work with a session on the emulator's thread, and return its result.

        For synchronous tests: `server.run(lambda session: session.get_source("ehr"))`. The work may take as
        long as it needs; whatever interrupts the wait for it cancels it.
        """

        async def run() -> _T:
            async with self.session() as session:
                return await work(session)

        return self._run(run, limit=None)

    @property
    def is_running(self) -> bool:
        """Whether it serves: it was started, and not stopped."""
        return self._loop is not None

    # Before the service is called

    def on(self, route: str) -> Script:
        """Script the next requests of a route: `server.on("create_relationship").accept(polls=2)`.

        Raises:
            ValueError: there is no such route.
        """
        return self.emulator.on(route)

    @property
    def faults(self) -> Faults:
        return self.emulator.faults

    def reset(self) -> None:
        """Delete all data, and forget faults, scripts, counts and requests: see `Emulator.reset`."""
        self.call(Emulator.reset)

    def approve(self, task_id: str) -> None:
        """Approve a task that is in review. Raises `LookupError` if it is not."""
        self.call(lambda emulator: emulator.approve(task_id))

    def reject(self, task_id: str) -> None:
        """Reject a task that is in review. Raises `LookupError` if it is not."""
        self.call(lambda emulator: emulator.reject(task_id))

    # After the service was called

    def received(self, route: str | None = None) -> list[Received]:
        """Return the requests so far, of one route or of all, in the order of their answers.

        They can be read when it was stopped, too.
        """
        received = self.call(_received) if self.is_running else _received(self.emulator)
        return [one for one in received if route in (None, one.route)]

    def stored_relationships(self, type: str | None = None) -> list[Stored]:
        """Return the relationships in the emulator, of one type or of all, by source, type and id."""
        return [one for one in self.call(lambda emulator: [*emulator.stored()]) if type in (None, one.type)]

    def stored_resources(self, type: str | None = None) -> list[Stored]:
        """Return the resources in the emulator, of one type or of all, by source, type and id."""
        stored = self.call(lambda emulator: [*emulator.stored_resources()])
        return [one for one in stored if type in (None, one.type)]

    def steps_left(self) -> dict[str, int]:
        """Return how many scripted steps no request has used yet, by route."""
        return self.call(lambda emulator: emulator.faults.steps_left())

    def summary(self) -> str:
        """Return the requests so far, one a line, without ids and bodies, and the seed of its chaos."""
        chaos = [] if self.emulator.chaos is None else [f"chaos={self.emulator.chaos}"]
        lines = [
            f"{one.method} {one.route}: {one.status or 'no answer'}{f', {one.fault}' if one.fault else ''}"
            for one in self.received()
        ]
        return "\n".join([*chaos, *lines])

    def call(self, function: Callable[[Emulator], _T]) -> _T:
        """Call a function with the emulator on the emulator's thread, and return its result."""

        async def call() -> _T:
            return function(self.emulator)

        return self._run(call)

    def _run(
        self, work: Callable[[], Coroutine[object, object, _T]], *, limit: float | None = _TIMEOUT
    ) -> _T:
        if self._loop is None:
            raise RuntimeError("the emulator is not running")
        future = asyncio.run_coroutine_threadsafe(work(), self._loop)
        try:
            return future.result(limit)
        except TimeoutError:
            if future.done():  # it is the work's own
                raise
        finally:
            future.cancel()
        raise TimeoutError(f"the thread of the emulator is busy: nothing came of it in {limit:.0f} seconds")

    def _end_thread(self) -> None:
        loop, thread = self._loop, self._thread
        self._loop = self._thread = None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(_TIMEOUT)
            loop.close()


def _received(emulator: Emulator) -> list[Received]:
    return list(emulator.received)


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    loop.run_forever()
    loop.run_until_complete(loop.shutdown_asyncgens())


def served(emulator: Emulator) -> Iterator[EmulatorServer]:
    """Serve an emulator while the iterator is suspended, as a fixture does."""
    with EmulatorServer(emulator) as server:
        yield server
