"""What a task that ended proves: every statement names its evidence, and no doubt is lost on the way."""

import asyncio
import gc
import logging
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import pytest

from clinia_async import (
    CliniaError,
    ConfigError,
    Evidence,
    GatherError,
    NotFound,
    Outcome,
    Patch,
    PatchOp,
    Polling,
    Profile,
    ProtocolError,
    Session,
    Task,
    TaskDropped,
    TaskFailed,
    TaskPollError,
    TaskStatus,
    TaskUnconfirmed,
)
from clinia_async.emulator import Accepted, Constant, Emulator
from tests.exchanges import AT, EHR, OFFICE, against, drop, held, join, joined, new, part, put, receipt
from tests.factories import ID, SOURCE, TYPE, create, session_at, write
from tests.hostile import (
    Behaviour,
    Hostile,
    Peer,
    Seen,
    accepted,
    answer,
    close,
    persisted,
    persisted_document,
    refusal,
    reply,
    task,
)
from tests.truth.test_same_outcome import SUBJECTS, statement

MISSING = refusal(404, "NOT_FOUND")
REJECTED = {"id": "e", "status": "REJECTED"}


def script(
    status: str, receipts: Any, *, read: Any = None, id: str = "s_1", posts: Any = None
) -> dict[str, Any]:
    """A write that is accepted and ends so; `read` answers each read of a record, in order."""
    return {
        "/tasks/": [task(status, id, receipts=receipts)],
        "GET": read or [MISSING],
        "/": posts or [accepted(id)],
    }


# ------------------------------------------------------------------------------ receipts and reads


async def test_a_stale_replica_does_not_make_a_create_dropped() -> None:
    reads = [MISSING, MISSING, answer(joined())]
    async with against(script("SUCCESS", [receipt("prac-1.org-9")], read=reads)) as (session, server):
        made = await session.submit(join())
        assert (await made).id == "prac-1.org-9"
        assert made.evidence is Evidence.RECEIPT
        assert server.count("GET", "/tasks/") == 1


async def test_a_record_that_stays_unreadable_is_done_with_the_record_as_sent() -> None:
    async with against(script("SUCCESS", [receipt("prac-1.org-9")])) as (session, _):
        made = await session.submit(join(data={"a": 1}))
        with pytest.raises(NotFound) as caught:
            await made
        assert (caught.value.outcome, caught.value.evidence) == (Outcome.DONE, Evidence.RECEIPT)
        assert caught.value.record.data == {"a": 1}  # type: ignore[attr-defined]


async def test_an_old_state_is_not_the_result_of_an_upsert() -> None:
    old, fresh = answer(held(data={"a": 0})), answer(held(data={"a": 1}))
    for reads in ([old, old, fresh], [old]):
        sent = script("SUCCESS", [receipt("prac-1", action="UPSERT")], read=reads)
        async with against(sent) as (session, _):
            assert (await (await session.submit(put(data={"a": 1})))).data == {"a": 1}


BEFORE, AFTER = {"meta": {"updatedAt": "2025-05-13T14:03:20Z"}}, {"meta": {"updatedAt": AT}}
ROLE = Patch(PatchOp.REPLACE, "/role", "nurse")
ITEM = Patch(PatchOp.ADD, "/list/-", "nurse")
OFFICES = {"contained": {"offices": [{"id": "main", "type": "office", "data": {"room": 4}}]}}


def change(session: Session) -> Any:
    return session.update_relationship(EHR, "works-at", "prac-1.org-9", [ROLE])


def add(session: Session) -> Any:
    return session.update_relationship(EHR, "works-at", "prac-1.org-9", [ITEM])


def contain(session: Session) -> Any:
    return session.create_contained(EHR, "practitioner", "prac-1", ["offices"], OFFICE)


def contain_main(session: Session) -> Any:
    return session.upsert_contained(EHR, "practitioner", "prac-1", ["offices", "main"], OFFICE)


def remove_main(session: Session) -> Any:
    return session.delete_contained(EHR, "practitioner", "prac-1", ["offices", "main"])


CHANGES = [(change, joined()), (add, joined()), (contain, held()), (contain_main, held())]
CHANGES += [(remove_main, held(**OFFICES))]


