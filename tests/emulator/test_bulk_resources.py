"""Bulks of resources, and where the results of bulks can be read."""

import asyncio
from typing import Any

import pytest

from clinia_async.emulator import Emulator
from tests.emulator.raw import RELATIONSHIPS, RESOURCES, SOURCE, Raw, error, operation, resource, write


async def test_operations_are_mixed_and_done_in_order(raw: Raw, emulator: Emulator) -> None:
    await raw.create(write("prac-2"))
    accepted = await raw.bulk_resources(
        resource("CREATE", data={"n": 1}),
        resource("CREATE", data={"n": 2}),
        resource("UPSERT", data={"n": 3}),
        resource("UPSERT", "prac-2", {"n": 4}),
        resource("DELETE", "prac-2"),
        resource("DELETE", "absent"),
        resource("CREATE", None, {"n": 5}),
        resource("CREATE", "@rootId", {"self": "@rootId"}),
        resource("CREATE", "@rootId", {"self": "@rootId"}),
    )
    task_id = accepted.body["taskId"]
    assert accepted.status == 202
    assert accepted.body == {"taskId": task_id, "status": "ACCEPTED", "bulkId": task_id}
    assert task_id.startswith("bk_")
    assert emulator.resources() == 0
    pending = (await raw.task(task_id)).body["receipts"]
    await asyncio.sleep(0.06)
    task = (await raw.task(task_id)).body
    receipts = task["receipts"]
    assert task["status"] == "FAILURE"
    assert [receipt["id"] for receipt in receipts] == [receipt["id"] for receipt in pending]
    assert [(receipt["action"], receipt["status"], error(receipt)) for receipt in receipts] == [
        ("CREATE", "SUCCESS", None),
        ("CREATE", "FAILURE", "ALREADY_EXISTS"),
        ("UPSERT", "SUCCESS", None),
        ("UPSERT", "SUCCESS", None),
        ("DELETE", "SUCCESS", None),
        ("DELETE", "FAILURE", "NOT_FOUND"),
        *[("CREATE", "SUCCESS", None)] * 3,
    ]
    assert {(receipt["targetType"], receipt["type"]) for receipt in receipts} == {
        ("RESOURCE", "practitioner")
    }
    made = [receipt["id"] for receipt in receipts[6:]]
    assert {one.id: one.data for one in emulator.stored_resources()} == {
        "prac-1": {"n": 3},
        made[0]: {"n": 5},
        **{id_: {"self": id_} for id_ in made[1:]},
    }
    assert len(set(made)) == 3
    assert emulator.relationships() == 0


async def test_a_mistake_in_an_operation_stays_with_it(raw: Raw, emulator: Emulator) -> None:
    mistakes = [
        resource("CREATE", "a"),
        resource("CREATE", "@rootId1"),
        resource("UPSERT", "@rootId"),
        resource("DELETE", "_a"),
        resource("DELETE", data={}, meta={}),
        resource("UPSERT", meta={"updatedAt": "2020-01-01T00:00:00Z"}),
        resource("UPSERT", colour="red"),
        resource("UPSERT", contained=[]),
        {"action": "CREATE", "create": {"type": "practitioner", "id": "aa"}},
        {"action": "UPSERT", "upsert": {"type": "a b", "id": "aa", "data": {}}},
        {"action": "UPSERT", "upsert": {"type": "practitioner", "id": "aa", "data": []}},
    ]
    task_id = (await raw.bulk_resources(*mistakes, resource("CREATE", "fine"))).body["taskId"]
    await asyncio.sleep(1)
    *failed, fine = (await raw.task(task_id)).body["receipts"]
    assert [error(receipt) for receipt in failed] == ["INVALID_ARGUMENT"] * len(mistakes)
    assert fine["status"] == "SUCCESS"
    assert [one.id for one in emulator.stored_resources()] == ["fine"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"operations": []},
        {"operations": [operation("CREATE")]},
        {"operations": [resource("UPSERT", None)]},
        {"operations": [resource("DELETE", None)]},
        {"operations": [{"action": "CREATE", "create": {"data": {}}}]},
        {"operations": [{"action": "CREATE", "create": {"type": "t", "id": 1, "data": {}}}]},
        {"operations": [{"action": "PATCH", "patch": {"type": "t", "id": "aa"}}]},
    ],
)
async def test_a_bulk_without_shape_is_refused_whole(raw: Raw, emulator: Emulator, body: Any) -> None:
    reply = await raw.send("POST", f"{RESOURCES}/bulk", body)
    if body == {"operations": [operation("CREATE")]}:
        # Only the receipt can tell that this is no resource.
        assert reply.status == 202
        await asyncio.sleep(1)
        assert error((await raw.task(reply.body["taskId"])).body["receipts"][0]) == "INVALID_ARGUMENT"
    else:
        assert (reply.status, reply.kind) == (400, "INVALID_ARGUMENT")
    await asyncio.sleep(1)
    assert emulator.resources() == 0


