"""Bulks and bundles: many writes in one request, and what became of each."""

from typing import Any

import pytest

from clinia_async import (
    AlreadyExists,
    BatchResult,
    Bulk,
    Bundle,
    BundleBuilder,
    InvalidWrite,
    Outcome,
    Patch,
    PatchOp,
    ProtocolError,
    RawJson,
    Ref,
    RequestError,
    RetryPolicy,
    TargetType,
    TaskCancelled,
    TaskFailed,
    TaskId,
    TaskKind,
    TaskStatus,
    UpdateRelationship,
    UpsertContained,
)
from clinia_async.calls import EncodedBulk, GetBulkResult, RetrySafety
from clinia_async.calls.batches import LARGEST_BUNDLE
from clinia_async.models import Receipt
from clinia_async.serialization import converter
from tests.exchanges import (
    EHR,
    OFFICE,
    ORG,
    PAIR,
    PERSON,
    WORKS_AT,
    against,
    drop,
    held,
    join,
    joined,
    new,
    part,
    put,
    receipt,
    rejoin,
    sent,
    taken,
)
from tests.hostile import Behaviour, accepted, answer, close, refusal, reply, reset, task

NOT_ONE = [
    UpdateRelationship(EHR, WORKS_AT, PAIR, [Patch(PatchOp.ADD, "/a", 1)]),
    UpsertContained(EHR, PERSON, "prac-1", ["offices", "main"], OFFICE),
    "text",
    None,
]


def script(
    status: str, receipts: Any, *, id: str = "bk_1", posts: list[Behaviour] | None = None, **more: Any
) -> dict[str, Any]:
    return {
        "withReceipts": [task(status, id, receipts)],
        "/tasks/": [task("PENDING", id), task(status, id)],
        **more,
        "POST": posts or [accepted(id)],
        "GET": [refusal(404, "NOT_FOUND")],
    }


def reported(*entries: Any) -> list[Receipt]:
    return [converter.structure(entry, Receipt) for entry in entries]


# ---------------------------------------------------------------------------------- requests


async def test_a_bulk_goes_out_in_order() -> None:
    meta_free = {"from": {"id": "prac-1", "type": PERSON}, "to": {"id": "org-9", "type": "organization"}}
    async with against([accepted("bk_1"), accepted("bk_2")]) as (session, server):
        bulk = await session.bulk(EHR, iter([join(data={"a": 1}), part("a.b"), rejoin("p2")]))
        assert (bulk.kind, bulk.done()) == (TaskKind.BULK, False)
        assert sent(server) == {
            "operations": [
                {"action": "CREATE", "create": {"type": WORKS_AT, **meta_free, "data": {"a": 1}}},
                {"action": "DELETE", "delete": {"type": WORKS_AT, "id": "a.b"}},
                {
                    "action": "UPSERT",
                    "upsert": {"type": WORKS_AT, **meta_free, "from": {"id": "p2", "type": PERSON}},
                },
            ]
        }
        await session.bulk(EHR, [new(None), put("p2", contained={"o": [OFFICE]}), drop("p3"), new("p4")])
        office = {"type": "office", "data": {"room": 4}}
        assert sent(server, 1) == {
            "operations": [
                {"action": "CREATE", "create": {"type": PERSON, "data": {}}},
                {
                    "action": "UPSERT",
                    "upsert": {"id": "p2", "type": PERSON, "data": {}, "contained": {"o": [office]}},
                },
                {"action": "DELETE", "delete": {"id": "p3", "type": PERSON}},
                {"action": "CREATE", "create": {"id": "p4", "type": PERSON, "data": {}}},
            ]
        }
        paths = ["/sources/ehr/v1/relationships/bulk", "/sources/ehr/v1/resources/bulk"]
        assert server.seen() == [("POST", path) for path in paths]


async def test_a_bundle_goes_out_by_kind_and_in_order() -> None:
    writes = [join("@rootId1"), new("@rootId1"), part("a.b"), put("p2"), drop("p3"), rejoin("p2")]
    async with against([accepted("bd_1")]) as (session, server):
        bundle = await session.bundle(EHR, writes)
        assert bundle.kind is TaskKind.BUNDLE
        body = sent(server)
        assert [operation["action"] for operation in body["resourceOperations"]] == [
            "CREATE",
            "UPSERT",
            "DELETE",
        ]
        assert [operation["action"] for operation in body["relationshipOperations"]] == [
            "CREATE",
            "DELETE",
            "UPSERT",
        ]
        assert body["relationshipOperations"][0]["create"]["from"]["id"] == "@rootId1"