@pytest.mark.parametrize("times", [{}, BEFORE], ids=["without times", "of before the write"])
@pytest.mark.parametrize(("send", "old"), CHANGES)
async def test_a_record_that_does_not_show_the_write_is_never_its_result(
    send: Any, old: dict[str, Any], times: dict[str, Any]
) -> None:
    entry = receipt(old["id"], action="UPDATE", receivedAt=AT)
    async with against(script("SUCCESS", [entry], read=[answer({**old, **times})])) as (session, server):
        made = await send(session)
        with pytest.raises(ProtocolError, match="does not show it") as caught:
            await made
        assert (caught.value.outcome, caught.value.evidence) == (Outcome.DONE, Evidence.RECEIPT)
        assert server.count("GET") > 3, "a replica may lag"


@pytest.mark.parametrize(("send", "old"), CHANGES)
async def test_a_record_that_was_changed_after_the_write_came_in_is_its_result(
    send: Any, old: dict[str, Any]
) -> None:
    reads = [answer({**old, **BEFORE}), answer({**old, **AFTER})]
    sent = script("SUCCESS", [receipt(old["id"], action="UPDATE", receivedAt=AT)], read=reads)
    async with against(sent) as (session, _):
        assert (await (await send(session))).meta.updated_at is not None


async def test_the_record_of_a_create_is_as_sent_where_another_is_read_back() -> None:
    entry = receipt("prac-1.org-9", receivedAt=AT)
    for times in (BEFORE, {}):
        read = [answer(joined(data={"a": "of another life"}, **times))]
        async with against(script("SUCCESS", [entry], read=read)) as (session, _):
            assert (await (await session.submit(join(data={"a": 1})))).data == {"a": 1}


async def test_a_resumed_write_has_no_result_that_is_older_than_the_write() -> None:
    entry = receipt("prac-1", action="UPSERT", receivedAt=AT)
    old = answer(held(meta={"updatedAt": "2025-05-13T14:03:11Z"}))
    async with against(script("SUCCESS", [entry], read=[old])) as (session, _):
        resumed = session.task((await session.submit(put(data={"a": 1}))).token())
        with pytest.raises(ProtocolError, match="does not show it") as caught:
            await resumed
        assert (caught.value.outcome, caught.value.evidence) == (Outcome.DONE, Evidence.RECEIPT)


async def test_a_delete_with_a_receipt_needs_no_read() -> None:
    async with against(script("SUCCESS", [receipt("prac-1", action="DELETE")])) as (session, server):
        assert await (await session.submit(drop())) is None
        assert server.count("GET") == 1


@pytest.mark.parametrize("of", ["session", "call"])
async def test_without_reading_back_the_record_is_as_sent(of: str) -> None:
    in_session, in_call = ({"read_back": False}, {}) if of == "session" else ({}, {"read_back": False})
    async with against(script("SUCCESS", [receipt("made-1")]), **in_session) as (session, server):
        data = {"a": [1]}
        made = await session.create_resource(EHR, "practitioner", data=data, **in_call)
        found = await made
        assert (found.id, found.type, found.data) == ("made-1", "practitioner", {"a": [1]})
        assert [seen.method for seen in server.requests] == ["POST", "GET"]


async def test_a_token_in_place_of_an_id_is_always_read_back() -> None:
    read = [answer(held("made-1", data={"self": "made-1"}))]
    async with against(script("SUCCESS", [receipt("made-1")], read=read), read_back=False) as (session, _):
        made = await session.submit(new("@rootId", data={"self": "@rootId"}))
        assert (await made).data == {"self": "made-1"}


@pytest.mark.parametrize("write", [join(), put(), drop(), new()])
async def test_a_refusal_of_a_reviewer_drops_creates_and_changes(write: Any) -> None:
    entry = receipt(write.id, action=str(write.action), pipelineExecution=REJECTED)
    read = [
        answer(joined() if "." in write.id else held())
    ]  # what is there is not read: the receipt proves it
    async with against(script("SUCCESS", [entry], read=read)) as (session, server):
        with pytest.raises(TaskDropped) as caught:
            await (await session.submit(write))
        assert (caught.value.outcome, caught.value.evidence) == (Outcome.REJECTED, Evidence.RECEIPT)
        assert len(caught.value.failed_receipts) == 1
        assert server.count("GET") == 1, "the receipt proves it"


