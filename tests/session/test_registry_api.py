"""Single records: relationships, resources and what they contain."""

from datetime import UTC, datetime
from typing import Any

import pytest

from clinia_async import (
    AlreadyExists,
    BatchResult,
    Contained,
    CreateContained,
    CreateResource,
    DeleteContained,
    DeleteRelationship,
    DeleteResource,
    Evidence,
    GetResource,
    InvalidWrite,
    Meta,
    NotFound,
    Outcome,
    Patch,
    PatchOp,
    ProtocolError,
    RawJson,
    Relationship,
    RequestError,
    Resource,
    TaskCancelled,
    TaskDropped,
    TaskFailed,
    TaskUnconfirmed,
    UpdateRelationship,
    UpsertContained,
    UpsertResource,
    WriteConflict,
)
from clinia_async.calls import RetrySafety
from tests.exchanges import (
    ANA,
    AT,
    EHR,
    OFFICE,
    ORG,
    PAIR,
    PERSON,
    WORKS_AT,
    Send,
    against,
    held,
    joined,
    receipt,
    sent,
    taken,
)
from tests.factories import ONCE
from tests.hostile import Behaviour, accepted, answer, close, refusal, reply, reset, stall, task

pytestmark = pytest.mark.usefixtures("each_way_of_sending")

SET = [Patch(PatchOp.ADD, "/role", "nurse"), Patch(PatchOp.REPLACE, "/in/deep", None)]
APPEND = [Patch(PatchOp.ADD, "/tags/-", "x")]
PLACE = ["offices", "main"]
NESTED = Contained("office", {"room": 4}, id="main", contained={"desks": [Contained("desk", {"n": 1})]})


def create_relationship(session: Any) -> Any:
    return session.create_relationship(EHR, WORKS_AT, from_=ANA, to=ORG, data={"a": 1})


def update(session: Any) -> Any:
    return session.update_relationship(EHR, WORKS_AT, PAIR, SET)


def append(session: Any) -> Any:
    return session.update_relationship(EHR, WORKS_AT, PAIR, APPEND)


def delete_relationship(session: Any) -> Any:
    return session.delete_relationship(EHR, WORKS_AT, PAIR)


def create(session: Any) -> Any:
    return session.create_resource(EHR, PERSON, id="prac-1", data={"a": 1})


def create_unnamed(session: Any) -> Any:
    return session.create_resource(EHR, PERSON, data={"a": 1})


def create_token(session: Any) -> Any:
    return session.create_resource(EHR, PERSON, id="@rootId", data={"self": "@rootId"})


def upsert(session: Any) -> Any:
    return session.upsert_resource(EHR, PERSON, "prac-1", data={"a": 1})


def delete(session: Any) -> Any:
    return session.delete_resource(EHR, PERSON, "prac-1")


def create_contained(session: Any) -> Any:
    return session.create_contained(EHR, PERSON, "prac-1", ["offices"], OFFICE)


def upsert_contained(session: Any) -> Any:
    return session.upsert_contained(EHR, PERSON, "prac-1", PLACE, NESTED)


def delete_contained(session: Any) -> Any:
    return session.delete_contained(EHR, PERSON, "prac-1", PLACE)


def persisted(**more: Any) -> Behaviour:
    return answer({"status": "PERSISTED", "taskId": "s_1", **more})


ROOT, REL = {"resource": held(data={"a": 1})}, {"relationship": joined(data={"a": 1})}
RESOURCE, RELATIONSHIP = "/sources/ehr/v1/resources/practitioner", "/sources/ehr/v1/relationships/works-at"
ONE, JOINT = f"{RESOURCE}/prac-1", f"{RELATIONSHIP}/{PAIR}"

