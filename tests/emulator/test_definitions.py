"""Relationship definitions, profiles and collections: put, read, listed, checked."""

from typing import Any

import pytest

from clinia_async.emulator import Emulator, Settings
from tests.emulator.raw import SOURCE, Raw, Reply

SIDE = {"profileKey": "practitioner", "includeKey": "practisesAt", "includeCardinality": "0:*"}
DEFINITION = {"from": SIDE, "to": {"profileKey": "organization"}}
PROFILE = {"type": "ROOT", "properties": {"name": {"type": "humanname"}}}
MORE = {**PROFILE, "description": "d", "contained": {"desks": {"types": ["desk"], "cardinality": "0:*"}}}
COLLECTION = {"type": "resources", "profile": {"properties": {"name": {"type": "humanname"}}}}
KINDS = {"relationship-definitions": DEFINITION, "profiles": PROFILE, "collections": COLLECTION}


async def put(raw: Raw, kind: str, body: Any, key: str = "k-1") -> Reply:
    return await raw.send("PUT", f"{SOURCE}/{kind}/{key}", body)


async def get(raw: Raw, kind: str, key: str = "k-1") -> Reply:
    return await raw.send("GET", f"{SOURCE}/{kind}/{key}")


async def test_a_relationship_definition(raw: Raw) -> None:
    reply = await put(raw, "relationship-definitions", DEFINITION)
    assert (reply.status, reply.body) == (201, {"key": "k-1", **DEFINITION, "properties": {}})
    assert (await get(raw, "relationship-definitions")).body == reply.body
    more = {**DEFINITION, "description": "d", "properties": {"since": {"type": "date", "min": 1.10}}}
    again = await put(raw, "relationship-definitions", more)
    assert (again.status, again.body) == (200, {"key": "k-1", **more})
    assert (await get(raw, "relationship-definitions")).body == again.body


async def test_definitions_are_listed_by_page(raw: Raw) -> None:
    for number in range(25):
        await put(raw, "relationship-definitions", DEFINITION, f"k-{number:02}")
    await put(raw, "profiles", PROFILE)
    path = f"{SOURCE}/relationship-definitions"
    first = (await raw.send("GET", path)).body
    assert first["meta"] == {"numPages": 2, "page": 0, "perPage": 20, "total": 25}
    assert [one["key"] for one in first["data"]] == [f"k-{number:02}" for number in range(20)]
    assert first["data"][0] == (await get(raw, "relationship-definitions", "k-00")).body
    last = (await raw.send("GET", f"{path}?page=2&perPage=10")).body
    assert last["meta"] == {"numPages": 3, "page": 2, "perPage": 10, "total": 25}
    assert [one["key"] for one in last["data"]] == [f"k-{number}" for number in range(20, 25)]
    nothing = {"meta": {"numPages": 0, "page": 0, "perPage": 20, "total": 0}, "data": []}
    assert (await raw.send("GET", "/sources/other/v1/relationship-definitions")).body == nothing


@pytest.mark.parametrize(
    "query", ["page=-1", "page=x", "perPage=0", "perPage=1001", "page=1&page=1", "page="]
)
async def test_pages_that_are_wrong(raw: Raw, query: str) -> None:
    for path in (f"{SOURCE}/relationship-definitions", "/catalog/v1/sources", "/catalog/v1/partitions"):
        assert (await raw.send("GET", f"{path}?{query}")).status == 400


async def test_a_profile(raw: Raw) -> None:
    for body, status in ((PROFILE, 201), ({**MORE, "type": "CONTAINED"}, 200)):
        reply = await put(raw, "profiles", body)
        assert (reply.status, reply.body) == (status, {"key": "k-1", **body})


async def test_a_collection(raw: Raw) -> None:
    for body in (COLLECTION, {"type": "relationships", "profile": {"properties": {}, "contained": {}}}):
        reply = await put(raw, "collections", body)
        assert reply.body == {"key": "k-1", **body, "pipeline": {"steps": []}}
        assert (await get(raw, "collections")).body == reply.body
    objects = {"type": "objects", "objectDefinition": {"x": 1}}
    assert (await put(raw, "collections", objects, "o")).status == 201


