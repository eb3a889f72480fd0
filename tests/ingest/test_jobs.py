"""What a job promises: every record once, in order for its key, reported truly, whatever the service does."""

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator

import pytest

from clinia_async import (
    AccessRefused,
    ChunkLimits,
    ConfigError,
    CreateRelationship,
    Disposition,
    Ingestion,
    NetworkGivenUp,
    Polling,
    Ref,
    RetryPolicy,
    Session,
)
from clinia_async.emulator import (
    Accepted,
    Constant,
    DroppedRequest,
    Emulator,
    LogNormal,
    LostReply,
    Persisted,
    Settings,
    TooManyRequests,
    TruncatedBody,
    Unavailable,
)
from clinia_async.ingest.pipeline import pending_chunks
from clinia_async.ingest.pipeline.ready_queue import READ_AHEAD
from clinia_async.ingest.records.record_batch import MAX_BATCH, RecordBatches
from tests.ingest.running import (
    BOTH_WAYS,
    SOURCE,
    either_way,
    ran,
    run,
    session_for,
    stored_data,
    write,
    writes,
)

MODES = [Persisted(), Accepted(LogNormal(0.4, 0.8))]


@pytest.mark.parametrize("via", BOTH_WAYS)
@pytest.mark.parametrize("mode", MODES)
async def test_everything_lands_and_is_reported_once(via: str, mode: Persisted | Accepted) -> None:
    async with Emulator(default=mode) as emulator:
        found = await run(emulator, writes(300), via=via, chunk=ChunkLimits(operations=40))
        held = stored_data(emulator)
    assert found.error is None
    assert found.report.all_landed
    assert found.reported == {Disposition.PERSISTED: 300}
    assert held == {each.id: each.data for each in writes(300)}


