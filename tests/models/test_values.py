"""Every public value checks its fields when it is made, and reads and writes the JSON of the API's pages."""

import inspect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import attrs
import pytest

import clinia_async
from clinia_async import (
    CollectionConnection,
    DataSource,
    Identifier,
    InvalidWrite,
    Mdm,
    Meta,
    Modules,
    Outcome,
    Partition,
    Receipt,
    Ref,
    SearchModule,
    SourceCollection,
    SourceMapping,
    calls,
    models,
)
from clinia_async.models import Value
from clinia_async.models.batch_result import Operation
from clinia_async.serialization.lazy_receipts import LazyReceipts
from tests.serialization.test_converter import CANARY, STRATEGIES

PUBLIC = [getattr(package, name) for package in (models, calls, clinia_async) for name in package.__all__]
VALUES = sorted(
    {
        kind
        for kind in PUBLIC
        if inspect.isclass(kind)
        and attrs.has(kind)
        and kind.__module__.startswith(("clinia_async.models", "clinia_async.calls"))
        and kind not in {Value, calls.EncodedBulk, calls.Request, clinia_async.TaskId}
        and not getattr(kind, "_is_protocol", False)
    },
    key=lambda kind: kind.__name__,
)
TAKE_ANY_ITERABLE = {calls.Bulk: "writes", calls.Bundle: "writes"}
"""They copy what they are given, so a generator is as good as a list."""


def parameters(kind: type) -> Iterator[tuple[str, Any]]:
    """The arguments of a value, with their types."""
    hints = get_type_hints(kind)
    for attribute in attrs.fields(kind):
        if attribute.init and attribute.alias in inspect.signature(kind).parameters:
            yield attribute.alias, hints[attribute.name]


def parts(hint: Any) -> tuple[Any, ...]:
    """The types of a union, or the one type; without None."""
    is_union = get_origin(hint) in {Union, UnionType}
    return tuple(each for each in (get_args(hint) if is_union else (hint,)) if each is not NoneType)


def example(hint: Any) -> Any:
    """Some right value of a type."""
    hint = hint if hint in EXAMPLES else parts(hint)[0]
    if get_origin(hint) is Sequence:
        return [example(get_args(hint)[0])]
    if get_origin(hint) is Mapping:
        return {}
    if isinstance(hint, type) and issubclass(hint, models.OpenEnum):
        return next(iter(hint))
    return made(hint) if hint in VALUES else EXAMPLES.get(hint, 7)


EXAMPLES: Mapping[Any, object] = {
    str: "ab",
    int: 1,
    bool: True,
    bytes: b"{}",
    datetime: datetime.fromisoformat("2020-01-01T00:00:00Z"),
    clinia_async.TaskId: clinia_async.TaskId("s_1"),
    Operation: calls.DeleteResource("ab", "ab", "ab"),
    calls.BatchWrite: calls.DeleteResource("ab", "ab", "ab"),
}


SPECIAL: Mapping[Any, Mapping[str, Any]] = {
    calls.Bulk: {"source": "ab", "writes": [calls.DeleteResource("ab", "ab", "ab")]},
    calls.Bundle: {"source": "ab", "writes": [calls.DeleteResource("ab", "ab", "ab")]},
    calls.GetBulkResult: {"target": models.TargetType.RESOURCE},
    calls.UpdateRelationship: {"patches": [models.Patch(models.PatchOp.ADD, "/a", 1)]},
    calls.CreatePartition: {"source": DataSource("ab", [])},
    models.Hit: {"record": models.Resource("ab", "ab")},
    Partition: {"source": DataSource("ab", [])},
}


def arguments(kind: type) -> dict[str, Any]:
    given = dict(SPECIAL.get(kind, {}))
    for name, hint in parameters(kind):
        parameter = inspect.signature(kind).parameters[name]
        if name not in given and parameter.default is inspect.Parameter.empty:
            given[name] = example(hint)
    return given


def made(kind: type, **more: Any) -> Any:
    return kind(**(arguments(kind) | more))


@pytest.mark.parametrize("kind", VALUES)
def test_every_value_can_be_made(kind: type) -> None:
    assert isinstance(made(kind), kind)


SEQUENCES = [
    (kind, name)
    for kind in VALUES
    for name, hint in parameters(kind)
    if any(get_origin(part) is Sequence for part in parts(hint))
]
NO_LISTS: list[Callable[[], object]] = [
    lambda: CANARY,
    CANARY.encode,
    lambda: bytearray(CANARY.encode()),
    lambda: {"a": 1},
    lambda: {"a"},
    lambda: frozenset({"a"}),
    lambda: (each for each in ["a"]),
    lambda: iter(["a"]),
    lambda: 7,
]


