"""The JSON of the reference pages works in Python as it is, and what the service answers can be sent back."""

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints
from uuid import UUID

import attrs
import pytest

from clinia_async import (
    CreateRelationship,
    DataSource,
    InvalidWrite,
    Mdm,
    Modules,
    OtherSource,
    Partition,
    PartitionJson,
    Ref,
    RefJson,
    Session,
    SourceCollection,
    UpsertResource,
    models,
)
from clinia_async.emulator import Emulator
from clinia_async.models import json_types
from tests.exchanges import EHR, PERSON, WORKS_AT, against, joined, sent
from tests.hostile import answer

PARTITION_PAGE: PartitionJson = {
    "modules": {"search": "STANDARD"},
    "source": {
        "type": "MDM",
        "sources": ["<string>"],
        "collections": [
            {
                "properties": {},
                "mappings": [{"source": "<string>", "type": "<string>", "propertyMappings": {}}],
                "key": "<string>",
                "traversedProperties": ["<string>"],
                "reconciliationRules": {"type": "SYSTEM", "rules": {}},
                "contained": {},
            }
        ],
        "relationships": [
            {
                "from": {"profileKey": "<string>", "includeKey": "<string>"},
                "to": {"profileKey": "<string>", "includeKey": "<string>"},
                "relationshipType": "<string>",
                "properties": {},
                "mappings": [{"source": "<string>", "type": "<string>", "propertyMappings": {}}],
                "reconciliationRules": {"type": "SYSTEM", "rules": {}},
            }
        ],
    },
}
"""The sample body of the page on creating a partition."""
RELATIONSHIP_PAGE = {
    "from": {"id": "<string>", "type": "<string>"},
    "to": {"id": "<string>", "type": "<string>"},
    "meta": {
        "createdAt": "2023-11-07T05:31:56Z",
        "updatedAt": "2023-11-07T05:31:56Z",
        "identifier": [
            {
                "id": "<string>",
                "system": "<string>",
                "value": "<string>",
                "use": "<string>",
                "period": {"id": "<string>", "start": "<string>", "end": "<string>"},
            }
        ],
    },
    "data": {},
}
"""The sample body of the page on creating a relationship."""


def filled(sample: Any) -> Any:
    """The sample body with something in place of each `<string>`."""
    return json.loads(json.dumps(sample).replace("<string>", "clinic-1"))


BODY = {"from": {"id": "a1", "type": "x"}, "to": {"id": "b1", "type": "y"}}
NO_SOURCE = DataSource("a", []).to_dict()
READY = {"key": "clinics", "status": "STATUS_READY"}


@pytest.mark.parametrize("way", ["dict", "text", "bytes", "path", "path as text", "parts", "value"])
async def test_the_sample_body_of_the_partition_page_is_sent_as_it_is(way: str, tmp_path: Path) -> None:
    body = filled(PARTITION_PAGE)
    path = tmp_path / "clinics.json"
    path.write_text(json.dumps(body, indent=2))
    ways: Mapping[str, Mapping[str, Any]] = {
        "dict": {"definition": body},
        "text": {"definition": f"\n{json.dumps(body)}"},
        "bytes": {"definition": json.dumps(body).encode()},
        "path": {"definition": path},
        "path as text": {"definition": str(path)},
        "parts": {"modules": body["modules"], "source": body["source"]},
        "value": {"definition": Partition.from_json(path.read_text().replace("{", '{"key": "", ', 1))},
    }
    async with against([answer({**body, **READY})]) as (session, server):
        partition = await (await session.create_partition("clinics", **ways[way]))
        assert isinstance(partition.source, Mdm)
        assert partition.to_dict() == {**body, **READY}
        assert sent(server) == body


