"""What a job owes in the corners: order after doubt, at most once, halves, bundles, resumed runs."""

import asyncio
import json
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from pathlib import Path

import pytest

from clinia_async import (
    ChunkLimits,
    ColumnMapping,
    CreateResource,
    DeleteRelationship,
    DeleteResource,
    Disposition,
    Ingestion,
    JournalMismatch,
    NetworkGivenUp,
    Polling,
    Ref,
    UpsertRelationship,
    UpsertResource,
    read_records,
)
from clinia_async.calls import BatchWrite
from clinia_async.emulator import (
    Accepted,
    Constant,
    DroppedRequest,
    Emulator,
    LostReply,
    Persisted,
    Settings,
    StaleRead,
    Unavailable,
)
from clinia_async.ingest.pipeline.input_reader import Item
from clinia_async.ingest.pipeline.worker import MAYBE_APPLIED
from clinia_async.ingest.senders.error_outcomes import TOO_LARGE
from tests.ingest.running import SOURCE, Ran, either_way, ran, run, session_for, stored_data, write, writes
from tests.ingest.witness import witnessed

WAYS = ("single", "bulk", "bundle")
HOW = ("writes", "dicts", "csv", "ndjson")
D = Disposition
ONE = ChunkLimits(operations=1)


def upsert(version: int) -> UpsertResource:
    return UpsertResource(SOURCE, "patient", "p-1", data={"v": version})


def create(version: int) -> CreateResource:
    return CreateResource(SOURCE, "patient", "p-1", data={"v": version})


def notes(count: int) -> list[CreateResource]:
    return [CreateResource(SOURCE, "note", data={"n": number}) for number in range(count)]


def given(how: str, folder: Path, count: int) -> Iterable[Item] | AsyncIterable[Item]:
    """Return the records of `notes`, as programs and files give them."""
    if how == "writes":
        return notes(count)
    if how == "dicts":
        return [{"type": "note", "data": {"n": number}} for number in range(count)]
    path = folder / f"notes.{how}"
    if how == "csv":
        path.write_text("n\n" + "".join(f"{number}\n" for number in range(count)))
        return read_records(path, SOURCE, columns=ColumnMapping.parse("type==note,data.n:int=n"))
    path.write_text("".join(f'{{"type":"note","data":{{"n":{number}}}}}\n' for number in range(count)))
    return read_records(path, SOURCE)


def reported(found: Ran) -> list[Disposition]:
    return [either_way(each.disposition) for each in sorted(found.outcomes, key=lambda one: one.line)]


# Order


@pytest.mark.parametrize("via", WAYS)
@pytest.mark.parametrize("mode", [Persisted(), Accepted(Constant(0.3))])
async def test_a_chain_of_one_key_keeps_its_order_though_answers_are_lost(
    via: str, mode: Persisted | Accepted
) -> None:
    delete = DeleteResource(SOURCE, "patient", "p-1")
    chain = [create(1), upsert(2), delete, create(3), upsert(4), delete, upsert(5)]
    with witnessed() as seen:
        async with Emulator(default=mode, bulk=Constant(0.3), bundle=mode) as emulator:
            for route in ("create_resource", "put_resource", "delete_resource", "bulk_resources", "bundle"):
                emulator.faults.add(LostReply(route=route, times=4))
            found = await run(emulator, chain, via=via, workers=4, chunk=ChunkLimits(linger=0), patience=600)
            held = [each.data for each in emulator.stored_resources()]
    assert reported(found) == [D.PERSISTED] * 7
    assert held == [{"v": 5}]
    effects = [(each.action, json.loads(each.data)) for each in seen.done]
    assert [one for place, one in enumerate(effects) if effects[place - 1 : place] != [one]] == [
        (str(each.action), {} if each is delete else each.data)  # type: ignore[union-attr,index]
        for each in chain
    ]


async def test_a_write_waits_for_the_fence_behind_one_that_may_arrive_late(tmp_path: Path) -> None:
    """Also in a run that goes on after the other was settled, and behind one whose end is unknown."""
    loop = asyncio.get_running_loop()
    options = {"via": "bulk", "chunk": ONE, "journal": tmp_path / "j", "fence": 60.0}
    at: list[float] = []
    with witnessed() as seen:
        async with Emulator() as emulator, session_for(emulator) as session:
            seen.on_arrival.append(lambda: at.append(loop.time()))
            emulator.faults.add(LostReply(route="bulk_resources", times=1))
            async with Ingestion(session, SOURCE, [upsert(1), upsert(2)], **options) as job:  # type: ignore[arg-type]
                async for outcome in job:
                    assert outcome.maybe_applied
                    break
                await asyncio.sleep(10)
            assert len(at) == 2, "the lost one, and its repeat"
            resumed = loop.time()
            found = await run(emulator, [upsert(1), upsert(2)], **options)
    assert reported(found) == [D.PERSISTED]
    assert at[2] >= resumed + 60


