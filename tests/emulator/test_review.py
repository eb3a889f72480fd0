"""Writes that wait for a person, and what becomes of them after a yes or a no."""

import asyncio
import re
from typing import Any

import pytest

from clinia_async.emulator import Accepted, Constant, Emulator, Review, Settings
from tests.emulator.raw import Raw, error, resource, write


async def receipts(raw: Raw, reply: Any) -> tuple[str, list[Any]]:
    task = (await raw.task(reply.body["taskId"])).body
    return task["status"], task["receipts"]


async def test_a_write_is_in_review_until_it_is_approved() -> None:
    async with Emulator(default=Review()) as emulator, Raw(emulator) as raw:
        accepted = await raw.create(write(data={"n": 1}))
        assert accepted.status == 202
        assert accepted.body.keys() == {"taskId", "status"}
        await asyncio.sleep(10_000)
        status, (pending,) = await receipts(raw, accepted)
        execution = pending["pipelineExecution"]
        assert (status, pending["status"]) == ("PENDING", "PENDING")
        assert "completedAt" not in pending
        assert re.fullmatch(r"[0-9A-Za-z]{27}", execution["id"])
        assert execution == {
            "id": execution["id"],
            "pipelineDefinitionId": "practises-at.1",
            "status": "IN_REVIEW",
        }
        assert emulator.relationships() == 0
        emulator.approve(accepted.body["taskId"])
        status, (done,) = await receipts(raw, accepted)
        assert (status, done["status"]) == ("SUCCESS", "SUCCESS")
        assert done["completedAt"] > done["receivedAt"]
        assert done["pipelineExecution"] == {**execution, "status": "SUCCESSFUL"}
        record = (await raw.read("prac-1.org-9")).body
        assert (record["data"], record["meta"]["createdAt"]) == ({"n": 1}, done["completedAt"])


@pytest.mark.parametrize("settings", [Settings(), Settings(rejected="FAILED")])
async def test_what_is_rejected_succeeds_and_is_dropped(settings: Settings) -> None:
    async with Emulator(default=Review(), settings=settings) as emulator, Raw(emulator) as raw:
        accepted = await raw.put("prac-1")
        id_ = accepted.body["taskId"]
        for other in (id_[2:], f"bk_{id_[2:]}", f"{id_[:-1]}-", f"{id_[:9]}{id_[9:][::-1]}"):
            with pytest.raises(LookupError, match="in review"):
                emulator.approve(other)
        emulator.reject(accepted.body["taskId"])
        status, (done,) = await receipts(raw, accepted)
        assert (status, done["status"]) == ("SUCCESS", "SUCCESS")
        assert done["pipelineExecution"]["status"] == settings.rejected
        assert done["completedAt"]
        assert "error" not in done
        assert (await raw.resource("prac-1")).status == 404
    assert Settings().rejected == "REJECTED"


async def test_the_pipeline_takes_its_time_before_the_review() -> None:
    async with Emulator(default=Review(Constant(5))) as emulator, Raw(emulator) as raw:
        accepted = await raw.put("prac-1")
        _, (receipt,) = await receipts(raw, accepted)
        assert "pipelineExecution" not in receipt
        with pytest.raises(LookupError, match="in review"):
            emulator.approve(accepted.body["taskId"])
        await asyncio.sleep(5.1)
        emulator.approve(accepted.body["taskId"])
        assert emulator.resources() == 1


async def test_tasks_that_no_reviewer_has(raw: Raw, emulator: Emulator) -> None:
    persisted = (await raw.put("prac-1")).body["taskId"]
    emulator.default = Accepted(Constant(1))
    accepted = (await raw.put("prac-2")).body["taskId"]
    emulator.default = Review()
    decided = (await raw.put("prac-3")).body["taskId"]
    emulator.reject(decided)
    for id_ in (persisted, accepted, decided, decided.removeprefix("s_"), "s_1", ""):
        for decide in (emulator.approve, emulator.reject):
            with pytest.raises(LookupError, match="in review"):
                decide(id_)
    await asyncio.sleep(2)
    assert [one.id for one in emulator.stored_resources()] == ["prac-1", "prac-2"]


async def test_an_approved_write_may_still_fail() -> None:
    async with Emulator(modes={"practitioner": Review()}) as emulator, Raw(emulator) as raw:
        accepted = await raw.send(
            "POST", "/sources/ehr/v1/resources/practitioner", {"id": "prac-1", "data": {}}
        )
        emulator.modes.clear()
        await raw.put("prac-1")
        emulator.approve(accepted.body["taskId"])
        status, (receipt,) = await receipts(raw, accepted)
        assert (status, receipt["status"], error(receipt)) == ("FAILURE", "FAILURE", "ALREADY_EXISTS")
        assert receipt["pipelineExecution"]["status"] == "SUCCESSFUL"


