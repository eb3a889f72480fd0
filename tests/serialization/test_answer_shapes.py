"""Answers in other shapes: null, absent and empty are one, and what cannot be read costs itself alone."""

import json
import pickle
from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import pytest

from clinia_async import (
    DataSource,
    DecodeError,
    ErrorInfo,
    OtherSource,
    Partition,
    PipelineExecution,
    Ref,
    Relationship,
    RelationshipDefinition,
    Resource,
    TaskSnapshot,
    TaskStatus,
    models,
)
from clinia_async.models import TaskSubmission
from clinia_async.serialization import converter
from clinia_async.serialization.drift import LARGEST, Drift, DriftKind, counting_drift
from clinia_async.serialization.lazy_receipts import LazyReceipts
from tests.contract import examples

TIME = "2025-05-13T14:03:21.123Z"
ERROR = {"code": 409, "message": "no", "type": "ALREADY_EXISTS", "details": [{"type": "INTERNAL", "code": 5}]}
RECEIPT = {
    "action": "CREATE",
    "status": "SUCCESS",
    "targetType": "RELATIONSHIP",
    "type": "at",
    "id": "a.b",
    "taskId": "bk_1",
    "receivedAt": TIME,
    "completedAt": TIME,
}
REVIEWED = {"pipelineExecution": {"id": "1", "pipelineDefinitionId": "clinic.1", "status": "SUCCESSFUL"}}
META = {
    "createdAt": TIME,
    "updatedAt": TIME,
    "source": "ehr",
    "identifier": [{"id": "1", "system": "npi", "value": "2", "use": "usual", "period": {"start": TIME}}],
}
ENDS = {"from": {"id": "a", "type": "p"}, "to": {"id": "b", "type": "o"}}
RELATIONSHIP = {"id": "a.b", "type": "at", **ENDS, "data": {"x": 1}, "meta": META}
RESOURCE = {"id": "a1", "type": "p", "data": {"x": 1}, "meta": META, "contained": {"offices": []}}
MAPPING = {"source": "ehr", "type": "p", "propertyMappings": {"a": "b"}}
RULES = {"type": "SYSTEM", "rules": [1]}
CONNECTION = {"key": "p", "properties": {"a": {}}, "mappings": [MAPPING], "reconciliationRules": RULES}
JOINT = {"profileKey": "p", "includeKey": "q"}
MDM = {
    "type": "MDM",
    "sources": ["ehr"],
    "collections": [{**CONNECTION, "traversedProperties": ["@a.b"], "contained": {}}],
    "relationships": [
        {
            "from": JOINT,
            "to": JOINT,
            "relationshipType": "at",
            "properties": {},
            "mappings": [MAPPING],
            "reconciliationRules": RULES,
        }
    ],
}
DATA_SOURCE = {"type": "DATA_SOURCE", "key": "ehr", "collections": [{"key": "p"}], "relationships": ["at"]}
HEAD = {"key": "clinics", "modules": {"search": "STANDARD"}, "status": "STATUS_READY"}
PURGE = {
    "taskId": "pg_1",
    "purgeId": "pg_1",
    "collectionType": "resources",
    "collectionKey": "p",
    "status": "SUCCESS",
    "deletedCount": 7,
    "createdAt": TIME,
    "updatedAt": TIME,
}
DEFINITION_END = {"profileKey": "p", "includeKey": "q", "includeCardinality": "0:*"}
PROFILE = {"type": "ROOT", "properties": {"a": {}}, "contained": {}, "description": "d", "key": "p"}
COLLECTION_PROFILE = {"properties": {}, "description": "d", "contained": {}}

