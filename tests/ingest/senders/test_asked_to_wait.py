"""A service that asks to wait for ever: it is waited for, and then the wait comes to an end."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from clinia_async import (
    CliniaError,
    Disposition,
    Ingestion,
    NetworkGivenUp,
    Outcome,
    RequestError,
    RetryPolicy,
    TaskPollError,
)
from clinia_async.transport.retry import LONGEST_ASKED_WAIT
from tests.exchanges import EHR, against, join, put
from tests.hostile import Behaviour, accepted, answer, refusal, task

FAR = {"Retry-After": "Sun, 06 Nov 2094 08:49:37 GMT", "Date": "Sun, 06 Nov 1994 08:49:37 GMT"}
ASKED = {
    "429, 200 seconds": refusal(429, headers={"Retry-After": "200"}),
    "429, an hour": refusal(429, headers={"Retry-After": "3600"}),
    "429, a hundred years": refusal(429, headers={"Retry-After": "3155760000"}),
    "429, a date": refusal(429, headers=FAR),
    "503, 200 seconds": refusal(503, headers={"Retry-After": "200.5"}),
    "503 of a gateway": answer({}, 503, {"Retry-After": "1000"}),
}
NOT_LANDED = {Disposition.UNSENT, Disposition.REJECTED, Disposition.UNKNOWN}
DAY, WEEK = LONGEST_ASKED_WAIT, 7 * LONGEST_ASKED_WAIT


async def ended(work: Callable[[], Awaitable[object]]) -> tuple[Any, float]:
    """Return the error of `work`, and after how many seconds it was raised."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with asyncio.timeout(WEEK):
        try:
            await work()
        except CliniaError as error:
            return error, loop.time() - began
    return None, loop.time() - began


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize("via", ["single", "bulk", "bundle"])
async def test_a_job_that_is_only_asked_to_wait_ends(via: str, name: str) -> None:
    async with against({"/": [ASKED[name]]}) as (session, server):
        job = Ingestion(session, EHR, [join(f"p-{n}") for n in range(3)], via=via)
        error, lasted = await ended(job.run)
        assert isinstance(error, NetworkGivenUp)
        assert DAY < lasted < 1.2 * DAY + 2 * 3600
        assert "of them as the service asked" in str(error)
        assert set(job.report.by_disposition) <= {
            Disposition.UNSENT,
            Disposition.REJECTED,
            Disposition.UNKNOWN,
        }
        assert job.report.landed == 0
        assert job.report.completed == job.report.read
        assert server.count("POST") < 2 * 1.2 * DAY / 200 + 100


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize("via", ["single", "bulk", "bundle"])
async def test_a_job_whose_polls_are_only_asked_to_wait_ends(via: str, name: str) -> None:
    id_ = {"single": "s_1", "bulk": "bk_1", "bundle": "bd_1"}[via]
    script: dict[str, list[Behaviour]] = {"/tasks/": [ASKED[name]], "/": [accepted(id_)]}
    async with against(script) as (session, _):
        job = Ingestion(session, EHR, [join()], via=via)
        error, lasted = await ended(job.run)
        assert isinstance(error, CliniaError | None)
        assert job.report.by_disposition == {Disposition.UNKNOWN: 1}
        assert DAY < lasted < 3 * DAY


@pytest.mark.parametrize("name", ASKED)
async def test_a_wait_for_a_task_that_is_only_asked_to_wait_ends(name: str) -> None:
    async with against({"/tasks/": [ASKED[name]], "/": [accepted()]}) as (session, _):
        made = await session.submit(join())
        error, lasted = await ended(made.result)
        assert isinstance(error, TaskPollError)
        assert DAY < lasted < 1.2 * DAY + 2 * 3600
        assert f"for {lasted:.0f} s" in str(error), "what is said to have lasted has"


@pytest.mark.parametrize("name", ASKED)
async def test_a_patient_policy_that_is_only_asked_to_wait_ends(name: str) -> None:
    retry = RetryPolicy(attempts=None, patience=30.0)
    async with against({"/": [ASKED[name]]}, retry=retry, timeout=WEEK) as (session, _):
        error, lasted = await ended(lambda: session.submit(put()))
        assert isinstance(error, RequestError)
        assert DAY < lasted < 1.2 * DAY + 2 * 3600
        is_gateways = name.endswith("gateway")
        assert error.outcome is (Outcome.UNKNOWN if is_gateways or "503" in name else Outcome.REJECTED)


async def test_a_good_answer_within_the_day_begins_the_count_anew() -> None:
    wait = ASKED["429, an hour"]
    behaviours = ([wait] * 20 + [task("PENDING")]) * 3 + [task("SUCCESS", receipts=[])]
    async with against({"/tasks/": behaviours, "GET": [answer({})], "/": [accepted()]}) as (session, _):
        made = await session.submit(join())
        loop = asyncio.get_running_loop()
        began = loop.time()
        assert (await made.wait()).status == "SUCCESS"
        assert loop.time() - began > 2 * DAY
