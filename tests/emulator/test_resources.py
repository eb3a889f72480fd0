"""Resources: created, put, read and deleted, with ids that the registry may make."""

import asyncio
import re
from typing import Any

import pytest

from clinia_async.emulator import Accepted, Constant, Emulator, Persisted
from tests.emulator.raw import RESOURCES, SOURCE, Raw, Reply, error, write

MADE = re.compile(r"[0-9A-Za-z]{27}")
META = {"createdAt": "2020-01-01T00:00:00Z", "updatedAt": "2020-01-02T00:00:00Z"}
REFERENCES = {
    "type": "ROOT",
    "properties": {
        "name": {"type": "symbol"},
        "self": {"type": "reference"},
        "many": {"type": "array", "items": {"type": "reference"}},
        "deep": {"type": "object", "properties": {"ref": {"type": "reference"}, "text": {"type": "symbol"}}},
    },
}


async def create(raw: Raw, body: Any, type_: str = "practitioner") -> Reply:
    return await raw.send("POST", f"{RESOURCES}/{type_}", body)


async def delete(raw: Raw, id_: str, type_: str = "practitioner") -> Reply:
    return await raw.send("DELETE", f"{RESOURCES}/{type_}/{id_}")


async def test_a_persisted_create_is_answered_with_the_record(raw: Raw, emulator: Emulator) -> None:
    identifier = [{"system": "s", "value": "v", "use": "usual"}]
    body = {"id": "prac-1", "data": {"name": "x"}, "meta": {**META, "identifier": identifier}}
    reply = await create(raw, body)
    assert (reply.status, reply.body["status"]) == (201, "PERSISTED")
    assert reply.body["resource"] == {
        **body,
        "type": "practitioner",
        "meta": {"source": "ehr", **META, "identifier": identifier},
    }
    assert (await raw.resource("prac-1")).body == reply.body["resource"]
    assert (await raw.resource("s:v:usual")).body == reply.body["resource"]
    (receipt,) = (await raw.task(reply.body["taskId"])).body["receipts"]
    assert (receipt["targetType"], receipt["type"], receipt["id"]) == ("RESOURCE", "practitioner", "prac-1")
    assert (receipt["action"], receipt["status"]) == ("CREATE", "SUCCESS")
    assert (emulator.resources(), emulator.resources("other"), emulator.relationships()) == (1, 0, 0)
    assert [one.id for one in emulator.stored_resources()] == ["prac-1"]


async def test_ids_the_registry_makes_are_drawn_from_the_seed() -> None:
    runs = []
    for seed in (1, 1, 2):
        async with Emulator(seed=seed) as emulator, Raw(emulator) as raw:
            bodies = [{"data": {}}, {"data": {}, "id": "@rootId"}, {"data": {}}]
            ids = [(await create(raw, body)).body["resource"]["id"] for body in bodies]
            assert all(MADE.fullmatch(id_) for id_ in ids)
            assert {one.id for one in emulator.stored_resources()} == set(ids)
            runs.append(ids)
    assert runs[0] == runs[1] != runs[2]
    assert len(set(runs[0])) == 3


async def test_made_ids_are_not_made_again_after_a_restart(tmp_path: Any) -> None:
    emulator = Emulator(data=tmp_path / "r.db")
    ids = set()
    for _ in range(3):
        async with emulator, Raw(emulator) as raw:
            ids |= {(await create(raw, {"data": {}})).body["resource"]["id"] for _ in range(3)}
    assert len(ids) == 9


async def test_the_token_is_replaced_in_references_of_the_profile(raw: Raw) -> None:
    await raw.send("PUT", f"{SOURCE}/profiles/practitioner", REFERENCES)
    data = {
        "name": "@rootId",
        "self": {"id": "@rootId", "type": "practitioner"},
        "many": ["@rootId", "practitioner/@rootId", "other"],
        "deep": {"ref": "@rootId", "text": "@rootId"},
        "unknown": "@rootId",
    }
    record = (await create(raw, {"id": "@rootId", "data": data})).body["resource"]
    id_ = record["id"]
    assert record["data"] == {
        "name": "@rootId",
        "self": {"id": id_, "type": "practitioner"},
        "many": [id_, f"practitioner/{id_}", "other"],
        "deep": {"ref": id_, "text": "@rootId"},
        "unknown": "@rootId",
    }