ANSWERS: list[tuple[type[Any], dict[str, Any]]] = [
    (TaskSubmission, {"taskId": "s_1", "status": "PERSISTED", "relationship": RELATIONSHIP}),
    (TaskSubmission, {"taskId": "s_1", "status": "PERSISTED", "resource": RESOURCE}),
    (TaskSubmission, {"taskId": "bk_1", "status": "ACCEPTED", "bulkId": "bk_1"}),
    (TaskSubmission, {"taskId": "pg_1", "status": "ACCEPTED", "purgeOperation": PURGE}),
    (
        TaskSnapshot,
        {
            "taskId": "bk_1",
            "status": "FAILURE",
            "receipts": [RECEIPT, {**RECEIPT, "id": "c.d", "error": ERROR}],
        },
    ),
    (TaskSnapshot, {"taskId": "bk_1", "status": "SUCCESS", "receipts": [{**RECEIPT, **REVIEWED}]}),
    (Relationship, RELATIONSHIP),
    (Resource, RESOURCE),
    (models.PurgeOperation, PURGE),
    (Partition, {**HEAD, "source": DATA_SOURCE}),
    (Partition, {**HEAD, "source": MDM}),
    (models.Source, {"key": "ehr", "type": "registry"}),
    (models.Profile, PROFILE),
    (
        RelationshipDefinition,
        {"from": DEFINITION_END, "to": DEFINITION_END, "properties": {}, "key": "at", "description": "d"},
    ),
    (
        models.Collection,
        {"type": "resources", "profile": COLLECTION_PROFILE, "key": "p", "pipeline": {"id": 1}},
    ),
    (ErrorInfo, ERROR),
    (
        models.BrowsePage,
        {"hits": [{"hitType": "RESOURCE", "resource": RESOURCE}], "meta": {"cursor": "c", "total": 5}},
    ),
]

NEEDED = {
    TaskSubmission: {"status"},
    TaskSnapshot: {"status"},
    Relationship: {"id", "type", "from", "to", "from.id", "from.type", "to.id", "to.type"},
    Resource: {"id", "type"},
    models.PurgeOperation: {"taskId", "status"},
}
"""The fields without which an answer is of no use; the record of a submission is one of its parts."""

ABSENT = object()
OTHERS: list[Any] = ["", [], {}, "CANARY text", 7, 1.5, True, ["CANARY"], [None], {"CANARY": 1}]


