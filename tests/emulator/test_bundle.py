"""Bundles: resources before relationships, all or nothing, and tokens for ids to come."""

import asyncio
from typing import Any

import pytest

from clinia_async.emulator import Accepted, Constant, Emulator, Settings
from tests.emulator.raw import SOURCE, Raw, error, operation, resource

BOTH = [resource("UPSERT"), resource("CREATE", "org-9", type="organization")]


async def test_a_persisted_bundle_lists_what_it_did(raw: Raw, emulator: Emulator) -> None:
    await raw.put("old-1")
    reply = await raw.bundle([*BOTH, resource("DELETE", "old-1")], [operation("CREATE", data={"n": 1})])
    assert (reply.status, reply.body["status"]) == (201, "PERSISTED")
    assert reply.body["taskId"].startswith("bd_")
    assert reply.body.keys() == {"taskId", "status", "operations"}
    found = [(one["action"], one["targetType"], one["type"], one["id"]) for one in reply.body["operations"]]
    assert found == [
        ("UPSERT", "RESOURCE", "practitioner", "prac-1"),
        ("CREATE", "RESOURCE", "organization", "org-9"),
        ("DELETE", "RESOURCE", "practitioner", "old-1"),
        ("CREATE", "RELATIONSHIP", "practises-at", "prac-1.org-9"),
    ]
    assert reply.body["operations"][0]["resource"] == (await raw.resource("prac-1")).body
    assert reply.body["operations"][3]["relationship"] == (await raw.read("prac-1.org-9")).body
    assert (emulator.resources(), emulator.relationships()) == (2, 1)
    task = (await raw.task(reply.body["taskId"])).body
    assert task["status"] == "SUCCESS"
    assert [receipt["status"] for receipt in task["receipts"]] == ["SUCCESS"] * 4
    assert [receipt["targetType"] for receipt in task["receipts"]] == ["RESOURCE"] * 3 + ["RELATIONSHIP"]


async def test_resources_come_first(raw: Raw, emulator: Emulator) -> None:
    await raw.create({"from": {"id": "prac-1", "type": "practitioner"}, "to": {"id": "x", "type": "y"}})
    await raw.put("prac-1")
    await raw.bundle([resource("DELETE")], [operation("CREATE")])
    assert [one.id for one in emulator.stored()] == ["prac-1.org-9"]


async def test_the_status_and_the_field_of_a_persisted_bundle_are_settings() -> None:
    async with Emulator() as emulator, Raw(emulator) as raw:
        assert [(await raw.bundle([resource("UPSERT")])).status for _ in range(2)] == [201, 200]
    settings = Settings(bundle_status=200, bundle_field="results")
    async with Emulator(settings=settings) as emulator, Raw(emulator) as raw:
        reply = await raw.bundle([resource("UPSERT")])
        assert (reply.status, len(reply.body["results"])) == (200, 1)


FAILING = [
    ([*BOTH, resource("DELETE", "absent")], [operation("CREATE")], (404, "NOT_FOUND")),
    ([*BOTH, resource("CREATE", "there")], [operation("CREATE")], (409, "ALREADY_EXISTS")),
    (BOTH, [operation("CREATE"), operation("DELETE", "absent")], (404, "NOT_FOUND")),
    (BOTH, [operation("CREATE"), operation("UPSERT", "prac-2", data=[])], (400, "INVALID_ARGUMENT")),
]


@pytest.mark.parametrize(("resources", "relationships", "refusal"), FAILING)
async def test_one_failure_takes_everything_back(
    raw: Raw, emulator: Emulator, resources: Any, relationships: Any, refusal: tuple[int, str]
) -> None:
    await raw.put("there", {"n": 1})
    reply = await raw.bundle(resources, relationships)
    assert (reply.status, reply.kind) == refusal
    assert [one.id for one in emulator.stored_resources()] == ["there"]
    assert emulator.relationships() == 0


@pytest.mark.parametrize("rolled_back", ["CANCELLED", "FAILURE"])
@pytest.mark.parametrize(("resources", "relationships", "refusal"), FAILING)
async def test_an_accepted_bundle_is_taken_back_as_a_whole(
    resources: Any, relationships: Any, refusal: tuple[int, str], rolled_back: Any
) -> None:
    settings = Settings(rolled_back=rolled_back)
    async with Emulator(bundle=Accepted(Constant(1)), settings=settings) as emulator, Raw(emulator) as raw:
        await raw.put("there", {"n": 1})
        accepted = await raw.bundle(resources, relationships)
        assert accepted.status == 202
        assert accepted.body.keys() == {"taskId", "status"}
        await asyncio.sleep(1.1)
        task = (await raw.task(accepted.body["taskId"])).body
        assert task["status"] == "FAILURE"
        *others, failed = sorted(task["receipts"], key=lambda receipt: "error" in receipt)
        assert (failed["status"], error(failed)) == ("FAILURE", refusal[1])
        assert {receipt["status"] for receipt in others} == {rolled_back}
        assert len(task["receipts"]) == len(resources) + len(relationships)
        assert [one.id for one in emulator.stored_resources()] == ["there"]
        assert emulator.relationships() == 0


