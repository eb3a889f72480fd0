"""What is scripted changes something: a step that nothing would show makes a test that proves nothing."""

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

import aiohttp
import pytest

import clinia_async.emulator as public
from clinia_async.emulator import (
    Accepted,
    Constant,
    Emulator,
    Failure,
    Fault,
    LostReply,
    Mode,
    Persisted,
    Plan,
    Script,
    StaleRead,
)
from clinia_async.emulator.routes import ROUTE_NAMES, ROUTES
from clinia_async.testing import EmulatorServer
from tests.emulator.raw import SOURCE, Raw, operation, resource, write

ENTRY = {"type": "desk", "data": {"n": 1}}
DEFINITION = {"from": {"profileKey": "practitioner"}, "to": {"profileKey": "organization"}}
TASK = "?withReceipts=true"
ABSENT = frozenset(
    {
        *("get_relationship_definition", "get_collection", "get_partition", "delete_partition"),
        "delete_contained",
    }
)
"""Routes whose record is not there."""
BODIES: dict[str, Any] = {
    "bulk_relationships": {"operations": [operation("CREATE", "prac-2"), operation("CREATE", "prac-3")]},
    "create_relationship": write("prac-2"),
    "update_relationship": [{"op": "add", "path": "/n", "value": 2}],
    "bulk_resources": {"operations": [resource("UPSERT", "prac-2"), resource("UPSERT", "prac-3")]},
    "create_resource": {"id": "prac-2", "data": {}},
    "put_resource": {"data": {"n": 2}},
    "create_contained": ENTRY,
    "put_contained": ENTRY,
    "bundle": {
        "resourceOperations": [],
        "relationshipOperations": [operation("CREATE", "prac-2"), operation("CREATE", "prac-3")],
    },
    "purge": {"collectionType": "resources", "collectionKey": "practitioner"},
    "browse": {"collectionKeys": ["practitioner"], "params": {}},
    "put_relationship_definition": DEFINITION,
    "put_profile": {"type": "ROOT", "properties": {}},
    "put_collection": {"type": "resources", "profile": {"properties": {}}},
    "put_source": {"type": "registry"},
    "put_partition": {
        "modules": {"search": "STANDARD"},
        "source": {"type": "DATA_SOURCE", "key": "ehr", "collections": [{"key": "practitioner"}]},
    },
}
STEPS: dict[str, Callable[[Script], object]] = {
    "persist": Script.persist,
    "accept": lambda script: script.accept(polls=2),
    "fail": Script.fail,
    "fail the second": lambda script: script.fail(operation=2),
    "refuse": Script.refuse,
    "hold": Script.hold_for_review,
    "approve": Script.approve,
    "reject": Script.reject,
    "lose": Script.lose_reply,
    "drop": Script.drop,
    "truncate": Script.truncate,
    "throttle": Script.throttle,
    "unavailable": Script.unavailable,
    "block": Script.block,
    "late": Script.execute_late,
    "twice": lambda script: script.execute_twice(lost=True),
    "stale": lambda script: script.read_stale(3600),
    "receipts": lambda script: script.alter_receipts("missing"),
}


class Seen(NamedTuple):
    """What a client and a test see of a request."""

    answer: object
    task: object
    later: object
    stored: tuple[int, int]


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_times(each) for name, each in value.items() if not name.endswith("At")}
    return [_without_times(each) for each in value] if isinstance(value, list) else value


async def _sent(raw: Raw, method: str, path: str, body: Any = None) -> Any:
    try:
        reply = await raw.send(method, path, body)
    except (aiohttp.ClientError, ValueError) as error:
        return type(error).__name__
    return _without_times([reply.status, reply.body])


async def _set_up(raw: Raw) -> dict[str, str]:
    """Fill an emulator; return the ids of tasks by the names of the routes that ask for them."""
    for id_ in ("prac-1", "org-9"):
        await raw.put(id_, {"n": 1})
    await raw.create(write())
    relationships = await raw.bulk(operation("CREATE", "prac-7"), operation("CREATE", "prac-7"))
    resources = await raw.bulk_resources(resource("CREATE", "prac-1"))
    purge = await raw.send("POST", f"{SOURCE}/purge", BODIES["purge"] | {"collectionKey": "other"})
    await asyncio.sleep(5)
    task = relationships.body["taskId"]
    return {
        "get_task": task,
        "get_bulk_relationships": task,
        "get_bulk_resources": resources.body["taskId"],
        "get_purge": purge.body["purgeOperation"]["purgeId"],
    }


def _path(route: str, method: str, template: str, ids: dict[str, str]) -> str:
    is_relationship = template.startswith(f"{SOURCE.replace('ehr', '{source}')}/relationships")
    filled = {
        "source": "ehr",
        "type": "practises-at" if is_relationship else "practitioner",
        "id": ids.get(route, "prac-1.org-9" if is_relationship else "prac-1"),
        "key": "practitioner",
        "partition": "care",
        "*": "desks" if method == "POST" else "desks/d-1",
    }
    for name, value in filled.items():
        template = template.replace(f"{{{name}}}", value)
    return template + (TASK if route in ids else "")