MADE: list[tuple[Send, str, str, dict[str, Any], str]] = [
    (create_relationship, "POST", RELATIONSHIP, REL, JOINT),
    (update, "PATCH", JOINT, REL, JOINT),
    (append, "PATCH", JOINT, REL, JOINT),
    (create, "POST", RESOURCE, ROOT, ONE),
    (create_unnamed, "POST", RESOURCE, ROOT, ONE),
    (create_token, "POST", RESOURCE, ROOT, ONE),
    (upsert, "PUT", ONE, ROOT, ONE),
    (create_contained, "POST", f"{ONE}/offices", ROOT, ONE),
    (upsert_contained, "PUT", f"{ONE}/offices/main", ROOT, ONE),
    (delete_contained, "DELETE", f"{ONE}/offices/main", ROOT, ONE),
]
"""What makes a record: how it is sent, what PERSISTED brings, where it is read back."""
DELETED: list[tuple[Send, str]] = [(delete_relationship, JOINT), (delete, ONE)]
SENT_ONCE = [append, create_unnamed, create_token, create_contained, delete_contained]
REPEATED = [update, upsert, upsert_contained]
WORDS = {update: "UPDATE", append: "UPDATE", upsert: "UPSERT", delete: "DELETE"}
"""What receipts call an action that is not CREATE."""


def receipt_of(send: Send, id: str, status: str = "SUCCESS", **more: Any) -> dict[str, Any]:
    return receipt(id, status, WORDS.get(send, "CREATE"), **more)


EVERY = [row[0] for row in MADE] + [row[0] for row in DELETED]


def names(sends: list[Send]) -> Any:
    return pytest.mark.parametrize("send", sends, ids=lambda send: send.__name__)


# ----------------------------------------------------------------------------- answered at once


@pytest.mark.parametrize(("send", "method", "target", "body", "_"), MADE)
async def test_what_is_done_at_once_is_resolved_at_birth(
    send: Send, method: str, target: str, body: Any, _: str
) -> None:
    async with against([persisted(**body)]) as (session, server):
        made = await send(session)
        assert made.done()
        found = await made
        assert isinstance(found, Resource if "resource" in body else Relationship)
        assert found.data == {"a": 1}
        assert server.seen() == [(method, target)]


@pytest.mark.parametrize(("send", "target"), DELETED)
async def test_a_delete_done_at_once(send: Send, target: str) -> None:
    async with against([persisted()]) as (session, server):
        gone = await send(session)
        assert await gone is None
        assert server.seen() == [("DELETE", target)]


async def test_a_contained_resource_deleted_at_once_may_reveal_nothing_of_the_root() -> None:
    async with against([persisted()]) as (session, server):
        assert await (await delete_contained(session)) is None
        assert len(server.requests) == 1


WRONG_ROOTS = [
    {},
    {"resource": None},
    {"resource": held("other", {"a": 1})},
    {"resource": {**held(), "type": "other"}},
    {"relationship": joined()},
]
WRONG_JOINTS = [
    {},
    {"relationship": joined("other")},
    {"relationship": {**joined(), "type": "other"}},
    {"resource": held()},
]


@pytest.mark.parametrize("send", [create, upsert, create_contained, upsert_contained, delete_contained])
@pytest.mark.parametrize("wrong", WRONG_ROOTS)
async def test_an_answer_for_another_resource(send: Send, wrong: Any) -> None:
    told = wrong.get("resource") is not None
    async with against([persisted(**wrong)], retry=ONCE) as (session, _):
        if send is delete_contained and not told:
            assert await (await send(session)) is None
            return
        with pytest.raises(ProtocolError) as caught:
            await send(session)
        assert caught.value.outcome is Outcome.UNKNOWN


@names([create, upsert, upsert_contained, create_relationship, update])
async def test_an_answer_for_another_record_is_a_lost_answer(send: Send) -> None:
    """It tells nothing of the write, so the write is sent again, if that is safe."""
    wrong = [{"resource": held("other")}, {"relationship": joined("other")}]
    right = {"resource": held(data={"a": 1}), "relationship": joined(data={"a": 1})}
    async with against([*(persisted(**each) for each in wrong), persisted(**right)]) as (session, server):
        made = await send(session)
        assert (await made).data == {"a": 1}
        assert made.maybe_applied
        assert len(server.requests) == made.attempts == 3


