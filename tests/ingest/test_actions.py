"""What a line asks for: to create, upsert or delete, relationships and resources."""

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from clinia_async import (
    Action,
    BatchWrite,
    Contained,
    CreateRelationship,
    CreateResource,
    DeleteRelationship,
    DeleteResource,
    Identifier,
    Meta,
    RawJson,
    Record,
    Ref,
    RetrySafety,
    TargetType,
    UpsertRelationship,
    UpsertResource,
    escape_dots,
    read_ndjson,
)
from tests.ingest.reading import bad, good
from tests.ingest.running import SOURCE

A, B = Ref("a", "x"), Ref("b", "y")
ENDS = '"from":{"id":"a","type":"x"},"to":{"id":"b","type":"y"}'
EDGE = f'{{"type":"t",{ENDS}}}'
EDGE_WITH_DATA = f'{{"type":"t",{ENDS},"data":{{"n":1.10}}}}'
DATA = RawJson(b'{"n":1.10}')
RELATIONSHIP, RESOURCE = TargetType.RELATIONSHIP, TargetType.RESOURCE


def put(text: str, members: str) -> str:
    return "{" + members + "," + text[1:]


@pytest.mark.parametrize("name", ["action", "operation"])
@pytest.mark.parametrize("default", list(Action))
@pytest.mark.parametrize("kind", [CreateRelationship, UpsertRelationship])
def test_a_relationship_says_its_action_over_the_default(
    name: str, default: Action, kind: type[CreateRelationship | UpsertRelationship]
) -> None:
    found = good(put(EDGE_WITH_DATA, f'"{name}":"{kind.action}"'), action=default)
    assert found.write == kind(SOURCE, "t", A, B, DATA)
    assert (found.key, found.target, found.action) == ((RELATIONSHIP, "t", "a.b"), RELATIONSHIP, kind.action)
    assert (found.retry_safety, found.source) == (kind.retry_safety, SOURCE)
    wanted = f'{{"action":"{kind.action}","{kind.action.lower()}":{EDGE_WITH_DATA}}}'
    assert found.operation() == wanted.encode()
    assert good(EDGE_WITH_DATA, action=kind.action).operation() == wanted.encode()


@pytest.mark.parametrize("text", [EDGE, put(EDGE, '"id":"a.b"'), EDGE.replace(',"type":"y"', ""), f" {EDGE}"])
def test_a_relationship_to_delete_names_it_and_no_more(text: str) -> None:
    for found in (good(put(text.strip(), '"action":"DELETE"')), good(text, action=Action.DELETE)):
        assert found.write == DeleteRelationship(SOURCE, "t", "a.b")
        assert (found.key, found.action) == ((RELATIONSHIP, "t", "a.b"), Action.DELETE)
        assert found.retry_safety == RetrySafety.IDEMPOTENT
        assert json.loads(found.operation()) == {"action": "DELETE", "delete": {"id": "a.b", "type": "t"}}


RESOURCE_LINE = (
    '{"type":"patient","id":"p-1","data":{"n":1.10},"meta":{"createdAt":"2020-01-01T00:00:00Z"},'
    '"contained":{"o":[{"type":"q","data":{}}]}}'
)


@pytest.mark.parametrize("kind", [CreateResource, UpsertResource])
def test_a_resource_says_all_that_it_is(kind: type[CreateResource | UpsertResource]) -> None:
    contained = {"o": (Contained("q", {}),)}
    meta = Meta(datetime(2020, 1, 1, tzinfo=UTC))
    for text, action in (
        (RESOURCE_LINE, kind.action),
        (put(RESOURCE_LINE, f'"action":"{kind.action}"'), Action.DELETE),
    ):
        found = good(text, action=action)
        assert found.write == kind(SOURCE, "patient", "p-1", data=DATA, meta=meta, contained=contained)
        assert (found.key, found.target) == ((RESOURCE, "patient", "p-1"), RESOURCE)
        assert found.operation().endswith(RESOURCE_LINE.encode() + b"}")
        assert found.action == kind.action


@pytest.mark.parametrize(
    "text", ['{"type":"patient","data":{}}', '{"type":"patient","id":"@rootId","data":{}}']
)
def test_a_resource_whose_id_the_service_makes_has_no_key_and_is_sent_once(text: str) -> None:
    found = good(text)
    assert (found.key, found.retry_safety, found.action) == (None, RetrySafety.ONCE, Action.CREATE)
    assert isinstance(found.write, CreateResource)
    assert good('{"type":"patient","id":"p-1","data":{}}').retry_safety == RetrySafety.KEYED


def test_a_resource_to_delete_names_it_and_no_more() -> None:
    found = good('{"type":"patient","id":"p-1","action":"DELETE"}')
    assert found.write == DeleteResource(SOURCE, "patient", "p-1")
    assert json.loads(found.operation()) == {"action": "DELETE", "delete": {"id": "p-1", "type": "patient"}}


