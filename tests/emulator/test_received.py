"""What an emulator received, and starting anew between tests."""

import asyncio

import aiohttp
import pytest

from clinia_async.emulator import Accepted, Emulator, StaleRead
from tests.emulator.raw import RELATIONSHIPS, RESOURCES, Raw, operation, resource, write


async def test_requests_can_be_read_back() -> None:
    async with Emulator(recording=True) as emulator, Raw(emulator) as raw:
        await raw.send("POST", f"{RELATIONSHIPS}/t%2Dx", write(data={"n": 1}), headers={"X-Trace": "1"})
        await raw.read("a.b")
        emulator.on("create_relationship").lose_reply()
        with pytest.raises(aiohttp.ClientError):
            await raw.create(write())
        created, read, lost = emulator.received
        assert (created.route, created.method, created.status) == ("create_relationship", "POST", 201)
        assert created.path == f"{RELATIONSHIPS}/t%2Dx"
        assert created.headers["x-trace"] == "1"
        assert created.json == write(data={"n": 1})
        assert (read.body, read.json, read.records, read.status) == (None, None, [], 404)
        assert (lost.status, lost.fault) == (None, "LostReply")
        assert [one.fault for one in (created, read)] == [None, None]


async def test_records_of_each_kind_of_write() -> None:
    async with Emulator(recording=True) as emulator, Raw(emulator) as raw:
        await raw.create(write())
        await raw.bulk(operation("CREATE"), operation("DELETE"))
        await raw.bundle([resource("CREATE", "p-1")], [operation("UPSERT")])
        await raw.send("PATCH", f"{RELATIONSHIPS}/t/a.b", [{"path": "/x", "value": 1}])
        create, bulk, bundle, patch = (one.records for one in emulator.received)
        ends = {"type": "practises-at", **write()}
        assert create == [write()]
        assert bulk == [ends, ends]
        assert bundle == [{"type": "practitioner", "id": "p-1", "data": {}}, ends]
        assert patch == []


async def test_the_key_is_not_recorded_and_nothing_is_shown() -> None:
    async with Emulator(recording=True) as emulator, Raw(emulator) as raw:
        await raw.create(write(data={"name": "SECRET"}))
        (one,) = emulator.received
        assert "X-Clinia-API-Key" not in one.headers
        assert "SECRET" not in repr(one)


async def test_nothing_is_recorded_unless_asked_for(raw: Raw, emulator: Emulator) -> None:
    await raw.create(write())
    assert emulator.received == []


async def _story(emulator: Emulator, raw: Raw) -> list[object]:
    """Ids, statuses and faults of a few requests."""
    bulk = (await raw.bulk(operation("CREATE"), operation("CREATE", "b"))).body["taskId"]
    made = [(await raw.send("POST", f"{RESOURCES}/practitioner", {"data": {}})).body for _ in range(3)]
    await asyncio.sleep(1)
    stored = [one.id for one in emulator.stored()]
    return [bulk, [one["resource"]["id"] for one in made], stored, emulator.requests.total()]


async def test_a_reset_starts_anew() -> None:
    async with Emulator(recording=True) as emulator, Raw(emulator) as raw:
        first = await _story(emulator, raw)
        emulator.default = emulator.modes["t"] = Accepted()
        emulator.faults.add(StaleRead(route="get_relationship"))
        emulator.on("create_resource").drop()
        emulator.on("bundle").execute_late(5)
        with pytest.raises(aiohttp.ClientError):
            await raw.bundle([resource("CREATE", "late")])
        emulator.reset()
        assert (emulator.relationships(), emulator.resources(), emulator.received) == (0, 0, [])
        await asyncio.sleep(10)
        assert emulator.resources() == 0
        assert emulator.faults.steps_left() == {}
        assert (await raw.read("b.org-9")).status == 404
        emulator.requests.clear()
        assert await _story(emulator, raw) == first


async def test_chaos_plays_the_same_after_a_reset() -> None:
    async def play(raw: Raw) -> list[str]:
        outcomes = []
        for number in range(100):
            try:
                outcomes.append(str((await raw.create(write(f"p-{number}"))).status))
            except (aiohttp.ClientError, ValueError) as error:
                outcomes.append(type(error).__name__)
        return outcomes

    async with Emulator(chaos=5) as emulator, Raw(emulator) as raw:
        first = await play(raw)
        assert set(first) != {"201"}
        emulator.reset()
        assert await play(raw) == first
