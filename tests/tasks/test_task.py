"""Tasks: awaited, re-awaited, shared, resumed, and what every end of theirs raises."""

import asyncio
import json

import pytest

from clinia_async import (
    ConfigError,
    Outcome,
    ProtocolError,
    RequestError,
    Session,
    SessionClosed,
    TaskCancelled,
    TaskFailed,
    TaskKind,
    TaskPollError,
    TaskStatus,
    TaskTimeout,
    TaskUnconfirmed,
)
from clinia_async.emulator import Accepted, Constant, Emulator
from tests.factories import (
    ID,
    ONCE,
    SMOOTH,
    SOURCE,
    STEADY,
    create,
    receipt,
    record,
    session_at,
    taken,
    write,
)
from tests.hostile import Hostile, accepted, answer, by_target, refusal, reply, stall, task

pytestmark = pytest.mark.usefixtures("each_way_of_sending")

SUCCEEDED = task("SUCCESS", receipts=[receipt("SUCCESS")])


def slow(emulator: Emulator, seconds: float = 1.0) -> None:
    emulator.default = Accepted(Constant(seconds))


async def test_persisted_costs_no_request_and_no_turn_of_the_loop(
    session: Session, emulator: Emulator
) -> None:
    made = await create(session, data={"since": "2019"})
    assert made.done()
    assert made.state is TaskStatus.SUCCESS
    coroutine = made.result()
    with pytest.raises(StopIteration) as stopped:
        coroutine.send(None)  # a coroutine that ends at its first step has waited for nothing
    assert stopped.value.value.data == {"since": "2019"}
    assert (await made).id == ID
    assert (await made.wait()).status is TaskStatus.SUCCESS
    assert emulator.requests == {"create_relationship": 1}


async def test_persisted_works_after_the_session_is_closed(emulator: Emulator) -> None:
    async with session_at(emulator) as session:
        made = await create(session)
    assert (await made).id == ID
    assert (await made.wait()).status is TaskStatus.SUCCESS
    assert emulator.requests == {"create_relationship": 1}


async def test_a_partition_is_resolved_at_birth(session: Session, emulator: Emulator) -> None:
    from tests.factories import PARTITION, create_partition

    made = await create_partition(session)
    assert made.id is None
    assert made.kind is TaskKind.SINGLE
    assert (await made).source == PARTITION
    assert await made.receipts() == ()
    assert (await made.refresh()).status is TaskStatus.SUCCESS
    with pytest.raises(ConfigError):
        made.token()
    assert emulator.requests == {"put_partition": 1}
    assert [snapshot.status async for snapshot in made.updates()] == [TaskStatus.SUCCESS]


async def test_accepted_then_success_reads_the_record_back(session: Session, emulator: Emulator) -> None:
    slow(emulator)
    made = await create(session, data={"since": "2019"})
    assert not made.done()
    assert made.kind is TaskKind.SINGLE
    assert (await made).data == {"since": "2019"}
    assert made.done()
    assert emulator.requests["get_relationship"] == 1
    assert not made.reconciled


async def test_awaiting_again_costs_nothing(session: Session, emulator: Emulator) -> None:
    slow(emulator)
    made = await create(session)
    first = await made
    before = emulator.requests.total()
    assert await made is first
    assert await made.result(timeout=0) is first
    await made.wait()
    assert emulator.requests.total() == before


async def test_ten_waiters_cost_one_stream_of_polls(emulator: Emulator) -> None:
    slow(emulator, 20.0)
    async with session_at(emulator, polling=SMOOTH) as session:
        alone = await create(session, "a")
        await alone
        polls, emulator.requests["get_task"] = emulator.requests["get_task"], 0
        shared = await create(session, "b")
        results = await asyncio.gather(*(shared.result() for _ in range(10)))
        assert results == [results[0]] * 10
        assert emulator.requests["get_task"] == polls
        assert emulator.requests["get_relationship"] == 2


