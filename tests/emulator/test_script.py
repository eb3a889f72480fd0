"""Scripts: what happens to the next requests of a route, in words."""

import asyncio
from typing import Any

import aiohttp
import pytest

from clinia_async.emulator import Accepted, Emulator, Script
from tests.emulator.raw import RESOURCES, Raw, operation, write

ROUTE = "create_relationship"


async def _status(raw: Raw, id_: str) -> str:
    status: str = (await raw.task(id_)).body["status"]
    return status


async def test_accept_after_two_polls(raw: Raw, emulator: Emulator) -> None:
    emulator.on(ROUTE).accept(polls=2)
    accepted = await raw.create(write())
    assert accepted.status == 202
    assert [await _status(raw, accepted.body["taskId"]) for _ in range(4)] == [
        "PENDING",
        "PENDING",
        *2 * ["SUCCESS"],
    ]
    assert (await raw.create(write("next"))).status == 201


async def test_polls_count_and_time_does_not(raw: Raw, emulator: Emulator) -> None:
    emulator.on("bulk_relationships").accept(polls=1)
    id_ = (await raw.bulk(operation("CREATE"))).body["taskId"]
    await asyncio.sleep(3600)
    assert emulator.relationships() == 0
    assert [await _status(raw, id_) for _ in range(2)] == ["PENDING", "SUCCESS"]


async def test_fail_the_third(raw: Raw, emulator: Emulator) -> None:
    emulator.default = Accepted()
    emulator.on(ROUTE).succeed(times=2).fail("INTERNAL")
    ids = [(await raw.create(write(f"p-{n}"))).body["taskId"] for n in range(4)]
    await asyncio.sleep(1)
    assert [await _status(raw, id_) for id_ in ids] == ["SUCCESS", "SUCCESS", "FAILURE", "SUCCESS"]
    (receipt,) = (await raw.task(ids[2])).body["receipts"]
    assert receipt["error"]["type"] == "INTERNAL"
    assert emulator.relationships() == 3


@pytest.mark.parametrize("route", ["bulk_relationships", "bundle"])
async def test_fail_the_third_operation(raw: Raw, emulator: Emulator, route: str) -> None:
    emulator.on(route).fail(operation=3)
    operations = [operation("CREATE", f"p-{n}") for n in range(4)]
    reply = await (raw.bulk(*operations) if route != "bundle" else raw.bundle((), operations))
    await asyncio.sleep(1)
    statuses = [one["status"] for one in (await raw.task(reply.body["taskId"])).body["receipts"]]
    others = "SUCCESS" if route != "bundle" else "CANCELLED"
    assert statuses == [others, others, "FAILURE", others]
    assert emulator.relationships() == (3 if route != "bundle" else 0)


@pytest.mark.parametrize("approve", [True, False])
async def test_hold_for_review(raw: Raw, emulator: Emulator, approve: bool) -> None:
    emulator.on(ROUTE).hold_for_review()
    id_ = (await raw.create(write())).body["taskId"]
    await asyncio.sleep(3600)
    assert await _status(raw, id_) == "PENDING"
    (emulator.approve if approve else emulator.reject)(id_)
    assert await _status(raw, id_) == "SUCCESS"
    assert emulator.relationships() == approve


@pytest.mark.parametrize("approve", [True, False])
@pytest.mark.parametrize("route", ["put_resource", "bulk_resources"])
async def test_a_reviewer_decides_on_a_change(
    raw: Raw, emulator: Emulator, approve: bool, route: str
) -> None:
    await raw.put("prac-1", {"n": 1})
    script = emulator.on(route)
    (script.approve if approve else script.reject)(seconds=5)
    change = {"action": "UPSERT", "upsert": {"type": "practitioner", "id": "prac-1", "data": {"n": 2}}}
    reply = await (raw.put("prac-1", {"n": 2}) if route == "put_resource" else raw.bulk_resources(change))
    assert await _status(raw, reply.body["taskId"]) == "PENDING"
    await asyncio.sleep(6)
    task = (await raw.task(reply.body["taskId"])).body
    assert task["status"] == task["receipts"][0]["status"] == "SUCCESS"
    said = "SUCCESSFUL" if approve else "REJECTED"
    assert task["receipts"][0]["pipelineExecution"]["status"] == said
    assert (await raw.resource("prac-1")).body["data"] == {"n": 2 if approve else 1}


async def test_what_a_request_is_answered(raw: Raw, emulator: Emulator) -> None:
    script = (
        emulator.on(ROUTE).refuse("PERMISSION_DENIED", 403).throttle(7).unavailable(executed=True).persist()
    )
    assert isinstance(script, Script)
    replies = [await raw.create(write(f"p-{n}")) for n in range(4)]
    assert [reply.status for reply in replies] == [403, 429, 503, 201]
    assert replies[0].kind == "PERMISSION_DENIED"
    assert replies[1].headers["Retry-After"] == "7"
    assert emulator.relationships() == 2


LOST: list[tuple[str, int, int]] = [
    ("lose_reply", 1, 1),
    ("drop", 0, 0),
    ("truncate", 1, 1),
    ("execute_late", 0, 1),
]


@pytest.mark.parametrize(("step", "now", "later"), LOST)
async def test_answers_that_are_lost(raw: Raw, emulator: Emulator, step: str, now: int, later: int) -> None:
    getattr(emulator.on(ROUTE), step)()
    with pytest.raises(aiohttp.ClientError):
        await raw.create(write())
    assert emulator.relationships() == now
    await asyncio.sleep(5)
    assert emulator.relationships() == later


async def test_other_steps(raw: Raw, emulator: Emulator) -> None:
    emulator.on("create_resource").execute_twice(2)
    await raw.send("POST", f"{RESOURCES}/practitioner", {"data": {}})
    await asyncio.sleep(3)
    assert emulator.resources() == 2
    emulator.on("get_task").alter_receipts("null-list").read_stale().block(502)
    assert emulator.faults.steps_left() == {"get_task": 3}
    id_ = (await raw.create(write())).body["taskId"]
    assert (await raw.task(id_)).body["receipts"] is None
    assert (await raw.task(id_)).status == 404
    with pytest.raises(aiohttp.ContentTypeError):
        await raw.task(id_)
    assert emulator.faults.steps_left() == {}


def test_a_route_that_does_not_exist() -> None:
    with pytest.raises(ValueError, match="create_relationship"):
        Emulator().on("create")


async def test_requests_with_a_wrong_key_use_up_no_step(raw: Raw, emulator: Emulator) -> None:
    emulator.on(ROUTE).throttle()
    wrong: Any = {"X-Clinia-API-Key": "wrong"}
    await raw.send("POST", "/sources/s/v1/relationships/t", write(), headers=wrong)
    assert (await raw.create(write())).status == 429