async def test_the_fence_also_holds_what_is_read_later_or_comes_behind_another_create() -> None:
    loop, delete = asyncio.get_running_loop(), DeleteResource(SOURCE, "patient", "p-1")

    async def slow(items: list[BatchWrite]) -> AsyncIterator[BatchWrite]:
        for each in items:
            yield each
            await asyncio.sleep(5)

    for items in ([upsert(1), upsert(2)], [upsert(1), create(1)], [create(1), create(1), delete]):
        for source in (items, slow(items)):
            at: list[float] = []
            with witnessed() as seen:
                seen.on_arrival.append(lambda at=at: at.append(loop.time()))  # type: ignore[misc]
                async with Emulator() as emulator:
                    emulator.faults.add(LostReply(route="bulk_resources", times=1))
                    found = await run(emulator, source, via="bulk", chunk=ONE, fence=60.0)
            assert found.report.landed == len(items)
            assert at[-1] >= at[1] + 60, "the first two are the lost one and its repeat"
            assert at[-2] <= at[1] + 6


@pytest.mark.parametrize("via", ["single", "bulk"])
async def test_what_follows_an_unknown_write_is_left_to_the_next_run(via: str, tmp_path: Path) -> None:
    options = {"via": via, "chunk": ONE, "journal": tmp_path / "j", "workers": 1}
    sent = [upsert(1), upsert(2), *notes(2)]
    mode = Accepted(Constant(0.1))
    async with Emulator(default=mode, bulk=mode.latency) as emulator:
        emulator.faults.add(DroppedRequest(route="get_task"))
        async with session_for(emulator, polling=Polling(patience=5.0)) as session:
            first: dict[int, D] = {}
            async with Ingestion(session, SOURCE, sent, **options) as job:  # type: ignore[arg-type]
                async for outcome in job:
                    first[outcome.line] = outcome.disposition
        emulator.faults.clear()
        assert first == {1: D.UNKNOWN, 2: D.UNSENT, 3: D.UNKNOWN, 4: D.UNKNOWN}
        again = await run(emulator, sent, **options)
        assert again.report.by_disposition == {D.SUCCEEDED: 4}
        assert again.report.sent == 1, "the others are polled, and only the second is sent"
        assert {"v": 2} in [each.data for each in emulator.stored_resources()]


@pytest.mark.parametrize("via", WAYS)
async def test_workers_that_wait_behind_a_fence_all_come_to_their_end(via: str) -> None:
    mode = Accepted(Constant(5))
    async with Emulator(default=mode, bulk=mode.latency, bundle=mode) as emulator:
        for route in ("put_resource", "bulk_resources", "bundle"):
            emulator.faults.add(LostReply(route=route, times=1))
        items = [upsert(1), upsert(2), *notes(6)]
        found = await asyncio.wait_for(run(emulator, items, via=via, workers=4, chunk=ONE), 3600)
    assert reported(found) == [D.PERSISTED] * 8


# At most once


@pytest.mark.parametrize("via", WAYS)
@pytest.mark.parametrize("on_unknown", ["stop", "resend"])
@pytest.mark.parametrize("how", HOW)
async def test_a_create_without_an_id_is_doubled_only_where_that_is_asked_for(
    via: str, on_unknown: str, how: str, tmp_path: Path
) -> None:
    options = {"via": via, "chunk": ChunkLimits(operations=2), "on_unknown": on_unknown}
    async with Emulator() as emulator:
        for route in ("create_resource", "bulk_resources", "bundle"):
            emulator.faults.add(LostReply(route=route, times=2))
        found = await run(emulator, given(how, tmp_path, 8), journal=tmp_path / "j", workers=1, **options)
        again = await run(emulator, given(how, tmp_path, 8), journal=tmp_path / "j", workers=1, **options)
        held = emulator.resources()
    lost = 2 if via == "single" else 4
    if on_unknown == "stop":
        assert found.reported == {D.UNKNOWN: lost, D.PERSISTED: 8 - lost}
        assert again.reported == found.reported, "it is not sent in a later run either"
        assert (held, found.report.resent, again.report.sent) == (8, 0, 0)
    else:
        assert found.reported == {D.PERSISTED: 8}
        assert held > 8
        assert found.report.resent == (1 if via == "single" else 2)