def places(value: Any, path: str = "") -> Iterator[tuple[Any, Any, str]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        step = f"{path}.{key}".removeprefix(".") if isinstance(key, str) else f"{path}[]"
        yield value, key, step
        if step.rpartition(".")[2] not in OPAQUE:
            yield from places(inner, step)


OPAQUE = {"data", "properties", "contained", "rules", "pipeline", "propertyMappings"}
"""JSON that is passed on as it is."""


def mutated(document: Any, number: int, change: Any) -> tuple[Any, str]:
    copy = json.loads(json.dumps(document))
    place, key, path = list(places(copy))[number]
    if change is ABSENT:
        if isinstance(place, dict):
            del place[key]
        else:
            place.pop(key)
    else:
        place[key] = change
    return copy, path


def mutations() -> list[Any]:
    return [
        pytest.param(kind, document, number, id=f"{kind.__name__}-{path}-{number}")
        for kind, document in ANSWERS
        for number, (_, _, path) in enumerate(places(document))
    ]


def decode(document: Any, kind: type[Any]) -> Any:
    return converter.decode(json.dumps(document).encode(), kind)


def is_needed(kind: type[Any], path: str) -> bool:
    return path in NEEDED.get(kind, ())


def outside(value: Any, path: str) -> Any:
    """A value as JSON, without what stands at a path or below; of a list that is one of its items."""
    document = value.to_dict()

    def strip(part: Any, here: str) -> Any:
        if isinstance(part, dict):
            kept = {key: strip(inner, f"{here}.{key}".removeprefix(".")) for key, inner in part.items()}
            return {key: inner for key, inner in kept.items() if inner is not ABSENT}
        if isinstance(part, list):
            return [strip(inner, f"{here}[]") for inner in part]
        return part

    return strip(document, "") if not path else remove(document, path)


def remove(document: Any, path: str) -> Any:
    """A JSON document without the field at a path, or without the list or record that the field is in."""
    first, _, rest = path.partition(".")
    name = first.removesuffix("[]")
    if not isinstance(document, dict):
        return document
    if not rest or first.endswith("[]") or not isinstance(document.get(name), dict):
        return {key: value for key, value in document.items() if key != name}
    return {**document, name: remove(document[name], rest)}


@pytest.mark.parametrize(("kind", "document", "number"), mutations())
def test_a_field_that_cannot_be_read_costs_itself_alone(kind: type[Any], document: Any, number: int) -> None:
    good = decode(document, kind)
    for change in (ABSENT, None, *OTHERS):
        changed, path = mutated(document, number, change)
        try:
            found = decode(changed, kind)
        except DecodeError as error:
            assert is_needed(kind, path) or "[]" in path or kind is models.BrowsePage, (path, change)
            assert "CANARY" not in str(error)  # noqa: PT017  either end is fine
            continue
        assert isinstance(found, kind)
        if not in_submission(kind, path):
            assert remove(found.to_dict(), path) == remove(good.to_dict(), path), (path, change)


def in_submission(kind: type[Any], path: str) -> bool:
    """Whether a field is needed by the record of a submission, so that it costs the record."""
    outer, _, inner = path.partition(".")
    parts = {"relationship": Relationship, "resource": Resource, "purgeOperation": models.PurgeOperation}
    return kind is TaskSubmission and outer in parts and is_needed(parts[outer], inner)


@pytest.mark.parametrize(("kind", "document", "number"), mutations())
def test_null_absent_and_empty_are_one(kind: type[Any], document: Any, number: int) -> None:
    _, _, path = list(places(document))[number]
    if path.endswith("[]") or path.rpartition(".")[2] in {"id", "message", "value", "use", "system", "key"}:
        return  # an item of a list is there or not; a text may be empty

    def read(change: Any) -> Any:
        try:
            return pruned(decode(mutated(document, number, change)[0], kind).to_dict())
        except DecodeError as error:
            return error.path

    assert read(None) == read(ABSENT)
    for empty in ([], {}):
        if type(list(places(document))[number][0]) is dict and not _has_empty(kind, path, empty):
            assert read(empty) == read(ABSENT), (path, empty)


def _has_empty(kind: type[Any], path: str, empty: Any) -> bool:
    """Whether an empty list or object is a value of its own at a path, such as no identifiers at all."""
    return path.rpartition(".")[2].removesuffix("[]") in {
        *OPAQUE,
        "identifier",
        "receipts",
        "traversedProperties",
    }


@pytest.mark.parametrize(("kind", "document", "number"), mutations())
def test_what_was_read_is_written_as_it_was(kind: type[Any], document: Any, number: int) -> None:
    """Whatever the service sends at one place, all other places and that one come back."""
    if kind not in {Partition, models.Profile, models.Collection, RelationshipDefinition, models.Source}:
        return
    for change in ("CANARY", 7, ["CANARY"], {"CANARY": 1}, {"key": "x", "CANARY": [1]}):
        changed, _ = mutated(document, number, change)
        assert pruned(decode(changed, kind).to_dict()) == pruned(in_the_newer_form(changed))
        place = list(places(document))[number][0]
        if isinstance(place, dict):
            more = json.loads(json.dumps(document))
            list(places(more))[number][0]["newField"] = change
            found = decode(dict(reversed(more.items())), kind)
            assert found == decode(document, kind)
            assert found.to_dict() == decode(document, kind).to_dict() | more


def in_the_newer_form(document: Any) -> Any:
    """With what this version adds: plain keys of collections become objects, the default module is named."""
    changed = json.loads(json.dumps(document))
    source, modules = changed.get("source"), changed.get("modules")
    if isinstance(source, dict) and isinstance(source.get("collections"), list):
        kind = source.get("type")
        source["collections"] = [
            {"key": each} if type(each) is str and kind == "DATA_SOURCE" else each
            for each in source["collections"]
        ]
    if isinstance(modules, dict):
        changed["modules"] = {"search": "STANDARD", **modules}
    return changed


def pruned(value: Any) -> Any:
    """Without what is null or empty."""
    if isinstance(value, dict):
        return {
            key: part for key, inner in value.items() if (part := pruned(inner)) not in (None, "", [], {})
        }
    return [pruned(each) for each in value if each is not None] if isinstance(value, list) else value


def test_a_receipt_that_is_none_is_left_out_and_its_neighbours_stay() -> None:
    good = {**RECEIPT, "id": "c.d"}
    for bad in ("CANARY", 7, [RECEIPT], None):
        found = decode({"status": "FAILURE", "receipts": [bad, good]}, TaskSnapshot)
        assert [receipt.id for receipt in found.receipts] == ["c.d"]


@pytest.mark.parametrize("details", [None, "<array>", ["text"], {}, [], "", 7, [None], [[]]])
@pytest.mark.parametrize("code", [409, "409", None, 4.5, []])
def test_an_error_keeps_its_type_whatever_its_details(details: Any, code: Any) -> None:
    error = {"type": "ALREADY_EXISTS", "code": code, "message": "no", "details": details}
    snapshot = decode({"status": "FAILURE", "receipts": [{**RECEIPT, "error": error}]}, TaskSnapshot)
    for found in (decode(error, ErrorInfo), snapshot.receipts[0].error):
        assert (found.type, found.message) == ("ALREADY_EXISTS", "no")
        assert found.code == (409 if code == 409 else None)


@pytest.mark.parametrize(
    "execution", ["CANARY", 7, [1], {"status": 7}, {"status": None, "id": "x"}, {"new": 1}]
)
def test_a_pipeline_execution_that_cannot_be_read_is_not_taken_for_none(execution: Any) -> None:
    """A receipt without one proves that a record is stored."""
    snapshot = decode(
        {"status": "SUCCESS", "receipts": [{**RECEIPT, "pipelineExecution": execution}]}, TaskSnapshot
    )
    assert isinstance(snapshot.receipts[0].pipeline_execution, PipelineExecution)


@pytest.mark.parametrize("status", [None, "", 7, [], {}, "DONE"])
def test_a_receipt_without_a_known_status_proves_nothing(status: Any) -> None:
    for more in ({}, {"error": ERROR}):
        snapshot = decode(
            {"status": "SUCCESS", "receipts": [{**RECEIPT, "status": status, **more}]}, TaskSnapshot
        )
        assert snapshot.receipts[0].status not in set(TaskStatus)


@pytest.mark.parametrize("field", ["error", "pipelineExecution", "taskId", "receivedAt", "completedAt"])
@pytest.mark.parametrize("empty", [None, "", {}])
def test_empty_fields_of_receipts_prove_what_absent_ones_do(field: str, empty: Any) -> None:
    less = {key: value for key, value in RECEIPT.items() if key != field}
    expected = decode({"status": "SUCCESS", "receipts": [less]}, TaskSnapshot)
    assert decode({"status": "SUCCESS", "receipts": [{**less, field: empty}]}, TaskSnapshot) == expected


@pytest.mark.parametrize("kind", ["text", 7, None, "", "DATASOURCE"])
def test_a_source_of_an_unknown_type_is_kept(kind: Any) -> None:
    document = {**HEAD, "source": {**DATA_SOURCE, "type": kind}}
    found = decode(document, Partition)
    assert isinstance(found.source, OtherSource)
    assert found.to_dict() == document


def test_null_lists_of_a_partition_are_empty() -> None:
    found = decode({**HEAD, "source": {**DATA_SOURCE, "relationships": None, "collections": None}}, Partition)
    assert found.source == DataSource("ehr", ())
    nulls = {
        **MDM,
        "relationships": None,
        "collections": [{**CONNECTION, "mappings": None, "properties": None}],
    }
    (connection,) = decode({**HEAD, "source": nulls}, Partition).source.collections
    assert (connection.mappings, connection.properties) == ((), {})


@pytest.mark.parametrize("levels", [49, 51, 200, 400])
def test_an_error_that_is_nested_deep_keeps_its_type(levels: int) -> None:
    text = b'{"type":"INTERNAL","details":[' * levels + b"{}" + b"]}" * levels
    found = converter.decode(text, ErrorInfo)
    assert found.type == "INTERNAL"
    assert pickle.loads(pickle.dumps(found)) == found


# Keys given twice


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Ref, '{"id":"a","type":"t","id":"b"}'),
        (TaskSnapshot, '{"status":"FAILURE","status":"SUCCESS"}'),
        (
            TaskSnapshot,
            '{"status":"SUCCESS","receipts":[{"status":"FAILURE","action":"CREATE","status":"SUCCESS"}]}',
        ),
        (TaskSubmission, '{"taskId":"s_1","status":"ACCEPTED","taskId":"s_2"}'),
        (Relationship, json.dumps(RELATIONSHIP)[:-1] + ',"data":{"x":2}}'),
        (
            Relationship,
            json.dumps({**RELATIONSHIP, "data": {"x": {"y": 1}}}).replace('"y": 1', '"y": 1, "y": 2'),
        ),
        (Relationship, json.dumps({**RELATIONSHIP, "data": {"n": 2**70}})[:-1] + ',"id":"a.b"}'),
        (Resource, json.dumps(RESOURCE)[:-1] + ',"\\u0069d":"other"}'),
        (
            Resource,
            json.dumps({**RESOURCE, "data": {"q": "\\u0022"}}).replace("\\\\u", "\\u")[:-1] + ',"id":"b"}',
        ),
        (ErrorInfo, '{"type":"INTERNAL","type":"ALREADY_EXISTS"}'),
        (models.BrowsePage, '{"hits":[],"hits":[],"meta":{}}'),
    ],
)
def test_a_key_given_twice_is_refused(kind: type[Any], text: str) -> None:
    with pytest.raises(DecodeError) as caught:
        converter.decode(text.encode(), kind)
    assert caught.value.expected == "an object with each key once"


