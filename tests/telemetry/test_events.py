"""What observers and the log are told of a write: each event, in order, and nothing of record or key."""

import asyncio
import logging
import sys
from functools import partial
from typing import Any

import pytest

from clinia_async import (
    ChunkLimits,
    ConfigError,
    CreateRelationship,
    Disposition,
    Ingestion,
    Outcome,
    Polling,
    Ref,
    Session,
    TaskKind,
    TaskStatus,
)
from clinia_async.emulator import (
    Accepted,
    Constant,
    Emulator,
    LostReply,
    Persisted,
    TooManyRequests,
    Unavailable,
)
from clinia_async.telemetry import (
    ChunkSent,
    Event,
    RecordFailed,
    RequestEnded,
    RetryScheduled,
    TaskAccepted,
    TaskEnded,
    TaskPolled,
    Telemetry,
    Throttled,
)
from clinia_async.telemetry.dispatch import ROOT
from tests.factories import FROM, KEY, SOURCE, TO, TYPE, session_at

CANARY = "canary-4711"


async def create(session: Session) -> None:
    await (await session.create_relationship(SOURCE, TYPE, from_=FROM, to=TO, data={"note": CANARY}))


async def test_a_write_that_is_throttled_and_queued_is_reported_from_its_first_attempt_to_its_end() -> None:
    events: list[Event] = []
    async with Emulator(default=Accepted(Constant(0.2))) as emulator:
        emulator.faults.add(TooManyRequests(route="create_relationship", times=1, retry_after=2))
        async with session_at(emulator, observers=[events.append]) as session:
            await create(session)
    kinds = [type(event) for event in events]
    assert kinds[:4] == [RequestEnded, Throttled, RetryScheduled, RequestEnded]
    first, throttled, retry, second = events[:4]
    assert isinstance(first, RequestEnded)
    assert (first.method, first.status, first.outcome, first.attempt) == ("POST", 429, Outcome.REJECTED, 1)
    assert first.route == "/sources/{source}/v1/relationships/{type}"
    assert isinstance(throttled, Throttled)
    assert (throttled.status, throttled.retry_after) == (429, 2)
    assert isinstance(retry, RetryScheduled)
    assert retry.pause >= 2
    assert isinstance(second, RequestEnded)
    assert (second.status, second.error, second.attempt) == (202, None, 2)
    accepted = next(event for event in events if isinstance(event, TaskAccepted))
    ended = next(event for event in events if isinstance(event, TaskEnded))
    polls = [event for event in events if isinstance(event, TaskPolled)]
    assert accepted.kind is ended.kind is TaskKind.SINGLE
    assert accepted.task == ended.task
    assert ended.status is TaskStatus.SUCCESS
    assert ended.polls == len(polls) >= 1
    assert ended.seconds >= 0.2


async def test_events_hold_no_record_no_key_and_no_id() -> None:
    events: list[Event] = []
    async with Emulator() as emulator, session_at(emulator, observers=[events.append]) as session:
        emulator.faults.add(LostReply(route="create_relationship", times=1))
        await create(session)
        key = emulator.key
    text = "\n".join(map(str, events))
    assert len(events) >= 4
    for secret in (CANARY, key, FROM.id, TO.id):
        assert secret not in text