@pytest.mark.parametrize("how", HOW)
async def test_a_create_without_an_id_that_provably_did_not_arrive_is_sent_by_the_next_run(
    how: str, tmp_path: Path
) -> None:
    options = {"via": "bulk", "journal": tmp_path / "j"}
    async with Emulator() as emulator:
        emulator.faults.add(Unavailable(route="bulk_resources"))
        async with session_for(emulator) as session:
            await emulator.close()
            first = await ran(session, given(how, tmp_path, 3), patience=5, **options)
        assert isinstance(first.error, NetworkGivenUp)
        assert first.reported == {D.UNSENT: 3}
    port = int(session.registry.rpartition(":")[2])
    async with Emulator(port=port) as emulator:
        found = await run(emulator, given(how, tmp_path, 3), **options)
        assert emulator.resources() == 3
    assert found.reported == {D.PERSISTED: 3}


@pytest.mark.parametrize("how", HOW)
async def test_a_run_that_was_cut_off_while_it_sent_does_not_send_such_a_create_again(
    how: str, tmp_path: Path
) -> None:
    options = {"via": "bulk", "journal": tmp_path / "j"}
    with witnessed() as seen:
        async with Emulator() as emulator:
            async with session_for(emulator) as session:
                job = Ingestion(session, SOURCE, given(how, tmp_path, 3), **options)  # type: ignore[arg-type]
                caller = asyncio.ensure_future(job.run())
                seen.on_arrival.append(caller.cancel)
                await asyncio.wait([caller])
                await session.aclose(grace=0)
            assert set(job.report.by_disposition) == {D.UNKNOWN}
            seen.on_arrival.clear()
            found = await run(emulator, given(how, tmp_path, 3), **options)
            await asyncio.sleep(1)
            assert emulator.resources() == 3
    assert {(each.disposition, each.reason, each.attempts) for each in found.outcomes} == {
        (D.UNKNOWN, MAYBE_APPLIED, 1)
    }


async def test_a_key_that_was_taken_before_is_no_work_of_a_run_that_was_cut_off(tmp_path: Path) -> None:
    """Its chunk was accepted once and no answer was lost: so the record is somebody else's."""
    options = {"via": "bulk", "journal": tmp_path / "j", "on_existing": "fail"}
    async with Emulator(bulk=Constant(5)) as emulator:
        await run(emulator, writes(2), via="bulk")
        async with session_for(emulator) as session, Ingestion(session, SOURCE, writes(2), **options):  # type: ignore[arg-type]
            await asyncio.sleep(2)
        found = await run(emulator, writes(2), **options)
    assert found.reported == {D.FAILED: 2}


# Too large


@pytest.mark.parametrize("stops", [False, True])
async def test_a_bulk_that_is_too_large_is_halved_down_to_the_record_that_is(
    stops: bool, tmp_path: Path
) -> None:
    items = writes(40)
    items[16] = write("prac-16", "org-2", text="x" * 4000)
    options = {"via": "bulk", "journal": tmp_path / "j", "workers": 2}
    with witnessed() as seen:
        async with Emulator(settings=Settings(bulk_limit=3000)) as emulator:
            if stops:
                async with session_for(emulator) as session:
                    job = Ingestion(session, SOURCE, items, **options)  # type: ignore[arg-type]
                    caller = asyncio.ensure_future(job.run())
                    seen.on_arrival.append(caller.cancel)
                    await asyncio.wait([caller])
                    assert job.report.completed == job.report.read == 40
                    seen.on_arrival.clear()
            found = await run(emulator, items, **options)
            assert stored_data(emulator) == {each.id: each.data for each in items if each is not items[16]}
    assert found.reported == {D.PERSISTED: 39, D.REJECTED: 1}
    assert found.lines(D.REJECTED) == [17]
    assert found.report.reasons == {(D.REJECTED, TOO_LARGE): 1}
    assert found.report.sent <= 40
    assert len(seen.done) == 39 if not stops else len(seen.done) >= 39
    (rejected,) = [each for each in found.outcomes if each.disposition is D.REJECTED]
    assert rejected.attempts >= 4 or stops, "every request that carried it counts"


# Linger