@pytest.mark.parametrize("via", BOTH_WAYS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("seed", range(3))
async def test_faults_lose_nothing_and_double_nothing(
    via: str, mode: Persisted | Accepted, seed: int
) -> None:
    sent = writes(200)
    async with Emulator(seed=seed, default=mode) as emulator:
        for route in ("create_relationship", "bulk_relationships", "get_relationship", "get_task"):
            emulator.faults.add(LostReply(route=route, probability=0.15))
            emulator.faults.add(DroppedRequest(route=route, probability=0.05))
            emulator.faults.add(TruncatedBody(route=route, probability=0.05))
            emulator.faults.add(Unavailable(route=route, probability=0.05, executed=True))
            emulator.faults.add(TooManyRequests(route=route, probability=0.05, retry_after=2))
        found = await run(emulator, sent, via=via, chunk=ChunkLimits(operations=5), patience=600)
        held = stored_data(emulator)
        struck = emulator.faults.played.total()
    assert struck > 10, "a test of faults needs faults"
    assert found.error is None
    assert held == {each.id: each.data for each in sent}
    assert found.reported == {Disposition.PERSISTED: 200}
    assert found.report.reconciled > 0


@pytest.mark.parametrize("via", BOTH_WAYS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("policy", "equal", "different"),
    [
        ("compare", Disposition.EXISTING, Disposition.FAILED),
        ("keep", Disposition.EXISTING, Disposition.KEPT),
        ("fail", Disposition.FAILED, Disposition.FAILED),
    ],
)
async def test_a_key_that_is_taken_is_reconciled_as_asked(
    via: str, mode: Persisted | Accepted, policy: str, equal: Disposition, different: Disposition
) -> None:
    items = [write("a", "x", n=1), write("a", "x", n=1), write("a", "x", n=2), write("a", "x", n=1.0)]
    async with Emulator(default=mode) as emulator:
        found = await run(emulator, items, via=via, on_existing=policy)
        held = stored_data(emulator)
    reported = {each.line: either_way(each.disposition) for each in found.outcomes}
    assert reported == {1: Disposition.PERSISTED, 2: equal, 3: different, 4: equal}
    assert held == {"a.x": {"n": 1}}


@pytest.mark.parametrize("via", BOTH_WAYS)
async def test_two_writes_of_one_key_never_fly_together_and_keep_their_order(via: str) -> None:
    items = [write("a", f"x{n % 3}", n=n) for n in range(60)]
    async with Emulator(default=Accepted(LogNormal(0.3, 1.0))) as emulator:
        found = await run(emulator, items, via=via, on_existing="keep", workers=8)
        held = stored_data(emulator)
    assert held == {"a.x0": {"n": 0}, "a.x1": {"n": 1}, "a.x2": {"n": 2}}
    for key in range(3):
        reported = [each.line for each in found.outcomes if each.line % 3 == (key + 1) % 3]
        assert reported == sorted(reported)


@pytest.mark.parametrize("via", BOTH_WAYS)
async def test_a_wrong_write_from_python_is_refused_before_anything_is_sent(via: str) -> None:
    items = [write("a", "x", n=float("nan")), write("a", "x", n=1)]
    async with Emulator() as emulator:
        found = await run(emulator, items, via=via)
    assert {each.line: either_way(each.disposition) for each in found.outcomes} == {
        1: Disposition.INVALID,
        2: Disposition.PERSISTED,
    }
    assert found.report.reasons == {(Disposition.INVALID, "$.data.n: must be a finite number"): 1}


async def test_a_write_of_another_source_is_refused() -> None:
    other = CreateRelationship("other", "t", Ref("a", "x"), Ref("b", "y"))
    async with Emulator() as emulator:
        found = await run(emulator, [other])
        assert not emulator.requests
    assert found.reported == {Disposition.INVALID: 1}


@pytest.mark.parametrize("via", BOTH_WAYS)
async def test_a_refused_key_stops_the_job_and_sends_no_flood(via: str) -> None:
    async with Emulator() as emulator:
        async with Session(base_url=emulator.url, api_key="wrong") as session:
            found = await ran(session, writes(500), via=via, workers=4, chunk=ChunkLimits(operations=5))
        assert emulator.requests.total() <= 4
    assert isinstance(found.error, AccessRefused)
    assert set(found.reported) == {Disposition.UNSENT}
    assert found.report.stopped_by == "the service refused the key"


@pytest.mark.parametrize("via", BOTH_WAYS)
async def test_a_service_that_is_gone_is_given_up_after_the_patience(via: str) -> None:
    async with Emulator() as emulator:
        gone = session_for(emulator)
    loop = asyncio.get_running_loop()
    started = loop.time()
    async with gone:
        found = await ran(gone, writes(100), via=via, patience=120)
    assert isinstance(found.error, NetworkGivenUp)
    assert 120 < loop.time() - started < 300, "virtual seconds"
    assert set(found.reported) == {Disposition.UNSENT}


@pytest.mark.parametrize("via", BOTH_WAYS)
async def test_an_outage_shorter_than_the_patience_costs_nothing(via: str) -> None:
    async with Emulator() as emulator:
        for route in ("create_relationship", "bulk_relationships"):
            emulator.faults.add(DroppedRequest(route=route, times=20))
        found = await run(emulator, writes(50), via=via, patience=600)
        assert stored_data(emulator) == {each.id: each.data for each in writes(50)}
    assert found.reported == {Disposition.PERSISTED: 50}


@pytest.mark.parametrize("via", BOTH_WAYS)
async def test_the_patience_counts_from_the_first_failure_and_not_from_an_idle_time_before(via: str) -> None:
    route = {"single": "create_relationship", "bulk": "bulk_relationships"}[via]
    async with Emulator() as emulator, session_for(emulator, retry=RetryPolicy(attempts=1)) as session:
        at = asyncio.get_running_loop().time

        async def source() -> AsyncIterator[CreateRelationship]:
            yield write("a", "1")
            await asyncio.sleep(1000)
            emulator.faults.add(DroppedRequest(route=route, times=1))
            yield write("a", "2")
            await asyncio.sleep(1000)
            emulator.faults.add(DroppedRequest(route=route))
            failing.append(at())
            yield write("a", "3")

        failing: list[float] = []
        found = await ran(session, source(), via=via, patience=20, chunk=ChunkLimits(linger=0.1))
        assert isinstance(found.error, NetworkGivenUp)
        assert found.reported == {Disposition.PERSISTED: 2, Disposition.UNKNOWN: 1}
        assert 20 < at() - failing[0] < 40


@pytest.mark.parametrize("via", BOTH_WAYS)
async def test_leaving_early_leaves_a_report_that_is_true(via: str) -> None:
    async with Emulator(default=Accepted(Constant(5)), bulk=Constant(5)) as emulator:
        async with session_for(emulator) as session:
            job = Ingestion(
                session, SOURCE, writes(1000), via=via, workers=2, chunk=ChunkLimits(operations=10)
            )
            async with job:
                async for _ in job:
                    break
        report = job.report
        assert report.completed == report.read
        assert report.landed >= 1
        assert report.by_disposition[Disposition.UNKNOWN] >= 1
        assert report.stopped_by is not None
        assert emulator.relationships() >= report.landed


@pytest.mark.parametrize("via", BOTH_WAYS)
async def test_a_job_that_is_asked_to_stop_brings_what_flies_to_its_end(via: str) -> None:
    items = [write(f"p{n % 20}", "x", n=n % 20) for n in range(400)]
    async with Emulator(default=Accepted(Constant(5)), bulk=Constant(5)) as emulator:
        async with session_for(emulator) as session:
            job = Ingestion(session, SOURCE, items, via=via, workers=2, chunk=ChunkLimits(operations=8))
            outcomes = []
            async with job:
                async for outcome in job:
                    outcomes.append(outcome)
                    job.stop()
        counts = job.report.by_disposition
        assert emulator.relationships() == job.report.landed - counts[Disposition.EXISTING]
    assert job.report.landed >= 1
    assert not job.report.by_disposition[Disposition.UNKNOWN]
    assert job.report.completed == job.report.read == len(outcomes)
    assert job.report.sent < 400
    assert job.report.stopped_by == "asked to stop"


@pytest.mark.parametrize("via", BOTH_WAYS)
async def test_a_source_that_breaks_is_heard_and_the_rest_is_accounted_for(via: str) -> None:
    async def broken() -> AsyncIterator[CreateRelationship]:
        for each in writes(30):
            yield each
        raise LookupError("the source broke")

    async with Emulator() as emulator:
        found = await run(emulator, broken(), via=via, workers=2)
    assert isinstance(found.error, LookupError)
    assert found.report.read == 30


async def test_what_is_no_record_is_refused() -> None:
    async with Emulator() as emulator:
        found = await run(emulator, ["text"])  # type: ignore[list-item]
    assert isinstance(found.error, ValueError)


@pytest.mark.campaign
@pytest.mark.parametrize("via", BOTH_WAYS)
async def test_the_source_is_never_pulled_far_ahead(via: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pending_chunks, "MOST_RECORDS", 200)
    pulled = 0

    def counted() -> Iterator[CreateRelationship]:
        nonlocal pulled
        for each in writes(2000):
            pulled += 1
            yield each

    async with Emulator() as emulator, session_for(emulator) as session:
        job = Ingestion(session, SOURCE, counted(), via=via, workers=3, chunk=ChunkLimits(operations=10))
        ahead = 0
        async with job:
            async for _ in job:
                ahead = max(ahead, pulled - job.report.completed)
    assert pulled == 2000
    assert ahead <= 200 + 3 * 10 + READ_AHEAD


async def test_all_who_wait_for_records_hear_of_many() -> None:
    async def source() -> AsyncIterator[CreateRelationship]:
        await asyncio.sleep(1)  # by now every worker waits
        for each in writes(40):
            yield each
        await asyncio.sleep(60)

    async with Emulator(default=Accepted(Constant(5.0))) as emulator:
        found = await run(emulator, source(), via="single", workers=8)
    assert found.report.all_landed
    assert found.report.seconds < 60 + 8, "side by side, and not one behind the other"


@pytest.mark.parametrize("lost", [False, True])
async def test_halves_are_counted_once_as_sent(lost: bool) -> None:
    async with Emulator(settings=Settings(bulk_limit=3000)) as emulator:
        if lost:  # then the whole may have arrived, and its halves are no second time
            emulator.faults.add(LostReply(route="bulk_relationships", times=1))
        found = await run(emulator, writes(50), via="bulk")
        assert emulator.requests["bulk_relationships"] > 2 + lost
    assert found.report.all_landed
    assert (found.report.sent, found.report.read) == (50, 50)


async def test_a_bulk_that_ends_at_once_takes_one_poll() -> None:
    async with Emulator(bulk=Constant(0)) as emulator:
        found = await run(emulator, writes(100), via="bulk", chunk=ChunkLimits(operations=25))
        assert found.report.by_disposition == {Disposition.SUCCEEDED: 100}
        assert (emulator.requests["bulk_relationships"], emulator.requests["get_task"]) == (4, 4)


async def test_polls_at_once_are_given_up_where_they_are_in_vain() -> None:
    async with Emulator(bulk=Constant(30.0)) as emulator:
        polling = Polling(pace=lambda kind, age: 31.0, jitter=0)
        async with session_for(emulator, polling=polling) as session:
            chunks = ChunkLimits(operations=5)
            found = await ran(session, writes(150), via="bulk", chunk=chunks, workers=1)
        assert found.report.by_disposition == {Disposition.SUCCEEDED: 150}
        looks = emulator.requests["get_task"] - 2 * 30  # one to see the end of each, and one for its receipts
        assert looks == 4  # before the 1st, the 3rd, the 7th and the 15th; the next would be the 31st


@pytest.mark.parametrize("via", BOTH_WAYS)
async def test_a_run_of_repeats_waits_as_a_whole(via: str) -> None:
    items = writes(MAX_BATCH)
    async with Emulator(default=Accepted(Constant(1.0))) as emulator:
        found = await run(emulator, items * 3, via=via, chunk=ChunkLimits(operations=200))
        assert stored_data(emulator) == {each.id: each.data for each in items}
    assert found.error is None
    assert found.report.all_landed
    assert found.reported[Disposition.EXISTING] == 2 * MAX_BATCH


async def test_whoever_keeps_a_failure_does_not_keep_its_chunk() -> None:
    async with Emulator() as emulator, session_for(emulator) as session:
        await (await session.submit(write("p-7", "org", n=1)))
        items = [write(f"p-{n}", "org", n=2) for n in range(20)]
        found = await ran(session, items, via="bulk", on_existing="fail")
    (failed,) = (outcome for outcome in found.outcomes if not outcome.disposition.has_landed)
    assert failed.record.line == 8
    reached = gc.get_referents(failed)
    assert not [each for each in reached if isinstance(each, RecordBatches)]
    landed = next(outcome for outcome in found.outcomes if outcome.disposition.has_landed)
    assert landed.record is landed.record


async def test_a_reader_that_stops_reading_stops_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    chunk, bound = 500, 10_000
    monkeypatch.setattr(pending_chunks, "MOST_RECORDS", bound)
    count = bound + 15_000
    async with Emulator() as emulator, session_for(emulator) as session:
        items = (write(f"p{number}", "o") for number in range(count))
        job = Ingestion(session, SOURCE, items, via="bulk", chunk=ChunkLimits(operations=chunk))
        async with job:
            await asyncio.sleep(3600)  # on the clock that jumps
            assert bound <= job.report.read <= bound + 4 * chunk + READ_AHEAD < count
            reported = 0
            async for _ in job:
                reported += 1
    assert reported == count


async def test_chunks_keep_to_their_limits() -> None:
    async with Emulator() as emulator:
        small = ChunkLimits(bytes=1000)
        size = len(writes(1)[0].operation())
        await run(emulator, writes(100), via="bulk", chunk=small)
        assert emulator.requests["bulk_relationships"] >= 100 * size / 1000
    async with Emulator() as emulator:
        await run(emulator, writes(100), via="bulk", chunk=ChunkLimits(operations=10))
        assert emulator.requests["bulk_relationships"] == 10


async def test_a_job_runs_in_its_block_and_needs_a_worker() -> None:
    async with Emulator() as emulator, session_for(emulator) as session:
        with pytest.raises(ConfigError, match="workers must be a whole number of 1 or more"):
            Ingestion(session, SOURCE, [], workers=0)
        with pytest.raises(ConfigError, match="async with"):
            _ = [each async for each in Ingestion(session, SOURCE, [])]
        report = await Ingestion(session, SOURCE, []).run()
    assert report.all_landed
    assert report.read == 0


async def test_a_service_that_goes_while_records_are_compared_is_given_up_as_itself() -> None:
    async with Emulator() as emulator:
        await run(emulator, writes(3))
        emulator.faults.add(Unavailable(route="get_relationship"))
        found = await run(emulator, writes(3), via="bulk", patience=0.1)
    assert isinstance(found.error, NetworkGivenUp)
    assert found.reported == {Disposition.UNKNOWN: 3}


async def test_a_source_that_breaks_leaves_what_flies_to_its_end() -> None:
    async def broken() -> AsyncIterator[CreateRelationship]:
        for each in writes(25):
            yield each
        raise LookupError("the source broke")

    async with Emulator(bulk=Constant(5)) as emulator:
        found = await run(emulator, broken(), via="bulk", workers=3, chunk=ChunkLimits(operations=10))
        assert emulator.relationships() == 25
    assert found.reported == {Disposition.PERSISTED: 25}


@pytest.mark.campaign
@pytest.mark.parametrize("via", BOTH_WAYS)
async def test_a_stop_waits_no_longer_than_its_grace(via: str) -> None:
    loop = asyncio.get_running_loop()
    slow = Emulator(default=Accepted(Constant(3600)), bulk=Constant(3600))
    async with slow as emulator, session_for(emulator) as session:
        job = Ingestion(session, SOURCE, writes(50), via=via, chunk=ChunkLimits(operations=10))
        async with job:
            await asyncio.sleep(60)
            job.stop(grace=20)
            stopped = loop.time()
            outcomes = [outcome async for outcome in job]
    assert 20 <= loop.time() - stopped < 30, "virtual seconds"
    counts = job.report.by_disposition
    assert counts[Disposition.UNKNOWN] > 0
    assert counts[Disposition.UNKNOWN] + counts[Disposition.UNSENT] == len(outcomes) == job.report.read == 50
    assert job.report.stopped_by == "asked to stop"
