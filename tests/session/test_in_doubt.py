"""Writes whose callers were cancelled: kept until they are taken, and never without bounds."""

import asyncio

import pytest

from clinia_async import ConfigError, Relationship, RequestTimeout, Session, Task
from clinia_async.telemetry import RequestEnded
from tests.factories import create, session_at
from tests.hostile import Hostile, accepted, after, persisted, refusal, stall
from tests.patience import PATIENCE


async def cancel_creates(session: Session, count: int, start: int = 0) -> None:
    """Cancel the callers of so many creates while these are under way."""
    callers = [asyncio.ensure_future(create(session, f"p{start + number}")) for number in range(count)]
    await asyncio.sleep(0.5)
    for caller in callers:
        caller.cancel()
    await asyncio.gather(*callers, return_exceptions=True)


async def test_in_doubt_holds_at_most_its_limit() -> None:
    async with (
        Hostile(otherwise=after(1, persisted)) as server,
        session_at(server, in_doubt_limit=5) as session,
    ):
        for start in range(0, 40, 8):
            await cancel_creates(session, 8, start)
            await asyncio.sleep(2)
        kept = [entry.call.from_.id for entry in session.in_doubt]  # type: ignore[attr-defined]
        assert kept == ["p35", "p36", "p37", "p38", "p39"]
        assert session._engine.submissions.dropped == 35


async def test_answered_writes_are_dropped_before_those_under_way() -> None:
    script = [after(1, persisted)] * 2
    async with (
        Hostile(script, otherwise=after(500, persisted)) as server,
        session_at(server, in_doubt_limit=3, close_grace=0.1) as session,
    ):
        await cancel_creates(session, 2)
        await asyncio.sleep(2)
        await cancel_creates(session, 2, start=2)
        assert [entry.task is None for entry in session.in_doubt] == [False, True, True]


async def test_an_answered_write_is_dropped_before_an_older_one_under_way() -> None:
    script = [after(500, persisted), after(1, persisted)]
    async with (
        Hostile(script, otherwise=after(500, persisted)) as server,
        session_at(server, in_doubt_limit=2, close_grace=0.1) as session,
    ):
        await cancel_creates(session, 1)
        await cancel_creates(session, 1, start=1)
        await asyncio.sleep(2)
        await cancel_creates(session, 1, start=2)
        kept = [entry.call.from_.id for entry in session.in_doubt]  # type: ignore[attr-defined]
        assert kept == ["p0", "p2"]


async def test_a_write_that_was_refused_is_not_in_doubt() -> None:
    async with (
        Hostile(otherwise=after(1, refusal(400, "INVALID_ARGUMENT"))) as server,
        session_at(server) as session,
    ):
        await cancel_creates(session, 2)
        assert len(session.in_doubt) == 2
        await asyncio.sleep(2)
        assert session.in_doubt == ()


async def test_answered_writes_can_be_taken_out() -> None:
    async with (
        Hostile([after(1, persisted)] * 2, otherwise=stall) as server,
        session_at(server, close_grace=0.1) as session,
    ):
        await cancel_creates(session, 3)
        await asyncio.sleep(2)
        taken = session.take_in_doubt()
        assert [entry.task is not None and entry.task.done() for entry in taken] == [True, True]
        assert [entry.task for entry in session.in_doubt] == [None]
        assert session.take_in_doubt() == []


async def test_an_answered_write_leaves_after_a_time() -> None:
    async with (
        Hostile(otherwise=after(1, persisted)) as server,
        session_at(server, in_doubt_age=60) as session,
    ):
        await cancel_creates(session, 3)
        await asyncio.sleep(50)
        assert len(session.in_doubt) == 3
        await asyncio.sleep(15)
        assert session.take_in_doubt() == []
        assert session.in_doubt == ()


async def test_in_doubt_can_be_read_after_the_session_is_closed() -> None:
    async with (
        Hostile(otherwise=after(1, persisted)) as server,
        session_at(server) as session,
    ):
        await cancel_creates(session, 2)
        assert len(session.in_doubt) == 2