def test_sequences_are_found_in_values_and_calls() -> None:
    assert {(Mdm, "sources"), (DataSource, "relationships"), (calls.Browse, "include")} <= set(SEQUENCES)
    assert {
        (Meta, "identifier"),
        (calls.UpdateRelationship, "patches"),
        (calls.CreateContained, "place"),
    } <= set(SEQUENCES)


@pytest.mark.parametrize(("kind", "name"), SEQUENCES, ids=lambda case: getattr(case, "__name__", case))
def test_what_is_no_list_is_refused_where_one_is_meant(kind: type, name: str) -> None:
    for wrong in NO_LISTS:
        value = wrong()
        if TAKE_ANY_ITERABLE.get(kind) == name and isinstance(value, Iterator):
            continue
        with pytest.raises(InvalidWrite) as caught:
            made(kind, **{name: value})
        assert caught.value.outcome is Outcome.NOT_SENT
        assert "list" in caught.value.rule
        assert CANARY not in str(caught.value)


@pytest.mark.parametrize(("kind", "name"), SEQUENCES, ids=lambda case: getattr(case, "__name__", case))
def test_a_list_is_kept_as_a_tuple_and_its_items_are_checked(kind: type, name: str) -> None:
    hint = dict(parameters(kind))[name]
    good = arguments(kind).get(name) or example(hint)
    value = made(kind, **{name: list(good)})
    assert type(getattr(value, name)) is tuple
    item = get_args(parts(hint)[0])[0]
    if item is not Operation and (item in VALUES or item in EXAMPLES):
        with pytest.raises(InvalidWrite):
            made(kind, **{name: [*good, object()]})


def wrong_values(hint: Any) -> list[object]:
    """Values of none of the types that a field may have."""
    options = parts(hint)
    found: list[object] = []
    if object in options or any(not isinstance(each, type) and get_origin(each) is None for each in options):
        return found
    if str not in options and not any(isinstance(each, type) and issubclass(each, str) for each in options):
        found.append(CANARY)
    if int not in options:
        found.append(7.5)
    return [*found, object(), lambda: None]


@pytest.mark.parametrize("kind", VALUES)
def test_a_field_of_another_type_is_refused_by_class_and_field(kind: type) -> None:
    for name, hint in parameters(kind):
        for wrong in wrong_values(hint):
            with pytest.raises(InvalidWrite) as caught:
                made(kind, **{name: wrong})
            assert caught.value.path.startswith("$")
            assert caught.value.rule.startswith("must be")
            assert CANARY not in str(caught.value)


def test_the_text_of_an_enum_becomes_its_member() -> None:
    assert Modules("STANDARD").search is SearchModule.STANDARD  # type: ignore[arg-type]
    assert Modules("SOMETHING_NEW").search == "SOMETHING_NEW"  # type: ignore[arg-type]
    assert isinstance(Modules("SOMETHING_NEW").search, SearchModule)  # type: ignore[arg-type]


def test_json_inside_of_values_is_taken_with_its_path() -> None:
    taken = Mdm(
        ["ehr"],
        [
            {
                "key": "a",
                "properties": {},
                "mappings": [{"source": "s", "type": "t", "propertyMappings": {"a": "b"}}],
            }
        ],
    )  # type: ignore[list-item]
    assert taken.collections == (CollectionConnection("a", {}, (SourceMapping("s", "t", {"a": "b"}),)),)
    with pytest.raises(InvalidWrite) as caught:
        Mdm(["ehr"], [{"key": "a", "properties": {}, "mappings": [{"source": 7}]}])  # type: ignore[list-item]
    assert caught.value.path == "$.collections[0].mappings[0].source"


def test_checked_receipts_are_kept_as_they_are() -> None:
    receipts = LazyReceipts([])
    assert models.TaskSnapshot(models.TaskStatus.SUCCESS, None, receipts).receipts is receipts
    assert LazyReceipts.item_type is Receipt


@pytest.mark.parametrize("kind", VALUES)
def test_the_signature_shows_the_types(kind: type) -> None:
    shown = inspect.signature(kind).parameters
    assert all(each.annotation is not inspect.Parameter.empty for each in shown.values())


# JSON