async def test_a_slow_source_waits_no_longer_than_asked_for() -> None:
    loop = asyncio.get_running_loop()

    async def slow() -> AsyncIterator[BatchWrite]:
        for each in writes(6):
            yield each
            await asyncio.sleep(10)

    at: list[float] = []
    with witnessed() as seen:
        seen.on_arrival.append(lambda: at.append(loop.time()))
        async with Emulator() as emulator:
            started = loop.time()
            found = await run(emulator, slow(), via="bulk", chunk=ChunkLimits(linger=3.0))
    assert found.reported == {D.PERSISTED: 6}
    assert [round(moment - started) for moment in at] == [3, 13, 23, 33, 43, 53]


# All kinds in one job


@pytest.mark.parametrize("via", WAYS)
async def test_all_kinds_of_writes_go_in_one_job(via: str, tmp_path: Path) -> None:
    ends = Ref("a", "x"), Ref("b", "y")
    items: list[BatchWrite] = [
        *writes(10),
        create(1),
        *notes(4),
        upsert(2),
        DeleteRelationship(SOURCE, "practises-at", "prac-3.org-3"),
        UpsertRelationship(SOURCE, "near", *ends, {"n": 1}),
        DeleteResource(SOURCE, "patient", "p-1"),
        create(3),
    ]
    async with Emulator() as emulator:
        found = await run(emulator, items, via=via, journal=tmp_path / "j", workers=3)
        kept = {each.id: each.data for each in writes(10) if each.id != "prac-3.org-3"}
        assert stored_data(emulator) == kept | ({} if via == "single" else {"a.b": {"n": 1}})
        assert [each.data for each in emulator.stored_resources() if each.type == "patient"] == [{"v": 3}]
        assert emulator.resources("note") == 4
    invalid = 1 if via == "single" else 0
    assert found.reported[D.PERSISTED] == 20 - invalid
    assert found.reported[D.INVALID] == invalid, "there is no single upsert of a relationship"


# Bundles


@pytest.mark.parametrize("mode", [Persisted(), Accepted(Constant(0.3))])
@pytest.mark.parametrize("policy", ["compare", "fail"])
async def test_a_bundle_whose_answer_was_lost_is_known_as_our_own(
    mode: Persisted | Accepted, policy: str
) -> None:
    items: list[BatchWrite] = [*writes(3), upsert(1)]
    async with Emulator(bundle=mode) as emulator:
        emulator.faults.add(LostReply(route="bundle", times=1))
        found = await run(emulator, items, via="bundle", on_existing=policy)
        assert len(stored_data(emulator)) == 3
    assert reported(found) == [D.PERSISTED] * 4
    assert found.report.reconciled == 4


@pytest.mark.parametrize("mode", [Persisted(), Accepted(Constant(0.3))])
async def test_a_bundle_with_a_key_that_is_taken_stores_nothing(mode: Persisted | Accepted) -> None:
    async with Emulator(bundle=mode) as emulator:
        await run(emulator, [write("prac-1", "org-1", other=True)], via="single")
        found = await run(emulator, writes(4), via="bundle")
        assert stored_data(emulator) == {"prac-1.org-1": {"other": True}}
    assert reported(found)[1] is D.FAILED
    assert set(reported(found)) <= {D.FAILED, D.CANCELLED, D.REJECTED}


WITH_ITS_BUNDLE = "its bundle was refused because of another record"
REFUSED = {D.CANCELLED, D.REJECTED}


@pytest.mark.parametrize("mode", [Persisted(), Accepted(Constant(0.3))])
@pytest.mark.parametrize("policy", ["compare", "keep", "fail"])
async def test_a_refused_bundle_says_of_each_record_what_is_there(
    mode: Persisted | Accepted, policy: str
) -> None:
    """Whether the service answers at once or later: what is there is found, and what is not is read once."""
    items = writes(60)
    equal, different = writes(60)[10:20], [write(f"prac-{n}", f"org-{n % 7}") for n in range(20, 25)]
    async with Emulator(bundle=mode) as emulator:
        await run(emulator, [*equal, *different], via="bulk")
        emulator.requests.clear()
        began = asyncio.get_running_loop().time()
        found = await run(emulator, items, via="bundle", on_existing=policy, workers=1)
        assert asyncio.get_running_loop().time() - began < 3
        assert emulator.requests["get_relationship"] <= len(items)
        assert emulator.relationships() == len(equal) + len(different)
    outcomes = sorted(found.outcomes, key=lambda outcome: outcome.line)
    said = [(outcome.disposition, outcome.reason) for outcome in outcomes]
    assert {each for each, _ in said[10:20]} == {D.FAILED if policy == "fail" else D.EXISTING}
    assert {each for each, _ in said[20:25]} == {D.KEPT if policy == "keep" else D.FAILED}
    for disposition, reason in [*said[:10], *said[25:]]:
        assert disposition in REFUSED
        assert reason == WITH_ITS_BUNDLE