def test_texts_with_quotation_marks_are_not_taken_for_keys_given_twice() -> None:
    for data in ({"q": '"'}, {'"': '\\"'}, {"q": '\\u0022"'}, {"n": 2**70, "q": '"'}, {"d": [[[]]]}):
        document = {**RELATIONSHIP, "data": data}
        for ascii_only in (True, False):
            text = json.dumps(document, ensure_ascii=ascii_only).replace('\\"', "\\u0022")
            assert converter.decode(text.encode(), Relationship).data == data


# Drift


def counted(*documents: tuple[type[Any], Any]) -> Mapping[str, Mapping[str, int]]:
    drift = Drift()
    token = counting_drift.set(drift)
    try:
        for kind, document in documents:
            decode(document, kind)
    finally:
        counting_drift.reset(token)
    return drift.counts()


def test_documented_answers_do_not_drift() -> None:
    assert counted(*ANSWERS) == {}
    nulls = [(kind, {**document, "newNull": None}) for kind, document in ANSWERS]
    assert all(list(counts) == ["unknown field"] for counts in counted(*nulls).values())


def test_drift_names_paths_and_kinds_and_counts_them() -> None:
    odd = {**RECEIPT, "error": {**ERROR, "details": "CANARY"}, "newField": 1}
    found = counted(
        (TaskSnapshot, {"status": "FAILURE", "receipts": [odd, odd, "CANARY"]}),
        (TaskSnapshot, {"status": "CANARY"}),
        (Partition, {"key": "k", "modules": {"search": "CANARY"}, "source": DATA_SOURCE, "CANARY text": 1}),
        (Relationship, {**RELATIONSHIP, "meta": {"identifier": [{"period": 7}, 5]}}),
    )
    assert found == {
        "TaskSnapshot.receipts[].error.details": {"wrong type": 2},
        "TaskSnapshot.receipts[].newField": {"unknown field": 2},
        "TaskSnapshot.receipts[]": {"wrong type": 1},
        "TaskSnapshot.status": {"unknown value": 1},
        "Partition.modules.search": {"unknown value": 1},
        "Partition.*": {"unknown field": 1},
        "Relationship.meta.identifier[].period": {"wrong type": 1},
        "Relationship.meta.identifier[]": {"wrong type": 1},
    }
    assert "CANARY" not in str(found)


