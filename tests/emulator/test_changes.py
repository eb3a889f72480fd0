"""Changing a part of a relationship, and deleting one."""

import asyncio
import json
from typing import Any

import pytest

from clinia_async.emulator import Accepted, Constant, Emulator, Settings
from tests.emulator.raw import RELATIONSHIPS, Raw, Reply, error, write

SLOW = Accepted(Constant(1.0))
DATA = {"name": "a", "list": [1, 2], "deep": {"x": {"y": 1}}}


async def patch(raw: Raw, *changes: Any, id_: str = "prac-1.org-9") -> Reply:
    return await raw.send("PATCH", f"{RELATIONSHIPS}/practises-at/{id_}", changes)


async def delete(raw: Raw, id_: str = "prac-1.org-9", type_: str = "practises-at") -> Reply:
    return await raw.send("DELETE", f"{RELATIONSHIPS}/{type_}/{id_}")


async def test_a_persisted_change_is_answered_with_the_record(raw: Raw) -> None:
    meta = {"createdAt": "2020-01-01T00:00:00Z", "identifier": [{"system": "s", "value": "v"}]}
    created = (await raw.create(write(data=DATA, meta=meta))).body["relationship"]
    await asyncio.sleep(1)
    reply = await patch(raw, {"op": "replace", "path": "/name", "value": "b"})
    record = reply.body["relationship"]
    assert (reply.status, reply.body["status"]) == (200, "PERSISTED")
    assert record["data"] == {**DATA, "name": "b"}
    assert record["meta"]["updatedAt"] > created["meta"]["updatedAt"]
    assert {**record["meta"], "updatedAt": ""} == {**created["meta"], "updatedAt": ""}
    assert (record["from"], record["to"]) == (created["from"], created["to"])
    assert (await raw.read("prac-1.org-9")).body == record
    (receipt,) = (await raw.task(reply.body["taskId"])).body["receipts"]
    assert (receipt["action"], receipt["status"]) == ("UPDATE", "SUCCESS")
    assert (receipt["id"], receipt["targetType"]) == ("prac-1.org-9", "RELATIONSHIP")


async def test_what_receipts_call_a_change_is_a_setting() -> None:
    async with Emulator(settings=Settings(update_action="PATCH")) as emulator, Raw(emulator) as raw:
        await raw.create(write())
        task = (await patch(raw, {"path": "/a", "value": 1})).body["taskId"]
        assert (await raw.task(task)).body["receipts"][0]["action"] == "PATCH"


@pytest.mark.parametrize(
    ("change", "data"),
    [
        ({"path": "/new", "value": None}, {**DATA, "new": None}),
        ({"op": "add", "path": "/name", "value": [1]}, {**DATA, "name": [1]}),
        ({"op": "add", "path": "/list/0", "value": 0}, {**DATA, "list": [0, 1, 2]}),
        ({"op": "add", "path": "/list/2", "value": 3}, {**DATA, "list": [1, 2, 3]}),
        ({"op": "add", "path": "/list/-", "value": 3}, {**DATA, "list": [1, 2, 3]}),
        ({"op": "add", "path": "/a~1b~0c~01", "value": 1}, {**DATA, "a/b~c~1": 1}),
        ({"op": "add", "path": "/", "value": 1}, {**DATA, "": 1}),
        ({"op": "replace", "path": "/list/1", "value": {}}, {**DATA, "list": [1, {}]}),
        ({"op": "replace", "path": "/deep/x/y", "value": 2}, {**DATA, "deep": {"x": {"y": 2}}}),
        ({"op": "remove", "path": "/list/0"}, {**DATA, "list": [2]}),
        ({"op": "remove", "path": "/deep/x"}, {**DATA, "deep": {}}),
        ({"op": "remove", "path": "/deep", "value": 1}, {"name": "a", "list": [1, 2]}),
    ],
)
async def test_changes(raw: Raw, change: dict[str, Any], data: dict[str, Any]) -> None:
    await raw.create(write(data=DATA))
    assert (await patch(raw, change)).body["relationship"]["data"] == data


@pytest.mark.parametrize(
    "change",
    [
        {"op": "replace", "path": "/missing", "value": 1},
        {"op": "remove", "path": "/missing"},
        {"op": "add", "path": "/missing/x", "value": 1},
        {"op": "add", "path": "/name/x", "value": 1},
        {"op": "add", "path": "/name/x/y", "value": 1},
        {"op": "add", "path": "/list/3", "value": 1},
        {"op": "replace", "path": "/list/2", "value": 1},
        {"op": "replace", "path": "/list/-", "value": 1},
        {"op": "remove", "path": "/list/-1"},
        {"op": "remove", "path": "/list/01"},
        {"op": "remove", "path": "/list/x"},
        {"op": "remove", "path": "/list/" + "9" * 5000},
        {"op": "remove", "path": "/list/١"},
    ],
)
async def test_a_path_that_leads_nowhere_changes_nothing(raw: Raw, change: dict[str, Any]) -> None:
    await raw.create(write(data=DATA))
    reply = await patch(raw, {"path": "/name", "value": "b"}, change)
    assert (reply.status, reply.kind) == (400, "FAILED_PRECONDITION")
    assert (await raw.read("prac-1.org-9")).body["data"] == DATA


