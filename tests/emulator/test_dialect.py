"""The dialect of a service in Go: null for every empty list and every absent member."""

from collections.abc import Iterator
from typing import Any

import pytest

from clinia_async.emulator import Accepted, Constant, Emulator
from clinia_async.emulator.dialect import SHAPES, ListOf, MapOf, Members, go
from clinia_async.emulator.routes import ROUTE_NAMES
from tests.emulator.raw import RELATIONSHIPS, RESOURCES, SOURCE, Raw, operation, write

pytestmark = pytest.mark.off_contract


@pytest.fixture
async def emulator() -> Any:
    async with Emulator(dialect="go", modes={"later": Accepted(Constant(3600))}) as emulator:
        yield emulator


def test_every_route_has_a_shape() -> None:
    assert SHAPES.keys() == set(ROUTE_NAMES)


async def test_records(raw: Raw) -> None:
    await raw.create(write(data={"list": [], "n": 1.50}))
    record = (await raw.read("prac-1.org-9")).body
    assert record["data"] == {"list": [], "n": 1.5}
    assert record["meta"]["identifier"] is None
    await raw.put("prac-1", contained={"desk": [{"id": "d-1", "type": "desk", "data": {}}], "room": []})
    resource = (await raw.resource("prac-1")).body
    assert resource["contained"] == {
        "desk": [{"id": "d-1", "type": "desk", "data": {}, "contained": None}],
        "room": None,
    }
    await raw.put("prac-2", meta={"identifier": [{"system": "s", "value": "v", "use": "u"}]})
    (identifier,) = (await raw.resource("prac-2")).body["meta"]["identifier"]
    assert identifier == {"id": None, "system": "s", "value": "v", "use": "u", "period": None}


async def test_tasks_and_errors(raw: Raw) -> None:
    taken = await raw.create(write())
    assert taken.body["relationship"]["meta"]["identifier"] is None
    error = (await raw.create(write())).body
    assert (error["type"], error["details"]) == ("ALREADY_EXISTS", None)
    accepted = (await raw.create(write(), "later")).body
    assert accepted["relationship"] is None
    assert (await raw.task(accepted["taskId"], "")).body["receipts"] is None
    (receipt,) = (await raw.task(accepted["taskId"])).body["receipts"]
    assert [receipt[name] for name in ("completedAt", "error", "pipelineExecution")] == [None] * 3
    purge = await raw.send("POST", f"{SOURCE}/purge", {"collectionType": "resources", "collectionKey": "x"})
    assert purge.body["purgeOperation"]["deletedCount"] is None
    assert (await raw.task(purge.body["taskId"])).body["receipts"] is None
    bulk = (await raw.bulk(operation("CREATE"))).body["taskId"]
    assert (await raw.send("GET", f"{RELATIONSHIPS}/bulk/{bulk}")).body["receipts"] is None


async def test_lists_and_partitions(raw: Raw) -> None:
    assert (await raw.send("GET", "/catalog/v1/partitions")).body["data"] is None
    browse = {"collectionKeys": ["t"], "params": {}}
    assert (await raw.send("POST", f"{SOURCE}/browse", browse)).body["hits"] is None
    source = {"type": "DATA_SOURCE", "key": "ehr", "collections": ["a", {"key": "b"}], "relationships": []}
    partition = (await raw.send("PUT", "/catalog/v1/partitions/p", {"modules": {}, "source": source})).body
    assert partition["source"]["relationships"] is None
    assert partition["source"]["collections"] == ["a", {"key": "b", "traversedProperties": None}]
    assert partition["modules"] == {"search": None}
    mdm = {"type": "MDM", "sources": ["ehr"], "collections": [{"key": "a", "properties": {}, "mappings": []}]}
    await raw.send("PUT", "/catalog/v1/partitions/q", {"modules": {}, "source": mdm})
    (collection,) = (await raw.send("GET", "/catalog/v1/partitions/q")).body["source"]["collections"]
    assert collection == {
        "key": "a",
        **dict.fromkeys(
            ("properties", "mappings", "traversedProperties", "reconciliationRules", "contained")
        ),
    }


async def test_nothing_is_left_out_and_no_list_is_empty(raw: Raw, emulator: Emulator) -> None:
    """Over the answers of many routes: what the table names is there, and nothing else is."""
    await raw.put("prac-1")
    ends = {"from": {"profileKey": "p"}, "to": {"profileKey": "q"}}
    calls = [
        ("PUT", f"{SOURCE}/relationship-definitions/d", ends, "put_relationship_definition"),
        ("GET", f"{SOURCE}/relationship-definitions", None, "list_relationship_definitions"),
        ("PUT", f"{SOURCE}/profiles/p", {"type": "ROOT", "properties": {}}, "put_profile"),
        ("PUT", f"{SOURCE}/collections/c", {"type": "resources"}, "put_collection"),
        ("GET", "/catalog/v1/sources/ehr", None, "get_source"),
        ("POST", f"{RELATIONSHIPS}/t", write(), "create_relationship"),
        ("GET", f"{RESOURCES}/practitioner/prac-1", None, "get_resource"),
        ("DELETE", f"{RESOURCES}/practitioner/prac-1", None, "delete_resource"),
    ]
    for method, path, body, route in calls:
        reply = await raw.send(method, path, body)
        assert reply.status < 300, (path, reply.body)
        assert not list(_faults(reply.body, SHAPES[route], route))


def _faults(value: Any, shape: Any, where: str) -> Iterator[str]:
    if value is None:
        return
    if value == [] or (value == {} and isinstance(shape, MapOf)):
        yield f"{where} is empty"
    if isinstance(shape, Members):
        if value.keys() != shape.shapes.keys():
            yield f"{where} has {value.keys() ^ shape.shapes.keys()}"
        for name, entry in value.items():
            yield from _faults(entry, shape.shapes.get(name), f"{where}.{name}")
    elif isinstance(shape, ListOf):
        for entry in value:
            yield from _faults(entry, shape.entry, where)


async def test_without_it_nothing_is_null(raw: Raw) -> None:
    async with Emulator(dialect="documented") as emulator, Raw(emulator) as other:
        record = (await other.create(write())).body["relationship"]
        assert "identifier" not in record["meta"]
        assert (await other.create(write())).body["details"] == []


def test_what_is_not_of_the_shape_is_left_as_it_is() -> None:
    assert go("text", SHAPES["get_task"]) == "text"
    assert go({"receipts": "<array>"}, SHAPES["get_task"]) == {
        "taskId": None,
        "status": None,
        "receipts": "<array>",
    }