@pytest.mark.parametrize("wrong", [{}, {"resource": {**held(), "type": "other"}}])
async def test_an_answer_for_a_resource_of_another_type(wrong: Any) -> None:
    async with against([persisted(**wrong)], retry=ONCE) as (session, _):
        with pytest.raises(ProtocolError):
            await create_unnamed(session)


@names([update, append, create_relationship])
@pytest.mark.parametrize("wrong", WRONG_JOINTS)
async def test_an_answer_for_another_relationship(send: Send, wrong: Any) -> None:
    async with against([persisted(**wrong)], retry=ONCE) as (session, _):
        with pytest.raises(ProtocolError) as caught:
            await send(session)
        assert caught.value.outcome is Outcome.UNKNOWN


@names(EVERY)
@pytest.mark.parametrize("document", [{}, [], {"status": "ACCEPTED"}, {"status": "NEW", "taskId": "s_1"}])
async def test_an_answer_that_is_no_submission(send: Send, document: Any) -> None:
    async with against([answer(document)], retry=ONCE) as (session, _):
        with pytest.raises(ProtocolError) as caught:
            await send(session)
        assert caught.value.outcome is Outcome.UNKNOWN


# ------------------------------------------------------------------------- accepted, then read back


@pytest.mark.parametrize(("send", "_m", "_t", "body", "place"), MADE)
async def test_what_was_accepted_is_read_back(send: Send, _m: str, _t: str, body: Any, place: str) -> None:
    record = next(iter(body.values()))
    changes = {"role": "nurse", "in": {"deep": None}} if send is update else {}
    record = {**record, "data": {**record["data"], **changes}, "meta": {"updatedAt": AT}}
    script = {
        "withReceipts": [
            task("PENDING"),
            task("SUCCESS", receipts=[receipt_of(send, record["id"], receivedAt=AT)]),
        ],
        "GET": [answer(record)],
        "/": [accepted()],
    }
    async with against(script) as (session, server):
        made = await send(session)
        assert not made.done()
        found = await made
        assert found.data == {"a": 1, **changes}
        assert server.seen()[-1] == ("GET", place)
        assert made.evidence is Evidence.RECEIPT
        assert server.count("GET", "/tasks/") == 2, "the poll that sees the end brings the receipt"


@pytest.mark.parametrize(("send", "_m", "_t", "body", "place"), MADE)
async def test_a_record_that_a_reviewer_rejected(send: Send, _m: str, _t: str, body: Any, place: str) -> None:
    record = next(iter(body.values()))
    dropped = receipt_of(send, record["id"], pipelineExecution={"id": "e", "status": "REJECTED"})
    script = {
        "/tasks/": [task("SUCCESS", receipts=[dropped])],
        "GET": [answer(record)],
        "/": [accepted()],
    }
    async with against(script) as (session, _):
        made = await send(session)
        for _again in range(2):
            with pytest.raises(TaskDropped) as caught:
                await made
            assert caught.value.outcome is Outcome.REJECTED
            assert caught.value.evidence is Evidence.RECEIPT


@pytest.mark.parametrize(("send", "place"), DELETED)
async def test_a_delete_without_a_receipt_is_read_back(send: Send, place: str) -> None:
    record = held() if place == ONE else joined()
    for left, kind in ((refusal(404, "NOT_FOUND"), None), (answer(record), TaskUnconfirmed)):
        script = {"/tasks/": [task("PENDING"), task("SUCCESS")], "GET": [left], "DELETE": [accepted()]}
        async with against(script) as (session, server):
            gone = await send(session)
            if kind is None:
                assert await gone is None
            else:
                with pytest.raises(kind) as caught:
                    await gone
                assert caught.value.outcome is Outcome.UNKNOWN
            assert server.seen()[-1] == ("GET", place)


