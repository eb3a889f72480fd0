"""The poll scheduler: odd answers mean "ask again", and looks are paced and capped."""

import asyncio
import gc
import itertools
import sys
import tracemalloc
from collections.abc import Awaitable, Callable

import pytest

from clinia_async import (
    Polling,
    ShareOfAge,
    TaskId,
    TaskKind,
    TaskPollError,
    TaskSnapshot,
    TaskStats,
    TaskStatus,
    TaskTimeout,
)
from clinia_async.serialization.lazy_receipts import LazyReceipts
from clinia_async.tasks.poller import Poller
from clinia_async.tasks.task_state import StateReader, TaskState
from tests.factories import SMOOTH, SOURCE, create, receipt, session_at, write
from tests.hostile import (
    Behaviour,
    Hostile,
    accepted,
    after,
    answer,
    by_target,
    head,
    persisted,
    raw,
    redirect,
    refusal,
    stall,
    task,
)
from tests.transport.test_http_transport import UNKNOWN

ODD: dict[str, Behaviour] = {
    **{
        name: UNKNOWN[name][0]
        for name in (
            "close",
            "reset",
            "stall",
            "bad status line",
            "a length cut short",
            "empty",
            "no content",
            "HTML",
            "null",
            "a list",
            "deep",
            "UTF-16",
            "a corrupt encoding",
            "a length of 10^15",
            "408",
            "500",
            "502",
            "503",
            "504",
            "520",
        )
    },
    "429": refusal(429, headers={"Retry-After": "1"}),
    "an unknown status": task("QUEUED"),
    "lower case": task("success"),
    "no status": answer({"taskId": "s_1"}),
    "a number": answer({"status": 200, "taskId": "s_1"}),
    "null status": answer({"status": None}),
    "another task": task("SUCCESS", "s_2"),
    "cut at the end of the connection": raw(head(200) + b'{"status":"SUCC'),
    "404": refusal(404, "NOT_FOUND"),
}


@pytest.mark.parametrize("name", ODD)
async def test_an_unusual_answer_means_ask_again(name: str) -> None:
    polls = by_target({"/tasks/": [ODD[name], ODD[name], task("SUCCESS")]}, accepted())
    async with Hostile(otherwise=polls) as server, session_at(server) as session:
        made = await create(session)
        snapshot = await made.wait()
        assert snapshot.status is TaskStatus.SUCCESS
        assert server.count("GET") == 3


async def test_a_task_id_may_be_absent_from_the_answer() -> None:
    async with Hostile([accepted(), answer({"status": "SUCCESS"})]) as server, session_at(server) as session:
        assert (await (await create(session)).wait()).status is TaskStatus.SUCCESS


@pytest.mark.parametrize("status", [401, 403, 400, 410])
async def test_what_lasts_ends_the_wait_at_once(status: int) -> None:
    script = {"/tasks/": [refusal(status, "X")], "POST": [accepted()]}
    async with Hostile(otherwise=by_target(script)) as server, session_at(server) as session:
        made = await create(session)
        with pytest.raises(TaskPollError) as caught:
            await made
        assert caught.value.status == status
        assert caught.value.token == made.token()
        assert str(status) in str(caught.value)
        assert server.count("GET") == 2, "it may be only the receipts that are refused"


async def test_a_redirect_ends_the_wait() -> None:
    async with (
        Hostile() as evil,
        Hostile([accepted(), redirect(307, f"{evil.url}/")]) as server,
        session_at(server) as session,
    ):
        with pytest.raises(TaskPollError):
            await (await create(session))
        assert evil.connections == 0


async def test_not_found_is_believed_after_the_grace() -> None:
    loop = asyncio.get_running_loop()
    async with (
        Hostile(otherwise=by_target({"/tasks/": [refusal(404)]}, accepted())) as server,
        session_at(server, polling=Polling(grace=20)) as session,
    ):
        began = loop.time()
        with pytest.raises(TaskPollError):
            await (await create(session))
        assert 20 < loop.time() - began < 40
        assert server.count("GET") > 3


async def test_a_resumed_task_has_the_grace_too() -> None:
    polls = by_target({"/tasks/": [refusal(404), refusal(404), task("SUCCESS")]})
    async with Hostile(otherwise=polls) as server, session_at(server) as session:
        assert (await session.task("s_1", source=SOURCE).wait()).status is TaskStatus.SUCCESS


async def test_patience_ends() -> None:
    loop = asyncio.get_running_loop()
    async with (
        Hostile(otherwise=by_target({"/tasks/": [refusal(503)]}, accepted())) as server,
        session_at(server, polling=Polling(patience=100)) as session,
    ):
        began = loop.time()
        with pytest.raises(TaskPollError):
            await (await create(session))
        assert 100 < loop.time() - began < 130
        assert server.count("GET") < 50


