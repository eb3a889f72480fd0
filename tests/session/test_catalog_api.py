"""Every operation of the contract, as it is really sent; the catalog, and what a source is made of."""

import json
from typing import Any

import pytest

from clinia_async import (
    Collection,
    CollectionConnection,
    CollectionProfile,
    CollectionType,
    ConnectionEnd,
    DataSource,
    InvalidWrite,
    Mdm,
    Modules,
    NotFound,
    Outcome,
    Patch,
    PatchOp,
    Profile,
    ProfileType,
    ProtocolError,
    ReconciliationRules,
    ReconciliationType,
    RelationshipConnection,
    RelationshipDefinition,
    RequestError,
    SourceCollection,
    SourceMapping,
    TargetType,
    Task,
    TaskStatus,
)
from clinia_async.errors import ConfigError
from clinia_async.models import Cardinality, DefinitionEnd
from tests.contract import examples
from tests.contract.examples import BD, BK, FIRST, GOOD, PG, S
from tests.contract.exchange import Exchange
from tests.exchanges import (
    ANA,
    CONTRACT,
    EHR,
    OFFICE,
    ORG,
    PAIR,
    PERSON,
    WORKS_AT,
    Send,
    against,
    drop,
    exchanged,
    join,
    new,
    part,
    put,
    rejoin,
    replay,
    sent,
)
from tests.factories import ONCE
from tests.hostile import answer, close, refusal, reply

DEFINITION = RelationshipDefinition(
    DefinitionEnd(PERSON, "worksAt", Cardinality.ANY), DefinitionEnd("organization", "staff"), properties={}
)
PROFILE = Profile({"name": {"type": "humanname"}}, contained={"office": {"types": ["o"]}})
COLLECTION = Collection(CollectionType.RESOURCES, CollectionProfile({"name": {"type": "humanname"}}))
ONE = DataSource("ehr", (SourceCollection(PERSON), SourceCollection("organization")), (WORKS_AT,))
MDM = Mdm(
    ("ehr", "crm"),
    (
        CollectionConnection(
            "person",
            {"name": {"type": "humanname"}},
            (SourceMapping("ehr", PERSON, {"name": "name"}),),
            traversed_properties=("@worksAt.startDate",),
            reconciliation_rules=ReconciliationRules(ReconciliationType.SYSTEM, []),
            contained={},
        ),
    ),
    (
        RelationshipConnection(
            ConnectionEnd("person", "worksAt"), ConnectionEnd("organization", "staff"), WORKS_AT, {}, ()
        ),
    ),
)
RELATIONSHIPS = [join(), rejoin(to="org-8"), part("prac-1.org-7")]
RESOURCES = [new("@rootId1"), new(None), new(None), put("prac-2", contained={"office": [OFFICE]}), drop("p3")]
PATCHES = [Patch(PatchOp.REPLACE, "/role", None), Patch(PatchOp.REMOVE, "/since")]


async def entries(stream: Any) -> list[Any]:
    return [entry async for entry in stream]