async def test_a_dropped_operation_of_a_bulk_is_reported() -> None:
    receipts = [receipt("p1"), receipt("p2", pipelineExecution=REJECTED)]
    async with against(script("SUCCESS", receipts, id="bk_1")) as (session, _):
        with pytest.raises(TaskDropped) as caught:
            await (await session.bulk(EHR, [new("p1"), put("p2")]))
        assert caught.value.outcome is Outcome.UNKNOWN  # the other one is stored
        assert caught.value.result is not None
        assert [entry.id for entry in caught.value.result.failed] == ["p2"]


async def test_a_review_in_a_word_not_known_is_read_back_and_compared() -> None:
    entry = receipt("prac-1", action="UPSERT", pipelineExecution={"id": "e", "status": "NEW_WORD"})
    for data, kind in (({"a": 1}, None), ({"a": 0}, TaskUnconfirmed)):
        async with against(script("SUCCESS", [entry], read=[answer(held(data=data))])) as (session, _):
            made = await session.submit(put(data={"a": 1}))
            if kind is None:
                assert (await made).data == {"a": 1}
                assert made.evidence is Evidence.READ_BACK
            else:
                with pytest.raises(kind) as caught:
                    await made
                assert (caught.value.outcome, caught.value.evidence) == (Outcome.UNKNOWN, Evidence.NONE)


# ------------------------------------------------------------------------------ receipts that are refused


REFUSED = [
    refusal(404, "NOT_FOUND"),
    refusal(403, "PERMISSION_DENIED"),
    refusal(400, "INVALID_ARGUMENT"),
    refusal(429),
]


@pytest.mark.parametrize("receipts", REFUSED)
async def test_refused_receipts_of_a_success_are_done(receipts: Any) -> None:
    async def send(session: Session, way: str) -> Task[Any]:
        if way == "bulk":
            return await session.bulk(EHR, [new("p1"), put("p2")])
        if way == "resumed":
            return session.task("s_1", source=EHR)
        return await session.create_resource(EHR, "practitioner", data={})

    for way, id_ in (("bulk", "bk_1"), ("made id", "s_1"), ("resumed", "s_1")):
        rules = {"withReceipts": [receipts], "/tasks/": [task("SUCCESS", id_)], "/": [accepted(id_)]}
        async with against(rules) as (session, _):
            made = await send(session, way)
            with pytest.raises(CliniaError) as caught:
                await made
            assert (caught.value.outcome, caught.value.evidence) == (Outcome.DONE, Evidence.TASK), way
            with pytest.raises(CliniaError) as caught:
                await made.receipts()
            assert caught.value.outcome is Outcome.DONE, "the read was refused, not the write"


async def test_refused_receipts_leave_a_known_key_to_be_read_back() -> None:
    rules = {
        "withReceipts": [refusal(403, "PERMISSION_DENIED")],
        "/tasks/": [task("SUCCESS")],
        "GET": [answer(joined())],
        "/": [accepted()],
    }
    async with against(rules) as (session, _):
        made = await session.submit(join())
        assert (await made).id == "prac-1.org-9"
        assert made.evidence is Evidence.READ_BACK


@pytest.mark.parametrize("receipts", [None, []])
async def test_a_failure_without_receipts_is_a_failed_task(receipts: Any) -> None:
    async with against(script("FAILURE", receipts)) as (session, server):
        made = await session.submit(join())
        for _ in range(2):
            with pytest.raises(TaskFailed) as caught:
                await made
        assert (caught.value.outcome, caught.value.evidence) == (Outcome.REJECTED, Evidence.TASK)
    async with against(script("FAILURE", receipts, id="bk_1")) as (session, server):
        with pytest.raises(TaskFailed) as caught:
            await (await session.bulk(EHR, [new("p1"), put("p2")]))
        assert caught.value.outcome is Outcome.UNKNOWN, "others of the bulk may be stored"
        assert server.count("GET") == (2 if receipts is None else 1)


