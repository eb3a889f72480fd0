"""A caller may change what it gave to a call as soon as the call is made: the call is what it was then.

A dict that is filled again for the next call is usual, and calls are sent later, sent again, and compared
with what is found stored.
"""

import asyncio
import gc
import inspect
import json
import re
from collections import UserDict
from collections.abc import Callable, Mapping
from copy import deepcopy
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import clinia_async as clinia
from clinia_async import Contained, CreateRelationship, RawJson, Ref, calls
from clinia_async.calls.raw_request import RawRequest
from clinia_async.emulator import Accepted, Constant, Emulator, LostReply, Unavailable
from clinia_async.serialization.own_copy import own_copy
from tests.documented import CALLS
from tests.factories import session_at
from tests.hostile import Hostile, answer

TIMES = {"createdAt": "2020-01-01T00:00:00Z", "identifier": [{"system": "mrn", "value": "1"}]}


def content() -> dict[str, Any]:
    return {"a": [{"b": 1}, ({"c": 2}, [3])], "d": {"e": {}}, "f": UserDict({"g": [1]})}


def _contained() -> dict[str, Any]:
    return {"rooms": [Contained("room", content(), contained={"beds": [Contained("bed", content())]})]}


RICH: dict[str, Any] = {
    "relationship": CreateRelationship("ehr", "t", Ref("a", "p"), Ref("b", "q"), content()),
    "relationship with times": CreateRelationship("ehr", "t", Ref("a", "p"), Ref("b", "q"), content(), TIMES),
    "update": calls.UpdateRelationship("ehr", "t", "a.b", [clinia.Patch("add", "/x", content())]),
    "resource": calls.CreateResource("ehr", "p", "aa", data=content(), contained=_contained()),
    "upsert": calls.UpsertResource("ehr", "p", "aa", data=content(), contained=_contained()),
    "contained": calls.CreateContained("ehr", "p", "aa", ["rooms"], Contained("room", content())),
    "contained upsert": calls.UpsertContained("ehr", "p", "aa", ["r", "x"], Contained("room", content())),
    "profile": calls.PutProfile("ehr", "p", clinia.Profile({"name": content()})),
    "bulk": calls.Bulk("ehr", [CreateRelationship("ehr", "t", Ref("a", "p"), Ref("b", "q"), content())]),
    "bundle": calls.Bundle("ehr", [calls.CreateResource("ehr", "p", "aa", data=content())]),
    "request": RawRequest("POST", "/a", [content()], {"a": 1}),
    "partition": calls.CreatePartition(
        "p", clinia.Modules(), CALLS["put_partition"].source, unknown_fields=content()
    ),
}
ALL = {**CALLS, **RICH}


_SHARED = type | ModuleType | FunctionType | BuiltinFunctionType | Enum
"""What everybody has in common."""


def changeable(root: object) -> dict[int, object]:
    """Return every dict and list that can be reached from a value, found by the garbage collector's means."""
    found: dict[int, object] = {}
    left, seen = [root], set[int]()
    while left:
        value = left.pop()
        if id(value) in seen or isinstance(value, _SHARED):
            continue
        seen.add(id(value))
        if isinstance(value, dict | list | set | bytearray):
            found[id(value)] = value
        left.extend(gc.get_referents(value))
    return found


@pytest.mark.parametrize("name", ALL)
def test_a_copy_is_equal_and_shares_nothing_that_can_be_changed(name: str) -> None:
    call = ALL[name]
    copy = own_copy(call)
    assert copy == call
    assert copy.request() == call.request()
    assert not changeable(copy).keys() & changeable(call).keys()
    assert (copy is call) == (not changeable(call))


@pytest.mark.parametrize("name", RICH)
def test_every_rich_call_has_something_to_change(name: str) -> None:
    """Else the test above would say nothing."""
    assert changeable(RICH[name])


LEAVES = st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False)
LEAVES |= st.sampled_from(
    [Decimal("0.1"), date(2020, 1, 1), datetime(2020, 1, 1, tzinfo=UTC), RawJson(b"{}")]
)
JSON = st.recursive(
    LEAVES,
    lambda each: st.lists(each) | st.lists(each).map(tuple) | st.dictionaries(st.text(), each),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), JSON))