SENT: dict[str, list[Send]] = {
    "create_relationship": [lambda s: s.create_relationship(EHR, WORKS_AT, from_=ANA, to=ORG, data={"a": 1})],
    "get_relationship": [
        lambda s: s.get_relationship(EHR, WORKS_AT, PAIR),
        lambda s: s.get_relationship(EHR, WORKS_AT, "urn:a/b:123:use"),
    ],
    "update_relationship": [lambda s: s.update_relationship(EHR, WORKS_AT, PAIR, PATCHES)],
    "delete_relationship": [lambda s: s.delete_relationship(EHR, WORKS_AT, PAIR)],
    "bulk_relationships": [lambda s: s.bulk(EHR, RELATIONSHIPS)],
    "get_relationship_bulk": [
        lambda s: s.get_bulk_result(EHR, TargetType.RELATIONSHIP, BK),
        lambda s: s.get_bulk_result(EHR, TargetType.RELATIONSHIP, BK[3:]),
    ],
    "create_resource": [
        lambda s: s.create_resource(EHR, PERSON, id="@rootId", data={}, contained={"office": [OFFICE]}),
        lambda s: s.create_resource(EHR, PERSON, data={}),
        lambda s: s.create_resource(EHR, PERSON, id="prac-1", data={}),
    ],
    "get_resource": [
        lambda s: s.get_resource(EHR, PERSON, "prac-1"),
        lambda s: s.get_resource(EHR, PERSON, "clinia:123:use"),
    ],
    "upsert_resource": [lambda s: s.upsert_resource(EHR, PERSON, "prac-1", data={"name": "Ana"})],
    "delete_resource": [lambda s: s.delete_resource(EHR, PERSON, "prac-1")],
    "create_contained_resource": [lambda s: s.create_contained(EHR, PERSON, "prac-1", ["office"], OFFICE)],
    "upsert_contained_resource": [
        lambda s: s.upsert_contained(EHR, PERSON, "prac-1", ["office", "o1"], OFFICE)
    ],
    "upsert_nested_contained_resource": [
        lambda s: s.upsert_contained(EHR, PERSON, "prac-1", ["office", "o1", "desk", "d1"], OFFICE)
    ],
    "delete_contained_resource": [lambda s: s.delete_contained(EHR, PERSON, "prac-1", ["office", "o1"])],
    "bulk_resources": [lambda s: s.bulk(EHR, RESOURCES)],
    "get_resource_bulk": [lambda s: s.get_bulk_result(EHR, TargetType.RESOURCE, BK)],
    "bundle": [lambda s: s.bundle(EHR, [*RESOURCES, *RELATIONSHIPS])],
    "purge": [lambda s: s.purge(EHR, "relationships", WORKS_AT)],
    "get_purge": [lambda s: s.get_purge(EHR, PG), lambda s: s.get_purge(EHR, f"purge:{PG[3:]}")],
    "get_task": [lambda s: s.get_task(EHR, S)],
    "browse": [lambda s: anext(s.browse(EHR, [PERSON, WORKS_AT], per_page=2, filter={}, include=["name"]))],
    "list_relationship_definitions": [lambda s: entries(s.list_relationship_definitions(EHR))],
    "put_relationship_definition": [lambda s: s.put_relationship_definition(EHR, WORKS_AT, DEFINITION)],
    "get_relationship_definition": [lambda s: s.get_relationship_definition(EHR, WORKS_AT)],
    "put_profile": [lambda s: s.put_profile(EHR, PERSON, PROFILE)],
    "put_collection": [lambda s: s.put_collection(EHR, PERSON, COLLECTION)],
    "get_collection": [lambda s: s.get_collection(EHR, PERSON)],
    "list_sources": [lambda s: entries(s.list_sources(per_page=5))],
    "put_source": [lambda s: s.create_source(EHR)],
    "get_source": [lambda s: s.get_source(EHR)],
    "delete_source": [lambda s: s.delete_source(EHR)],
    "list_partitions": [lambda s: entries(s.list_partitions(per_page=5))],
    "put_partition": [lambda s: s.create_partition("p1", modules=Modules(), source=ONE)],
    "get_partition": [lambda s: s.get_partition("p1")],
    "delete_partition": [lambda s: s.delete_partition("p1")],
}
"""Each operation of the contract, by the methods that send it."""

WRITES = {
    id_ for id_, operation in CONTRACT.operations.items() if operation.method != "GET" and id_ != "browse"
}
GIVEN = [(id_, number) for id_, sends in SENT.items() for number in range(len(sends))]


def test_no_operation_of_the_contract_is_missing() -> None:
    assert set(SENT) == set(CONTRACT.operations) == set(FIRST)


def no_faults(id_: str, exchange: Exchange) -> None:
    operation = CONTRACT.operation(exchange)
    assert operation is not None
    assert operation.id == id_
    assert CONTRACT.check(exchange) == []


@pytest.mark.parametrize(("id_", "number"), GIVEN)
async def test_every_operation_is_sent_as_the_contract_says(id_: str, number: int) -> None:
    good = FIRST[id_]
    async with against([replay(good)], retry=ONCE) as (session, server):
        result = await SENT[id_][number](session)
        assert len(server.requests) == 1
        no_faults(id_, exchanged(server.requests[0], good))
        assert isinstance(result, Task) == (id_ in WRITES)