async def test_receipts_that_may_be_missing_reject_nothing() -> None:
    one = [receipt("p1", "FAILURE", error="INTERNAL")]
    async with against(script("FAILURE", one, id="bk_1")) as (session, _):
        for wait in (session.task("bk_1", source=EHR), await session.bulk(EHR, [new("p1"), put("p2")])):
            with pytest.raises(TaskFailed) as caught:
                await wait
            assert caught.value.outcome is Outcome.UNKNOWN
    async with against(script("SUCCESS", [])) as (session, _):
        with pytest.raises(CliniaError) as empty:
            await session.task("s_1", source=EHR)
        assert (empty.value.outcome, empty.value.evidence) == (Outcome.DONE, Evidence.TASK)


@pytest.mark.parametrize("way", ["single", "bulk", "bundle", "resumed"])
@pytest.mark.parametrize(
    ("status", "other"),
    [("SUCCESS", "FAILURE"), ("SUCCESS", "CANCELLED"), ("FAILURE", "SUCCESS"), ("CANCELLED", "SUCCESS")],
)
async def test_a_task_and_a_receipt_that_contradict_each_other_prove_nothing(
    status: str, other: str, way: str
) -> None:
    id_ = {"bulk": "bk_1", "bundle": "bd_1"}.get(way, "s_1")
    async with against(script(status, [receipt("prac-1.org-9", other)], id=id_)) as (session, _):
        if way == "single":
            made: Any = await session.submit(join())
        elif way == "resumed":
            made = session.task("s_1", source=EHR)
        else:
            made = await (session.bulk if way == "bulk" else session.bundle)(EHR, [join()])
        with pytest.raises(TaskFailed) as caught:
            await made
        assert (caught.value.outcome, caught.value.evidence) == (Outcome.UNKNOWN, Evidence.NONE)


CONTRADICTIONS: dict[str, Sequence[dict[str, Any]]] = {
    "stored and dropped": ({}, {"pipelineExecution": REJECTED}),
    "stored and failed": ({}, {"status": "FAILURE", "error": "INTERNAL"}),
    "failed and taken": (
        {"status": "FAILURE", "error": "INVALID_ARGUMENT"},
        {"status": "FAILURE", "error": "ALREADY_EXISTS"},
    ),
    "a status in small letters": ({"status": "success"},),
    "a receipt that has not ended": ({"status": "PENDING"},),
}


@pytest.mark.parametrize("way", ["alone", "bulk", "bundle", "bulk job", "single job"])
@pytest.mark.parametrize("status", ["SUCCESS", "FAILURE", "CANCELLED"])
@pytest.mark.parametrize("name", CONTRADICTIONS)
async def test_receipts_of_one_write_that_contradict_each_other_prove_nothing(
    name: str, status: str, way: str
) -> None:
    subject = SUBJECTS["create"]
    id_ = {"alone": "s_1", "single job": "s_1", "bundle": "bd_1"}.get(way, "bk_1")
    for step in (1, -1):
        ends = [{"status": "SUCCESS", **each} for each in CONTRADICTIONS[name][::step]]
        receipts = [receipt(subject.write.id, **each) for each in ends]
        rules = {
            "/tasks/": [task(status, id_, receipts=receipts)],
            "GET": [subject.different],
            "/": [accepted(id_)],
        }
        async with against(rules) as (session, _):
            assert await statement(session, subject, way) == "unknown"


@pytest.mark.parametrize(("status", "outcome"), [("SUCCESS", Outcome.DONE), ("FAILURE", Outcome.UNKNOWN)])
async def test_a_receipt_that_names_no_record_is_as_good_as_its_task(status: str, outcome: Outcome) -> None:
    error = None if status == "SUCCESS" else "ALREADY_EXISTS"
    named = receipt("..", status, error=error, targetType="RESOURCE", type="practitioner")
    async with against(script(status, [named])) as (session, _):
        with pytest.raises(ProtocolError) as caught:
            await (await session.submit(new(None), maybe_applied=True))
        assert caught.value.outcome is outcome


# ------------------------------------------------------------------------------ after a lost answer


async def result_of(session: Session, way: str) -> Any:
    if way == "bulk":
        return await (await session.bulk(EHR, [join()]))
    if way == "single":
        return await (await session.submit(join()))
    writes = (session.submit(join()), session.submit(join("b")))
    handle, _ = await asyncio.gather(*writes, return_exceptions=True)
    if isinstance(handle, BaseException):
        raise handle
    return await handle