async def test_the_sample_body_of_the_relationship_page_is_sent_as_it_is(tmp_path: Path) -> None:
    body = filled(RELATIONSHIP_PAGE)
    stored = {"id": "clinic-1.clinic-1", "type": WORKS_AT, **body}
    document = {"taskId": "s_1", "status": "PERSISTED", "relationship": stored}
    async with against([answer(document, 201)] * 5) as (session, server):
        parts = {"from_" if name == "from" else name: part for name, part in body.items()}
        path = tmp_path / "body.json"
        path.write_text(json.dumps(body))
        for given in (parts, {"body": body}, {"body": json.dumps(body)}, {"body": path}, {"body": stored}):
            found = await (await session.create_relationship(EHR, WORKS_AT, **given))
            assert sent(server, len(server.requests) - 1) == body
            assert found.to_dict() == stored


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"from": {"id": "a", "type": "b"}}, r"\$\.to: is required"),
        ({**BODY, "fromm": 1}, r"\$\.fromm: must be left out: it is unknown"),
        ({**BODY, "a b": 1}, r"\$\.\*: must be left out: it is unknown"),
        ({**BODY, "id": "other"}, r"\$\.id"),
        ({**BODY, "type": "other"}, r"\$\.type"),
        ({**BODY, "data": []}, r"\$\.data"),
        ({**BODY, "meta": {"createdAt": 7}}, r"\$\.meta\.createdAt"),
        ({**BODY, "from": {"id": 7, "type": "x"}}, r"\$\.from\.id"),
        ('{"from": {"id": "a", "id": "b", "type": "x"}}', "each key once"),
        (7, "must be an object"),
    ],
)
async def test_a_body_that_is_wrong_is_refused_before_sending(
    session: Session, emulator: Emulator, body: Any, message: str
) -> None:
    with pytest.raises(InvalidWrite, match=message):
        await session.create_relationship(EHR, WORKS_AT, body=body)
    with pytest.raises(InvalidWrite, match="body"):
        await session.create_relationship(EHR, WORKS_AT, body=body, data={})
    assert not emulator.requests


def test_the_data_of_a_body_in_text_keeps_every_digit() -> None:
    text = json.dumps(BODY)[:-1] + ', "data": {"n": 1.10000000000000000000001}}'
    assert b"1.10000000000000000000001" in (
        CreateRelationship.from_body(EHR, WORKS_AT, text).request().body or b""
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "definition"),
        ({"modules": Modules()}, "definition"),
        ({"definition": {}, "modules": Modules()}, "definition"),
        ({"definition": {"modules": {}, "source": {"type": "DATASOURCE"}}}, "DATA_SOURCE or MDM"),
        ({"definition": {"modules": {}}}, r"\$.source"),
        (
            {"definition": {"modules": {}, "source": DataSource("a", []).to_dict(), "stage": True}},
            r"\$.stage",
        ),
        ({"definition": '{"modules": {}, "modules": {}}'}, "each key once"),
        ({"definition": "no-such-file.json"}, "FileNotFoundError"),
        ({"definition": 7}, "must be an object"),
    ],
)
async def test_a_definition_that_is_wrong_is_refused_before_sending(
    session: Session, emulator: Emulator, given: Any, message: str
) -> None:
    with pytest.raises(InvalidWrite, match=message):
        await session.create_partition("clinics", **given)
    assert not emulator.requests


async def test_what_was_read_makes_an_equal_partition(session: Session) -> None:
    source = DataSource("ehr", [SourceCollection("clinic")], ["treats"])
    made = await (await session.create_partition("clinics", modules=Modules(), source=source))
    read = await session.get_partition("clinics")
    for number, definition in enumerate([read, read.to_dict(), read.to_json()]):
        again = await (await session.create_partition(f"copy-{number}", definition=definition))  # type: ignore[arg-type]
        assert attrs.evolve(again, key="clinics") == read == made