async def test_an_accepted_bundle_and_its_neighbours_are_done_together(raw: Raw, emulator: Emulator) -> None:
    """What is taken back is the bundle, not what was done in the same moment."""
    emulator.bundle = Accepted(Constant(1))
    emulator.default = Accepted(Constant(1))
    await raw.put("before")
    failing = await raw.bundle([resource("UPSERT", "within"), resource("DELETE", "absent")])
    fine = await raw.bundle([resource("UPSERT", "after")])
    await asyncio.sleep(2)
    assert [one.id for one in emulator.stored_resources()] == ["after", "before"]
    assert (await raw.task(failing.body["taskId"])).body["status"] == "FAILURE"
    assert (await raw.task(fine.body["taskId"])).body["status"] == "SUCCESS"


async def test_tokens_stand_for_ids_to_come(raw: Raw, emulator: Emulator) -> None:
    properties = {"boss": {"type": "reference"}, "note": {"type": "symbol"}}
    await raw.send("PUT", f"{SOURCE}/profiles/practitioner", {"type": "ROOT", "properties": properties})
    reply = await raw.bundle(
        [
            resource("CREATE", "@rootId", {"boss": {"id": "@rootId2"}, "note": "@rootId2"}),
            resource("CREATE", "@rootId2", {"boss": "@rootId12"}),
            resource("CREATE", "@rootId12", {"boss": "@rootId"}),
            resource("UPSERT", "prac-1", {"boss": "@rootId"}),
            resource("CREATE", None),
        ],
        [
            operation("CREATE", "@rootId", "@rootId2"),
            operation("UPSERT", "prac-1", "@rootId12"),
        ],
    )
    assert reply.status == 201
    ids = [one["id"] for one in reply.body["operations"]]
    first, second, third, fourth, fifth, *links = ids
    assert links == [f"{first}.{second}", f"prac-1.{third}"]
    assert fourth == "prac-1"
    assert len({*ids, fifth}) == 7
    assert {one.id: one.data for one in emulator.stored_resources()} == {
        first: {"boss": {"id": second}, "note": "@rootId2"},
        second: {"boss": third},
        third: {"boss": first},
        fourth: {"boss": first},
        fifth: {},
    }
    assert (await raw.read(links[0])).body["to"] == {"id": second, "type": "organization"}
    assert {one.id for one in emulator.stored()} == set(links)


@pytest.mark.parametrize(
    ("resources", "relationships"),
    [
        ([resource("CREATE", "@rootId")], [operation("CREATE", "@rootId1")]),
        ([resource("UPSERT", "@rootId")], []),
        ([resource("DELETE", "@rootId")], []),
        ([resource("CREATE", "@rootId")] * 2, []),
        ([resource("CREATE", "@rootIdx")], []),
        ([resource("UPSERT"), resource("DELETE")], []),
        ([], [operation("UPSERT"), operation("DELETE")]),
        (
            [],
            [
                operation("UPSERT"),
                {"action": "DELETE", "delete": {"type": "practises-at", "id": "prac-1.org-9"}},
            ],
        ),
        ([], []),
        ({}, []),
        ([], {}),
        ([operation("CREATE")], []),
    ],
)
@pytest.mark.parametrize("accepted", [False, True])
async def test_bundles_that_are_wrong(
    raw: Raw, emulator: Emulator, resources: Any, relationships: Any, accepted: bool
) -> None:
    if accepted:
        emulator.bundle = Accepted(Constant(0))
    body = {"resourceOperations": resources, "relationshipOperations": relationships}
    reply = await raw.send("POST", f"{SOURCE}/bundle", body)
    if reply.status == 202:
        assert (await raw.task(reply.body["taskId"])).body["status"] == "FAILURE"
    else:
        assert (reply.status, reply.kind) == (400, "INVALID_ARGUMENT")
    assert emulator.resources() == emulator.relationships() == 0


@pytest.mark.parametrize("field", ["resourceOperations", "relationshipOperations"])
async def test_both_lists_are_needed(raw: Raw, field: str) -> None:
    one = {"resourceOperations": resource("UPSERT"), "relationshipOperations": operation("UPSERT")}[field]
    assert (await raw.send("POST", f"{SOURCE}/bundle", {field: [one]})).status == 400


async def test_the_size_is_limited(raw: Raw) -> None:
    for size, status in ((500_000, 400), (500_001, 413)):
        reply = await raw.send("POST", f"{SOURCE}/bundle", text="[" + " " * (size - 2) + "]")
        assert reply.status == status
    async with Emulator(settings=Settings(bundle_limit=100)) as emulator, Raw(emulator) as small:
        assert (await small.bundle([resource("UPSERT", data={"x": "y" * 100})])).status == 413