@pytest.mark.parametrize("error", ["INTERNAL", "FAILED_PRECONDITION", "INVALID_ARGUMENT", None])
@pytest.mark.parametrize("way", ["single", "bulk", "coalesced"])
async def test_a_failure_after_a_lost_answer_is_unknown(error: str | None, way: str) -> None:
    ids = ["prac-1.org-9", "b.org-9"]
    receipts = [receipt(id_, "FAILURE", error=error) for id_ in (ids if way == "coalesced" else ids[:1])]
    id_ = "s_1" if way == "single" else "bk_1"
    rules = script("FAILURE", receipts, id=id_, posts=[close, accepted(id_)])
    async with against(rules, coalesce=way == "coalesced") as (session, _):
        with pytest.raises(CliniaError) as caught:
            await result_of(session, way)
        assert caught.value.outcome is Outcome.UNKNOWN


async def test_a_dropped_write_after_a_lost_answer_is_unknown() -> None:
    entry = receipt("prac-1.org-9", pipelineExecution=REJECTED)
    async with against(script("SUCCESS", [entry], posts=[close, accepted()])) as (session, _):
        with pytest.raises(TaskDropped) as caught:
            await (await session.submit(join()))
        assert caught.value.outcome is Outcome.UNKNOWN


async def test_a_token_keeps_that_an_answer_was_lost() -> None:
    entry = receipt("prac-1.org-9", "FAILURE", error="INTERNAL")
    async with against(script("FAILURE", [entry], posts=[close, accepted()])) as (session, _):
        made = await session.submit(join())
        resumed = session.task(made.token())
        assert resumed.maybe_applied
        assert resumed.token() == made.token()
        with pytest.raises(TaskFailed) as caught:
            await resumed
        assert caught.value.outcome is Outcome.UNKNOWN
    refused = {"/tasks/": [refusal(403, "PERMISSION_DENIED")], "/": [close, accepted()]}
    async with against(refused) as (session, _):
        made = await session.submit(join())
        with pytest.raises(TaskPollError) as lost:
            await made
        assert lost.value.token == made.token()
    async with against(script("FAILURE", [entry])) as (session, _):
        assert "maybeApplied" not in (await session.submit(join())).token()
        with pytest.raises(ConfigError):
            session.task('{"v":1,"source":"ehr","task":"s_1","maybeApplied":1}')


# ------------------------------------------------------------------------------ polls


@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 405, 407, 410, 421, 502])
async def test_a_page_of_an_intermediary_means_poll_again(status: int) -> None:
    page = reply(status, b"<html>a proxy</html>", {"Location": "https://login.example"}, kind="text/html")
    polls = [task("PENDING"), page, page, task("SUCCESS", receipts=[receipt("prac-1.org-9")])]
    async with against({"/tasks/": polls, "GET": [answer(joined())], "/": [accepted()]}) as (session, _):
        assert (await (await session.submit(join()))).id == "prac-1.org-9"


async def test_the_end_is_noticed_soon_after_an_outage() -> None:
    loop = asyncio.get_running_loop()
    polls = [task("PENDING"), *[refusal(503)] * 40, task("SUCCESS", receipts=[receipt("prac-1.org-9")])]
    rules = {"/tasks/": polls, "GET": [answer(joined())], "/": [accepted()]}
    async with against(rules, polling=Polling(pace=lambda *_: 0.25, jitter=0.0)) as (session, _):
        began = loop.time()
        await (await session.submit(join()))
        assert loop.time() - began < 45, "40 bad answers, a second each"


@pytest.mark.parametrize(
    "wrong",
    [
        {"in_flight": 0},
        {"in_flight": 1.5},
        {"per_second": 0},
        {"per_second": float("nan")},
        {"grace": -1},
        {"patience": -0.1},
        {"jitter": 1.0},
        {"jitter": True},
        {"pace": 5},
    ],
)
def test_wrong_settings_of_polling_are_refused(wrong: Any) -> None:
    (name,) = wrong
    with pytest.raises(ConfigError, match=f"Polling.{name}"):
        Polling(**wrong)


