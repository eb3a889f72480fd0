"""References of FHIR become relationships, by rules that each have a test."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from clinia_async import BadRecord, Blank, InputError, Record, escape_dots
from clinia_async.ingest.readers import fhir_reader as fhir
from tests.ingest.reading import Item, read_file, told

CANARY = "CANARY-7731"


def patient(**members: object) -> dict[str, object]:
    return {"resourceType": "Patient", "id": "pat-1", **members}


def to(reference: str, **members: object) -> dict[str, object]:
    return {"reference": reference, **members}


def bundle(*entries: tuple[str | None, dict[str, object]]) -> dict[str, object]:
    listed = [{**({"fullUrl": url} if url else {}), "resource": resource} for url, resource in entries]
    return {"resourceType": "Bundle", "type": "collection", "entry": listed}


def put(path: Path, content: str | bytes) -> None:
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def edges(items: object) -> list[tuple[str, str, str]]:
    """Type, from and to."""
    assert isinstance(items, list)
    lines = [json.loads(each.text) for each in items if isinstance(each, Record) and each.text]
    return [
        (line["type"], *(f"{line[end]['type']}/{line[end]['id']}" for end in ("from", "to")))
        for line in lines
    ]


async def read(path: Path, *values: object, **options: object) -> list[Item]:
    put(path, "".join(json.dumps(value) + "\n" for value in values))
    return list(await read_file(path, format="fhir", **options))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "input"


@pytest.mark.parametrize(
    ("reference", "target"),
    [
        ("Organization/9", "Organization/9"),
        ("Organization/9/_history/3", "Organization/9"),
        ("https://fhir.example.org/r4/Organization/9", "Organization/9"),
        ("http://fhir.example.org:8080/a/b/Organization/9/_history/3", "Organization/9"),
        ("urn:uuid:5f0c", "Practitioner/prac-1"),
        ("https://elsewhere.example.org/Thing/9", "Practitioner/prac-1"),
    ],
)
async def test_literal_references_lead_to_a_type_and_an_id(reference: str, target: str, path: Path) -> None:
    practitioner: dict[str, object] = {"resourceType": "Practitioner", "id": "prac-1"}
    listed = [("urn:uuid:5f0c", practitioner), ("https://elsewhere.example.org/Thing/9", practitioner)]
    found = await read(path, bundle((None, patient(generalPractitioner=[to(reference)])), *listed))
    type_ = f"Patient-generalPractitioner-{target.partition('/')[0]}"
    assert edges(found) == [(type_, "Patient/pat-1", target)]


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        (to("#p1"), "contained in the resource itself"),
        (to("Organization?identifier=x|y"), "conditional"),
        (
            {"identifier": {"value": "1"}, "type": "Organization", "display": "x"},
            "logical: an identifier alone",
        ),
        (to("urn:uuid:gone"), "a URN that is not in the Bundle"),
        (to("urn:oid:1.2"), "a URN that is not in the Bundle"),
        (to("Organization"), "no Type/id"),
        (to("ftp://x/Organization/9"), "no Type/id"),
        (to("Organization/9/x"), "no Type/id"),
        (to("organization/9"), "no Type/id"),
        (to("urn:uuid:two"), "its fullUrl stands for several resources"),
    ],
)
async def test_other_references_are_passed_over_and_counted(
    reference: dict[str, object], reason: str, path: Path
) -> None:
    passed_over: Counter[str] = Counter()
    two = [("urn:uuid:two", patient(id="x")), ("urn:uuid:two", patient(id="y"))]
    found = await read(
        path, bundle((None, patient(managingOrganization=reference)), *two), passed_over=passed_over
    )
    assert (found, passed_over) == ([], {reason: 1})


async def test_the_type_is_made_of_both_types_and_the_path(path: Path) -> None:
    encounter = {
        "resourceType": "Encounter",
        "id": "e",
        "participant": [{"individual": to("Practitioner/1")}, {"individual": to("Practitioner/2")}],
        "extension": [{"url": "x", "valueReference": to("Group/3")}],
        "contained": [{"resourceType": "Procedure", "id": "p", "subject": to("Patient/4")}],
        "identifier": [{"assigner": {"identifier": {"value": "a"}}}],
    }
    assert edges(await read(path, encounter)) == [
        ("Encounter-participant-individual-Practitioner", "Encounter/e", "Practitioner/1"),
        ("Encounter-participant-individual-Practitioner", "Encounter/e", "Practitioner/2"),
        ("Encounter-extension-valueReference-Group", "Encounter/e", "Group/3"),
        ("Encounter-contained-subject-Patient", "Encounter/e", "Patient/4"),
    ]


async def test_long_and_odd_paths_become_keys_that_differ(path: Path) -> None:
    def deep(last: str) -> dict[str, object]:
        return {"a-very-long-name-of-an-element": {"another-very-long-name-of-one": {last: to("Patient/1")}}}

    found = await read(
        path, patient(**deep("one")), patient(**deep("two")), patient(**{"é x": to("Patient/1")})
    )
    types = [type_ for type_, _, _ in edges(found)]
    assert len(set(types)) == 3
    assert all(re.fullmatch(r"[a-zA-Z0-9-][\w-]{0,61}", type_, re.ASCII) for type_ in types)
    assert types[2] == "Patient---x-Patient"


async def test_a_reference_given_twice_at_one_path_is_one(path: Path) -> None:
    twice = patient(
        generalPractitioner=[to("Practitioner/1"), to("Practitioner/1/_history/2"), to("Practitioner/2")]
    )
    assert [end for _, _, end in edges(await read(path, twice))] == ["Practitioner/1", "Practitioner/2"]
    assert len(edges(await read(path, twice, twice))) == 4, "in another line it is another record"


async def test_a_resource_without_an_id_goes_by_its_full_url(path: Path) -> None:
    unnamed = {"resourceType": "Patient", "managingOrganization": to("Organization/9")}
    found = await read(path, bundle(("urn:uuid:5f0c", unnamed), ("http://x/Patient/7", unnamed)), unnamed)
    assert [from_ for _, from_, _ in edges(found)] == ["Patient/5f0c", "Patient/7"]
    assert told(found) == [(2, "$.id", "is required where a resource refers to another")]


@pytest.mark.parametrize(
    ("text", "path_", "reason"),
    [
        ('{"resourceType":"Patient","resourceType":"X"}', "$", "each key once"),
        ('{"x":1}', "$.resourceType", "a string"),
        ("[]", "$", "an object"),
        ('{"resourceType":"Bundle","entry":{}}', "$.entry", "a list"),
        ('{"resourceType":"Bundle","entry":[1]}', "$.entry[0]", "an object"),
        ('{"resourceType":"Bundle","entry":[{"resource":1}]}', "$.entry[0].resource", "an object"),
        ('{"resourceType":"Patient","id":1}', "$.id", "a string"),
        (f'{{"resourceType":"{CANARY}","x":NaN}}', "$", "finite"),
        (f'{{"resourceType":"{CANARY}"', "$", "JSON"),
        (f'{{"resourceType":"{CANARY}","x":"\\ud800"}}', "$", "lone surrogates"),
        (f'{{"resourceType":"{CANARY}","x":{"[" * 400}{"]" * 400}}}', "$", "nesting"),
    ],
)
async def test_what_is_no_resource_is_told_and_its_neighbours_are_read(
    text: str, path_: str, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "input"
    fine = json.dumps(patient(managingOrganization=to("Organization/9")))
    put(path, f"{fine}\n\n{text}\n{fine}\n")
    found = await read_file(path, format="fhir")
    assert [type(each) for each in found] == [Record, Blank, BadRecord, Record]
    ((line, place, rule),) = told(found)
    assert (line, place, reason in rule) == (3, path_, True), rule
    assert CANARY not in repr(found[2])


@pytest.mark.parametrize("name", ["b.fhir.json", "b.fhir.ndjson.gz"])
@pytest.mark.parametrize("indent", [None, 2])
async def test_a_document_may_be_of_many_lines(name: str, indent: int | None, tmp_path: Path) -> None:
    import gzip

    path = tmp_path / name
    fine = patient(managingOrganization=to("Organization/9"))
    text = json.dumps(bundle((None, patient()), (None, fine), (None, fine)), indent=indent).encode()
    put(path, gzip.compress(text) if name.endswith(".gz") else text)
    found = await read_file(path)
    assert len(edges(found)) == 2
    assert [each.line for each in found] == ([1, 1] if indent is None else [2, 3])


async def test_the_size_of_a_document_is_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fhir, "LARGEST_DOCUMENT", 1000)
    fine = patient(managingOrganization=to("Organization/9"))
    found = await read(path, fine, patient(text="x" * 2000), fine)
    assert [type(each) for each in found] == [Record, BadRecord, Record]
    put(path, json.dumps(patient(text="x" * 2000), indent=1))
    with pytest.raises(InputError, match="document"):
        await read_file(path, format="fhir")


async def test_ids_with_dots_are_refused_or_escaped(path: Path) -> None:
    dotted = patient(id="a.1", managingOrganization=to("Organization/9"))
    assert told(await read(path, dotted))[0][:2] == (1, "$.from.id")
    (found,) = await read(path, dotted, map_id=escape_dots)
    assert isinstance(found, Record)
    assert found.key is not None
    assert found.key[2] == "a_2E1.9"
