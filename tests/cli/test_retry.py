"""`clinia-async retry` sends what did not land, once it is mended."""

import inspect
import json
from pathlib import Path

import pytest

import clinia_async as clinia
from tests.cli.program import Cli
from tests.cli.served import Served


def mend(path: Path, fault: str, right: str) -> None:
    letters = [json.loads(line) for line in path.read_text().splitlines()]
    for letter in letters:
        letter["deadLetter"]["text"] = letter["deadLetter"]["text"].replace(fault, right)
    path.write_text("".join(json.dumps(letter, separators=(",", ":")) + "\n" for letter in letters))


def test_dead_letters_land_once_they_are_mended(served: Served, cli: Cli) -> None:
    mapping = ["--columns", "type==t,id=id,data.v=v"]
    Path("x.csv").write_text("id,v\naa\nbb,2\n")
    assert cli("ingest", "x.csv", *mapping).code == 1
    letters = Path("x.dead.ndjson")
    assert cli("retry", letters, *mapping).code == 1
    assert Path("x.retry.dead.ndjson").read_bytes() == letters.read_bytes(), "the original, once"
    mend(letters, '["aa"]', '["aa","1"]')
    ran = cli("retry", letters, *mapping, "--json")
    assert (ran.code, ran.json["landed"]) == (0, 1)


def test_entries_of_fhir_land_once_they_are_mended(served: Served, cli: Cli) -> None:
    resources = [
        {"resourceType": "Observation", "id": "o0", "subject": {"reference": "Patient/p0"}},
        {"resourceType": "Encounter", "id": 12, "subject": {"reference": "urn:uuid:9"}},
        {"resourceType": "Patient", "id": "p9"},
    ]
    entries = [{"resource": each} for each in resources]
    entries[2]["fullUrl"] = "urn:uuid:9"  # type: ignore[assignment]
    Path("x.fhir.json").write_text(
        json.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries})
    )
    ran = cli("ingest", "x.fhir.json", "--json")
    assert (ran.code, ran.json["landed"]) == (1, 1)
    letters = Path("x.dead.ndjson")
    mend(letters, '"id":12', '"id":"e12"')
    ran = cli("retry", letters, "--json")
    assert (ran.code, ran.json["landed"]) == (0, 1)


def test_only_dead_letters_are_retried(served: Served, cli: Cli) -> None:
    Path("x.ndjson").write_text('{"type":"t","id":"aa","data":{}}\n')
    ran = cli("retry", "x.ndjson")
    assert (ran.code, "no dead letters" in ran.err) == (2, True)


ROW = ("--columns", "type==t,id=id,data.v:float=v")
ENDS = '"to":{"id":"bb","type":"q"}}\n'
WITH_OPTIONS: dict[str, tuple[tuple[str, ...], str, str, str, str]] = {
    # the option, the name and the content of a file with one bad record, and how that is mended
    "delete": (("--action", "delete"), "x.ndjson", f'{{"type":"t","from":{{"id":1}},{ENDS}', ":1}", ':"aa"}'),
    "upsert": (("--action", "upsert"), "x.ndjson", '{"type":"t","id":1,"data":{}}\n', ":1,", ':"aa",'),
    "dots": (
        ("--dots", "escape"),
        "x.ndjson",
        f'{{"type":1,"from":{{"id":"a_b","type":"p"}},{ENDS}',
        ":1,",
        ':"t",',
    ),
    "resources": (
        ("--fhir", "resources"),
        "x.fhir.json",
        '{"resourceType":"Encounter","id":12,"subject":{"reference":"Patient/p9"}}',
        ":12,",
        ':"e12",',
    ),
    "both": (
        ("--fhir", "both"),
        "x.fhir.ndjson",
        '{"resourceType":"Encounter","id":12,"subject":{"reference":"Patient/p9"}}\n',
        ":12,",
        ':"e12",',
    ),
    "decimal": (
        ("--decimal", ",", "--delimiter", "semicolon"),
        "x.csv",
        "id;v\naa;1.234;\n",
        '"1.234",null]',
        '"1.234"]',
    ),
}


@pytest.mark.parametrize("case", WITH_OPTIONS)
def test_dead_letters_are_not_read_without_the_options_that_make_their_records(
    case: str, served: Served, cli: Cli
) -> None:
    """What was to be deleted would be created, and 1.234 would be stored for 1234."""
    options, name, content, fault, mended = WITH_OPTIONS[case]
    columns = ROW if name == "x.csv" else ()
    Path(name).write_text(content)
    assert cli("ingest", name, *options, *columns).code == 1
    letters = Path("x.dead.ndjson")
    mend(letters, fault, mended)
    posts = served.arrivals["bulk_relationships"] + served.arrivals["bulk_resources"]
    ran = cli("retry", letters, *columns)
    assert ran.code == 2
    assert f"line 1 is of a run with other options: give {' '.join(options[:2])}, too" in ran.err
    assert posts == served.arrivals["bulk_relationships"] + served.arrivals["bulk_resources"]
    found = cli("validate", letters, *options[:2], *columns, "--json").json
    assert (found["bad"], found["good"] > 0) == (0, True)
    # among lines that are no letters they cost themselves
    if name == "x.ndjson":
        Path("y.ndjson").write_text('{"type":"t","id":"zz","data":{}}\n' + letters.read_text())
        ran = cli("validate", "y.ndjson", "--json")
        assert (ran.json["good"], ran.json["bad"]) == (1, 1)
        assert "give " in ran.json["reasons"][0]["reason"]


def test_every_option_that_makes_records_is_in_dead_letters_or_their_text() -> None:
    in_letters = {"action", "map_id", "fhir", "decimal"}
    in_text = {
        "columns": "rows name their columns, and are not read without a mapping",
        "fhir_base": "what is read of a Bundle names the home server",
        "format": "the text of a letter shows what it is",
        **dict.fromkeys(
            ("delimiter", "quote", "encoding", "header", "escape", "null", "skip", "limit", "timezone"),
            "rows have the cells that were read",
        ),
    }
    asked = {
        *inspect.signature(clinia.identity_of).parameters,
        *inspect.signature(clinia.TableOptions).parameters,
    }
    assert asked - {"path", "table"} == in_letters | in_text.keys()