async def test_two_handles_of_one_id_share_one_stream(emulator: Emulator) -> None:
    slow(emulator, 20.0)
    async with session_at(emulator, polling=SMOOTH) as session:
        await (alone := await create(session, "a"))
        made = await create(session, "b")
        emulator.requests["get_task"] = 0
        other = session.task(made.token())
        assert other.stats == made.stats
        await asyncio.gather(made.wait(), other.wait())
        assert emulator.requests["get_task"] == alone.stats.polls


async def test_cancelling_one_waiter_leaves_the_others(session: Session, emulator: Emulator) -> None:
    slow(emulator, 5.0)
    made = await create(session)
    doomed, other = (asyncio.ensure_future(made.result()) for _ in range(2))
    await asyncio.sleep(1)
    doomed.cancel()
    with pytest.raises(asyncio.CancelledError):
        await doomed
    assert (await other).id == ID
    assert (await made).id == ID


async def test_polls_stop_with_the_last_waiter_and_start_again(emulator: Emulator) -> None:
    slow(emulator, 100.0)
    async with session_at(emulator, polling=STEADY) as session:
        made = await create(session)
        waiters = [asyncio.ensure_future(made.wait()) for _ in range(3)]
        await asyncio.sleep(2)
        for waiter in waiters:
            waiter.cancel()
        await asyncio.gather(*waiters, return_exceptions=True)
        assert emulator.requests["get_task"] == 6
        await asyncio.sleep(200)
        assert emulator.requests["get_task"] == 6
        assert (await made).id == ID
        assert emulator.requests["get_task"] == 7


async def test_a_wait_that_times_out_says_how_to_go_on(session: Session, emulator: Emulator) -> None:
    slow(emulator, 30.0)
    loop = asyncio.get_running_loop()
    made = await create(session)
    began = loop.time()
    with pytest.raises(TaskTimeout) as caught:
        await made.result(timeout=3)
    assert loop.time() - began == pytest.approx(3, abs=0.05)
    assert isinstance(caught.value, TimeoutError)
    assert caught.value.outcome is Outcome.UNKNOWN
    assert (caught.value.id, caught.value.kind, caught.value.state) == (made.id, made.kind, made.state)
    async with session_at(emulator) as another:
        assert (await another.task(caught.value.token)).id == ID  # type: ignore[attr-defined]
    assert (await made).id == ID


@pytest.mark.parametrize("scope", ["wait_for", "timeout"])
async def test_timeouts_of_asyncio_are_not_ours(session: Session, emulator: Emulator, scope: str) -> None:
    slow(emulator, 30.0)
    made = await create(session)
    with pytest.raises(TimeoutError) as caught:  # noqa: PT012  one call of several
        if scope == "wait_for":
            await asyncio.wait_for(made.result(), 1)
        else:
            async with asyncio.timeout(1):
                await made
    assert not isinstance(caught.value, TaskTimeout)
    assert (await made).id == ID


@pytest.mark.queued
@pytest.mark.rivals
async def test_failure_names_the_failed_operations(session: Session, emulator: Emulator) -> None:
    slow(emulator)
    first, second = await create(session), await create(session)
    await first
    with pytest.raises(TaskFailed) as caught:
        await second
    failed = caught.value.failed_receipts
    assert [(receipt.id, receipt.status, receipt.error.type) for receipt in failed if receipt.error] == [
        (ID, TaskStatus.FAILURE, "ALREADY_EXISTS")
    ]
    assert caught.value.outcome is Outcome.REJECTED
    assert (await second.wait()).status is TaskStatus.FAILURE
    before = emulator.requests.total()
    with pytest.raises(TaskFailed) as again:
        await second
    assert again.value is not caught.value
    assert list(await second.receipts()) == list(failed)
    assert emulator.requests.total() == before


async def test_failure_of_a_bulk_is_not_the_failure_of_all(session: Session, emulator: Emulator) -> None:
    await create(session, "b")
    bulk = await session.bulk(SOURCE, [write("a"), write("b"), write("c")])
    assert bulk.kind is TaskKind.BULK
    with pytest.raises(TaskFailed) as caught:
        await bulk
    assert [receipt.id for receipt in caught.value.failed_receipts] == ["b.org-9"]
    assert caught.value.outcome is Outcome.UNKNOWN
    assert emulator.relationships() == 3


