"""Small files of many kinds, each with its right value (tests/data/files)."""

import json
from collections import Counter
from pathlib import Path

import pytest

from clinia_async import InputError, Record, read_records
from tests.ingest.reading import Item, reported
from tests.ingest.running import SOURCE

FILES = Path(__file__).parents[2] / "data" / "files"

REFERENCES = {
    "f01-nested-bundle.fhir.json": [
        ("Observation/o1", "Patient/p1"),
        ("Observation/o2", "Patient/p1"),
        ("Observation/o3", "Patient/p2"),
    ],
    "f01-parameters.fhir.json": [("Consent/c1", "Patient/p1"), ("Coverage/v1", "Patient/p1")],
    "f01-inner-full-url.fhir.json": [("Encounter/e1", "Patient/p1")],
    "f02-two-servers.fhir.json": [
        ("Observation/x", "Patient/1"),
        ("Observation/y_40http_3A_2F_2Fb_2Eexample_2Ffhir", "Patient/1_40http_3A_2F_2Fb_2Eexample_2Ffhir"),
    ],
    "f05-history.fhir.json": [("Observation/o", "Patient/right")],
    "f05-patch-in-a-transaction.fhir.json": [],
    "f06-id-with-underscore.fhir.json": [
        ("Observation/o_1", "Patient/p_1"),
        ("Observation/o_2", "Patient/p_1"),
    ],
    "f07-resources-too.fhir.json": [("Observation/obs-1", "Patient/pat-1")],
    "f08-conditional-found-in-the-bundle.fhir.json": [("Encounter/e", "Practitioner/dr")],
    "m01-array.fhir.json": [("Observation/o1", "Patient/p1"), ("Observation/o2", "Patient/p1")],
    "k01-flat.fhir.json": [("Observation/o1", "Patient/p1"), ("Observation/o2", "Patient/p1")],
}
WITH_FAULTS = {
    "f03-first-line-cut.fhir.ndjson": (
        [("Observation/o2", "Patient/2"), ("Observation/o3", "Patient/3")],
        ["$", "$"],
    ),
    "f04-one-bad-entry.fhir.json": (
        [(f"Observation/o{n}", f"Patient/p{n}") for n in range(3)],
        ["$.entry[0].resource.id"],
    ),
    "f04-no-resource-type.fhir.json": (
        [(f"Observation/o{n}", f"Patient/p{n}") for n in range(2)],
        ["$.entry[1].resource.resourceType"],
    ),
    "d01-numeric-id.fhir.json": ([("Observation/o0", "Patient/p0")], ["$.entry[1].resource.id"]),
    "x01-600-levels.fhir.ndjson": ([("Observation/o1", "Patient/p1")], ["$"]),
}
REFUSED = {
    "a01-two-files.tar.gz": "a tar archive",
    "m01-Patient.ndjson": "--format fhir",
    "m02-utf16.fhir.json": "UTF-8",
}


async def read(name: str, **options: object) -> list[Item]:
    return [each async for each in read_records(FILES / name, SOURCE, **options)]  # type: ignore[arg-type]


def ends(found: list[Item]) -> list[tuple[str, str]]:
    lines = [json.loads(each.text or b"") for each in found if isinstance(each, Record)]
    return [(f"{x['from']['type']}/{x['from']['id']}", f"{x['to']['type']}/{x['to']['id']}") for x in lines]


@pytest.mark.parametrize("name", REFERENCES)
async def test_references_of_fhir_lead_from_the_innermost_resource(name: str) -> None:
    found = await read(name)
    assert reported(found) == []
    assert ends(found) == REFERENCES[name]


@pytest.mark.parametrize("name", WITH_FAULTS)
async def test_a_bad_entry_costs_itself(name: str) -> None:
    found = await read(name)
    wanted, paths = WITH_FAULTS[name]
    assert ends(found) == wanted
    assert [path for _, path, _ in reported(found)] == paths


@pytest.mark.parametrize("name", REFUSED)
async def test_what_cannot_be_read_is_named(name: str) -> None:
    with pytest.raises(InputError, match=REFUSED[name]):
        await read(name)


async def test_extensions_are_distinguished_by_their_url() -> None:
    found = await read("f10-two-extensions.fhir.json")
    assert len({each.key for each in found if isinstance(each, Record)}) == 2


@pytest.mark.parametrize("name", ["x01-600-levels.fhir.ndjson", "m03-500-levels.ndjson"])
async def test_too_many_levels_are_one_bad_line(name: str) -> None:
    assert "levels of nesting" in reported(await read(name))[0][2]


@pytest.mark.parametrize("name", ["a01-stored.zip", "a01-records.ndjson.bz2"])
async def test_containers_of_the_standard_library_are_read(name: str) -> None:
    assert [type(each) for each in await read(name)] == [Record] * 10


async def test_what_stands_before_damage_is_given() -> None:
    found = []

    async def read_all() -> None:
        async for each in read_records(FILES / "a02-garbage-after-frame.ndjson.zst", SOURCE):
            found.append(each)  # noqa: PERF401  what came before the error counts

    with pytest.raises(InputError, match="damaged"):
        await read_all()
    assert len(found) == 10


async def test_every_digit_of_a_number_is_kept() -> None:
    (found,) = await read("k01-every-digit.ndjson")
    assert isinstance(found, Record)
    assert found.payload() == (FILES / "k01-every-digit.ndjson").read_bytes().strip()


async def test_what_is_passed_over_is_counted() -> None:
    counts: Counter[str] = Counter()
    await read("f05-history.fhir.json", passed_over=counts)
    await read("f05-patch-in-a-transaction.fhir.json", passed_over=counts)
    assert counts == {
        "in an earlier version": 1,
        "in what a PATCH changes": 1,
        "to be changed by a PATCH": 1,
    }
