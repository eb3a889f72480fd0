"""Histories that come in several Bundles, as the pages of a server do, are one history."""

import gzip
import io
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clinia_async import BadRecord, Record, fhir_definitions, read_records
from clinia_async.emulator import Emulator
from clinia_async.ingest.readers.fhir_history import Histories
from tests.ingest.reading import Item, reported
from tests.ingest.running import SOURCE, ran, session_for

Entry = dict[str, Any]
DELETED = "deleted last in their history"


def version(
    id_: str,
    target: str | None,
    *,
    time: str | None = None,
    number: str | None = None,
    in_response: bool = False,
) -> Entry:
    """A version of an Observation, or its deletion if there is no `target`."""
    url = f"http://x.example/fhir/Observation/{id_}"
    response = {"status": "200"}
    if in_response or target is None:
        response |= {"lastModified": time} if time else {}
        response |= {"etag": f'W/"{number}"'} if number else {}
    request = {"method": "DELETE" if target is None else "PUT", "url": f"Observation/{id_}"}
    entry: Entry = {"fullUrl": url, "request": request, "response": response}
    if target is not None:
        meta = {} if in_response else {"lastUpdated": time, "versionId": number}
        meta = {name: value for name, value in meta.items() if value}
        subject = {"reference": f"Patient/{target}"}
        entry["resource"] = {"resourceType": "Observation", "id": id_, "meta": meta, "subject": subject}
    return entry


def page(*entries: Entry) -> Entry:
    return {"resourceType": "Bundle", "type": "history", "entry": list(entries)}


def batch(*bundles: Entry) -> Entry:
    entries = [{"resource": bundle} for bundle in bundles]
    return {"resourceType": "Bundle", "type": "batch-response", "entry": entries}