@pytest.mark.parametrize("writes", [[new()], [join()]])
async def test_a_bundle_always_has_both_lists(writes: Any) -> None:
    async with against([accepted("bd_1")]) as (session, server):
        await session.bundle(EHR, writes)
        assert set(sent(server)) == {"resourceOperations", "relationshipOperations"}
        assert sorted(map(len, sent(server).values())) == [0, 1]


async def test_operations_keep_raw_json() -> None:
    raw = RawJson(b'{"n": 1.10}')
    async with against([accepted("bk_1"), accepted("bd_1")]) as (session, server):
        await session.bulk(EHR, [new("p1", raw)])
        await session.bundle(EHR, [new("p1", raw), join(data=raw)])
        assert all(b'{"n": 1.10}' in seen.body for seen in server.requests)


# ------------------------------------------------------------------------ refused before sending


@pytest.mark.parametrize("kind", [Bulk, Bundle])
@pytest.mark.parametrize("bad", NOT_ONE, ids=lambda bad: type(bad).__name__)
async def test_only_creates_upserts_and_deletes(kind: Any, bad: Any) -> None:
    async with against([]) as (session, server):
        send = session.bulk if kind is Bulk else session.bundle
        with pytest.raises(InvalidWrite) as caught:
            await send(EHR, [join(), bad])
        assert caught.value.path == "$.operations[1]"
        assert caught.value.outcome is Outcome.NOT_SENT
        assert not server.requests


async def test_a_bulk_is_of_one_kind() -> None:
    async with against([]) as (session, server):
        with pytest.raises(InvalidWrite, match="all of relationships or all of resources"):
            await session.bulk(EHR, [join(), new()])
        assert not server.requests


@pytest.mark.parametrize("kind", [Bulk, Bundle])
def test_what_neither_may_be(kind: Any) -> None:
    with pytest.raises(InvalidWrite):
        kind(EHR, [])
    with pytest.raises(InvalidWrite):
        kind(EHR, None)
    with pytest.raises(InvalidWrite):
        kind("no no", [new()])
    with pytest.raises(InvalidWrite) as caught:
        kind("other", [new()])
    assert caught.value.path == "$.operations[0]"
    with pytest.raises(InvalidWrite) as data:
        kind(EHR, [new("p1"), new("p2", {"a": {1}})])
    assert data.value.path == "$.operations[1].data.a"


@pytest.mark.parametrize(
    "writes",
    [
        [new("p1"), new("p1")],
        [new("p1"), put("p2"), drop("p1")],
        [drop("p1"), put("p1")],
        [join(), rejoin()],
        [join(), part(PAIR)],
        [new("@rootId1"), new("@rootId1")],
        [new("@rootId"), put("p1"), new("@rootId")],
    ],
)
def test_a_bundle_has_one_operation_a_record(writes: Any) -> None:
    with pytest.raises(InvalidWrite) as caught:
        Bundle(EHR, writes)
    assert caught.value.path == f"$.operations[{len(writes) - 1}]"


@pytest.mark.parametrize(
    "writes",
    [
        [new(None), new(None)],
        [new("@rootId1"), new("@rootId2")],
        [new("p1"), join("p1"), join("p1", "org-8")],
        [drop("p1"), part("p1.org-9")],
    ],
)
def test_what_a_bundle_may_hold(writes: Any) -> None:
    assert list(Bundle(EHR, writes).writes) == writes


def test_a_bulk_may_delete_and_make_again_but_not_do_the_same_twice() -> None:
    assert len(Bulk(EHR, [drop("p1"), new("p1")]).writes) == 2
    assert len(Bulk(EHR, [new(None), new(None), new("@rootId"), new("@rootId")]).writes) == 4
    with pytest.raises(InvalidWrite):
        Bulk(EHR, [put("p1"), drop("p1"), put("p1")])