async def test_the_result_of_a_bulk_is_its_task_without_the_id(raw: Raw) -> None:
    bulks = {
        RESOURCES: (await raw.bulk_resources(resource("CREATE"))).body["taskId"],
        RELATIONSHIPS: (await raw.bulk(operation("CREATE"))).body["taskId"],
    }
    for _ in range(2):
        for path, id_ in bulks.items():
            task = (await raw.task(id_)).body
            del task["taskId"]
            for form in (id_, id_.removeprefix("bk_")):
                reply = await raw.send("GET", f"{path}/bulk/{form}?withReceipts=true")
                assert (reply.status, reply.body) == (200, task)
                assert (await raw.send("GET", f"{path}/bulk/{form}")).body == {"status": task["status"]}
        await asyncio.sleep(1)


async def test_results_that_are_not_there(raw: Raw) -> None:
    bulk = (await raw.bulk_resources(resource("CREATE"))).body["taskId"]
    single = (await raw.put("prac-9")).body["taskId"]
    bundle = (await raw.bundle([resource("UPSERT", "prac-8")])).body["taskId"]
    for path, id_ in (
        (RELATIONSHIPS, bulk),
        (RESOURCES, single),
        (RESOURCES, bundle),
        (RESOURCES, bundle.removeprefix("bd_")),
        (RESOURCES, bulk[:-1] + "-"),
        ("/sources/other/v1/resources", bulk),
    ):
        reply = await raw.send("GET", f"{path}/bulk/{id_}")
        assert (reply.status, reply.kind) == (404, "NOT_FOUND")
    for malformed in (f"{bulk}?withReceipts=1", "a%20b", "x" * 101):
        assert (await raw.send("GET", f"{RESOURCES}/bulk/{malformed}")).status == 400


async def test_tasks_answer_to_what_they_were_once_called(raw: Raw) -> None:
    bulk = (await raw.bulk_resources(resource("CREATE"))).body["taskId"]
    bundle = (await raw.bundle([resource("UPSERT", "prac-8")])).body["taskId"]
    purge = await raw.send("POST", f"{SOURCE}/purge", {"collectionType": "resources", "collectionKey": "t"})
    forms = {
        bulk: bulk.removeprefix("bk_"),
        bundle: bundle.removeprefix("bd_"),
        purge.body["taskId"]: "purge%3A" + purge.body["taskId"].removeprefix("pg_"),
    }
    for id_, old in forms.items():
        reply = await raw.task(old)
        assert (reply.status, reply.body["taskId"]) == (200, id_)
    single = (await raw.put("prac-9")).body["taskId"]
    for id_ in (
        single.removeprefix("s_"),
        single.replace("s_", "purge:"),
        bulk.replace("bk_", "purge:"),
        bulk.replace("bk_", "bd_"),
        purge.body["taskId"].removeprefix("pg_"),
    ):
        assert (await raw.task(id_)).status == 404