@pytest.mark.parametrize("approved", [True, False])
async def test_a_bulk_waits_only_for_what_is_reviewed(approved: bool) -> None:
    async with Emulator(modes={"organization": Review()}) as emulator, Raw(emulator) as raw:
        accepted = await raw.bulk_resources(
            resource("CREATE", "prac-1"),
            resource("CREATE", "org-1", type="organization"),
            resource("DELETE", "absent"),
            resource("CREATE", "org-2", type="organization"),
        )
        await asyncio.sleep(1)
        status, found = await receipts(raw, accepted)
        assert status == "PENDING"
        assert [receipt["status"] for receipt in found] == ["SUCCESS", "PENDING", "FAILURE", "PENDING"]
        assert [one.id for one in emulator.stored_resources()] == ["prac-1"]
        first_done = found[0]
        await asyncio.sleep(10)
        (emulator.approve if approved else emulator.reject)(accepted.body["taskId"])
        status, found = await receipts(raw, accepted)
        assert status == "FAILURE"
        assert [receipt["status"] for receipt in found] == ["SUCCESS", "SUCCESS", "FAILURE", "SUCCESS"]
        assert found[0] == first_done
        assert found[1]["completedAt"] > first_done["completedAt"]
        ids = {receipt["pipelineExecution"]["id"] for receipt in found if "pipelineExecution" in receipt}
        assert len(ids) == 2
        assert [one.id for one in emulator.stored_resources()] == (
            ["org-1", "org-2", "prac-1"] if approved else ["prac-1"]
        )


@pytest.mark.parametrize("approved", [True, False])
async def test_a_bundle_is_reviewed_as_a_whole(approved: bool) -> None:
    async with Emulator(bundle=Review()) as emulator, Raw(emulator) as raw:
        accepted = await raw.bundle([resource("CREATE", "prac-1"), resource("CREATE", "prac-2")])
        _, found = await receipts(raw, accepted)
        assert [receipt["pipelineExecution"]["status"] for receipt in found] == ["IN_REVIEW"] * 2
        (emulator.approve if approved else emulator.reject)(accepted.body["taskId"])
        assert (await receipts(raw, accepted))[0] == "SUCCESS"
        assert emulator.resources() == (2 if approved else 0)
        failing = await raw.bundle([resource("CREATE", "prac-3"), resource("DELETE", "absent")])
        assert emulator.resources() == (2 if approved else 0)
        emulator.approve(failing.body["taskId"])
        status, found = await receipts(raw, failing)
        assert (status, [receipt["status"] for receipt in found]) == ("FAILURE", ["CANCELLED", "FAILURE"])
        assert emulator.resources() == (2 if approved else 0)


async def test_what_is_in_review_is_in_the_way_of_others() -> None:
    async with Emulator(default=Review()) as emulator, Raw(emulator) as raw:
        first = await raw.put("prac-1", {"n": 1})
        emulator.default = Accepted(Constant(1))
        second = await raw.put("prac-1", {"n": 2})
        await asyncio.sleep(5)
        assert (await receipts(raw, second))[0] == "CANCELLED"
        emulator.reject(first.body["taskId"])
        third = await raw.put("prac-1", {"n": 3})
        await asyncio.sleep(5)
        assert (await receipts(raw, third))[0] == "SUCCESS"


async def test_a_cancelled_write_is_not_reviewed() -> None:
    async with Emulator(default=Review()) as emulator, Raw(emulator) as raw:
        _, second = [await raw.put("prac-1", {"n": n}) for n in (1, 2)]
        status, (receipt,) = await receipts(raw, second)
        assert (status, "pipelineExecution" in receipt) == ("CANCELLED", False)


async def test_a_review_outlives_a_restart(tmp_path: Any) -> None:
    emulator = Emulator(data=tmp_path / "r.db", modes={"organization": Review()})
    async with emulator, Raw(emulator) as raw:
        accepted = await raw.bulk_resources(
            resource("CREATE", "prac-1"), resource("CREATE", "org-1", type="organization")
        )
        await asyncio.sleep(1)
        before = await receipts(raw, accepted)
    async with emulator, Raw(emulator) as raw:
        await asyncio.sleep(1)
        assert await receipts(raw, accepted) == before
        emulator.approve(accepted.body["taskId"])
        status, found = await receipts(raw, accepted)
        assert (status, [receipt["status"] for receipt in found]) == ("SUCCESS", ["SUCCESS", "SUCCESS"])
        assert found[0] == before[1][0]
        assert emulator.resources() == 2