def as_files(folder: Path, pages: Sequence[Entry], form: str) -> list[Path]:
    """Write pages as documents, as lines of a file or two, or inside of a Bundle."""
    match form:
        case "documents":
            contents = [json.dumps(each, indent=1) for each in pages]
        case "lines":
            contents = ["\n".join(map(json.dumps, pages))]
        case "a file of lines each":
            contents = [json.dumps(each) + "\n" for each in pages]
        case _:
            contents = [json.dumps(batch(*pages))]
    paths = [folder / f"{number}.fhir.json" for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_text(content)
    return paths


FORMS = ["documents", "lines", "a file of lines each", "nested"]


async def read(paths: Sequence[Path] | None, **options: Any) -> tuple[list[Item], Counter[str]]:
    counts: Counter[str] = Counter()
    stream = read_records(paths, SOURCE, format="fhir", passed_over=counts, **options)
    return [each async for each in stream], counts


def targets(found: Sequence[Item]) -> set[tuple[str, str]]:
    lines = [json.loads(each.text or b"") for each in found if isinstance(each, Record)]
    return {(line["from"]["id"], line["to"]["id"]) for line in lines if "from" in line}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize("in_response", [True, False])
@pytest.mark.parametrize("said_by", ["time", "number"])
async def test_the_last_version_of_all_pages_wins_in_any_order(
    said_by: str, in_response: bool, newest_first: bool, form: str, tmp_path: Path
) -> None:
    said = [
        {"time": f"2024-01-0{n}T00:00:00Z"} if said_by == "time" else {"number": str(n + 8)}
        for n in (1, 2, 3)
    ]
    kinds: Any = {"in_response": in_response}
    pages = [
        page(version("o", "new", **said[2], **kinds), version("gone", None, **said[1])),
        page(version("o", "old", **said[1], **kinds), version("back", "here", **said[1], **kinds)),
        page(version("o", "older", **said[0], **kinds), version("gone", "x", **said[0], **kinds)),
        page(version("back", None, **said[0])),
    ]
    found, counts = await read(as_files(tmp_path, pages if newest_first else pages[::-1], form))
    assert reported(found) == []
    assert targets(found) == {("o", "new"), ("back", "here")}
    assert counts == {"in an earlier version": 3, DELETED: 1}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("fhir", ["references", "resources", "both"])
async def test_what_nothing_orders_is_bad_and_not_loaded(fhir: str, form: str, tmp_path: Path) -> None:
    pages = [
        page(version("o", "one"), version("fine", "a")),
        page(version("o", "two"), version("gone", None)),
        page(version("gone", "x", time="2024-01-01T00:00:00Z")),
    ]
    found, counts = await read(as_files(tmp_path, pages, form), fhir=fhir)
    assert len([each for each in found if isinstance(each, BadRecord)]) == 4
    assert all("may be older or newer" in reason for _, _, reason in reported(found))
    records = [json.loads(each.text or b"") for each in found if isinstance(each, Record)]
    assert {each.get("id", each.get("from", {}).get("id")) for each in records} == {"fine"}
    assert not counts


async def test_a_version_on_two_pages_is_one(tmp_path: Path) -> None:
    plain, timed = version("o", "one"), version("p", "two", time="2024-01-01T00:00:00Z")
    found, counts = await read(as_files(tmp_path, [page(plain, timed), page(timed, plain)], "documents"))
    assert (reported(found), targets(found)) == ([], {("o", "one"), ("p", "two")})
    assert counts == {"in an earlier version": 2}


async def test_versions_of_one_time_are_one_only_if_they_are_the_same(tmp_path: Path) -> None:
    time = "2024-01-01T00:00:00Z"
    for number in (None, "abc"):
        one, other = (version("o", id_, time=time, number=number and number + id_) for id_ in ("x", "y"))
        found, _ = await read(as_files(tmp_path, [page(one), page(one)], "documents"))
        assert (reported(found), targets(found)) == ([], {("o", "x")})
        found, _ = await read(as_files(tmp_path, [page(one), page(other)], "documents"))
        assert (len(reported(found)), targets(found)) == (2, set())
        gone = version("o", None, time=time)
        found, _ = await read(as_files(tmp_path, [page(gone), page(one)], "documents"))
        assert (len(reported(found)), targets(found)) == (2, set())


async def test_in_one_bundle_the_first_is_the_last_unless_times_say_so(tmp_path: Path) -> None:
    found, _ = await read(as_files(tmp_path, [page(version("o", "one"), version("o", "two"))], "documents"))
    assert targets(found) == {("o", "one")}
    timed = [version("o", str(n), time=f"2024-01-0{n}T00:00:00+02:00") for n in (1, 3, 2)]
    found, _ = await read(as_files(tmp_path, [page(*timed)], "documents"))
    assert targets(found) == {("o", "3")}


@pytest.mark.parametrize("form", ["lines", "documents"])
async def test_standard_input_is_read_ahead_as_far_as_it_can_be(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest, old = "2024-01-02T00:00:00Z", "2024-01-01T00:00:00Z"
    good = page(version("o", "old", time=old), version("o", "new", time=newest), version("p", "a", time=old))
    later = page(version("p", None, time=newest), version("o", "older", time="2023-01-01T00:00:00Z"))
    text = (
        json.dumps(batch(good, later), indent=1)
        if form == "documents"
        else "\n".join(map(json.dumps, (good, later)))
    )
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    found, counts = await read(None)
    if form == "documents":
        assert (reported(found), targets(found)) == ([], {("o", "new")})
        assert counts == {"in an earlier version": 3, DELETED: 1}
    else:
        assert targets(found) == {("o", "new"), ("p", "a")}, "it was read before it was known"
        ((line, path, reason),) = reported(found)
        assert (line, path, "no later version" in reason) == (2, "$.entry[0].response.lastModified", True)


@pytest.mark.parametrize("is_piped", [False, True])
async def test_an_entry_that_is_no_json_costs_itself(
    is_piped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = ["2024-01-03T00:00:00Z", "2024-01-02T00:00:00Z", "2024-01-01T00:00:00Z"]
    line = json.dumps(page(*(version("o", f"t{n}", time=time) for n, time in enumerate(times))))
    line = line.replace('"Patient/t0"', "NaN")
    path = tmp_path / "x.fhir.ndjson"
    path.write_text(f"{line}\n{line}\n")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(path.read_bytes())))
    found, counts = await read(None if is_piped else [path])
    assert [path for _, path, _ in reported(found)] == ["$.entry[0]"] * 2
    assert targets(found) == set(), "what was before is not the last version"
    assert counts == {"in an earlier version": 4}


@pytest.mark.parametrize("form", FORMS)
async def test_what_was_before_an_entry_that_cannot_be_read_is_not_loaded(form: str, tmp_path: Path) -> None:
    bad = version("o", "new", number="3")
    bad["resource"]["id"] = 12
    pages = [page(version("o", "old", number="2")), page(bad, version("p", "a"))]
    found, counts = await read(as_files(tmp_path, pages, form))
    assert len(reported(found)) == 1
    assert targets(found) == {("p", "a")}
    assert counts == {"in an earlier version": 1}


async def test_dead_letters_stay_bad_until_a_time_is_written_into_them(tmp_path: Path) -> None:
    from clinia_async import DeadLetters, Disposition, RecordOutcome

    pages = [page(version("o", "one")), page(version("o", None), version("fine", "a"))]
    found, _ = await read(as_files(tmp_path, pages, "documents"))
    letters = tmp_path / "x.dead.ndjson"
    with DeadLetters(letters) as file:
        for each in found:
            if isinstance(each, BadRecord):
                file.add(RecordOutcome(each, Disposition.INVALID, ""))
    again, _ = await read([letters])
    assert len(reported(again)) == len(again) == 2
    mended = letters.read_text().replace(
        '\\"status\\":\\"200\\"', '\\"lastModified\\":\\"2024-01-01T00:00:00Z\\"', 1
    )
    letters.write_text(
        mended.replace('\\"status\\":\\"200\\"', '\\"lastModified\\":\\"2024-01-02T00:00:00Z\\"')
    )
    again, counts = await read([letters])
    assert again == []
    assert counts == {DELETED: 1, "in an earlier version": 1}


@pytest.mark.parametrize("method", ["delete", "DELETE"])
async def test_a_deletion_that_names_nothing_is_bad(method: str, tmp_path: Path) -> None:
    entry = {"request": {"method": method, "url": "Patient?name=x"}}
    found, _ = await read(as_files(tmp_path, [page(entry)], "documents"))
    assert [path for _, path, _ in reported(found)] == ["$.entry[0].request.url"]


async def test_histories_of_two_servers_are_two(tmp_path: Path) -> None:
    other = json.loads(json.dumps(version("o", "b")).replace("x.example", "y.example"))
    found, _ = await read(as_files(tmp_path, [page(version("o", "a")), page(other)], "documents"))
    assert reported(found) == []
    assert len(targets(found)) == 2


async def test_what_is_before_and_between_histories_is_read_as_ever(tmp_path: Path) -> None:
    plain = {"resourceType": "Observation", "id": "alone", "subject": {"reference": "Patient/z"}}
    pages: list[Entry] = [
        plain,
        page(version("o", "old", number="1")),
        {"resourceType": "Observation", "id": 1},
        page(version("o", "new", number="2")),
    ]
    for form in ("lines", "documents"):
        found, _ = await read(as_files(tmp_path, pages, form))
        assert targets(found) == {("alone", "z"), ("o", "new")}
        assert len(reported(found)) == 1


async def test_a_file_that_cannot_be_read_ends_both_passes_alike(tmp_path: Path) -> None:
    pages = [page(version("o", "old", number="1")), page(), page(version("o", "new", number="2"))]
    paths = as_files(tmp_path, pages, "documents")
    paths[1] = tmp_path / "bad.fhir.json"
    whole = json.dumps(page(*(version(f"x{number}", "y") for number in range(2000)))).encode()
    paths[1].write_bytes(gzip.compress(whole)[:-20])  # its start is right
    found = []

    async def read_all() -> None:
        async for each in read_records(paths, SOURCE, format="fhir"):
            found.append(each)  # noqa: PERF401  what came before the error counts

    with pytest.raises(OSError, match=r"bad\.fhir\.json"):
        await read_all()
    assert targets(found) == {("o", "old")}


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data(), st.sampled_from(FORMS), st.sampled_from(["references", "resources"]))
def test_pages_in_any_order_give_what_the_last_versions_say(
    data: st.DataObject, form: str, fhir: str
) -> None:
    import asyncio

    count = data.draw(st.integers(1, 14))
    ids = [data.draw(st.sampled_from(["aa", "bb", "cc", "dd"])) for _ in range(count)]
    dead = [data.draw(st.booleans()) for _ in range(count)]
    kinds = [data.draw(st.sampled_from(["time", "both"])) for _ in range(count)]
    versions = [
        version(
            id_,
            None if is_dead else f"t{n}",
            time=f"2024-01-01T00:{n:02d}:00.5+01:00",
            number=str(n) if kind == "both" else None,
            in_response=data.draw(st.booleans()),
        )
        for n, (id_, is_dead, kind) in enumerate(zip(ids, dead, kinds, strict=True))
    ]
    places = [data.draw(st.integers(0, 3)) for _ in range(count)]
    order = data.draw(st.permutations(range(count)))
    pages = [page(*(versions[n] for n in order if places[n] == place)) for place in range(4)]
    with tempfile.TemporaryDirectory() as folder:
        found, counts = asyncio.run(read(as_files(Path(folder), pages, form), fhir=fhir))
    last = {id_: n for n, id_ in enumerate(ids)}
    wanted = {(id_, f"t{n}") for id_, n in last.items() if not dead[n]}
    if fhir == "references":
        assert targets(found) == wanted
    else:
        lines = [json.loads(each.text or b"") for each in found if isinstance(each, Record)]
        stored = [(line["id"], line["data"]["subject"]["reference"]) for line in lines]
        assert sorted(stored) == sorted((id_, f"Patient/{target}") for id_, target in wanted)
    assert reported(found) == []
    assert counts[DELETED] == sum(dead[n] for n in last.values())