async def test_how_a_path_to_nowhere_is_refused_is_a_setting() -> None:
    settings = Settings(patch_failed=("OUT_OF_RANGE", 418))
    async with Emulator(settings=settings) as emulator, Raw(emulator) as raw:
        await raw.create(write())
        reply = await patch(raw, {"op": "remove", "path": "/a"})
        assert (reply.status, reply.kind) == (418, "OUT_OF_RANGE")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"path": "/a", "value": 1},
        {"meta": {}},
        [],
        [1],
        [{}],
        [{"op": "add", "value": 1}],
        [{"path": "/a"}],
        [{"op": "replace", "path": "/a"}],
        [{"op": "move", "path": "/a", "from": "/b"}],
        [{"op": "test", "path": "/a", "value": 1}],
        [{"op": "ADD", "path": "/a", "value": 1}],
        [{"op": ["add"], "path": "/a", "value": 1}],
        [{"op": "add", "path": "a", "value": 1}],
        [{"op": "add", "path": "", "value": {}}],
        [{"op": "add", "path": 1, "value": {}}],
        [{"op": "add", "path": "/a~2", "value": 1}],
        [{"op": "add", "path": "/a~", "value": 1}],
        [{"op": "add", "path": "/a", "value": 1, "meta": {}}],
    ],
)
async def test_bodies_of_changes_that_are_wrong(raw: Raw, body: Any) -> None:
    await raw.create(write(data=DATA))
    raw.emulator.default = SLOW
    reply = await raw.send("PATCH", f"{RELATIONSHIPS}/practises-at/prac-1.org-9", body)
    assert (reply.status, reply.kind) == (400, "INVALID_ARGUMENT")


async def test_changes_keep_numbers_as_text(raw: Raw) -> None:
    body = json.dumps(write(data={"x": "HERE"})).replace('"HERE"', "1.10")
    await raw.send("POST", f"{RELATIONSHIPS}/practises-at", text=body)
    text = '[{"path": "/y", "value": 1e400}]'
    await raw.send("PATCH", f"{RELATIONSHIPS}/practises-at/prac-1.org-9", text=text)
    url = f"{raw.emulator.url}{RELATIONSHIPS}/practises-at/prac-1.org-9"
    async with raw.http.get(url, headers={"X-Clinia-API-Key": raw.emulator.key}) as response:
        assert '"data":{"x":1.10,"y":1e400}' in await response.text()


async def test_a_deleted_relationship_is_gone_and_nothing_else(raw: Raw, emulator: Emulator) -> None:
    await raw.put("prac-1")
    await raw.create(write())
    await raw.create(write(), "other")
    reply = await delete(raw)
    assert reply.status == 200
    assert reply.body.keys() == {"taskId", "status"}
    assert reply.body["status"] == "PERSISTED"
    assert (await raw.read("prac-1.org-9")).status == 404
    assert [stored.type for stored in emulator.stored()] == ["other"]
    assert emulator.resources() == 1
    (receipt,) = (await raw.task(reply.body["taskId"])).body["receipts"]
    assert (receipt["action"], receipt["status"], receipt["id"]) == ("DELETE", "SUCCESS", "prac-1.org-9")


@pytest.mark.parametrize("accepted", [False, True])
async def test_what_is_not_there_is_not_found(raw: Raw, accepted: bool) -> None:
    await raw.create(write(), "other")
    if accepted:
        raw.emulator.default = SLOW
    for reply in (await delete(raw), await patch(raw, {"path": "/a", "value": 1})):
        assert (reply.status, reply.kind) == (404, "NOT_FOUND")
    for reply in (await delete(raw, "ab"), await patch(raw, {"path": "/a", "value": 1}, id_="a.b.c")):
        assert (reply.status, reply.kind) == (400, "INVALID_ARGUMENT")


async def test_accepted_changes_are_done_later(raw: Raw, emulator: Emulator) -> None:
    await raw.create(write(data=DATA))
    emulator.default = SLOW
    changed = await patch(raw, {"op": "remove", "path": "/list"})
    assert (changed.status, changed.body.keys()) == (202, {"taskId", "status"})
    assert (await raw.read("prac-1.org-9")).body["data"] == DATA
    await asyncio.sleep(1.1)
    assert "list" not in (await raw.read("prac-1.org-9")).body["data"]
    again = await patch(raw, {"op": "remove", "path": "/list"})
    await asyncio.sleep(1.1)
    (receipt,) = (await raw.task(again.body["taskId"])).body["receipts"]
    assert (receipt["status"], error(receipt)) == ("FAILURE", "FAILED_PRECONDITION")
    gone = await delete(raw)
    assert (gone.status, gone.body.keys()) == (202, {"taskId", "status"})
    assert emulator.relationships() == 1
    await asyncio.sleep(1.1)
    assert emulator.relationships() == 0


async def test_reading_by_an_identifier(raw: Raw) -> None:
    identifier = [{"system": "x"}, {"system": "urn:a/b", "value": "1.2", "use": "usual"}]
    await raw.create(write(meta={"identifier": identifier}))
    await raw.create(write("other", meta={"identifier": [{**identifier[1], "use": "old"}]}))
    assert (await raw.read("urn:a%2Fb:1.2:usual")).body["id"] == "prac-1.org-9"
    assert (await raw.read("urn:a%2Fb:1.2:old")).body["id"] == "other.org-9"
    for identifier_ in ("urn:a%2Fb:1.2:temp", "urn:a%2Fb:1:usual", "x::"):
        assert (await raw.read(identifier_)).status in {400, 404}
    assert (await raw.read("urn:a%2Fb:1.2:usual", "other-type")).status == 404