@names(EVERY)
async def test_what_can_not_be_read_back_has_landed(send: Send) -> None:
    script = {
        "withReceipts": [task("SUCCESS", receipts=[])],
        "/tasks/": [task("SUCCESS")],
        "GET": [refusal(403, "PERMISSION_DENIED")],
        "/": [accepted()],
    }
    async with against(script) as (session, _):
        with pytest.raises(RequestError) as caught:
            await (await send(session))
        assert (caught.value.outcome, caught.value.evidence) == (Outcome.DONE, Evidence.TASK)


@pytest.mark.parametrize(
    "receipts",
    [
        [],
        [receipt("p1"), receipt("p2")],
        [receipt(PAIR)],
        [receipt("..")],
        [receipt("")],
        [receipt("a\u202eb")],
    ],
)
async def test_a_made_id_that_is_not_in_the_answer(receipts: Any) -> None:
    script = {
        "withReceipts": [task("SUCCESS", receipts=receipts)],
        "/tasks/": [task("SUCCESS")],
        "POST": [accepted()],
    }
    async with against(script) as (session, server):
        with pytest.raises(ProtocolError) as caught:
            await (await create_unnamed(session))
        assert caught.value.outcome is not Outcome.NOT_SENT
        assert server.count("GET", "/resources/") == 0


@names([create, upsert, update, delete, create_contained])
@pytest.mark.parametrize(("status", "kind"), [("FAILURE", TaskFailed), ("CANCELLED", TaskCancelled)])
async def test_a_task_that_failed(send: Send, status: str, kind: type[Exception]) -> None:
    about = PAIR if send is update else "prac-1"
    script = {
        "withReceipts": [task(status, receipts=[receipt_of(send, about, status)])],
        "/tasks/": [task(status)],
        "/": [accepted()],
    }
    async with against(script) as (session, server):
        with pytest.raises(kind) as caught:
            await (await send(session))
        assert caught.value.outcome is Outcome.REJECTED  # type: ignore[attr-defined]
        assert server.count("GET", ONE) == 0


# ---------------------------------------------------------------------------------- repeats


@names(SENT_ONCE)
@pytest.mark.parametrize("lost", [close, reset, stall, refusal(500), reply(503), reply(200, b"{")])
async def test_what_may_not_be_repeated_is_sent_once(send: Send, lost: Behaviour) -> None:
    async with against([lost, persisted(**ROOT, **REL)]) as (session, server):
        with pytest.raises(RequestError) as caught:
            await send(session)
        assert caught.value.outcome is Outcome.UNKNOWN
        assert len(server.requests) == 1


@names(SENT_ONCE)
async def test_what_provably_did_not_run_is_sent_again(send: Send) -> None:
    async with against([refusal(429), persisted(**ROOT, **REL)]) as (session, server):
        made = await send(session)
        assert not made.maybe_applied
        assert len(server.requests) == 2


@names(REPEATED)
@pytest.mark.parametrize("lost", [close, refusal(500), reply(200, b"{")])
async def test_what_may_be_repeated_is(send: Send, lost: Behaviour) -> None:
    async with against([lost, lost, persisted(**ROOT, **REL)]) as (session, server):
        made = await send(session)
        assert made.maybe_applied
        assert not made.reconciled
        assert len({(seen.method, seen.target, seen.body) for seen in server.requests}) == 1
        assert len(server.requests) == 3


@pytest.mark.parametrize(("send", "place"), DELETED)
async def test_a_delete_whose_answer_was_lost(send: Send, place: str) -> None:
    script = {"DELETE": [close, refusal(404, "NOT_FOUND")], "GET": [refusal(404, "NOT_FOUND")]}
    async with against(script) as (session, server):
        gone = await send(session)
        assert await gone is None
        assert gone.reconciled
        assert server.seen() == [("DELETE", place)] * 2 + [("GET", place)]


@pytest.mark.parametrize(("send", "place"), DELETED)
async def test_a_delete_that_finds_nothing_at_first(send: Send, place: str) -> None:
    async with against([refusal(404, "NOT_FOUND")]) as (session, server):
        with pytest.raises(NotFound) as caught:
            await send(session)
        assert caught.value.outcome is Outcome.REJECTED
        assert server.seen() == [("DELETE", place)]


