"""A FHIR file alone goes into an empty source that takes only what is defined, and comes out as it was."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from clinia_async import (
    BadRecord,
    ChunkLimits,
    ConfigError,
    Disposition,
    FhirContent,
    Ingestion,
    Record,
    fhir_definitions,
    read_records,
)
from clinia_async.emulator import Emulator, Settings
from tests.ingest.reading import Item, reported
from tests.ingest.running import SOURCE, Ran, ran, session_for

FILES = Path(__file__).parents[2] / "data" / "files"
Resource = dict[str, Any]


def patients(count: int) -> Iterator[Resource]:
    """Resources as a generator of synthetic patients makes them: forward references, one after another."""
    for n in range(count):
        yield {
            "resourceType": "Encounter",
            "id": f"enc-{n}",
            "status": "finished",
            "subject": {"reference": f"urn:uuid:p{n}", "display": f"Patient {n}"},
            "participant": [{"individual": {"reference": "Practitioner?identifier=npi|77"}}],
            "period": {"start": "2020-01-01T08:00:00+01:00"},
        }
        yield {
            "resourceType": "Patient",
            "id": f"pat-{n}",
            "active": n % 2 == 0,
            "birthDate": "1980-02-29",
            "multipleBirthInteger": n,
            "name": [{"family": f"Fämily{n}", "given": ["A", "B"]}],
            "extension": [{"url": "http://x/ratio", "valueDecimal": 1.50}],
        }
        yield {
            "resourceType": "Observation",
            "id": f"obs-{n}",
            "subject": {"reference": f"urn:uuid:p{n}"},
            "encounter": {"reference": f"urn:uuid:e{n}"},
            "valueQuantity": {"value": 6.30, "unit": "mmol/l"},
            "contained": [
                {"resourceType": "Device", "id": "d", "owner": {"reference": "Organization/org-1"}}
            ],
        }
    yield {"resourceType": "Practitioner", "id": "prac-1", "identifier": [{"system": "npi", "value": "77"}]}
    yield {"resourceType": "Organization", "id": "org-1"}


def synthetic(count: int) -> Resource:
    urls = {"Patient": "p", "Encounter": "e", "Observation": "o", "Practitioner": "d", "Organization": "g"}
    entries = [
        {
            "fullUrl": f"urn:uuid:{urls[each['resourceType']]}{number // 3}",
            "resource": each,
            "request": {"method": "POST", "url": each["resourceType"]},
        }
        for number, each in enumerate(patients(count))
    ]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


EDGES = {
    "Encounter-subject-Patient",
    "Encounter-participant-individual-Practitioner",
    "Observation-subject-Patient",
    "Observation-encounter-Encounter",
    "Observation-contained-owner-Organization",
}


@asynccontextmanager
async def loaded(*paths: Path) -> AsyncIterator[tuple[Emulator, Ran]]:
    async with Emulator(settings=Settings(strict=True)) as emulator, session_for(emulator) as session:
        await (await session.create_source(SOURCE))
        definitions = await fhir_definitions(paths)
        for key, profile in definitions.profiles.items():
            await (await session.put_profile(SOURCE, key, profile))
        for key, definition in definitions.relationships.items():
            await (await session.put_relationship_definition(SOURCE, key, definition))
        records = read_records(paths, SOURCE, format="fhir", fhir="both")
        yield emulator, await ran(session, records, chunk=ChunkLimits(operations=7), workers=4)


def stored(emulator: Emulator) -> list[Resource]:
    return [{"resourceType": each.type, "id": each.id, **each.data} for each in emulator.stored_resources()]


def in_order(resources: list[Resource]) -> list[Resource]:
    return sorted(resources, key=lambda each: (each["resourceType"], each["id"]))


@pytest.mark.parametrize("indent", [None, 1])
async def test_a_bundle_of_synthetic_patients_comes_out_as_it_was(indent: int | None, tmp_path: Path) -> None:
    path = tmp_path / "x.fhir.json"
    path.write_text(json.dumps(synthetic(40), indent=indent))
    async with loaded(path) as (emulator, found):
        assert found.report.all_landed, found.report
        assert in_order(stored(emulator)) == in_order(list(patients(40)))
        edges = [(each.type, each.id) for each in emulator.stored()]
        assert len(edges) == 5 * 40
        assert {type_ for type_, _ in edges} == EDGES
        assert ("Encounter-subject-Patient", "enc-7.pat-7") in edges
        assert ("Encounter-participant-individual-Practitioner", "enc-7.prac-1") in edges


async def test_a_bulk_export_of_several_files_comes_out_as_it_was(tmp_path: Path) -> None:
    literal = {"urn:uuid:p": "Patient/pat-", "urn:uuid:e": "Encounter/enc-"}
    by_type: dict[str, list[Resource]] = {}
    for each in patients(30):
        text = json.dumps(each).replace("Practitioner?identifier=npi|77", "Practitioner/prac-1")
        for start, address in literal.items():
            text = text.replace(f'"{start}', f'"{address}')
        by_type.setdefault(each["resourceType"], []).append(json.loads(text))
    paths = []
    for type_, resources in by_type.items():
        paths.append(tmp_path / f"{type_}.fhir.ndjson")
        paths[-1].write_text("".join(json.dumps(each) + "\n" for each in resources))
    async with loaded(*paths) as (emulator, found):
        assert found.report.all_landed
        assert in_order(stored(emulator)) == in_order([each for some in by_type.values() for each in some])
        assert emulator.relationships() == 5 * 30


async def test_resources_in_nested_bundles_are_stored_too(tmp_path: Path) -> None:
    group = {"resourceType": "Group", "id": "group"}
    inner = [
        synthetic(3),
        {"resourceType": "Parameters", "id": "par", "parameter": [{"resource": group}]},
    ]
    entries = [{"resource": each} for each in inner]
    path = tmp_path / "x.fhir.json"
    path.write_text(json.dumps({"resourceType": "Bundle", "type": "batch-response", "entry": entries}))
    async with loaded(path) as (emulator, found):
        assert found.report.all_landed
        assert in_order(stored(emulator)) == in_order([*patients(3), inner[1], group])
        assert emulator.relationships() == 15


@pytest.mark.parametrize("indent", [None, 1])
async def test_what_refers_from_or_to_a_bundle_is_counted_for_that_is_not_loaded(
    indent: int | None, tmp_path: Path
) -> None:
    person = {"resource": {"resourceType": "Patient", "id": "p-1"}}
    inner = {"resourceType": "Bundle", "id": "b-1", "type": "document", "entry": [person]}
    list_ = {"resourceType": "List", "id": "l-1", "entry": [{"item": {"reference": "Bundle/b-1"}}]}
    signature = {"who": {"reference": "Patient/p-1"}}
    for outer in ({**inner, "signature": signature}, inner):
        entries = [{"resource": outer}, {"resource": list_}]
        bundle = {"resourceType": "Bundle", "id": "b-2", "type": "collection", "entry": entries}
        path = tmp_path / "x.fhir.json"
        path.write_text(json.dumps({**bundle, "signature": signature}, indent=indent))
        async with loaded(path) as (emulator, ran):
            assert (ran.report.read, ran.report.landed) == (2, 2)
            assert len(stored(emulator)) == 2
        passed_over: Counter[str] = Counter()
        async for _ in read_records(path, SOURCE, fhir="both", passed_over=passed_over):
            pass
        assert passed_over == {"from or to a Bundle, which is not loaded itself": 3 if outer != inner else 2}


async def test_the_given_file_comes_out_as_it_was() -> None:
    async with loaded(FILES / "f07-resources-too.fhir.json") as (emulator, found):
        assert found.report.all_landed
        names = ("resourceType", "id", "active", "status")
        kinds = {tuple(each.get(name) for name in names) for each in stored(emulator)}
        assert kinds == {("Patient", "pat-1", True, None), ("Observation", "obs-1", None, "final")}
        assert [each.id for each in emulator.stored()] == ["obs-1.pat-1"]


def put(path: Path, content: str | bytes) -> None:
    path.write_bytes(content.encode() if isinstance(content, str) else content)


async def resources(path: Path, *values: object, **options: Any) -> list[Item]:
    put(path, "".join(json.dumps(value) + "\n" for value in values))
    records = read_records(path, SOURCE, format="fhir", fhir="resources", **options)
    return [each async for each in records]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "input"


async def test_numbers_of_resources_keep_every_digit(path: Path) -> None:
    data = b'"a":1.10,"b":[12345678901234567890123,1e5],"c":-0.0'
    put(path, b'{"resourceType":"Basic","id":"b-1",%b}\n' % data)
    (found,) = [each async for each in read_records(path, SOURCE, format="fhir", fhir="resources")]
    assert isinstance(found, Record)
    assert found.payload() == b'{"type":"Basic","id":"b-1","data":{%b}}' % data


async def test_requests_of_a_transaction_are_carried_out(path: Path) -> None:
    def entry(method: str, url: str, resource: object = None) -> Resource:
        return {"request": {"method": method, "url": url}, **({"resource": resource} if resource else {})}

    patient = {"resourceType": "Patient", "active": True}
    entries = [
        entry("DELETE", "Patient/gone"),
        entry("POST", "Patient", patient),
        entry("PUT", "Patient/put", patient),
        entry("PATCH", "Patient/patched", {"resourceType": "Parameters"}),
        entry("DELETE", "Patient?name=x"),
        entry("GET", "Patient/read", {"resourceType": "Patient", "id": "read"}),
    ]
    found = await resources(path, {"resourceType": "Bundle", "type": "transaction", "entry": entries})
    wanted = [("DELETE", "gone"), ("CREATE", None), ("CREATE", "put")]
    assert [(str(each.action), each.write.id) for each in found if isinstance(each, Record)] == wanted
    assert [path for _, path, _ in reported(found)] == ["$.entry[3].request", "$.entry[4].request"]


async def test_of_a_history_the_last_version_is_stored(path: Path) -> None:
    versions = [{"resource": {"resourceType": "Patient", "id": "p-1", "v": v}} for v in (2, 1)]
    (found,) = await resources(path, {"resourceType": "Bundle", "type": "history", "entry": versions})
    assert isinstance(found, Record)
    assert b'"v":2' in found.payload()


async def test_what_is_bad_is_named_once_where_files_are_read_twice(path: Path) -> None:
    good = {"resourceType": "A", "id": "a-1", "x": {"reference": "A/a-1"}}
    lines = [json.dumps(good), "", "{", json.dumps({"resourceType": "A", "id": 1}), json.dumps([good, 5])]
    lines.append(json.dumps({"resourceType": "Bundle", "entry": [{"resource": 7}, 9]}))
    put(path, "\n".join(lines))
    found = [each async for each in read_records(path, SOURCE, format="fhir-ndjson", fhir="both")]
    assert sum(isinstance(each, BadRecord) for each in found) == 5
    assert sum(isinstance(each, Record) for each in found) == 4


async def test_relationships_wait_for_all_resources(tmp_path: Path) -> None:
    path = tmp_path / "x.fhir.json"
    path.write_text(json.dumps(synthetic(10)))
    async with Emulator() as emulator, session_for(emulator) as session:
        found = await ran(session, read_records(path, SOURCE, fhir=FhirContent.BOTH), via="single")
        assert found.report.all_landed
        assert (emulator.resources(), emulator.relationships()) == (32, 50)
        again = await ran(session, read_records(path, SOURCE, fhir="both"))
    assert again.report.by_disposition[Disposition.EXISTING] == 82


@pytest.mark.parametrize("outcomes", [1, 20, 32, 40, 81])
async def test_a_job_that_was_stopped_goes_on_before_or_behind_the_barrier(
    outcomes: int, tmp_path: Path
) -> None:
    path = tmp_path / "x.fhir.json"
    path.write_text(json.dumps(synthetic(10)))
    options: dict[str, Any] = {"journal": tmp_path / "job.db", "workers": 2}
    options["chunk"] = ChunkLimits(operations=5)
    async with Emulator() as emulator, session_for(emulator) as session:
        job = Ingestion(session, SOURCE, read_records(path, SOURCE, fhir="both"), **options)
        async with job:
            async for _ in job:
                outcomes -= 1
                if not outcomes:
                    break
        found = await ran(session, read_records(path, SOURCE, fhir="both"), **options)
        assert found.report.all_landed
        assert (emulator.resources(), emulator.relationships()) == (32, 50)


def test_content_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="fhir must be"):
        read_records(None, SOURCE, format="fhir", fhir="all")