async def test_a_collection_shows_references_too(raw: Raw) -> None:
    body = {"type": "resources", "profile": {"properties": REFERENCES["properties"]}}
    await raw.send("PUT", f"{SOURCE}/collections/practitioner", body)
    data = {"name": "@rootId", "self": "@rootId"}
    record = (await create(raw, {"id": "@rootId", "data": data})).body["resource"]
    assert record["data"] == {"name": "@rootId", "self": record["id"]}


async def test_without_a_profile_every_string_that_is_the_token_is_replaced(raw: Raw) -> None:
    data = {"a": ["@rootId", {"b": "@rootId"}], "c": "see @rootId", "d": "@rootId1", "@rootId": 1}
    contained = {"desks": [{"id": "d", "type": "desk", "data": {"of": "@rootId"}}]}
    record = (await create(raw, {"id": "@rootId", "data": data, "contained": contained})).body["resource"]
    id_ = record["id"]
    assert record["data"] == {"a": [id_, {"b": id_}], "c": "see @rootId", "d": "@rootId1", "@rootId": 1}
    assert record["contained"]["desks"][0]["data"] == {"of": id_}


async def test_the_token_means_nothing_beside_an_id_or_in_a_put(raw: Raw) -> None:
    for reply in (
        await create(raw, {"id": "p-1", "data": {"a": "@rootId"}}),
        await raw.put("p-2", {"a": "@rootId"}),
    ):
        assert reply.body["resource"]["data"] == {"a": "@rootId"}
    assert (await raw.put("@rootId")).status == 400
    assert (await create(raw, {"id": "@rootId1", "data": {}})).status == 400


async def test_an_id_exists_once_per_type_and_source(raw: Raw) -> None:
    assert (await create(raw, {"id": "p-1", "data": {"n": 1}})).status == 201
    again = await create(raw, {"id": "p-1", "data": {"n": 2}})
    assert (again.status, again.kind) == (409, "ALREADY_EXISTS")
    assert (await create(raw, {"id": "p-1", "data": {}}, "other")).status == 201
    assert (await raw.resource("p-1")).body["data"] == {"n": 1}


async def test_a_put_creates_and_then_replaces(raw: Raw) -> None:
    first = await raw.put("p-1", {"a": 1, "b": 2}, contained={"desks": []})
    await asyncio.sleep(1)
    second = await raw.put("p-1", {"a": 3})
    assert (first.status, second.status) == (201, 200)
    assert second.body["status"] == "PERSISTED"
    old, new = first.body["resource"], second.body["resource"]
    assert new["data"] == {"a": 3}
    assert "contained" not in new
    assert new["meta"]["createdAt"] == old["meta"]["createdAt"]
    assert new["meta"]["updatedAt"] > old["meta"]["updatedAt"]
    assert (await raw.put("p-1", meta=META)).body["resource"]["meta"] == {"source": "ehr", **META}
    (receipt,) = (await raw.task(second.body["taskId"])).body["receipts"]
    assert (receipt["action"], receipt["status"]) == ("UPSERT", "SUCCESS")


async def test_a_deleted_resource_takes_its_relationships_along(raw: Raw, emulator: Emulator) -> None:
    await raw.put("prac-1")
    await raw.put("prac-2")
    for body in (
        write("prac-1", "org-9"),
        write("org-9", "prac-1")
        | {"from": {"id": "x", "type": "y"}, "to": {"id": "prac-1", "type": "practitioner"}},
        write("prac-2", "org-9"),
        {"from": {"id": "prac-1", "type": "other"}, "to": {"id": "prac-1", "type": "another"}},
    ):
        assert (await raw.create(body)).status == 201
    await raw.send("POST", "/sources/other/v1/relationships/practises-at", write("prac-1", "org-9"))
    reply = await delete(raw, "prac-1")
    assert reply.status == 200
    assert reply.body.keys() == {"taskId", "status"}
    assert [(one.source, one.id) for one in emulator.stored()] == [
        ("ehr", "prac-1.prac-1"),
        ("ehr", "prac-2.org-9"),
        ("other", "prac-1.org-9"),
    ]
    assert (await raw.resource("prac-1")).status == 404
    assert (await raw.resource("prac-2")).status == 200


async def test_what_is_not_there(raw: Raw, emulator: Emulator) -> None:
    await raw.put("p-1")
    for default in (Persisted(), Accepted()):
        emulator.default = default
        for reply in (await raw.resource("p-2"), await delete(raw, "p-2"), await delete(raw, "p-1", "other")):
            assert (reply.status, reply.kind) == (404, "NOT_FOUND")