def test_unknown_fields_of_receipts_are_counted_without_the_converter() -> None:
    drift = Drift()
    token = counting_drift.set(drift)
    text = json.dumps({"status": "SUCCESS", "receipts": [{**RECEIPT, "revision": n} for n in range(50)]})
    snapshot = converter.decode(text.encode(), TaskSnapshot)
    counting_drift.reset(token)
    assert isinstance(snapshot.receipts, LazyReceipts)
    assert drift.counts() == {"TaskSnapshot.receipts[].revision": {"unknown field": 50}}
    assert [receipt.unknown_fields for receipt in snapshot.receipts][7] == {"revision": 7}


def test_drift_is_bounded() -> None:
    drift = Drift()
    for number in range(10 * LARGEST):
        drift.add(f"Source.field{number}", DriftKind.UNKNOWN_FIELD)
    counts = drift.counts()
    assert len(counts) <= LARGEST + len(DriftKind)
    assert sum(sum(kinds.values()) for kinds in counts.values()) == 10 * LARGEST


def test_the_documents_here_cover_every_documented_field() -> None:
    covered: dict[type[Any], set[str]] = {}
    for kind, document in ANSWERS:
        cover(decode(document, kind), covered)
    for kind, names in covered.items():
        all_names = {each.name for each in attrs.fields(kind)} - {"unknown_fields"}
        assert names == all_names - NOT_IN_EXAMPLES.get(kind, set()), kind
    assert len(covered) > 20
    assert examples.PARTITION


NOT_IN_EXAMPLES: Mapping[Any, set[str]] = {Relationship: {"includes"}, models.Period: {"id", "end"}}


def cover(value: Any, covered: dict[type[Any], set[str]]) -> None:
    if attrs.has(type(value)) and isinstance(value, models.Value):
        names = covered.setdefault(type(value), set())
        for attribute in attrs.fields(type(value)):
            part = getattr(value, attribute.name)
            if part is not None and attribute.name != "unknown_fields":
                names.add(attribute.name)
                cover(part, covered)
    elif isinstance(value, tuple | list | LazyReceipts):
        for part in value:
            cover(part, covered)
