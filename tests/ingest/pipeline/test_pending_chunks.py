"""Tasks that are pending hold no worker: the next chunk is sent meanwhile, within bounds."""

import json
from collections import Counter

import pytest
from aiohttp import web

from clinia_async import ChunkLimits, Disposition, Ingestion
from clinia_async.emulator import Accepted, Constant, Emulator
from clinia_async.ingest.pipeline import pending_chunks
from tests.ingest.running import SOURCE, Ran, run, session_for, stored_data, write, writes
from tests.ingest.scripted import Answer, against, error


@pytest.mark.parametrize("via", ["single", "bulk", "bundle"])
async def test_chunks_are_sent_while_the_tasks_of_others_are_pending(via: str) -> None:
    mode = Accepted(Constant(10.0))
    async with Emulator(default=mode, bulk=mode.latency, bundle=mode) as emulator:
        found = await run(emulator, writes(12), via=via, workers=1, chunk=ChunkLimits(operations=1))
    assert found.report.all_landed
    assert found.report.seconds < 3 * 10, "one after the other they would take 2 minutes"


@pytest.mark.parametrize(("bound", "value"), [("MOST_RECORDS", 30), ("MOST_CHUNKS", 3), ("MOST_BYTES", 6000)])
async def test_pending_chunks_are_bounded(bound: str, value: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pending_chunks, bound, value)
    async with Emulator(bulk=Constant(10.0)) as emulator, session_for(emulator) as session:
        job = Ingestion(session, SOURCE, writes(200), workers=2, chunk=ChunkLimits(operations=10))
        async with job:
            most = 0
            async for _ in job:
                most = max(most, job.report.sent - job.report.completed)
    assert job.report.all_landed
    assert 30 <= most <= 80


async def test_writes_of_one_key_keep_their_order_though_no_worker_waits() -> None:
    items = [write("a", f"x{n % 3}", n=n) for n in range(30)]
    async with Emulator(default=Accepted(Constant(5.0)), bulk=Constant(5.0)) as emulator:
        found = await run(emulator, items, on_existing="keep", workers=4, chunk=ChunkLimits(operations=4))
        assert stored_data(emulator) == {f"a.x{n}": {"n": n} for n in range(3)}
    assert found.error is None
    assert found.report.by_disposition[Disposition.KEPT] == 27
    for key in range(3):
        lines = [each.line for each in found.outcomes if (each.line - 1) % 3 == key]
        assert lines == sorted(lines)


def facts(found: Ran) -> list[tuple[object, ...]]:
    return sorted(
        (each.line, each.disposition, each.reason, each.attempts, each.record.key, str(each.sent.write))
        for each in found.outcomes
    )


async def test_a_packed_chunk_ends_as_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    there = [write(f"prac-{n}", f"org-{n % 7}", number=n if n % 2 else -1) for n in range(0, 300, 10)]
    found = {}
    for packed_from in (-1, 2**40):
        monkeypatch.setattr(pending_chunks, "PACKED_FROM", packed_from)
        async with Emulator(bulk=Constant(10.0)) as emulator:
            await run(emulator, there)
            items = [*writes(300), *writes(20)]
            found[packed_from] = await run(emulator, items, chunk=ChunkLimits(operations=40))
    assert facts(found[-1]) == facts(found[2**40])
    assert found[-1].report.by_disposition[Disposition.FAILED] > 10


async def test_packed_chunks_are_sent_again_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their tasks are lost, each once: what is sent then is what was sent before."""
    monkeypatch.setattr(pending_chunks, "PACKED_FROM", -1)
    sent: list[bytes] = []

    def service(request: web.Request, body: bytes) -> Answer:
        if request.method == "POST":
            sent.append(body)
            return 200, {"taskId": f"bk_{len(sent)}", "status": "ACCEPTED", "bulkId": f"bk_{len(sent)}"}
        number = int(request.path.rpartition("_")[2])
        if Counter(sent)[sent[number - 1]] == 1:
            return error("NOT_FOUND", 404)
        receipts = [
            {
                "taskId": f"bk_{number}",
                "status": "SUCCESS",
                "action": "CREATE",
                "targetType": "RELATIONSHIP",
                "type": each["create"]["type"],
                "id": f"{each['create']['from']['id']}.{each['create']['to']['id']}",
            }
            for each in json.loads(sent[number - 1])["operations"]
        ]
        return 200, {"taskId": f"bk_{number}", "status": "SUCCESS", "receipts": receipts}

    found = await against(service, writes(200), chunk=ChunkLimits(operations=40))
    assert found.report.all_landed
    assert sorted(Counter(sent).values()) == [2] * 5


async def test_packed_chunks_hold_less(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many more are pending where their bytes are the bound."""
    monkeypatch.setattr(pending_chunks, "MOST_BYTES", 6000)
    most = {}
    for packed_from in (-1, 2**40):
        monkeypatch.setattr(pending_chunks, "PACKED_FROM", packed_from)
        async with Emulator(bulk=Constant(10.0)) as emulator, session_for(emulator) as session:
            job = Ingestion(session, SOURCE, writes(800), workers=2, chunk=ChunkLimits(operations=40))
            most[packed_from] = 0
            async with job:
                async for _ in job:
                    pending = job.report.sent - job.report.completed
                    most[packed_from] = max(most[packed_from], pending)
    assert most[-1] > 2 * most[2**40]
