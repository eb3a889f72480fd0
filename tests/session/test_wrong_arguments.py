"""Every parameter of every method of a session, with values that it is not meant for.

Such a value is refused by an error of this library, which does not show it, and nothing is sent; or it is
taken, and the service says what it thinks of it. No error of Python comes from within.
"""

import inspect
import math
from collections import deque
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import pytest

import clinia_async as clinia
from clinia_async import CliniaError, ConfigError, InvalidWrite, Outcome, RequestTimeout, Session
from clinia_async.emulator import Emulator
from clinia_async.session.source_session import SourceSession
from tests.captured_locals import OURS, frames_of, held_in
from tests.factories import session_at
from tests.wrong_values import SECRET, WRONG

ENDS = {"from_": clinia.Ref("a", "p"), "to": clinia.Ref("b", "q")}
WRITE = clinia.CreateRelationship("ehr", "t", *ENDS.values())
PLACE = {"source": "ehr", "type": "p", "id": "a", "place": ["names"]}
CONTAINED = {"type": "name", "id": "n", "data": {}}
ARGUMENTS: dict[str, Mapping[str, object]] = {
    "aclose": {},
    "as_completed": {"tasks": []},
    "browse": {"source": "ehr", "collection_keys": ["p"]},
    "bulk": {"source": "ehr", "writes": [WRITE]},
    "bundle": {"source": "ehr", "writes": [WRITE]},
    "create_contained": {**PLACE, "contained": CONTAINED},
    "create_partition": {"key": "care", "modules": clinia.Modules(clinia.SearchModule.STANDARD)},
    "create_relationship": {"source": "ehr", "type": "t", **ENDS},
    "create_resource": {"source": "ehr", "type": "t", "data": {}},
    "create_source": {"key": "ehr"},
    "delete_contained": PLACE,
    "delete_partition": {"key": "care"},
    "delete_relationship": {"source": "ehr", "type": "t", "id": "a.b"},
    "delete_resource": {"source": "ehr", "type": "t", "id": "a"},
    "delete_source": {"key": "other"},
    "ensure_partition": {"key": "care", "modules": clinia.Modules(clinia.SearchModule.STANDARD)},
    "ensure_relationship": {"source": "ehr", "type": "t", **ENDS},
    "ensure_resource": {"source": "ehr", "type": "t", "id": "aa", "data": {}},
    "gather": {},
    "get_bulk_result": {"source": "ehr", "target": clinia.TargetType.RESOURCE, "id": "bk_1"},
    "get_collection": {"source": "ehr", "key": "p"},
    "get_partition": {"key": "care"},
    "get_purge": {"source": "ehr", "id": "pg_1"},
    "get_relationship": {"source": "ehr", "type": "t", "id": "a.b"},
    "get_relationship_definition": {"source": "ehr", "key": "t"},
    "get_resource": {"source": "ehr", "type": "t", "id": "a"},
    "get_source": {"key": "ehr"},
    "get_task": {"source": "ehr", "id": "s_1"},
    "limit_concurrency": {"limits": clinia.ConcurrencyLimits()},
    "list_partitions": {},
    "list_relationship_definitions": {"source": "ehr"},
    "list_sources": {},
    "purge": {"source": "ehr", "collection_type": "RESOURCE", "collection_key": "p"},
    "put_collection": {"source": "ehr", "key": "p", "collection": {"type": "RESOURCE"}},
    "put_profile": {"source": "ehr", "key": "p", "profile": {"type": "ROOT"}},
    "put_relationship_definition": {"source": "ehr", "key": "t", "definition": {}},
    "request": {"method": "GET", "path": "/catalog/v1/sources", "host": "catalog"},
    "resume": {"write": WRITE, "id": "s_1"},
    "send": {"call": clinia.GetSource("ehr")},
    "source": {"key": "ehr"},
    "submit": {"write": WRITE},
    "take_in_doubt": {},
    "task": {"id_or_token": "s_1", "source": "ehr"},
    "update_relationship": {"source": "ehr", "type": "t", "id": "a.b", "patches": []},
    "upsert_contained": {**PLACE, "contained": CONTAINED},
    "upsert_resource": {"source": "ehr", "type": "t", "id": "aa", "data": {}},
    "wait": {"tasks": []},
    "with_options": {},
}
"""What every method can be called with."""
WAITS_FOR_A_TASK = {"task", "resume"}
"""They make a handle, and send nothing themselves."""


def methods(kind: type) -> dict[str, inspect.Signature]:
    found = inspect.getmembers(kind, inspect.isfunction)
    return {name: inspect.signature(each) for name, each in found if not name.startswith("_")}


def parameters(kind: type) -> list[tuple[str, str]]:
    return [
        (name, each.name)
        for name, signature in methods(kind).items()
        if name != "guarded"  # the former name of another
        for each in signature.parameters.values()
        if each.name != "self"
    ]


