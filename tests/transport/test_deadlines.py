"""Many attempts with deadlines of their own, kept by one timer."""

import asyncio

import pytest

from clinia_async import NotFound, Outcome, RequestTimeout, Session
from tests.factories import create, session_at
from tests.hostile import Hostile, after, refusal, stall


async def ended_after(session: Session, id: str, timeout: float) -> tuple[float, Outcome]:
    """Return the seconds after which a create that nobody answers fails, and its outcome."""
    began = asyncio.get_running_loop().time()
    with pytest.raises(RequestTimeout) as failure:
        await create(session, id, timeout=timeout)
    return round(asyncio.get_running_loop().time() - began, 3), failure.value.outcome


async def test_each_attempt_ends_at_its_own_deadline() -> None:
    timeouts = [5.0, 1.0, 3.0, 1.0, 4.0]
    async with Hostile(otherwise=stall) as server, session_at(server) as session:
        ended = await asyncio.gather(
            *(ended_after(session, f"p{number}", timeout) for number, timeout in enumerate(timeouts))
        )
    assert ended == [(timeout, Outcome.UNKNOWN) for timeout in timeouts]


async def test_a_later_attempt_with_an_earlier_deadline_ends_first() -> None:
    async with Hostile(otherwise=stall) as server, session_at(server) as session:
        late = asyncio.ensure_future(ended_after(session, "p1", 60))
        await asyncio.sleep(1)
        assert await ended_after(session, "p2", 2) == (2, Outcome.UNKNOWN)
        assert await late == (60, Outcome.UNKNOWN)


async def test_an_answer_before_the_deadline_ends_it() -> None:
    async with Hostile(otherwise=after(1, refusal(404))) as server, session_at(server) as session:
        with pytest.raises(NotFound):
            await session.get_relationship("ehr", "practises-at", "p1.c1", timeout=2)
        await asyncio.sleep(5)  # this task is not cancelled at the time of a deadline that was met


async def test_a_cancel_at_the_time_of_the_deadline_is_a_cancel() -> None:
    async with Hostile(otherwise=stall) as server, session_at(server) as session:
        reader = asyncio.ensure_future(
            session.get_relationship("ehr", "practises-at", "p1.c1", timeout=2)  # in the caller's own task
        )
        loop = asyncio.get_running_loop()
        loop.call_later(2, reader.cancel)
        await asyncio.wait([reader])
        assert reader.cancelled()
