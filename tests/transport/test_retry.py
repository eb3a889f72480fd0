"""Which failures are retried, after how long, and how many a session may afford."""

import asyncio
import contextlib
import math
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from attrs import fields
from hypothesis import given
from hypothesis import strategies as st

from clinia_async import (
    ApiError,
    ConfigError,
    ConnectionFailed,
    ErrorInfo,
    Outcome,
    RequestError,
    RetryPolicy,
    Session,
)
from clinia_async.transport.retry import (
    LONGEST_RETRY_AFTER,
    PatienceClock,
    RetryBudget,
    RetryWaits,
    may_be_repeated,
    parse_retry_after,
)
from tests.factories import (
    ID,
    ONCE,
    SOURCE,
    TYPE,
    create,
    create_partition,
    refusing_socket,
    session_at,
    url_of,
    write,
)
from tests.hostile import (
    Behaviour,
    Hostile,
    accepted,
    answer,
    close,
    persisted,
    redirect,
    refusal,
    reply,
    reset,
)

pytestmark = pytest.mark.usefixtures("each_way_of_sending")

DATE = datetime(2030, 1, 1, 12, 0, 0, tzinfo=UTC)


def http_date(moment: datetime) -> str:
    return format_datetime(moment, usegmt=True)


TRANSIENT: list[Behaviour] = [
    close,
    reset,
    reply(200, b"<html>", kind="text/html"),
    reply(200),
    *map(refusal, (408, 425, 429, 500, 502, 503, 504, 520, 530)),
]
LASTING: list[Behaviour] = [
    *map(
        refusal,
        (400, 401, 403, 404, 405, 410, 411, 413, 414, 415, 417, 422, 428, 431, 451, 418, 501, 505, 531),
    ),
    refusal(409, "ALREADY_EXISTS"),
    refusal(400, "FAILED_PRECONDITION"),
    redirect(301, "/x"),
    redirect(307, "/x"),
]


@pytest.mark.parametrize("behaviour", TRANSIENT)
async def test_transient_failures_are_retried(behaviour: Behaviour) -> None:
    async with Hostile([behaviour, behaviour, persisted]) as server, session_at(server) as session:
        made = await create(session)
        assert made.done()
        assert len(server.requests) == made.attempts == 3


@pytest.mark.parametrize("behaviour", LASTING)
async def test_lasting_failures_are_not_retried(behaviour: Behaviour) -> None:
    async with Hostile([behaviour, persisted]) as server, session_at(server) as session:
        with pytest.raises(RequestError) as caught:
            await create(session)
        assert len(server.requests) == caught.value.attempts == 1


@pytest.mark.parametrize("attempts", [1, 2, 5])
async def test_attempts_are_counted(attempts: int) -> None:
    policy = RetryPolicy(attempts=attempts)
    async with Hostile(otherwise=refusal(503)) as server, session_at(server, retry=policy) as session:
        with pytest.raises(ApiError) as caught:
            await create(session)
        assert caught.value.status == 503
        assert len(server.requests) == caught.value.attempts == attempts


