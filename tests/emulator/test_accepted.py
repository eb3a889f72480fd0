"""Writes that are done later: when, in which order, and what their tasks and receipts say."""

import asyncio
from collections import Counter

import pytest

from clinia_async.emulator import Accepted, Constant, Emulator, LogNormal, Mixture, Persisted, Settings
from clinia_async.emulator.store.receipts import task_status
from tests.emulator.raw import RELATIONSHIPS, Raw, operation, write

SLOW = Accepted(Constant(2.0))
QUEUE = Settings(conflicts="queue")


async def test_an_accepted_create_exists_only_when_its_time_has_come() -> None:
    async with Emulator(default=SLOW) as emulator, Raw(emulator) as raw:
        accepted = await raw.create(write(data={"a": 1}))
        assert accepted.status == 202
        assert accepted.body.keys() == {"taskId", "status"}
        assert accepted.body["status"] == "ACCEPTED"
        await asyncio.sleep(1.9)
        assert (await raw.read("prac-1.org-9")).status == 404
        assert emulator.relationships() == 0
        await asyncio.sleep(0.2)
        assert (await raw.read("prac-1.org-9")).body["data"] == {"a": 1}


async def test_the_task_goes_from_pending_to_success() -> None:
    async with Emulator(default=SLOW) as emulator, Raw(emulator) as raw:
        task_id = (await raw.create(write())).body["taskId"]
        pending = (await raw.task(task_id)).body
        (receipt,) = pending["receipts"]
        assert (pending["status"], receipt["status"]) == ("PENDING", "PENDING")
        assert "completedAt" not in receipt
        await asyncio.sleep(2.1)
        done = (await raw.task(task_id)).body
        (after,) = done["receipts"]
        assert (done["status"], after["status"]) == ("SUCCESS", "SUCCESS")
        assert after["receivedAt"] == receipt["receivedAt"]
        assert after["completedAt"] > after["receivedAt"]
        assert "error" not in after
        read = await raw.read("prac-1.org-9")
        assert read.body["meta"]["createdAt"] == after["completedAt"]


async def test_receipts_come_only_when_asked_for(raw: Raw) -> None:
    task_id = (await raw.create(write())).body["taskId"]
    for query in ("", "?withReceipts=false"):
        assert (await raw.task(task_id, query)).body == {"taskId": task_id, "status": "SUCCESS"}
    for query in ("?withReceipts=yes", "?withReceipts=", "?withReceipts=true&withReceipts=true"):
        reply = await raw.task(task_id, query)
        assert (reply.status, reply.kind) == (400, "INVALID_ARGUMENT")


async def test_tasks_that_are_not_there(raw: Raw) -> None:
    task_id = (await raw.create(write())).body["taskId"]
    elsewhere = await raw.send("GET", f"/sources/other/v1/tasks/{task_id}")
    others = [task_id[:-1], task_id[:-1] + "-", f"bk{task_id[1:]}", "s_1", "purge:1", "s_" + "z" * 27]
    changed = [await raw.task(id_) for id_ in others]
    for reply in (elsewhere, *changed):
        assert (reply.status, reply.kind) == (404, "NOT_FOUND")
    for id_ in ("a%2Fb", "%20", "a%0A", "x" * 101):
        assert (await raw.task(id_)).status == 400


async def test_a_pair_that_exists_is_refused_at_once() -> None:
    async with Emulator(modes={"practises-at": Persisted()}) as emulator, Raw(emulator) as raw:
        await raw.create(write())
        emulator.modes["practises-at"] = SLOW
        again = await raw.create(write())
        assert (again.status, again.kind) == (409, "ALREADY_EXISTS")


