"""`__all__` is the truth, and every call has a method, a route and a test."""

import ast
import inspect
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import get_type_hints

import pytest

import clinia_async
from clinia_async import calls, errors, models, telemetry, transport
from clinia_async.calls import RetrySafety
from clinia_async.calls.call import Call, Write
from clinia_async.calls.receipts import ReceiptSubject
from clinia_async.emulator.routes import ROUTE_NAMES
from clinia_async.ingest import journal, readers
from clinia_async.models.batch_result import Operation
from clinia_async.session import coalescing
from clinia_async.session.session import Session
from tests.contract.contract import Contract

TESTS = Path(__file__).parent
LAZY = [clinia_async, calls, coalescing, journal, models, readers, telemetry, transport]
"""Packages that load a name when it is first used."""

CALLS = {
    name: call
    for name, call in ((name, getattr(calls, name)) for name in calls.__all__)
    if inspect.isclass(call) and isinstance(getattr(call, "route", None), str) and name != "EncodedBulk"
}
"""A bulk that is encoded already is no call of its own."""
OPERATIONS = {
    "Browse": "browse",
    "Bulk": "bulk_relationships bulk_resources",
    "Bundle": "bundle",
    "CreateContained": "create_contained_resource",
    "CreatePartition": "put_partition",
    "CreateRelationship": "create_relationship",
    "CreateResource": "create_resource",
    "CreateSource": "put_source",
    "DeleteContained": "delete_contained_resource",
    "DeletePartition": "delete_partition",
    "DeleteRelationship": "delete_relationship",
    "DeleteResource": "delete_resource",
    "DeleteSource": "delete_source",
    "GetBulkResult": "get_relationship_bulk get_resource_bulk",
    "GetCollection": "get_collection",
    "GetPartition": "get_partition",
    "GetPurge": "get_purge",
    "GetRelationship": "get_relationship",
    "GetRelationshipDefinition": "get_relationship_definition",
    "GetResource": "get_resource",
    "GetSource": "get_source",
    "GetTask": "get_task",
    "ListPartitions": "list_partitions",
    "ListRelationshipDefinitions": "list_relationship_definitions",
    "ListSources": "list_sources",
    "Purge": "purge",
    "PutCollection": "put_collection",
    "PutProfile": "put_profile",
    "PutRelationshipDefinition": "put_relationship_definition",
    "UpdateRelationship": "update_relationship",
    "UpsertContained": "upsert_contained_resource upsert_nested_contained_resource",
    "UpsertResource": "upsert_resource",
}
"""Each call, and the operations of the contract that it is."""

ROUTES = {
    "create_contained_resource": "create_contained",
    "delete_contained_resource": "delete_contained",
    "get_relationship_bulk": "get_bulk_relationships",
    "get_resource_bulk": "get_bulk_resources",
    "upsert_contained_resource": "put_contained",
    "upsert_nested_contained_resource": "put_contained",
    "upsert_resource": "put_resource",
}
"""Operations of the contract that the emulator serves under another name."""


def method_of(call: str) -> str:
    """`GetTask` is `session.get_task`."""
    return re.sub(r"(?<!^)([A-Z])", r"_\1", call).lower()