@pytest.mark.parametrize("limit", [0, -1, 2.5, float("inf"), None])
def test_a_wrong_limit_is_refused(limit: object) -> None:
    with pytest.raises(ConfigError, match=r"^Session\.in_doubt_limit must be a whole number of 1 or more$"):
        Session("acme", api_key="k", in_doubt_limit=limit)  # type: ignore[arg-type]


async def test_an_answer_that_comes_in_the_turn_of_the_cancel_is_kept() -> None:
    callers: list[asyncio.Task[object]] = []

    def cancel_the_caller(event: object) -> None:
        if isinstance(event, RequestEnded):
            callers[0].cancel()

    async with (
        Hostile(otherwise=persisted) as server,
        session_at(server, observers=[cancel_the_caller]) as session,
    ):
        callers.append(asyncio.ensure_future(create(session, "p0")))
        await asyncio.wait(callers)
        assert callers[0].cancelled()
        assert [await entry.task for entry in session.take_in_doubt() if entry.task]


@pytest.mark.skipif(not hasattr(asyncio, "eager_task_factory"), reason="Python 3.12 brings eager tasks")
async def test_a_write_that_fails_before_it_waits_leaves_nothing_with_eager_tasks() -> None:
    loop = asyncio.get_running_loop()
    if not isinstance(loop, asyncio.BaseEventLoop):
        pytest.skip("uvloop gives the factory of Python 3.13 an argument that it does not take")
    loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined, unused-ignore]
    async with Hostile() as server, session_at(server) as session:
        for _ in range(3):
            with pytest.raises(RequestTimeout):
                await create(session, "p1", timeout=-1)
        assert not session._engine.submissions.running


SESSION = ["in_doubt", "closed", "drift", "registry", "telemetry", "default_source"]
TASK = ["state", "stats", "kind", "said_later", "known_id", "evidence"]


def is_known_without_a_loop(session: Session, tasks: list[Task[Relationship]]) -> None:
    for name in SESSION:
        getattr(session, name)
    for task in tasks:
        for name in TASK:
            getattr(task, name)
        task.done()
        task.token()
        repr(task)
    repr(session)
    session.source("ehr")
    session.with_options(timeout=1)


def test_what_is_known_can_be_asked_for_after_the_loop_has_ended() -> None:
    """As after `asyncio.run(main())` that a KeyboardInterrupt has ended."""
    tasks: list[Task[Relationship]] = []

    async def live() -> Session:
        async with Hostile([persisted, accepted(), after(0.05, persisted)]) as server:
            session = session_at(server)
            tasks.extend([await create(session), await create(session, "p2")])
            caller = asyncio.ensure_future(create(session, "p3"))
            await asyncio.sleep(0.02)
            caller.cancel()
            await asyncio.gather(caller, return_exceptions=True)
            await session.aclose(grace=PATIENCE)
            return session

    session = asyncio.run(live())
    is_known_without_a_loop(session, tasks)
    (entry,) = session.in_doubt
    assert entry.task is not None
    assert [each.task for each in session.take_in_doubt()] == [entry.task]
    assert session.in_doubt == ()


def test_a_write_that_is_cancelled_before_its_first_step_was_not_sent() -> None:
    """As by `asyncio.run`, which cancels all tasks at its end; what was never awaited would be a warning."""

    async def cancel_all() -> int:
        async with Hostile(otherwise=persisted) as server, session_at(server) as session:
            await create(session, "p0")
            caller = asyncio.ensure_future(create(session, "p1"))
            await asyncio.sleep(0)  # the task of the write is made, and did not begin
            for each in asyncio.all_tasks() - before:
                each.cancel()
            await asyncio.gather(caller, return_exceptions=True)
            assert caller.cancelled()
            assert not session.in_doubt
            return len(server.requests)

    async def run() -> int:
        before.update(asyncio.all_tasks())
        return await cancel_all()

    before: set[asyncio.Task[object]] = set()
    assert asyncio.run(run()) == 1