async def test_a_job_loads_the_last_versions_and_definitions_are_of_them(tmp_path: Path) -> None:
    pages = [
        page(version("obs", "aa", number="1")),
        page(version("obs", "bb", number="2"), version("other", "bb")),
    ]
    patients = [{"resourceType": "Patient", "id": id_} for id_ in ("aa", "bb")]
    paths = as_files(tmp_path, [*pages, *patients], "documents")
    definitions = await fhir_definitions(paths)
    assert {*definitions.relationships} == {"Observation-subject-Patient"}
    async with Emulator() as emulator, session_for(emulator) as session:
        found = await ran(session, read_records(paths, SOURCE, format="fhir", fhir="both"))
        assert found.report.all_landed
        assert {each.id for each in emulator.stored()} == {"obs.bb", "other.bb"}
        assert {each.id for each in emulator.stored_resources()} == {"obs", "other", "aa", "bb"}


def test_memory_does_not_grow_with_histories() -> None:
    import tracemalloc

    histories = Histories()
    histories.ahead = lambda: None
    histories._is_reading_ahead = True
    entry = {"response": {"etag": "5"}}
    tracemalloc.start()
    try:
        for number in range(5000):
            histories.see(("Patient", f"{number}"), entry, 1, is_deleted=False)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        histories.close()
    assert peak < 100_000