@pytest.mark.parametrize(("send", "place"), DELETED)
async def test_what_was_made_again_since_is_not_taken_for_gone(send: Send, place: str) -> None:
    record = held() if place == ONE else joined()
    script = {"DELETE": [close, refusal(404, "NOT_FOUND")], "GET": [answer(record)]}
    async with against(script) as (session, _):
        with pytest.raises(WriteConflict) as caught:
            await send(session)
        assert caught.value.outcome is Outcome.UNKNOWN


@pytest.mark.parametrize(
    "entry",
    [receipt("prac-1", "FAILURE", "DELETE", error="NOT_FOUND"), receipt("prac-1", "CANCELLED", "DELETE")],
)
async def test_a_queued_delete_that_met_its_twin(entry: Any) -> None:
    script = {
        "withReceipts": [task(entry["status"], receipts=[entry])],
        "/tasks/": [task(entry["status"])],
        "GET": [refusal(404, "NOT_FOUND")],
        "DELETE": [close, accepted()],
    }
    async with against(script) as (session, _):
        gone = await delete(session)
        assert await gone is None
        assert gone.reconciled


@pytest.mark.parametrize(
    ("send", "entry", "refused"),
    [
        (create, taken("prac-1"), WriteConflict),
        (create, receipt("prac-1", "CANCELLED"), WriteConflict),
        (upsert, receipt_of(upsert, "prac-1", "CANCELLED"), TaskCancelled),
    ],
)
async def test_a_queued_write_that_met_its_twin(send: Send, entry: Any, refused: Any) -> None:
    for theirs, kind in ((held(data={"a": 1}), None), (held(data={"a": 2}), refused)):
        script = {
            "withReceipts": [task(entry["status"], receipts=[entry])],
            "/tasks/": [task(entry["status"])],
            "GET": [answer(theirs)],
            "/": [close, accepted()],
        }
        async with against(script) as (session, _):
            made = await send(session)
            if kind:
                with pytest.raises(kind) as caught:
                    await made
                assert caught.value.outcome is Outcome.UNKNOWN
            else:
                assert (await made).data == {"a": 1}
                assert made.reconciled
                assert made.evidence is Evidence.READ_BACK


META = Meta(created_at=datetime(2020, 1, 1, tzinfo=UTC))
ASKED = {"data": {"a": 1}, "meta": META, "contained": {"offices": [NESTED], "none": []}}
STORED_OFFICE = {
    "id": "main",
    "type": "office",
    "data": {"room": 4.0},
    "contained": {"desks": [{"id": "made", "type": "desk", "data": {"n": 1}}]},
}
STORED = held(
    data={"a": 1},
    meta={"createdAt": "2020-01-01T00:00:00Z", "source": "ehr"},
    contained={"offices": [STORED_OFFICE]},
)


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"contained": {"offices": [STORED_OFFICE], "others": []}}, True),
        ({"data": {"a": True}}, False),
        ({"data": {"a": 1, "b": 2}}, False),
        ({"meta": None}, False),
        ({"contained": None}, False),
        ({"contained": {}}, False),
        ({"contained": {"offices": []}}, False),
        ({"contained": {"offices": "text"}}, False),
        ({"contained": {"offices": ["text"]}}, False),
        ({"contained": {"offices": [STORED_OFFICE, STORED_OFFICE]}}, False),
        ({"contained": {"offices": [STORED_OFFICE], "others": [STORED_OFFICE]}}, False),
        ({"contained": {"offices": [{**STORED_OFFICE, "id": "other"}]}}, False),
        ({"contained": {"offices": [{**STORED_OFFICE, "type": "other"}]}}, False),
        ({"contained": {"offices": [{**STORED_OFFICE, "data": {"room": 5}}]}}, False),
        ({"contained": {"offices": [{**STORED_OFFICE, "contained": {}}]}}, False),
    ],
)
async def test_a_create_whose_answer_was_lost_is_reconciled_by_all_that_was_sent(
    change: Any, same: bool
) -> None:
    script = {"POST": [close, refusal(409, "ALREADY_EXISTS")], "GET": [answer({**STORED, **change})]}
    async with against(script) as (session, server):
        if same:
            made = await session.create_resource(EHR, PERSON, id="prac-1", **ASKED)  # type: ignore[arg-type]
            assert made.reconciled
            assert (await made).contained == {**STORED, **change}["contained"]
        else:
            with pytest.raises(WriteConflict):
                await session.create_resource(EHR, PERSON, id="prac-1", **ASKED)  # type: ignore[arg-type]
        assert server.count("GET") == 1