def test_a_bundle_of_500_kb_and_not_a_byte_more() -> None:
    empty = len(Bundle(EHR, [new("p1", {"a": ""})]).request().body or b"")
    largest = Bundle(EHR, [new("p1", {"a": "x" * (LARGEST_BUNDLE - empty)})])
    assert len(largest.request().body or b"") == LARGEST_BUNDLE == 500_000
    with pytest.raises(InvalidWrite, match="500000"):
        Bundle(EHR, [new("p1", {"a": "x" * (LARGEST_BUNDLE - empty + 1)})])
    Bulk(EHR, [new("p1", {"a": "x" * LARGEST_BUNDLE})])


# ---------------------------------------------------------------------------------- builder


async def test_a_builder_links_what_has_no_id_yet() -> None:
    builder = BundleBuilder(EHR)
    ana = builder.create(PERSON, data={"name": "Ana"})
    clinic = builder.create("organization", data={"head": ana.id})
    known = builder.create(PERSON, data={}, id="prac-7")
    link = builder.relate(WORKS_AT, from_=ana, to=clinic, data={"role": "head"})
    builder.relate(WORKS_AT, from_=known, to=ORG)
    builder.add(drop("p3"))
    assert (ana, clinic) == (Ref("@rootId1", PERSON), Ref("@rootId2", "organization"))
    assert known == Ref("prac-7", PERSON)
    assert len(builder) == len(list(builder)) == 6
    assert list(builder)[3] is link
    async with against([accepted("bd_1")]) as (session, server):
        await session.bundle(EHR, builder)
        body = sent(server)
        made = [operation.get("create", {}).get("id") for operation in body["resourceOperations"]]
        assert made == ["@rootId1", "@rootId2", "prac-7", None]
        assert body["resourceOperations"][1]["create"]["data"] == {"head": "@rootId1"}
        ends = body["relationshipOperations"][0]["create"]
        assert (ends["from"]["id"], ends["to"]["id"]) == ("@rootId1", "@rootId2")


def test_a_token_written_by_hand_does_not_meet_one_of_the_builder() -> None:
    builder = BundleBuilder(EHR)
    builder.create(PERSON, data={}, id="@rootId1")
    builder.create(PERSON, data={})
    with pytest.raises(InvalidWrite):
        Bundle(EHR, builder)


# ---------------------------------------------------------------------------------- results


@pytest.mark.parametrize(
    ("method", "more"),
    [("bulk", {}), ("bulk", {"taskId": "bk_1"}), ("bundle", {}), ("bundle", {"taskId": "bd_1"})],
)
async def test_what_was_persisted_is_done_with_one_request(method: str, more: Any) -> None:
    document = {"status": "PERSISTED", "operations": [], **more}
    async with against([answer(document, 201)]) as (session, server):
        batch = await getattr(session, method)(EHR, [new(), put("p2")])
        assert batch.done()
        result = await batch
        assert (result.receipts, result.failed, result.missing) == ((), [], [])
        assert result.of(new()) is None
        assert result.writes == (new(), put("p2"))
        assert len(server.requests) == 1


async def test_a_bundle_persisted_without_a_task() -> None:
    async with against([answer({"status": "PERSISTED"}, 201)]) as (session, server):
        bundle = await session.bundle(EHR, [new()])
        assert bundle.id is None
        assert (await bundle).missing == []
        assert len(server.requests) == 1


async def test_a_bulk_id_stands_in_for_a_task_id() -> None:
    async with against([answer({"status": "ACCEPTED", "bulkId": "bk_1"}, 202)]) as (session, _):
        assert (await session.bulk(EHR, [new()])).id == TaskId("bk_1")


async def test_each_write_finds_its_receipt() -> None:
    writes = [new("p1"), put("p2"), drop("p3"), join("p1"), part("p3.org-9"), new("@rootId")]
    receipts = [
        receipt("server-made"),
        receipt("p3.org-9", action="DELETE"),
        receipt("p1.org-9"),
        receipt("p3", action="DELETE"),
        receipt("p2", action="UPSERT"),
        receipt("p1"),
    ]
    async with against(script("SUCCESS", receipts, id="bd_1")) as (session, server):
        result = await (await session.bundle(EHR, writes))
        found = [result.of(write) for write in writes]
        assert [one and one.id for one in found] == [entry["id"] for entry in reversed(receipts)]
        assert (result.failed, result.missing) == ([], [])
        assert server.count("GET", "withReceipts") == 1


