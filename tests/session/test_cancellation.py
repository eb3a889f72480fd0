"""A cancel ends a wait and nothing else: no id is lost, no connection, no task, and no other waiter."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from clinia_async import InDoubt, Outcome, RequestError, Session, WriteConflict
from clinia_async.emulator import Emulator, LostReply
from tests.factories import ID, ONCE, SOURCE, create, create_partition, receipt, record, session_at, write
from tests.hostile import Hostile, accepted, after, answer, by_target, close, persisted, refusal, stall, task

pytestmark = pytest.mark.usefixtures("each_way_through_aiohttp", "each_way_of_sending")


async def cancelled(work: Coroutine[Any, Any, Any], after_seconds: float) -> None:
    waiter = asyncio.ensure_future(work)
    await asyncio.sleep(after_seconds)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter


async def test_a_cancelled_post_loses_no_id() -> None:
    script = by_target(
        {
            "POST": [after(5, accepted("s_7"))],
            "/tasks/": [task("SUCCESS", "s_7", receipts=[receipt("SUCCESS")])],
            "GET": [answer(record())],
        }
    )
    async with Hostile(otherwise=script) as server, session_at(server) as session:
        await cancelled(create(session), 1)
        (entry,) = session.in_doubt
        assert (entry.task, entry.error) == (None, None)
        assert entry.call == write()
        await asyncio.sleep(5)
        assert session.in_doubt == (entry,)
        assert entry.task is not None
        assert str(entry.task.id) == "s_7"
        assert (await entry.task).id == ID  # type: ignore[attr-defined]
        assert len(server.requests) == 3


async def test_a_cancelled_post_that_was_persisted() -> None:
    async with Hostile([after(5, persisted)]) as server, session_at(server) as session:
        await cancelled(create(session), 1)
        await asyncio.sleep(5)
        (entry,) = session.in_doubt
        assert entry.task is not None
        assert entry.task.done()


@pytest.mark.parametrize("call", ["bulk", "partition"])
async def test_every_write_is_kept(call: str) -> None:
    partition = {
        "key": "clinics",
        "modules": {},
        "source": {"type": "DATA_SOURCE", "key": "ehr", "collections": []},
    }
    script = by_target({"PUT": [after(5, answer(partition))], "POST": [after(5, accepted("bk_1"))]})
    async with Hostile(otherwise=script) as server, session_at(server) as session:
        work = session.bulk(SOURCE, [write()]) if call == "bulk" else create_partition(session)
        await cancelled(work, 1)
        await asyncio.sleep(5)
        assert session.in_doubt[0].task is not None


@pytest.mark.parametrize(
    "behaviour", [refusal(400, "INVALID_ARGUMENT"), refusal(401), refusal(409, "ALREADY_EXISTS")]
)
async def test_what_is_proven_not_to_have_happened_leaves_the_list(behaviour: Any) -> None:
    async with Hostile([after(5, behaviour)]) as server, session_at(server) as session:
        await cancelled(create(session), 1)
        assert len(session.in_doubt) == 1
        await asyncio.sleep(5)
        assert session.in_doubt == ()


async def test_a_write_that_was_not_sent_leaves_the_list() -> None:
    async with Hostile(mute=True) as server:
        from clinia_async import TransportOptions

        url = f"https://127.0.0.1:{server.port}"
        async with Session(
            api_key="k", base_url=url, retry=ONCE, transport=TransportOptions(connect=3)
        ) as session:
            await cancelled(create(session), 1)
            await asyncio.sleep(60)
            assert session.in_doubt == ()


async def test_what_stays_unknown_stays_on_the_list() -> None:
    async with Hostile([after(5, close)]) as server, session_at(server, retry=ONCE) as session:
        await cancelled(create(session), 1)
        await asyncio.sleep(5)
        (entry,) = session.in_doubt
        assert isinstance(entry.error, RequestError)
        assert entry.error.outcome is Outcome.UNKNOWN
        assert ID not in repr(entry)
        assert isinstance(entry, InDoubt)


async def test_a_cancelled_write_goes_on_to_be_reconciled(session: Session, emulator: Emulator) -> None:
    emulator.faults.add(LostReply(route="create_relationship", times=1))
    waiter = asyncio.ensure_future(create(session))
    while not emulator.requests["create_relationship"]:  # noqa: ASYNC110  until the server has it
        await asyncio.sleep(1e-4)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    await asyncio.sleep(5)
    (entry,) = session.in_doubt
    assert entry.task is not None
    assert entry.task.reconciled
    assert emulator.relationships() == 1


async def test_a_late_conflict_is_reported(session: Session, emulator: Emulator) -> None:
    await create(session, data={"by": "somebody"})
    waiter = asyncio.ensure_future(session.submit(write(data={"by": "us"}), maybe_applied=True))
    before = emulator.requests["create_relationship"]
    while emulator.requests["create_relationship"] == before:  # noqa: ASYNC110  until the server has it
        await asyncio.sleep(0)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    await asyncio.sleep(1)
    assert isinstance(session.in_doubt[0].error, WriteConflict)


async def test_a_cancel_before_anything_was_sent(session: Session, emulator: Emulator) -> None:
    waiter = asyncio.Task(create(session))  # it starts in the loop's next turn, with eager tasks too
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert session.in_doubt == ()
    assert not emulator.requests


async def test_closing_waits_for_what_was_cancelled() -> None:
    async with Hostile([after(5, accepted("s_9"))]) as server:
        async with session_at(server) as session:
            await cancelled(create(session), 1)
        (entry,) = session.in_doubt
        assert entry.task is not None
        assert "s_9" in entry.task.token()


async def test_closing_gives_up_on_what_was_cancelled() -> None:
    async with Hostile([stall]) as server:
        async with session_at(server, close_grace=2) as session:
            await cancelled(create(session), 1)
        (entry,) = session.in_doubt
        assert (entry.task, entry.error) == (None, None)


async def test_a_cancel_during_the_closing_is_a_cancel() -> None:
    async with Hostile([stall]) as server:
        session = session_at(server, close_grace=5)
        waiter = asyncio.ensure_future(create(session))
        await asyncio.sleep(1)
        closing = asyncio.ensure_future(session.aclose())
        await asyncio.sleep(1)
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter
        await closing
        assert len(session.in_doubt) == 1


async def test_a_sibling_that_fails_cancels_no_write() -> None:
    async def fail() -> None:
        await asyncio.sleep(1)
        raise KeyError

    async with Hostile([after(5, persisted)]) as server, session_at(server) as session:
        with pytest.raises(ExceptionGroup):  # noqa: PT012  one call of several
            async with asyncio.TaskGroup() as group:
                group.create_task(create(session))
                group.create_task(fail())
        await asyncio.sleep(5)
        assert session.in_doubt[0].task is not None


async def test_a_timeout_around_a_write_is_a_cancel() -> None:
    async with Hostile([after(5, persisted)]) as server, session_at(server) as session:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await create(session)
        current = asyncio.current_task()
        assert current is not None
        assert current.cancelling() == 0
        await asyncio.sleep(5)
        assert session.in_doubt[0].task is not None


async def ensure(session: Session) -> object:
    sent = write()
    return await session.ensure_relationship(
        sent.source, sent.type, from_=sent.from_, to=sent.to, data=sent.data
    )


async def make_and_wait(session: Session) -> object:
    return await session.submit(write()).result()


@pytest.mark.parametrize("wait", [make_and_wait, ensure])
async def test_a_task_that_only_a_cancelled_wait_had_is_in_doubt(
    wait: Callable[[Session], Awaitable[object]],
) -> None:
    script = by_target(
        {
            "POST": [accepted("s_7")],
            "/tasks/": [task("PENDING", "s_7"), task("SUCCESS", "s_7", receipts=[receipt("SUCCESS")])],
            "GET": [answer(record())],
        }
    )
    async with Hostile(otherwise=script) as server, session_at(server) as session:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await wait(session)
        (entry,) = session.take_in_doubt()
        assert entry.task is not None
        assert str(entry.task.id) == "s_7"
        assert entry.call == write()
        assert (await entry.task).id == ID  # type: ignore[attr-defined]
