"""Answers with a good status that are not what was asked for prove nothing and are nothing."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from clinia_async import (
    CliniaError,
    Collection,
    CollectionType,
    CreateRelationship,
    CreateResource,
    Evidence,
    Existing,
    Modules,
    Outcome,
    Polling,
    Profile,
    ProtocolError,
    RelationshipDefinition,
    RequestError,
    Session,
    TargetType,
    Task,
    TaskPollError,
    WriteConflict,
)
from clinia_async.models import DataSource, DefinitionEnd, SourceCollection
from tests.factories import FROM, ID, ONCE, SOURCE, TO, TYPE, create, record, session_at
from tests.hostile import Hostile, answer, by_target, close, refusal, reply
from tests.transport.test_gateway_pages import HTML, JSON, PAGES

FAILURES: dict[str, Any] = {
    "a flag": {"success": False},
    "another flag": {"ok": False, "reason": "no"},
    "accepted": {"status": "ACCEPTED", "taskId": "s_1"},
    "to be done": {"status": "PENDING"},
    "Lambda": {"errorMessage": "timed out", "errorType": "Runtime.ExitError"},
    "an exception": {"exception": "java.lang.IllegalStateException", "status": "error"},
    "the envelope without a message": {"code": 500, "type": "INTERNAL", "details": None},
    "cancelled": {"status": "CANCELLED", "message": "context canceled"},
    "cancelled, with a code": {"status": "CANCELLED", "code": 1},
    "failed": {"status": "FAILURE", "message": "the task could not be loaded"},
    "failed, with data": {"status": "FAILURE", "data": {"reason": "no"}},
    "well": {"status": "SUCCESS", "message": "OK"},
}
WITH_GOOD_STATUS: dict[str, tuple[bytes, str]] = {
    **{name: PAGES[name](500) for name in PAGES if name not in {"nothing at all", "null"}},
    **{name: (json.dumps(failure).encode(), JSON) for name, failure in FAILURES.items()},
}
EXCEPT = frozenset({"a new type alone"})
"""What says no more than a type may be a source, a profile or a collection of a new one."""

OF_TASKS = frozenset({"accepted", "to be done"})
"""What may be said of a task that has not ended."""

ENDS = DefinitionEnd("practitioner", "worksAt"), DefinitionEnd("organization", "employs")
ONE = DataSource("ehr", [SourceCollection("practitioner")])
Catalog = Callable[[Session], Any]


async def _all(entries: Any) -> list[object]:
    return [entry async for entry in entries]


CATALOG_WRITES: dict[str, Catalog] = {
    "create_source": lambda s: s.create_source(SOURCE),
    "delete_source": lambda s: s.delete_source(SOURCE),
    "create_partition": lambda s: s.create_partition("p1", modules=Modules(), source=ONE),
    "delete_partition": lambda s: s.delete_partition("p1"),
    "put_profile": lambda s: s.put_profile(SOURCE, "p1", Profile({"name": {"type": "symbol"}})),
    "put_relationship_definition": lambda s: s.put_relationship_definition(
        SOURCE, TYPE, RelationshipDefinition(*ENDS)
    ),
    "put_collection": lambda s: s.put_collection(SOURCE, "c1", Collection(CollectionType.RESOURCES)),
}
CATALOG_READS: dict[str, Catalog] = {
    "get_source": lambda s: s.get_source(SOURCE),
    "get_partition": lambda s: s.get_partition("p1"),
    "get_relationship_definition": lambda s: s.get_relationship_definition(SOURCE, TYPE),
    "get_collection": lambda s: s.get_collection(SOURCE, "c1"),
    "list_sources": lambda s: _all(s.list_sources()),
    "list_partitions": lambda s: _all(s.list_partitions()),
    "list_relationship_definitions": lambda s: _all(s.list_relationship_definitions(SOURCE)),
    "browse": lambda s: _all(s.browse(SOURCE, [TYPE])),
    "get_bulk_result": lambda s: s.get_bulk_result(SOURCE, TargetType.RESOURCE, "bk_1"),
    "get_task": lambda s: s.get_task(SOURCE, "s_1"),
    "get_purge": lambda s: s.get_purge(SOURCE, "pg_1"),
}


@pytest.mark.parametrize("status", [200, 202, 203])
@pytest.mark.parametrize("way", CATALOG_WRITES)
async def test_no_page_with_a_good_status_says_that_a_write_was_carried_out(way: str, status: int) -> None:
    for name, (body, kind) in WITH_GOOD_STATUS.items():
        page = reply(status, body, kind=kind)
        if name in EXCEPT and way in {"create_source", "put_profile", "put_collection"}:
            continue
        async with Hostile(otherwise=page) as server, session_at(server, retry=ONCE) as session:
            with pytest.raises(ProtocolError) as caught:
                await CATALOG_WRITES[way](session)
            assert (caught.value.outcome, caught.value.evidence) == (Outcome.UNKNOWN, Evidence.NONE), name


@pytest.mark.parametrize("way", CATALOG_READS)
async def test_no_page_with_a_good_status_is_what_was_asked_for(way: str) -> None:
    for name, (body, kind) in WITH_GOOD_STATUS.items():
        page = reply(200, body, kind=kind)
        if (name in EXCEPT and way in {"get_source", "get_collection"}) or (
            way in {"get_task", "get_purge", "get_bulk_result"} and name in OF_TASKS
        ):
            continue
        if way.startswith("list") and name == "the envelope, in a list":
            continue
        async with Hostile(otherwise=page) as server, session_at(server, retry=ONCE) as session:
            try:
                found = await CATALOG_READS[way](session)
            except RequestError:
                continue
            pytest.fail(f"{name}: {found}")


@pytest.mark.parametrize("way", ["single", "made id", "delete", "bulk", "bundle", "purge"])
async def test_no_page_with_a_good_status_is_the_end_of_a_task(way: str) -> None:
    creates = [CreateRelationship(SOURCE, TYPE, FROM, TO)]
    sends: dict[str, Catalog] = {
        "single": create,
        "made id": lambda s: s.submit(CreateResource(SOURCE, "practitioner", data={})),
        "delete": lambda s: s.delete_relationship(SOURCE, TYPE, "a.b"),
        "bulk": lambda s: s.bulk(SOURCE, creates),
        "bundle": lambda s: s.bundle(SOURCE, creates),
        "purge": lambda s: s.purge(SOURCE, "relationships", TYPE),
    }
    id_ = {"bulk": "bk_1", "bundle": "bd_1", "purge": "pg_1"}.get(way, "s_1")
    operation = {"taskId": id_, "collectionType": "relationships", "collectionKey": TYPE, "status": "PENDING"}
    said = {"status": "ACCEPTED", "taskId": id_} | ({"purgeOperation": operation} if way == "purge" else {})
    for name, (body, kind) in WITH_GOOD_STATUS.items():
        if name in OF_TASKS:
            continue
        pages = by_target({"GET": [reply(200, body, kind=kind)], "": [answer(said, 202)]})
        impatient = Polling(patience=20)
        async with Hostile(otherwise=pages) as server, session_at(server, polling=impatient) as session:
            with pytest.raises(CliniaError) as caught:
                await (await sends[way](session))
            assert isinstance(caught.value, TaskPollError), name
            assert (caught.value.outcome, caught.value.evidence) == (Outcome.UNKNOWN, Evidence.NONE), name


@pytest.mark.parametrize("way", ["delete_source", "delete_partition"])
@pytest.mark.parametrize(
    "first", [reply(202), answer({"status": "ACCEPTED", "taskId": "s_1"}, 202), reply(200, HTML), close]
)
async def test_a_delete_that_was_not_carried_out_yet_is_known_by_the_next_answer(
    way: str, first: Any
) -> None:
    async with Hostile([first, refusal(404, "NOT_FOUND")]) as server, session_at(server) as session:
        gone: Task[None] = await CATALOG_WRITES[way](session)
        assert gone.maybe_applied
        assert gone.evidence is Evidence.READ_BACK
    async with Hostile(otherwise=reply(202)) as server, session_at(server) as session:
        with pytest.raises(ProtocolError) as caught:
            await CATALOG_WRITES[way](session)
        assert caught.value.outcome is Outcome.UNKNOWN


KEYS = {"delete_source": SOURCE, "delete_partition": "p1"}


@pytest.mark.parametrize("way", KEYS)
@pytest.mark.parametrize("said", [None, {}, {"error": None}, {"status": "PERSISTED"}, "key"])
async def test_a_delete_is_carried_out_where_nothing_else_is_said(way: str, said: Any) -> None:
    document = {"key": KEYS[way], "type": "registry", "status": "STATUS_READY"} if said == "key" else said
    async with Hostile([answer(document)]) as server, session_at(server, retry=ONCE) as session:
        assert await (await CATALOG_WRITES[way](session)) is None


OTHER_PARTITIONS: dict[str, Any] = {
    "another source": {
        "source": {"type": "DATA_SOURCE", "key": "lab", "collections": [{"key": "practitioner"}]}
    },
    "other collections": {
        "source": {"type": "DATA_SOURCE", "key": "ehr", "collections": [{"key": "clinic"}]}
    },
    "another kind of source": {"source": {"type": "MDM", "sources": ["ehr"], "collections": []}},
    "another module": {"modules": {"search": "HEALTH_GRADE_SEARCH"}},
}
SENT: dict[str, Any] = {
    "key": "p1",
    "modules": {"search": "STANDARD"},
    "source": {"type": "DATA_SOURCE", "key": "ehr", "collections": [{"key": "practitioner"}]},
    "status": "STATUS_READY",
}


@pytest.mark.parametrize("case", OTHER_PARTITIONS)
async def test_a_partition_that_was_there_is_not_said_to_be_made(case: str) -> None:
    """Whether a PUT of a partition that is there is refused, or answered with what is there, is unknown."""
    there = answer(SENT | OTHER_PARTITIONS[case])
    async with Hostile(otherwise=there) as server, session_at(server, retry=ONCE) as session:
        with pytest.raises(ProtocolError) as caught:
            await session.ensure_partition("p1", modules=Modules(), source=ONE)
        assert caught.value.outcome is Outcome.UNKNOWN


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"modules": None},
        {"modules": {}},
        {"modules": {"search": ""}},
        {"source": {"type": "DATA_SOURCE", "key": "ehr", "collections": ["practitioner"]}},
        {"source": {"type": "DATA_SOURCE", "key": "ehr", "collections": []}},
        {
            "source": {
                "type": "DATA_SOURCE",
                "collections": [{"key": "a"}, {"key": "practitioner", "more": 1}],
            }
        },
        {"source": "text"},
        {"source": None, "more": 1},
    ],
)
async def test_a_partition_that_is_answered_in_another_form_is_the_one_that_was_sent(more: Any) -> None:
    async with Hostile([answer(SENT | more)]) as server, session_at(server, retry=ONCE) as session:
        assert (await session.ensure_partition("p1", modules=Modules(), source=ONE)).created


PUTS = {way: write for way, write in CATALOG_WRITES.items() if not way.startswith("delete")}
ENTRIES: dict[str, Any] = {
    "create_source": {"key": SOURCE, "type": "registry"},
    "create_partition": SENT,
    "put_profile": {"key": "p1", "type": "ROOT", "properties": {"name": {"type": "symbol"}}},
    "put_relationship_definition": {
        "key": TYPE,
        "from": {"profileKey": "practitioner", "includeKey": "worksAt"},
        "to": {"profileKey": "organization", "includeKey": "employs"},
    },
    "put_collection": {"key": "c1", "type": "resources"},
    "delete_source": {"key": SOURCE, "type": "registry"},
    "delete_partition": SENT,
}
UNFINISHED: dict[str, Any] = {
    "a task": {"taskId": "s_1"},
    "accepted": {"status": "ACCEPTED"},
    "pending": {"status": "PENDING"},
    "pending, in the form of a partition": {"status": "STATUS_PENDING"},
    "failed": {"status": "FAILURE"},
    "failed, in lower case": {"status": "failed"},
    "cancelled": {"status": "CANCELLED"},
    "a flag": {"success": False},
    "another flag": {"ok": False},
}


@pytest.mark.parametrize("way", CATALOG_WRITES)
async def test_an_entry_is_not_written_where_the_answer_says_so_beside_it(way: str) -> None:
    """No task says later how it ended: what is said at once has to be that it is done."""
    async with Hostile() as server, session_at(server, retry=ONCE) as session:
        for name, more in UNFINISHED.items():
            server.then(answer(ENTRIES[way] | more))
            with pytest.raises(ProtocolError) as caught:
                await CATALOG_WRITES[way](session)
            assert (caught.value.outcome, caught.value.evidence) == (Outcome.UNKNOWN, Evidence.NONE), name
        for document in (ENTRIES[way], {}, {"key": ENTRIES[way]["key"]}):
            server.then(answer(document, 202))
            with pytest.raises(ProtocolError) as caught:
                await CATALOG_WRITES[way](session)
            assert caught.value.outcome is Outcome.UNKNOWN


@pytest.mark.parametrize("way", CATALOG_WRITES)
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"success": True, "taskId": None},
        {"status": "STATUS_STALE", "onFailure": "skip", "index": {"status": "PENDING"}},
    ],
)
@pytest.mark.parametrize("status", [200, 201])
async def test_an_entry_is_written_where_nothing_else_is_said(way: str, more: Any, status: int) -> None:
    document = answer(ENTRIES[way] | more, status)
    async with Hostile([document]) as server, session_at(server, retry=ONCE) as session:
        assert (await CATALOG_WRITES[way](session)).done()


@pytest.mark.parametrize("way", ["delete_source", "delete_partition"])
@pytest.mark.parametrize(
    "said",
    [
        {"status": "PERSISTED", "key": "other"},
        {"status": "PERSISTED", "operations": [{"status": "FAILURE"}]},
        {"deleted": False},
    ],
)
async def test_an_answer_that_says_something_else_deletes_nothing(way: str, said: Any) -> None:
    other = answer(({"key": KEYS[way]} if "deleted" in said else {}) | said)
    async with Hostile([other]) as server, session_at(server, retry=ONCE) as session:
        with pytest.raises(ProtocolError) as caught:
            await CATALOG_WRITES[way](session)
        assert caught.value.outcome is Outcome.UNKNOWN


OTHER_ENTRIES: list[tuple[str, Any]] = [
    ("create_partition", {"status": "STATUS_STAGE"}),
    ("put_profile", {"type": "CONTAINED"}),
    ("put_profile", {"properties": {"old": {"type": "symbol"}}}),
    ("put_relationship_definition", {"from": {"profileKey": "other", "includeKey": "worksAt"}}),
    ("put_relationship_definition", {"to": {"profileKey": "organization", "includeKey": "other"}}),
    ("put_collection", {"type": "relationships"}),
]


@pytest.mark.parametrize(("way", "other"), OTHER_ENTRIES)
async def test_an_entry_that_was_there_is_not_said_to_be_written(way: str, other: Any) -> None:
    """A replica that lags, or a service that leaves what is there, shows the former one."""
    async with Hostile([answer(ENTRIES[way] | other)]) as server, session_at(server, retry=ONCE) as session:
        with pytest.raises(ProtocolError) as caught:
            await CATALOG_WRITES[way](session)
        assert caught.value.outcome is Outcome.UNKNOWN
    lagging = [answer(ENTRIES[way] | other), answer(ENTRIES[way])]
    async with Hostile(lagging) as server, session_at(server) as session:
        assert (await CATALOG_WRITES[way](session)).maybe_applied


@pytest.mark.parametrize(
    ("way", "form"),
    [
        ("create_source", {"type": "REGISTRY"}),
        ("put_profile", {"properties": None}),
        ("put_profile", {"type": "ANOTHER", "properties": {"name": {"kind": 1}, "more": {}}}),
        ("put_relationship_definition", {"from": None, "to": {"profileKey": "organization", "more": 1}}),
        ("put_collection", {"type": None, "profile": {"properties": {"any": {}}}}),
    ],
)
async def test_an_entry_that_is_answered_in_another_form_is_written(way: str, form: Any) -> None:
    async with Hostile([answer(ENTRIES[way] | form)]) as server, session_at(server, retry=ONCE) as session:
        assert (await CATALOG_WRITES[way](session)).done()


@pytest.mark.parametrize("stage", [False, True])
async def test_a_partition_of_another_status_is_not_the_one_that_was_sent(stage: bool) -> None:
    """One that cannot be changed any more is no stage, and a stage is no ready one."""
    there = SENT | {"status": "STATUS_READY" if stage else "STATUS_STAGE"}
    answers = {"GET": [answer(there)], "PUT": [close, refusal(409, "ALREADY_EXISTS")]}
    async with Hostile(otherwise=by_target(answers)) as server, session_at(server) as session:
        with pytest.raises(WriteConflict) as caught:
            await session.create_partition("p1", modules=Modules(), source=ONE, stage=stage)
        assert caught.value.outcome is Outcome.UNKNOWN
    answers = {"GET": [answer(there)], "PUT": [refusal(409, "ALREADY_EXISTS")]}
    async with Hostile(otherwise=by_target(answers)) as server, session_at(server) as session:
        kept = await session.ensure_partition("p1", modules=Modules(), source=ONE, stage=stage)
        assert kept.existing is Existing.DIFFERENT


BESIDE: dict[str, Any] = {
    "a receipt of a failure": {"receipts": [{"status": "SUCCESS"}, {"status": "FAILURE"}]},
    "a cancelled operation": {"operations": [{"id": "a.b", "status": "CANCELLED"}]},
    "an operation that runs": {"persistedOperations": [{"status": "PENDING"}]},
    "a status of HTTP": {"results": [{"status": 201}, {"status": 409}]},
    "an error of an operation": {"items": [{"id": "a.b", "error": {"type": "INTERNAL"}}]},
    "a review": {"receipts": [{"status": "SUCCESS", "pipelineExecution": {"status": "IN_REVIEW"}}]},
    "a review of the one": {"pipelineExecution": {"status": "REJECTED"}},
    "a count": {"failed": 1},
    "a flag": {"hasErrors": True},
    "failures": {"failedOperations": ["a.b"]},
}
HARMLESS: dict[str, Any] = {
    "receipts": {"receipts": [{"status": "SUCCESS", "error": None, "pipelineExecution": None}]},
    "records": {"operations": [{"resource": {"id": "a", "data": {"status": "REJECTED", "error": "x"}}}]},
    "counts": {"failed": 0, "errors": [], "hasErrors": False, "failedOperations": None},
    "other words": {"results": [{"status": "CREATED"}, {"status": 201}, "text", None], "status2": "FAILURE"},
}
BATCHES: dict[str, Catalog] = {
    "bulk": lambda s: s.bulk(SOURCE, [CreateRelationship(SOURCE, TYPE, FROM, TO)]),
    "bundle": lambda s: s.bundle(SOURCE, [CreateRelationship(SOURCE, TYPE, FROM, TO)]),
    "delete": lambda s: s.delete_relationship(SOURCE, TYPE, "a.b"),
}


@pytest.mark.parametrize("status", [200, 207])
@pytest.mark.parametrize("way", BATCHES)
async def test_what_is_said_beside_persisted_is_read(way: str, status: int) -> None:
    async with Hostile() as server, session_at(server, retry=ONCE) as session:
        for name, more in BESIDE.items():
            server.then(answer({"status": "PERSISTED", "taskId": "s_1", **more}, status))
            with pytest.raises(ProtocolError) as caught:
                await BATCHES[way](session)
            assert (caught.value.outcome, caught.value.evidence) == (Outcome.UNKNOWN, Evidence.NONE), name
        for more in HARMLESS.values():
            server.then(answer({"status": "PERSISTED", "taskId": "s_1", **more}, status))
            assert (await BATCHES[way](session)).done()


@pytest.mark.parametrize("status", ["FAILURE", "PENDING", "CANCELLED", "NEW"])
async def test_a_purge_is_not_carried_out_where_its_own_status_says_otherwise(status: str) -> None:
    operation = {"taskId": "pg_1", "collectionType": "relationships", "collectionKey": TYPE, "status": status}
    said = answer({"status": "PERSISTED", "taskId": "pg_1", "purgeOperation": operation})
    async with Hostile([said]) as server, session_at(server) as session:
        with pytest.raises(ProtocolError) as caught:
            await session.purge(SOURCE, "relationships", TYPE)
        assert caught.value.outcome is Outcome.UNKNOWN


async def test_a_delete_that_left_its_record_speaks_of_no_record_that_was_sent() -> None:
    """A replica may lag, or the one attempt was refused by what is there no more."""
    script = by_target({"DELETE": [close, refusal(404, "NOT_FOUND")], "GET": [answer(record())]})
    async with Hostile(otherwise=script) as server, session_at(server, timeout=5.0) as session:
        with pytest.raises(WriteConflict) as caught:
            await session.delete_relationship(SOURCE, TYPE, ID)
    assert (caught.value.outcome, caught.value.evidence) == (Outcome.UNKNOWN, Evidence.NONE)
    assert "sent" not in str(caught.value).partition("; it may have been")[0]
    assert "can still be read" in str(caught.value)