@pytest.mark.parametrize("kind", [RuntimeError, asyncio.CancelledError, GeneratorExit])
@pytest.mark.parametrize("mode", [Persisted(), Accepted(Constant(0.2))])
async def test_an_observer_that_fails_changes_nothing_and_is_logged_once(
    kind: type[BaseException], mode: Persisted | Accepted, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(event: Event) -> None:
        raise kind(CANARY)

    seen: list[Event] = []
    async with Emulator(default=mode) as emulator:
        async with session_at(emulator, observers=[broken, seen.append]) as session:
            await create(session)
        assert emulator.relationships() == 1
    assert seen
    failures = [record for record in caplog.records if "observer" in record.getMessage()]
    assert len(failures) == 1
    assert CANARY not in caplog.text


async def test_a_throttled_request_is_logged_as_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    async with Emulator() as emulator, session_at(emulator) as session:
        emulator.faults.add(Unavailable(route="create_relationship", times=1, retry_after=1))
        await create(session)
    records = [record for record in caplog.records if record.name == "clinia_async.requests"]
    assert [record.levelname for record in records if record.levelno >= logging.WARNING] == ["WARNING"]
    assert "status=503" in records[0].getMessage()
    assert CANARY not in caplog.text


async def test_nothing_is_reported_of_a_request_that_nobody_states(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with Emulator() as emulator, session_at(emulator) as session:
        await create(session)
    assert [record for record in caplog.records if record.name == "clinia_async.requests"] == []
    assert not Telemetry().active


@pytest.mark.parametrize("name", ["requests", "tasks"])
async def test_the_level_of_one_logger_counts(name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, f"clinia_async.{name}")
    async with Emulator(default=Accepted(Constant(0.2))) as emulator, session_at(emulator) as session:
        await create(session)
    said = {record.name for record in caplog.records if record.levelno == logging.DEBUG}
    assert said == {f"clinia_async.{name}"}


@pytest.mark.parametrize("has_handler", [False, True])
async def test_clinia_log_turns_the_log_on(
    has_handler: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own = [logging.StreamHandler(sys.stderr)]
    monkeypatch.setattr(logging.root, "handlers", own if has_handler else [])
    monkeypatch.setenv("CLINIA_LOG", "debug")
    monkeypatch.setattr(ROOT, "handlers", [logging.NullHandler()])
    monkeypatch.setattr(ROOT, "level", logging.NOTSET)
    async with Emulator() as emulator, session_at(emulator) as session:
        await create(session)
    ROOT.setLevel(logging.NOTSET)
    said = capsys.readouterr().err
    assert said.count("RequestEnded method=POST") == 1, "once, with a handler of the program, too"
    assert ("clinia_async.requests RequestEnded" in said) is not has_handler
    assert CANARY not in said


def test_a_log_level_that_does_not_exist_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLINIA_LOG", "loud")
    with pytest.raises(ConfigError, match="CLINIA_LOG must be one of debug, info"):
        Session("w", api_key=KEY)


async def async_function(*given: object) -> float:
    raise AssertionError(given)


class AsyncCall:
    async def __call__(self, *given: object) -> float:
        raise AssertionError(given)


@pytest.mark.parametrize(
    "function", [async_function, partial(async_function, 1), AsyncCall(), AsyncCall().__call__]
)
def test_an_async_function_is_refused_where_nothing_awaits_it(function: Any) -> None:
    with pytest.raises(ConfigError, match=r"Session\.observers must be plain functions"):
        Session("w", api_key=KEY, observers=[function])
    with pytest.raises(ConfigError, match=r"Polling\.pace must be a plain function"):
        Polling(pace=function)


@pytest.mark.parametrize("observers", [3, ["print"], None])
def test_what_cannot_be_called_is_no_observer(observers: object) -> None:
    with pytest.raises(ConfigError, match="observers must be functions"):
        Session("w", api_key=KEY, observers=observers)  # type: ignore[arg-type]


async def test_a_job_reports_its_chunks_and_the_records_that_failed() -> None:
    events: list[Event] = []
    writes = [CreateRelationship(SOURCE, TYPE, Ref(f"p-{n}", "x"), TO) for n in range(10)]
    taken = CreateRelationship(SOURCE, TYPE, writes[3].from_, TO, {"note": CANARY})
    async with Emulator() as emulator, session_at(emulator, observers=[events.append]) as session:
        await (await session.submit(taken))
        async with Ingestion(session, SOURCE, writes, chunk=ChunkLimits(operations=5)) as job:
            outcomes = [outcome async for outcome in job.unlanded()]
    assert [outcome.line for outcome in outcomes] == [4]
    assert sum(event.records for event in events if isinstance(event, ChunkSent)) == 10
    failed = [event for event in events if isinstance(event, RecordFailed)]
    assert [(event.line, event.disposition) for event in failed] == [(4, Disposition.FAILED)]
    assert CANARY not in str(events)
