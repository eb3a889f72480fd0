"""Resources inside resources: written on their own, answered with the root."""

import asyncio
from typing import Any

import pytest

from clinia_async.emulator import Accepted, Constant, Emulator
from tests.emulator.raw import RESOURCES, Raw, Reply, error

ROOT = f"{RESOURCES}/practitioner/prac-1"
DESK = {"type": "desk", "data": {"n": 1}}


@pytest.fixture(autouse=True)
async def root(raw: Raw) -> dict[str, Any]:
    return (await raw.put("prac-1", {"name": "x"})).body["resource"]


async def tree(raw: Raw) -> Any:
    return (await raw.resource("prac-1")).body.get("contained")


async def put(raw: Raw, path: str, **more: Any) -> Reply:
    return await raw.send("PUT", f"{ROOT}/{path}", {**DESK, **more})


async def test_a_contained_resource_is_put_and_answered_with_its_root(raw: Raw, root: dict[str, Any]) -> None:
    await asyncio.sleep(1)
    reply = await put(raw, "desks/d-1")
    assert (reply.status, reply.body["status"]) == (201, "PERSISTED")
    record = reply.body["resource"]
    assert (record["id"], record["type"], record["data"]) == ("prac-1", "practitioner", {"name": "x"})
    assert record["contained"] == {"desks": [{"id": "d-1", **DESK}]}
    assert record["meta"]["createdAt"] == root["meta"]["createdAt"]
    assert record["meta"]["updatedAt"] > root["meta"]["updatedAt"]
    assert (await raw.resource("prac-1")).body == record
    (receipt,) = (await raw.task(reply.body["taskId"])).body["receipts"]
    found = [receipt[name] for name in ("action", "targetType", "type", "id", "status")]
    assert found == ["UPDATE", "RESOURCE", "practitioner", "prac-1", "SUCCESS"]


async def test_a_put_replaces_in_place(raw: Raw) -> None:
    for id_ in ("d-1", "d-2"):
        await put(raw, f"desks/{id_}", contained={"lamps": []})
    again = await put(raw, "desks/d-1", data={"n": 2})
    assert again.status == 200
    first, second = again.body["resource"]["contained"]["desks"]
    assert first == {"id": "d-1", "type": "desk", "data": {"n": 2}}
    assert second["id"] == "d-2"


async def test_creating_under_a_key(raw: Raw) -> None:
    made = await raw.send("POST", f"{ROOT}/desks", DESK)
    (desk,) = made.body["resource"]["contained"]["desks"]
    assert (made.status, len(desk["id"])) == (201, 27)
    for id_, status in (("d-1", 201), ("d-1", 409)):
        reply = await raw.send("POST", f"{ROOT}/desks", {"id": id_, **DESK})
        assert reply.status == status
    assert reply.kind == "ALREADY_EXISTS"
    assert [desk["id"] for desk in (await tree(raw))["desks"]][1:] == ["d-1"]


async def test_any_depth(raw: Raw) -> None:
    await put(raw, "desks/d-1")
    await put(raw, "desks/d-1/lamps/l-1")
    await raw.send("POST", f"{ROOT}/desks/d-1/lamps/l-1/bulbs", {"id": "b-1", **DESK})
    (lamp,) = (await tree(raw))["desks"][0]["contained"]["lamps"]
    assert lamp["contained"] == {"bulbs": [{"id": "b-1", **DESK}]}
    assert (await raw.send("DELETE", f"{ROOT}/desks/d-1/lamps/l-1/bulbs/b-1")).status == 200
    (lamp,) = (await tree(raw))["desks"][0]["contained"]["lamps"]
    assert lamp["contained"] == {"bulbs": []}


async def test_deleting(raw: Raw) -> None:
    for id_ in ("d-1", "d-2"):
        await put(raw, f"desks/{id_}")
    reply = await raw.send("DELETE", f"{ROOT}/desks/d-1")
    assert reply.status == 200
    assert reply.body["status"] == "PERSISTED"
    assert [desk["id"] for desk in (await tree(raw))["desks"]] == ["d-2"]


async def test_a_slash_in_an_id_survives_the_path(raw: Raw) -> None:
    await put(raw, "desks/office%2Fprac-1%2F1")
    assert (await tree(raw))["desks"][0]["id"] == "office/prac-1/1"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "desks/d-9"),
        ("DELETE", "lamps/d-1"),
        ("DELETE", "desks/d-9/lamps/l-1"),
        ("PUT", "desks/d-9/lamps/l-1"),
        ("POST", "desks/d-9/lamps"),
    ],
)
async def test_what_is_not_there(raw: Raw, method: str, path: str) -> None:
    await put(raw, "desks/d-1")
    before = await tree(raw)
    reply = await raw.send(method, f"{ROOT}/{path}", DESK if method != "DELETE" else None)
    assert (reply.status, reply.kind) == (404, "NOT_FOUND")
    assert await tree(raw) == before


@pytest.mark.parametrize("accepted", [False, True])
async def test_a_root_that_is_not_there(raw: Raw, emulator: Emulator, accepted: bool) -> None:
    if accepted:
        emulator.default = Accepted()
    reply = await raw.send("PUT", f"{RESOURCES}/practitioner/prac-2/desks/d-1", DESK)
    assert (reply.status, reply.kind) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "desks"),
        ("PUT", "desks/d-1/lamps"),
        ("DELETE", "desks"),
        ("POST", "desks/d-1"),
        ("PUT", "a.b/d-1"),
        ("PUT", "desks/d%0A"),
        ("PUT", "desks//lamps/l"),
    ],
)
async def test_paths_that_are_wrong(raw: Raw, method: str, path: str) -> None:
    reply = await raw.send(method, f"{ROOT}/{path}", DESK if method != "DELETE" else None)
    assert (reply.status, reply.kind) == (400, "INVALID_ARGUMENT")


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"type": "desk"},
        {"data": {}},
        {**DESK, "data": []},
        {**DESK, "type": "a b"},
        {**DESK, "meta": {}},
        {**DESK, "contained": []},
        {**DESK, "contained": {"x": [{"id": "a"}]}},
    ],
)
async def test_bodies_that_are_wrong(raw: Raw, body: Any) -> None:
    for method, path in (("PUT", "desks/d-1"), ("POST", "desks")):
        reply = await raw.send(method, f"{ROOT}/{path}", body)
        assert (reply.status, reply.kind) == (400, "INVALID_ARGUMENT")
    assert (await put(raw, "desks/d-1", id="d-1")).status == 400
    assert await tree(raw) is None


async def test_accepted_writes_into_a_resource(raw: Raw, emulator: Emulator) -> None:
    emulator.default = Accepted(Constant(1))
    accepted = await raw.send("POST", f"{ROOT}/desks", DESK)
    assert (accepted.status, accepted.body.keys()) == (202, {"taskId", "status"})
    await asyncio.sleep(1.1)
    (desk,) = (await tree(raw))["desks"]
    failing = await raw.send("POST", f"{ROOT}/desks", {**DESK, "id": desk["id"]})
    assert failing.status == 202
    await asyncio.sleep(1.1)
    (receipt,) = (await raw.task(failing.body["taskId"])).body["receipts"]
    assert (receipt["status"], error(receipt)) == ("FAILURE", "ALREADY_EXISTS")
    gone = await raw.send("DELETE", f"{ROOT}/desks/{desk['id']}")
    await asyncio.sleep(1.1)
    assert (await raw.task(gone.body["taskId"])).body["status"] == "SUCCESS"
    assert await tree(raw) == {"desks": []}