@pytest.mark.parametrize(
    ("text", "path", "reason"),
    [
        (put(EDGE, '"id":"a.c"'), "$.id", "must be {from.id}.{to.id}"),
        (put(EDGE, '"id":null'), "$.id", "must be {from.id}.{to.id}"),
        (put(EDGE, '"action":"MERGE"'), "$.action", "CREATE, UPSERT or DELETE"),
        (put(EDGE, '"action":"create"'), "$.action", "CREATE, UPSERT or DELETE"),
        (put(EDGE, '"operation":1'), "$.operation", "CREATE, UPSERT or DELETE"),
        (put(EDGE, '"action":null'), "$.action", "CREATE, UPSERT or DELETE"),
        (put(EDGE, '"action":"CREATE","operation":"CREATE"'), "$.operation", "beside action"),
        (put(EDGE_WITH_DATA, '"action":"DELETE"'), "$.data", "left out of a DELETE"),
        (put(EDGE, '"meta":{},"action":"DELETE"'), "$.meta", "left out of a DELETE"),
        (put(EDGE, '"contained":{}'), "$", "nothing but"),
        ('{"type":"t","action":"DELETE"}', "$.from", "is required"),
        (put(EDGE.replace('"a"', '"a.b"'), '"action":"DELETE"'), "$.from.id", "escape_dots"),
        ('{"type":"p","id":"p-1"}', "$.data", "is required"),
        ('{"type":"p","id":"p-1","data":null}', "$.data", "an object"),
        ('{"type":"p","id":1,"data":{}}', "$.id", "a string"),
        ('{"type":"p","id":"a.b","data":{}}', "$.id", "ASCII letters"),
        ('{"type":"p","data":{},"action":"UPSERT"}', "$.id", "is required"),
        ('{"type":"p","action":"DELETE","data":{}}', "$.data", "left out of a DELETE"),
        ('{"type":"p","id":"p-1","data":{},"x":1}', "$", "nothing but"),
        ('{"type":"p","data":{},"contained":{"CANARY":{}}}', "$.contained", "lists of"),
        ('{"type":"p","data":{},"contained":{"o":[{"data":{}}]}}', "$.contained", "lists of"),
        ('{"data":{}}', "$.type", "is required"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_by_place_and_rule(text: str, path: str, reason: str) -> None:
    found = bad(text)
    assert (found.path, reason in found.reason) == (path, True), found
    assert "CANARY" not in repr(found)


def test_the_id_of_a_relationship_is_that_of_the_line_whatever_is_done_to_dots() -> None:
    text = put(EDGE.replace('"a"', '"A00.1"'), '"operation":"UPSERT","id":"A00.1.b"')
    found = good(text, map_id=escape_dots)
    assert isinstance(found.write, UpsertRelationship)
    assert found.write.from_.id == "A00_2E1"
    assert json.loads(found.operation())["upsert"]["from"]["id"] == "A00_2E1"
    assert bad(put(text.replace("A00.1.b", "A00_2E1.b"), '"x":1'), map_id=escape_dots)


def test_what_changes_leaves_every_other_byte_as_it_is() -> None:
    text = (
        '{ "action":"UPSERT", "data": { "n":1.10, "e" : 1E5 }, "type":"t",'
        + ENDS.replace('"a"', '"a.1"')
        + "}"
    )
    sent = good(text, map_id=escape_dots).operation()
    assert b'{ "n":1.10, "e" : 1E5 }' in sent
    assert b'"action":"UPSERT","upsert"' in sent
    assert sent.count(b"action") == 1


WRITES: list[BatchWrite] = [
    CreateRelationship(SOURCE, "t", A, B, {"n": 1}),
    UpsertRelationship(SOURCE, "t", A, B),
    DeleteRelationship(SOURCE, "t", "a.b"),
    CreateResource(SOURCE, "p", data={"n": 1}),
    UpsertResource(SOURCE, "p", "p-1", data={}, meta=Meta(identifier=[Identifier(system="s", value="v")])),
    DeleteResource(SOURCE, "p", "p-1"),
]


@pytest.mark.parametrize("write", WRITES)
def test_a_write_of_python_is_a_record_as_it_is(write: BatchWrite) -> None:
    found = Record(3, write)
    assert (found.line, found.position, found.write, found.text) == (3, 0, write, None)
    assert (found.target, found.action, found.retry_safety) == (
        write.target,
        write.action,
        write.retry_safety,
    )
    assert found.source == SOURCE
    assert found.key == (None if write.id is None else (write.target, write.type, write.id))
    assert found.operation() == write.operation()


def test_no_repr_shows_an_id_or_data() -> None:
    for text in (EDGE, RESOURCE_LINE, put(EDGE, '"action":"DELETE"')):
        found = good(text.replace('"a"', '"CANARY"').replace('"p-1"', '"CANARY"').replace("1.10", '"CANARY"'))
        assert "CANARY" not in repr(found)


async def test_lines_with_redundant_members_are_read_as_the_same_records(tmp_path: Path) -> None:
    path = Path(__file__).parent.parent / "data" / "practises-at-100k.ndjson.gz"
    lines = gzip.decompress(path.read_bytes()).splitlines()[:500]
    marked = tmp_path / "marked.ndjson"
    with marked.open("w", encoding="utf-8") as file:
        for line in map(json.loads, lines):
            id_ = f"{line['from']['id']}.{line['to']['id']}"
            file.write(json.dumps({"operation": "UPSERT", "id": id_, **line}, ensure_ascii=False) + "\n")
    found = [each async for each in read_ndjson(marked, SOURCE)]
    assert all(isinstance(each, Record) and each.action == Action.UPSERT for each in found)
    sent = [json.loads(each.operation())["upsert"] for each in found if isinstance(each, Record)]
    assert sent == [json.loads(line) for line in lines]
