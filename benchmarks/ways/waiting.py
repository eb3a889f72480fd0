"""Creates that are accepted, all at once, and the wait for their tasks: ours."""

import asyncio
from collections.abc import Sequence

import clinia_async as clinia
from benchmarks import workload
from benchmarks.ways.lags import WARM_UP, due, measured
from benchmarks.ways.together import cost


async def ours(
    *, url: str, count: int, source: str, round: int = 0, batches: int = 1, at_once: int = 100_000
) -> dict[str, float]:
    """Noticing is measured to the moment when the waiting coroutine goes on.

    `at_once` creates are under way at any time; the waits that follow are not bounded.
    """
    gate = asyncio.Semaphore(at_once)
    async with clinia.Session(base_url=url, api_key="k") as session:

        async def one(number: int, run: str) -> tuple[float, int]:
            async with gate:
                task = await _create(session, source, number, run)
            return await _noticed(task)

        async def run() -> tuple[Sequence[float], int]:
            lags: list[float] = []
            looks = 0
            for batch in range(batches):
                callers = (one(number, f"{round}-{batch}") for number in range(count))
                for lag, more in await asyncio.gather(*callers):
                    lags.append(lag)
                    looks += more
            return lags, looks

        await asyncio.gather(*(_wait(session, "instant", number, "warm") for number in range(WARM_UP)))
        return await measured(run)


async def read_back(url: str, count: int, source: str, round: int = 0) -> dict[str, float]:
    """`await task` and not `task.wait()`: the record is read back too, one GET more."""
    async with clinia.Session(base_url=url, api_key="k") as session:

        async def one(number: int) -> tuple[float, int]:
            task = await _create(session, source, number, str(round))
            await task
            return asyncio.get_running_loop().time() - due(str(task.id)), task.stats.polls + 1

        async def run() -> tuple[Sequence[float], int]:
            seen = await asyncio.gather(*(one(number) for number in range(count)))
            return [lag for lag, _ in seen], sum(looks for _, looks in seen)

        await asyncio.gather(*(_wait(session, "instant", number, "warm") for number in range(WARM_UP)))
        return await measured(run)


async def accepted(url: str, count: int, in_flight: int, how: str) -> dict[str, float]:
    """Creates whose tasks end at once: by `task.wait()`, or by their result with and without a read-back."""
    async with clinia.Session(base_url=url, api_key="k", read_back=how == "read back") as session:

        async def send(number: int) -> None:
            task = await _create(session, "instant", number, "a")
            await (task.wait() if how == "wait" else task)

        return await cost(send, count, in_flight)


async def _wait(session: clinia.Session, source: str, number: int, run: str) -> tuple[float, int]:
    return await _noticed(await _create(session, source, number, run))


async def _noticed(task: clinia.Task[clinia.Relationship]) -> tuple[float, int]:
    await task.wait()
    return asyncio.get_running_loop().time() - due(str(task.id)), task.stats.polls


async def _create(
    session: clinia.Session, source: str, number: int, run: str
) -> clinia.Task[clinia.Relationship]:
    from_, to = workload.ends(number, run)
    return await session.create_relationship(
        source,
        workload.TYPE,
        from_=clinia.Ref(from_, "practitioner"),
        to=clinia.Ref(to, "organization"),
        data=workload.DATA | {"visits": number},
    )
