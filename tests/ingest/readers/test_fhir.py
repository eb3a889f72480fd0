"""References of FHIR become relationships, by rules that each have a test."""

import json
import re
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from clinia_async import (
    BadRecord,
    Blank,
    ConfigError,
    InputError,
    Record,
    escape_dots,
    fhir_definitions,
    read_records,
)
from clinia_async.ingest.readers import fhir_reader as fhir
from clinia_async.ingest.readers.fhir_identity import Servers, fhir_address
from tests.ingest.reading import Item, read_file, reported
from tests.ingest.running import SOURCE

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
        ("https://elsewhere.example.org/Thing/9", "Practitioner/prac-2"),
    ],
)
async def test_literal_references_lead_to_a_type_and_an_id(reference: str, target: str, path: Path) -> None:
    urls = ["urn:uuid:5f0c", "https://elsewhere.example.org/Thing/9"]
    listed: list[tuple[str | None, dict[str, object]]] = [
        (url, {"resourceType": "Practitioner", "id": f"prac-{number}"}) for number, url in enumerate(urls, 1)
    ]
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
        ("Encounter-extension-x-2d711642-valueReference-Group", "Encounter/e", "Group/3"),
        ("Encounter-contained-subject-Patient", "Encounter/e", "Patient/4"),
    ]


async def test_long_and_unusual_paths_become_keys_that_differ(path: Path) -> None:
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
    assert reported(found) == [(2, "$.id", "is required where a resource refers to another")]


