"""A lost answer is settled: one record, a right answer, and never somebody else's taken for ours."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from clinia_async import (
    AlreadyExists,
    FailedPrecondition,
    Identifier,
    Meta,
    NotFound,
    Outcome,
    ProtocolError,
    RawJson,
    RequestError,
    Session,
    TaskFailed,
    WriteConflict,
)
from clinia_async.emulator import (
    Accepted,
    Constant,
    DroppedRequest,
    Emulator,
    Fault,
    LostReply,
    Settings,
    TooManyRequests,
    TruncatedBody,
    Unavailable,
)
from tests.factories import (
    ID,
    ONCE,
    PARTITION,
    SOURCE,
    create,
    create_partition,
    receipt,
    record,
    session_at,
    write,
)
from tests.hostile import (
    Hostile,
    accepted,
    answer,
    by_target,
    close,
    persisted,
    raw,
    redirect,
    refusal,
    reply,
    reset,
    task,
)

pytestmark = pytest.mark.usefixtures("each_way_of_sending")

DATA = {"since": "2019-04-01", "share": 0.1, "count": 2**70, "tags": ["a", None, True], "in": {"deep": {}}}

Kind = Callable[..., Fault]


def executed_503(**more: Any) -> Unavailable:
    return Unavailable(executed=True, **more)


LOST = [LostReply, TruncatedBody, executed_503]


@pytest.mark.parametrize("kind", LOST)
async def test_a_lost_reply_leaves_one_relationship_and_a_right_answer(
    session: Session, emulator: Emulator, kind: Kind
) -> None:
    emulator.faults.add(kind(route="create_relationship", times=1))
    made = await create(session, data=DATA)
    assert made.done()
    found = await made
    assert (found.id, found.data) == (ID, DATA)
    assert made.reconciled
    assert made.maybe_applied
    assert made.attempts == 2
    assert emulator.relationships() == 1
    assert emulator.requests == {"create_relationship": 2, "get_relationship": 1}


@pytest.mark.parametrize("status", [400, 409])
@pytest.mark.parametrize("kind", LOST)
async def test_the_type_decides_and_not_the_status(kind: Kind, status: int) -> None:
    async with (
        Emulator(settings=Settings(already_exists=status)) as emulator,
        session_at(emulator) as session,
    ):
        emulator.faults.add(kind(route="create_relationship", times=1))
        assert (await create(session)).reconciled


@pytest.mark.parametrize("kind", [DroppedRequest, Unavailable])
async def test_a_write_that_was_not_carried_out_is_sent_again(
    session: Session, emulator: Emulator, kind: Kind
) -> None:
    emulator.faults.add(kind(route="create_relationship", times=2))
    made = await create(session, data=DATA)
    assert (await made).data == DATA
    assert not made.reconciled
    assert emulator.relationships() == 1
    assert emulator.requests == {"create_relationship": 3}


async def test_many_lost_replies_cost_no_write_and_double_none(emulator: Emulator) -> None:
    emulator.faults.add(LostReply(route="create_relationship", probability=0.05))
    async with session_at(emulator) as session:
        made = [await create(session, f"p-{number}", data={"n": number}) for number in range(200)]
        assert [(await one).data for one in made] == [{"n": number} for number in range(200)]
        assert emulator.relationships() == 200
        assert any(one.reconciled for one in made)


@pytest.mark.parametrize("kind", LOST)
async def test_a_lost_reply_of_an_accepted_write(session: Session, emulator: Emulator, kind: Kind) -> None:
    """Both were accepted: the second ends in ALREADY_EXISTS, which is its own twin's doing."""
    emulator.default = Accepted(Constant(5.0))
    emulator.faults.add(kind(route="create_relationship", times=1))
    made = await create(session, data=DATA)
    assert made.maybe_applied
    found = await made
    assert (found.id, found.data) == (ID, DATA)
    assert made.reconciled
    assert emulator.relationships() == 1
    assert emulator.requests["create_relationship"] == 2


async def test_a_twin_that_was_cancelled_is_our_own_doing() -> None:
    script = {
        "withReceipts": [task("CANCELLED", receipts=[receipt("CANCELLED")])],
        "/tasks/": [task("CANCELLED")],
        "GET": [answer(record())],
        "POST": [close, accepted()],
    }
    async with Hostile(otherwise=by_target(script)) as server, session_at(server) as session:
        made = await create(session)
        assert (await made).id == ID
        assert made.reconciled