async def test_a_create_without_a_lost_answer_is_not_reconciled() -> None:
    async with against([refusal(409, "ALREADY_EXISTS")]) as (session, server):
        with pytest.raises(AlreadyExists) as caught:
            await create(session)
        assert caught.value.outcome is Outcome.REJECTED
        assert len(server.requests) == 1


async def test_a_create_without_an_id_has_nothing_to_be_reconciled_by() -> None:
    async with against([refusal(409, "ALREADY_EXISTS")]) as (session, server):
        with pytest.raises(AlreadyExists) as caught:
            await session.submit(CreateResource(EHR, PERSON, data={}), maybe_applied=True)
        assert caught.value.outcome is Outcome.UNKNOWN
        assert len(server.requests) == 1


# ---------------------------------------------------------------------------------- requests


async def test_patches_go_out_in_order() -> None:
    patches = [*SET, *APPEND, Patch(PatchOp.REMOVE, "/since", "ignored")]
    async with against([persisted(**REL)]) as (session, server):
        await session.update_relationship(EHR, WORKS_AT, PAIR, patches)
        assert sent(server) == [
            {"op": "add", "path": "/role", "value": "nurse"},
            {"op": "replace", "path": "/in/deep", "value": None},
            {"op": "add", "path": "/tags/-", "value": "x"},
            {"op": "remove", "path": "/since"},
        ]


@pytest.mark.parametrize(
    ("op", "path", "expected"),
    [
        (PatchOp.ADD, "/role", RetrySafety.IDEMPOTENT),
        (PatchOp.REPLACE, "/a/b", RetrySafety.IDEMPOTENT),
        (PatchOp.ADD, "/a1", RetrySafety.IDEMPOTENT),
        (PatchOp.ADD, "/tags/-", RetrySafety.ONCE),
        (PatchOp.ADD, "/tags/0", RetrySafety.ONCE),
        (PatchOp.ADD, "/tags/12", RetrySafety.ONCE),
        (PatchOp.REMOVE, "/role", RetrySafety.ONCE),
        (PatchOp("test"), "/role", RetrySafety.ONCE),
    ],
)
def test_how_often_a_change_may_be_sent(op: PatchOp, path: str, expected: RetrySafety) -> None:
    assert UpdateRelationship(EHR, WORKS_AT, PAIR, [Patch(op, path, 1)]).retry_safety is expected
    assert UpdateRelationship(EHR, WORKS_AT, PAIR, [*SET, Patch(op, path, 1)]).retry_safety is expected
    assert UpdateRelationship(EHR, WORKS_AT, PAIR, [Patch(op, path, 1), *SET]).retry_safety is expected


def test_how_often_the_others_may_be_sent() -> None:
    assert CreateResource(EHR, PERSON, "prac-1", data={}).retry_safety is RetrySafety.KEYED
    assert CreateResource(EHR, PERSON, data={}).retry_safety is RetrySafety.ONCE
    assert CreateResource(EHR, PERSON, "@rootId", data={}).retry_safety is RetrySafety.ONCE
    assert CreateResource(EHR, PERSON, "@rootId7", data={}).retry_safety is RetrySafety.ONCE
    assert UpsertResource(EHR, PERSON, "prac-1", data={}).retry_safety is RetrySafety.IDEMPOTENT
    assert DeleteResource(EHR, PERSON, "prac-1").retry_safety is RetrySafety.IDEMPOTENT
    assert DeleteRelationship(EHR, WORKS_AT, PAIR).retry_safety is RetrySafety.IDEMPOTENT
    assert GetResource(EHR, PERSON, "prac-1").retry_safety is RetrySafety.IDEMPOTENT
    assert CreateContained(EHR, PERSON, "prac-1", ["a"], OFFICE).retry_safety is RetrySafety.ONCE
    assert UpsertContained(EHR, PERSON, "prac-1", ["a", "b"], OFFICE).retry_safety is RetrySafety.IDEMPOTENT
    assert DeleteContained(EHR, PERSON, "prac-1", ["a", "b"]).retry_safety is RetrySafety.ONCE