@pytest.mark.parametrize("kind", KINDS)
async def test_whether_a_put_replaces_is_a_setting(kind: str) -> None:
    settings = Settings(definitions_replaceable=False)
    async with Emulator(settings=settings) as emulator, Raw(emulator) as raw:
        assert (await put(raw, kind, KINDS[kind])).status == 201
        again = await put(raw, kind, KINDS[kind])
        assert (again.status, again.kind) == (409, "ALREADY_EXISTS")


@pytest.mark.parametrize("kind", ["relationship-definitions", "collections"])
async def test_what_is_not_there(raw: Raw, kind: str) -> None:
    await put(raw, kind, KINDS[kind])
    elsewhere = await raw.send("GET", f"/sources/other/v1/{kind}/k-1")
    for reply in (elsewhere, await get(raw, kind, "k-2")):
        assert (reply.status, reply.kind) == (404, "NOT_FOUND")


@pytest.mark.parametrize("kind", KINDS)
async def test_definitions_are_kept(tmp_path: Any, kind: str) -> None:
    emulator = Emulator(data=tmp_path / "r.db", settings=Settings(definitions_replaceable=False))
    async with emulator, Raw(emulator) as raw:
        await put(raw, kind, KINDS[kind])
    async with emulator, Raw(emulator) as raw:
        assert (await put(raw, kind, KINDS[kind])).status == 409


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        *((kind, wrong) for kind in KINDS for wrong in ([], {}, {**KINDS[kind], "key": "k-1"})),
        ("relationship-definitions", {"from": SIDE}),
        ("relationship-definitions", {**DEFINITION, "to": "organization"}),
        ("relationship-definitions", {**DEFINITION, "to": {}}),
        ("relationship-definitions", {**DEFINITION, "to": {"profileKey": "a b"}}),
        ("relationship-definitions", {**DEFINITION, "to": {**SIDE, "includeKey": "a b"}}),
        ("relationship-definitions", {**DEFINITION, "to": {**SIDE, "includeCardinality": "1"}}),
        ("relationship-definitions", {**DEFINITION, "to": {**SIDE, "includeCardinality": ["0:1"]}}),
        ("relationship-definitions", {**DEFINITION, "to": {"profileKey": "p", "cardinality": "0:2"}}),
        ("relationship-definitions", {**DEFINITION, "properties": []}),
        ("relationship-definitions", {**DEFINITION, "properties": {"a": "date"}}),
        ("relationship-definitions", {**DEFINITION, "description": 1}),
        ("profiles", {**PROFILE, "type": "LEAF"}),
        ("profiles", {"type": "ROOT"}),
        ("profiles", {**PROFILE, "properties": []}),
        ("profiles", {**PROFILE, "contained": []}),
        ("profiles", {**PROFILE, "properties": {"a": {"type": "text"}}}),
        ("profiles", {**PROFILE, "properties": {"a": {"type": ["date"]}}}),
        ("profiles", {**PROFILE, "properties": {"a": {"type": None}}}),
        ("profiles", {**PROFILE, "contained": {"desks": []}}),
        ("profiles", {**PROFILE, "contained": {"desks": {"types": "desk"}}}),
        ("profiles", {**PROFILE, "contained": {"desks": {"types": ["a b"]}}}),
        ("profiles", {**PROFILE, "contained": {"desks": {"types": ["desk"], "cardinality": "2:*"}}}),
        ("collections", {"type": "objects", "objectDefinition": []}),
        ("profiles", {**PROFILE, "description": {}}),
        ("collections", {**COLLECTION, "type": "resource"}),
        ("collections", {**COLLECTION, "profile": {}}),
        ("collections", {**COLLECTION, "profile": {"properties": [], "x": 1}}),
        ("collections", {**COLLECTION, "pipeline": {}}),
    ],
)
async def test_bodies_that_are_wrong(raw: Raw, kind: str, body: Any) -> None:
    reply = await put(raw, kind, body)
    assert (reply.status, reply.kind) == (400, "INVALID_ARGUMENT")
    if kind != "profiles":
        assert (await get(raw, kind)).status == 404