async def test_a_pair_that_came_to_be_in_between_fails_in_the_receipt() -> None:
    async with Emulator(default=SLOW, settings=QUEUE) as emulator, Raw(emulator) as raw:
        first, second = [(await raw.create(write(data={"n": n}))).body["taskId"] for n in (1, 2)]
        await asyncio.sleep(2.5)
        assert (await raw.task(first)).body["status"] == "SUCCESS"
        task = (await raw.task(second)).body
        (receipt,) = task["receipts"]
        assert (task["status"], receipt["status"]) == ("FAILURE", "FAILURE")
        assert receipt["error"].pop("message")
        assert receipt["error"] == {"code": 409, "type": "ALREADY_EXISTS", "details": []}
        assert receipt["completedAt"]
        assert (await raw.read("prac-1.org-9")).body["data"] == {"n": 1}


async def test_writes_are_done_by_due_time_and_not_by_arrival() -> None:
    async with Emulator(default=Accepted(Constant(3.0)), settings=QUEUE) as emulator, Raw(emulator) as raw:
        late = (await raw.create(write(data={"by": "first"}))).body["taskId"]
        emulator.default = Accepted(Constant(1.0))
        early = (await raw.create(write(data={"by": "second"}))).body["taskId"]
        await asyncio.sleep(5)
        assert (await raw.task(early)).body["status"] == "SUCCESS"
        assert (await raw.task(late)).body["status"] == "FAILURE"
        assert next(emulator.stored()).data == {"by": "second"}


async def test_a_write_that_is_due_comes_before_one_that_arrives() -> None:
    async with Emulator(default=Accepted(Constant(1.0))) as emulator, Raw(emulator) as raw:
        await raw.create(write("a"))
        await raw.create(write("b"))
        await asyncio.sleep(2)
        assert (await raw.create(write("a"))).status == 409
        emulator.default = Persisted()
        assert (await raw.create(write("b"))).status == 409


async def test_the_mode_is_chosen_by_type_and_may_change() -> None:
    async with Emulator(default=SLOW, modes={"at-once": Persisted()}) as emulator, Raw(emulator) as raw:
        assert (await raw.create(write(), "at-once")).status == 201
        assert (await raw.create(write(), "other")).status == 202
        emulator.modes["other"] = Persisted()
        emulator.default = Accepted()
        assert (await raw.create(write("b"), "other")).status == 201
        assert (await raw.create(write("b"), "third")).status == 202


async def test_a_bulk_is_always_accepted_and_done_in_order(raw: Raw) -> None:
    accepted = await raw.bulk(
        operation("CREATE", data={"n": 1}),
        operation("CREATE", data={"n": 2}),
        operation("UPSERT", data={"n": 3}),
        operation("UPSERT", "other", data={"n": 4}),
        {"action": "DELETE", "delete": {"type": "practises-at", "id": "other.org-9"}},
        {"action": "DELETE", "delete": {"type": "practises-at", **write("absent")}},
    )
    task_id = accepted.body["taskId"]
    assert accepted.status == 202
    assert accepted.body == {"taskId": task_id, "status": "ACCEPTED", "bulkId": task_id}
    assert task_id.startswith("bk_")
    pending = (await raw.task(task_id)).body
    assert [receipt["status"] for receipt in pending["receipts"]] == ["PENDING"] * 6
    await asyncio.sleep(0.06)
    task = (await raw.task(task_id)).body
    assert task["status"] == "FAILURE"
    found = [(r["action"], r["id"], r["status"], r.get("error", {}).get("type")) for r in task["receipts"]]
    assert found == [
        ("CREATE", "prac-1.org-9", "SUCCESS", None),
        ("CREATE", "prac-1.org-9", "FAILURE", "ALREADY_EXISTS"),
        ("UPSERT", "prac-1.org-9", "SUCCESS", None),
        ("UPSERT", "other.org-9", "SUCCESS", None),
        ("DELETE", "other.org-9", "SUCCESS", None),
        ("DELETE", "absent.org-9", "FAILURE", "NOT_FOUND"),
    ]
    assert {(r["targetType"], r["type"], r["taskId"]) for r in task["receipts"]} == {
        ("RELATIONSHIP", "practises-at", task_id)
    }
    assert (await raw.read("prac-1.org-9")).body["data"] == {"n": 3}
    assert raw.emulator.relationships() == 1