async def _seen(raw: Raw, route: str, step: Callable[[Script], object] | None, mode: Mode) -> Seen:
    """Send a request of a route to an emulator that was emptied and filled anew, and see what comes of it."""
    emulator = raw.emulator
    emulator.reset()
    emulator.faults.add(StaleRead(route="get_task", probability=0.0))  # so that it remembers from here on
    ids = await _set_up(raw)
    emulator.default = emulator.bundle = mode
    if step is not None:
        step(emulator.on(route))
    (method, template) = next((each.method, each.path) for each in ROUTES if each.name == route)
    answer = await _sent(raw, method, _path(route, method, template, ids), BODIES.get(route))
    id_ = answer[1].get("taskId") if isinstance(answer, list) and isinstance(answer[1], dict) else None
    task = await _sent(raw, "GET", f"{SOURCE}/tasks/{id_}{TASK}")
    await asyncio.sleep(30)
    later = await _sent(raw, "GET", f"{SOURCE}/tasks/{id_}{TASK}")
    return Seen(answer, task, later, (emulator.relationships(), emulator.resources()))


def _is_refused(route: str, step: Callable[[Script], object]) -> bool:
    try:
        step(Emulator().on(route))
    except ValueError:
        return True
    return False


@pytest.mark.parametrize("route", ROUTE_NAMES)
async def test_a_step_shows_or_is_refused(raw: Raw, route: str) -> None:
    raw.http._retry_connection = False  # aiohttp would send some requests again by itself
    modes = (Persisted(), Accepted(Constant(1.0)))
    usual = [await _seen(raw, route, None, mode) for mode in modes]
    for name, step in STEPS.items():
        if not _is_refused(route, step):
            shown = [await _seen(raw, route, step, mode) for mode in modes]
            assert shown != usual, f"{name} changes nothing at {route}"


async def test_the_requests_are_right(raw: Raw) -> None:
    for route in ROUTE_NAMES:
        seen = await _seen(raw, route, None, Persisted())
        assert isinstance(seen.answer, list)
        is_there = route not in ABSENT
        assert seen.answer[0] < 300 if is_there else seen.answer[0] == 404, (route, seen.answer)


async def test_a_script_of_more_operations_than_there_are_fails(raw: Raw, emulator: Emulator) -> None:
    for route in ("bulk_relationships", "bundle"):
        emulator.on(route).fail(operation=2)
        one = [operation("CREATE")]
        reply = await (raw.bulk(*one) if route != "bundle" else raw.bundle((), one))
        assert (reply.status, reply.kind) == (400, "INVALID_ARGUMENT")
    assert emulator.relationships() == 0


@pytest.mark.parametrize(
    "step",
    [
        lambda script: script.accept(polls=1, seconds=1),
        lambda script: script.accept(polls=-1),
        lambda script: script.accept(polls=True),
        lambda script: script.accept(seconds=-1),
        lambda script: script.fail(operation=0),
        lambda script: script.fail(polls=1, seconds=1),
        lambda script: script.fail(""),
        lambda script: script.succeed(0),
        lambda script: script.succeed(1.5),
        lambda script: script.refuse(status=42),
        lambda script: script.throttle(-1),
        lambda script: script.throttle("1\r\nX-Other: 1"),
        lambda script: script.block(99),
        lambda script: script.alter_receipts("other"),
    ],
)
def test_a_wrong_argument_of_a_step_is_refused(step: Callable[[Script], object]) -> None:
    for route in ("bundle", "create_relationship"):
        emulator = Emulator()
        with pytest.raises(ValueError, match=r"must|give"):
            step(emulator.on(route))
        assert emulator.faults.steps_left() == {}


def test_plans_that_say_two_things_are_refused() -> None:
    for more in ({"polls": 1}, {"failure": Failure("INTERNAL")}):
        with pytest.raises(ValueError, match="at once"):
            Plan(mode=Persisted(), **more)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="failing operation"):
        Plan(mode=Accepted(), failure=Failure("INTERNAL", -1))


def test_what_is_no_fault_is_refused() -> None:
    for wrong in (LostReply, "lost-reply", None):
        with pytest.raises(TypeError, match="LostReply"):
            Emulator().faults.add(wrong)  # type: ignore[type-var]


def _kinds_of_faults() -> list[type[Fault]]:
    found = [getattr(public, name) for name in public.__all__]
    return [
        each for each in found if isinstance(each, type) and issubclass(each, Fault) and each is not Fault
    ]


@pytest.mark.parametrize("kind", _kinds_of_faults())
def test_faults_know_their_routes(kind: type[Fault]) -> None:
    """A fault that is added is held to the same rule as a step."""
    more = {"plan": Plan(mode=Accepted())} if kind is public.ExecutedAs else {}
    taken = []
    for route in ROUTE_NAMES:
        try:
            Emulator().faults.add(kind(route=route, **more))
        except ValueError:
            continue
        taken.append(route)
    narrow = {"LateExecution", "DoubleExecution", "ExecutedAs", "MalformedReceipts", "StaleRead"}
    assert taken
    assert (len(taken) < len(ROUTE_NAMES)) == (kind.__name__ in narrow)


FIXED = ("data", "host", "port", "seed", "chaos", "dialect", "recording", "inspection", "window", "patience")


@pytest.mark.parametrize("name", [*FIXED, "settings"])
async def test_what_an_emulator_reads_once_cannot_be_set(emulator: Emulator, name: str) -> None:
    with pytest.raises(AttributeError, match=rf"Emulator\({name}="):
        setattr(emulator, name, getattr(emulator, name))


def test_what_is_set_on_the_server_in_place_of_its_emulator_is_refused() -> None:
    with EmulatorServer() as server, pytest.raises(AttributeError):
        server.default = Accepted()  # type: ignore[attr-defined]
