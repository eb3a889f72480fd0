import asyncio
import json

import pytest

import clinia_async as clinia
from clinia_async.emulator import Accepted, Constant
from tests.cli.program import Cli
from tests.cli.served import Served

WRITE = clinia.CreateRelationship(
    "ehr-prod", "practises-at", clinia.Ref("prac-1", "practitioner"), clinia.Ref("org-9", "organization")
)


def _submitted(served: Served, seconds: float) -> str:
    """The token of a single write that takes so long."""
    served.emulator.default = Accepted(Constant(seconds))

    async def submit() -> str:
        async with clinia.Session(api_key=served.key, base_url=served.url) as session:
            return (await session.submit(WRITE)).token()

    return asyncio.run(submit())


def _bulk_submitted(served: Served) -> str:
    served.emulator.bulk = Constant(0.0)

    async def submit() -> str:
        async with clinia.Session(api_key=served.key, base_url=served.url) as session:
            return (await session.bulk("ehr-prod", [WRITE])).token()

    return asyncio.run(submit())


def test_get_by_token_and_by_id(cli: Cli, served: Served) -> None:
    token = _submitted(served, 3600)
    id_ = json.loads(token)["task"]
    for name in (token, id_):
        ran = cli("task", "get", name)
        assert (ran.code, ran.err) == (0, "")
        assert ran.json == {"status": "PENDING", "taskId": id_}


def test_get_with_receipts(cli: Cli, served: Served) -> None:
    ran = cli("task", "get", _submitted(served, 0), "--receipts")
    assert (ran.code, ran.err) == (0, "")
    assert ran.json["status"] == "SUCCESS"
    assert [receipt["id"] for receipt in ran.json["receipts"]] == ["prac-1.org-9"]


def test_wait_prints_the_relationship(cli: Cli, served: Served) -> None:
    ran = cli("task", "wait", _submitted(served, 0.05))
    assert (ran.code, ran.err.split()) == (0, ["PENDING", "SUCCESS"])
    assert ran.json["id"] == "prac-1.org-9"


def test_wait_for_a_bulk_prints_its_receipts(cli: Cli, served: Served) -> None:
    ran = cli("task", "wait", _bulk_submitted(served))
    assert ran.code == 0
    assert [receipt["status"] for receipt in ran.json["receipts"]] == ["SUCCESS"]


def test_wait_times_out_and_prints_the_token(cli: Cli, served: Served) -> None:
    token = _submitted(served, 3600)
    ran = cli("task", "wait", token, "--timeout", "0.01")
    assert (ran.code, ran.out) == (4, "")
    pending, resume, error = ran.err.splitlines()
    assert pending == "PENDING"
    assert resume == f"the task goes on; resume with: clinia-async task wait '{token}'"
    assert error.startswith("error: single task ")


def test_a_task_that_failed(cli: Cli, served: Served) -> None:
    _bulk_submitted(served)
    ran = cli("task", "wait", _bulk_submitted(served))
    assert (ran.code, ran.out) == (5, "")
    assert ran.err.splitlines()[:-1] == ["PENDING", "FAILURE"]
    assert ": 1 of 1 operations failed ALREADY_EXISTS; `task get --receipts` says" in ran.err.splitlines()[-1]


def test_a_task_that_does_not_exist(cli: Cli, served: Served) -> None:
    assert cli("task", "get", "s_gone").code == 1


def test_an_id_needs_a_source_and_a_token_does_not(
    cli: Cli, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = _submitted(served, 0)
    monkeypatch.delenv("CLINIA_SOURCE")
    assert cli("task", "get", token).code == 0
    ran = cli("task", "get", json.loads(token)["task"])
    problem = "error: --source: a task id needs the source that it belongs to; a token names it\n"
    assert ran == (2, "", problem)


def test_what_is_no_id_and_no_token(cli: Cli, served: Served) -> None:
    for text in ("", "{}", "a/b", '{"v": 2}'):
        for command in ("get", "wait"):
            ran = cli("task", command, text)
            assert (ran.code, ran.out) == (2, "")
            assert ran.err.count("\n") == 1
    assert not served.arrivals