async def test_bodies_of_resources() -> None:
    exact = RawJson(b'{"n": 1.10, "u": 100000000000000000000}')
    meta = Meta(created_at=datetime(2020, 1, 1, tzinfo=UTC))
    behaviours = [persisted(**ROOT)] * 4
    async with against(behaviours) as (session, server):
        await session.create_resource(EHR, PERSON, data=exact)
        assert server.requests[0].body == b'{"data":{"n": 1.10, "u": 100000000000000000000}}'
        await session.create_resource(EHR, PERSON, id="prac-1", data={}, meta=meta)
        assert sent(server, 1) == {"id": "prac-1", "data": {}, "meta": {"createdAt": "2020-01-01T00:00:00Z"}}
        await session.upsert_resource(EHR, PERSON, "prac-1", data={}, contained={"offices": [NESTED]})
        office = {
            "type": "office",
            "data": {"room": 4},
            "contained": {"desks": [{"type": "desk", "data": {"n": 1}}]},
        }
        assert sent(server, 2) == {"data": {}, "contained": {"offices": [{**office, "id": "main"}]}}
        await session.upsert_contained(EHR, PERSON, "prac-1", PLACE, NESTED)
        assert sent(server, 3) == office


async def test_places_are_encoded() -> None:
    async with against([persisted(**ROOT)]) as (session, server):
        await session.delete_contained(EHR, PERSON, "prac-1", ["offices", "a/b?c", "desks", "é"])
        assert server.seen() == [("DELETE", f"{ONE}/offices/a%2Fb%3Fc/desks/%C3%A9")]


async def test_a_record_by_an_identifier() -> None:
    behaviours = [answer(held("any")), answer(joined("any")), persisted(relationship=joined("any"))]
    async with against(behaviours) as (session, server):
        assert (await session.get_resource(EHR, PERSON, "urn:a/b:1:use")).id == "any"
        assert (await session.get_relationship(EHR, WORKS_AT, "urn:a/b:1:use")).id == "any.org-9"
        changed = await session.update_relationship(EHR, WORKS_AT, "urn:a/b:1:use", SET)
        assert (await changed).id == "any.org-9"
        assert server.seen()[0] == ("GET", f"{RESOURCE}/urn%3Aa%2Fb%3A1%3Ause")