async def test_a_good_answer_renews_the_patience() -> None:
    polls = [*[refusal(503)] * 5, task("PENDING")] * 10 + [task("SUCCESS")]
    async with (
        Hostile(otherwise=by_target({"/tasks/": polls}, accepted())) as server,
        session_at(server, polling=Polling(patience=60)) as session,
    ):
        assert (await (await create(session)).wait()).status is TaskStatus.SUCCESS


async def test_the_time_that_a_retry_after_asks_for_does_not_count_against_the_patience() -> None:
    throttled = refusal(429, headers={"Retry-After": "40"})
    polls = by_target({"/tasks/": [*[throttled] * 50, task("SUCCESS")]}, accepted())
    async with (
        Hostile(otherwise=polls) as server,
        session_at(server, polling=Polling(patience=60)) as session,
    ):
        assert (await (await create(session)).wait()).status is TaskStatus.SUCCESS


async def test_a_retry_after_holds_all_polls() -> None:
    throttled = refusal(429, headers={"Retry-After": "40"})
    script = {"s_1": [throttled, task("SUCCESS")], "s_2": [task("PENDING", "s_2")]}
    async with (
        Hostile([accepted("s_1"), accepted("s_2")], otherwise=by_target(script)) as server,
        session_at(server, polling=SMOOTH) as session,
    ):
        first, second = await create(session, "a"), await create(session, "b")
        other = asyncio.ensure_future(second.wait())
        await first.wait()
        times = [request.at for request in server.requests if request.method == "GET"]
        held = next(request.at for request in server.requests if "s_1" in request.target)
        assert not [time for time in times if held + 0.05 < time < held + 40]
        other.cancel()
        await asyncio.gather(other, return_exceptions=True)


async def test_polls_share_the_age() -> None:
    looks = by_target({"/tasks/": [after(0, task("PENDING"))] * 20 + [task("SUCCESS")]}, accepted())
    polling = Polling(pace=ShareOfAge(), jitter=0.0)
    async with Hostile(otherwise=looks) as server, session_at(server, polling=polling) as session:
        made = await create(session)
        await made.wait()
        times = [
            request.at - made.stats.submitted_at for request in server.requests if request.method == "GET"
        ]
    gaps = [(later - sooner, sooner) for sooner, later in itertools.pairwise(times)]
    assert all(gap == pytest.approx(min(max(0.1, age * 0.25), 5), abs=0.1) for gap, age in gaps)


@pytest.mark.parametrize("kind", TaskKind)
def test_the_pace(kind: TaskKind) -> None:
    pace = ShareOfAge()
    assert pace(kind, 0) == 0.1
    assert pace(kind, 8) == 2
    long = kind in {TaskKind.BULK, TaskKind.BUNDLE, TaskKind.PURGE, TaskKind.LEGACY}
    assert pace(kind, 1000) == (15 if long else 5)


async def test_a_long_review_costs_few_polls() -> None:
    pending = by_target({"/tasks/": [task("PENDING", "bk_1")]}, accepted("bk_1"))
    polling = Polling(pace=ShareOfAge(most_for_long_work=600))
    async with Hostile(otherwise=pending) as server, session_at(server, polling=polling) as session:
        bulk = await session.bulk(SOURCE, [write()])
        with pytest.raises(TaskTimeout):
            await bulk.wait(timeout=7200)
        assert 10 < server.count("GET") < 60


async def test_polls_in_flight_are_capped() -> None:
    slow = by_target({"/tasks/": [after(1, answer({"status": "SUCCESS"}))]}, persisted)
    async with Hostile(otherwise=slow) as server, session_at(server, polling=Polling(in_flight=3)) as session:
        tasks = [session.task(f"s_{number}", source=SOURCE) for number in range(12)]
        await session.wait(tasks)
        assert server.most_in_flight == 3
        assert server.count("GET") == 12


async def test_polls_a_second_are_capped() -> None:
    async with Hostile(otherwise=answer({"status": "SUCCESS"})) as server:
        async with session_at(server, polling=Polling(per_second=5)) as session:
            await session.wait([session.task(f"s_{number}", source=SOURCE) for number in range(21)])
            times = [request.at for request in server.requests]
        assert times[-1] - times[0] >= 19 / 5
        assert all(sum(start <= time < start + 0.99 for time in times) <= 6 for start in times)


async def test_a_stalled_poll_holds_up_no_other() -> None:
    script = by_target({"s_1": [stall, task("SUCCESS")], "s_2": [task("SUCCESS", "s_2")]})
    loop = asyncio.get_running_loop()
    async with Hostile(otherwise=script) as server, session_at(server) as session:
        began = loop.time()
        stuck = asyncio.ensure_future(session.task("s_1", source=SOURCE).wait())
        await asyncio.sleep(0.1)
        await session.task("s_2", source=SOURCE).wait()
        assert loop.time() - began < 1
        await stuck
        assert loop.time() - began < 40


