import json
from pathlib import Path

import pytest

from clinia_async.emulator import Accepted, Constant, Emulator
from tests.cli.program import Cli
from tests.cli.served import Served

CREATE = (
    "relationship",
    "create",
    "practises-at",
    "--from",
    "practitioner/prac-1",
    "--to",
    "organization/org/9",
)


def _accept(seconds: float) -> Accepted:
    return Accepted(Constant(seconds))


def test_created_and_read(cli: Cli, served: Served) -> None:
    created = cli(*CREATE, "--data", '{"since": "2019", "fte": 0.10, "big": 123456789012345678901}')
    assert (created.code, created.err) == (0, "")
    assert created.json["id"] == "prac-1.org/9"
    assert created.json["from"] == {"id": "prac-1", "type": "practitioner"}
    assert created.json["to"] == {"id": "org/9", "type": "organization"}
    assert created.json["data"] == {"since": "2019", "fte": 0.1, "big": 123456789012345678901}
    read = cli("relationship", "get", "practises-at", "prac-1.org/9")
    assert (read.code, read.err) == (0, "")
    assert read.json == created.json
    assert read.out.count("\n") == 1


def test_data_is_sent_as_it_is_written(cli: Cli, served: Served) -> None:
    Path("data.json").write_text('{"fte":\n 0.10}')
    assert cli(*CREATE, "--data", "@data.json").code == 0
    assert served.holds("practises-at") == 1


def test_waits_for_the_task(cli: Cli, served: Served) -> None:
    served.emulator.default = _accept(0.01)
    ran = cli(*CREATE)
    assert (ran.code, ran.err) == (0, "")
    assert ran.json["id"] == "prac-1.org/9"
    assert served.arrivals["get_task"] >= 1


def test_does_not_wait(cli: Cli, served: Served) -> None:
    served.emulator.default = _accept(3600)
    ran = cli(*CREATE, "--no-wait")
    assert (ran.code, ran.err) == (0, "")
    assert json.loads(ran.out)["source"] == "ehr-prod"
    assert json.loads(ran.out)["task"].startswith("s_")
    assert served.arrivals["get_task"] == 0


def test_nothing_to_wait_for(cli: Cli, served: Served) -> None:
    ran = cli(*CREATE, "--no-wait")
    assert ran == (0, "persisted\n", "")


def test_taken(cli: Cli, served: Served) -> None:
    assert cli(*CREATE).code == 0
    ran = cli(*CREATE)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == "error: POST /sources/{source}/v1/relationships/{type}: 409 ALREADY_EXISTS\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("--from", "private-id"),
        ("--from", "practitioner/private.id"),
        ("--from", "practitioner/"),
        ("--to", "no type!/private-id"),
        ("--data", "private-id"),
        ("--data", '["private-id"]'),
        ("--data", '{"private-id": 1, "private-id": 2}'),
        ("--data", '{"private-id": NaN}'),
        ("--data", "@gone"),
        ("--data", "@bytes"),
        ("--source", "no source"),
    ],
    ids=" ".join,
)
def test_wrong_arguments_are_not_sent_and_not_quoted(
    arguments: tuple[str, ...], cli: Cli, served: Served
) -> None:
    Path("bytes").write_bytes(b'{"a": "\xff"}')
    ran = cli(*CREATE, *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: ")
    assert ran.err.count("\n") == 1
    assert "private-id" not in ran.err
    assert not served.arrivals


def test_the_source_is_needed(cli: Cli, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLINIA_SOURCE")
    ran = cli(*CREATE)
    assert ran.code == 2
    assert "--source" in ran.err
    assert cli(*CREATE, "--source", "another").code == 0
    assert served.ask(_sources) == {"another"}


def _sources(emulator: Emulator) -> set[str]:
    return {stored.source for stored in emulator.stored()}
