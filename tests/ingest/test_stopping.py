"""How a job ends: by `stop()`, by cancels of any kind, by its source, or by a session that is closed."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import anyio
import pytest

from clinia_async import (
    ChunkLimits,
    ConfigError,
    CreateRelationship,
    Disposition,
    Evidence,
    Ingestion,
    SessionClosed,
    SourceCancelled,
)
from clinia_async.emulator import Accepted, Constant, Emulator
from clinia_async.errors import reason_of
from tests.ingest.running import BOTH_WAYS, SOURCE, ran, session_for, write, writes

WAYS = ("single", "bulk", "bundle")
SMALL = ChunkLimits(operations=20)


def endless(size: int = 1) -> Iterator[CreateRelationship]:
    for number in itertools.count():
        yield write(f"p{number}", "o", text="x" * size)


async def endless_async() -> AsyncIterator[CreateRelationship]:
    for each in endless():
        await asyncio.sleep(0.01)
        yield each


def slow_service() -> Emulator:
    mode = Accepted(Constant(3.0))
    return Emulator(default=mode, bulk=Constant(3.0), bundle=mode)


# ------------------------------------------------------------------------------ stop()


@pytest.mark.campaign
@pytest.mark.parametrize("via", WAYS)
@pytest.mark.parametrize("source", [endless, endless_async])
async def test_a_job_that_is_asked_to_stop_reads_nothing_more(via: str, source: Callable[[], object]) -> None:
    async with slow_service() as emulator, session_for(emulator) as session:
        job = Ingestion(session, SOURCE, source(), via=via, chunk=SMALL)  # type: ignore[arg-type]
        running = asyncio.create_task(job.run())
        await asyncio.sleep(2)
        read = job.report.read
        job.stop()
        report = await running
    assert report.read == read
    assert report.completed == read
    assert report.landed == report.sent > 0
    assert report.by_disposition[Disposition.UNSENT] == read - report.sent


async def test_a_source_that_waits_is_closed_when_the_job_is_asked_to_stop() -> None:
    closed = asyncio.Event()

    async def source() -> AsyncIterator[CreateRelationship]:
        try:
            yield write("a", "b")
            await asyncio.sleep(10**6)
        finally:
            closed.set()

    async with Emulator() as emulator, session_for(emulator) as session:
        job = Ingestion(session, SOURCE, source(), via="single")
        running = asyncio.create_task(job.run())
        await asyncio.sleep(5)
        job.stop()
        assert (await running).landed == 1
    assert closed.is_set()


# ------------------------------------------------------------------------------ the source


async def cancelled_source() -> AsyncIterator[CreateRelationship]:
    for each in writes(5):
        yield each
    fetch = asyncio.create_task(asyncio.sleep(3600))
    fetch.cancel()
    await fetch


def cancelled_sync_source() -> Iterator[CreateRelationship]:
    yield from writes(5)
    raise asyncio.CancelledError


@pytest.mark.parametrize("via", BOTH_WAYS)
@pytest.mark.parametrize("source", [cancelled_source, cancelled_sync_source])
async def test_a_source_that_is_cancelled_ends_the_job_with_an_error_behind_all_outcomes(
    via: str, source: Callable[[], AsyncIterator[CreateRelationship]]
) -> None:
    async with Emulator() as emulator, session_for(emulator) as session:
        found = await ran(session, source(), via=via)
    assert isinstance(found.error, SourceCancelled)
    assert isinstance(found.error.__cause__, asyncio.CancelledError)
    assert found.report.read == found.report.landed == len(found.outcomes) == 5
    assert found.report.stopped_by == "the iterable of the job was cancelled, and not by the job"


# ------------------------------------------------------------------------------ cancels


async def cancel_twice(running: "asyncio.Task[object]") -> None:
    running.cancel()
    await asyncio.sleep(0)
    running.cancel()


async def cancel_many_times(running: "asyncio.Task[object]") -> None:
    while not running.done():
        running.cancel()
        await asyncio.sleep(0)


@pytest.mark.campaign
@pytest.mark.parametrize("via", WAYS)
@pytest.mark.parametrize("cancel", [cancel_twice, cancel_many_times])
async def test_the_block_is_left_when_the_job_has_ended_however_often_it_is_cancelled(
    via: str, cancel: Callable[["asyncio.Task[object]"], Awaitable[None]]
) -> None:
    async with slow_service() as emulator, session_for(emulator) as session:
        job = Ingestion(session, SOURCE, endless(), via=via, chunk=SMALL)
        running = asyncio.create_task(job.run())
        await asyncio.sleep(2)
        await cancel(running)
        await asyncio.wait([running])
        assert running.cancelled()
        assert job.report.completed == job.report.read > 0
        assert not [task for task in asyncio.all_tasks() if task.get_name() in JOB_TASKS]


JOB_TASKS = {"clinia-ingestion", "clinia-reader", "clinia-workers", "clinia-worker", "clinia-source"}


@pytest.mark.parametrize("via", WAYS)
async def test_the_block_is_left_when_the_job_has_ended_under_a_scope_of_anyio(via: str) -> None:
    """Such a scope cancels at each turn of the loop until its block is left."""
    async with slow_service() as emulator, session_for(emulator) as session:
        job = Ingestion(session, SOURCE, endless(), via=via, chunk=SMALL)
        with anyio.move_on_after(2) as scope:
            await job.run()
        assert scope.cancelled_caught
        assert job.report.completed == job.report.read > 0
        assert not [task for task in asyncio.all_tasks() if task.get_name() in JOB_TASKS]


async def test_a_web_service_whose_client_hangs_up_leaves_no_job_behind() -> None:
    """As web frameworks do it: the response runs in a task group, which is cancelled at the disconnect."""
    async with slow_service() as emulator, session_for(emulator) as session:
        job = Ingestion(session, SOURCE, endless(), chunk=SMALL)
        was_complete = False

        async def respond(scope: anyio.CancelScope) -> None:
            nonlocal was_complete
            try:
                await job.run()
            finally:
                was_complete = job.report.completed == job.report.read > 0
                scope.cancel()

        async def listen_for_disconnect(scope: anyio.CancelScope) -> None:
            await anyio.sleep(2)
            scope.cancel()

        async with anyio.create_task_group() as group:
            group.start_soon(respond, group.cancel_scope)
            await listen_for_disconnect(group.cancel_scope)
        assert was_complete


# ------------------------------------------------------------------------------ the session


@pytest.mark.parametrize("via", WAYS)
async def test_a_session_that_is_closed_ends_the_job_and_what_never_left_is_unsent(via: str) -> None:
    pulled = 0

    async def source() -> AsyncIterator[CreateRelationship]:
        nonlocal pulled
        for each in writes(3000):
            pulled += 1
            yield each
            await asyncio.sleep(0.01)

    async with Emulator() as emulator:
        session = session_for(emulator)

        async def close() -> None:
            await asyncio.sleep(3)
            await session.aclose()

        task = asyncio.create_task(close())
        found = await ran(session, source(), via=via, chunk=SMALL)
        await task
        stored = emulator.relationships()
    report = found.report
    assert isinstance(found.error, SessionClosed)
    assert report.stopped_by == reason_of(found.error)
    assert pulled < 1000, "reading ends with the job"
    assert report.sent <= stored + report.by_disposition[Disposition.UNKNOWN]
    assert report.landed <= stored <= report.landed + report.by_disposition[Disposition.UNKNOWN]
    unsent = [each for each in found.outcomes if each.disposition is Disposition.UNSENT]
    assert unsent
    assert {(each.attempts, each.evidence) for each in unsent} == {(0, Evidence.NOT_SENT)}


async def test_a_session_that_was_closed_before_sends_nothing() -> None:
    async with Emulator() as emulator:
        session = session_for(emulator)
        await session.aclose()
        found = await ran(session, writes(30))
        assert isinstance(found.error, SessionClosed)
        assert found.report.read == found.report.sent == 0
        assert not emulator.requests


# ------------------------------------------------------------------------------ twice, and meanwhile


async def test_a_job_runs_once() -> None:
    async with Emulator() as emulator, session_for(emulator) as session:
        job = Ingestion(session, SOURCE, writes(3))
        await job.run()
        with pytest.raises(ConfigError, match="a job runs once"):
            await job.run()
        assert job.report.landed == job.report.read == 3


async def test_the_report_is_true_while_the_job_runs() -> None:
    async with slow_service() as emulator, session_for(emulator) as session:
        job = Ingestion(session, SOURCE, writes(200), chunk=SMALL)
        async with job:
            await asyncio.sleep(2)
            assert job.report.seconds == pytest.approx(2, abs=0.1)
            assert job.report.most_in_flight > 0
            assert job.report.concurrency > 0
            async for _ in job:
                assert job.report.records_per_second > 0
        seconds = job.report.seconds
        await asyncio.sleep(5)
        assert job.report.seconds == seconds
        assert job.report.most_in_flight > 0


async def test_a_job_that_is_left_without_being_run_says_so(caplog: pytest.LogCaptureFixture) -> None:
    async with Emulator() as emulator, session_for(emulator) as session:
        async with Ingestion(session, SOURCE, writes(10)):
            pass
        assert "use run()" in caplog.text
        caplog.clear()
        async with Ingestion(session, SOURCE, writes(10)) as job:
            async for _ in job:
                break
        async with Ingestion(session, SOURCE, writes(10)) as job:
            job.stop()
        await Ingestion(session, SOURCE, writes(10)).run()
        assert caplog.text == ""
