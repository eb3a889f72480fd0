"""Partitions: synchronous, checked, and not to be changed once they are ready."""

from typing import Any

import pytest

from clinia_async.emulator import Emulator, Settings
from tests.emulator.raw import Raw, Reply

DATA_SOURCE = {"type": "DATA_SOURCE", "key": "ehr", "collections": [{"key": "practitioner"}]}
COLLECTION: dict[str, Any] = {"key": "c", "properties": {}, "mappings": []}
RELATION = {"from": {}, "to": {}, "relationshipType": "t", "properties": {}, "mappings": []}
MDM = {"type": "MDM", "sources": ["ehr"], "collections": [COLLECTION]}


def body(source: Any = DATA_SOURCE, **modules: Any) -> dict[str, Any]:
    return {"modules": modules or {"search": "STANDARD"}, "source": source}


async def put(raw: Raw, document: Any, query: str = "", key: str = "clinics") -> Reply:
    return await raw.send("PUT", f"/catalog/v1/partitions/{key}{query}", document)


async def get(raw: Raw, key: str = "clinics") -> Reply:
    return await raw.send("GET", f"/catalog/v1/partitions/{key}")


@pytest.mark.parametrize("query", ["", "?stage=false"])
async def test_a_partition_is_ready_at_once(raw: Raw, emulator: Emulator, query: str) -> None:
    reply = await put(raw, body(), query)
    assert reply.status == 201
    assert reply.body == {"key": "clinics", "status": "STATUS_READY", **body()}
    assert (await get(raw)).body == reply.body
    assert emulator.partitions() == 1


async def test_a_ready_partition_cannot_be_changed(raw: Raw) -> None:
    await put(raw, body())
    for query in ("", "?stage=true"):
        again = await put(raw, body(search="HEALTH_GRADE_SEARCH"), query)
        assert (again.status, again.kind) == (400, "FAILED_PRECONDITION")
    assert (await get(raw)).body["modules"] == {"search": "STANDARD"}


async def test_how_a_ready_partition_says_no_is_a_setting() -> None:
    settings = Settings(immutable_partition=("ALREADY_EXISTS", 409))
    async with Emulator(settings=settings) as emulator, Raw(emulator) as raw:
        await put(raw, body())
        again = await put(raw, body())
        assert (again.status, again.body["code"], again.kind) == (409, 409, "ALREADY_EXISTS")


async def test_a_staged_partition_can_be_replaced(raw: Raw, emulator: Emulator) -> None:
    first = await put(raw, body(), "?stage=true")
    assert (first.status, first.body["status"]) == (201, "STATUS_STAGE")
    second = await put(raw, body(MDM), "?stage=true")
    assert (second.status, second.body["status"]) == (200, "STATUS_STAGE")
    assert second.body["source"] == MDM
    third = await put(raw, body())
    assert (third.status, third.body["status"]) == (200, "STATUS_READY")
    assert (await put(raw, body())).status == 400
    assert emulator.partitions() == 1


async def test_a_partition_that_is_not_there(raw: Raw) -> None:
    reply = await get(raw)
    assert (reply.status, reply.kind) == (404, "NOT_FOUND")


@pytest.mark.parametrize("query", ["?stage=1", "?stage=", "?stage=True", "?stage=true&stage=false"])
async def test_stage_is_true_or_false(raw: Raw, query: str) -> None:
    reply = await put(raw, body(), query)
    assert (reply.status, reply.kind) == (400, "INVALID_ARGUMENT")


@pytest.mark.parametrize(
    "source",
    [
        {**DATA_SOURCE, "collections": ["practitioner"], "relationships": ["practises-at"]},
        {**DATA_SOURCE, "collections": [{"key": "a", "traversedProperties": ["@x.y"]}]},
        {**MDM, "relationships": [RELATION]},
        {**MDM, "collections": [{**COLLECTION, "traversedProperties": []}]},
    ],
)
async def test_sources_that_are_right(raw: Raw, source: object) -> None:
    assert (await put(raw, body(source))).body["source"] == source


def without(document: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key != name}


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"modules": {}},
        {"source": DATA_SOURCE},
        {**body(), "key": "clinics"},
        {"modules": [], "source": DATA_SOURCE},
        body(search="FAST"),
        body(search=["STANDARD"]),
        body([]),
        body({}),
        body({**DATA_SOURCE, "type": "FILE"}),
        body({**DATA_SOURCE, "type": None}),
        body(without(DATA_SOURCE, "key")),
        body(without(DATA_SOURCE, "collections")),
        body({**DATA_SOURCE, "key": "_a"}),
        body({**DATA_SOURCE, "collections": {}}),
        body({**DATA_SOURCE, "collections": [1]}),
        body({**DATA_SOURCE, "collections": [{}]}),
        body({**DATA_SOURCE, "collections": ["a b"]}),
        body({**DATA_SOURCE, "relationships": ["a.b"]}),
        body({**DATA_SOURCE, "relationships": [{"key": "a"}]}),
        body(without(MDM, "sources")),
        body(without(MDM, "collections")),
        body({**MDM, "sources": "ehr"}),
        body({**MDM, "sources": ["a\n"]}),
        *(body({**MDM, "collections": [without(COLLECTION, name)]}) for name in COLLECTION),
        *(body({**MDM, "relationships": [without(RELATION, name)]}) for name in RELATION),
    ],
)
async def test_bodies_that_are_wrong(raw: Raw, emulator: Emulator, document: object) -> None:
    reply = await put(raw, document)
    assert (reply.status, reply.kind) == (400, "INVALID_ARGUMENT")
    assert emulator.partitions() == 0