async def test_a_bulk_brings_a_receipt_for_each_operation(session: Session, emulator: Emulator) -> None:
    bulk = await session.bulk(SOURCE, [write("a"), write("b")])
    result = await bulk
    assert sorted(receipt.id for receipt in result.receipts) == ["a.org-9", "b.org-9"]
    assert await bulk.receipts() is result.receipts
    assert emulator.requests["get_relationship"] == 0


async def test_cancelled_by_the_service_is_no_cancelled_error() -> None:
    polls = by_target(
        {
            "withReceipts": [task("CANCELLED", receipts=[receipt("CANCELLED")])],
            "/tasks/": [task("CANCELLED")],
        },
        accepted(),
    )
    async with Hostile(otherwise=polls) as server, session_at(server) as session:
        made = await create(session)
        try:
            with pytest.raises(TaskCancelled) as caught:
                await made
        except asyncio.CancelledError:
            pytest.fail("a wait was cancelled by the service")
        assert not isinstance(caught.value, asyncio.CancelledError)
        assert caught.value.outcome is Outcome.REJECTED
        assert (await made.wait()).status is TaskStatus.CANCELLED


async def test_success_without_a_receipt_or_a_record_is_unconfirmed() -> None:
    async with (
        Hostile(
            otherwise=by_target(
                {"/tasks/": [task("SUCCESS")], "GET": [refusal(404, "NOT_FOUND")]}, accepted()
            )
        ) as server,
        session_at(server) as session,
    ):
        made = await create(session)
        for _ in range(2):  # a later read may find it
            with pytest.raises(TaskUnconfirmed) as caught:
                await made
            assert caught.value.outcome is Outcome.UNKNOWN


async def test_a_reading_back_that_fails_is_done_and_can_be_tried_again() -> None:
    reads = [refusal(500, "INTERNAL"), answer(record())]
    async with (
        Hostile(otherwise=by_target({"/tasks/": [SUCCEEDED], "GET": reads}, accepted())) as server,
        session_at(server, retry=ONCE) as session,
    ):
        made = await create(session)
        with pytest.raises(RequestError) as caught:
            await made
        assert caught.value.outcome is Outcome.DONE
        assert (await made).id == ID


async def test_the_record_of_somebody_else_is_refused() -> None:
    other = {**record(), "id": "prac-2.org-9", "from": {"id": "prac-2", "type": "practitioner"}}
    async with (
        Hostile(
            otherwise=by_target({"/tasks/": [task("SUCCESS")], "GET": [answer(other)]}, accepted())
        ) as server,
        session_at(server) as session,
    ):
        with pytest.raises(ProtocolError):
            await (await create(session))


async def test_the_first_terminal_answer_is_final() -> None:
    script = [task("PENDING"), SUCCEEDED, task("PENDING"), task("FAILURE", receipts=[taken()])]
    async with (
        Hostile(otherwise=by_target({"/tasks/": script, "GET": [answer(record())]}, accepted())) as server,
        session_at(server) as session,
    ):
        made = await create(session)
        assert (await made.wait()).status is TaskStatus.SUCCESS
        assert (await made.refresh()).status is TaskStatus.PENDING  # what that one look saw
        assert made.state is TaskStatus.SUCCESS
        assert (await made.refresh()).status is TaskStatus.FAILURE
        assert made.state is TaskStatus.SUCCESS
        assert (await made.wait()).status is TaskStatus.SUCCESS
        assert (await made).id == ID


