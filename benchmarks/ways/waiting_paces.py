"""The same wait at others' paces: raw aiohttp, a coroutine a task that sleeps and looks.

A pace gives the pauses before the looks at one task. Where its library looks at once, the first is 0.
"""

import asyncio
import importlib
import itertools
import json
import random
from collections.abc import Callable, Iterator, Sequence

import aiohttp

from benchmarks import workload
from benchmarks.ways.lags import WARM_UP, due, measured

Pauses = Iterator[float]


def constant(seconds: float) -> Pauses:
    """Each interval within a tenth of `seconds`, so that the looks at different tasks spread out."""
    return (seconds * random.uniform(0.9, 1.1) for _ in itertools.count())


def backoff(factor: float) -> Pauses:
    """`backoff.on_predicate(backoff.expo)` with its own jitter: a look at once, and then full jitter."""
    library = importlib.import_module("backoff")
    values = library.expo(factor=factor)
    next(values)  # as its wrapper does
    return itertools.chain([0.0], map(library.full_jitter, values))


def azure() -> Pauses:
    """`AsyncLROBasePolling` where the service sends no Retry-After: at once, and then its own interval."""
    polling = importlib.import_module("azure.core.polling.async_base_polling").AsyncLROBasePolling()
    return itertools.chain([0.0], itertools.repeat(polling._timeout))


def google() -> Pauses:
    """DEFAULT_POLLING of `google.api_core`: a look at once, and then full jitter."""
    pace = importlib.import_module("google.api_core.future.polling").DEFAULT_POLLING
    sleeps = importlib.import_module("google.api_core.retry").exponential_sleep_generator
    return itertools.chain([0.0], sleeps(pace._initial, pace._maximum, pace._multiplier))


PACES: dict[str, Callable[..., Pauses]] = {
    "constant": constant,
    "backoff": backoff,
    "azure": azure,
    "google": google,
}


async def paced(
    *, url: str, count: int, source: str, pace: str, settings: Sequence[float] = (), round: int = 0
) -> dict[str, float]:
    async with aiohttp.ClientSession(url) as session:

        async def one(number: int) -> tuple[float, int]:
            return await _wait(session, f"/sources/{source}/v1", (number, str(round)), PACES[pace](*settings))

        async def run() -> tuple[Sequence[float], int]:
            seen = await asyncio.gather(*(one(number) for number in range(count)))
            return [lag for lag, _ in seen], sum(looks for _, looks in seen)

        warm = (
            _wait(session, "/sources/instant/v1", (number, "warm"), constant(0)) for number in range(WARM_UP)
        )
        await asyncio.gather(*warm)
        return await measured(run)


async def _wait(
    session: aiohttp.ClientSession, place: str, record: tuple[int, str], pauses: Pauses
) -> tuple[float, int]:
    content = json.dumps(workload.body(*record), separators=(",", ":")).encode()
    async with session.post(f"{place}/relationships/{workload.TYPE}", data=content) as answer:
        task: str = json.loads(await answer.read())["taskId"]
    for looks, pause in enumerate(pauses, start=1):
        if pause:
            await asyncio.sleep(pause)
        async with session.get(f"{place}/tasks/{task}") as answer:
            if json.loads(await answer.read())["status"] != "PENDING":
                return asyncio.get_running_loop().time() - due(task), looks
    raise AssertionError("a pace does not end")