async def test_nothing_is_polled_that_nobody_waits_for() -> None:
    async with (
        Hostile(otherwise=by_target({"/tasks/": [task("PENDING")]}, accepted())) as server,
        session_at(server) as session,
    ):
        made = await create(session)
        await asyncio.sleep(1000)
        assert server.count("GET") == 0
        assert session._engine.open().poller.scheduled == 0
        with pytest.raises(TimeoutError):
            await made.wait(timeout=5)
        await asyncio.sleep(100)
        assert session._engine.open().poller.scheduled == 0


async def test_a_fault_in_a_pace_leaves_nobody_waiting() -> None:
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: complaints.append(context["exception"])
    )

    def broken(_: TaskKind, age: float) -> float:
        if age > 0.05:
            raise ZeroDivisionError
        return 0.1

    async with (
        Hostile(otherwise=by_target({"/tasks/": [task("PENDING")]}, accepted())) as server,
        session_at(server, polling=Polling(pace=broken)) as session,
    ):
        with pytest.raises(TaskPollError):
            await (await create(session))
    assert [type(complaint) for complaint in complaints] == [ZeroDivisionError]


class Pupil:
    """Looks every 0.2 s and notes what it is told."""

    def __init__(self) -> None:
        self.reported: list[tuple[TaskKind, str, float, float, bool]] = []

    def pause(self, kind: TaskKind, source: str, age: float) -> float:
        assert kind is TaskKind.SINGLE
        assert source == SOURCE
        assert age >= 0
        return 0.2

    def learn(self, kind: TaskKind, source: str, after: float, by: float, *, ended: bool) -> None:
        self.reported.append((kind, source, after, by, ended))


async def test_a_pace_learns_from_good_polls() -> None:
    pupil = Pupil()
    script = by_target(
        {"/tasks/": [task("PENDING"), after(0.1, task("PENDING")), refusal(503), task("FAILURE")]}, accepted()
    )
    polling = Polling(pace=pupil, jitter=0.0)
    async with Hostile(otherwise=script) as server, session_at(server, polling=polling) as session:
        made = await create(session)
        await made.wait()
        await made.refresh()
        asked = [
            request.at - made.stats.submitted_at for request in server.requests if request.method == "GET"
        ]
    assert [(kind, source, ended) for kind, source, _, _, ended in pupil.reported] == [
        (TaskKind.SINGLE, SOURCE, False),
        (TaskKind.SINGLE, SOURCE, False),
        (TaskKind.SINGLE, SOURCE, True),
    ]
    stretches = [(after, by) for _, _, after, by, _ in pupil.reported]
    assert [after for after, _ in stretches] == [0, stretches[0][1], stretches[1][1]]
    since, by = stretches[-1]
    assert since == pytest.approx(0.4, abs=0.05)
    assert since <= asked[1]  # "pending" holds for the time of asking, and not for that of the answer
    assert by == pytest.approx(asked[3], abs=0.05)


async def test_what_ended_at_the_first_poll_is_learned_too() -> None:
    pupil = Pupil()
    async with (
        Hostile([accepted(), task("SUCCESS")]) as server,
        session_at(server, polling=Polling(pace=pupil, jitter=0.0)) as session,
    ):
        await (await create(session)).wait()
    assert [told[2:] for told in pupil.reported] == [(0, pytest.approx(0.2, abs=0.05), True)]


async def test_nothing_is_learned_from_a_resumed_task() -> None:
    pupil = Pupil()
    script = by_target({"/tasks/": [task("PENDING"), task("SUCCESS")]})
    async with (
        Hostile(otherwise=script) as server,
        session_at(server, polling=Polling(pace=pupil)) as session,
    ):
        await session.task("s_1", source=SOURCE).wait()
    assert pupil.reported == []


@pytest.mark.parametrize("pause", [float("nan"), float("inf")])
async def test_a_pace_that_gives_no_number_leaves_nobody_waiting(pause: float) -> None:
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    polling = Polling(pace=lambda _, age: pause if age > 0.05 else 0.1)
    async with (
        Hostile(otherwise=by_target({"/tasks/": [task("PENDING")]}, accepted())) as server,
        session_at(server, polling=polling) as session,
    ):
        with pytest.raises(TaskPollError):
            await (await create(session))
        assert session._engine.open().poller.scheduled == 0