@pytest.mark.parametrize(
    ("send", "path"),
    [
        (lambda s: s.update_relationship(EHR, WORKS_AT, PAIR, []), "$"),
        (lambda s: s.update_relationship(EHR, WORKS_AT, PAIR, [Patch(PatchOp.ADD, "role", 1)]), "$[0].path"),
        (lambda s: s.update_relationship(EHR, WORKS_AT, PAIR, [*SET, "text"]), "$[2]"),
        (lambda s: s.update_relationship(EHR, WORKS_AT, PAIR, [Patch(PatchOp.ADD, "/a", {1})]), "$[0].value"),
        (lambda s: s.update_relationship(EHR, WORKS_AT, "..", SET), "$.id"),
        (lambda s: s.delete_relationship(EHR, "no no", PAIR), "$.type"),
        (lambda s: s.create_resource(EHR, PERSON, id="x", data={}), "$.id"),
        (lambda s: s.create_resource(EHR, PERSON, id="@rootIdX", data={}), "$.id"),
        (lambda s: s.create_resource(EHR, PERSON, data=[1]), "$.data"),
        (lambda s: s.create_resource(EHR, PERSON, data=None), "$.data"),
        (lambda s: s.create_resource(EHR, PERSON, data={"a": {1}}), "$.data.a"),
        (lambda s: s.create_resource(EHR, PERSON, data={}, meta={"createdAt": "x"}), "$.meta.createdAt"),
        (lambda s: s.upsert_resource(EHR, PERSON, "x", data={}), "$.id"),
        (lambda s: s.upsert_resource(EHR, PERSON, "@rootId", data={}), "$.id"),
        (lambda s: s.get_resource(EHR, PERSON, ""), "$.id"),
        (lambda s: s.delete_resource("a/b", PERSON, "prac-1"), "$.source"),
        (lambda s: s.create_contained(EHR, PERSON, "prac-1", [], OFFICE), "$.place"),
        (lambda s: s.create_contained(EHR, PERSON, "prac-1", "offices", OFFICE), "$.place"),
        (lambda s: s.delete_contained(EHR, PERSON, "prac-1", ["offices", ".."]), "$.place[1]"),
    ],
)
async def test_what_is_refused_before_sending(send: Send, path: str) -> None:
    async with against([]) as (session, server):
        with pytest.raises(InvalidWrite) as caught:
            await send(session)
        assert caught.value.path == path
        assert caught.value.outcome is Outcome.NOT_SENT
        assert not server.requests


# ---------------------------------------------------------------------------------- resumed


@pytest.mark.parametrize(
    ("entry", "record"),
    [
        (receipt("prac-1"), held()),
        (receipt("prac-1", action="UPSERT"), held()),
        (receipt(PAIR), joined()),
        (receipt(PAIR, action="SOMETHING_NEW"), joined()),
    ],
)
async def test_a_resumed_single_write_gives_its_record(entry: Any, record: Any) -> None:
    script = {
        "withReceipts": [task("SUCCESS", receipts=[entry])],
        "/tasks/": [task("SUCCESS")],
        "GET": [answer(record)],
    }
    async with against(script) as (session, server):
        found = await session.task("s_1", source=EHR)
        assert isinstance(found, Resource | Relationship)
        assert found.id == entry["id"]
        assert server.seen()[-1][1] == (JOINT if "." in entry["id"] else ONE)


@pytest.mark.parametrize(
    "receipts",
    [
        [receipt("prac-1", action="DELETE")],
        [receipt(PAIR, action="DELETE")],
        [{**receipt("scan-1"), "targetType": "OBJECT", "type": "scans"}],
        [receipt("prac-1"), receipt("prac-2")],
    ],
)
async def test_what_a_resumed_task_made_no_record_of(receipts: Any) -> None:
    script = {"withReceipts": [task("SUCCESS", receipts=receipts)], "/tasks/": [task("SUCCESS")]}
    async with against(script) as (session, server):
        result = await session.task("s_1", source=EHR)
        assert isinstance(result, BatchResult)
        assert [entry.id for entry in result.receipts] == [entry["id"] for entry in receipts]
        assert server.count("GET") == server.count("GET", "/tasks/")


async def test_a_resumed_write_whose_record_is_not_found_is_done() -> None:
    script = {
        "withReceipts": [task("SUCCESS", receipts=[receipt("prac-1")])],
        "/tasks/": [task("SUCCESS")],
        "GET": [refusal(404, "NOT_FOUND")],
    }
    async with against(script) as (session, _):
        with pytest.raises(NotFound) as caught:
            await session.task("s_1", source=EHR)
        assert caught.value.outcome is Outcome.DONE


@pytest.mark.parametrize("change", [{"id": ".."}, {"type": "no no"}, {"id": ""}])
async def test_a_resumed_write_whose_receipt_names_nothing(change: Any) -> None:
    script = {
        "withReceipts": [task("SUCCESS", receipts=[{**receipt("prac-1"), **change}])],
        "/tasks/": [task("SUCCESS")],
    }
    async with against(script) as (session, _):
        with pytest.raises(ProtocolError) as caught:
            await session.task("s_1", source=EHR)
        assert caught.value.outcome is Outcome.DONE
