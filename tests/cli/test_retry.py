"""`clinia-async retry` sends what did not land, once it is mended."""

import json
from pathlib import Path

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
