"""The id that an answer gives a request: on tasks, errors of tasks and events, whichever way a write went."""

import asyncio
from typing import Any

import pytest

from clinia_async import (
    CreateRelationship,
    Evidence,
    Ingestion,
    Ref,
    Task,
    TaskFailed,
    TaskPollError,
    WriteConflict,
)
from clinia_async.telemetry import ChunkSent, Event, RequestEnded, RetryScheduled, TaskAccepted, Throttled
from tests.factories import FROM, ID, ONCE, SOURCE, TO, TYPE, create, receipt, record, session_at
from tests.hostile import (
    Behaviour,
    Hostile,
    Peer,
    Seen,
    accepted,
    answer,
    close,
    persisted_document,
    refusal,
    task,
)

pytestmark = pytest.mark.usefixtures("each_way_through_aiohttp")

NAMED = {"X-Request-Id": "req-1"}


def stored(headers: dict[str, str] | None = None) -> Behaviour:
    async def behave(peer: Peer, seen: Seen) -> None:
        document = {"status": "PERSISTED", "relationship": persisted_document(seen)}
        await answer(document, 201, headers)(peer, seen)

    return behave


def queued(number: int) -> Behaviour:
    return answer({"status": "ACCEPTED", "taskId": "s_1"}, 202, {"X-Request-Id": f"req-{number}"})


async def task_of(*script: Behaviour, **options: Any) -> Task[Any]:
    async with Hostile(script) as server, session_at(server, **options) as session:
        return await create(session, data={"a": 1})


async def test_a_write_that_is_stored_at_once() -> None:
    assert (await task_of(stored(NAMED))).request_id == "req-1"


async def test_a_write_that_is_queued() -> None:
    assert (await task_of(queued(1))).request_id == "req-1"


async def test_an_answer_without_one() -> None:
    assert (await task_of(stored())).request_id is None
    assert (await task_of(accepted())).request_id is None


async def test_of_a_write_that_was_sent_twice_it_is_that_of_the_answer() -> None:
    assert (
        await task_of(refusal(503, headers={"X-Request-Id": "req-0"}), stored(NAMED))
    ).request_id == "req-1"
    assert (await task_of(close, queued(2))).request_id == "req-2"
    assert (await task_of(refusal(503, headers={"X-Request-Id": "req-0"}), stored())).request_id is None


async def test_of_a_write_whose_answer_was_lost_it_is_that_of_the_refusal() -> None:
    found = await task_of(close, refusal(409, "ALREADY_EXISTS", NAMED), answer(record({"a": 1})))
    assert (found.evidence, found.request_id) == (Evidence.READ_BACK, "req-1")


async def test_of_a_record_that_was_there_it_is_that_of_the_refusal() -> None:
    script = [refusal(409, "ALREADY_EXISTS", NAMED), answer(record({"a": 1}))]
    async with Hostile(script) as server, session_at(server) as session:
        found = await create(session, data={"a": 1}, on_existing="keep")
    assert found.request_id == "req-1"


async def test_partitions_and_deletes_have_one_too() -> None:
    script = [answer({"status": "PERSISTED"}, 200, NAMED), answer({"key": "ehr"}, 201, {"CF-Ray": "ray-2"})]
    async with Hostile(script) as server, session_at(server) as session:
        assert (await session.delete_relationship(SOURCE, TYPE, ID)).request_id == "req-1"
        assert (await session.create_source("ehr")).request_id == "ray-2"


async def test_writes_of_one_bulk_have_that_of_the_bulk() -> None:
    script = [answer({"status": "ACCEPTED", "taskId": "b_1"}, 202, NAMED)]
    ends = [receipt("SUCCESS", f"prac-{number}.{TO.id}") for number in range(3)]
    async with (
        Hostile(script, otherwise=task("SUCCESS", "b_1", ends)) as server,
        session_at(server, coalesce=True) as session,
    ):
        tasks = await asyncio.gather(*(create(session, f"prac-{number}") for number in range(3)))
    assert [each.request_id for each in tasks] == ["req-1"] * 3


async def test_the_error_of_a_task_has_that_of_the_write() -> None:
    script = [queued(1), task("FAILURE", receipts=[receipt("FAILURE")])]
    async with Hostile(script) as server, session_at(server) as session:
        with pytest.raises(TaskFailed) as caught:
            await (await create(session))
    assert caught.value.request_id == "req-1"


async def test_the_error_of_a_poll_has_that_of_the_poll() -> None:
    script = [queued(1)]
    refused = refusal(403, "PERMISSION_DENIED", {"X-Request-Id": "req-poll"})
    async with Hostile(script, otherwise=refused) as server, session_at(server) as session:
        with pytest.raises(TaskPollError) as caught:
            await (await create(session))
    assert caught.value.request_id == "req-poll"


async def test_a_conflict_after_a_lost_answer_has_that_of_the_refusal() -> None:
    script = [close, refusal(409, "ALREADY_EXISTS", NAMED)]
    async with (
        Hostile(script, otherwise=answer(record({"a": 2}))) as server,
        session_at(server) as session,
    ):
        with pytest.raises(WriteConflict) as caught:
            await create(session, data={"a": 1})
    assert caught.value.request_id == "req-1"


async def test_a_task_that_is_resumed_has_none() -> None:
    async with Hostile() as server, session_at(server) as session:
        assert session.task("s_1", source=SOURCE).request_id is None


async def test_events_of_a_throttled_write_have_that_of_each_answer() -> None:
    events: list[Event] = []
    script = [refusal(429, headers={"X-Request-Id": "req-0", "Retry-After": "1"}), queued(1)]
    await task_of(*script, observers=[events.append])
    ids = [(type(event), getattr(event, "request_id", "")) for event in events]
    assert ids == [
        (RequestEnded, "req-0"),
        (Throttled, "req-0"),
        (RetryScheduled, "req-0"),
        (RequestEnded, "req-1"),
        (TaskAccepted, "req-1"),
    ]


async def test_chunks_of_a_job_have_one() -> None:
    events: list[Event] = []
    script = [answer({"status": "PERSISTED", "taskId": "b_1"}, 200, NAMED)]
    async with (
        Hostile(script) as server,
        session_at(server, observers=[events.append], retry=ONCE) as session,
    ):
        writes = [CreateRelationship(SOURCE, TYPE, Ref(f"p-{number}", FROM.type), TO) for number in range(3)]
        await Ingestion(session, SOURCE, writes).run()
    assert [event.request_id for event in events if isinstance(event, ChunkSent)] == ["req-1"]


async def test_an_id_of_unusual_text_is_left_out() -> None:
    assert (await task_of(stored({"X-Request-Id": "x" * 500}))).request_id is None
    assert (await task_of(stored({"X-Request-Id": "two words"}))).request_id is None