async def test_a_key_that_a_replica_shows_late_is_found_all_the_same() -> None:
    async with Emulator(bundle=Persisted()) as emulator:
        emulator.faults.add(StaleRead(route="get_relationship", seconds=3.0, times=3))
        await run(emulator, [write("prac-1", "org-1", other=True)], via="single")
        found = await run(emulator, writes(3), via="bundle")
    assert reported(found) == [D.REJECTED, D.FAILED, D.REJECTED]


async def test_bundles_keep_to_their_limit_and_tokens_that_meet_go_apart() -> None:
    tokens = [CreateResource(SOURCE, "note", "@rootId", data={"n": number}) for number in range(3)]
    large = [write(f"p{number}", "o", text="x" * 90_000) for number in range(12)]
    giant = write("giant", "o", text="x" * 600_000)
    async with Emulator() as emulator:
        found = await run(emulator, [*tokens, *large, giant], via="bundle", workers=1)
        assert (emulator.resources("note"), len(stored_data(emulator))) == (3, 12)
    assert reported(found) == [D.PERSISTED] * 15 + [D.INVALID]


# Resumed runs


async def test_input_that_ends_too_soon_is_refused_and_nothing_of_it_is_sent(tmp_path: Path) -> None:
    """The run before left records that it had read and not sent."""
    options = {"via": "bulk", "chunk": ONE, "workers": 1, "journal": tmp_path / "j"}
    changed = [*writes(30)[:20], write("other", "o"), *writes(30)[21:]]
    async with Emulator(bulk=Constant(1)) as emulator:
        async with session_for(emulator) as session, Ingestion(session, SOURCE, writes(30), **options) as job:  # type: ignore[arg-type]
            async for _ in job:
                break
        requests = emulator.requests["bulk_relationships"]
        for items in (writes(29), changed):
            found = await asyncio.wait_for(run(emulator, items, **options), 3600)
            assert isinstance(found.error, JournalMismatch)
            assert emulator.requests["bulk_relationships"] == requests
        assert (await run(emulator, writes(30), **options)).reported == {D.PERSISTED: 30}


async def test_a_wrong_write_from_python_does_not_end_a_job_with_a_journal(tmp_path: Path) -> None:
    items = [write("a", "x", n=float("nan")), write("a", "x", n=1)]
    async with Emulator() as emulator:
        for _ in range(2):
            found = await run(emulator, items, via="bulk", journal=tmp_path / "j")
            assert found.error is None
            assert found.reported == {D.INVALID: 1, D.PERSISTED: 1}


async def test_a_reader_that_leaves_a_full_stream_does_not_hold_the_job(tmp_path: Path) -> None:
    async with Emulator(bulk=Constant(0.1)) as emulator, session_for(emulator) as session:
        job = Ingestion(session, SOURCE, writes(16_000), journal=tmp_path / "j", via="bulk", workers=3)
        async with asyncio.timeout(36_000):
            async with job:
                await asyncio.sleep(3600)
        assert job.report.completed == job.report.read


async def test_an_upsert_that_its_own_twin_cancelled_is_waited_for() -> None:
    """The repeat of a lost request is cancelled while the first is pending: what is there is the old."""
    for via in ("single", "bulk"):
        async with Emulator(default=Accepted(Constant(20)), bulk=Constant(20)) as emulator:
            await run(emulator, [upsert(1)], via=via)
            emulator.default, emulator.bulk = Accepted(Constant(25)), Constant(25)
            for route in ("put_resource", "bulk_resources"):
                emulator.faults.add(LostReply(route=route, times=1))
            async with asyncio.TaskGroup() as group:
                job = group.create_task(run(emulator, [upsert(2)], via=via))
                await asyncio.sleep(0.001)
                emulator.default, emulator.bulk = Accepted(Constant(1)), Constant(1)
            found = job.result()
            await asyncio.sleep(60)
            assert [each.data for each in emulator.stored_resources()] == [{"v": 2}]
        assert reported(found) in ([D.PERSISTED], [D.UNKNOWN])
