"""Ids that are mapped: a relationship leads to the resource of the same input, in whatever format it is."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from clinia_async import BadRecord, ColumnMapping, InvalidWrite, Record, TargetType, escape_dots
from tests.ingest.reading import read_file

IDS = ["a.1", "b_2", "c-3", "d.4_5"]
FHIR_IDS = ["a.1", "b-2", "c-3", "d.4.5"]
"""An underscore is none of FHIR's."""
MAPPINGS = [escape_dots, lambda id_: f"hospital-{id_}".replace(".", "-")]


def after(ids: list[str]) -> Iterable[tuple[str, str]]:
    """Each id with the one before it."""
    return zip(ids, [ids[-1], *ids[:-1]], strict=True)


def lines(**more: str) -> list[str]:
    resources = [{"type": "person", "id": each} for each in IDS]
    knows = [
        {"from": {"id": one, "type": "person"}, "to": {"id": other, "type": "person"}}
        for one, other in after(IDS)
    ]
    data = {} if more else {"data": {"n": 1}}
    written = [{**each, "data": {"n": 1}, **more} for each in resources]
    written += [{"type": "knows", **each, **data, **more} for each in knows]
    return [json.dumps(each) for each in written]


def deletes() -> str:
    known = [json.loads(each) for each in lines()]
    return "".join(json.dumps({key: each[key] for key in each if key != "data"}) + "\n" for each in known)


def bundle() -> str:
    patients = [
        {"resourceType": "Patient", "id": one, "link": [{"other": {"reference": f"Patient/{other}"}}]}
        for one, other in after(FHIR_IDS)
    ]
    return json.dumps(
        {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": e} for e in patients]}
    )


INPUTS: dict[str, tuple[str, str, list[str], dict[str, Any]]] = {
    "plain lines": ("x.ndjson", "\n".join(lines()), IDS, {}),
    "upserts": ("x.ndjson", "\n".join(lines()), IDS, {"action": "UPSERT"}),
    "lines with actions": ("x.ndjson", "\n".join(lines(action="UPSERT")), IDS, {}),
    "line by line": ("x.ndjson", "\n\n".join(f" {each}" for each in lines()), IDS, {}),
    "deletes": ("x.ndjson", deletes(), IDS, {"action": "DELETE"}),
    "json": ("x.json", f"[{', '.join(lines())}]", IDS, {}),
    "fhir": ("x.fhir.json", bundle(), FHIR_IDS, {"fhir": "both"}),
}


@pytest.mark.parametrize("map_id", MAPPINGS)
@pytest.mark.parametrize("name", INPUTS)
async def test_relationships_lead_to_the_resources_of_the_same_input(
    name: str, map_id: Callable[[str], str], tmp_path: Path
) -> None:
    file, text, ids, options = INPUTS[name]
    (tmp_path / file).write_text(text)
    resources, ends = set[str](), set[str]()
    for each in await read_file(tmp_path / file, map_id=map_id, **options):
        if not isinstance(each, Record):
            assert not isinstance(each, BadRecord), each
            continue
        assert each.key is not None
        assert each.write.id == each.key[2]
        if each.target is TargetType.RESOURCE:
            assert json.loads(each.payload())["id"] == each.key[2]
            resources.add(each.key[2])
        else:
            ends |= {*each.key[2].split(".")}
    assert ends == resources == {map_id(each) for each in ids}


@pytest.mark.parametrize("map_id", MAPPINGS)
@pytest.mark.parametrize("kind", ["", ":str"])
async def test_a_table_of_resources_has_the_ids_that_relationships_lead_to(
    kind: str, map_id: Callable[[str], str], tmp_path: Path
) -> None:
    path = tmp_path / "x.csv"
    path.write_text("id,n\n" + "".join(f"{each},1\n" for each in IDS))
    columns = ColumnMapping.parse(f"type==person,id{kind}=id,data.n=n")
    found = await read_file(path, map_id=map_id, columns=columns)
    assert [isinstance(each, Record) and each.key and each.key[2] for each in found] == [*map(map_id, IDS)]


ONE_LINE = {
    "resource": '{"type":"t","id":?,"data":{}}',
    "upsert of a resource": '{"type":"t","id":?,"data":{},"action":"UPSERT"}',
    "delete of a resource": '{"type":"t","id":?,"action":"DELETE"}',
    "from": '{"type":"t","from":{"id":?,"type":"p"},"to":{"id":"aa","type":"p"}}',
    "to": '{"type":"t","from":{"id":"aa","type":"p"},"to":{"id":?,"type":"p"},"action":"UPSERT"}',
    "delete of a relationship": '{"type":"t","from":{"id":?},"to":{"id":"aa"},"action":"DELETE"}',
}
KNOWN = {"aa": "A1", "cc": "C1"}


def refused(id_: str) -> str:
    if id_ not in KNOWN:
        raise InvalidWrite("$.id", "must be known")
    return KNOWN[id_]


def failed(error: type[Exception]) -> Callable[[str], str]:
    def map_id(id_: str) -> str:
        if id_ not in KNOWN:
            raise error
        return KNOWN[id_]

    return map_id


@pytest.mark.parametrize("kind", ONE_LINE)
@pytest.mark.parametrize(
    ("id_", "map_id"),
    [
        *((id_, escape_dots) for id_ in (1, None, True, [], {})),
        *((id_, lambda id_: f"x{id_}") for id_ in (1, None, True, [], {})),
        ("bb", refused),
        ("bb", KNOWN.get),
        ("bb", lambda id_: KNOWN.get(id_, 7)),
    ],
)
async def test_an_id_that_cannot_be_mapped_costs_its_record_alone(
    kind: str, id_: object, map_id: Any, tmp_path: Path
) -> None:
    """No other record goes without its mapping, and none that is wrong becomes right by it."""
    path, line = tmp_path / "x.ndjson", ONE_LINE[kind]
    good = [line.replace("?", json.dumps(each)) for each in KNOWN]
    path.write_text("\n".join([*good, line.replace("?", json.dumps(id_)), *good]))
    found = await read_file(path, map_id=map_id)
    assert [isinstance(each, Record) for each in found] == [True, True, False, True, True]
    mapped = {map_id(each) for each in KNOWN}
    for each in found:
        if isinstance(each, Record):
            assert each.key is not None
            assert {*each.key[2].split(".")} <= mapped
        else:
            assert isinstance(each, BadRecord)


@pytest.mark.parametrize("kind", ONE_LINE)
@pytest.mark.parametrize("error", [KeyError, AttributeError, TypeError, ValueError])
async def test_what_a_mapping_raises_ends_the_reading(
    kind: str, error: type[Exception], tmp_path: Path
) -> None:
    """With the ids as they stand, others would be written and deleted than were meant."""
    path = tmp_path / "x.ndjson"
    path.write_text("\n".join(ONE_LINE[kind].replace("?", json.dumps(each)) for each in ("aa", "bb", "cc")))
    with pytest.raises(error):
        await read_file(path, map_id=failed(error))