async def test_receipts_of_before_the_end_do_not_prove_the_end() -> None:
    """A replica that lags shows every operation as pending: that is not "none was stored"."""
    lagging = task("PENDING", "bk_1", receipts=[receipt("PENDING", "a.org-9"), receipt("PENDING", "b.org-9")])
    known = task("FAILURE", "bk_1", receipts=[receipt("SUCCESS", "a.org-9"), taken("b.org-9")])
    script = {"withReceipts": [lagging, known], "/tasks/": [task("FAILURE", "bk_1")]}
    async with (
        Hostile(otherwise=by_target(script, accepted("bk_1"))) as server,
        session_at(server) as session,
    ):
        bulk = await session.bulk(SOURCE, [write("a"), write("b")])
        with pytest.raises((ProtocolError, TaskFailed)) as caught:
            await bulk
        assert caught.value.outcome is Outcome.UNKNOWN
        with pytest.raises(TaskFailed) as settled:
            await bulk
        assert [receipt.id for receipt in settled.value.failed_receipts] == ["b.org-9"]


async def test_receipts_are_asked_for_once_and_kept() -> None:
    script = {"withReceipts": [task("SUCCESS", receipts=[receipt("SUCCESS")])], "/tasks/": [task("SUCCESS")]}
    async with Hostile(otherwise=by_target(script, accepted())) as server, session_at(server) as session:
        made = await create(session)
        await made.wait()
        first = await made.receipts()
        assert await made.receipts() is first
        assert server.count("GET", "withReceipts=true") == 1


async def test_receipts_of_a_pending_task_are_not_kept() -> None:
    pending = task("PENDING", receipts=[receipt("PENDING")])
    ended = task("SUCCESS", receipts=[receipt("SUCCESS")])
    async with (
        Hostile(otherwise=by_target({"withReceipts": [pending, ended]}, accepted())) as server,
        session_at(server) as session,
    ):
        made = await create(session)
        assert [entry.status for entry in await made.receipts()] == [TaskStatus.PENDING]
        assert [entry.status for entry in await made.receipts()] == [TaskStatus.SUCCESS]
        assert made.done()


async def test_refresh_is_exactly_one_poll(session: Session, emulator: Emulator) -> None:
    slow(emulator, 5.0)
    made = await create(session)
    assert (await made.refresh()).status is TaskStatus.PENDING
    assert emulator.requests["get_task"] == 1
    await asyncio.sleep(6)
    snapshot = await made.refresh(receipts=True)
    assert snapshot.status is TaskStatus.SUCCESS
    assert snapshot.receipts
    assert made.done()
    assert await made.receipts() is snapshot.receipts
    assert emulator.requests["get_task"] == 2


async def test_a_poll_wakes_those_who_wait(session: Session, emulator: Emulator) -> None:
    slow(emulator, 100.0)
    made = await create(session)
    waiter = asyncio.ensure_future(made.wait())
    await asyncio.sleep(100)
    await made.refresh()
    done, _ = await asyncio.wait({waiter}, timeout=0.01)
    assert done


async def test_updates_are_the_changes_and_end(session: Session, emulator: Emulator) -> None:
    slow(emulator, 10.0)
    made = await create(session)
    seen = [snapshot.status async for snapshot in made.updates()]
    assert seen == [TaskStatus.PENDING, TaskStatus.SUCCESS]
    assert emulator.requests["get_relationship"] == 0


async def test_a_slow_reader_of_updates_sees_no_change_that_was_none(
    session: Session, emulator: Emulator
) -> None:
    slow(emulator, 60.0)
    made = await create(session)
    waiter = asyncio.ensure_future(made.wait())  # keeps the polls going meanwhile
    seen = []
    async for snapshot in made.updates():
        seen.append(snapshot.status)
        await asyncio.sleep(10)
    await waiter
    assert seen == [TaskStatus.PENDING, TaskStatus.SUCCESS]


async def test_updates_show_receipts_that_change() -> None:
    review = {"pipelineExecution": {"status": "IN_REVIEW"}}
    looks = [
        task("PENDING", receipts=[receipt("PENDING")]),
        task("PENDING", receipts=[receipt("PENDING")]),
        task("PENDING", receipts=[receipt("PENDING", **review)]),
        task("SUCCESS", receipts=[receipt("SUCCESS", **review)]),
    ]
    async with (
        Hostile(otherwise=by_target({"/tasks/": looks}, accepted())) as server,
        session_at(server) as session,
    ):
        made = await create(session)
        updates = [snapshot async for snapshot in made.updates()]
    shown = [
        (entry.status, entry.pipeline_execution and entry.pipeline_execution.status)
        for snapshot in updates
        for entry in snapshot.receipts or ()
    ]
    assert shown == [("PENDING", "IN_REVIEW"), ("SUCCESS", "IN_REVIEW")]


