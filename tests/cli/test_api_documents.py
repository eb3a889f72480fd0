import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.program import Cli
from tests.cli.served import Served

SOURCE: dict[str, Any] = {
    "type": "DATA_SOURCE",
    "key": "ehr-prod",
    "collections": [{"key": "practitioner"}],
    "relationships": ["practises-at"],
}
MDM: dict[str, Any] = {
    "type": "MDM",
    "sources": ["ehr-prod"],
    "collections": [
        {
            "key": "practitioner",
            "properties": {"name": {"type": "symbol"}},
            "mappings": [
                {"source": "ehr-prod", "type": "practitioner", "propertyMappings": {"name": "name"}}
            ],
        }
    ],
}


def _definition(source: object = SOURCE, **more: object) -> Path:
    path = Path("definition.json")
    path.write_text(json.dumps({"modules": {"search": "HEALTH_GRADE_SEARCH"}, "source": source, **more}))
    return path


def _create(cli: Cli, *arguments: object) -> Any:
    return cli("partition", "create", "clinics", "--definition", *arguments)


@pytest.mark.parametrize("source", [SOURCE, MDM], ids=["data source", "mdm"])
def test_created_and_read(source: dict[str, Any], cli: Cli, served: Served) -> None:
    created = _create(cli, _definition(source))
    assert (created.code, created.err) == (0, "")
    assert created.json["status"] == "STATUS_READY"
    assert created.json["modules"] == {"search": "HEALTH_GRADE_SEARCH"}
    assert created.json["source"].items() >= source.items()
    read = cli("partition", "get", "clinics")
    assert (read.code, read.err) == (0, "")
    assert read.json == created.json


def test_staged_and_then_made_ready(cli: Cli, served: Served) -> None:
    assert _create(cli, _definition(), "--stage").json["status"] == "STATUS_STAGE"
    assert _create(cli, _definition()).json["status"] == "STATUS_READY"
    again = _create(cli, _definition())
    assert (again.code, again.out) == (1, "")
    assert again.err.startswith("error: PUT /catalog/v1/partitions/{key}: ")


def test_collections_may_be_plain_keys(cli: Cli, served: Served) -> None:
    assert _create(cli, _definition({**SOURCE, "collections": ["practitioner"]})).code == 0


def test_nothing_there(cli: Cli, served: Served) -> None:
    assert cli("partition", "get", "clinics").code == 1


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("nonsense", "$: "),
        ("[]", "$: "),
        ("{}", "$.modules: "),
        ('{"modules": {}, "modules": {}}', "$: "),
        (json.dumps({"modules": {}}), "$.source: "),
        (json.dumps({"modules": {}, "source": SOURCE, "stage": True}), "$.stage: "),
        (json.dumps({"modules": {"serach": "STANDARD"}, "source": SOURCE}), "$.modules.serach: "),
        (json.dumps({"modules": {}, "source": {**SOURCE, "relationship": ["a"]}}), "$.source.relationship: "),
        (
            json.dumps({"modules": {}, "source": {**SOURCE, "collections": [{"key": "a", "kee": 1}]}}),
            "$.source.collections[0].kee: ",
        ),
        (json.dumps({"modules": {}, "source": {**SOURCE, "key": "no key"}}), "$.source.key: "),
        (json.dumps({"modules": {}, "source": {**SOURCE, "key": 7}}), "$.source.key: "),
        (json.dumps({"modules": {}, "source": {"type": "ANOTHER"}}), "$.source.type: "),
    ],
)
def test_a_definition_that_is_wrong_is_not_sent(text: str, where: str, cli: Cli, served: Served) -> None:
    Path("definition.json").write_text(text)
    ran = _create(cli, "definition.json")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"error: --definition: {where}")
    assert not served.arrivals


def test_a_definition_that_is_no_text(cli: Cli, served: Served) -> None:
    Path("definition.json").write_bytes(b"\xff")
    assert _create(cli, "definition.json") == (2, "", "error: --definition: $: must be UTF-8\n")