@pytest.mark.parametrize("kind", ["DATA_SOURCE", "SOMETHING_NEW"])
async def test_unknown_fields_of_an_answer_are_sent_back(kind: str) -> None:
    """Such as `traversedProperties` of the collections of a source, which no page shows."""
    collections = [{"key": "clinic", "traversedProperties": ["@at.since"], "more": {"a": None}}]
    source = {"type": kind, "key": "ehr", "collections": collections, "relationships": [], "new": 1}
    stored = {"source": source, "modules": {"search": "STANDARD", "new": [1]}, "new": True}
    async with against([answer({**stored, **READY})] * 2) as (session, server):
        read = await session.get_partition("clinics")
        assert isinstance(read.source, OtherSource) is (kind == "SOMETHING_NEW")
        await (await session.create_partition("clinics", definition=read))
        assert sent(server, 1) == stored


@pytest.mark.parametrize("kind", ["profile", "definition", "collection"])
async def test_definitions_of_a_source_are_taken_as_json_and_sent_back(kind: str) -> None:
    documents: Mapping[str, dict[str, Any]] = {
        "profile": {"type": "ROOT", "properties": {"name": {"type": "humanname"}}, "description": "d"},
        "definition": {
            "from": {"profileKey": "a", "includeKey": "b", "includeCardinality": "0:*"},
            "to": {"profileKey": "c", "includeKey": "d"},
            "properties": {},
        },
        "collection": {"type": "resources", "profile": {"properties": {}}},
    }
    document = documents[kind]
    async with against([answer({**document, "key": "k1", "newField": [1]})] * 3) as (session, server):
        put = {
            "profile": session.put_profile,
            "definition": session.put_relationship_definition,
            "collection": session.put_collection,
        }[kind]
        for given in (document, json.dumps(document)):
            found = await (await put(EHR, "k1", given))  # type: ignore[operator]
        assert sent(server, 0) == sent(server, 1) == document
        await (await put(EHR, "k1", found))  # type: ignore[operator]
        assert sent(server, 2) == {**document, "newField": [1]}


async def test_contained_resources_and_patches_are_taken_as_json(session: Session) -> None:
    office = {"type": "office", "data": {"room": 4}, "id": "main"}
    made = await (
        await session.create_resource(
            EHR,
            PERSON,
            id="prac-1",
            data={},
            contained={"offices": [office]},
            meta={"identifier": []},  # type: ignore[list-item]
        )
    )
    assert made.contained == {"offices": [office]}
    await (await session.create_relationship(EHR, WORKS_AT, from_=REF, to=Ref("org-9", "organization")))
    changed = await (
        await session.update_relationship(
            EHR, WORKS_AT, "prac-1.org-9", [{"op": "add", "path": "/role", "value": "x"}]
        )
    )
    assert changed.data == {"role": "x"}


REF: RefJson = {"id": "prac-1", "type": PERSON}


# Dates, times and decimals in data


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (date(2024, 2, 29), '"2024-02-29"'),
        (datetime(2024, 2, 29, 12, 30, tzinfo=UTC), '"2024-02-29T12:30:00Z"'),
        (datetime(2024, 2, 29, 12, 30, 1, 5, UTC), '"2024-02-29T12:30:01.000005Z"'),
        (datetime(2024, 2, 29, 12, 30, tzinfo=timezone(timedelta(hours=-5))), '"2024-02-29T12:30:00-05:00"'),
        (datetime(1, 1, 1, tzinfo=UTC), '"0001-01-01T00:00:00Z"'),
        (Decimal("1.10"), "1.10"),
        (Decimal("-0.0"), "-0.0"),
        (Decimal("3.141592653589793238462643383279502884197"), "3.141592653589793238462643383279502884197"),
        (Decimal("1E+300"), "1E+300"),
        (Decimal("1e-7"), "1E-7"),
        (Decimal(2**80), str(2**80)),
        (UUID("12345678-1234-5678-1234-567812345678"), '"12345678-1234-5678-1234-567812345678"'),
        (models.PatchOp.ADD, '"add"'),
        (2**70, str(2**70)),
    ],
)
def test_dates_and_decimals_in_data_are_sent_exactly(value: Any, text: str) -> None:
    data = {"a": value, "b": [{"c": value}, "text"], "n": None}
    wanted = f'{{"a":{text},"b":[{{"c":{text}}},"text"],"n":null}}'.encode()
    ends = (Ref("a", "x"), Ref("b", "y"))
    write = CreateRelationship(EHR, WORKS_AT, *ends, data)
    assert wanted in (write.request().body or b"")
    assert wanted in write.operation()
    assert wanted in write.to_line()
    assert wanted in (UpsertResource(EHR, PERSON, "p1", data=data).request().body or b"")
    assert write.reconciled(models.Relationship("a.b", WORKS_AT, *ends, json.loads(wanted))) is not None