async def test_updates_that_are_left_early_stop_the_polls(emulator: Emulator) -> None:
    slow(emulator, 100.0)
    async with session_at(emulator, polling=STEADY) as session:
        made = await create(session)
        updates = made.updates()
        await anext(updates)
        pull = asyncio.ensure_future(anext(updates))
        await asyncio.sleep(2)
        pull.cancel()
        await asyncio.gather(pull, return_exceptions=True)
        await updates.aclose()  # type: ignore[attr-defined]
        assert emulator.requests["get_task"] == 6
        await asyncio.sleep(50)
        assert emulator.requests["get_task"] == 6


async def test_several_waiters_get_errors_of_their_own(session: Session, emulator: Emulator) -> None:
    slow(emulator)
    await (await create(session))
    emulator.default = Accepted(Constant(1.0))
    bulk = await session.bulk(SOURCE, [write()])
    errors = await asyncio.gather(*(bulk.result() for _ in range(3)), return_exceptions=True)
    assert all(isinstance(error, TaskFailed) for error in errors)
    assert len({id(error) for error in errors}) == 3
    assert len({str(error) for error in errors}) == 1
    assert all(error.failed_receipts for error in errors if isinstance(error, TaskFailed))


async def test_a_token_resumes_in_another_session(session: Session, emulator: Emulator) -> None:
    slow(emulator, 5.0)
    made = await create(session, data={"since": "2019"})
    token = made.token()
    assert json.loads(token) == {"v": 1, "source": SOURCE, "task": str(made.id)}
    async with session_at(emulator) as another:
        resumed = another.task(token)
        assert (resumed.id, resumed.source_key, resumed.kind) == (made.id, SOURCE, TaskKind.SINGLE)
        assert emulator.requests["get_task"] == 0
        found = await resumed
        assert found.data == {"since": "2019"}  # type: ignore[attr-defined]


async def test_a_resumed_bulk_brings_its_receipts(session: Session, emulator: Emulator) -> None:
    bulk = await session.bulk(SOURCE, [write("a"), write("b")])
    async with session_at(emulator, source=SOURCE) as another:
        result = await another.task(str(bulk.id))
        assert len(result.receipts) == 2  # type: ignore[attr-defined]


async def test_a_resumed_bulk_that_failed_names_what_failed(session: Session, emulator: Emulator) -> None:
    await create(session, "a")
    bulk = await session.bulk(SOURCE, [write("a"), write("b")])
    with pytest.raises(TaskFailed) as caught:
        await session.task(bulk.token())
    assert [receipt.id for receipt in caught.value.failed_receipts] == ["a.org-9"]


@pytest.mark.parametrize(
    "token",
    [
        "{}",
        "{",
        '{"v":2,"source":"ehr","task":"s_1"}',
        '{"v":1,"source":"ehr"}',
        '{"v":1,"source":1,"task":"s_1"}',
        '{"v":1,"source":"../ehr","task":"s_1"}',
        '{"v":1,"source":"","task":"s_1"}',
        '{"v":1,"source":"ehr","task":"a/b"}',
        '{"v":1,"source":"ehr","task":".."}',
        '{"v":1,"source":"ehr","task":null}',
        '{"v":1,"source":"ehr","task":["s_1"]}',
        '{"v":1,"source":"ehr","task":"s_1\\n"}',
        '{"v":1,"source":"ehr","task":"s_1"} trailing',
        '{"a":' * 100_000,
        '{"v":' + "9" * 5000 + "}",
        "  {",
        "",
        "a b",
        "s_1?x",
        "é",
        "\ud800",
    ],
)
async def test_bad_tokens_and_ids(session: Session, emulator: Emulator, token: str) -> None:
    with pytest.raises(ConfigError) as caught:
        session.task(token, source="ehr")
    assert caught.value.outcome is Outcome.NOT_SENT
    assert not emulator.requests


