"""What a Retry-After asks for never counts against the patience of a job, and nothing else is left out."""

import asyncio

import pytest

from clinia_async import Disposition, NetworkGivenUp, Session
from clinia_async.emulator import Accepted, DroppedRequest, Emulator, TooManyRequests, Unavailable
from clinia_async.tasks.poller import Polling
from tests.ingest.running import Ran, ran, session_for, writes

HOUR = 3600
OVERLOADED = (TooManyRequests, Unavailable)


@pytest.mark.parametrize("overloaded", OVERLOADED)
@pytest.mark.parametrize("retry_after", [1, 5, 120])
@pytest.mark.parametrize(
    ("via", "route"),
    [
        ("single", "create_relationship"),
        ("single", "get_task"),
        ("bulk", "bulk_relationships"),
        ("bulk", "get_task"),
    ],
)
async def test_a_job_waits_for_as_long_as_the_service_asks_to(
    via: str, route: str, retry_after: int, overloaded: type[TooManyRequests] | type[Unavailable]
) -> None:
    async with (
        Emulator(default=Accepted()) as emulator,
        session_for(emulator, polling=Polling(patience=10)) as session,
    ):
        emulator.faults.add(overloaded(route=route, retry_after=retry_after))
        job = asyncio.ensure_future(ran(session, writes(20), via=via, patience=10))
        await asyncio.sleep(120 * retry_after)
        assert not job.done()
        emulator.faults.clear()
        found = await job
    assert (found.error, found.reported) == (None, {Disposition.PERSISTED: 20})


async def test_reads_that_compare_records_wait_for_as_long_as_the_service_asks_to() -> None:
    async with Emulator() as emulator, session_for(emulator) as session:
        await ran(session, writes(20))
        emulator.faults.add(TooManyRequests(route="get_relationship", retry_after=5))
        job = asyncio.ensure_future(ran(session, writes(20), patience=10))
        await asyncio.sleep(HOUR)
        assert not job.done()
        emulator.faults.clear()
        assert (await job).error is None


async def _gone_after_an_hour(session: Session, emulator: Emulator, via: str) -> tuple[Ran, float]:
    loop, route = (
        asyncio.get_running_loop(),
        "create_relationship" if via == "single" else "bulk_relationships",
    )
    emulator.faults.add(TooManyRequests(route=route, retry_after=5))
    job = asyncio.ensure_future(ran(session, writes(20), via=via, patience=60))
    await asyncio.sleep(HOUR)
    emulator.faults.clear()
    emulator.faults.add(DroppedRequest(route=route))
    gone = loop.time()
    return await job, loop.time() - gone


@pytest.mark.parametrize("via", ["single", "bulk"])
async def test_silence_after_such_waits_is_given_up_after_the_patience(via: str) -> None:
    async with Emulator() as emulator, session_for(emulator) as session:
        found, silence = await _gone_after_an_hour(session, emulator, via)
    assert isinstance(found.error, NetworkGivenUp)
    assert 60 <= silence < 180, "virtual seconds: many answers at once are waited for once"
