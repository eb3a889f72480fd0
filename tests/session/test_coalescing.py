"""Writes that go out together: each caller gets what is its own, as if its write had gone alone."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from clinia_async import (
    AlreadyExists,
    ApiError,
    CliniaError,
    Evidence,
    InvalidWrite,
    Outcome,
    ProtocolError,
    Session,
    SessionClosed,
    TaskCancelled,
    TaskFailed,
    TaskStatus,
    TaskUnconfirmed,
    Unauthenticated,
    WriteConflict,
)
from clinia_async.emulator import Accepted, Constant, Emulator, LostReply, Review, Unavailable
from clinia_async.session.coalescing import coalescer as coalescing
from tests.exchanges import EHR, against, held, join, joined, new, put
from tests.exchanges import receipt as receipt_of
from tests.factories import ONCE, SOURCE, create, receipt, session_at, write
from tests.hostile import accepted, after, answer, close, refusal, stall, task

MANY = 20
REFUSAL = {"code": 409, "type": "ALREADY_EXISTS", "message": "no", "details": []}


@pytest.fixture
async def together(emulator: Emulator) -> AsyncIterator[Session]:
    async with session_at(emulator, coalesce=True) as session:
        yield session


async def made(session: Session, count: int = MANY, **more: Any) -> list[Any]:
    return await asyncio.gather(*(create(session, f"p{number}", **more) for number in range(count)))


def script(status: str, receipts: list[Any], *, read: Any = None, post: Any = None) -> dict[str, list[Any]]:
    return {
        "withReceipts": [task(status, "bk_1", receipts=receipts)],
        "/tasks/": [task(status, "bk_1")],
        "/bulk": [post or accepted("bk_1")],
        "GET": read or [answer(joined())],
        "POST": [accepted("s_1")],
    }


async def pair(session: Session) -> list[Any]:
    """The handles of two writes, or why there is none."""
    return await asyncio.gather(create(session, "a"), create(session, "b"), return_exceptions=True)


# ------------------------------------------------------------------------------ together


async def test_what_is_awaited_together_goes_out_together(together: Session, emulator: Emulator) -> None:
    tasks = await made(together, data={"a": 1})
    results = await asyncio.gather(*tasks)
    assert [found.id for found in results] == [f"p{number}.org-9" for number in range(MANY)]
    assert all(found.data == {"a": 1} for found in results)
    assert emulator.relationships() == MANY
    assert emulator.requests["bulk_relationships"] == 1
    assert emulator.requests["create_relationship"] == 0
    assert emulator.requests["get_relationship"] == 0
    assert len({each.id for each in tasks}) == 1


async def test_one_that_is_alone_goes_alone(together: Session, emulator: Emulator) -> None:
    one = await create(together, data={"a": 1})
    assert one.done()
    assert (await one).meta.source == SOURCE
    assert emulator.requests == {"create_relationship": 1}


async def test_it_is_off_unless_it_is_asked_for(session: Session, emulator: Emulator) -> None:
    await made(session)
    assert emulator.requests == {"create_relationship": MANY}


async def test_the_result_is_what_was_sent_as_it_would_be_read(together: Session) -> None:
    data = {"since": None, "share": 0.1, "count": 2**70, "list": ("a", 1), "in": {"deep": {}}}
    first, _ = await pair_of(together, data)
    found = await first
    assert found.data == {**data, "list": ["a", 1]}
    read = await together.get_relationship(SOURCE, found.type, found.id)
    assert (read.from_, read.to, read.data) == (found.from_, found.to, found.data)


@pytest.mark.parametrize("name", ['a"b', "a\\b", 'a","data":"b', "é", "a b", "%s"])
async def test_whatever_the_ends_are_called(together: Session, name: str) -> None:
    tasks = await asyncio.gather(*(create(together, name, f"{name}{to}", data={"n": to}) for to in range(2)))
    for to, handle in enumerate(tasks):
        found = await handle
        read = await together.get_relationship(SOURCE, found.type, found.id)
        assert (read.from_, read.to, read.data) == (found.from_, found.to, found.data)
        assert (found.from_.id, found.to.id, found.data) == (name, f"{name}{to}", {"n": to})


async def test_the_result_is_what_was_sent_whatever_the_caller_does_to_it_since(together: Session) -> None:
    data: dict[str, Any] = {"a": [1]}
    first, second = await pair_of(together, data)
    data["a"].append(float("nan"))
    data["b"] = 2
    assert (await first).data == (await second).data == {"a": [1]}


async def pair_of(session: Session, data: Any) -> list[Any]:
    return await asyncio.gather(create(session, "a", data=data), create(session, "b", data=data))


async def test_resources_too_and_each_kind_and_source_for_itself() -> None:
    receipts = [receipt_of("p1"), receipt_of("p2", action="UPSERT")]
    async with against(script("SUCCESS", receipts), coalesce=True) as (session, server):
        writes = [new("p1", {"a": 1}), put("p2", {"b": 2}), write("a"), write("b")]
        tasks = await asyncio.gather(*(session.submit(each) for each in writes[:2]))
        assert [(await each).data for each in tasks] == [{"a": 1}, {"b": 2}]
        await asyncio.gather(*(session.submit(each) for each in writes))
        assert Counter(target for _, target in server.seen() if "bulk" in target) == {
            "/sources/ehr/v1/resources/bulk": 2,
            "/sources/ehr/v1/relationships/bulk": 1,
        }


async def test_by_count(together: Session, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coalescing, "MOST", 8)
    await asyncio.gather(*await made(together))
    assert emulator.requests["bulk_relationships"] == 3


async def test_by_bytes(together: Session, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coalescing, "LARGEST", 10_000)
    await asyncio.gather(*await made(together, data={"a": "x" * 3000}))
    assert emulator.requests["bulk_relationships"] == MANY / 4


async def test_what_has_to_go_alone_does(together: Session, emulator: Emulator) -> None:
    resources = [together.submit(new(None)) for _ in range(2)]
    limited = [create(together, f"a{number}", timeout=5) for number in range(2)]
    sent_before = [together.submit(write(f"b{number}"), maybe_applied=True) for number in range(2)]
    await asyncio.gather(*resources, *limited, *sent_before)
    assert not any("bulk" in route for route in emulator.requests)


# ------------------------------------------------------------------------------ each its own


async def test_one_that_is_taken_touches_no_other(together: Session, emulator: Emulator) -> None:
    await (await create(together, "p3", data={"by": "somebody"}))
    answers = await asyncio.gather(
        *(create(together, f"p{number}") for number in range(MANY)), return_exceptions=True
    )
    (failure,) = [each for each in answers if isinstance(each, Exception)]
    assert answers.index(failure) == 3
    assert isinstance(failure, AlreadyExists)
    assert (failure.outcome, failure.evidence) == (Outcome.REJECTED, Evidence.RECEIPT)
    assert all([(await each).id for each in answers if not isinstance(each, Exception)])
    assert emulator.relationships() == MANY


async def awaits(session: Session, from_: str, beside: bool) -> tuple[int, str]:
    """At which await of a create an error is raised, and its class."""
    others = [create(session, f"other-{from_}", "x")] if beside else []
    made, *_ = await asyncio.gather(create(session, from_, "x"), *others, return_exceptions=True)
    if isinstance(made, BaseException):
        return 1, type(made).__name__
    try:
        await made
    except CliniaError as error:
        return 2, type(error).__name__
    return 0, ""


@pytest.mark.parametrize("queued", [False, True])
async def test_a_refusal_is_raised_at_the_same_await_whatever_the_traffic(queued: bool) -> None:
    names = [f"a{number}.x" for number in range(2)]
    failed = [receipt("FAILURE", name, error=REFUSAL) for name in names]
    others = [receipt("SUCCESS", f"other-{name}") for name in names]
    single = [accepted("s_1")] if queued else [refusal(409, "ALREADY_EXISTS")]
    rules = {
        "/tasks/s_1": [task("FAILURE", "s_1", receipts=failed[:1])],
        "/tasks/bk_1": [task("FAILURE", "bk_1", receipts=[failed[1], others[1]])],
        "/bulk": [accepted("bk_1")],
        "POST": single,
    }
    async with against(rules, coalesce=True) as (session, server):
        alone = await awaits(session, "a0", beside=False)
        beside = await awaits(session, "a1", beside=True)
        assert server.count("POST", "bulk") == 1
        assert alone == beside == ((2, "TaskFailed") if queued else (1, "AlreadyExists"))


async def test_a_wrong_write_is_refused_before_and_touches_no_other(together: Session) -> None:
    good, bad = create(together, "a"), create(together, "b", data={"a": float("nan")})
    made, failure, other = await asyncio.gather(good, bad, create(together, "c"), return_exceptions=True)
    assert isinstance(failure, InvalidWrite)
    assert failure.path == "$.data.a"
    assert [(await each).id for each in (made, other)] == ["a.org-9", "c.org-9"]


@pytest.mark.parametrize(("status", "kind"), [("FAILURE", TaskFailed), ("CANCELLED", TaskCancelled)])
async def test_one_that_fails_fails_as_it_would_alone(status: str, kind: type[Exception]) -> None:
    receipts = [receipt("SUCCESS", "a.org-9"), receipt(status, "b.org-9")]
    async with against(script("FAILURE", receipts), coalesce=True) as (session, _):
        good, bad = await pair(session)
        assert (await good).id == "a.org-9"
        with pytest.raises(kind) as caught:
            await bad
        assert caught.value.outcome is Outcome.REJECTED  # type: ignore[attr-defined]
        assert "b.org-9" not in str(caught.value)


@pytest.mark.parametrize(
    ("second", "proven"),
    [
        ([], (Outcome.DONE, Evidence.TASK)),
        ([receipt("PENDING", "b.org-9")], (Outcome.UNKNOWN, Evidence.NONE)),  # speaks against its task
    ],
)
async def test_one_without_a_receipt_is_not_taken_for_stored(second: list[Any], proven: object) -> None:
    receipts = [receipt("SUCCESS", "a.org-9"), *second]
    async with against(script("SUCCESS", receipts), coalesce=True) as (session, _):
        good, bad = await pair(session)
        assert (await good).id == "a.org-9"
        with pytest.raises(ProtocolError) as caught:  # what is read back is another record
            await bad
        assert (caught.value.outcome, caught.value.evidence) == proven


@pytest.mark.parametrize(
    ("read", "expected"), [(answer(joined("b")), None), (refusal(404, "NOT_FOUND"), TaskUnconfirmed)]
)
async def test_where_a_reviewer_may_have_dropped_it_it_is_read_back(read: Any, expected: Any) -> None:
    seen = {"id": "1", "status": "SUCCESSFUL"}
    receipts = [receipt_of("a.org-9"), receipt_of("b.org-9", pipelineExecution=seen)]
    async with against(script("SUCCESS", receipts, read=[read]), coalesce=True) as (session, _):
        good, reviewed = await asyncio.gather(*(session.submit(each) for each in (join("a"), join("b"))))
        assert (await good).id == "a.org-9"
        if expected is None:
            assert (await reviewed).id == "b.org-9"
        else:
            with pytest.raises(expected):
                await reviewed


# ------------------------------------------------------------------------------ early polls


async def test_where_bulks_end_at_once_the_tasks_bring_their_results() -> None:
    receipts = [receipt("SUCCESS", "a.org-9"), receipt("SUCCESS", "b.org-9")]
    async with against(script("SUCCESS", receipts), coalesce=True) as (session, server):
        tasks = await pair(session)
        assert all(each.done() for each in tasks)
        assert [(await each).id for each in tasks] == ["a.org-9", "b.org-9"]
        assert len(await tasks[0].receipts()) == 2
        assert [seen.method for seen in server.requests] == ["POST", "GET"]


async def test_early_polls_that_find_nothing_are_sent_ever_more_seldom() -> None:
    rules = script("PENDING", [receipt("PENDING", "a.org-9"), receipt("PENDING", "b.org-9")])
    async with against(rules, coalesce=True) as (session, server):
        polls = []
        for _ in range(8):
            tasks = await pair(session)
            assert not any(each.done() for each in tasks)
            polls.append(server.count("GET", "withReceipts"))
            await asyncio.sleep(coalescing.TURN_FOR)  # until the same records may be written again
        first = polls[0]  # more than one: nothing is known yet of how long such bulks take
        assert [count - first for count in polls] == [0, 1, 1, 2, 2, 2, 2, 3]


@pytest.mark.parametrize("poll", [stall, close, refusal(500), refusal(401)])
async def test_no_task_waits_long_for_an_early_poll(poll: Any) -> None:
    rules = script("SUCCESS", [receipt("SUCCESS", "a.org-9"), receipt("SUCCESS", "b.org-9")])
    rules["withReceipts"] = [poll, *rules["withReceipts"]]
    async with against(rules, coalesce=True) as (session, _):
        started = asyncio.get_running_loop().time()
        tasks = await pair(session)
        assert asyncio.get_running_loop().time() - started < coalescing.END_WITHIN_IF_UNKNOWN
        assert [(await each).id for each in tasks] == ["a.org-9", "b.org-9"]


async def test_a_close_during_an_early_poll_loses_no_task() -> None:
    rules = script("SUCCESS", [])
    rules["withReceipts"] = [stall]
    async with against(rules, coalesce=True) as (session, server):
        waiting = asyncio.ensure_future(pair(session))
        await asyncio.sleep(coalescing.EARLY_POLL_WITHIN / 2)
        assert server.count("GET", "withReceipts") == 1
        await session.aclose(grace=0)
        assert [str(each.id) for each in await waiting] == ["bk_1", "bk_1"]


# ------------------------------------------------------------------------------ lost and refused


async def test_a_lost_answer_is_reconciled_write_by_write(together: Session, emulator: Emulator) -> None:
    await (await create(together, "p3", data={"by": "somebody"}))
    emulator.faults.add(LostReply(route="bulk_relationships", times=1))
    writes = (create(together, f"p{number}", data={"by": "us"}) for number in range(MANY))
    answers = await asyncio.gather(*writes, return_exceptions=True)
    assert isinstance(answers.pop(3), WriteConflict)
    tasks = [each for each in answers if not isinstance(each, BaseException)]
    assert all(each.maybe_applied and each.attempts == 2 for each in tasks)
    assert [(await each).data for each in tasks] == [{"by": "us"}] * (MANY - 1)
    assert emulator.relationships() == MANY


@pytest.mark.parametrize("lost", [close, refusal(503)])
async def test_without_an_answer_each_is_unknown(lost: Any) -> None:
    async with against([lost], coalesce=True, retry=ONCE) as (session, _):
        failures = await pair(session)
        assert [failure.outcome for failure in failures] == [Outcome.UNKNOWN] * 2
        assert failures[0] is not failures[1]


@pytest.mark.parametrize("status", [400, 404, 413, 422])
async def test_a_bulk_that_is_refused_as_a_whole_goes_write_by_write(status: int) -> None:
    alone = script("SUCCESS", [receipt("SUCCESS", "a.org-9")], post=refusal(status))
    async with against(alone, coalesce=True) as (session, server):
        assert [str(each.id) for each in await pair(session)] == ["s_1", "s_1"]
        assert server.count("POST", "bulk") == 1
        assert server.count("POST", "practises-at") == 2


@pytest.mark.parametrize(("status", "kind"), [(401, Unauthenticated), (429, ApiError)])
async def test_what_each_would_meet_alone_is_not_tried_alone(status: int, kind: type[ApiError]) -> None:
    async with against([refusal(status)], coalesce=True, retry=ONCE) as (session, server):
        assert all(isinstance(failure, kind) for failure in await pair(session))
        assert len(server.requests) == 1


async def test_a_brown_out_is_ridden_out(together: Session, emulator: Emulator) -> None:
    emulator.faults.add(Unavailable(route="bulk_relationships", times=2))
    results = await asyncio.gather(*await made(together))
    assert len(results) == emulator.relationships() == MANY


async def test_a_bulk_that_is_persisted_is_done() -> None:
    async with against([answer({"status": "PERSISTED", "taskId": "bk_1"}, 201)], coalesce=True) as (
        session,
        server,
    ):
        tasks = await pair(session)
        assert all(each.done() for each in tasks)
        assert [(await each).id for each in tasks] == ["a.org-9", "b.org-9"]
        assert len(server.requests) == 1


# ------------------------------------------------------------------------------ keys in flight


async def test_two_writes_of_one_record_keep_their_order() -> None:
    puts = [put("p1", {"n": number}) for number in range(3)]
    others = [put("p2"), put("p3")]
    rules = script("SUCCESS", [receipt_of(key, action="UPSERT") for key in ("p1", "p2", "p3")])
    rules |= {"PUT": [accepted("s_1")], "GET": [answer(held("p1"))]}
    async with against(rules, coalesce=True) as (session, server):
        await asyncio.gather(*(session.submit(each) for each in [*puts, *others]))
        writes = [seen for seen in server.requests if seen.method != "GET"]
        bodies = [json.loads(seen.body) for seen in writes]
        assert [each["upsert"]["id"] for each in bodies[0]["operations"]] == ["p1", "p2", "p3"]
        assert bodies[0]["operations"][0]["upsert"]["data"] == {"n": 0}
        assert [body["data"] for body in bodies[1:]] == [{"n": 1}, {"n": 2}]


async def test_the_second_write_of_a_record_waits_for_the_first_to_end(
    together: Session, emulator: Emulator
) -> None:
    emulator.bulk = Constant(5.0)
    first = await asyncio.gather(*(together.submit(put(key, {"n": 1})) for key in ("p1", "p2")))
    second = await together.submit(put("p1", {"n": 2}))
    assert (await first[0]).data == {"n": 1}
    assert (await second).data == {"n": 2}
    assert (await together.get_resource(EHR, "practitioner", "p1")).data == {"n": 2}


async def test_it_does_not_wait_as_long_as_a_review_may_take(together: Session, emulator: Emulator) -> None:
    emulator.default = Review()
    first, _ = await pair(together)
    started = asyncio.get_running_loop().time()
    await create(together, "a")
    assert 30 <= asyncio.get_running_loop().time() - started < 60
    assert first.state is TaskStatus.PENDING


# ------------------------------------------------------------------------------ cancels and closing


async def test_a_cancelled_caller_leaves_its_write_where_it_is() -> None:
    rules = script("SUCCESS", [receipt("SUCCESS", "a.org-9"), receipt("SUCCESS", "b.org-9")])
    rules["/bulk"] = [after(5, accepted("bk_1"))]
    async with against(rules, coalesce=True) as (session, server):
        one, other = (asyncio.ensure_future(create(session, name)) for name in "ab")
        await asyncio.sleep(1)
        one.cancel()
        with pytest.raises(asyncio.CancelledError):
            await one
        (doubt,) = session.in_doubt
        assert (doubt.task, doubt.error) == (None, None)
        assert (await (await other)).id == "b.org-9"
        assert doubt.task is not None
        assert (await doubt.task).id == "a.org-9"  # type: ignore[attr-defined]
        assert len(json.loads(server.requests[0].body)["operations"]) == 2


async def test_a_cancel_in_the_turn_of_the_answer_loses_no_task(together: Session) -> None:
    async def first() -> Any:
        task = await create(together, "a")
        other.cancel()  # it was to be woken next
        return task

    one, other = asyncio.ensure_future(first()), asyncio.ensure_future(create(together, "b"))
    await asyncio.wait({one, other})
    assert other.cancelled()
    (doubt,) = together.in_doubt
    assert doubt.task is not None
    assert (await doubt.task).id == "b.org-9"  # type: ignore[attr-defined]
    assert (await one.result()).id == "a.org-9"


@pytest.mark.parametrize("turns", range(0, 60, 3))
async def test_no_cancel_loses_a_task(together: Session, emulator: Emulator, turns: int) -> None:
    one, other = (asyncio.ensure_future(create(together, name)) for name in "ab")
    if turns:
        await asyncio.sleep(coalescing.GATHER_FOR)
    for _ in range(turns):
        await asyncio.sleep(0)
    one.cancel()
    tasks = await asyncio.gather(one, other, return_exceptions=True)
    await asyncio.sleep(5)
    handles = [each for each in tasks if not isinstance(each, BaseException)]
    handles += [doubt.task for doubt in together.in_doubt if doubt.task is not None]  # type: ignore[misc]
    assert len(await asyncio.gather(*handles)) == emulator.relationships() == len(handles)


async def test_each_cancels_only_its_own_wait(together: Session, emulator: Emulator) -> None:
    emulator.bulk = Constant(5.0)
    tasks = await made(together)
    waits = [asyncio.ensure_future(each.result()) for each in tasks]
    waits += [asyncio.ensure_future(asyncio.wait_for(each, None)) for each in tasks]
    await asyncio.sleep(1)
    for wait in waits[::2]:
        wait.cancel("enough")
    results = await asyncio.gather(*waits, return_exceptions=True)
    assert all(isinstance(each, asyncio.CancelledError) for each in results[::2])
    assert all(each.id for each in results[1::2])  # type: ignore[union-attr]
    assert (await tasks[0]).id == "p0.org-9"


async def test_closing_sends_what_waits(emulator: Emulator) -> None:
    session = session_at(emulator, coalesce=True)
    waiting = [asyncio.ensure_future(create(session, name)) for name in "aab"]
    await asyncio.sleep(0)
    await session.aclose()
    first, second, other = await asyncio.gather(*waiting, return_exceptions=True)
    assert emulator.requests == {"bulk_relationships": 1}
    assert first.id == other.id  # type: ignore[union-attr]
    assert isinstance(second, SessionClosed)  # its turn had not come, and nobody could have told when it does
    assert second.outcome is Outcome.NOT_SENT


async def test_closing_gives_up_on_what_has_no_answer() -> None:
    async with against([stall], coalesce=True) as (session, _):
        waiting = [asyncio.ensure_future(create(session, name)) for name in "aab"]
        await asyncio.sleep(1)
        waiting[2].cancel()
        await asyncio.sleep(0)
        await session.aclose(grace=2)
        first, held_back, cancelled = await asyncio.gather(*waiting, return_exceptions=True)
        assert isinstance(first, SessionClosed)
        assert first.outcome is Outcome.UNKNOWN
        assert isinstance(held_back, SessionClosed)
        assert held_back.outcome is Outcome.NOT_SENT
        assert isinstance(cancelled, asyncio.CancelledError)
        assert len(session.in_doubt) == 1


async def test_a_closed_session_takes_none(emulator: Emulator) -> None:
    session = session_at(emulator, coalesce=True)
    await session.aclose()
    with pytest.raises(SessionClosed):
        await create(session)


async def test_the_token_is_the_bulks(together: Session, emulator: Emulator) -> None:
    emulator.default = Accepted(Constant(1.0))
    first, _ = await pair(together)
    async with session_at(emulator) as other:
        assert len((await other.task(first.token())).receipts) == 2  # type: ignore[attr-defined]