async def test_there_is_one_timer_however_many_polls() -> None:
    loop = asyncio.get_running_loop()
    if not hasattr(loop, "_scheduled"):
        pytest.skip("it counts the timers of asyncio's own loop")
    async with (
        Hostile(otherwise=by_target({"/tasks/": [answer({"status": "PENDING"})]})) as server,
        session_at(server) as session,
    ):
        waits = [session.task(f"s_{number}", source=SOURCE).ending() for number in range(30)]
        await asyncio.sleep(20)
        assert server.count("GET") > 300
        timers = [handle for handle in loop._scheduled if not handle.cancelled() and "Poller" in repr(handle)]
        assert len(timers) == 1
        for wait in waits:
            wait.cancel()


async def test_polls_that_wait_for_nothing_leave_the_loop_its_turn() -> None:
    looks = 0

    async def poll(state: TaskState, _: bool) -> TaskSnapshot:
        nonlocal looks
        looks += 1
        return TaskSnapshot(TaskStatus.PENDING if looks < 100_000 else TaskStatus.SUCCESS, state.id)

    poller = Poller(poll, Polling(pace=lambda *_: 0.0, per_second=1e9))
    reader, now = (
        StateReader(poll, lambda state: poll(state, True), poller.start),
        asyncio.get_running_loop().time(),
    )
    ids = [TaskId(f"s_{number}") for number in range(500)]
    watches = [
        TaskState(
            each, SOURCE, reader=reader, snapshot=TaskSnapshot(TaskStatus.PENDING, each), stats=TaskStats(now)
        )
        for each in ids
    ]
    waits = [state.ending() for state in watches]
    for _ in range(10):
        await asyncio.sleep(0)
    assert 0 < looks < 100_000
    for wait in waits:
        wait.cancel()
    poller.close()
    await poller.closed()


@pytest.mark.skipif(sys.gettrace() is not None, reason="a tracer has memory of its own")
async def test_a_pending_task_costs_little_memory() -> None:
    count = 2000

    async def wait_for(what: Awaitable[object]) -> None:
        await what

    def held() -> float:
        gc.collect()
        return tracemalloc.get_traced_memory()[0] / count

    async def cost(make: Callable[[], list[Awaitable[object]]]) -> float:
        before = held()
        waits = [asyncio.create_task(wait_for(what)) for what in make()]
        await asyncio.sleep(0)
        cost = held() - before
        for wait in waits:
            wait.cancel()
        await asyncio.wait(waits)
        waits.clear()
        await asyncio.sleep(0.1)
        return cost

    loop = asyncio.get_running_loop()
    async with Hostile(otherwise=stall) as server, session_at(server) as session:
        ids = [TaskId(f"s_{number}") for number in range(count)]
        session.task("s_0", source=SOURCE)
        tracemalloc.start()
        try:
            own = await cost(lambda: [loop.create_future() for _ in ids])
            ours = await cost(lambda: [session.task(each, source=SOURCE) for each in ids])
        finally:
            tracemalloc.stop()
    assert ours - own < 900


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ([receipt("PENDING")], 0),
        ([receipt("PENDING"), receipt("PENDING", "a.c")], 0),
        ([receipt("PENDING"), receipt("SUCCESS", "a.c")], 1),
        ([receipt("PENDING", pipelineExecution={"status": "IN_REVIEW"})], 1),
    ],
)
async def test_receipts_that_say_no_more_than_pending_are_not_held(said: object, kept: int) -> None:
    """There may be 100,000 pending tasks, or a thousand receipts of one."""

    def held() -> int:
        gc.collect()
        return sum(type(each) is LazyReceipts for each in gc.get_objects())

    before = held()
    async with (
        Hostile(otherwise=by_target({"/tasks/": [task("PENDING", receipts=said)]})) as server,
        session_at(server) as session,
    ):
        made = session.task("s_1", source=SOURCE)
        for _ in range(2):
            assert (await made.refresh(receipts=True)).receipts
        assert held() - before == kept
        assert made.state == TaskStatus.PENDING


async def test_waits_given_up_do_not_add_up() -> None:
    async with (
        Hostile(otherwise=by_target({"/tasks/": [task("PENDING")]}, accepted())) as server,
        session_at(server) as session,
    ):
        made = await create(session)
        waits = [made.ending() for _ in range(10)]
        for _ in range(1000):
            made.ending().cancel()
        held = made._state._ended
        assert isinstance(held, list)
        assert len(held) < 50
        assert all(wait in held for wait in waits)
        for wait in waits:
            wait.cancel()
        await asyncio.sleep(20)
        assert session._engine.open().poller.scheduled == 0


async def test_receipts_of_a_review_are_seen_and_waited_out() -> None:
    review = receipt("PENDING", pipelineExecution={"id": "p", "status": "IN_REVIEW"})
    looks = [task("PENDING", receipts=[review])] * 3 + [task("SUCCESS")]
    async with (
        Hostile(otherwise=by_target({"/tasks/": looks}, accepted())) as server,
        session_at(server) as session,
    ):
        assert (await (await create(session)).wait()).status is TaskStatus.SUCCESS