@pytest.mark.parametrize("id_", ["ab", "a" * 93, "-_", "9a", "A-b_c"])
async def test_ids_that_are_right(raw: Raw, id_: str) -> None:
    assert (await raw.put(id_)).status == 201
    assert (await create(raw, {"id": id_, "data": {}}, "other")).status == 201


@pytest.mark.parametrize("id_", ["a", "a" * 94, "_ab", "a.b", "a b", "é1", "ab\n", "a/b", "", "@root"])
async def test_ids_that_are_wrong(raw: Raw, emulator: Emulator, id_: str) -> None:
    reply = await create(raw, {"id": id_, "data": {}})
    assert (reply.status, reply.kind) == (400, "INVALID_ARGUMENT")
    assert emulator.resources() == 0


@pytest.mark.parametrize("id_", ["a", "_ab", "a.b", "a%2Fb", "ab%0A", "a:b"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_ids_in_the_path_that_are_wrong(raw: Raw, method: str, id_: str) -> None:
    reply = await raw.send(method, f"{RESOURCES}/t/{id_}", {"data": {}} if method == "PUT" else None)
    assert (reply.status, reply.kind) == (400, "INVALID_ARGUMENT")


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"data": []},
        {"data": None},
        {"data": {}, "id": 1},
        {"data": {}, "id": None},
        {"data": {}, "type": "practitioner"},
        {"data": {}, "meta": {"updatedAt": "2020-01-01T00:00:00Z"}},
        {"data": {}, "meta": None},
        {"data": {}, "contained": []},
        {"data": {}, "contained": {"desks": {}}},
        {"data": {}, "contained": {"a b": []}},
        {"data": {}, "contained": {"desks": ["x"]}},
        {"data": {}, "contained": {"desks": [{"type": "desk", "data": {}}]}},
        {"data": {}, "contained": {"desks": [{"id": "d", "data": {}}]}},
        {"data": {}, "contained": {"desks": [{"id": "d", "type": "desk"}]}},
        {"data": {}, "contained": {"desks": [{"id": "", "type": "desk", "data": {}}]}},
        {"data": {}, "contained": {"desks": [{"id": "d", "type": "a b", "data": {}}]}},
        {"data": {}, "contained": {"desks": [{"id": "d", "type": "desk", "data": []}]}},
        {"data": {}, "contained": {"desks": [{"id": "d", "type": "desk", "data": {}}] * 2}},
        {"data": {}, "contained": {"d": [{"id": "d", "type": "d", "data": {}, "contained": []}]}},
    ],
)
async def test_bodies_that_are_wrong(raw: Raw, emulator: Emulator, body: Any) -> None:
    reply = await create(raw, body)
    assert (reply.status, reply.kind) == (400, "INVALID_ARGUMENT")
    if not isinstance(body, dict) or "id" not in body:
        reply = await raw.send("PUT", f"{RESOURCES}/practitioner/p-1", body)
        assert (reply.status, reply.kind) == (400, "INVALID_ARGUMENT")
    assert emulator.resources() == 0


async def test_an_id_in_the_body_of_a_put_is_refused(raw: Raw) -> None:
    assert (await raw.put("p-1", id="p-1")).status == 400


async def test_the_mode_is_chosen_by_resource_type(raw: Raw, emulator: Emulator) -> None:
    emulator.modes["slow"] = Accepted(Constant(2))
    assert (await raw.put("p-1")).status == 201
    accepted = await raw.put("p-1", {"n": 1}, type_="slow")
    assert accepted.status == 202
    assert accepted.body.keys() == {"taskId", "status"}
    made = await create(raw, {"data": {}}, "slow")
    (pending,) = (await raw.task(made.body["taskId"])).body["receipts"]
    assert pending["status"] == "PENDING"
    assert emulator.resources("slow") == 0
    await asyncio.sleep(2.1)
    assert {one.id for one in emulator.stored_resources() if one.type == "slow"} == {"p-1", pending["id"]}
    assert (await create(raw, {"id": "p-1", "data": {}}, "slow")).status == 409
    gone = await delete(raw, "p-1", "slow")
    assert gone.status == 202
    await asyncio.sleep(2.1)
    assert emulator.resources("slow") == 1
    (receipt,) = (await raw.task(gone.body["taskId"])).body["receipts"]
    assert (receipt["action"], error(receipt)) == ("DELETE", None)