def test_a_date_that_cannot_be_sent_exactly_is_refused_in_words() -> None:
    for value, rule in (
        (datetime(2024, 1, 1), "must be a datetime with a timezone"),  # noqa: DTZ001  naive on purpose
        (Decimal("NaN"), "must be a finite number that a double can hold"),
        (Decimal("1E+400"), "must be a finite number that a double can hold"),
        (timedelta(1), "must be a string, number, boolean, null, date, datetime, UUID, enum, list or object"),
    ):
        with pytest.raises(InvalidWrite) as caught:
            CreateRelationship(EHR, WORKS_AT, Ref("a", "x"), Ref("b", "y"), {"a": [value]}).request()
        assert (caught.value.path, caught.value.rule) == ("$.data.a[0]", rule)


# Types for type checkers


TYPED = {
    getattr(models, name.removesuffix("Json")): shape
    for name, shape in vars(json_types).items()
    if name.endswith("Json") and hasattr(shape, "__required_keys__") and name != "RelationshipBodyJson"
}


def test_every_value_that_can_be_sent_has_a_typed_dict() -> None:
    answers = {
        "BrowseMeta",
        "BrowsePage",
        "ErrorInfo",
        "Hit",
        "OtherRecord",
        "OtherSource",
        "Page",
        "PageMeta",
    }
    answers |= {"PipelineExecution", "PurgeOperation", "Receipt", "Source", "TaskSnapshot", "TaskSubmission"}
    values = {
        kind
        for kind in (getattr(models, name) for name in models.__all__)
        if isinstance(kind, type) and issubclass(kind, models.Value) and kind is not models.Value
    }
    assert values - set(TYPED) == {getattr(models, name) for name in answers}


@pytest.mark.parametrize("kind", TYPED, ids=lambda kind: kind.__name__)
def test_typed_dicts_have_the_fields_of_their_values(kind: type[Any]) -> None:
    shape = TYPED[kind]
    fields = [each for each in attrs.fields(kind) if each.name != "unknown_fields"]
    required = {models.value.wire_name(each.name) for each in fields if each.default is attrs.NOTHING}
    names = {models.value.wire_name(each.name) for each in fields}
    tagged = {"type"} if kind in {DataSource, Mdm} else set()
    set_by_the_service = {"key"} if kind is Partition else set()
    assert shape.__required_keys__ == (required | tagged) - set_by_the_service
    assert shape.__required_keys__ | shape.__optional_keys__ == names | tagged
    assert get_type_hints(shape)
    assert get_args(get_type_hints(shape)[next(iter(names))]) or get_origin(shape) is None


async def test_a_server_that_answers_with_more_is_read_back_and_counted() -> None:
    more = {**joined(), "revision": 7}
    async with against([answer({"status": "PERSISTED", "taskId": "s_1", "relationship": more}, 201)]) as (
        session,
        _,
    ):
        assert session.drift == {}
        await (await session.create_relationship(EHR, WORKS_AT, from_=REF, to=Ref("org-9", "organization")))
        assert session.drift == {"TaskSubmission.relationship.revision": {"unknown field": 1}}
