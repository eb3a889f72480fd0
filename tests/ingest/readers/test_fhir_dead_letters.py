"""The dead letter of an entry, once it is mended, gives what the entry would have given in its own Bundle."""

import json
from pathlib import Path
from typing import Any

import pytest

from clinia_async import BadRecord, Disposition, Record, RecordOutcome
from clinia_async.ingest.outcomes.dead_letters import dead_letter
from tests.ingest.reading import Item, read_file

Json = dict[str, Any]


def entry(type_: str, id_: object, *references: str, **more: object) -> Json:
    resource: Json = {"resourceType": type_, "id": id_}
    resource |= {f"to{number}": {"reference": text} for number, text in enumerate(references)}
    return {"resource": resource, **more}


def bundle(*entries: Json, of: str = "collection") -> Json:
    return {"resourceType": "Bundle", "type": of, "entry": [*entries]}


def put(url: str, **more: object) -> Json:
    return {"request": {"method": "PUT", "url": url}, **more}


def doctor(id_: str, system: str, **more: object) -> Json:
    made = entry("Practitioner", id_, **more)
    made["resource"]["identifier"] = [{"system": system, "value": "1"}]
    return made


def noted(note: str, *references: str) -> Json:
    found = entry("Encounter", 12, *references)
    return {"resource": {"note": note, **found["resource"]}}


PATIENT = entry("Patient", "p-x", fullUrl="http://h/f/Patient/p1")
URN = entry("Patient", "p-9", fullUrl="urn:uuid:9")
CASES: dict[str, object] = {
    "a conditional reference": bundle(
        doctor("dr", "s"), entry("Encounter", 12, "Practitioner?identifier=s|1")
    ),
    "one without a system": bundle(doctor("dr", "s"), entry("Encounter", 12, "Practitioner?identifier=1")),
    "one of several": bundle(
        doctor("d-1", "s"),
        doctor("d-2", "t"),
        entry("Encounter", 12, *(f"Practitioner?identifier={each}1" for each in ("", "|", "s|", "t%7C"))),
    ),
    "one to another server": bundle(
        PATIENT,
        doctor("dr", "s", fullUrl="http://b/Practitioner/dr"),
        entry("Encounter", 12, "Practitioner?identifier=s|1"),
    ),
    "a relative reference to another id": bundle(
        PATIENT, entry("Encounter", 12, "Patient/p1", fullUrl="http://h/f/Encounter/e-12")
    ),
    "a version": bundle(PATIENT, entry("Encounter", 12, "http://h/f/Patient/p1/_history/2")),
    "another server": bundle(
        PATIENT, entry("Encounter", 12, "Patient/p1", fullUrl="http://b/f/Encounter/e-12")
    ),
    "a URL of several": bundle(
        PATIENT, entry("Patient", "p-y", fullUrl="http://h/f/Patient/p1"), entry("Encounter", 12, "http://h/f/Patient/p1")
    ),
    "a deleted one": bundle(
        {"request": {"method": "DELETE", "url": "Patient/p1"}},
        entry("Encounter", 12, "Patient/p1", **put("Encounter/e-12")),
        of="history",
    ),
    "the server around": bundle(
        PATIENT,
        entry("Patient", "p-z", fullUrl="urn:uuid:z"),
        {
            "fullUrl": "http://b/f/Bundle/b-b",
            "resource": {
                **bundle(URN, entry("Encounter", 12, "Patient/p1", "urn:uuid:9", "urn:uuid:z", "http://h/f/Patient/p1")),
                "id": "b-b",
            },
        },
    ),
    "a list": [entry("Encounter", 12, "Patient/p1")["resource"], PATIENT["resource"]],
    "Parameters": {
        "resourceType": "Parameters",
        "parameter": [{"name": "x", **entry("Encounter", 12, "Patient/p1")}],
    },
    **{
        f"beside {note!r}": bundle(URN, noted(note, "urn:uuid:9"))
        for note in ("a\nb", "\\", '"', 'a"', '"a', "\\\\\n\"", "é\u2028", "{", "x" * 3000 + "\n")
    },
}  # fmt: skip


def shown(items: list[Item]) -> list[object]:
    return sorted(str(json.loads(each.text or b"")) for each in items if isinstance(each, Record))


def mended(text: str) -> str:
    return text.replace('"id": 12', '"id": "e-12"').replace('"id":12', '"id":"e-12"')


def dead_letters_of(items: list[Item]) -> list[Json]:
    bad = [each for each in items if isinstance(each, BadRecord)]
    return [json.loads(dead_letter(RecordOutcome(each, Disposition.INVALID, each.reason))) for each in bad]


def put_dead_letter(path: Path, letter: Json) -> None:
    path.write_text(json.dumps(letter, separators=(",", ":")) + "\n")


@pytest.mark.parametrize("fhir", ["references", "resources"])
@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("case", CASES)
async def test_a_mended_dead_letter_leads_where_its_entry_led(
    case: str, indent: int | None, fhir: str, tmp_path: Path
) -> None:
    path, whole, letters = (tmp_path / name for name in ("x.fhir.json", "right.fhir.json", "x.dead.ndjson"))
    text = json.dumps(CASES[case], indent=indent)
    path.write_text(text)
    whole.write_text(mended(text))
    first = [*await read_file(path, fhir=fhir)]
    (letter,) = dead_letters_of(first)
    about = letter["deadLetter"]
    put_dead_letter(letters, letter)
    (again,) = dead_letters_of([*await read_file(letters, fhir=fhir)])
    assert again["deadLetter"]["text"] == about["text"], "the original, once"
    about["text"] = mended(about["text"])
    put_dead_letter(letters, letter)
    found = [*first, *await read_file(letters, fhir=fhir)]
    assert shown(found) == shown([*await read_file(whole, fhir=fhir)])