# ------------------------------------------------------------------------------ many at once, and none


@pytest.fixture
def slow(emulator: Emulator) -> None:
    emulator.default = Accepted(Constant(1.0))


FAILS = script("FAILURE", [receipt("prac-1.org-9", "FAILURE", error="INTERNAL")])


async def test_all_failures_of_a_gather_are_reported() -> None:
    ends = {
        "/tasks/s_1": FAILS["/tasks/"],
        "/tasks/s_2": [task("SUCCESS", "s_2", receipts=[receipt("prac-1.org-9", action="DELETE")])],
        "/": [accepted("s_1"), accepted("s_1"), accepted("s_2")],
    }
    async with against(ends) as (session, _):
        tasks = [await session.submit(join()), await session.submit(join()), await session.submit(part())]
        with pytest.raises(GatherError) as caught:
            await session.gather(*tasks)
        assert [type(error) for error in caught.value.exceptions] == [TaskFailed, TaskFailed]
        assert (caught.value.outcome, caught.value.evidence) == (Outcome.REJECTED, Evidence.RECEIPT)
        found = await session.gather(*tasks, return_exceptions=True)
        assert [isinstance(each, TaskFailed) for each in found] == [True, True, False]
        with pytest.raises(TaskFailed):
            await session.gather(tasks[0], tasks[2])
        with pytest.raises(ExceptionGroup) as group:
            await session.gather(*tasks)
        assert group.group_contains(TaskFailed)


@pytest.mark.parametrize("error", [ValueError("line 4 is bad"), asyncio.CancelledError()])
@pytest.mark.parametrize("is_async", [False, True])
async def test_a_source_that_raises_loses_no_handle(
    session: Session, slow: None, error: BaseException, is_async: bool
) -> None:
    if isinstance(error, asyncio.CancelledError) and not is_async:
        pytest.skip("a source that is no coroutine is not cancelled")
    tasks = [await create(session, name) for name in ("a", "b", "c")]

    def source() -> Any:
        yield from tasks
        raise error

    async def async_source() -> AsyncIterator[Any]:
        for each in tasks:
            yield each
        raise error

    given: list[Any] = []

    async def take() -> None:
        async for each in session.as_completed(async_source() if is_async else source()):
            given.append(each)  # noqa: PERF401  what was given before the error is kept

    with pytest.raises(type(error)):
        await take()
    assert set(given) == set(tasks)


async def collected() -> None:
    """Let go of what the loop still holds: a jumping clock keeps its timers until their time has come."""
    await asyncio.sleep(120)
    gc.collect()


async def test_a_failed_task_that_nobody_asks_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    entry = receipt("canary.org-9", "FAILURE", error="INTERNAL")
    async with against(script("FAILURE", [entry])) as (session, _):
        handle = await session.submit(join("canary"))
        assert weakref.ref(handle)() is handle
        await session.wait([handle])
        assert handle.state is TaskStatus.FAILURE
        with caplog.at_level(logging.WARNING, logger="clinia_async.tasks"):
            del handle
            await collected()
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("clinia_async.tasks", logging.WARNING)
    assert "never retrieved" in record.getMessage()
    assert "canary" not in record.getMessage()
    assert "s_1" not in record.getMessage()


async def test_tasks_that_nobody_awaits_are_counted_at_the_close(
    emulator: Emulator, slow: None, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="clinia_async.tasks"):
        async with session_at(emulator) as session:
            for name in ("a", "b", "c"):
                await create(session, name)
            kept = (await create(session, "d")).token()
            await (await create(session, "e"))
            await collected()
        assert [record.getMessage().split()[0] for record in caplog.records] == ["3"]
        assert "never retrieved" in caplog.text
    assert kept


# ------------------------------------------------------------------------------ errors within a success

ERROR = {"type": "INTERNAL", "message": "no"}
WAYS: dict[str, Callable[[Session], Awaitable[object]]] = {
    "create": create,
    "delete": lambda session: session.delete_relationship(SOURCE, TYPE, ID),
    "bulk": lambda session: session.bulk(SOURCE, [write()]),
    "bundle": lambda session: session.bundle(SOURCE, [write()]),
    "profile": lambda session: session.put_profile(SOURCE, "p", Profile({"name": {"type": "symbol"}})),
    "source": lambda session: session.create_source(SOURCE),
    "source without a body of its own": lambda session: session.delete_source(SOURCE),
    "partition": lambda session: session.delete_partition("clinics"),
}


