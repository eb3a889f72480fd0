"""A bulk is carried out part by part: a refusal that speaks of one record says nothing of the others."""

import asyncio
from typing import Any

import pytest
from aiohttp import web

from clinia_async import (
    AlreadyExists,
    ChunkLimits,
    CliniaError,
    Disposition,
    Evidence,
    Outcome,
    WriteConflict,
)
from tests.factories import ONCE, SOURCE, create, session_at, write
from tests.hostile import Behaviour, Hostile, Peer, Seen, answer, refusal
from tests.ingest.running import writes
from tests.ingest.scripted import ACCEPTED_BULK, Answer, against, error, receipt, task

D, E = Disposition, Evidence


async def test_a_bulk_that_met_a_record_may_have_stored_others() -> None:
    async with (
        Hostile([refusal(409, "ALREADY_EXISTS")]) as server,
        session_at(server, retry=ONCE) as session,
    ):
        with pytest.raises(AlreadyExists) as caught:
            await session.bulk(SOURCE, [write(to="org-1"), write(to="org-2")])
        assert (caught.value.outcome, caught.value.evidence) == (Outcome.UNKNOWN, Evidence.NONE)


@pytest.mark.parametrize("kind", ["INVALID_ARGUMENT", "PERMISSION_DENIED", "NOT_FOUND"])
async def test_a_bulk_that_is_refused_as_a_whole_stored_nothing(kind: str) -> None:
    async with Hostile([refusal(400, kind)]) as server, session_at(server, retry=ONCE) as session:
        with pytest.raises(CliniaError) as caught:
            await session.bulk(SOURCE, [write(to="org-1"), write(to="org-2")])
        assert caught.value.outcome is Outcome.REJECTED


async def test_a_job_says_nothing_of_the_records_of_such_a_bulk() -> None:
    def service(_: web.Request, __: bytes) -> Answer:
        return error("ALREADY_EXISTS", 409)

    found = await against(service, writes(3), via="bulk")
    assert {(each.disposition, each.evidence) for each in found.outcomes} == {(D.UNKNOWN, E.NONE)}


def registry(stored: dict[str, Any]) -> Behaviour:
    """Carry out the first create of a bulk and answer that a key is taken; alone, take what is not there."""

    async def behave(peer: Peer, seen: Seen) -> None:
        body: Any = None if seen.method == "GET" else seen.json()
        if seen.target.endswith("/bulk"):
            store(body["operations"][0]["create"])
            await refusal(409, "ALREADY_EXISTS")(peer, seen)
        elif body is None:
            found = stored.get(seen.target.rsplit("/", 1)[1])
            await (answer(found) if found else refusal(404, "NOT_FOUND"))(peer, seen)
        elif f"{body['from']['id']}.{body['to']['id']}" in stored:
            await refusal(409, "ALREADY_EXISTS")(peer, seen)
        else:
            await answer({"status": "PERSISTED", "relationship": store(body)}, 201)(peer, seen)

    def store(body: dict[str, Any]) -> dict[str, Any]:
        id_ = f"{body['from']['id']}.{body['to']['id']}"
        stored[id_] = {"type": "practises-at", "data": {}, **body, "id": id_}
        return stored[id_]

    return behave


async def test_coalesced_creates_have_each_an_end_of_their_own_after_such_a_bulk() -> None:
    there = {"from": {"id": "prac-1", "type": "practitioner"}, "to": {"id": "org-9", "type": "organization"}}
    stored: dict[str, Any] = {
        "prac-1.org-9": {**there, "id": "prac-1.org-9", "type": "practises-at", "data": {"n": 0}}
    }
    async with (
        Hostile(otherwise=registry(stored)) as server,
        session_at(server, coalesce=True, timeout=5.0) as session,
    ):
        made = await asyncio.gather(
            *(create(session, to=to, data={"n": 1}) for to in ("org-1", "org-2", "org-9")),
            return_exceptions=True,
        )
    assert isinstance(made[2], WriteConflict)
    assert made[2].outcome is Outcome.UNKNOWN
    assert [each.maybe_applied for each in made[:2]] == [True, True]  # type: ignore[union-attr]
    assert {each.data["n"] for each in [await each for each in made[:2]]} == {1}  # type: ignore[misc, index]


@pytest.mark.parametrize("shown", [{}, {"receipts": None}, {"receipts": "[]"}, {"receipts": {}}])
async def test_a_task_without_receipts_costs_its_own_records_and_not_the_job(shown: dict[str, Any]) -> None:
    """The service answers well, so the job goes on."""
    items, sent = writes(4), 0

    def service(request: web.Request, body: bytes) -> Answer:
        nonlocal sent
        if request.method == "POST":
            sent += 1
            return 202, ACCEPTED_BULK[1] | {"taskId": f"bk_{sent}", "bulkId": f"bk_{sent}"}  # type: ignore[operator]
        if request.path.endswith("bk_1"):
            return 200, {"taskId": "bk_1", "status": "SUCCESS", **shown}
        status, document = task("SUCCESS", [receipt(each, "SUCCESS") for each in items[2:]])
        return status, document | {"taskId": "bk_2"}  # type: ignore[operator]

    found = await against(service, items, via="bulk", chunk=ChunkLimits(operations=2), workers=1)
    assert {each.line: each.disposition for each in found.outcomes} == {
        1: D.UNKNOWN,
        2: D.UNKNOWN,
        3: D.SUCCEEDED,
        4: D.SUCCEEDED,
    }