@pytest.mark.parametrize(
    ("text", "path_", "reason"),
    [
        ('{"resourceType":"Patient","resourceType":"X"}', "$", "an object with each key once"),
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
async def test_what_is_no_resource_is_reported_and_its_neighbours_are_read(
    text: str, path_: str, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "input"
    fine = json.dumps(patient(managingOrganization=to("Organization/9")))
    put(path, f"{fine}\n\n{text}\n{fine}\n")
    found = await read_file(path, format="fhir")
    assert [type(each) for each in found] == [Record, Blank, BadRecord, Record]
    ((line, place, rule),) = reported(found)
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
    monkeypatch.setattr(fhir, "LARGEST_RESOURCE", 1000)
    fine = patient(managingOrganization=to("Organization/9"))
    found = await read(path, fine, patient(text="x" * 2000), fine)
    assert [type(each) for each in found] == [Record, BadRecord, Record]
    put(path, json.dumps(patient(text="x" * 2000), indent=1))
    with pytest.raises(InputError, match="may be of"):
        await read_file(path, format="fhir")


async def test_ids_with_dots_are_refused_or_escaped(path: Path) -> None:
    dotted = patient(id="a.1", managingOrganization=to("Organization/9"))
    assert reported(await read(path, dotted))[0][:2] == (1, "$.from.id")
    (found,) = await read(path, dotted, map_id=escape_dots)
    assert isinstance(found, Record)
    assert found.key is not None
    assert found.key[2] == "a_2E1.9"


def entry(url: str | None, resource: dict[str, object], **fields: object) -> dict[str, object]:
    return {**({"fullUrl": url} if url else {}), "resource": resource, **fields}


def of_type(type_: str, *entries: dict[str, object]) -> dict[str, object]:
    return {"resourceType": "Bundle", "type": type_, "entry": list(entries)}


def asked(method: str, url: str) -> dict[str, object]:
    return {"request": {"method": method, "url": url}}


ORGANIZATION = to("Organization/9")


async def test_an_inner_bundle_has_its_own_full_urls(path: Path) -> None:
    def inner(practitioner: str) -> dict[str, object]:
        url = "urn:uuid:1"
        return of_type(
            "searchset",
            entry(url, {"resourceType": "Practitioner", "id": practitioner}),
            entry(None, patient(id=f"of-{practitioner}", generalPractitioner=[to(url)])),
        )

    found = await read(path, of_type("batch-response", entry(None, inner("a")), entry(None, inner("b"))))
    assert [ends for _, *ends in edges(found)] == [
        ["Patient/of-a", "Practitioner/a"],
        ["Patient/of-b", "Practitioner/b"],
    ]


async def test_resources_in_what_is_contained_are_not_their_own(path: Path) -> None:
    contained = {
        "resourceType": "Parameters",
        "parameter": [{"resource": patient(link=[{"other": ORGANIZATION}])}],
    }
    found = await read(path, {"resourceType": "List", "id": "l", "contained": [contained]})
    assert [from_ for _, from_, _ in edges(found)] == ["List/l"]


async def test_the_server_of_a_full_url_is_that_of_relative_references(path: Path) -> None:
    def at(base: str, id_: str) -> dict[str, object]:
        return entry(f"{base}/Patient/{id_}", patient(id=id_, managingOrganization=ORGANIZATION))

    found = await read(path, bundle(), of_type("searchset", at("http://a/r4", "1"), at("https://b", "1")))
    assert edges(found) == [
        ("Patient-managingOrganization-Organization", "Patient/1", "Organization/9"),
        (
            "Patient-managingOrganization-Organization",
            "Patient/1_40https_3A_2F_2Fb",
            "Organization/9_40https_3A_2F_2Fb",
        ),
    ]
    found = await read(
        path, of_type("x", at("http://a/r4", "1"), at("https://b", "1")), fhir_base="https://B/"
    )
    assert [from_ for _, from_, _ in edges(found)] == ["Patient/1_40http_3A_2F_2Fa_2Fr4", "Patient/1"]
    assert fhir_address("1_40http_3A_2F_2Fa_2Fr4") == ("http://a/r4", "1")
    assert fhir_address("o_1") == (None, "o_1")


async def test_servers_named_by_references_alone_are_distinguished(path: Path) -> None:
    def line(reference: str) -> dict[str, object]:
        return patient(managingOrganization=to(reference))

    found = await read(
        path, line("http://a/Organization/9"), line("http://b/Organization/9"), line("Organization/9")
    )
    assert [end for *_, end in edges(found)] == [
        "Organization/9",
        "Organization/9_40http_3A_2F_2Fb",
        "Organization/9",
    ]
    found = await read(path, line("Organization/9"), line("http://b/Organization/9"))
    assert len({end for *_, end in edges(found)}) == 2, "nothing says that it is one server"


@example("é" * 500, "http://a.b/c_d")
@given(
    st.text(min_size=1).filter(lambda text: "@" not in text),
    st.sampled_from(["http://a.b/c_d", "https://x:1/é"]),
)
def test_ids_of_other_servers_can_be_read_back(id_: str, base: str) -> None:
    assume(id_.isprintable())
    assert fhir_address(Servers("http://home").record_id(base, id_)) == (base, id_)
    assert Servers("http://home").record_id(None, "1_40http_3A_2F_2Fa") != Servers("http://home").record_id(
        "http://a", "1"
    )


@pytest.mark.parametrize("deleted", ["newest", "oldest"])
async def test_of_a_history_the_last_version_counts(deleted: str, path: Path) -> None:
    url = "http://x/Patient/pat-1"
    gone = {"fullUrl": url, **asked("DELETE", "Patient/pat-1")}
    version = entry(url, patient(managingOrganization=ORGANIZATION), **asked("PUT", "Patient/pat-1"))
    counts: Counter[str] = Counter()
    entries = [gone, version] if deleted == "newest" else [version, gone]
    found = await read(path, of_type("history", *entries), passed_over=counts)
    assert len(edges(found)) == (0 if deleted == "newest" else 1)
    gone_now = {"in an earlier version": 1, "deleted last in their history": 1}
    assert counts == (gone_now if deleted == "newest" else {})


@pytest.mark.parametrize("fhir", ["references", "resources", "both"])
@pytest.mark.parametrize("with_resource", [False, True])
async def test_what_a_history_deletes_is_not_loaded_nor_what_leads_to_it(
    fhir: str, with_resource: bool, path: Path
) -> None:
    gone = {"fullUrl": "http://x/Patient/gone", **asked("DELETE", "Patient/gone")}
    if with_resource:
        gone["resource"] = patient(id="gone", managingOrganization=ORGANIZATION)
    observation = {
        "resourceType": "Observation",
        "id": "obs",
        "subject": to("Patient/gone"),
        "performer": [to("http://x/Patient/here")],
    }
    before = entry("http://x/Patient/gone", patient(id="gone"), **asked("PUT", "Patient/gone"))
    here = entry("http://x/Patient/here", patient(id="here"), **asked("PUT", "Patient/here"))
    old = {"fullUrl": "http://x/Patient/here", **asked("DELETE", "Patient/here")}
    holder = entry("http://x/Observation/o", observation, **asked("POST", "Observation"))
    entries = [gone, here, holder, old, before]
    for document in (
        json.dumps(of_type("history", *entries)),
        json.dumps({"type": "history", **of_type("history", *entries)}, indent=1),
    ):
        put(path, document)
        counts: Counter[str] = Counter()
        found = await read_file(path, format="fhir", fhir=fhir, passed_over=counts)
        assert reported(found) == []
        lines = [json.loads(each.text) for each in found if isinstance(each, Record) and each.text]
        ids = {(line["type"], line["id"]) for line in lines if "id" in line}
        assert ids == (set() if fhir == "references" else {("Patient", "here"), ("Observation", "obs")})
        ends = {line["to"]["id"] for line in lines if "to" in line}
        assert ends == (set() if fhir == "resources" else {"here"})
        assert counts["deleted last in their history"] == 1
        assert counts["to a deleted resource"] == (0 if fhir == "resources" else 1)


async def test_changes_of_a_transaction_are_counted_where_references_alone_are_loaded(path: Path) -> None:
    counts: Counter[str] = Counter()
    entries = [asked("DELETE", "Patient/1"), asked("PATCH", "Patient/2"), asked("GET", "Patient/3")]
    assert await read(path, of_type("transaction", *entries), passed_over=counts) == []
    assert counts == {"to be deleted, with the resources": 1, "to be changed by a PATCH": 1}


@pytest.mark.parametrize("fhir", ["references", "resources"])
async def test_what_carries_resources_and_has_no_id_is_none_itself(fhir: str, path: Path) -> None:
    parameter = {"name": "x", "resource": patient(managingOrganization=ORGANIZATION)}
    values = [
        {
            "resourceType": "Parameters",
            "parameter": [parameter, {"name": "y", "valueReference": ORGANIZATION}],
        },
        of_type(
            "searchset", {"resource": {"resourceType": "OperationOutcome"}, "search": {"mode": "outcome"}}
        ),
    ]
    counts: Counter[str] = Counter()
    found = await read(path, *values, fhir=fhir, passed_over=counts)
    assert [each.write.type for each in found if isinstance(each, Record)] == [
        "Patient-managingOrganization-Organization" if fhir == "references" else "Patient"
    ]
    assert reported(found) == []
    assert counts == ({"in Parameters without an id": 1} if fhir == "references" else {})


async def test_of_a_transaction_what_is_posted_and_put_counts(path: Path) -> None:
    def of(method: str, id_: str | None) -> dict[str, object]:
        resource = {"resourceType": "Patient", "id": id_, "managingOrganization": ORGANIZATION}
        return entry(None, {k: v for k, v in resource.items() if v}, **asked(method, "Patient/put"))

    entries = [of("POST", "posted"), of("PUT", None), of("DELETE", "d"), of("GET", "g"), of("PATCH", "p")]
    found = await read(path, of_type("transaction", *entries))
    assert [from_ for _, from_, _ in edges(found)] == ["Patient/posted", "Patient/put"]


@pytest.mark.parametrize(
    ("query", "is_found"),
    [
        ("identifier=s|1", True),
        ("identifier=1", True),
        ("identifier=s%7C1", True),
        ("identifier=|1", False),
        ("identifier=t|1", False),
        ("identifier=s|2", False),
        ("identifier=s|1&active=true", False),
        ("name=x", False),
    ],
)
async def test_a_conditional_reference_leads_to_the_only_one_with_the_identifier(
    query: str, is_found: bool, path: Path
) -> None:
    organizations = [
        entry(
            None, {"resourceType": "Organization", "id": id_, "identifier": [{"system": "s", "value": value}]}
        )
        for id_, value in (("one", "1"), ("two", "2"), ("three", "2"))
    ]
    counts: Counter[str] = Counter()
    holder = entry(None, patient(managingOrganization=to(f"Organization?{query}")))
    found = await read(path, of_type("transaction", holder, *organizations), passed_over=counts)
    assert [end for *_, end in edges(found)] == (["Organization/one"] if is_found else [])
    assert counts.total() == (not is_found)


async def test_ids_are_held_to_one_rule(path: Path) -> None:
    found = await read(path, patient(managingOrganization=to("Organization/" + "x" * 257)))
    assert reported(found)[0][:2] == (1, "$.to.id")
    found = await read(path, patient(id="x" * 257, managingOrganization=ORGANIZATION))
    assert reported(found)[0][:2] == (1, "$.from.id")


async def test_a_document_is_read_by_the_entry(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fhir, "LARGEST_RESOURCE", 5_000)
    entries = [
        entry(f"urn:uuid:{n}", patient(id=f"p{n}", managingOrganization=ORGANIZATION)) for n in range(200)
    ]
    entries[7] = {"resource": patient(id=7)}
    entries[9] = {"resource": patient(text="x" * 6_000)}
    entries[11] = 5  # type: ignore[call-overload]
    text = json.dumps({"entry": entries, "type": "collection", "resourceType": "Bundle"}, indent=1)
    put(path, text.replace('"id": "p3"', '"id": NaN'))
    assert len(text) > 30_000
    found = list(await read_file(path, format="fhir-document"))
    assert len(edges(found)) == 196
    assert [(path, "NaN" in reason or reason) for _, path, reason in reported(found)] == [
        ("$.entry[3]", "expected numbers that are finite"),
        ("$.entry[7].resource.id", "expected a string"),
        ("$.entry[9]", "is larger than 5,000 bytes"),
        ("$.entry[11]", "expected an object"),
    ]


@pytest.mark.parametrize("cut", [1, 50, 120])
async def test_a_document_that_is_cut_off_is_one_bad_record(cut: int, path: Path) -> None:
    text = json.dumps(bundle((None, patient(managingOrganization=ORGANIZATION))), indent=1)
    put(path, text[:-cut])
    found = list(await read_file(path, format="fhir"))
    assert [type(each) for each in found] == [BadRecord]


async def test_memory_does_not_grow_with_a_document(path: Path) -> None:
    resource = json.dumps(entry(None, patient(text="x" * 100_000, managingOrganization=ORGANIZATION)))
    with path.open("w") as file:
        file.write('{"resourceType":"Bundle","type":"collection","entry":[\n')
        file.writelines(f"{resource},\n" for _ in range(400))
        file.write(f"{resource}]}}")
    tracemalloc.start()
    try:
        count = 0
        async for _ in read_records(path, SOURCE, format="fhir-document"):
            count += 1
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 401
    assert peak < 12 * 1024 * 1024, "the document is of 40 MB"


async def test_a_letter_of_an_entry_means_the_same_by_itself(path: Path) -> None:
    url = "urn:uuid:1"
    bad = entry(
        "http://b/Patient/x", patient(id=12, generalPractitioner=[to(url)], managingOrganization=ORGANIZATION)
    )
    good = entry("http://a/Basic/b", {"resourceType": "Basic", "id": "b"})
    target = entry(url, {"resourceType": "Practitioner", "id": "prac-1"})
    (letter,) = [
        each
        for each in await read(path, of_type("collection", good, bad, target))
        if isinstance(each, BadRecord)
    ]
    assert letter.text is not None
    put(path, letter.text.replace(b"12,", b'"x",'))
    assert edges(list(await read_file(path, format="fhir"))) == [
        ("Patient-generalPractitioner-Practitioner", "Patient/x_40http_3A_2F_2Fb", "Practitioner/prac-1"),
        (
            "Patient-managingOrganization-Organization",
            "Patient/x_40http_3A_2F_2Fb",
            "Organization/9_40http_3A_2F_2Fb",
        ),
    ]


@pytest.mark.parametrize(
    "base", ["HTTP://X.example:80/fhir/", "http://x.example/fhir", "http://x.EXAMPLE/fhir"]
)
async def test_a_server_is_one_however_its_url_is_written(base: str, path: Path) -> None:
    holder = {"resourceType": "Observation", "id": "obs", "subject": to(f"{base}/Patient/pat-1")}
    entries = [("http://x.example/fhir/Observation/obs", holder)]
    assert edges(await read(path, bundle(*entries))) == [
        ("Observation-subject-Patient", "Observation/obs", "Patient/pat-1")
    ]


@pytest.mark.parametrize("reference", [5, 1.5, True, ""])
async def test_a_reference_that_is_no_text_is_counted(reference: object, path: Path) -> None:
    counts: Counter[str] = Counter()
    found = await read(path, patient(managingOrganization={"reference": reference}), passed_over=counts)
    assert (found, counts) == ([], {"no Type/id": 1})


@pytest.mark.parametrize(
    "base",
    [
        "",
        " ",
        "b.example/fhir",
        "ftp://b",
        "http://",
        "http:///x",
        "https://b/fhir?x=1",
        "https://b/fhir#x",
        "https://b /f",
    ],
)
async def test_a_base_url_is_one(base: str, tmp_path: Path) -> None:
    """With any other text each id would become one of another server."""
    with pytest.raises(ConfigError, match="fhir_base must be the base URL"):
        read_records(tmp_path / "x.fhir.json", SOURCE, fhir_base=base)
    with pytest.raises(ConfigError, match="fhir_base must be the base URL"):
        await fhir_definitions(tmp_path / "x.fhir.json", fhir_base=base)
