"""Purges: everything of one type in one source, later, and counted."""

import asyncio
from typing import Any

import pytest

from clinia_async.emulator import Constant, Emulator, Settings
from tests.emulator.raw import SOURCE, Raw, Reply, write


async def purge(raw: Raw, kind: str = "resources", key: str = "practitioner") -> Reply:
    body = {"collectionType": kind, "collectionKey": key}
    return await raw.send("POST", f"{SOURCE}/purge", body)


async def result(raw: Raw, id_: str) -> Any:
    return (await raw.send("GET", f"{SOURCE}/purge/{id_}")).body


async def fill(raw: Raw) -> None:
    for id_ in ("prac-1", "prac-2"):
        await raw.put(id_)
    await raw.put("org-9", type_="organization")
    await raw.create(write("prac-1"))
    await raw.create(write("prac-7"))
    await raw.create({"from": {"id": "a", "type": "x"}, "to": {"id": "b", "type": "practitioner"}})
    await raw.create({"from": {"id": "a", "type": "x"}, "to": {"id": "c", "type": "y"}})
    await raw.create(write(), "other")
    await raw.send("PUT", "/sources/else/v1/resources/practitioner/prac-1", {"data": {}})
    await raw.send("POST", "/sources/else/v1/relationships/practises-at", write())


async def test_purged_resources_take_their_relationships_along(raw: Raw, emulator: Emulator) -> None:
    await fill(raw)
    accepted = await purge(raw)
    pending = accepted.body["purgeOperation"]
    id_ = accepted.body["taskId"]
    assert accepted.status == 202
    assert accepted.body.keys() == {"taskId", "status", "purgeOperation"}
    assert accepted.body["status"] == "ACCEPTED"
    assert id_.startswith("pg_")
    assert pending.pop("createdAt") == pending.pop("updatedAt")
    assert pending == {
        "taskId": id_,
        "purgeId": id_,
        "collectionType": "resources",
        "collectionKey": "practitioner",
        "status": "PENDING",
    }
    assert emulator.resources() == 4
    await asyncio.sleep(0.06)
    done = await result(raw, id_)
    assert done.pop("updatedAt") > done.pop("createdAt")
    assert done == {**pending, "status": "SUCCESS", "deletedCount": 2}
    assert [(one.source, one.id) for one in emulator.stored_resources()] == [
        ("ehr", "org-9"),
        ("else", "prac-1"),
    ]
    assert [(one.source, one.id) for one in emulator.stored()] == [("ehr", "a.c"), ("else", "prac-1.org-9")]


async def test_purged_relationships_leave_resources(raw: Raw, emulator: Emulator) -> None:
    await fill(raw)
    id_ = (await purge(raw, "relationships", "practises-at")).body["taskId"]
    await asyncio.sleep(0.06)
    assert (await result(raw, id_))["deletedCount"] == 4
    assert emulator.resources() == 4
    assert [(one.source, one.type) for one in emulator.stored()] == [
        ("ehr", "other"),
        ("else", "practises-at"),
    ]


async def test_whether_relationships_count_is_a_setting() -> None:
    async with Emulator(settings=Settings(purge_counts_relationships=True)) as emulator, Raw(emulator) as raw:
        await fill(raw)
        id_ = (await purge(raw)).body["taskId"]
        await asyncio.sleep(1)
        assert (await result(raw, id_))["deletedCount"] == 6


async def test_nothing_to_purge(raw: Raw) -> None:
    id_ = (await purge(raw)).body["taskId"]
    await asyncio.sleep(1)
    done = await result(raw, id_)
    assert (done["status"], done["deletedCount"]) == ("SUCCESS", 0)


async def test_a_purge_is_a_task_and_has_an_old_name(raw: Raw) -> None:
    id_ = (await purge(raw)).body["taskId"]
    for status in ("PENDING", "SUCCESS"):
        assert (await raw.task(id_)).body == {"taskId": id_, "status": status, "receipts": []}
        for form in (id_, "purge%3A" + id_.removeprefix("pg_"), "purge:" + id_.removeprefix("pg_")):
            purged = await result(raw, form)
            assert (purged["taskId"], purged["status"]) == (id_, status)
        await asyncio.sleep(1)


async def test_a_purge_takes_as_long_as_it_is_set_to() -> None:
    async with Emulator(purge=Constant(10)) as emulator, Raw(emulator) as raw:
        await raw.put("prac-1")
        id_ = (await purge(raw)).body["taskId"]
        await asyncio.sleep(9.5)
        assert (await result(raw, id_))["status"] == "PENDING"
        assert emulator.resources() == 1
        await asyncio.sleep(1)
        assert (await result(raw, id_))["status"] == "SUCCESS"


async def test_purges_survive_a_restart(tmp_path: Any) -> None:
    emulator = Emulator(data=tmp_path / "r.db")
    async with emulator, Raw(emulator) as raw:
        await raw.put("prac-1")
        id_ = (await purge(raw)).body["taskId"]
    async with emulator, Raw(emulator) as raw:
        assert (await result(raw, id_))["status"] == "PENDING"
        await asyncio.sleep(1)
        assert (await result(raw, id_))["deletedCount"] == 1


async def test_purges_that_are_not_there(raw: Raw) -> None:
    single = (await raw.put("prac-1")).body["taskId"]
    id_ = (await purge(raw)).body["taskId"]
    for wrong in (single, id_[:-1] + "-", id_.removeprefix("pg_")):
        reply = await raw.send("GET", f"{SOURCE}/purge/{wrong}")
        assert (reply.status, reply.kind) == (404, "NOT_FOUND")
    assert (await raw.send("GET", f"/sources/other/v1/purge/{id_}")).status == 404


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"collectionType": "resources"},
        {"collectionKey": "practitioner"},
        {"collectionType": "resource", "collectionKey": "practitioner"},
        {"collectionType": ["resources"], "collectionKey": "practitioner"},
        {"collectionType": "resources", "collectionKey": "a b"},
        {"collectionType": "resources", "collectionKey": "practitioner", "all": True},
    ],
)
async def test_bodies_that_are_wrong(raw: Raw, emulator: Emulator, body: Any) -> None:
    await raw.put("prac-1")
    reply = await raw.send("POST", f"{SOURCE}/purge", body)
    assert (reply.status, reply.kind) == (400, "INVALID_ARGUMENT")
    await asyncio.sleep(1)
    assert emulator.resources() == 1


async def test_objects_are_not_emulated(raw: Raw) -> None:
    reply = await purge(raw, "objects")
    assert (reply.status, reply.kind) == (501, "UNIMPLEMENTED")
