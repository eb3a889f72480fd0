"""A strict registry: what is used must be there first."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from clinia_async.emulator import Accepted, Constant, Emulator, Settings
from tests.emulator.raw import RELATIONSHIPS, RESOURCES, SOURCE, Raw, Reply, error, operation, resource, write

SLOW = Accepted(Constant(1))
PROFILE = {"type": "ROOT", "properties": {}}


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(settings=Settings(strict=True)) as emulator:
        yield emulator


@pytest.fixture
async def strict(raw: Raw) -> Raw:
    """With a source, two profiles and a definition."""
    await prepare(raw)
    return raw


async def prepare(raw: Raw, from_: str = "0:*", to: str = "0:*") -> None:
    await raw.send("PUT", "/catalog/v1/sources/ehr", {"type": "registry"})
    for key in ("practitioner", "organization"):
        await raw.send("PUT", f"{SOURCE}/profiles/{key}", PROFILE)
    definition = {
        "from": {"profileKey": "practitioner", "includeCardinality": from_},
        "to": {"profileKey": "organization", "cardinality": to},
    }
    await raw.send("PUT", f"{SOURCE}/relationship-definitions/practises-at", definition)


async def fill(raw: Raw) -> None:
    for number in range(3):
        assert (await raw.put(f"prac-{number}")).status == 201
        assert (await raw.put(f"org-{number}", type_="organization")).status == 201


async def link(raw: Raw, from_: int, to: int) -> Reply:
    return await raw.create(write(f"prac-{from_}", f"org-{to}"))


SOURCE_REQUESTS: list[tuple[str, str, Any]] = [
    ("POST", "relationships/t", write()),
    ("POST", "relationships/bulk", {"operations": [operation("CREATE")]}),
    ("GET", "relationships/bulk/bk_1", None),
    ("GET", "relationships/t/a.b", None),
    ("PATCH", "relationships/t/a.b", [{"path": "/a", "value": 1}]),
    ("DELETE", "relationships/t/a.b", None),
    ("POST", "resources/t", {"data": {}}),
    ("POST", "resources/bulk", {"operations": [resource("CREATE")]}),
    ("GET", "resources/bulk/bk_1", None),
    ("PUT", "resources/t/r-1", {"data": {}}),
    ("GET", "resources/t/r-1", None),
    ("DELETE", "resources/t/r-1", None),
    ("PUT", "resources/t/r-1/a/b", {"type": "a", "data": {}}),
    ("POST", "resources/t/r-1/a", {"type": "a", "data": {}}),
    ("DELETE", "resources/t/r-1/a/b", None),
    ("POST", "bundle", {"resourceOperations": [resource("CREATE")], "relationshipOperations": []}),
    ("POST", "purge", {"collectionType": "resources", "collectionKey": "t"}),
    ("GET", "purge/pg_1", None),
    ("GET", "tasks/s_1", None),
    ("POST", "browse", {"collectionKeys": ["t"], "params": {}}),
    ("PUT", "relationship-definitions/t", {"from": {"profileKey": "p"}, "to": {"profileKey": "p"}}),
    ("GET", "relationship-definitions/t", None),
    ("GET", "relationship-definitions", None),
    ("PUT", "profiles/t", PROFILE),
    ("PUT", "collections/t", {"type": "resources"}),
    ("GET", "collections/t", None),
]


@pytest.mark.parametrize(("method", "path", "body"), SOURCE_REQUESTS)
async def test_an_unknown_source(raw: Raw, method: str, path: str, body: Any) -> None:
    reply = await raw.send(method, f"{SOURCE}/{path}", body)
    assert (reply.status, reply.kind, reply.body["message"]) == (404, "NOT_FOUND", "no such source")
    await raw.send("PUT", "/catalog/v1/sources/ehr", {"type": "registry"})
    assert (await raw.send(method, f"{SOURCE}/{path}", body)).body.get("message") != "no such source"


@pytest.mark.parametrize(
    "fed",
    [
        {"type": "DATA_SOURCE", "key": "lab", "collections": []},
        {"type": "MDM", "sources": ["ehr", "lab"], "collections": []},
    ],
)
async def test_partitions_are_fed_by_known_sources(strict: Raw, emulator: Emulator, fed: Any) -> None:
    path, body = "/catalog/v1/partitions/p", {"modules": {}, "source": fed}
    assert (await strict.send("PUT", path, body)).status == 404
    assert emulator.partitions() == 0
    await strict.send("PUT", "/catalog/v1/sources/lab", {"type": "registry"})
    assert (await strict.send("PUT", path, body)).status == 201


async def test_a_source_does_not_spring_into_being(strict: Raw) -> None:
    await strict.send("DELETE", "/catalog/v1/sources/ehr")
    assert (await strict.send("GET", "/catalog/v1/sources/ehr")).status == 404
    assert (await strict.put("prac-1")).status == 404


async def test_what_sprang_into_being_must_still_be_put(tmp_path: Path) -> None:
    async with Emulator(data=tmp_path / "r.db") as lenient, Raw(lenient) as raw:
        await raw.put("prac-1")
    async with Emulator(data=tmp_path / "r.db", settings=Settings(strict=True)) as strict, Raw(strict) as raw:
        assert (await raw.resource("prac-1")).status == 404
        assert (await raw.send("GET", "/catalog/v1/sources")).body["data"] == []
        assert (await raw.send("PUT", "/catalog/v1/sources/ehr", {"type": "registry"})).status == 201
        assert (await raw.resource("prac-1")).status == 200


@pytest.mark.parametrize("accepted", [False, True])
async def test_unknown_types(strict: Raw, emulator: Emulator, accepted: bool) -> None:
    await fill(strict)
    if accepted:
        emulator.default = SLOW
    for reply in (
        await strict.put("r-1", type_="unknown"),
        await strict.put("r-1", type_="practises-at"),
        await strict.create(write("prac-1", "org-1"), "unknown"),
        await strict.create(write("prac-1", "org-1"), "practitioner"),
    ):
        assert (reply.status, reply.kind) == (404, "NOT_FOUND")
        assert "has this type" in reply.body["message"]


async def test_a_collection_makes_a_type_known(strict: Raw) -> None:
    for key, type_ in (("r", "resources"), ("l", "relationships"), ("o", "objects")):
        await strict.send("PUT", f"{SOURCE}/collections/{key}", {"type": type_})
    await fill(strict)
    for key, status in (("r", 201), ("l", 404), ("o", 404)):
        assert (await strict.put("r-1", type_=key)).status == status
    for key, status in (("r", 404), ("l", 201), ("o", 404)):
        assert (await strict.create(write("prac-1", "org-1"), key)).status == status


async def test_the_ends_of_a_relationship_must_be_there(strict: Raw, emulator: Emulator) -> None:
    await fill(strict)
    for ends in (("prac-9", "org-1"), ("prac-1", "org-9"), ("org-1", "prac-1")):
        reply = await strict.create(write(*ends))
        assert (reply.status, reply.kind) == (404, "NOT_FOUND")
    assert (await strict.create(write("prac-1", "org-1"))).status == 201
    wrong = {"from": {"id": "org-1", "type": "organization"}, "to": {"id": "org-1", "type": "organization"}}
    assert (await strict.create(wrong)).status == 400
    assert emulator.relationships() == 1


async def test_receipts_say_what_the_rules_refuse(strict: Raw) -> None:
    await fill(strict)
    accepted = await strict.bulk(
        operation("CREATE", "prac-9", "org-1"),
        operation("UPSERT", "prac-1", "org-1"),
        operation("DELETE", "prac-1", "org-1"),
        {"action": "CREATE", "create": {"type": "unknown", **write("prac-1", "org-1")}},
    )
    await asyncio.sleep(1)
    receipts = (await strict.task(accepted.body["taskId"])).body["receipts"]
    assert [error(receipt) for receipt in receipts] == ["NOT_FOUND", None, None, "NOT_FOUND"]


async def test_ends_may_be_made_in_the_same_bundle(strict: Raw) -> None:
    resources = [resource("CREATE", "@rootId"), resource("CREATE", "org-9", type="organization")]
    assert (await strict.bundle(resources, [operation("CREATE", "@rootId")])).status == 201


CARDINALITIES = [
    ("0:*", "0:*", [201, 201, 201, 201]),
    ("1:*", "1:*", [201, 201, 201, 201]),
    ("0:1", "0:*", [201, 400, 201, 201]),
    ("1:1", "0:*", [201, 400, 201, 201]),
    ("0:*", "0:1", [201, 201, 400, 201]),
    ("0:1", "1:1", [201, 400, 400, 201]),
]


@pytest.mark.parametrize(("from_", "to", "statuses"), CARDINALITIES)
async def test_at_most_one(raw: Raw, from_: str, to: str, statuses: list[int]) -> None:
    await prepare(raw, from_, to)
    await fill(raw)
    replies = [await link(raw, *pair) for pair in ((0, 0), (0, 1), (1, 0), (2, 2))]
    assert [reply.status for reply in replies] == statuses
    assert {reply.kind for reply in replies if reply.status == 400} <= {"FAILED_PRECONDITION"}
    bulk = await raw.bulk(operation("UPSERT", "prac-0", "org-0"))
    await asyncio.sleep(1)
    assert (await raw.task(bulk.body["taskId"])).body["status"] == "SUCCESS"


@pytest.mark.parametrize(
    ("from_", "to", "last"), [("1:*", "0:*", 400), ("0:*", "1:1", 400), ("0:1", "0:*", 200)]
)
async def test_at_least_one(raw: Raw, from_: str, to: str, last: int) -> None:
    await prepare(raw, from_, to)
    await fill(raw)
    await link(raw, 0, 0)
    path = f"{RELATIONSHIPS}/practises-at/prac-0.org-0"
    reply = await raw.send("DELETE", path)
    assert reply.status == last
    if last == 400:
        assert reply.kind == "FAILED_PRECONDITION"
        assert raw.emulator.relationships() == 1
        await raw.send("DELETE", f"{RESOURCES}/practitioner/prac-0")
        assert raw.emulator.relationships() == 0


async def test_another_type_does_not_count(raw: Raw) -> None:
    await prepare(raw, "0:1", "0:1")
    definition = {"from": {"profileKey": "practitioner"}, "to": {"profileKey": "organization"}}
    await raw.send("PUT", f"{SOURCE}/relationship-definitions/other", definition)
    await fill(raw)
    assert (await raw.create(write("prac-0", "org-1"), "other")).status == 201
    assert (await link(raw, 0, 0)).status == 201


async def test_how_the_rules_refuse_is_a_setting() -> None:
    settings = Settings(
        strict=True,
        unknown_source=("PERMISSION_DENIED", 403),
        unknown_type=("INVALID_ARGUMENT", 422),
        missing_end=("FAILED_PRECONDITION", 412),
        cardinality=("OUT_OF_RANGE", 416),
    )
    async with Emulator(settings=settings) as emulator, Raw(emulator) as raw:
        assert (await raw.put("prac-1")).kind == "PERMISSION_DENIED"
        await prepare(raw, "0:1")
        assert ((reply := await raw.put("r-1", type_="x")).status, reply.kind) == (422, "INVALID_ARGUMENT")
        assert ((reply := await link(raw, 0, 0)).status, reply.kind) == (412, "FAILED_PRECONDITION")
        await fill(raw)
        await link(raw, 0, 0)
        assert ((reply := await link(raw, 0, 1)).status, reply.kind) == (416, "OUT_OF_RANGE")


async def test_by_default_nothing_of_this_is_asked() -> None:
    async with Emulator() as emulator, Raw(emulator) as raw:
        await prepare(raw, "0:1", "1:1")
        assert [(await link(raw, 0, to)).status for to in range(2)] == [201, 201]
        assert (await raw.create(write(), "unknown")).status == 201
        assert (await raw.send("DELETE", f"{RELATIONSHIPS}/practises-at/prac-0.org-0")).status == 200