@pytest.mark.parametrize(
    ("value", "date", "floor", "ceiling"),
    [
        ("5", None, 5, 6),
        ("0", None, 0, 1),
        ("2.5", None, 2.5, 3),
        ("100000", None, 3600, 4320),
        ("1e9", None, 3600, 4320),
        ("-1", None, 0, 1),
        ("NaN", None, 0, 1),
        ("inf", None, 0, 1),
        ("soon", None, 0, 1),
        ("", None, 0, 1),
        ("1_0", None, 0, 1),
        ("Fri, 31 Dec 99999999999999 23:59:59 GMT", None, 0, 1),
        (http_date(DATE + timedelta(seconds=7)), http_date(DATE), 7, 8.4),
        (http_date(DATE - timedelta(days=1)), http_date(DATE), 0, 1),
        (http_date(DATE + timedelta(days=1)), http_date(DATE), 3600, 4320),
        ("Tue, 01 Jan 2030 12:00:07 +0000", http_date(DATE), 7, 8.4),
        ("Tuesday, 01-Jan-30 12:00:07 GMT", http_date(DATE), 7, 8.4),
        pytest.param(
            http_date(datetime.now(UTC) + timedelta(days=1)),
            http_date(datetime.now(UTC) + timedelta(seconds=86390)),
            9,
            13,
            id="by the date of the answer",
        ),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_the_least_wait(
    status: int, value: str, date: str | None, floor: float, ceiling: float
) -> None:
    headers = {"Retry-After": value} | ({"Date": date} if date else {})
    script = [refusal(status, headers=headers), persisted]
    async with Hostile(script) as server, session_at(server) as session:
        await create(session, timeout=10_000)
        first, second = server.requests
        assert floor <= second.at - first.at < ceiling + 0.1


async def test_a_retry_after_date_without_a_date_header_is_compared_with_our_clock() -> None:
    in_an_hour = http_date(datetime.now(UTC) + timedelta(seconds=3000))
    script = [refusal(503, headers={"Retry-After": in_an_hour, "Date": "nonsense"}), persisted]
    async with Hostile(script) as server, session_at(server) as session:
        await create(session, timeout=10_000)
        first, second = server.requests
        assert 2900 <= second.at - first.at < 3601


async def test_of_two_retry_after_headers_the_first_counts() -> None:
    odd = reply(429, b"", {"Retry-After": "3\r\nRetry-After: 50"})
    async with Hostile([odd, persisted]) as server, session_at(server) as session:
        await create(session)
        assert 3 <= server.requests[1].at - server.requests[0].at < 4


async def test_a_retry_after_beyond_the_deadline_fails_at_once() -> None:
    loop = asyncio.get_running_loop()
    async with (
        Hostile([refusal(429, headers={"Retry-After": "61"})]) as server,
        session_at(server) as session,
    ):
        began = loop.time()
        with pytest.raises(ApiError) as caught:
            await create(session)
        assert loop.time() - began < 1
        assert caught.value.retry_after == 61
        assert caught.value.outcome is Outcome.REJECTED


async def test_waits_grow_and_are_capped() -> None:
    error = ApiError("x", status=500, info=ErrorInfo())
    throttled = ApiError("x", status=429, info=ErrorInfo())
    waits = RetryWaits(RetryPolicy(), jitter=lambda step: step)
    assert [waits.after(error) for _ in range(10)] == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 20]
    assert [waits.after(throttled) for _ in range(6)] == [1, 2, 4, 8, 16, 20]


def test_jitter_is_full_and_never_shortens_a_retry_after() -> None:
    waits = [RetryWaits(RetryPolicy()).after(ApiError("x", status=503, info=ErrorInfo())) for _ in range(500)]
    assert 0 <= min(waits) < 0.1
    assert 0.9 < max(waits) <= 1
    at_once = ApiError("x", status=503, info=ErrorInfo(), retry_after=0.0)
    assert RetryWaits(RetryPolicy(), jitter=lambda step: step).after(at_once) == 1, "no reason to hammer"
    hinted = ApiError("x", status=503, info=ErrorInfo(), retry_after=30)
    waits = [RetryWaits(RetryPolicy()).after(hinted) for _ in range(500)]
    assert 30 <= min(waits) <= max(waits) <= 31


async def test_retries_stop_when_the_budget_is_spent() -> None:
    async with Hostile(otherwise=refusal(500)) as server, session_at(server) as session:
        for _ in range(100):
            with pytest.raises(ApiError):
                await create(session)
        assert len(server.requests) == 110


async def test_successes_earn_retries() -> None:
    async with Hostile(otherwise=refusal(500)) as server, session_at(server) as session:
        for _ in range(20):
            with pytest.raises(ApiError):
                await create(session)
        server.otherwise = persisted
        for number in range(30):
            await create(session, f"p{number}")
        server.requests.clear()
        server.otherwise = refusal(500)
        for _ in range(20):
            with pytest.raises(ApiError):
                await create(session)
        assert len(server.requests) == 23


async def test_an_overloaded_service_gets_a_tenth_more_load() -> None:
    async with Hostile(otherwise=persisted) as server, session_at(server) as session:
        calls = 600
        for number in range(calls):
            server.otherwise = refusal(503) if number % 2 else persisted
            with contextlib.suppress(ApiError):
                await create(session, f"p{number}")
        assert len(server.requests) <= calls * 1.1 + 10


async def test_retries_of_what_was_not_sent_have_a_budget_of_their_own() -> None:
    with refusing_socket() as bound:
        async with Session(api_key="k", base_url=url_of(bound)) as session:
            for _ in range(20):
                with pytest.raises(ConnectionFailed) as caught:
                    await create(session)
                assert caught.value.outcome is Outcome.NOT_SENT
            budget = session._engine.open().sender._budget
            assert budget.tokens == budget.burst
            assert budget.unsent_tokens < 1


async def test_a_refused_connection_is_retried() -> None:
    with refusing_socket() as bound:
        async with Session(api_key="k", base_url=url_of(bound)) as session:
            late = Hostile(otherwise=persisted)
            sending = asyncio.ensure_future(create(session))
            await asyncio.sleep(0.001)
            late._server = await asyncio.start_server(late._accept, sock=bound)
            try:
                made = await sending
            finally:
                await late.__aexit__()
            assert made.done()
            assert not made.maybe_applied


@given(st.lists(st.sampled_from(["success", "sent", "unsent"]), max_size=200))
def test_the_budget_never_goes_below_zero(events: list[str]) -> None:
    budget = RetryBudget()
    granted = {"sent": 0, "unsent": 0}
    successes = 0
    for event in events:
        if event == "success":
            budget.success()
            successes += 1
        else:
            outcome = Outcome.UNKNOWN if event == "sent" else Outcome.NOT_SENT
            granted[event] += budget.afford(RequestError("x", outcome=outcome))
        assert 0 <= budget.tokens <= budget.burst
        assert 0 <= budget.unsent_tokens <= budget.burst
    assert max(granted.values()) <= budget.burst + successes * budget.earned + 1e-6


@pytest.mark.parametrize("outcome", Outcome)
@pytest.mark.parametrize("keyed", [True, False])
def test_without_a_key_only_what_did_not_run_is_retried(outcome: Outcome, keyed: bool) -> None:
    error = ConnectionFailed("x", outcome=outcome)
    assert may_be_repeated(error, keyed=keyed) is (keyed or outcome in {Outcome.NOT_SENT, Outcome.REJECTED})
    assert not may_be_repeated(ConnectionFailed("x", outcome=outcome, transient=False), keyed=keyed)


@given(
    st.one_of(st.none(), st.text(), st.floats().map(str), st.integers().map(str)),
    st.one_of(st.none(), st.text()),
)
def test_any_text_of_a_retry_after_is_read_or_ignored(value: str | None, date: str | None) -> None:
    seconds = parse_retry_after(value, date)
    assert seconds is None or 0 <= seconds <= LONGEST_RETRY_AFTER


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(9000, 1, 1)), st.integers(0, 3600))  # noqa: DTZ001  naive on purpose
def test_retry_after_dates_are_compared_with_the_date_header(now: datetime, wait: int) -> None:
    now = now.replace(microsecond=0, tzinfo=UTC)
    assert parse_retry_after(http_date(now + timedelta(seconds=wait)), http_date(now)) == wait