async def test_ids_are_those_of_the_references_in_every_pass(tmp_path: Path) -> None:
    """The first server that the input names is home, whether it is a reference that names it or an entry."""
    first = {"resourceType": "Observation", "id": "o1", "subject": {"reference": "http://a/Patient/1"}}
    second = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"fullUrl": "http://b/Patient/1", "resource": {"resourceType": "Patient", "id": "1"}}],
    }
    found, _ = await read(as_files(tmp_path, [first, second], "documents"), fhir="both")
    lines = [json.loads(each.text or b"") for each in found if isinstance(each, Record)]
    assert [line["id"] for line in lines if line["type"] == "Patient"] == ["1_40http_3A_2F_2Fb"]
    assert targets(found) == {("o1", "1")}


async def test_copies_that_refer_to_something_else_are_counted_and_loaded(tmp_path: Path) -> None:
    def copy(target: str, **fields: str) -> Entry:
        subject = {"reference": f"Patient/{target}"}
        return {"resourceType": "Observation", "id": "o", "subject": subject, **fields}

    same = [copy("a"), copy("a", status="final"), copy("a")]
    _, counts = await read(as_files(tmp_path, same, "documents"))
    assert not counts
    found, counts = await read(as_files(tmp_path, [*same, copy("b"), copy("b")], "documents"))
    assert targets(found) == {("o", "a"), ("o", "b")}
    assert counts == {"with other references than in another copy, all of which are loaded": 1}