async def test_what_failed_is_reported_write_by_write() -> None:
    writes = [new("p1"), put("p2"), drop("p3")]
    receipts = [receipt("p1"), receipt("p2", "FAILURE", error="INVALID_ARGUMENT"), receipt("p3", "CANCELLED")]
    async with against(script("FAILURE", receipts)) as (session, _):
        bulk = await session.bulk(EHR, writes)
        with pytest.raises(TaskFailed) as caught:
            await bulk
        error = caught.value
        assert error.outcome is Outcome.UNKNOWN
        assert error.result is not None
        assert [entry.id for entry in error.failed_receipts] == ["p2", "p3"]
        assert [entry.id for entry in error.result.failed] == ["p2", "p3"]
        assert error.result.missing == []
        first, second, third = map(error.result.of, writes)
        assert first
        assert second
        assert third
        assert (first.status, third.status) == (TaskStatus.SUCCESS, TaskStatus.CANCELLED)
        assert second.error
        assert second.error.type == "INVALID_ARGUMENT"
        assert error.token == bulk.token()


async def test_a_cancelled_bundle() -> None:
    receipts = [receipt("prac-1", "CANCELLED"), receipt(PAIR, "CANCELLED")]
    async with against(script("CANCELLED", receipts, id="bd_1")) as (session, _):
        with pytest.raises(TaskCancelled) as caught:
            await (await session.bundle(EHR, [new(), join()]))
        assert caught.value.outcome is Outcome.REJECTED


@pytest.mark.parametrize(
    "receipts",
    [[], [receipt("prac-1")], [receipt("prac-1"), receipt("prac-1")], [receipt("prac-1"), receipt("other")]],
)
async def test_a_write_without_a_receipt_is_not_taken_for_stored(receipts: Any) -> None:
    async with against(script("SUCCESS", receipts)) as (session, _):
        with pytest.raises(ProtocolError) as caught:
            await (await session.bulk(EHR, [new(), put("p2")]))
        assert caught.value.outcome is Outcome.UNKNOWN


# ----------------------------------------------------------------------- receipts and their writes


def test_made_ids_are_matched_only_if_one_can_be_meant() -> None:
    one, other = new(None, {"n": 1}), new(None, {"n": 2})
    alone = BatchResult(reported(receipt("m1"), receipt("p1")), [one, new("p1")])
    assert alone.of(one) == alone.receipts[0]
    both = BatchResult(reported(receipt("m1"), receipt("m2")), [one, other])
    assert (both.of(one), both.of(other), both.missing) == (None, None, [])
    half = BatchResult(reported(receipt("m1")), [one, other])
    assert (half.of(one), half.of(other)) == (None, None)
    assert half.missing == [one, other]
    foreign = BatchResult(reported(receipt("m1", action="DELETE")), [one])
    assert foreign.of(one) is None
    assert foreign.missing == [one]
    doubled = BatchResult(reported(receipt("m1"), receipt("m1")), [one])
    assert doubled.of(one) == doubled.receipts[0]
    torn = BatchResult(reported(receipt("m1"), receipt("m1", "FAILURE")), [one])
    assert torn.of(one) is None


def test_other_types_and_targets_are_nobody_elses() -> None:
    entry = reported({**receipt("p1"), "type": "patient"})
    assert BatchResult(entry, [new("p1"), new(None)]).of(new("p1")) is None
    assert BatchResult(reported({**receipt("p1"), "targetType": "OBJECT"}), [new("p1")]).missing == [
        new("p1")
    ]
    assert BatchResult(reported(receipt("p1")), [new("p1")]).of(new("p9")) is None


def test_ends_that_are_tokens_are_made_ids_too() -> None:
    link, named = join("@rootId1"), join("p1")
    result = BatchResult(reported(receipt("made.org-9"), receipt("p1.org-9")), [link, named])
    assert [result.of(link), result.of(named)] == list(result.receipts)
    two = BatchResult(reported(receipt("m1.org-9"), receipt("m2.org-9")), [link, join("@rootId2")])
    assert (two.of(link), two.missing) == (None, [])