async def test_every_call_is_retried() -> None:
    partition = {
        "key": "clinics",
        "modules": {"search": "STANDARD"},
        "source": {"type": "DATA_SOURCE", "key": "ehr", "collections": []},
    }
    snapshot = {"status": "SUCCESS", "receipts": []}
    async with Hostile() as server, session_at(server) as session:
        server.then(close, answer(partition))
        await create_partition(session)
        server.then(refusal(503), answer(partition))
        await session.get_partition("clinics")
        server.then(reset, answer(snapshot))
        await session.get_task(SOURCE, "s_1")
        server.then(refusal(429), accepted("bk_1"))
        await session.bulk(SOURCE, [write()])
        assert len(server.requests) == 8


async def test_one_attempt_is_one_request() -> None:
    async with Hostile(otherwise=refusal(503)) as server, session_at(server, retry=ONCE) as session:
        with pytest.raises(ApiError):
            await session.get_relationship(SOURCE, TYPE, ID)
        assert len(server.requests) == 1


async def test_a_wait_that_retry_after_asks_for_costs_no_budget() -> None:
    """A limit of the service for less than a second fails no call of a crowd that has attempts left."""
    loop = asyncio.get_running_loop()
    async with Hostile() as server, session_at(server, coalesce=False) as session:
        throttled = refusal(429, headers={"Retry-After": "1"})
        began = loop.time()
        server.otherwise = throttled
        loop.call_at(began + 0.8, setattr, server, "otherwise", persisted)
        made = await asyncio.gather(*(create(session, f"p{number}") for number in range(100)))
        assert all(task.done() for task in made)


