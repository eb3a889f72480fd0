import inspect
import io
import json
import os
import pty
import shlex
import sys
from pathlib import Path

import pytest

from clinia_async import Session
from clinia_async.cli.api_table import COMMANDS, ApiCommand
from clinia_async.emulator import Accepted, Constant, Emulator
from tests.cli.program import Cli, ended, line, start
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


OF_RELATIONSHIPS = (
    '{"modules": {}, "source": {"type": "DATA_SOURCE", "key": "ehr", "collections": [{"key": "clinics"}],'
    ' "relationships": %s}}'
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
    said = "POST /sources/{source}/v1/relationships/{type}: 409 ALREADY_EXISTS"
    assert (
        ran.err
        == f"error: {said}; read the record that is there, or take it: --on-existing keep or compare\n"
    )


CREATES = {
    "relationship": (CREATE, ("--data", '{"a": 1}'), ("--data", '{"a": 2}')),
    "resource": (
        ("resource", "create", "clinic", "--id", "org-1"),
        ("--data", '{"a": 1}'),
        ("--data", '{"a": 2}'),
    ),
    "partition": (
        ("partition", "create", "clinics"),
        ("--definition", OF_RELATIONSHIPS % "[]"),
        ("--definition", OF_RELATIONSHIPS % '["practises-at"]'),
    ),
}
EQUAL = "an equal record was there already; nothing was created\n"
DIFFERENT = "a different record is there, and was left as it is; nothing was created\n"


@pytest.mark.parametrize("queued", [False, True], ids=["persisted", "accepted"])
@pytest.mark.parametrize("name", CREATES)
def test_a_create_whose_key_is_taken(name: str, queued: bool, cli: Cli, served: Served) -> None:
    if queued:
        served.emulator.default = _accept(0.01)
    create, content, other = CREATES[name]
    first = cli(*create, *content, "--on-existing", "keep")
    assert (first.code, first.err) == (0, "")
    for policy in ("keep", "compare"):
        assert cli(*create, *content, "--on-existing", policy) == (0, first.out, EQUAL)
    assert cli(*create, *other, "--on-existing", "keep") == (0, first.out, DIFFERENT)
    for arguments in ((*other, "--on-existing", "compare"), (*content, "--on-existing", "fail"), content):
        refused = cli(*create, *arguments)
        assert (refused.code, refused.out) == (1, "")
        assert refused.err.startswith("error: ")


def test_a_policy_that_nobody_could_follow_is_refused(cli: Cli, served: Served) -> None:
    ran = cli(*CREATE, "--on-existing", "keep", "--no-wait")
    said = "--on-existing does not go with --no-wait: no token holds it; leave one of them out"
    assert ran == (2, "", f"error: {said}\n")
    ran = cli("resource", "create", "clinic", "--data", "{}", "--on-existing", "keep")
    assert ran.code == 2
    assert ran.err.startswith("error: --on-existing needs --id")
    assert cli(*CREATE, "--on-existing", "replace").code == 2
    assert not served.arrivals


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


def test_every_call_of_a_session_has_a_command() -> None:
    methods = {row.method for rows in COMMANDS.values() for row in rows} | {"get_task"}
    assert methods == _calls_of_a_session()


def _calls_of_a_session() -> set[str]:
    """The public methods of a session that make a request of their own, and are not made of two others."""
    mixins = [each for each in Session.__mro__ if each.__module__.endswith(("_api", "_methods"))]
    assert mixins
    return {name for mixin in mixins for name in vars(mixin) if not name.startswith(("_", "ensure_"))}


@pytest.mark.parametrize("row", [row for rows in COMMANDS.values() for row in rows], ids=lambda it: it.method)
def test_the_parameters_of_a_command_are_those_of_its_method(row: ApiCommand) -> None:
    given = {parameter.name for parameter in row.parameters} | ({"source"} if row.has_source else set())
    if "partition" in given:
        given = given - {"partition"} | {"modules", "source"}
    taken = inspect.signature(getattr(Session, row.method)).parameters.keys()
    assert given | {"self"} <= taken
    assert taken - given <= {"self", "timeout", "read_back", "type", "body", "definition"} | (
        {"id"} if "id" not in given else set()
    )


PROFILE = '{"properties": {"name": {"type": "symbol"}}}'
DEFINITION = json.dumps(
    {
        "from": {"profileKey": "practitioner", "includeKey": "practitioners"},
        "to": {"profileKey": "organization", "includeKey": "organizations"},
    }
)
PATCH = '[{"op": "add", "path": "/since", "value": 2019}]'
PARTITION = json.dumps(
    {
        "modules": {"search": "STANDARD"},
        "source": {"type": "DATA_SOURCE", "key": "ehr", "collections": [{"key": "practitioner"}]},
    }
)
WALK = (
    # command, fields of the answer (None: one of the list)
    ("source create ehr", {"key": "ehr"}),
    ("source get ehr", {"key": "ehr"}),
    ("source list", None),
    (f"profile put practitioner --definition {PROFILE!r}", {"properties": {"name": {"type": "symbol"}}}),
    (f"profile put organization --definition {PROFILE!r}", {}),
    (f"definition put works-at --definition {DEFINITION!r}", {}),
    ("definition get works-at", {"key": "works-at"}),
    ("definition list", None),
    ("""collection put practitioner --definition '{"type": "resources"}'""", {"type": "resources"}),
    ("collection get practitioner", {"type": "resources"}),
    ("""resource create practitioner --id prac-1 --data '{"name": "x"}'""", {"id": "prac-1"}),
    ("""resource upsert practitioner prac-1 --data '{"name": "y"}'""", {"data": {"name": "y"}}),
    ("resource get practitioner prac-1", {"id": "prac-1"}),
    ("""resource create organization --id org-1 --data '{}' --meta '{"identifier": []}'""", {"id": "org-1"}),
    (
        "relationship create works-at --from practitioner/prac-1 --to organization/org-1",
        {"id": "prac-1.org-1"},
    ),
    (f"relationship update works-at prac-1.org-1 --patch {PATCH!r}", {"data": {"since": 2019}}),
    ("relationship get works-at prac-1.org-1", {"data": {"since": 2019}}),
    ("browse works-at practitioner --per-page 1", None),
    ("relationship delete works-at prac-1.org-1", {"status": "deleted"}),
    ("resource delete organization org-1", {"status": "deleted"}),
    ("purge create resources practitioner --yes", {"deletedCount": 1}),
    (f"partition create clinics --definition {PARTITION!r} --stage", {"status": "STATUS_STAGE"}),
    ("partition get clinics", {"key": "clinics"}),
    ("partition list", None),
    ("partition delete clinics --yes", {"status": "deleted"}),
    ("source delete ehr --yes", {"status": "deleted"}),
)


def test_one_of_each_kind_is_made_read_changed_and_deleted(
    cli: Cli, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLINIA_SOURCE", "ehr")
    for command, expected in WALK:
        ran = cli(*shlex.split(command))
        assert (ran.code, ran.err) == (0, ""), command
        if expected is None:
            assert ran.json, command
        else:
            assert ran.json.items() >= expected.items(), command
    assert served.holds() == 0


def _some(count: int) -> Path:
    path = Path("some.ndjson")
    path.write_text("".join(line(f"prac-{number}") for number in range(count)))
    return path


def test_output_as_a_table_is_aligned_and_not_cut(cli: Cli, served: Served) -> None:
    assert cli("bulk", "create", _some(3)).code == 0
    ran = cli("browse", "practises-at", "--output", "table")
    head, *rows = ran.out.splitlines()
    assert head.split()[:2] == ["ID", "TYPE"]
    assert [row.split()[0] for row in rows] == [f"prac-{number}.org-1" for number in range(3)]
    assert len({row.index("practises-at") for row in rows} | {head.index("TYPE")}) == 1
    one = cli("relationship", "get", "practises-at", "prac-0.org-1", "--output", "table")
    assert one.out.splitlines()[0].split() == ["FIELD", "VALUE"]
    assert "id" in one.out.splitlines()[1]


def test_output_of_a_list_as_json_or_ndjson(cli: Cli, served: Served) -> None:
    assert cli("browse", "practises-at").out == "[]\n"
    assert cli("bundle", "create", _some(3)).code == 0
    records = cli("browse", "practises-at", "--per-page", "1").json
    assert [record["id"] for record in records] == [f"prac-{number}.org-1" for number in range(3)]
    lines = cli("browse", "practises-at", "--output", "ndjson").out.splitlines()
    assert [json.loads(text) for text in lines] == records


def test_json_from_standard_input_and_from_a_file(
    cli: Cli, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"n": 1}')))
    assert cli(*CREATE, "--data", "-").json["data"] == {"n": 1}
    Path("data.json").write_text('{"n": 2}')
    for number, name in enumerate(("@data.json", "data.json")):
        ran = cli("resource", "create", "t", "--id", f"id-{number}", "--data", name)
        assert ran.json["data"] == {"n": 2}


def test_contained_resources(cli: Cli, served: Served) -> None:
    assert cli("resource", "create", "clinic", "--id", "org-1", "--data", "{}").code == 0
    office = '{"type": "office", "data": {"floor": 1}}'
    ran = cli("contained", "upsert", "clinic", "org-1", "offices/main", "--resource", office)
    assert (ran.code, ran.messages) == (0, [])
    assert ran.json["contained"]["offices"][0]["data"] == {"floor": 1}
    assert cli("contained", "delete", "clinic", "org-1", "offices/main").code == 0


def test_a_bulk_and_a_purge_are_read(cli: Cli, served: Served) -> None:
    token = json.loads(cli("bulk", "create", _some(2), "--no-wait").out)
    ran = cli("bulk", "get", "RELATIONSHIP", token["task"], "--receipts")
    assert (ran.code, ran.messages) == (0, [])
    token = json.loads(cli("purge", "create", "relationships", "practises-at", "--yes", "--no-wait").out)
    assert cli("purge", "get", token["task"]).code == 0


@pytest.mark.parametrize(("answer", "code", "left"), [("y", 0, 0), ("n", 130, 2)])
def test_a_purge_asks_first(answer: str, code: int, left: int, cli: Cli, served: Served) -> None:
    assert cli("bulk", "create", _some(2)).code == 0
    screen, terminal = pty.openpty()
    process = start("purge", "create", "relationships", "practises-at", stdin=terminal)
    os.close(terminal)
    os.write(screen, f"{answer}\n".encode())
    ran = ended(process)
    os.close(screen)
    assert ran.code == code
    assert ran.err.startswith("Delete all records of relationships practises-at for good? [y/N]: ")
    assert served.holds() == left


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_that_completes(shell: str, cli: Cli) -> None:
    ran = cli("completion", shell)
    assert (ran.code, ran.err) == (0, "")
    assert "_CLINIA_ASYNC_COMPLETE" in ran.out


def test_completion_knows_commands_and_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_CLINIA_ASYNC_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "clinia-async relationship cre")
    monkeypatch.setenv("COMP_CWORD", "2")
    assert ended(start()).out == "plain,create\n"