async def test_an_id_needs_a_source(session: Session) -> None:
    with pytest.raises(ConfigError):
        session.task("s_1")


async def test_lost_by_the_poller_can_be_awaited_again() -> None:
    polls = [*[refusal(403, "PERMISSION_DENIED")] * 2, task("SUCCESS")]
    async with (
        Hostile(otherwise=by_target({"/tasks/": polls, "GET": [answer(record())]}, accepted())) as server,
        session_at(server) as session,
    ):
        made = await create(session)
        with pytest.raises(TaskPollError) as caught:
            await made
        assert caught.value.outcome is Outcome.UNKNOWN
        assert caught.value.token == made.token()
        assert caught.value.status == 403
        assert (await made).id == ID


async def test_receipts_that_cannot_be_read_once_do_not_hide_the_failure() -> None:
    receipts = [refusal(503), reply(200, b"<html>", kind="text/html"), task("FAILURE", receipts=[taken()])]
    async with (
        Hostile(
            otherwise=by_target({"withReceipts": receipts, "/tasks/": [task("FAILURE")]}, accepted())
        ) as server,
        session_at(server) as session,
    ):
        with pytest.raises(TaskFailed):
            await (await create(session))


async def test_stats_count_polls_and_the_gap(emulator: Emulator) -> None:
    slow(emulator, 10.0)
    async with session_at(emulator, polling=SMOOTH) as session:
        made = await create(session)
        assert made.stats.detection_gap is None
        await made.wait()
        assert made.stats.polls == emulator.requests["get_task"] > 3
        assert made.stats.done_at is not None
        gap = made.stats.detection_gap
        assert gap is not None
        assert gap <= 0.25 * (made.stats.done_at - made.stats.submitted_at) + 0.01


async def test_a_closed_session_ends_its_waits(emulator: Emulator) -> None:
    slow(emulator, 50.0)
    async with session_at(emulator) as session:
        made = await create(session)
        waiters = [asyncio.ensure_future(made.result()) for _ in range(3)]
        await asyncio.sleep(1)
    errors = await asyncio.gather(*waiters, return_exceptions=True)
    assert all(isinstance(error, SessionClosed) and error.token == made.token() for error in errors)
    assert len({id(error) for error in errors}) == 3
    with pytest.raises(SessionClosed) as late:
        await made
    assert late.value.token == made.token()
    assert late.value.outcome is Outcome.UNKNOWN


async def test_a_closed_session_cannot_read_the_result_back(emulator: Emulator) -> None:
    slow(emulator, 1.0)
    async with session_at(emulator) as session:
        made = await create(session)
        await made.wait()
    with pytest.raises(SessionClosed) as caught:
        await made
    assert caught.value.token == made.token()
    async with session_at(emulator) as another:
        assert (await another.task(made.token())).id == ID  # type: ignore[attr-defined]


async def test_a_poll_during_the_grace_of_closing_is_no_fault(emulator: Emulator) -> None:
    """A write in flight holds the closing up; who waits for another task is told at once."""
    script = by_target({"/tasks/": [task("PENDING")], "/slow": [stall]}, accepted())
    async with Hostile(otherwise=script) as server:
        session = session_at(server)
        made = await create(session)
        waiter = asyncio.ensure_future(made.result())
        await asyncio.sleep(1)
        sending = asyncio.ensure_future(
            session.create_relationship(SOURCE, "slow", from_=write().from_, to=write().to)
        )
        await asyncio.sleep(0.01)
        await session.aclose(grace=20)
        with pytest.raises(SessionClosed) as caught:
            await waiter
        assert caught.value.token == made.token()
        with pytest.raises(SessionClosed) as unsent:
            await sending
        assert unsent.value.outcome is Outcome.UNKNOWN