async def test_patience_bounds_how_long_nothing_but_failures_come() -> None:
    policy = RetryPolicy(attempts=None, patience=30, budget=None, base=0.5, cap=5)
    loop = asyncio.get_running_loop()
    async with Hostile(otherwise=refusal(500)) as server, session_at(server, retry=policy) as session:
        began = loop.time()
        with pytest.raises(ApiError) as caught:
            await create(session, timeout=1000)
        assert 30 < loop.time() - began < 35
        assert caught.value.attempts == len(server.requests) > 8


async def test_the_budget_is_a_setting() -> None:
    policy = RetryPolicy(attempts=3, budget=4, earned=0)
    async with Hostile(otherwise=refusal(500)) as server, session_at(server, retry=policy) as session:
        for _ in range(10):
            with pytest.raises(ApiError):
                await create(session)
        assert len(server.requests) == 14


@pytest.mark.parametrize("name", [field.name for field in fields(RetryPolicy)])
@pytest.mark.parametrize("value", [math.nan, math.inf, -1, "3", True, [1]])
def test_a_retry_policy_refuses_a_wrong_number(name: str, value: Any) -> None:
    with pytest.raises(
        ConfigError, match=rf"^RetryPolicy\.{name} must be a .* number .* or more|greater than 0"
    ):
        RetryPolicy(**{name: value})


def test_a_retry_policy_ends_some_time() -> None:
    with pytest.raises(ConfigError, match="attempts or patience"):
        RetryPolicy(attempts=None)


async def test_the_patience_clock_leaves_out_what_several_answers_ask_for_once() -> None:
    loop, clock = asyncio.get_running_loop(), PatienceClock()
    began, sent_at = clock.time(), loop.time()
    await asyncio.sleep(2)
    assert clock.time() - began == pytest.approx(2)
    for _ in range(50):
        clock.leave_out(sent_at, loop.time() + 12)
    clock.leave_out(sent_at, loop.time() + 3)
    assert clock.time() == pytest.approx(began), "the request was answered"
    await asyncio.sleep(12)
    assert clock.time() == pytest.approx(began)
    await asyncio.sleep(5)
    assert clock.time() - began == pytest.approx(5)


async def test_a_retry_after_does_not_count_against_the_patience_of_a_policy() -> None:
    policy = RetryPolicy(attempts=None, patience=10)
    throttled = refusal(429, headers={"Retry-After": "7"})
    async with (
        Hostile([throttled] * 20, otherwise=persisted) as server,
        session_at(server, retry=policy, timeout=3600) as session,
    ):
        assert (await create(session)).attempts == 21