@pytest.mark.parametrize("place", range(len(GOOD)))
async def test_every_good_answer_is_taken(place: int) -> None:
    """Whichever of the answers to an operation comes, and with receipts where they were asked for."""
    id_, good = GOOD[place]
    with_receipts = "withReceipts=true" in good.query
    asked = good.path.rsplit("/", 1)[1].replace("%3A", ":")
    sends: dict[str, Send] = {
        "get_task": lambda s: s.get_task(EHR, asked, with_receipts=with_receipts),
        "get_purge": lambda s: s.get_purge(EHR, asked),
        "get_relationship_bulk": lambda s: s.get_bulk_result(
            EHR, TargetType.RELATIONSHIP, asked, with_receipts=with_receipts
        ),
        "put_partition": lambda s: s.create_partition(
            "p1", modules=Modules(), source=MDM if good.query else ONE, stage=bool(good.query)
        ),
    }
    async with against([replay(good)], retry=ONCE) as (session, server):
        send = sends.get(id_, SENT[id_][0])
        if not good.good:
            with pytest.raises(RequestError):
                await send(session)
        else:
            await send(session)
        assert len(server.requests) == 1
        no_faults(id_, exchanged(server.requests[0], good))


async def test_an_mdm_partition_goes_out_whole() -> None:
    async with against([replay(dict(GOOD)["put_partition"])]) as (session, server):
        made = await session.create_partition("p1", modules=Modules(), source=MDM, stage=True)
        assert (await made).source == MDM
        assert sent(server) == {**examples.SEARCH, "source": examples.MDM}
        assert server.seen() == [("PUT", "/catalog/v1/partitions/p1?stage=true")]


AT_ONCE: dict[str, Any] = {
    "put_source": {"key": "ehr", "type": "registry"},
    "put_partition": examples.PARTITION,
    "put_profile": examples.PROFILE,
    "put_relationship_definition": examples.DEFINITION,
    "put_collection": examples.COLLECTION,
    "delete_source": None,
    "delete_partition": None,
}


@pytest.mark.parametrize("id_", AT_ONCE)
async def test_a_write_without_a_task_is_resolved_at_birth(id_: str) -> None:
    behaviour = reply(204) if AT_ONCE[id_] is None else answer(AT_ONCE[id_])
    async with against([behaviour]) as (session, server):
        made = await SENT[id_][0](session)
        assert (made.id, made.state, made.done()) == (None, TaskStatus.SUCCESS, True)
        assert (await made is None) == (AT_ONCE[id_] is None)
        assert await made.receipts() == ()
        assert (await made.wait()).status == TaskStatus.SUCCESS
        with pytest.raises(ConfigError):
            made.token()
        assert len(server.requests) == 1


@pytest.mark.parametrize("id_", ["delete_source", "delete_partition"])
async def test_a_delete_that_finds_nothing_after_a_lost_answer_is_done(id_: str) -> None:
    async with against([close, refusal(404, "NOT_FOUND")]) as (session, server):
        gone = await SENT[id_][0](session)
        assert await gone is None
        assert gone.maybe_applied
        assert gone.reconciled
        assert server.count("DELETE") == len(server.requests) == 2


@pytest.mark.parametrize("id_", ["delete_source", "delete_partition"])
async def test_a_delete_that_finds_nothing_at_first_raises(id_: str) -> None:
    async with against([refusal(404, "NOT_FOUND")]) as (session, server):
        with pytest.raises(NotFound) as caught:
            await SENT[id_][0](session)
        assert caught.value.outcome is Outcome.REJECTED
        assert len(server.requests) == 1


@pytest.mark.parametrize("id_", AT_ONCE)
async def test_what_is_put_by_its_key_is_repeated(id_: str) -> None:
    good = FIRST[id_]
    async with against([close, replay(good)]) as (session, server):
        made = await SENT[id_][0](session)
        assert made.maybe_applied
        one, two = server.requests
        assert (one.method, one.target, one.body) == (two.method, two.target, two.body)


