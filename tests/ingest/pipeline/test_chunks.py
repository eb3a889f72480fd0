"""Chunks keep to their limits, and their parts to what is known of them."""

import json

from aiohttp import web

from clinia_async import ChunkLimits, CreateResource, Disposition, Evidence
from tests.ingest.running import SOURCE, writes
from tests.ingest.scripted import ACCEPTED_BULK, Answer, against, error, receipt, task


async def test_halves_of_a_chunk_whose_answer_was_lost_may_have_been_applied() -> None:
    """The service stored all of it, its answer was lost, and then the same request was too large for it."""
    items, posts = writes(4), 0
    by_id = {each.id: each for each in items}

    def service(request: web.Request, body: bytes) -> Answer | None:
        nonlocal posts
        if request.method == "POST":
            posts += 1
            count = len(json.loads(body)["operations"])
            if posts == 1:
                return None
            return error("CONTENT_TOO_LARGE", 413) if count > 2 else ACCEPTED_BULK
        if "/tasks/" in request.path:
            taken = {"error": {"type": "ALREADY_EXISTS"}}
            return task("FAILURE", [receipt(each, "FAILURE", **taken) for each in items])
        found = by_id[request.path.rsplit("/", 1)[1]]
        ends = {
            "from": {"id": found.from_.id, "type": found.from_.type},
            "to": {"id": found.to.id, "type": found.to.type},
        }
        return 200, {"id": found.id, "type": found.type, **ends, "data": found.data}

    found = await against(service, items, on_existing="fail", workers=1)
    assert posts == 4
    assert {(each.disposition, each.evidence, each.maybe_applied) for each in found.outcomes} == {
        (Disposition.PERSISTED, Evidence.READ_BACK, True)
    }
    assert found.report.sent == 4


async def test_no_chunk_holds_more_than_its_limit_where_kinds_are_mixed() -> None:
    """A chunk that is nearly full meets a run that would fit into the one that was filled last."""
    resources = [CreateResource(SOURCE, "patient", f"p-{number}", data={}) for number in range(30)]
    joins = writes(60)
    items = [*joins[:6], *resources[:1], *joins[6:46], *resources[1:7], *joins[46:], *resources[7:]]
    sizes: list[int] = []

    def service(request: web.Request, body: bytes) -> Answer:
        if request.method == "POST":
            sizes.append(len(json.loads(body)["operations"]))
            return 200, {"taskId": "bk_1", "status": "PERSISTED", "bulkId": "bk_1"}
        return error("NOT_FOUND", 404)

    found = await against(service, items, chunk=ChunkLimits(operations=7), workers=1)
    assert found.report.landed == len(items)
    assert sum(sizes) == len(items)
    assert max(sizes) == 7
