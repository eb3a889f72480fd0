"""Sources, and what happens to partitions: listed, deleted, gone stale."""

import asyncio
from typing import Any

import pytest

from clinia_async.emulator import Accepted, Constant, Emulator, Settings
from tests.emulator.raw import Raw, Reply, resource, write

REGISTRY = {"type": "registry"}
FED = {"type": "DATA_SOURCE", "key": "ehr", "collections": []}
UNIFIED = {"type": "MDM", "sources": ["lab", "ehr"], "collections": []}


async def source(raw: Raw, method: str, key: str = "ehr", body: Any = None) -> Reply:
    return await raw.send(method, f"/catalog/v1/sources/{key}", body)


async def partition(raw: Raw, key: str, fed: Any = FED, query: str = "") -> Reply:
    return await raw.send("PUT", f"/catalog/v1/partitions/{key}{query}", {"modules": {}, "source": fed})


async def listed(raw: Raw, what: str, query: str = "") -> Any:
    return (await raw.send("GET", f"/catalog/v1/{what}{query}")).body


async def test_a_source_is_put_read_and_listed(raw: Raw) -> None:
    assert (await source(raw, "GET")).status == 404
    first, second = [await source(raw, "PUT", body=REGISTRY) for _ in range(2)]
    assert (first.status, second.status) == (201, 200)
    assert first.body == second.body == (await source(raw, "GET")).body == {"key": "ehr", "type": "registry"}
    await source(raw, "PUT", "a", REGISTRY)
    assert await listed(raw, "sources") == {
        "meta": {"numPages": 1, "page": 0, "perPage": 20, "total": 2},
        "data": [{"key": "a", "type": "registry"}, first.body],
    }


async def test_a_source_springs_into_being(raw: Raw) -> None:
    await raw.put("prac-1")
    await raw.send("PUT", "/sources/lab/v1/profiles/p", {"type": "ROOT", "properties": {}})
    assert (await source(raw, "GET")).status == 200
    assert [one["key"] for one in (await listed(raw, "sources"))["data"]] == ["ehr", "lab"]


@pytest.mark.parametrize("body", [[], {}, {"type": "mdm"}, {"type": 1}, {"type": "registry", "key": "ehr"}])
async def test_sources_that_are_wrong(raw: Raw, body: Any) -> None:
    reply = await source(raw, "PUT", body=body)
    assert (reply.status, reply.kind) == (400, "INVALID_ARGUMENT")
    assert (await source(raw, "GET")).status == 404


async def test_a_deleted_source_spoils_its_partitions(raw: Raw) -> None:
    await source(raw, "PUT", body=REGISTRY)
    await partition(raw, "a-fed")
    await partition(raw, "b-staged", query="?stage=true")
    await partition(raw, "c-unified", UNIFIED)
    await partition(raw, "d-other", {**FED, "key": "lab"})
    reply = await source(raw, "DELETE")
    assert (reply.status, reply.body) == (200, {})
    partitions = (await listed(raw, "partitions"))["data"]
    assert [(one["key"], one["status"]) for one in partitions] == [
        ("a-fed", "STATUS_STALE"),
        ("b-staged", "STATUS_STALE"),
        ("c-unified", "STATUS_STALE"),
        ("d-other", "STATUS_READY"),
    ]
    assert partitions[2]["source"] == UNIFIED
    await source(raw, "PUT", body=REGISTRY)
    assert (await raw.send("GET", "/catalog/v1/partitions/a-fed")).body["status"] == "STATUS_STALE"


async def test_a_deleted_source_is_empty_afterwards(raw: Raw, emulator: Emulator) -> None:
    done = await raw.put("prac-1")
    await raw.create(write())
    await raw.send(
        "PUT",
        "/sources/ehr/v1/relationship-definitions/d",
        {"from": {"profileKey": "p"}, "to": {"profileKey": "p"}},
    )
    other = await raw.send("PUT", "/sources/lab/v1/resources/t/r-1", {"data": {}})
    emulator.modes["slow"] = Accepted(Constant(1))
    pending = await raw.put("prac-2", type_="slow")
    bulk = await raw.bulk_resources(resource("UPSERT", "prac-3"))
    await source(raw, "DELETE")
    await asyncio.sleep(2)
    assert [(one.source, one.id) for one in emulator.stored_resources()] == [("lab", "r-1")]
    assert emulator.relationships() == 0
    for task in (done, pending, bulk):
        assert (await raw.task(task.body["taskId"])).status == 404
    assert (await raw.send("GET", f"/sources/lab/v1/tasks/{other.body['taskId']}")).status == 200
    assert (await raw.send("GET", "/sources/ehr/v1/relationship-definitions")).body["data"] == []
    assert (await source(raw, "GET")).status == 404
    again = await raw.put("prac-2", type_="slow")
    await asyncio.sleep(2)
    assert (await raw.task(again.body["taskId"])).body["status"] == "SUCCESS"


async def test_ids_are_not_made_again_after_their_source_is_gone(tmp_path: Any) -> None:
    emulator, ids = Emulator(data=tmp_path / "r.db"), set()
    for _ in range(3):
        async with emulator, Raw(emulator) as raw:
            made = await raw.send("POST", "/sources/ehr/v1/resources/t", {"data": {}})
            ids |= {made.body["taskId"], made.body["resource"]["id"]}
            await source(raw, "DELETE")
    assert len(ids) == 6


async def test_a_partition_is_deleted(raw: Raw, emulator: Emulator) -> None:
    await partition(raw, "a")
    await partition(raw, "b")
    reply = await raw.send("DELETE", "/catalog/v1/partitions/a")
    assert (reply.status, reply.body) == (200, {})
    assert emulator.partitions() == 1
    assert (await raw.send("GET", "/catalog/v1/partitions/a")).status == 404
    assert (await partition(raw, "a")).status == 201


async def test_partitions_are_listed_by_page(raw: Raw) -> None:
    for number in range(3):
        await partition(raw, f"p-{number}")
    page = await listed(raw, "partitions", "?page=1&perPage=2")
    assert page["meta"] == {"numPages": 2, "page": 1, "perPage": 2, "total": 3}
    assert page["data"] == [(await raw.send("GET", "/catalog/v1/partitions/p-2")).body]


@pytest.mark.parametrize("status", [200, 202, 204])
@pytest.mark.off_contract
async def test_how_deletes_are_answered_is_a_setting(status: int) -> None:
    async with Emulator(settings=Settings(catalog_delete=status)) as emulator, Raw(emulator) as raw:
        await source(raw, "PUT", body=REGISTRY)
        await partition(raw, "p")
        for path in ("sources/ehr", "partitions/p"):
            assert (await raw.send("DELETE", f"/catalog/v1/{path}")).status == status
            gone = await raw.send("DELETE", f"/catalog/v1/{path}")
            assert (gone.status, gone.kind) == (404, "NOT_FOUND")