def test_the_table_has_every_method() -> None:
    assert {*methods(Session)} - {"guarded"} == {*ARGUMENTS}


async def call(target: object, name: str, arguments: Mapping[str, object]) -> None:
    """Call a method, and do with what it returns what a caller does."""
    signature = inspect.signature(getattr(target, name))
    several = next(
        (each.name for each in signature.parameters.values() if each.kind is each.VAR_POSITIONAL), ""
    )
    keywords = {key: value for key, value in arguments.items() if key != several}
    given = (arguments[several],) if several in arguments else ()
    made: Any = getattr(target, name)(*given, **keywords)
    if name in WAITS_FOR_A_TASK:
        return
    if inspect.isawaitable(made):
        await made
    elif hasattr(made, "__anext__"):
        await anext(made, None)
    elif isinstance(made, AbstractContextManager):
        with made:
            pass


@pytest.mark.off_contract  # `request` sends what no page says
@pytest.mark.parametrize("of_a_source", [False, True])
async def test_a_wrong_argument_is_refused_in_words(of_a_source: bool) -> None:
    wrong: list[str] = []
    async with Emulator(recording=True) as emulator:
        for name, parameter in parameters(SourceSession if of_a_source else Session):
            async with session_at(emulator, source="ehr", timeout=5) as session:
                target: Any = session.source("ehr") if of_a_source else session
                known = inspect.signature(getattr(target, name)).parameters
                usual = {key: value for key, value in ARGUMENTS[name].items() if key in known}
                for what, make in WRONG.items():
                    sent = len(emulator.received)
                    try:
                        await call(target, name, {**usual, parameter: make()})
                    except CliniaError as error:
                        is_ours = isinstance(error, InvalidWrite | ConfigError)
                        said = f"{error} {error!r}"
                        if SECRET in said or (is_ours and len(emulator.received) > sent):
                            wrong.append(f"{name}({parameter}={what}): {said}")
                        if held := held_in(frames_of(error), SECRET, within=OURS):
                            wrong.append(f"{name}({parameter}={what}): {held}")
                    except Exception as error:  # noqa: BLE001
                        wrong.append(f"{name}({parameter}={what}): {type(error).__name__}: {error}")
                    if session.closed:
                        break
    assert not wrong


@pytest.mark.parametrize("seconds", [0, -1, -1e9])
async def test_a_call_without_any_time_is_not_sent(seconds: float) -> None:
    async with Emulator(recording=True) as emulator, session_at(emulator) as session:
        for make in (session.create_relationship, session.ensure_relationship):
            with pytest.raises(RequestTimeout, match="no time was left") as caught:
                await make("ehr", "t", **ENDS, timeout=seconds)  # type: ignore[arg-type]
            assert caught.value.outcome is Outcome.NOT_SENT
        assert not session.in_doubt
        assert not emulator.received


async def test_without_any_time_a_write_that_was_sent_before_is_unknown() -> None:
    async with Emulator(recording=True) as emulator, session_at(emulator) as session:
        with pytest.raises(RequestTimeout) as caught:
            await session.submit(WRITE, maybe_applied=True, timeout=0)
        assert caught.value.outcome is Outcome.UNKNOWN
        assert not emulator.received


async def test_whatever_gives_tasks_is_taken() -> None:
    async with Emulator() as emulator, session_at(emulator) as session:
        task = await session.submit(WRITE)
        named = {task: "of the caller"}
        for given in (named, named.keys(), {task}, iter([task]), deque([task])):
            assert await session.wait(given) == ({task}, set())  # type: ignore[arg-type]
        assert [each async for each in session.as_completed(named)] == [task]


async def test_a_close_may_wait_for_as_long_as_it_takes() -> None:
    async with Emulator() as emulator, session_at(emulator) as session:
        await session.submit(WRITE)
        await session.aclose(grace=math.inf)


class OwnWrite:
    """A write of the caller's own class, which has its values by itself."""

    def __init__(self) -> None:
        for name in ("source", "request", "decode_response", "result", "retry_safety"):
            setattr(self, name, getattr(WRITE, name))


async def test_a_write_of_a_class_of_the_caller_is_taken() -> None:
    async with Emulator() as emulator, session_at(emulator) as session:
        assert await (await session.submit(OwnWrite()))  # type: ignore[arg-type]


async def test_a_submission_in_place_of_its_task_is_named() -> None:
    async with Emulator() as emulator, session_at(emulator) as session:
        submission = session.create_relationship("ehr", "t", **ENDS)  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="class Task, not Submission: await it for its task"):
            await session.wait([submission])  # type: ignore[list-item]
        task = await submission
        assert await session.wait([task])
