"""Two accepted tasks that touch one record while both are pending."""

import asyncio
from typing import Any

import pytest

from clinia_async.emulator import Accepted, Constant, Emulator, Persisted, Settings
from tests.emulator.raw import RELATIONSHIPS, RESOURCES, Raw, operation, resource, write

SLOW = Accepted(Constant(1))


async def ends(raw: Raw, *replies: Any) -> list[list[str]]:
    """Of each task: its status, then those of its receipts."""
    await asyncio.sleep(5)
    tasks = [(await raw.task(reply.body["taskId"])).body for reply in replies]
    return [[task["status"], *(receipt["status"] for receipt in task["receipts"])] for task in tasks]


async def test_the_later_one_is_cancelled() -> None:
    async with Emulator(default=SLOW) as emulator, Raw(emulator) as raw:
        first, second = [await raw.create(write(data={"n": n})) for n in (1, 2)]
        (receipt,) = (await raw.task(second.body["taskId"])).body["receipts"]
        assert receipt["status"] == "PENDING"
        assert await ends(raw, first, second) == [["SUCCESS", "SUCCESS"], ["CANCELLED", "CANCELLED"]]
        (receipt,) = (await raw.task(second.body["taskId"])).body["receipts"]
        assert "error" not in receipt
        assert receipt["completedAt"] > receipt["receivedAt"]
        assert next(emulator.stored()).data == {"n": 1}


async def test_later_means_accepted_later_not_done_later() -> None:
    async with Emulator(default=Accepted(Constant(3))) as emulator, Raw(emulator) as raw:
        first = await raw.put("prac-1", {"n": 1})
        emulator.default = SLOW
        second = await raw.put("prac-1", {"n": 2})
        assert await ends(raw, first, second) == [["SUCCESS", "SUCCESS"], ["CANCELLED", "CANCELLED"]]


async def test_one_after_the_other_is_no_conflict() -> None:
    async with Emulator(default=SLOW) as emulator, Raw(emulator) as raw:
        for n in range(3):
            assert await ends(raw, await raw.put("prac-1", {"n": n})) == [["SUCCESS", "SUCCESS"]]
        assert next(emulator.stored_resources()).data == {"n": 2}


async def test_what_was_cancelled_stands_in_nobodys_way() -> None:
    async with Emulator(default=SLOW) as emulator, Raw(emulator) as raw:
        await raw.put("prac-1", {"n": 1})
        emulator.default = Accepted(Constant(100))
        await raw.put("prac-1", {"n": 2})
        await asyncio.sleep(2)
        emulator.default = SLOW
        assert await ends(raw, await raw.put("prac-1", {"n": 3})) == [["SUCCESS", "SUCCESS"]]


async def test_a_task_that_is_cancelled_in_part_fails() -> None:
    async with Emulator(default=SLOW, bulk=Constant(2)) as emulator, Raw(emulator) as raw:
        single = await raw.put("prac-1", {"n": 1})
        bulk = await raw.bulk_resources(
            resource("UPSERT", "prac-1", {"n": 2}), resource("UPSERT", "prac-2"), resource("DELETE", "prac-1")
        )
        assert await ends(raw, single, bulk) == [
            ["SUCCESS", "SUCCESS"],
            ["FAILURE", "CANCELLED", "SUCCESS", "CANCELLED"],
        ]
        assert {one.id: one.data for one in emulator.stored_resources()} == {"prac-1": {"n": 1}, "prac-2": {}}


async def test_within_one_task_there_is_no_conflict(raw: Raw) -> None:
    bulk = await raw.bulk(operation("UPSERT", data={"n": 1}), operation("UPSERT", data={"n": 2}))
    later = await raw.bulk(operation("UPSERT", data={"n": 3}))
    assert await ends(raw, bulk, later) == [["SUCCESS", "SUCCESS", "SUCCESS"], ["CANCELLED", "CANCELLED"]]
    assert next(raw.emulator.stored()).data == {"n": 2}


async def test_a_bundle_is_cancelled_whole() -> None:
    async with Emulator(default=SLOW, bundle=SLOW) as emulator, Raw(emulator) as raw:
        single = await raw.put("prac-1")
        bundle = await raw.bundle([resource("UPSERT", "prac-1"), resource("UPSERT", "prac-2")])
        third = await raw.put("prac-2", {"n": 3})
        assert await ends(raw, single, bundle, third) == [
            ["SUCCESS", "SUCCESS"],
            ["CANCELLED", "CANCELLED", "CANCELLED"],
            ["SUCCESS", "SUCCESS"],
        ]
        assert {one.id: one.data for one in emulator.stored_resources()} == {"prac-1": {}, "prac-2": {"n": 3}}


@pytest.mark.parametrize(
    "path",
    [
        f"{RESOURCES}/other/prac-1",
        "/sources/else/v1/resources/practitioner/prac-1",
        f"{RESOURCES}/practitioner/prac-2",
    ],
)
async def test_other_records_are_no_conflict(path: str) -> None:
    async with Emulator(default=SLOW) as emulator, Raw(emulator) as raw:
        await raw.put("prac-1")
        await raw.send("PUT", path, {"data": {}})
        await asyncio.sleep(2)
        assert emulator.resources() == 2


async def test_a_persisted_write_is_no_conflict() -> None:
    async with Emulator(default=SLOW) as emulator, Raw(emulator) as raw:
        slow = await raw.put("prac-1", {"n": 1})
        emulator.default = Persisted()
        assert (await raw.put("prac-1", {"n": 2})).status == 201
        assert await ends(raw, slow) == [["SUCCESS", "SUCCESS"]]
        assert next(emulator.stored_resources()).data == {"n": 1}


@pytest.mark.parametrize("conflicts", ["cancel", "queue"])
async def test_what_is_pending_is_not_asked_for_at_arrival(conflicts: Any) -> None:
    async with (
        Emulator(default=SLOW, settings=Settings(conflicts=conflicts)) as emulator,
        Raw(emulator) as raw,
    ):
        first = await raw.create(write())
        second = await raw.send("DELETE", f"{RELATIONSHIPS}/practises-at/prac-1.org-9")
        assert second.status == 202
        end = "CANCELLED" if conflicts == "cancel" else "SUCCESS"
        assert await ends(raw, first, second) == [["SUCCESS", "SUCCESS"], [end, end]]
        assert emulator.relationships() == (1 if conflicts == "cancel" else 0)


async def test_conflicts_can_be_queued() -> None:
    async with Emulator(default=SLOW, settings=Settings(conflicts="queue")) as emulator, Raw(emulator) as raw:
        replies = [await raw.put("prac-1", {"n": n}) for n in range(3)]
        assert await ends(raw, *replies) == [["SUCCESS", "SUCCESS"]] * 3
        assert next(emulator.stored_resources()).data == {"n": 2}


async def test_conflicts_outlive_a_restart(tmp_path: Any) -> None:
    emulator = Emulator(data=tmp_path / "r.db", default=SLOW)
    async with emulator, Raw(emulator) as raw:
        first, second = [await raw.put("prac-1", {"n": n}) for n in (1, 2)]
    async with emulator, Raw(emulator) as raw:
        third = await raw.put("prac-1", {"n": 3})
        cancelled = ["CANCELLED", "CANCELLED"]
        assert await ends(raw, first, second, third) == [["SUCCESS", "SUCCESS"], cancelled, cancelled]


async def test_by_default_the_later_one_is_cancelled() -> None:
    assert Settings().conflicts == "cancel"
