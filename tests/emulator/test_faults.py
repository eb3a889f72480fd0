"""Faults: what the client sees, whether the write was done, and which requests are struck."""

import aiohttp
import pytest

from clinia_async.emulator import (
    DroppedRequest,
    Emulator,
    Fault,
    LostReply,
    TooManyRequests,
    TruncatedBody,
    Unavailable,
)
from tests.emulator.raw import Raw, write

ROUTE = "create_relationship"


@pytest.mark.parametrize(("kind", "done"), [(LostReply, 1), (DroppedRequest, 0)])
async def test_a_connection_that_ends_without_a_byte(
    raw: Raw, emulator: Emulator, kind: type[Fault], done: int, caplog: pytest.LogCaptureFixture
) -> None:
    fault = emulator.faults.add(kind(route=ROUTE, times=1))
    assert fault.executed == bool(done)
    with pytest.raises((aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)):
        await raw.create(write())
    assert emulator.relationships() == done
    assert emulator.faults.played == {fault: 1}
    assert (await raw.create(write())).status == (409 if done else 201)
    assert caplog.text == ""


async def test_a_lost_reply_of_a_bulk(raw: Raw, emulator: Emulator) -> None:
    emulator.faults.add(LostReply(route="bulk_relationships"))
    with pytest.raises((aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)):
        await raw.bulk({"action": "CREATE", "create": {"type": "t", **write()}})
    assert emulator._running is not None
    assert emulator._running.registry._tasks._queue


async def test_a_truncated_body(raw: Raw, emulator: Emulator) -> None:
    emulator.faults.add(TruncatedBody(route=ROUTE, times=1))
    url = f"{emulator.url}/sources/ehr/v1/relationships/practises-at"
    async with raw.http.post(url, json=write(), headers={"X-Clinia-API-Key": emulator.key}) as response:
        assert response.status == 201
        length = response.content_length
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
    assert length is not None
    assert length > 100
    assert emulator.relationships() == 1


@pytest.mark.parametrize("retry_after", [None, 0, 7, "Fri, 31 Dec 2100 23:59:59 GMT", "soon"])
async def test_too_many_requests(raw: Raw, emulator: Emulator, retry_after: int | str | None) -> None:
    emulator.faults.add(TooManyRequests(route=ROUTE, times=1, retry_after=retry_after))
    reply = await raw.create(write())
    assert reply.status == reply.body["code"] == 429
    assert "type" not in reply.body
    assert reply.headers.get("Retry-After") == (None if retry_after is None else str(retry_after))
    assert emulator.relationships() == 0
    assert (await raw.create(write())).status == 201


@pytest.mark.parametrize("executed", [False, True])
async def test_unavailable_before_or_after_the_write(raw: Raw, emulator: Emulator, executed: bool) -> None:
    emulator.faults.add(Unavailable(route=ROUTE, times=1, executed=executed, retry_after=3))
    reply = await raw.create(write())
    assert reply.status == reply.body["code"] == 503
    assert reply.headers["Retry-After"] == "3"
    assert emulator.relationships() == executed


async def test_a_fault_strikes_only_its_route_and_only_so_often(raw: Raw, emulator: Emulator) -> None:
    emulator.faults.add(Unavailable(route=ROUTE, times=2))
    assert (await raw.read("a.b")).status == 404
    assert [(await raw.create(write())).status for _ in range(3)] == [503, 503, 201]
    assert emulator.requests[ROUTE] == 3


async def test_the_first_fault_added_comes_first(raw: Raw, emulator: Emulator) -> None:
    emulator.faults.add(Unavailable(route=ROUTE, times=1))
    emulator.faults.add(TooManyRequests(route=ROUTE, times=1))
    assert [(await raw.create(write())).status for _ in range(3)] == [503, 429, 201]


async def test_faults_can_be_cleared(raw: Raw, emulator: Emulator) -> None:
    emulator.faults.add(Unavailable(route=ROUTE))
    assert [(await raw.create(write())).status for _ in range(2)] == [503, 503]
    emulator.faults.clear()
    assert (await raw.create(write())).status == 201


async def test_a_stranger_uses_up_no_fault(raw: Raw, emulator: Emulator) -> None:
    fault = emulator.faults.add(Unavailable(route=ROUTE, times=1))
    await raw.send("POST", "/sources/s/v1/relationships/t", headers={"X-Clinia-API-Key": "wrong"})
    assert not emulator.faults.played[fault]


async def _struck(seed: int, *more: Fault) -> list[int]:
    async with Emulator(seed=seed) as emulator, Raw(emulator) as raw:
        for fault in (Unavailable(route=ROUTE, probability=0.3), *more):
            emulator.faults.add(fault)
        return [(await raw.create(write(f"p-{n}"))).status for n in range(200)]


async def test_chance_is_told_by_the_seed() -> None:
    first, same, other = await _struck(1), await _struck(1), await _struck(2)
    assert first == same != other
    assert 30 < first.count(503) < 90


async def test_a_chance_may_be_limited(emulator: Emulator, raw: Raw) -> None:
    emulator.faults.add(Unavailable(route=ROUTE, probability=0.5, times=3))
    statuses = [(await raw.create(write(f"p-{n}"))).status for n in range(50)]
    assert statuses.count(503) == 3
    assert statuses[:3] != [503] * 3


def test_faults_that_cannot_be() -> None:
    for wrong in ({"probability": 1.1}, {"probability": -0.1}, {"times": 0}):
        with pytest.raises(ValueError, match="must be"):
            LostReply(route=ROUTE, **wrong)
    with pytest.raises(ValueError, match="create_relationship"):
        Emulator().faults.add(LostReply(route="create-relationship"))