def test_any_json_is_copied_whole(data: dict[str, object]) -> None:
    write = CreateRelationship("ehr", "t", Ref("a", "p"), Ref("b", "q"), data)
    copy = own_copy(write)
    assert copy.data == data == deepcopy(data)
    assert not changeable(copy).keys() & changeable(write).keys()


def change(value: object) -> None:
    """Change every dict and list that can be reached from what a caller holds."""
    for each in changeable(value).values():
        if isinstance(each, dict):
            each.clear()
            each["changed"] = True
        elif isinstance(each, list):
            each[:] = ["changed"]


def _end(key: str) -> dict[str, Any]:
    return {"id": key, "type": "p"}


DEFINED: Mapping[str, Callable[[], dict[str, Any]]] = {
    "create_relationship": lambda: {
        "source": "ehr",
        "type": "t",
        "from_": _end("a"),
        "to": _end("b"),
        "data": content(),
        "meta": deepcopy(TIMES),
    },
    "create_resource": lambda: {"source": "ehr", "type": "p", "id": "x1", "data": content()},
    "upsert_resource": lambda: {
        "source": "ehr",
        "type": "p",
        "id": "x1",
        "data": content(),
        "contained": _contained(),
    },
    "ensure_resource": lambda: {"source": "ehr", "type": "p", "id": "x1", "data": content()},
    "ensure_relationship": lambda: {
        "source": "ehr",
        "type": "t",
        "body": {"from": _end("a"), "to": _end("b"), "data": content()},
    },
    "put_profile": lambda: {
        "source": "ehr",
        "key": "p",
        "profile": {"type": "ROOT", "properties": {"name": {"type": "symbol", "rules": content()}}},
    },
    "put_collection": lambda: {
        "source": "ehr",
        "key": "p",
        "collection": {"type": "RESOURCES", "profile": {"properties": {"n": {"type": "symbol"}}}},
    },
    "put_relationship_definition": lambda: {
        "source": "ehr",
        "key": "t",
        "definition": {
            "from": {"profileKey": "p", "includeKey": "x"},
            "to": {"profileKey": "p", "includeKey": "y"},
            "properties": {"since": {"type": "date"}},
        },
    },
    "create_partition": lambda: {
        "key": "care",
        "definition": {
            "modules": {"search": "STANDARD"},
            "source": {"type": "DATA_SOURCE", "key": "ehr", "collections": [{"key": "p"}]},
        },
    },
    "bulk": lambda: {
        "source": "ehr",
        "writes": [calls.CreateResource("ehr", "p", "x1", data=content())],
    },
    "bundle": lambda: {
        "source": "ehr",
        "writes": [CreateRelationship("ehr", "t", Ref("a", "p"), Ref("b", "p"), content())],
    },
    "submit": lambda: {
        "write": CreateRelationship("ehr", "t", Ref("a", "p"), Ref("b", "p"), content()),
    },
    "send": lambda: {"call": calls.UpsertResource("ehr", "p", "x1", data=content())},
    "request": lambda: {
        "method": "PUT",
        "path": "/sources/ehr/v1/resources/p/x1",
        "json": {"data": content()},
    },
    "ensure_partition": lambda: {"key": "care", "definition": DEFINED["create_partition"]()["definition"]},
    "update_relationship": lambda: {
        "source": "ehr",
        "type": "t",
        "id": "a.b",
        "patches": [clinia.Patch("add", "/x", content())],
    },
    "create_contained": lambda: {**PLACE, "contained": {"type": "room", "data": content()}},
    "upsert_contained": lambda: {
        **PLACE,
        "place": ["rooms", "one"],
        "contained": {"type": "room", "data": content()},
    },
}
"""What each method that takes dicts or lists is given."""
PLACE: Mapping[str, Any] = {"source": "ehr", "type": "p", "id": "x1", "place": ["rooms"]}
ROUTES = {
    "ensure_resource": "create_resource",
    "ensure_relationship": "create_relationship",
    "create_partition": "put_partition",
    "ensure_partition": "put_partition",
    "upsert_contained": "put_contained",
    "bulk": "bulk_resources",
    "submit": "create_relationship",
    "send": "put_resource",
    "request": "put_resource",
    "upsert_resource": "put_resource",
}
"""The emulator's names of what those call that are called otherwise."""


