"""What is read of FHIR, held against a walk that is written here, by the rules of R4 alone.

The examples are those of `carebundle`: transactions of patients of all its profiles, histories of visits, and
the same as a bulk export.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import carebundle
import pytest

from clinia_async import Record, read_records
from tests.ingest.reading import reported
from tests.ingest.running import SOURCE

Edge = tuple[str, str]
Resource = dict[str, Any]


def bundles(profile: str) -> Iterator[Resource]:
    for seed in range(3):
        yield json.loads(carebundle.to_json(carebundle.generate_bundle(profile=profile, seed=seed)))
    yield json.loads(carebundle.to_json(carebundle.generate_history(profile=profile, seed=7)))


def expected(bundle: Resource) -> Counter[Edge]:
    """The references of a Bundle's resources: each place in a resource that leads to another, once."""
    names = {entry["fullUrl"]: entry["resource"] for entry in bundle["entry"] if "fullUrl" in entry}
    edges: Counter[Edge] = Counter()
    for entry in bundle["entry"]:
        found: set[tuple[str, Edge]] = set()
        resource = entry["resource"]
        holder = f"{resource['resourceType']}/{resource.get('id') or entry['fullUrl'].split(':')[-1]}"
        for path, reference in walk(resource, ""):
            target = names.get(reference)
            if target is not None:
                id_ = target.get("id") or reference.split(":")[-1]
                found.add((path, (holder, f"{target['resourceType']}/{id_}")))
            elif re.fullmatch(r"[A-Z]\w+/[\w.-]+", reference):
                found.add((path, (holder, reference)))
        edges.update(edge for _, edge in found)
    return edges


def walk(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        if path.endswith("extension"):
            path += f"({value.get('url')})"
        for name, inner in value.items():
            if name == "reference" and isinstance(inner, str) and path:
                yield path, inner
            yield from walk(inner, f"{path}.{name}")
    elif isinstance(value, list):
        for inner in value:
            yield from walk(inner, path)


async def read(path: Path) -> Counter[Edge]:
    found = [each async for each in read_records(path, SOURCE, format="fhir", map_id=lambda id_: id_)]
    assert reported(found) == []
    lines = [json.loads(each.text or b"") for each in found if isinstance(each, Record)]
    return Counter(
        (f"{line['from']['type']}/{line['from']['id']}", f"{line['to']['type']}/{line['to']['id']}")
        for line in lines
    )


@pytest.mark.parametrize("profile", sorted(carebundle.PROFILES))
@pytest.mark.parametrize("indent", [None, 2])
async def test_documents_give_what_an_independent_walk_finds(
    profile: str, indent: int | None, tmp_path: Path
) -> None:
    path = tmp_path / "x.fhir.json"
    for bundle in bundles(profile):
        path.write_text(json.dumps(bundle, indent=indent))
        wanted = expected(bundle)
        assert wanted
        assert await read(path) == wanted


async def test_lines_of_bundles_give_what_each_gives(tmp_path: Path) -> None:
    path = tmp_path / "x.fhir.ndjson"
    cohort = [json.loads(carebundle.to_json(each)) for each in carebundle.generate_cohort(count=20, seed=1)]
    path.write_text("".join(json.dumps(each) + "\n" for each in cohort))
    assert await read(path) == sum(map(expected, cohort), Counter())


async def test_a_bulk_export_gives_what_its_lines_say(tmp_path: Path) -> None:
    streams = carebundle.to_ndjson(carebundle.generate_cohort(count=20, seed=2))
    for type_, text in streams.items():
        path = tmp_path / f"{type_}.ndjson"
        path.write_text(text)
        resources = [json.loads(line) for line in text.splitlines()]
        assert await read(path) == sum(
            (expected({"entry": [{"resource": each}]}) for each in resources), Counter()
        )


@pytest.mark.parametrize("seed", range(5))
async def test_a_bundle_in_a_bundle_gives_what_it_gives_alone(seed: int, tmp_path: Path) -> None:
    path = tmp_path / "x.fhir.json"
    cohort = [json.loads(carebundle.to_json(each)) for each in carebundle.generate_cohort(count=3, seed=seed)]
    entries = [{"resource": each} for each in cohort]
    path.write_text(json.dumps({"resourceType": "Bundle", "type": "batch-response", "entry": entries}))
    assert await read(path) == sum(map(expected, cohort), Counter())
