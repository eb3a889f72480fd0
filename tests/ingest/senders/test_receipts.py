"""Receipts are matched by type and id; what they do not prove is not claimed."""

from collections.abc import Mapping, Sequence

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from clinia_async import Disposition, Receipt, Session
from clinia_async.models import Action, TargetType, TaskStatus
from clinia_async.models.batch_result import match_receipts
from tests.ingest.running import Ran, ran, writes

Document = Mapping[str, object]


def receipt(number: int, status: str = "SUCCESS", **more: object) -> Document:
    id_ = writes(number + 1)[number].id
    base = {"action": "CREATE", "status": status, "targetType": "RELATIONSHIP", "type": "practises-at"}
    return {**base, "id": id_, **more}


async def run_against(receipts: Sequence[Document], status: str = "SUCCESS") -> Ran:
    """Three writes in one bulk, to a service that answers with these receipts."""

    async def submit(_: web.Request) -> web.Response:
        return web.json_response({"taskId": "bk_1", "status": "ACCEPTED", "bulkId": "bk_1"}, status=202)

    async def task(_: web.Request) -> web.Response:
        return web.json_response({"taskId": "bk_1", "status": status, "receipts": list(receipts)})

    async def nothing(_: web.Request) -> web.Response:
        return web.json_response({"type": "NOT_FOUND"}, status=404)

    app = web.Application()
    app.router.add_post("/sources/ehr-prod/v1/relationships/bulk", submit)
    app.router.add_get("/sources/ehr-prod/v1/tasks/bk_1", task)
    app.router.add_get("/sources/ehr-prod/v1/relationships/{type}/{id}", nothing)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        port = runner.addresses[0][1]
        async with Session(base_url=f"http://127.0.0.1:{port}", api_key="k") as session:
            return await ran(session, writes(3), via="bulk")
    finally:
        await runner.cleanup()


REVIEWED = {"pipelineExecution": {"id": "p", "status": "SUCCESSFUL"}}
REFUSED = {"pipelineExecution": {"id": "p", "status": "REJECTED"}}
P, F, C, D, U = "succeeded", "failed", "cancelled", "dropped", "unknown"


@pytest.mark.parametrize(
    ("status", "receipts", "reported"),
    [
        ("SUCCESS", [receipt(2), receipt(0), receipt(1)], [P, P, P]),
        ("SUCCESS", [receipt(0), receipt(2)], [P, U, P]),
        ("SUCCESS", [], [U, U, U]),
        ("SUCCESS", [receipt(0), receipt(0), receipt(1), receipt(2), receipt(9)], [P, P, P]),
        ("FAILURE", [receipt(0), receipt(1), receipt(1, "FAILURE"), receipt(2)], [P, U, P]),
        ("SUCCESS", [receipt(0, "FAILURE", error={"type": "INTERNAL"}), receipt(1), receipt(2)], [U, P, P]),
        ("SUCCESS", [receipt(0, "PENDING"), receipt(1, "QUEUED"), receipt(2)], [U, U, P]),
        ("SUCCESS", [receipt(0, targetType="RESOURCE"), receipt(1, type="other"), receipt(2)], [U, U, P]),
        ("SUCCESS", [receipt(0, **REVIEWED), receipt(1), receipt(2)], [U, P, P]),
        ("SUCCESS", [receipt(0, **REFUSED), receipt(1), receipt(2)], [D, P, P]),
        ("CANCELLED", [receipt(number, "CANCELLED") for number in range(3)], [C, C, C]),
        ("FAILURE", [receipt(0, "FAILURE"), receipt(1, "CANCELLED"), receipt(2)], [F, C, P]),
    ],
)
async def test_a_record_is_reported_as_its_own_receipt_proves(
    status: str, receipts: Sequence[Document], reported: Sequence[str]
) -> None:
    found = await run_against(receipts, status)
    by_line = {each.line: each.disposition for each in found.outcomes}
    assert [by_line[line] for line in (1, 2, 3)] == [Disposition(word) for word in reported]


KEYS = st.tuples(st.sampled_from(TargetType), st.sampled_from("tu"), st.sampled_from("abc"))
Key = tuple[TargetType, str, str]


@given(st.sets(KEYS), st.lists(st.tuples(KEYS, st.sampled_from([TaskStatus.SUCCESS, TaskStatus.FAILURE]))))
def test_every_receipt_is_of_one_write_foreign_or_doubled(
    keys: set[Key], given_: list[tuple[Key, TaskStatus]]
) -> None:
    receipts = [Receipt(Action.CREATE, status, *key) for key, status in given_]
    matched = match_receipts(keys, receipts)
    firsts = {key for key, _ in given_ if key in keys}
    contradicted = {key for key in firsts if len({status for each, status in given_ if each == key}) > 1}
    assert set(matched.of) == firsts - contradicted
    assert len(matched.unexpected) == sum(key not in keys for key, _ in given_)
    assert matched.duplicates == len(given_) - len(matched.unexpected) - len(firsts)