def test_two_writes_of_one_record_are_distinguished_by_what_they_do() -> None:
    writes = [drop("p1"), new("p1")]
    both = BatchResult(reported(receipt("p1"), receipt("p1", action="DELETE")), writes)
    assert [both.of(write) for write in writes] == list(reversed(both.receipts))
    half = BatchResult(reported(receipt("p1", action="DELETE")), writes)
    assert [half.of(write) for write in writes] == [half.receipts[0], None]
    assert half.missing == writes[1:]


def test_an_action_that_is_not_known_is_no_obstacle() -> None:
    result = BatchResult(reported(receipt("p1", action="SOMETHING_NEW")), [new("p1")])
    assert result.of(new("p1")) == result.receipts[0]


def test_results_of_many_writes_are_matched_in_passing() -> None:
    writes = [new(None) for _ in range(20_000)] + [put(f"p{number}") for number in range(20_000)]
    entries = [receipt(f"m{number}") for number in range(20_000)]
    entries += [receipt(f"p{number}", action="UPSERT") for number in range(20_000)]
    result = BatchResult(reported(*entries), writes)
    assert result.missing == []
    assert "20000" not in repr(BatchResult((), writes[:1]))


# ---------------------------------------------------------------------------------- repeats


def test_how_often_a_batch_may_be_sent() -> None:
    for kind in (Bulk, Bundle):
        assert kind(EHR, [put(), drop("p2")]).retry_safety is RetrySafety.IDEMPOTENT
        assert kind(EHR, [put(), new("p2")]).retry_safety is RetrySafety.KEYED
        assert kind(EHR, [put(), new("p2"), new(None)]).retry_safety is RetrySafety.ONCE
        assert kind(EHR, [new("@rootId1")]).retry_safety is RetrySafety.ONCE
        assert kind(EHR, [rejoin(), part("a.b")]).retry_safety is RetrySafety.IDEMPOTENT
        assert kind(EHR, [join()]).retry_safety is RetrySafety.KEYED


@pytest.mark.parametrize("method", ["bulk", "bundle"])
@pytest.mark.parametrize("lost", [close, reset, refusal(500), reply(503), reply(200, b"{")])
@pytest.mark.parametrize("id", [None, "@rootId1"])
async def test_a_batch_that_makes_ids_is_sent_once(method: str, lost: Behaviour, id: str | None) -> None:
    async with against([lost, accepted("bk_1")]) as (session, server):
        with pytest.raises(RequestError) as caught:
            await getattr(session, method)(EHR, [put("p2"), new(id)])
        assert caught.value.outcome is Outcome.UNKNOWN
        assert len(server.requests) == 1


STORED = {
    "/resources/practitioner/prac-1": [answer(held(data={"a": 1}))],
    "/resources/practitioner/p2": [answer(held("p2", {"b": 2}))],
    f"/relationships/works-at/{PAIR}": [answer(joined(data={"c": 3}))],
}
WRITES = [new(data={"a": 1}), put("p2", {"b": 2}), drop("p3"), join(data={"c": 3})]
TWINS = [
    taken("prac-1"),
    receipt("p2", "CANCELLED", "UPSERT"),
    receipt("p3", "FAILURE", "DELETE", error="NOT_FOUND"),
    receipt(PAIR, "CANCELLED"),
]


@pytest.mark.parametrize(("method", "id"), [("bulk", "bk_1"), ("bundle", "bd_1")])
@pytest.mark.parametrize("lost", [True, False])
async def test_a_batch_that_met_its_twin_is_read_back(method: str, id: str, lost: bool) -> None:
    writes, receipts = (WRITES[:3], TWINS[:3]) if method == "bulk" else (WRITES, TWINS)
    posts = [close, accepted(id)] if lost else [accepted(id)]
    async with against(script("FAILURE", receipts, id=id, posts=posts, **STORED)) as (session, server):
        batch = await getattr(session, method)(EHR, writes)
        assert batch.maybe_applied == lost
        if lost:
            result = await batch
            assert batch.reconciled
            assert len(result.receipts) == len(receipts)
            assert server.count("GET", "/practitioner/") == 3
        else:
            with pytest.raises(TaskFailed) as caught:
                await batch
            assert caught.value.outcome is Outcome.REJECTED
            assert server.count("GET") == server.count("GET", "/tasks/")