@pytest.mark.rivals
async def test_an_accepted_write_that_meets_another_record_conflicts(
    session: Session, emulator: Emulator
) -> None:
    emulator.default = Accepted(Constant(5.0))
    rival = await create(session, data={"by": "somebody"})
    emulator.faults.add(DroppedRequest(route="create_relationship", times=1))
    made = await create(session, data={"by": "us"})
    await rival
    with pytest.raises(WriteConflict) as caught:
        await made
    assert caught.value.outcome is Outcome.UNKNOWN
    with pytest.raises(WriteConflict):
        await made


@pytest.mark.queued
@pytest.mark.rivals
async def test_an_accepted_write_without_a_lost_answer_is_not_reconciled(
    session: Session, emulator: Emulator
) -> None:
    emulator.default = Accepted(Constant(5.0))
    rival = await create(session, data=DATA)
    made = await create(session, data=DATA)
    await rival
    reads = emulator.requests["get_relationship"]
    with pytest.raises(TaskFailed):
        await made
    assert emulator.requests["get_relationship"] == reads
    assert not made.reconciled


@pytest.mark.parametrize(
    "theirs", [None, {}, {"since": "2020"}, {**DATA, "more": 1}, {**DATA, "count": float(2**70 + 2**20)}]
)
async def test_a_different_record_is_a_conflict(session: Session, emulator: Emulator, theirs: Any) -> None:
    await create(session, data=theirs)
    emulator.faults.add(DroppedRequest(route="create_relationship", times=1))
    with pytest.raises(WriteConflict) as caught:
        await create(session, data=DATA)
    assert caught.value.outcome is Outcome.UNKNOWN
    assert [stored.data for stored in emulator.stored()] == [theirs or {}]
    assert (await create(session, "another")).done()


@pytest.mark.parametrize(
    "change",
    [
        {"id": "prac-2.org-9"},
        {"type": "works-at"},
        {"from": {"id": "prac-1", "type": "patient"}},
        {"to": {"id": "org-8", "type": "organization"}},
        {"data": {"since": True}},
        {"data": [1]},
        {"meta": None},
        {"meta": {"createdAt": "2020-01-01T00:00:01Z"}},
        {"meta": {"createdAt": "2020-01-01T00:00:00Z", "identifier": []}},
    ],
)
async def test_what_counts_as_different(change: dict[str, Any]) -> None:
    meta = Meta(created_at=datetime(2020, 1, 1, tzinfo=UTC), identifier=(Identifier(system="s", value="v"),))
    held = {
        **record({"since": 1}),
        "meta": {"createdAt": "2020-01-01T00:00:00Z", "identifier": [{"system": "s", "value": "v"}]},
        **change,
    }
    script = {"POST": [reset, refusal(409, "ALREADY_EXISTS")], "GET": [answer(held)]}
    async with Hostile(otherwise=by_target(script)) as server, session_at(server) as session:
        with pytest.raises(RequestError) as caught:
            await create(session, data={"since": 1}, meta=meta)
        assert caught.value.outcome is Outcome.UNKNOWN
        assert not isinstance(caught.value, AlreadyExists)


async def test_what_the_service_adds_is_no_difference() -> None:
    meta = Meta(created_at=datetime(2020, 1, 1, 0, 0, 0, 123456, tzinfo=UTC))
    held = {
        **record({"a": 1.0, "b": [1, 2], "c": -0.0}),
        "meta": {
            "createdAt": "2020-01-01T00:00:00.123Z",
            "updatedAt": "2021-01-01T00:00:00Z",
            "source": "ehr",
        },
        "includes": {},
        "_links": {},
    }
    script = {"POST": [reset, refusal(409, "ALREADY_EXISTS")], "GET": [answer(held)]}
    async with Hostile(otherwise=by_target(script)) as server, session_at(server) as session:
        made = await create(session, data={"a": 1, "b": (1, 2), "c": 0}, meta=meta)
        assert made.reconciled


@pytest.mark.parametrize(
    "data",
    [
        RawJson(b'{"n": 1e2, "u": "00000000-0000-0000-0000-000000000001"}'),
        {"n": 100, "u": UUID(int=1)},
    ],
)
async def test_data_is_compared_as_it_was_sent(session: Session, emulator: Emulator, data: Any) -> None:
    emulator.faults.add(LostReply(route="create_relationship", times=1))
    assert (await create(session, data=data)).reconciled


async def test_already_exists_on_the_first_attempt_is_never_reconciled(
    session: Session, emulator: Emulator
) -> None:
    await create(session, data=DATA)
    with pytest.raises(AlreadyExists) as caught:
        await create(session, data=DATA)
    assert caught.value.outcome is Outcome.REJECTED
    assert caught.value.status == 409
    assert emulator.requests == {"create_relationship": 2}