async def _sent(name: str, changed: str, *, lost: bool) -> list[object]:
    """Make one call and return what came at the service, and the kind of error that came of it.

    Its arguments are changed "after the call", or "in flight": once its first request has come.
    """
    arguments, fault = DEFINED[name](), LostReply if lost else Unavailable
    async with Emulator(recording=True, bulk=Constant(0.0)) as emulator, session_at(emulator) as session:
        await session.create_source("ehr").result()
        emulator.received.clear()
        emulator.faults.add(fault(route=ROUTES.get(name, name), times=1))
        call = getattr(session, name)(**arguments)
        if changed == "after the call":
            change(arguments)
        running = asyncio.ensure_future(call)
        while not emulator.received:  # noqa: ASYNC110  the emulator has no event for it
            await asyncio.sleep(0)
        if changed == "in flight":
            change(arguments)
        error = None
        try:
            found = await running
            if hasattr(found, "result"):
                await found.result()
        except clinia.CliniaError as failure:
            error = type(failure)
        return [*((each.method, each.body) for each in emulator.received), error]


TRIED_APART = {"browse", "resume"}
KEEP_NOTHING = {"as_completed", "delete_contained", "wait", "with_options"}
"""What these are given is handles, and texts that are checked and kept as tuples or copies."""


def test_every_method_that_takes_dicts_or_lists_is_tried() -> None:
    taking = {
        name
        for name, method in inspect.getmembers(clinia.Session, inspect.isfunction)
        if not name.startswith("_") and any(map(_may_change, inspect.signature(method).parameters.values()))
    }
    assert taking == DEFINED.keys() | TRIED_APART | KEEP_NOTHING


def _may_change(parameter: inspect.Parameter) -> bool:
    return _CHANGEABLE.search(str(parameter.annotation)) is not None


_CHANGEABLE = re.compile(r"Json|Mapping|Sequence|Iterable|Write\[|Call\[")


@pytest.mark.parametrize("lost", [False, True], ids=["refused once", "answer lost"])
@pytest.mark.parametrize("changed", ["after the call", "in flight"])
@pytest.mark.parametrize("name", DEFINED)
async def test_what_is_sent_is_what_was_given(name: str, changed: str, lost: bool) -> None:
    assert await _sent(name, changed, lost=lost) == await _sent(name, "never", lost=lost)


async def test_all_pages_are_asked_for_with_the_same_filter() -> None:
    pages = [
        answer({"hits": [{"resource": {"id": f"x{number}", "type": "p"}}], "meta": {"cursor": f"c{number}"}})
        for number in range(3)
    ]
    async with Hostile([*pages, answer({"hits": [], "meta": {}})]) as server, session_at(server) as session:
        chosen = {"a": {"b": [1]}}
        hits = session.browse("ehr", ["p"], per_page=1, filter=chosen)
        change(chosen)
        async for _ in hits:
            change(chosen)
        asked = [json.loads(each.body) for each in server.requests]
    assert [each["params"]["filter"] for each in asked] == [{"a": {"b": [1]}}] * 4


async def test_a_write_that_is_resumed_has_the_content_that_was_given() -> None:
    waiting = Accepted(Constant(1.0))
    async with Emulator(default=waiting) as emulator, session_at(emulator) as session:
        data = content()
        write = CreateRelationship("ehr", "t", Ref("a", "p"), Ref("b", "p"), data)
        made = await session.submit(write)
        assert made.id is not None
        task = session.resume(write, made.id, read_back=False)
        change(data)
        assert (await task).data == {"a": [{"b": 1}, [{"c": 2}, [3]]], "d": {"e": {}}, "f": {"g": [1]}}