@pytest.mark.parametrize(
    ("place", "theirs"),
    [
        ("/resources/practitioner/prac-1", answer(held(data={"a": 9}))),
        ("/resources/practitioner/prac-1", refusal(404, "NOT_FOUND")),
        ("/resources/practitioner/p2", answer(held("p2", {"b": 9}))),
        ("/resources/practitioner/p3", answer(held("p3"))),
        (f"/relationships/works-at/{PAIR}", answer(joined(data={"c": 9}))),
        (f"/relationships/works-at/{PAIR}", refusal(404, "NOT_FOUND")),
    ],
)
async def test_one_record_that_differs_is_left_as_failed(place: str, theirs: Behaviour) -> None:
    stored = {**STORED, place: [theirs]}
    posts = [close, accepted("bd_1")]
    async with against(script("FAILURE", TWINS, id="bd_1", posts=posts, **stored)) as (session, _):
        with pytest.raises(TaskFailed) as caught:
            await (await session.bundle(EHR, WRITES))
        assert [entry.id for entry in caught.value.failed_receipts] == [place.rsplit("/", 1)[1]]
        assert caught.value.outcome is Outcome.UNKNOWN
        assert caught.value.result is not None
        assert len(caught.value.result.failed) == 4


async def test_a_failure_of_its_own_is_not_reconciled() -> None:
    receipts = [receipt("prac-1", "FAILURE", error="INVALID_ARGUMENT")]
    posts = [close, accepted("bk_1")]
    async with against(script("FAILURE", receipts, posts=posts, **STORED)) as (session, server):
        with pytest.raises(TaskFailed):
            await (await session.bulk(EHR, [new(data={"a": 1})]))
        assert server.count("GET") == server.count("GET", "/tasks/")


async def test_what_was_found_taken_at_once_after_a_lost_answer_is_unknown() -> None:
    async with against([close, refusal(409, "ALREADY_EXISTS")]) as (session, server):
        with pytest.raises(AlreadyExists) as caught:
            await session.bundle(EHR, [new()])
        assert caught.value.outcome is Outcome.UNKNOWN
        assert len(server.requests) == 2


# ---------------------------------------------------------------------------------- resumed


@pytest.mark.parametrize(
    ("id", "said"),
    [
        ("bk_1", "bk_1"),
        ("bd_1", "bd_1"),
        ("2wil2v", "2wil2v"),
        ("2wil2v", "bk_2wil2v"),
        ("2wil2v", "bd_2wil2v"),
    ],
)
async def test_a_resumed_batch_gives_its_receipts(id: str, said: str) -> None:
    async with against(script("SUCCESS", [receipt("p1"), receipt("p2")], id=said), timeout=5) as (
        session,
        server,
    ):
        result = await session.task(id, source=EHR)
        assert isinstance(result, BatchResult)
        assert [entry.id for entry in result.receipts] == ["p1", "p2"]
        assert (result.writes, result.missing) == ((), [])
        assert all(target.startswith(f"/sources/ehr/v1/tasks/{id}") for _, target in server.seen())


@pytest.mark.parametrize("said", ["bk_2", "s_1", "pg_1"])
async def test_the_receipts_of_another_task(said: str) -> None:
    async with against([task("SUCCESS", said)]) as (session, _):
        with pytest.raises(ProtocolError):
            await session.task("bk_1", source=EHR).refresh()


async def test_a_resumed_batch_that_failed() -> None:
    receipts = [receipt("p1"), receipt("p2", "FAILURE")]
    async with against(script("FAILURE", receipts)) as (session, _):
        with pytest.raises(TaskFailed) as caught:
            await session.task("bk_1", source=EHR)
        assert [entry.id for entry in caught.value.failed_receipts] == ["p2"]
        assert caught.value.result is not None
        assert [entry.id for entry in caught.value.result.failed] == ["p2"]


@pytest.mark.parametrize("writes", [[new("p1"), put("p2")], [join("p1"), part("p2.org-9")]])
async def test_a_bulk_that_is_encoded_already_is_the_same_request(writes: Any) -> None:
    bulk = Bulk(EHR, writes)
    encoded = EncodedBulk(EHR, bulk.target, bulk.operations, bulk.retry_safety)
    assert encoded.request() == bulk.request()
    receipts = [receipt("p1"), receipt("p2")]
    async with against(script("SUCCESS", receipts)) as (session, server):
        result = await (await session.submit(encoded))
        assert [entry.id for entry in result.receipts] == ["p1", "p2"]
        assert server.count("GET", "withReceipts") == 1
    async with against([answer({"status": "PERSISTED"}, 201)]) as (session, _):
        assert (await (await session.submit(encoded))).receipts == ()
    async with against(script("FAILURE", [receipt("p1"), taken("p2")])) as (session, _):
        with pytest.raises(TaskFailed) as caught:
            await (await session.submit(encoded))
        assert [entry.id for entry in caught.value.failed_receipts] == ["p2"]
        assert caught.value.result is not None
        assert len(caught.value.result.receipts) == 2