WRONG: list[tuple[str, Any]] = [
    ("put_source", {"key": "other", "type": "registry"}),
    ("get_source", {"key": "other", "type": "registry"}),
    ("put_partition", {**examples.PARTITION, "key": "other"}),
    ("get_partition", {**examples.PARTITION, "key": "other"}),
    ("put_profile", {**examples.PROFILE, "key": "other"}),
    ("put_relationship_definition", {**examples.DEFINITION, "key": "other"}),
    ("get_relationship_definition", {**examples.DEFINITION, "key": "other"}),
    ("put_collection", {**examples.COLLECTION, "key": "other"}),
    ("get_collection", {**examples.COLLECTION, "key": "other"}),
    ("list_sources", {"data": "text"}),
    ("list_partitions", {"meta": 7, "data": []}),
    ("get_purge", {**examples.PURGE, "taskId": "pg_other"}),
    ("get_task", {"status": "SUCCESS", "taskId": BD}),
    ("get_resource", {**examples.RESOURCE, "id": "other"}),
    ("get_resource", {**examples.RESOURCE, "type": "other"}),
    ("get_relationship", {**examples.RELATIONSHIP, "id": "a.b"}),
    ("get_relationship", {**examples.RELATIONSHIP, "type": "other"}),
]


@pytest.mark.parametrize(("id_", "document"), WRONG)
async def test_an_answer_about_something_else_is_none(id_: str, document: Any) -> None:
    async with against([answer(document)], retry=ONCE) as (session, _):
        with pytest.raises(ProtocolError):
            await SENT[id_][0](session)


@pytest.mark.parametrize(
    ("id_", "document"),
    [
        ("get_source", {"type": None}),
        ("get_source", {"key": "", "type": 7}),
        ("put_partition", {"key": None, "modules": None, "source": None, "status": "STATUS_READY"}),
        ("get_partition", {"modules": [], "source": "text"}),
        ("put_profile", {"properties": None, "key": 7}),
        ("put_relationship_definition", {"from": None, "to": "text"}),
        ("put_collection", {}),
    ],
)
async def test_an_answer_that_leaves_out_parts_is_about_the_entry_that_was_asked_for(
    id_: str, document: Any
) -> None:
    async with against([answer(document)], retry=ONCE) as (session, server):
        found = await SENT[id_][0](session)
        found = await found if hasattr(found, "done") else found
        assert found.key in {"ehr", server.requests[0].target.rsplit("/", 1)[1], "", None}


def page(number: int, of: int, *keys: str) -> Any:
    meta = {"page": number, "numPages": of, "perPage": 2, "total": 5}
    return answer({"meta": meta, "data": [{"key": key, "type": "registry"} for key in keys]})


@pytest.mark.parametrize("first", [0, 1])
async def test_a_list_is_read_page_by_page_however_they_count(first: int) -> None:
    pages = [page(first, 3, "a", "b"), page(first + 1, 3, "c", "d"), page(first + 2, 3, "e")]
    async with against(pages) as (session, server):
        assert [source.key async for source in session.list_sources(per_page=2)] == list("abcde")
        path = "/catalog/v1/sources"
        assert [target for _, target in server.seen()] == [
            f"{path}?perPage=2",
            f"{path}?page={first + 1}&perPage=2",
            f"{path}?page={first + 2}&perPage=2",
        ]


async def test_a_list_is_read_no_further_than_it_is_used() -> None:
    async with against([page(0, 9, "a", "b")]) as (session, server):
        sources = session.list_sources()
        assert not server.requests
        assert (await anext(sources)).key == "a"
        await sources.aclose()  # type: ignore[attr-defined]
        assert server.seen() == [("GET", "/catalog/v1/sources")]


@pytest.mark.parametrize(
    "document",
    [
        [{"key": "a"}],
        {"data": [{"key": "a"}]},
        {"data": [{"key": "a"}], "meta": {}},
        {"data": [{"key": "a"}], "meta": {"numPages": 1, "page": 1}},
        {"data": [{"key": "a"}], "meta": {"page": 0}},
        {"data": [{"key": "a"}], "meta": {"page": 2, "numPages": 1, "total": 1}},
    ],
)
async def test_a_list_that_names_no_other_page_is_whole(document: Any) -> None:
    async with against([answer(document)]) as (session, server):
        assert [source.key async for source in session.list_sources()] == ["a"]
        assert len(server.requests) == 1


@pytest.mark.parametrize("of", [2, 5])
async def test_the_same_page_again_is_not_taken_for_the_next(of: int) -> None:
    async with against([page(0, of, "a"), page(0, of, "a")]) as (session, server):
        sources = session.list_sources()
        assert (await anext(sources)).key == "a"
        with pytest.raises(ProtocolError):
            await anext(sources)
        assert len(server.requests) == 2