async def test_already_exists_after_429_is_never_reconciled(session: Session, emulator: Emulator) -> None:
    await create(session, data=DATA)
    emulator.faults.add(TooManyRequests(route="create_relationship", times=2))
    with pytest.raises(AlreadyExists) as caught:
        await create(session, data=DATA)
    assert caught.value.outcome is Outcome.REJECTED
    assert emulator.requests == {"create_relationship": 4}


async def test_a_write_that_is_known_to_be_in_doubt_is_reconciled_at_once(
    session: Session, emulator: Emulator
) -> None:
    await create(session, data=DATA)
    made = await session.submit(write(data=DATA), maybe_applied=True)
    assert made.reconciled
    assert emulator.requests == {"create_relationship": 2, "get_relationship": 1}


async def test_a_409_without_a_type_reconciles_nothing() -> None:
    async with Hostile([close, refusal(409)]) as server, session_at(server) as session:
        with pytest.raises(RequestError) as caught:
            await create(session)
        assert caught.value.outcome is Outcome.UNKNOWN
        assert server.count("GET") == 0


async def test_it_is_taken_and_not_yet_to_be_read() -> None:
    """The first attempt is being stored: its record appears a moment later."""
    missing = refusal(404, "NOT_FOUND")
    script = {"POST": [close, refusal(409, "ALREADY_EXISTS")], "GET": [missing] * 4 + [answer(record())]}
    async with Hostile(otherwise=by_target(script)) as server, session_at(server) as session:
        assert (await create(session)).reconciled
        assert server.count("GET") == 5


async def test_it_is_taken_and_never_to_be_read() -> None:
    script = {"POST": [close, refusal(409, "ALREADY_EXISTS")], "GET": [refusal(404, "NOT_FOUND")]}
    loop = asyncio.get_running_loop()
    async with (
        Hostile(otherwise=by_target(script)) as server,
        session_at(server, reconcile_timeout=8) as session,
    ):
        began = loop.time()
        with pytest.raises(NotFound) as caught:
            await create(session)
        assert caught.value.outcome is Outcome.UNKNOWN
        assert 3 < loop.time() - began < 9


async def test_a_reading_back_survives_unusual_answers() -> None:
    odd = [refusal(503), reply(200, b"<html>", kind="text/html"), close, answer(record())]
    script = {"POST": [close, refusal(409, "ALREADY_EXISTS")], "GET": odd}
    async with Hostile(otherwise=by_target(script)) as server, session_at(server) as session:
        assert (await create(session)).reconciled


@pytest.mark.parametrize(
    "from_", ["a b", "é", "a#b", "a/b", "a%2e", "\u00a0", "\ue000x", "名", "a?b&c", "'\"<>"]
)
async def test_every_id_that_may_be_sent_can_be_reconciled(
    session: Session, emulator: Emulator, from_: str
) -> None:
    emulator.faults.add(LostReply(route="create_relationship", times=1))
    made = await create(session, from_)
    assert made.reconciled
    assert (await made).from_.id == from_
    emulator.default = Accepted(Constant(1.0))
    assert (await (await create(session, from_, "other"))).id == f"{from_}.other"


async def test_a_create_that_is_sent_again_carries_the_same_bytes() -> None:
    data = {"n": 2**80, "f": 0.1, "t": "é\u2028"}
    script = [close, reset, refusal(503), reply(200), persisted]
    async with Hostile(script) as server, session_at(server) as session:
        assert (await (await create(session, data=data))).data == data
        assert len({request.body for request in server.requests}) == 1
        assert len({request.target for request in server.requests}) == 1
        assert [request.method for request in server.requests] == ["POST"] * 5


async def test_a_lost_reply_of_a_bulk(session: Session, emulator: Emulator) -> None:
    emulator.faults.add(LostReply(route="bulk_relationships", times=1))
    bulk = await session.bulk(SOURCE, [write("a", data=DATA), write("b")])
    assert bulk.maybe_applied
    assert len((await bulk).receipts) == 2
    assert bulk.reconciled
    assert emulator.relationships() == 2
    assert emulator.requests["bulk_relationships"] == 2
    assert emulator.requests["get_relationship"] == 2


async def test_a_lost_reply_of_a_bulk_that_met_another_record(session: Session, emulator: Emulator) -> None:
    await create(session, "b", data={"by": "somebody"})
    emulator.faults.add(LostReply(route="bulk_relationships", times=1))
    bulk = await session.bulk(SOURCE, [write("a", data=DATA), write("b"), write("c")])
    with pytest.raises(TaskFailed) as caught:
        await bulk
    assert [receipt.id for receipt in caught.value.failed_receipts] == ["b.org-9"]
    assert caught.value.outcome is Outcome.UNKNOWN