WITH_JSON = [kind for kind in VALUES if issubclass(kind, Value)]


@pytest.mark.parametrize("kind", STRATEGIES, ids=lambda kind: kind.__name__)
def test_from_json_reverses_to_json(kind: type[Any]) -> None:
    value = made(kind)
    assert kind.from_json(value.to_json()) == value
    assert kind.from_json(value.to_json().encode()) == value
    assert kind.from_dict(value.to_dict()) == value
    assert value.to_dict() == json.loads(value.to_json())


def test_every_model_reads_and_writes_json() -> None:
    assert {kind for kind in VALUES if kind.__module__.startswith("clinia_async.models.")} - set(
        WITH_JSON
    ) <= {
        clinia_async.TaskId,
        clinia_async.BatchResult,
    }


def test_from_json_reads_a_file(tmp_path: Any) -> None:
    path = tmp_path / "modules.json"
    path.write_text('{"search": "STANDARD"}')
    assert Modules.from_json(path) == Modules.from_json(str(path)) == Modules()
    with pytest.raises(InvalidWrite, match="FileNotFoundError"):
        Modules.from_json(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('{"id": "a", "id": "b", "type": "t"}', "$"),
        ('{"id": "a", "type": "t"} {}', "$"),
        ('{"id": NaN, "type": "t"}', "$"),
        ('["a", "t"]', "$"),
        ('"a"', "$"),
        ("", "$"),
        (b"\xff", "$"),
        ('{"id": "a"}', "$.type"),
        ('{"id": null, "type": "t"}', "$.id"),
        ('{"id": 7, "type": "t"}', "$.id"),
    ],
)
def test_from_json_is_strict_and_names_the_path(text: Any, path: str) -> None:
    with pytest.raises(InvalidWrite) as caught:
        Ref.from_json(text)
    assert caught.value.path == path
    assert caught.value.__context__ is None


@pytest.mark.parametrize("wrong", [None, 7, [], Ref("a", "b"), object()])
def test_from_json_refuses_what_is_no_document(wrong: Any) -> None:
    with pytest.raises(InvalidWrite):
        Ref.from_json(wrong)


def test_unknown_fields_are_kept_and_written_in_any_order() -> None:
    document = {
        "key": "clinics",
        "newField": {"a": [1, None]},
        "modules": {"search": "STANDARD", "rerank": True},
        "source": {
            "relationships": ["treats"],
            "collections": [{"traversedProperties": ["@at.since"], "key": "clinic"}],
            "type": "DATA_SOURCE",
            "key": "ehr",
        },
        "status": "STATUS_READY",
    }
    with pytest.raises(InvalidWrite):
        Partition.from_dict(document)
    partition = Partition.from_dict(document, keep_unknown=True)
    assert partition.to_dict() == document
    assert isinstance(partition.source, DataSource)
    assert partition.source.collections[0].unknown_fields == {"traversedProperties": ["@at.since"]}
    changed = attrs.evolve(partition, source=attrs.evolve(partition.source, relationships=["other"]))
    assert changed.to_dict()["source"]["relationships"] == ["other"]  # type: ignore[index]
    assert changed.to_dict()["newField"] == document["newField"]


SOURCE: Mapping[str, object] = {"type": "DATA_SOURCE", "key": "a", "collections": []}


@pytest.mark.parametrize(
    ("change", "path", "meant"),
    [
        ({"stage": True}, "$.stage", ""),
        ({"modules": {"serach": "STANDARD"}}, "$.modules.serach", "`search`"),
        (
            {"source": {"type": "DATA_SOURCE", "key": "a", "collections": [{"kee": "p"}]}},
            "$.source.collections[0].kee",
            "",
        ),
        ({"CANARY a b": 1}, "$.*", ""),
    ],
)
def test_an_unknown_field_is_refused_with_its_path(change: dict[str, Any], path: str, meant: str) -> None:
    document = {"key": "a", "modules": {}, "source": SOURCE}
    with pytest.raises(InvalidWrite) as caught:
        Partition.from_dict(document | change)
    assert caught.value.path == path
    assert "unknown" in caught.value.rule
    assert meant in caught.value.rule
    assert CANARY not in str(caught.value)


def test_equality_is_by_the_known_fields() -> None:
    assert SourceCollection("a", unknown_fields={"x": 1}) == SourceCollection("a")
    assert hash(Identifier(value="a", unknown_fields={"x": 1})) == hash(Identifier(value="a"))
