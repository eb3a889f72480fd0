"""Another `fullUrl` is another resource: no two of them become one, whatever ids they hold."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinia_async import BadRecord, Record
from tests.ingest.reading import Item, read_file

OPAQUE = ["urn:uuid:a", "urn:uuid:b", "urn:oid:1.2", "https://h.example/no-type/1"]
TYPES = ["collection", "transaction", "batch", "document", "searchset", "history"]


def address(id_: str) -> str:
    return f"https://h.example/fhir/Patient/{id_}"


PATIENTS = st.lists(
    st.tuples(st.sampled_from([*OPAQUE, None]), st.sampled_from(["p-1", "p-2"])),
    min_size=1,
    max_size=6,
    unique_by=lambda each: each[0] or each[1],
)


def bundle(type_: str, patients: list[tuple[str, str]]) -> dict[str, Any]:
    entries: list[dict[str, Any]] = []
    for number, (url, id_) in enumerate(patients):
        general = [{"reference": f"Practitioner/d-{number}"}]
        resource = {"resourceType": "Patient", "id": id_, "generalPractitioner": general}
        entries.append(
            {"fullUrl": url, "resource": resource, "request": {"method": "POST", "url": "Patient"}}
        )
    for number, (url, _) in enumerate(patients):
        resource = {"resourceType": "Observation", "id": f"o-{number}", "subject": {"reference": url}}
        entries.append({"resource": resource, "request": {"method": "POST", "url": "Observation"}})
    return {"resourceType": "Bundle", "type": type_, "entry": entries}


def ends(found: list[Item]) -> list[tuple[str, str]]:
    lines = [json.loads(each.text or b"") for each in found if isinstance(each, Record)]
    return sorted((line["from"]["id"], line["to"]["id"]) for line in lines)


async def read(text: str) -> list[Item]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "x.fhir.json"
        path.write_text(text)
        return list(await read_file(path))


@given(drawn=PATIENTS, type_=st.sampled_from(TYPES), indent=st.sampled_from([None, 1]))
async def test_what_two_full_urls_share_is_bad_and_nothing_leads_to_it(
    drawn: list[tuple[str | None, str]], type_: str, indent: int | None
) -> None:
    patients = [(url or address(id_), id_) for url, id_ in drawn]
    found = await read(json.dumps(bundle(type_, patients), indent=indent))
    ids = [id_ for _, id_ in patients]
    alone = [(number, id_) for number, id_ in enumerate(ids) if ids.count(id_) == 1]
    wanted = [(id_, f"d-{number}") for number, id_ in alone] + [(f"o-{number}", id_) for number, id_ in alone]
    assert ends(found) == sorted(wanted)
    shared = [id_ for id_ in ids if ids.count(id_) > 1]
    # of a history the last version alone would be loaded
    assert sum(isinstance(each, BadRecord) for each in found) == len(
        {*shared} if type_ == "history" else shared
    )


@pytest.mark.parametrize("indent", [None, 1])
async def test_a_letter_stays_bad_until_its_id_is_mended(indent: int | None) -> None:
    text = json.dumps(bundle("transaction", [("urn:uuid:a", "p-1"), ("urn:uuid:b", "p-1")]), indent=indent)
    letters = [each.text or b"" for each in await read(text) if isinstance(each, BadRecord)]
    assert len(letters) == 2
    for letter, mended in zip(letters, ("p-3", "p-4"), strict=True):
        (again,) = await read(letter.decode())
        assert isinstance(again, BadRecord)
        entry = letter.rpartition(b'"resource":')
        right = b"".join((*entry[:2], entry[2].replace(b'"p-1"', f'"{mended}"'.encode())))
        assert [one for one, _ in ends(await read(right.decode()))] == [mended]