@pytest.mark.parametrize("per_page", [0, -1, "5&key=1", True, 2.5])
async def test_bad_sizes_of_pages(per_page: Any) -> None:
    async with against([]) as (session, server):
        for refused in (
            lambda: session.list_sources(per_page=per_page),
            lambda: session.list_partitions(per_page=per_page),
            lambda: session.list_relationship_definitions(EHR, per_page=per_page),
        ):
            with pytest.raises(InvalidWrite):
                refused()
        assert not server.requests


async def test_partitions_are_listed_with_their_sources() -> None:
    both = [examples.PARTITION, {**examples.PARTITION, "key": "p2", "source": examples.MDM}]
    third = {**examples.PARTITION, "key": "p3", "source": {"type": "NEW", "x": 1}, "status": "NEW"}
    document = {"meta": examples.PAGE, "data": [*both, third]}
    async with against([answer(document)]) as (session, _):
        found = await entries(session.list_partitions())
        assert [partition.source for partition in found[:2]] == [ONE, MDM]
        assert found[2].source.type == "NEW"


async def test_definitions_come_back_as_they_were_put() -> None:
    put_definition = {**json.loads(FIRST["put_relationship_definition"].answer_body)}
    behaviours = [
        replay(FIRST["put_profile"]),
        answer(put_definition),
        replay(FIRST["put_collection"]),
        answer(put_definition),
        answer([put_definition]),
        answer({**examples.COLLECTION, "pipeline": {"steps": []}}),
    ]
    async with against(behaviours) as (session, server):
        profile = await (await session.put_profile(EHR, PERSON, PROFILE))
        assert (profile.key, profile.type) == (PERSON, ProfileType.ROOT)
        assert sent(server, 0) == examples.PROFILE
        definition = await (await session.put_relationship_definition(EHR, WORKS_AT, DEFINITION))
        assert definition.from_ == DEFINITION.from_
        assert sent(server, 1)["from"] == examples.DEFINITION["from"]  # type: ignore[index]
        await session.put_collection(EHR, PERSON, COLLECTION)
        assert sent(server, 2) == examples.COLLECTION
        found = await session.get_relationship_definition(EHR, WORKS_AT)
        assert [found] == await entries(session.list_relationship_definitions(EHR))
        assert (await session.get_collection(EHR, PERSON)).pipeline == {"steps": []}


async def test_what_was_read_can_be_put_again() -> None:
    """What the service sets is left out of the request."""
    whole = Collection(COLLECTION.type, COLLECTION.profile, key="old", pipeline={"steps": []})
    async with against([answer(examples.COLLECTION), answer(examples.PROFILE)]) as (session, server):
        await session.put_collection(EHR, PERSON, whole)
        await session.put_profile(EHR, PERSON, Profile(PROFILE.properties, key="old"))
        assert sent(server, 0) == examples.COLLECTION
        assert "key" not in sent(server, 1)


@pytest.mark.parametrize(
    "send",
    [
        lambda s: s.put_profile(EHR, PERSON, {"type": "ROOT"}),
        lambda s: s.put_relationship_definition(EHR, WORKS_AT, None),
        lambda s: s.put_collection(EHR, PERSON, PROFILE),
        lambda s: s.put_profile(EHR, "no/key", PROFILE),
        lambda s: s.get_collection("_x", PERSON),
        lambda s: s.create_source("../x"),
        lambda s: s.delete_source(""),
        lambda s: s.delete_partition("a b"),
        lambda s: s.get_bulk_result(EHR, TargetType.OBJECT, BK),
        lambda s: s.create_contained(EHR, PERSON, "prac-1", ["office"], {"type": "office"}),
        lambda s: s.upsert_contained(EHR, PERSON, "prac-1", ["office", "o1"], None),
    ],
)
async def test_bad_calls_are_refused_before_sending(send: Send) -> None:
    async with against([]) as (session, server):
        with pytest.raises(InvalidWrite) as caught:
            await send(session)
        assert caught.value.outcome is Outcome.NOT_SENT
        assert not server.requests
