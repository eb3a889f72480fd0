"""The same wait at others' paces, over raw aiohttp.

A pace gives the pauses before the polls of one task. Where its library polls at once, the first is 0.
"""

import asyncio
import contextlib
import heapq
import importlib
import itertools
import json
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence

import aiohttp

from benchmarks import workload
from benchmarks.ways.lags import WARM_UP, due, measured

Pauses = Iterator[float]


def constant(seconds: float) -> Pauses:
    """Each interval within a tenth of `seconds`, so that the polls of different tasks spread out."""
    return (seconds * random.uniform(0.9, 1.1) for _ in itertools.count())


def backoff(factor: float) -> Pauses:
    """`backoff.on_predicate(backoff.expo)` with its own jitter: a poll at once, and then full jitter."""
    library = importlib.import_module("backoff")
    values = library.expo(factor=factor)
    next(values)  # as its wrapper does
    return itertools.chain([0.0], map(library.full_jitter, values))


def azure() -> Pauses:
    """`AsyncLROBasePolling` where the service sends no Retry-After: at once, and then its own interval."""
    polling = importlib.import_module("azure.core.polling.async_base_polling").AsyncLROBasePolling()
    return itertools.chain([0.0], itertools.repeat(polling._timeout))


def google() -> Pauses:
    """DEFAULT_POLLING of `google.api_core`: a poll at once, and then full jitter."""
    pace = importlib.import_module("google.api_core.future.polling").DEFAULT_POLLING
    sleeps = importlib.import_module("google.api_core.retry").exponential_sleep_generator
    return itertools.chain([0.0], sleeps(pace._initial, pace._maximum, pace._multiplier))


PACES: dict[str, Callable[..., Pauses]] = {
    "constant": constant,
    "backoff": backoff,
    "azure": azure,
    "google": google,
}


Seen = tuple[float, int]
"""How late the end of a task was noticed, in seconds, and after how many polls."""
One = Callable[[int, str], Awaitable[Seen]]
"""Creates a record and waits for it."""


async def paced(
    *,
    url: str,
    count: int,
    source: str,
    pace: str,
    settings: Sequence[float] = (),
    round: int = 0,
    batches: int = 1,
) -> dict[str, float]:
    """A coroutine a task, which sleeps and polls."""
    async with aiohttp.ClientSession(url) as session:

        async def one(number: int, run: str) -> Seen:
            return await _wait(session, f"/sources/{source}/v1", (number, run), PACES[pace](*settings))

        return await _all(session, one, count, round, batches)


async def scheduled(
    *, url: str, count: int, source: str, interval: float, round: int = 0
) -> dict[str, float]:
    """One scheduler for all tasks: a heap of when each is to be polled, every `interval` seconds."""
    async with aiohttp.ClientSession(url) as session, asyncio.TaskGroup() as group:
        place = f"/sources/{source}/v1"
        scheduler = _Scheduler(session, place, interval, group)
        running = asyncio.create_task(scheduler.run())

        async def one(number: int, run: str) -> Seen:
            return await scheduler.ended(await _create(session, place, (number, run)))

        figures = await _all(session, one, count, round)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return figures


class _Scheduler:
    def __init__(
        self, session: aiohttp.ClientSession, place: str, interval: float, group: asyncio.TaskGroup
    ) -> None:
        self._session, self._place, self._interval, self._group = session, place, interval, group
        self._loop = asyncio.get_running_loop()
        self._heap: list[tuple[float, str, int, asyncio.Future[Seen]]] = []
        self._more = asyncio.Event()

    def ended(self, task: str) -> asyncio.Future[Seen]:
        found: asyncio.Future[Seen] = self._loop.create_future()
        self._push(task, 1, found)
        return found

    def _push(self, task: str, polls: int, found: asyncio.Future[Seen]) -> None:
        at = self._loop.time() + self._interval * random.uniform(0.9, 1.1)
        heapq.heappush(self._heap, (at, task, polls, found))
        self._more.set()

    async def run(self) -> None:
        while True:
            self._more.clear()
            while self._heap and self._heap[0][0] <= self._loop.time():
                _, task, polls, found = heapq.heappop(self._heap)
                self._group.create_task(self._poll(task, polls, found))
            pause = self._heap[0][0] - self._loop.time() if self._heap else None
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._more.wait(), pause)

    async def _poll(self, task: str, polls: int, found: asyncio.Future[Seen]) -> None:
        if await _is_pending(self._session, self._place, task):
            self._push(task, polls + 1, found)
        else:
            found.set_result((self._loop.time() - due(task), polls))


async def _all(
    session: aiohttp.ClientSession, one: One, count: int, round: int, batches: int = 1
) -> dict[str, float]:
    async def run() -> tuple[Sequence[float], int]:
        seen: list[Seen] = []
        for batch in range(batches):
            seen += await asyncio.gather(*(one(number, f"{round}-{batch}") for number in range(count)))
        return [lag for lag, _ in seen], sum(polls for _, polls in seen)

    place = "/sources/instant/v1"
    warm = (_wait(session, place, (number, "warm"), constant(0)) for number in range(WARM_UP))
    await asyncio.gather(*warm)
    return await measured(run)


async def _wait(session: aiohttp.ClientSession, place: str, record: tuple[int, str], pauses: Pauses) -> Seen:
    task = await _create(session, place, record)
    for polls, pause in enumerate(pauses, start=1):
        if pause:
            await asyncio.sleep(pause)
        if not await _is_pending(session, place, task):
            return asyncio.get_running_loop().time() - due(task), polls
    raise AssertionError("a pace does not end")


async def _create(session: aiohttp.ClientSession, place: str, record: tuple[int, str]) -> str:
    content = json.dumps(workload.body(*record), separators=(",", ":")).encode()
    async with session.post(f"{place}/relationships/{workload.TYPE}", data=content) as answer:
        task: str = json.loads(await answer.read())["taskId"]
        return task


async def _is_pending(session: aiohttp.ClientSession, place: str, task: str) -> bool:
    async with session.get(f"{place}/tasks/{task}") as answer:
        return bool(json.loads(await answer.read())["status"] == "PENDING")