async def test_a_bulk_without_a_lost_answer_reconciles_nothing(session: Session, emulator: Emulator) -> None:
    await create(session, "a", data=DATA)
    bulk = await session.bulk(SOURCE, [write("a", data=DATA)])
    with pytest.raises(TaskFailed):
        await bulk
    assert emulator.requests["get_relationship"] == 0


async def test_a_bulk_that_is_sent_again_carries_the_same_bytes() -> None:
    async with Hostile([close, refusal(503), accepted("bk_1")]) as server, session_at(server) as session:
        await session.bulk(SOURCE, [write("a", data=DATA), write("b")])
        assert len(server.requests) == 3
        assert len({request.body for request in server.requests}) == 1


async def test_a_bulk_whose_answer_cannot_be_read_is_not_sent_again() -> None:
    """Nothing could be found out by it: what it does could only be done twice."""
    async with Hostile([reply(202, b"<html>ok</html>")]) as server, session_at(server) as session:
        with pytest.raises(ProtocolError) as caught:
            await session.bulk(SOURCE, [write("a", data=DATA), write("b")])
        assert caught.value.outcome is Outcome.UNKNOWN
        assert len(server.requests) == 1


@pytest.mark.parametrize("delete", ["delete_relationship", "delete_resource"])
async def test_no_content_after_a_delete_is_done(delete: str) -> None:
    async with Hostile([raw(b"HTTP/1.1 204 No Content\r\n\r\n")]) as server, session_at(server) as session:
        made = await getattr(session, delete)(SOURCE, "practises-at", ID)
        assert made.done()
        assert not made.maybe_applied
        assert len(server.requests) == 1


@pytest.mark.parametrize("kind", LOST)
@pytest.mark.parametrize("error", [("FAILED_PRECONDITION", 400), ("ALREADY_EXISTS", 409)])
async def test_a_lost_reply_of_a_partition(kind: Kind, error: tuple[str, int]) -> None:
    async with (
        Emulator(settings=Settings(immutable_partition=error)) as emulator,
        session_at(emulator) as session,
    ):
        emulator.faults.add(kind(route="put_partition", times=1))
        made = await create_partition(session)
        assert (await made).source == PARTITION
        assert made.reconciled
        assert emulator.partitions() == 1
        assert emulator.requests == {"put_partition": 2, "get_partition": 1}


async def test_a_partition_that_differs_is_a_conflict(session: Session, emulator: Emulator) -> None:
    from tests.factories import DataSource, SourceCollection

    other = DataSource("ehr", (SourceCollection("others"),))
    from clinia_async import Modules

    await session.create_partition("clinics", modules=Modules(), source=other)
    with pytest.raises(FailedPrecondition):
        await create_partition(session)
    emulator.faults.add(DroppedRequest(route="put_partition", times=1))
    with pytest.raises(WriteConflict):
        await create_partition(session)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("where", ["other", "same", "scheme-relative", "http", "long"])
@pytest.mark.parametrize("call", ["create", "bulk", "partition", "get"])
async def test_a_redirect_receives_nothing(status: int, where: str, call: str) -> None:
    async with Hostile() as evil, Hostile() as server, session_at(server) as session:
        location = {
            "other": f"{evil.url}/x",
            "same": f"{server.url}/elsewhere",
            "scheme-relative": f"//127.0.0.1:{evil.port}/x",
            "http": f"http://localhost:{evil.port}/",
            "long": f"{evil.url}/{'x' * 7000}",
        }[where]
        server.otherwise = redirect(status, location)
        with pytest.raises(RequestError) as caught:  # noqa: PT012  one call of several
            match call:
                case "create":
                    await create(session)
                case "bulk":
                    await session.bulk(SOURCE, [write()])
                case "partition":
                    await create_partition(session)
                case _:
                    await session.get_relationship(SOURCE, "practises-at", ID)
        assert type(caught.value).__name__ == "RedirectRefused"
        assert str(evil.port) not in str(caught.value)
        assert caught.value.outcome is (Outcome.REJECTED if status >= 307 else Outcome.UNKNOWN)
        assert evil.connections == 0
        assert len(server.requests) == 1


async def test_without_repeats_a_lost_reply_is_unknown(emulator: Emulator) -> None:
    emulator.faults.add(LostReply(route="create_relationship", times=1))
    async with session_at(emulator, retry=ONCE) as session:
        with pytest.raises(RequestError) as caught:
            await create(session)
        assert caught.value.outcome is Outcome.UNKNOWN
        assert emulator.requests == {"create_relationship": 1}
