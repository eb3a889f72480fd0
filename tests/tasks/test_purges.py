"""A purge is sent once, watched by its own endpoint, and tells how many records it deleted."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from clinia_async import (
    CollectionType,
    Evidence,
    InvalidWrite,
    NotFound,
    Outcome,
    ProtocolError,
    Purge,
    PurgeOperation,
    RequestError,
    TaskCancelled,
    TaskFailed,
    TaskId,
    TaskKind,
)
from clinia_async.calls import RetrySafety
from tests.exchanges import EHR, PERSON, WORKS_AT, against, sent
from tests.factories import ONCE
from tests.hostile import Behaviour, answer, close, refusal, reply, reset, stall

PG, OLD = "pg_2wil2v", "purge:2wil2v"
ABOUT = {"collectionType": "resources", "collectionKey": PERSON}


def operation(status: str, id: str = PG, **more: Any) -> dict[str, Any]:
    return {"taskId": id, "purgeId": id, **ABOUT, "status": status, **more}


def begun(id: str = PG, **more: Any) -> Behaviour:
    document = {"taskId": id, "status": "ACCEPTED", "purgeOperation": operation("PENDING", id)}
    return answer({**document, **more}, 202)


def done(id: str = PG, **more: Any) -> Behaviour:
    return answer(operation("SUCCESS", id, deletedCount=7, **more))


async def purge(session: Any) -> Any:
    return await session.purge(EHR, CollectionType.RESOURCES, PERSON)


async def test_it_is_watched_by_its_own_endpoint() -> None:
    script = {"GET": [answer(operation("PENDING")), answer(operation("PENDING")), done()], "POST": [begun()]}
    async with against(script) as (session, server):
        purging = await purge(session)
        assert (purging.kind, purging.done()) == (TaskKind.PURGE, False)
        result = await purging
        assert isinstance(result, PurgeOperation)
        assert (result.deleted_count, result.collection_key, str(result.task_id)) == (7, PERSON, PG)
        assert sent(server) == ABOUT
        assert server.seen()[0] == ("POST", "/sources/ehr/v1/purge")
        assert set(server.seen()[1:]) == {("GET", f"/sources/ehr/v1/purge/{PG}")}
        assert (await purging) is result


@pytest.mark.parametrize(
    "lost", [close, reset, stall, reply(503), reply(200, b"{"), answer({}), refusal(500)]
)
async def test_a_lost_answer_is_unknown_and_never_repeated(lost: Behaviour) -> None:
    async with against([lost]) as (session, server):
        with pytest.raises(RequestError) as caught:
            await purge(session)
        assert caught.value.outcome is Outcome.UNKNOWN
        assert len(server.requests) == 1


async def test_what_provably_did_not_run_is_sent_again() -> None:
    async with against([refusal(429), begun()]) as (session, server):
        assert str((await purge(session)).id) == PG
        assert len(server.requests) == 2


async def test_a_404_just_after_it_was_accepted_is_no_end() -> None:
    script = {"POST": [begun()], "GET": [refusal(404, "NOT_FOUND"), done()]}
    async with against(script) as (session, _):
        assert (await (await purge(session))).deleted_count == 7


@pytest.mark.parametrize(("status", "kind"), [("FAILURE", TaskFailed), ("CANCELLED", TaskCancelled)])
async def test_a_purge_that_failed(status: str, kind: type[Exception]) -> None:
    for resumed in (False, True):
        async with against({"POST": [begun()], "GET": [answer(operation(status))]}) as (session, _):
            with pytest.raises(kind):
                await (session.task(PG, source=EHR) if resumed else await purge(session))


@pytest.mark.parametrize("said", [OLD, PG])
@pytest.mark.parametrize("asked", [OLD, PG])
async def test_a_deprecated_id_is_watched_too(asked: str, said: str) -> None:
    """It may come back as it was asked for, or in its current form; a current one comes back as it is."""
    async with against({"GET": [answer(operation("PENDING", said)), done(said)]}, timeout=5) as (
        session,
        server,
    ):
        if (asked, said) == (PG, OLD):
            with pytest.raises(ProtocolError):
                await session.get_purge(EHR, asked)
            return
        resumed = session.task(asked, source=EHR)
        assert resumed.kind is TaskKind.PURGE
        result = await resumed
        assert isinstance(result, PurgeOperation)
        assert result.deleted_count == 7
        assert {target for _, target in server.seen()} == {
            f"/sources/ehr/v1/purge/{asked.replace(':', '%3A')}"
        }


async def test_a_token_resumes_a_purge() -> None:
    async with against({"POST": [begun()], "GET": [done()]}) as (session, server):
        purging = await purge(session)
        token = purging.token()
        del purging
        result = await session.task(token)
        assert isinstance(result, PurgeOperation)
        assert result.deleted_count == 7
        assert server.count("GET", "/tasks/") == 0


async def test_a_purge_that_ended_and_can_not_be_read_is_done_all_the_same() -> None:
    script = {"POST": [begun()], "GET": [done(), refusal(404, "NOT_FOUND"), done()]}
    async with against(script) as (session, _):
        purging = await purge(session)
        with pytest.raises(NotFound) as caught:
            await purging
        assert caught.value.outcome is Outcome.DONE
        assert (await purging).deleted_count == 7


async def test_an_answer_from_before_the_end_is_not_the_result() -> None:
    script = {"POST": [begun()], "GET": [done(), answer(operation("PENDING")), done()]}
    async with against(script) as (session, _):
        purging = await purge(session)
        with pytest.raises(ProtocolError) as caught:
            await purging
        assert caught.value.outcome is Outcome.DONE
        assert (await purging).deleted_count == 7


@pytest.mark.parametrize("change", [{"collectionKey": "other"}, {"collectionType": "objects"}])
async def test_the_purge_of_another_collection(change: dict[str, str]) -> None:
    async with against({"POST": [begun()], "GET": [done(**change)]}) as (session, _):
        with pytest.raises(ProtocolError):
            await (await purge(session))


async def test_a_purge_that_is_done_at_once() -> None:
    document = {"taskId": PG, "status": "PERSISTED", "purgeOperation": operation("SUCCESS", deletedCount=0)}
    async with against([answer(document)]) as (session, server):
        purging = await purge(session)
        assert purging.done()
        assert (await purging).deleted_count == 0
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    "document",
    [
        {"taskId": PG, "status": "PERSISTED"},
        {
            "taskId": PG,
            "status": "PERSISTED",
            "purgeOperation": {**operation("SUCCESS"), "collectionKey": "x"},
        },
        {"status": "ACCEPTED"},
        {"taskId": PG, "status": "SOMETHING_NEW"},
    ],
)
async def test_an_answer_that_is_no_purge(document: Any) -> None:
    async with against([answer(document)]) as (session, server):
        with pytest.raises(ProtocolError) as caught:
            await purge(session)
        assert caught.value.outcome is Outcome.UNKNOWN
        assert len(server.requests) == 1


async def test_get_purge_polls_once() -> None:
    async with against([answer(operation("PENDING", createdAt="2025-05-13T14:03:21.1234Z"))]) as (
        session,
        server,
    ):
        found = await session.get_purge(EHR, TaskId(PG))
        assert (found.status, found.deleted_count) == ("PENDING", None)
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    "arguments", [("resources", "no no"), ("relationships", ""), (None, WORKS_AT), (7, PERSON)]
)
async def test_bad_purges(arguments: Any) -> None:
    async with against([]) as (session, server):
        with pytest.raises(InvalidWrite):
            await session.purge(EHR, *arguments)
        assert not server.requests


async def test_a_cancelled_purge_is_in_doubt() -> None:
    async with against([stall]) as (session, server):
        purging = asyncio.ensure_future(purge(session))
        await asyncio.sleep(1)
        assert len(server.requests) == 1
        purging.cancel()
        with pytest.raises(asyncio.CancelledError):
            await purging
        assert [type(entry.call) for entry in session.in_doubt] == [Purge]
        await session.aclose(grace=0)


def test_a_purge_may_not_be_repeated() -> None:
    assert Purge(EHR, CollectionType.OBJECTS, PERSON).retry_safety is RetrySafety.ONCE


@pytest.mark.parametrize("status", ["FAILURE", "CANCELLED"])
@pytest.mark.parametrize("resumed", [False, True])
async def test_a_purge_that_is_said_to_have_succeeded_and_not_proves_nothing(
    status: str, resumed: bool
) -> None:
    script = {"POST": [begun()], "GET": [done(), answer(operation(status))]}
    async with against(script) as (session, _):
        purging = session.task(PG, source=EHR) if resumed else await purge(session)
        with pytest.raises(ProtocolError) as caught:
            await purging
        assert (caught.value.outcome, caught.value.evidence) == (Outcome.UNKNOWN, Evidence.NONE)


@pytest.mark.parametrize(("said", "proven"), [("FAILURE", False), ("PENDING", True)])
async def test_the_endpoint_of_tasks_may_take_back_what_that_of_purges_says(said: str, proven: bool) -> None:
    state = answer({"taskId": PG, "status": said, "receipts": []})
    script = {"POST": [begun()], "/tasks/": [state], "GET": [done()]}
    async with against(script) as (session, _):
        purging = await purge(session)
        await purging.wait()
        with suppress(RequestError):
            await purging.receipts()
        if proven:
            assert (await purging).deleted_count == 7
            return
        with pytest.raises(ProtocolError) as caught:
            await purging
        assert caught.value.outcome is Outcome.UNKNOWN


@pytest.mark.parametrize("more", [{"failedCount": 3}, {"operations": [{"status": "FAILURE"}]}])
async def test_a_purge_that_failed_in_part_did_not_succeed(more: dict[str, Any]) -> None:
    at_once = {"taskId": PG, "status": "PERSISTED", "purgeOperation": operation("SUCCESS", **more)}
    for script in ({"POST": [answer(at_once)]}, {"POST": [begun()], "GET": [done(**more)]}):
        async with against(script) as (session, _):
            with pytest.raises(ProtocolError) as caught:
                await (await purge(session))
            assert caught.value.outcome is Outcome.UNKNOWN


@pytest.mark.parametrize("status", ["ACCEPTED", "PERSISTED"])
async def test_another_purge_than_the_one_that_was_sent(status: str) -> None:
    said = "SUCCESS" if status == "PERSISTED" else "PENDING"
    others = [operation(said, **{name: "other"}) for name in ABOUT]
    others += [operation(said, "pg_other"), operation(said) | {"purgeId": "pg_other"}]
    for other in others:
        begins = answer({"taskId": PG, "status": status, "purgeOperation": other})
        async with against({"POST": [begins], "GET": [done()]}) as (session, server):
            with pytest.raises(ProtocolError) as caught:
                await purge(session)
            assert caught.value.outcome is Outcome.UNKNOWN
            assert len(server.requests) == 1


async def test_a_purge_that_is_named_by_its_deprecated_field_alone() -> None:
    other = operation("SUCCESS") | {"taskId": None, "purgeId": "pg_other"}
    async with against([answer(other)], retry=ONCE) as (session, server):
        with pytest.raises(ProtocolError):
            await session.get_purge(EHR, PG)
        server.then(answer(other | {"purgeId": OLD}))
        assert (await session.get_purge(EHR, PG)).status == "SUCCESS"