async def test_a_bulk_takes_as_long_as_it_is_set_to() -> None:
    async with Emulator(bulk=Constant(10)) as emulator, Raw(emulator) as raw:
        slow = (await raw.bulk(operation("CREATE", "a"))).body["taskId"]
        emulator.bulk = Constant(0)
        fast = (await raw.bulk(operation("CREATE", "b"))).body["taskId"]
        assert (await raw.task(fast)).body["status"] == "SUCCESS"
        await asyncio.sleep(9.5)
        assert (await raw.task(slow)).body["status"] == "PENDING"
        await asyncio.sleep(1)
        assert (await raw.task(slow)).body["status"] == "SUCCESS"


async def test_a_mistake_in_an_operation_stays_with_it(raw: Raw) -> None:
    mistakes = [
        operation("CREATE", "a.b"),
        operation("CREATE", "a", meta={"updatedAt": "2020-01-01T00:00:00Z"}),
        operation("UPSERT", "a", data=[]),
        operation("CREATE", "a", colour="red"),
        {"action": "CREATE", "create": {"type": "not a key", **write("a")}},
        {"action": "DELETE", "delete": {"type": "practises-at", "id": "no-dot"}},
        {"action": "DELETE", "delete": {"type": "practises-at", "id": "a.b", "data": {}}},
    ]
    task_id = (await raw.bulk(*mistakes, operation("CREATE", "fine"))).body["taskId"]
    await asyncio.sleep(1)
    task = (await raw.task(task_id)).body
    *failed, fine = task["receipts"]
    assert task["status"] == "FAILURE"
    assert [receipt["error"]["type"] for receipt in failed] == ["INVALID_ARGUMENT"] * len(mistakes)
    assert [receipt["id"] for receipt in failed[:2]] == ["a.b.org-9", "a.org-9"]
    assert fine["status"] == "SUCCESS"
    assert [stored.id for stored in raw.emulator.stored()] == ["fine.org-9"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"operations": []},
        {"operations": {}},
        {"operations": [operation("CREATE")], "more": 1},
        {"operations": ["x"]},
        {"operations": [{"action": "MERGE", "merge": write()}]},
        {"operations": [{"action": "create", "create": write()}]},
        {"operations": [{"action": ["CREATE"], "create": write()}]},
        {"operations": [{"create": write()}]},
        {"operations": [{"action": "CREATE", "upsert": write()}]},
        {"operations": [operation("CREATE") | {"upsert": {}}]},
        {"operations": [{"action": "CREATE", "create": write()}]},
        {"operations": [{"action": "CREATE", "create": {"type": "t", "from": {"id": 1}, "to": {"id": "b"}}}]},
        {"operations": [{"action": "DELETE", "delete": {"type": "t"}}]},
    ],
)
async def test_a_bulk_without_shape_is_refused_whole(raw: Raw, body: object) -> None:
    reply = await raw.send("POST", f"{RELATIONSHIPS}/bulk", body)
    assert (reply.status, reply.kind) == (400, "INVALID_ARGUMENT")
    await asyncio.sleep(1)
    assert raw.emulator.relationships() == 0


async def test_an_upsert_replaces_but_keeps_the_creation_date(raw: Raw) -> None:
    identifier = [{"system": "s", "value": "v"}]
    old = (await raw.create(write(data={"a": 1, "b": 2}, meta={"identifier": identifier}))).body[
        "relationship"
    ]
    await raw.bulk(operation("UPSERT", data={"a": 3}))
    await asyncio.sleep(1)
    new = (await raw.read("prac-1.org-9")).body
    assert new["data"] == {"a": 3}
    assert "identifier" not in new["meta"]
    assert new["meta"]["createdAt"] == old["meta"]["createdAt"]
    assert new["meta"]["updatedAt"] > old["meta"]["updatedAt"]
    given = {"createdAt": "2020-01-01T00:00:00Z", "updatedAt": "2020-01-02T00:00:00Z"}
    await raw.bulk(operation("UPSERT", meta=given))
    await asyncio.sleep(1)
    assert (await raw.read("prac-1.org-9")).body["meta"] == {"source": "ehr", **given}