def stub_names(package: ModuleType) -> dict[str, str]:
    names = {}
    stub = Path(str(package.__file__)).with_suffix(".pyi")
    for node in ast.parse(stub.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                assert alias.asname == alias.name
                names[alias.name] = str(node.module)
    return names


def loaded_from(package: ModuleType) -> dict[str, str]:
    """Return the module of each name, from the table that the package is written with."""
    calls = [node for node in ast.walk(ast.parse(inspect.getsource(package))) if isinstance(node, ast.Call)]
    (table,) = (ast.literal_eval(call.args[1]) for call in calls)
    return {name: f"{package.__name__}.{home}" for home, names in table.items() for name in names.split()}


@pytest.mark.parametrize("package", LAZY, ids=lambda package: package.__name__)
def test_all_is_what_can_be_used(package: ModuleType) -> None:
    assert package.__all__ == sorted(set(package.__all__))
    assert set(package.__all__) <= set(dir(package))
    for name in package.__all__:
        assert getattr(package, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'missing'"):
        _ = package.missing


@pytest.mark.parametrize("package", LAZY, ids=lambda package: package.__name__)
def test_type_checkers_see_the_same_names_at_the_same_homes(package: ModuleType) -> None:
    names = stub_names(package)
    for name, module in names.items():
        assert getattr(import_module(module), name) is getattr(package, name)
    assert sorted(names) == package.__all__
    assert names == loaded_from(package)


def test_the_types_that_methods_name_are_there() -> None:
    """Some are in quotes, and loaded by whoever asks for them."""
    for name, method in inspect.getmembers(Session, inspect.isfunction):
        assert "return" in get_type_hints(method), name


def test_every_error_is_of_the_family_and_public() -> None:
    raised = {
        name: kind
        for name, kind in vars(errors).items()
        if inspect.isclass(kind) and issubclass(kind, Exception) and not name.startswith("_")
    }
    assert all(issubclass(kind, errors.CliniaError) for kind in raised.values())
    assert set(raised) <= set(clinia_async.__all__)


@pytest.mark.parametrize("name", sorted(CALLS))
def test_every_call_has_a_session_method(name: str) -> None:
    assert callable(getattr(Session, method_of(name)))


@pytest.mark.parametrize("name", sorted(CALLS))
def test_every_call_says_whether_it_may_be_repeated(name: str) -> None:
    assert isinstance(CALLS[name].retry_safety, RetrySafety | property), "always, or as the write is"
    assert "docs.clinia.com" in (CALLS[name].__doc__ or ""), "the page of the API that it follows"
    assert "docs.clinia.com" in (getattr(Session, method_of(name)).__doc__ or "")


def test_every_operation_of_the_contract_has_a_call_and_a_route() -> None:
    operations = {id_ for ids in OPERATIONS.values() for id_ in ids.split()}
    assert operations == set(Contract.load().operations)
    assert {ROUTES.get(id_, id_) for id_ in operations} == set(ROUTE_NAMES)
    assert set(OPERATIONS) == set(CALLS)


@pytest.mark.parametrize("name", sorted(CALLS))
def test_every_call_has_a_test(name: str) -> None:
    mentions = [
        path.name
        for path in TESTS.rglob("test_*.py")
        if path != Path(__file__)
        and "emulator" not in path.relative_to(TESTS).parts
        and (f".{method_of(name)}(" in (text := path.read_text(encoding="utf-8")) or f"{name}(" in text)
    ]
    assert mentions


@pytest.mark.parametrize("name", CALLS)
def test_type_checkers_take_each_call_for_what_send_and_submit_want(name: str) -> None:
    """For pyright a `ClassVar` is no property of a protocol, so that it refused each `submit(...)`."""
    wanted = {
        member
        for protocol in (Call, Write, ReceiptSubject, Operation)
        for member, value in vars(protocol).items()
        if isinstance(value, property)
    }
    assert {"retry_safety", "source", "target", "action"} <= wanted
    given = [
        (member, next(base for base in CALLS[name].__mro__ if member in vars(base)))
        for member in wanted
        if hasattr(CALLS[name], member)
    ]
    assert [m for m, base in given if "ClassVar" in str(base.__annotations__.get(m))] == []


def test_the_public_names_load_when_they_are_used() -> None:
    code = (
        "import sys, clinia_async; assert not {'aiohttp', 'attrs', 'cattrs'} & set(sys.modules);"
        "clinia_async.Session; assert 'aiohttp' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_few_programs_need_is_not_loaded_with_a_session() -> None:
    late = {
        "backoff",
        "cattrs",
        "clinia_async.calls.batches",
        "clinia_async.calls.partitions",
        "clinia_async.calls.purges",
        "clinia_async.calls.relationships",
        "clinia_async.calls.resources",
        "clinia_async.ingest",
        "clinia_async.models.definitions",
        "clinia_async.models.json_types",
        "clinia_async.models.pages",
        "clinia_async.models.partitions",
        "clinia_async.session.coalescing.coalescer",
        "clinia_async.tasks.share_of_age",
        "clinia_async.telemetry.events",
        "clinia_async.transport.adaptive_limit",
    }
    code = f"import sys; from clinia_async import Session; print(*{late} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == []
