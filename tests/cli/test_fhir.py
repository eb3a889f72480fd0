"""Two commands load a FHIR file into an empty source that takes only what is defined."""

import json
from pathlib import Path

import pytest

from clinia_async.emulator import Settings
from tests.cli.conftest import lead_to
from tests.cli.program import DATA, Cli
from tests.cli.served import Served

FILE = DATA / "files" / "f07-resources-too.fhir.json"


def test_definitions_are_printed_without_a_service(cli: Cli) -> None:
    ran = cli("fhir", "definitions", FILE)
    assert ran.code == 0
    assert set(ran.json["profiles"]) == {"Patient", "Observation"}
    definition = ran.json["relationships"]["Observation-subject-Patient"]
    assert [definition[end]["profileKey"] for end in ("from", "to")] == ["Observation", "Patient"]


def test_two_commands_load_a_file_into_an_empty_source(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    with Served(settings=Settings(strict=True)) as served:
        lead_to(served, monkeypatch)
        before = cli("ingest", FILE, "--fhir", "both")
        assert before.code != 0, "nothing is defined"
        assert cli("fhir", "definitions", FILE, "--apply").code == 0
        ran = cli("ingest", FILE, "--fhir", "both", "--json")
        assert (ran.code, ran.json["landed"]) == (0, 3)
        stored = served.ask(lambda emulator: [(each.type, each.id) for each in emulator.stored_resources()])
        assert sorted(stored) == [("Observation", "obs-1"), ("Patient", "pat-1")]


def test_what_is_no_fhir_has_no_definitions(cli: Cli) -> None:
    Path("x.fhir.json").write_bytes(b"PAR1")
    assert cli("fhir", "definitions", "x.fhir.json").code == 2
    Path("y.ndjson").write_text(json.dumps({"resourceType": "Patient", "id": "p-1"}))
    assert set(cli("fhir", "definitions", "y.ndjson").json["profiles"]) == {"Patient"}