def done_with(**fields: object) -> Behaviour:
    """Say that a write is stored, with the record if it is one, and with more fields."""

    async def behave(peer: Peer, seen: Seen) -> None:
        is_create = seen.target.endswith(f"/relationships/{TYPE}")
        record = {"relationship": persisted_document(seen)} if is_create else {}
        more = {"status": "PERSISTED", **record} if "/v1/re" in seen.target or "/bu" in seen.target else {}
        await answer({**fields, **more}, 200)(peer, seen)

    return behave


@pytest.mark.parametrize(("field", "value"), [("error", ERROR), ("errors", [ERROR]), ("error", "no")])
@pytest.mark.parametrize("way", WAYS)
async def test_a_success_that_holds_an_error_proves_nothing(way: str, field: str, value: object) -> None:
    async with (
        Hostile(otherwise=done_with(**{field: value})) as server,
        session_at(server) as session,
    ):
        with pytest.raises(ProtocolError) as caught:
            await WAYS[way](session)
    assert (caught.value.outcome, caught.value.evidence) == (Outcome.UNKNOWN, Evidence.NONE)


@pytest.mark.parametrize("nothing", [None, [], {}, ""])
@pytest.mark.parametrize("way", WAYS)
async def test_an_error_that_is_empty_is_none(way: str, nothing: object) -> None:
    async with (
        Hostile(otherwise=done_with(error=nothing)) as server,
        session_at(server) as session,
    ):
        await WAYS[way](session)


@pytest.mark.parametrize("type_", [None, True, 1, 1.5, [], ["INTERNAL"], {}, {"a": 1}, "symbol"])
@pytest.mark.parametrize("way", ["create", "bulk", "bundle", "delete"])
async def test_a_type_beside_a_message_that_names_no_error_is_no_envelope(way: str, type_: object) -> None:
    async with (
        Hostile(otherwise=done_with(type=type_, message="stored")) as server,
        session_at(server) as session,
    ):
        await WAYS[way](session)


@pytest.mark.parametrize("way", WAYS)
async def test_an_envelope_with_a_good_status_proves_nothing(way: str) -> None:
    async with (
        Hostile(otherwise=done_with(type="INTERNAL", message="no")) as server,
        session_at(server) as session,
    ):
        with pytest.raises(ProtocolError) as caught:
            await WAYS[way](session)
    assert (caught.value.outcome, caught.value.evidence) == (Outcome.UNKNOWN, Evidence.NONE)


@pytest.mark.parametrize("answer", [accepted(), persisted], ids=["accepted", "persisted"])
async def test_no_error_of_a_handle_says_that_its_write_was_not_sent(answer: Behaviour) -> None:
    async with Hostile(otherwise=answer) as server, session_at(server) as session:
        task = await create(session)
        for wait in (task.wait,) if task.done() else (task.wait, task.result):
            with pytest.raises(ConfigError) as caught:
                await wait(timeout="x")  # type: ignore[operator]
            assert caught.value.outcome is (Outcome.DONE if task.done() else Outcome.UNKNOWN)


async def test_neither_does_one_of_a_write_without_a_task() -> None:
    async with Emulator() as emulator, session_at(emulator) as session:
        task = await session.create_source("another")
        with pytest.raises(ConfigError, match="no task") as caught:
            task.token()
        assert caught.value.outcome is Outcome.DONE


@pytest.mark.parametrize("pause", [float("nan"), "soon", None])
async def test_neither_does_one_of_the_pace(pause: object) -> None:
    polling = Polling(pace=lambda *_: pause)  # type: ignore[arg-type,return-value]
    async with Hostile(otherwise=accepted()) as server, session_at(server, polling=polling) as session:
        task = await create(session)
        with pytest.raises(ConfigError, match=r"Polling\.pace must give a number") as caught:
            await task
        assert caught.value.outcome is Outcome.UNKNOWN
