"""Creates of records that may be there: `ensure_...` and `on_existing`, which say the same as a job does."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, get_args

import pytest

from clinia_async import (
    AlreadyExists,
    CliniaError,
    ConfigError,
    CreateResource,
    DataSource,
    Disposition,
    Ensured,
    Evidence,
    Existing,
    FailedPrecondition,
    Ingestion,
    InvalidWrite,
    JobStopped,
    OnExisting,
    Outcome,
    Relationship,
    RequestTimeout,
    Session,
    SessionClosed,
    SourceCollection,
    Task,
    TaskCancelled,
    TaskFailed,
    WriteConflict,
)
from clinia_async.emulator import Accepted, Constant, Dialect, DroppedRequest, Emulator, LostReply, StaleRead
from tests.factories import (
    FROM,
    ID,
    MODULES,
    ONCE,
    PARTITION,
    SOURCE,
    TO,
    TYPE,
    create,
    create_partition,
    receipt,
    record,
    session_at,
    taken,
    write,
)
from tests.hostile import Hostile, accepted, after, answer, by_target, close, persisted, refusal, stall, task

DATA, OTHER = {"a": 1}, {"a": 2}
COMPARE, KEEP, FAIL = OnExisting.COMPARE, OnExisting.KEEP, OnExisting.FAIL
TAKEN, ABSENT = refusal(409, "ALREADY_EXISTS"), refusal(404, "NOT_FOUND")
SAME, DIFFERENT = answer(record(DATA)), answer(record(OTHER))


@pytest.fixture(params=get_args(Dialect))
async def emulator(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Emulator]:
    monkeypatch.setattr(Emulator, "default_dialect", request.param)
    async with Emulator() as emulator:
        yield emulator


def ensure(session: Session, data: Any = None, **more: Any) -> Any:
    return session.ensure_relationship(SOURCE, TYPE, from_=FROM, to=TO, data=data or DATA, **more)


def result(ensured: Ensured[Relationship]) -> tuple[object, Existing | None, Evidence]:
    return ensured.record.data, ensured.existing, ensured.evidence


# Ensuring


@pytest.mark.parametrize("queued", [False, True], ids=["persisted", "accepted"])
async def test_ensure_creates_and_then_finds(emulator: Emulator, session: Session, queued: bool) -> None:
    if queued:
        emulator.default = Accepted(Constant(1.0))
    first = await ensure(session)
    assert result(first) == (DATA, None, Evidence.RECEIPT if queued else Evidence.ENVELOPE)
    assert first.created
    for _ in range(2):
        again = await ensure(session)
        assert result(again) == (DATA, Existing.EQUAL, Evidence.READ_BACK)
        assert not again.created
    different = await ensure(session, OTHER)
    assert result(different) == (DATA, Existing.DIFFERENT, Evidence.READ_BACK)
    assert emulator.relationships() == 1
    assert "prac-1" not in repr(different)


async def test_a_lost_answer_is_found_out(emulator: Emulator, session: Session) -> None:
    emulator.faults.add(LostReply(route="create_relationship", times=1))
    assert result(await ensure(session)) == (DATA, None, Evidence.READ_BACK)
    emulator.faults.add(DroppedRequest(route="create_relationship", times=1))
    assert result(await ensure(session, OTHER)) == (DATA, Existing.DIFFERENT, Evidence.READ_BACK)
    assert emulator.relationships() == 1


async def test_an_accepted_write_whose_answer_was_lost(emulator: Emulator, session: Session) -> None:
    emulator.default = Accepted(Constant(2.0))
    emulator.faults.add(LostReply(route="create_relationship", times=1))
    assert result(await ensure(session)) == (DATA, None, Evidence.READ_BACK)
    assert emulator.relationships() == 1


async def test_of_two_at_once_one_creates(emulator: Emulator, session: Session) -> None:
    both = await asyncio.gather(ensure(session), ensure(session))
    assert sorted(each.created for each in both) == [False, True]
    assert [each.record.data for each in both] == [DATA, DATA]


async def test_a_stale_read_is_read_again(emulator: Emulator, session: Session) -> None:
    await ensure(session)
    emulator.faults.add(StaleRead(route="get_relationship", seconds=60.0, times=2))
    assert result(await ensure(session)) == (DATA, Existing.EQUAL, Evidence.READ_BACK)


async def test_a_write_that_meets_a_concurrent_one_is_cancelled_and_may_be_sent_again() -> None:
    script = {
        "withReceipts": [task("CANCELLED", receipts=[receipt("CANCELLED")])],
        "/tasks/": [task("CANCELLED")],
        "POST": [accepted(), TAKEN],
        "GET": [SAME],
    }
    async with Hostile(otherwise=by_target(script)) as server, session_at(server) as session:
        with pytest.raises(TaskCancelled) as caught:
            await ensure(session)
        assert caught.value.outcome is Outcome.REJECTED
        assert (await ensure(session)).existing is Existing.EQUAL


async def test_resources_are_ensured_by_id(emulator: Emulator, session: Session) -> None:
    first = await session.ensure_resource(SOURCE, "practitioner", "prac-1", data=DATA)
    again = await session.ensure_resource(SOURCE, "practitioner", "prac-1", data=OTHER)
    assert (first.existing, again.existing) == (None, Existing.DIFFERENT)
    assert again.record.data == DATA
    assert emulator.resources() == 1


async def test_partitions_are_ensured_by_key(emulator: Emulator, session: Session) -> None:
    first = await session.ensure_partition("clinics", modules=MODULES, source=PARTITION)
    again = await session.ensure_partition("clinics", modules=MODULES, source=PARTITION)
    other = DataSource("crm", (SourceCollection("clinics"),))
    different = await session.ensure_partition("clinics", modules=MODULES, source=other)
    assert [each.existing for each in (first, again, different)] == [None, Existing.EQUAL, Existing.DIFFERENT]
    assert first.record == again.record == different.record
    assert emulator.partitions() == 1


async def test_the_sample_body_of_the_page_can_be_ensured(session: Session) -> None:
    body = {"from": {"id": "prac-1", "type": "practitioner"}, "to": {"id": "org-9", "type": "organization"}}
    assert (await session.ensure_relationship(SOURCE, TYPE, body=body)).created


# Policies


async def test_compare_takes_an_equal_record_alone(emulator: Emulator, session: Session) -> None:
    made = await create(session, data=DATA, on_existing="compare")
    assert made.existing is None
    found = await create(session, data=DATA, on_existing="compare")
    assert (found.existing, found.evidence, found.reconciled) == (Existing.EQUAL, Evidence.READ_BACK, False)
    assert (await found).data == DATA
    with pytest.raises(AlreadyExists) as caught:
        await create(session, data=OTHER, on_existing="compare")
    assert (caught.value.outcome, caught.value.evidence) == (Outcome.REJECTED, Evidence.READ_BACK)
    assert emulator.relationships() == 1


@pytest.mark.parametrize("policy", [FAIL, "fail"])
async def test_fail_reads_nothing(emulator: Emulator, session: Session, policy: Any) -> None:
    await create(session, data=DATA)
    with pytest.raises(AlreadyExists) as caught:
        await create(session, data=DATA, on_existing=policy)
    assert caught.value.evidence is Evidence.ENVELOPE
    assert emulator.requests == {"create_relationship": 2}


async def test_a_partition_with_another_definition_is_refused_when_compared(session: Session) -> None:
    await create_partition(session)
    assert (await create_partition(session, on_existing=COMPARE)).existing is Existing.EQUAL
    other = DataSource("crm", (SourceCollection("clinics"),))
    with pytest.raises((AlreadyExists, FailedPrecondition)) as caught:
        await session.create_partition("clinics", modules=MODULES, source=other, on_existing=COMPARE)
    assert (caught.value.outcome, caught.value.evidence) == (Outcome.REJECTED, Evidence.READ_BACK)


async def test_a_precondition_of_a_partition_that_is_not_there_is_about_something_else() -> None:
    script = {"PUT": [refusal(400, "FAILED_PRECONDITION")], "GET": [ABSENT]}
    async with Hostile(otherwise=by_target(script)) as server, session_at(server) as session:
        with pytest.raises(FailedPrecondition) as caught:
            await create_partition(session, on_existing=KEEP)
        assert (caught.value.outcome, caught.value.evidence) == (Outcome.REJECTED, Evidence.ENVELOPE)


@pytest.mark.parametrize("policy", [COMPARE, KEEP])
async def test_a_key_that_is_taken_by_nothing_that_can_be_read_is_unknown(policy: OnExisting) -> None:
    script = {"POST": [TAKEN], "GET": [ABSENT]}
    async with Hostile(otherwise=by_target(script)) as server, session_at(server) as session:
        with pytest.raises(AlreadyExists) as caught:
            await create(session, on_existing=policy)
        assert (caught.value.outcome, caught.value.evidence) == (Outcome.UNKNOWN, Evidence.NONE)


async def test_a_timeout_bounds_the_comparison_too() -> None:
    script = {"POST": [TAKEN], "GET": [stall]}
    async with Hostile(otherwise=by_target(script)) as server, session_at(server) as session:
        began = asyncio.get_running_loop().time()
        with pytest.raises(RequestTimeout) as caught:
            await ensure(session, timeout=3)
        assert caught.value.outcome is Outcome.UNKNOWN
        assert asyncio.get_running_loop().time() - began == pytest.approx(3, abs=0.1)


async def test_a_task_is_resumed_with_its_policy() -> None:
    script = scripted("accepted, then taken", "different")
    async with Hostile(otherwise=script) as server, session_at(server) as session:
        made = await create(session, data=DATA, on_existing=KEEP)
        found = session.resume(write(data=DATA), made.known_id, on_existing=KEEP)
        for each in (made, found):
            assert (await each).data == OTHER
            assert (each.existing, each.evidence) == (Existing.DIFFERENT, Evidence.READ_BACK)
        with pytest.raises(TaskFailed):
            await session.resume(write(data=DATA), made.known_id)


async def test_it_works_where_writes_are_coalesced(emulator: Emulator) -> None:
    async with session_at(emulator, coalesce=True) as session:
        both = await asyncio.gather(ensure(session), ensure(session))
        assert sorted(each.created for each in both) == [False, True]


async def test_a_caller_that_is_cancelled_leaves_the_write_running() -> None:
    script = {"POST": [TAKEN], "GET": [after(5, SAME)]}
    async with Hostile(otherwise=by_target(script)) as server, session_at(server) as session:
        caller = asyncio.ensure_future(create(session, data=DATA, on_existing=KEEP))
        await asyncio.sleep(1)
        caller.cancel()
        await asyncio.gather(caller, return_exceptions=True)
        (entry,) = session.in_doubt
        await asyncio.sleep(10)
        assert entry.task is not None
        assert entry.task.existing is Existing.EQUAL


def test_a_policy_that_does_not_fit_is_refused_before_anything_is_sent() -> None:
    session = Session("acme", api_key="k")
    with pytest.raises(ConfigError, match="on_existing must be one of compare, keep, fail"):
        session.create_relationship(SOURCE, TYPE, from_=FROM, to=TO, on_existing="replace")
    with pytest.raises(ConfigError, match="that is no create with an id"):
        session.create_resource(SOURCE, "x", data={}, on_existing=KEEP)
    with pytest.raises(ConfigError, match="that is no create with an id"):
        session.submit(CreateResource(SOURCE, "x", "@rootId", data={}), on_existing="compare")
    with pytest.raises(InvalidWrite):
        ensure(session, meta={"createdAt": "yesterday"})


# The same as a job says

SCRIPTS: dict[str, dict[str, list[Any]]] = {
    "persisted": {"POST": [persisted]},
    "taken": {"POST": [TAKEN]},
    "lost, then taken": {"POST": [close, TAKEN]},
    "refused": {"POST": [refusal(400, "INVALID_ARGUMENT")]},
    "accepted": {"POST": [accepted()], "/tasks/": [task("SUCCESS", receipts=[receipt("SUCCESS")])]},
    "accepted, then taken": {"POST": [accepted()], "/tasks/": [task("FAILURE", receipts=[taken()])]},
    "lost, accepted, then taken": {
        "POST": [close, accepted()],
        "/tasks/": [task("FAILURE", receipts=[taken()])],
    },
    "accepted, then cancelled": {
        "POST": [accepted()],
        "/tasks/": [task("CANCELLED", receipts=[receipt("CANCELLED")])],
    },
    "lost, accepted, then cancelled": {
        "POST": [close, accepted()],
        "/tasks/": [task("CANCELLED", receipts=[receipt("CANCELLED")])],
    },
    "accepted, then failed without a receipt": {
        "POST": [accepted()],
        "/tasks/": [task("FAILURE", receipts=[])],
    },
    "accepted, then failed": {
        "POST": [accepted()],
        "/tasks/": [task("FAILURE", receipts=[receipt("FAILURE")])],
    },
}
FOUND = {
    "same": [SAME],
    "different": [DIFFERENT],
    "absent": [ABSENT],
    "same later": [ABSENT, ABSENT, SAME],
    "forbidden": [refusal(403, "PERMISSION_DENIED")],
}
SAID = {
    Disposition.PERSISTED: "created",
    Disposition.SUCCEEDED: "created",
    Disposition.EXISTING: Existing.EQUAL,
    Disposition.KEPT: Existing.DIFFERENT,
    Disposition.UNKNOWN: Outcome.UNKNOWN,
    **dict.fromkeys(
        [Disposition.FAILED, Disposition.REJECTED, Disposition.DROPPED, Disposition.CANCELLED],
        Outcome.REJECTED,
    ),
}


def scripted(name: str, found: str) -> Any:
    return by_target({key: [*steps] for key, steps in (SCRIPTS[name] | {"GET": FOUND[found]}).items()})


async def said_by_the_call(session: Session, policy: OnExisting) -> object:
    try:
        made: Task[Relationship] = await create(session, data=DATA, on_existing=policy)
        await made
    except CliniaError as error:
        return "created" if error.outcome is Outcome.DONE else error.outcome
    return made.existing or "created"


async def said_by_a_job(session: Session, policy: OnExisting) -> object:
    job = Ingestion(session, SOURCE, [write(data=DATA)], via="single", on_existing=policy, patience=0)
    with contextlib.suppress(JobStopped, SessionClosed, CliniaError):
        async with job:
            async for outcome in job:
                return SAID[outcome.disposition]
    return Outcome.UNKNOWN


@pytest.mark.parametrize("found", FOUND)
@pytest.mark.parametrize("policy", [COMPARE, KEEP])
@pytest.mark.parametrize("name", SCRIPTS)
async def test_a_call_says_what_a_job_says(name: str, policy: OnExisting, found: str) -> None:
    said = []
    for say in (said_by_the_call, said_by_a_job):
        async with Hostile(otherwise=scripted(name, found)) as server, session_at(server) as session:
            said.append(await say(session, policy))
    assert said[0] == said[1]


async def test_a_record_that_is_there_too_late_after_a_lost_answer_proves_nothing() -> None:
    script = {key: [*steps] for key, steps in SCRIPTS["lost, accepted, then taken"].items()}
    script["GET"] = [ABSENT] * 12 + [SAME]
    async with Hostile(otherwise=by_target(script)) as server, session_at(server) as session:
        made = await create(session, data=DATA, on_existing=KEEP)
        with pytest.raises(TaskFailed) as caught:
            await made
        assert (caught.value.outcome, made.existing) == (Outcome.UNKNOWN, None)
        assert server.count("GET", "/relationships/") < 13


async def test_without_a_retry_a_lost_answer_stays_unknown() -> None:
    async with Hostile([close]) as server, session_at(server, retry=ONCE) as session:
        with pytest.raises(CliniaError) as caught:
            await ensure(session)
        assert caught.value.outcome is Outcome.UNKNOWN


async def test_a_conflict_after_a_lost_answer_stays_unknown_when_compared() -> None:
    script = {"POST": [close, TAKEN], "GET": [DIFFERENT]}
    async with Hostile(otherwise=by_target(script)) as server, session_at(server) as session:
        with pytest.raises(WriteConflict) as caught:
            await create(session, data=DATA, on_existing=COMPARE)
        assert (caught.value.outcome, caught.value.evidence) == (Outcome.UNKNOWN, Evidence.NONE)


def test_an_ensured_record_hides_its_content() -> None:
    found = Ensured(Relationship(ID, TYPE, FROM, TO, {"secret": 1}), None, Evidence.ENVELOPE)
    assert repr(found) == f"Ensured(existing=None, evidence={Evidence.ENVELOPE!r})"