async def test_five_thousand_operations(raw: Raw) -> None:
    accepted = await raw.bulk(*(operation("CREATE", f"p-{n}", data={"n": n}) for n in range(5000)))
    await asyncio.sleep(1)
    task = (await raw.task(accepted.body["taskId"])).body
    assert Counter(receipt["status"] for receipt in task["receipts"]) == {"SUCCESS": 5000}
    assert [receipt["id"] for receipt in task["receipts"]] == [f"p-{n}.org-9" for n in range(5000)]
    assert {stored.id: stored.data for stored in raw.emulator.stored()} == {
        f"p-{n}.org-9": {"n": n} for n in range(5000)
    }


@pytest.mark.parametrize(
    ("statuses", "status"),
    [
        (["SUCCESS"], "SUCCESS"),
        (["SUCCESS", "PENDING", "FAILURE"], "PENDING"),
        (["SUCCESS", "FAILURE"], "FAILURE"),
        (["SUCCESS", "CANCELLED"], "FAILURE"),
        (["FAILURE", "CANCELLED"], "FAILURE"),
        (["CANCELLED", "CANCELLED"], "CANCELLED"),
    ],
)
def test_the_status_of_a_task_follows_from_its_receipts(statuses: list[str], status: str) -> None:
    assert task_status(statuses) == status


async def _durations(seed: int) -> list[float]:
    latency = Mixture(((0.8, Constant(0.15)), (0.2, LogNormal(3.0, 0.8))))
    async with Emulator(default=Accepted(latency), seed=seed) as emulator, Raw(emulator) as raw:
        await asyncio.sleep(3600)  # now the loop's clock is ahead, and stamps follow it
        tasks = [(await raw.create(write(f"p-{n}"))).body["taskId"] for n in range(30)]
        await asyncio.sleep(600)
        assert emulator.relationships() == 30
        durations = []
        for task in tasks:
            (receipt,) = (await raw.task(task)).body["receipts"]
            durations.append(_milliseconds(receipt["completedAt"]) - _milliseconds(receipt["receivedAt"]))
        return durations


def _milliseconds(stamp: str) -> float:
    hours, minutes, seconds = stamp[11:-1].split(":")
    return round((int(hours) * 3600 + int(minutes) * 60 + float(seconds)) * 1000) % 86_400_000


async def test_latencies_are_drawn_from_the_seed() -> None:
    first, same, other = await _durations(7), await _durations(7), await _durations(8)
    assert first == pytest.approx(same, abs=2)
    assert first != pytest.approx(other, abs=2)
    fast = sum(148 <= duration <= 152 for duration in first)
    assert 15 <= fast < 30


async def test_task_ids_are_drawn_from_the_seed() -> None:
    ids = []
    for seed in (1, 1, 2):
        async with Emulator(seed=seed) as emulator, Raw(emulator) as raw:
            ids.append([(await raw.create(write(f"p-{n}"))).body["taskId"] for n in range(5)])
    assert ids[0] == ids[1] != ids[2]
    assert len(set(ids[0])) == 5


@pytest.mark.parametrize("bad", [-1.0, float("nan"), float("inf")])
def test_latencies_that_cannot_be(bad: float) -> None:
    for build in (Constant, lambda seconds: LogNormal(seconds, 1), lambda sigma: LogNormal(1, sigma)):
        with pytest.raises(ValueError, match="finite"):
            build(bad)
    with pytest.raises(ValueError, match="weights"):
        Mixture(((bad, Constant(1)),))
    with pytest.raises(ValueError, match="weights"):
        Mixture(())
