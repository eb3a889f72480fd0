"""Tasks that are pending hold no worker: the next chunk is sent meanwhile, within bounds."""

import pytest

from clinia_async import ChunkLimits, Disposition, Ingestion
from clinia_async.emulator import Accepted, Constant, Emulator
from clinia_async.ingest.pipeline import pending_chunks
from tests.ingest.running import SOURCE, run, session_for, stored_data, write, writes


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