@pytest.mark.parametrize("retry_safety", [RetrySafety.ONCE, RetrySafety.KEYED])
async def test_a_bulk_that_is_encoded_already_is_repeated_as_its_maker_says(
    retry_safety: RetrySafety,
) -> None:
    encoded = EncodedBulk(EHR, TargetType.RESOURCE, [new("p1").operation()], retry_safety)
    async with against([close, answer({"status": "PERSISTED"}, 201)]) as (session, server):
        if retry_safety is RetrySafety.ONCE:
            with pytest.raises(RequestError):
                await session.submit(encoded)
        else:
            assert (await session.submit(encoded)).attempts == 2
        assert len(server.requests) == (1 if retry_safety is RetrySafety.ONCE else 2)


NEW = {"createdAt": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize("more", [{"bulkId": "bk_1"}, {"bulkId": "bk_1", "receipts": []} | NEW])
async def test_a_bulk_by_its_own_endpoint_may_have_fields_that_are_new(more: dict[str, object]) -> None:
    async with against([answer({"status": "SUCCESS"} | more)]) as (session, _):
        found = await session.get_bulk_result(EHR, TargetType.RESOURCE, "bk_1")
        assert found.status == TaskStatus.SUCCESS


async def test_an_answer_of_a_gateway_is_no_result_of_a_bulk() -> None:
    once = RetryPolicy(attempts=1)
    async with against([answer({"status": "SUCCESS", "message": "ok"})], retry=once) as (session, _):
        with pytest.raises(ProtocolError, match="about something else"):
            await session.get_bulk_result(EHR, TargetType.RESOURCE, "bk_1")


@pytest.mark.parametrize("target", [TargetType.RESOURCE, TargetType.RELATIONSHIP])
async def test_a_bulk_by_its_own_endpoint(target: TargetType) -> None:
    behaviours = [answer({"status": "PENDING"}), answer({"status": "SUCCESS", "receipts": [receipt("p1")]})]
    async with against(behaviours) as (session, server):
        assert (await session.get_bulk_result(EHR, target, "2wil2v")).receipts is None
        found = await session.get_bulk_result(EHR, target, TaskId("bk_1"), with_receipts=True)
        assert found.receipts
        assert found.receipts[0].id == "p1"
        name = "resources" if target == TargetType.RESOURCE else "relationships"
        assert [path for _, path in server.seen()] == [
            f"/sources/ehr/v1/{name}/bulk/2wil2v",
            f"/sources/ehr/v1/{name}/bulk/bk_1?withReceipts=true",
        ]
    assert GetBulkResult(EHR, target, TaskId("bk_1")).retry_safety is RetrySafety.IDEMPOTENT


def test_no_record_is_in_a_text() -> None:
    for kind in (Bulk, Bundle):
        text = repr(kind(EHR, [new("canary-1", {"name": "canary"}), put("canary-2", {"name": "canary"})]))
        assert "canary" not in text


@pytest.mark.parametrize("writes", [[new(data={"a": 1})], [drop("prac-1"), new(data={"a": 1})]])
async def test_a_receipt_that_could_be_of_none_or_of_several_is_not_reconciled(writes: Any) -> None:
    if len(writes) == 1:
        receipts = [receipt("prac-1"), taken("foreign")]
    else:
        receipts = [receipt("prac-1", action="DELETE"), taken("prac-1")]
    posts = [close, accepted("bk_1")]
    async with against(script("FAILURE", receipts, posts=posts, **STORED)) as (session, server):
        with pytest.raises(TaskFailed) as caught:
            await (await session.bulk(EHR, writes))
        assert caught.value.outcome is Outcome.UNKNOWN
        assert server.count("GET") == server.count("GET", "/tasks/")
