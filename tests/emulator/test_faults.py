"""Faults: what the client sees, whether the write was done, and which requests are struck."""

import asyncio
from typing import Any

import aiohttp
import pytest

from clinia_async.emulator import (
    ByteOrderMark,
    Constant,
    DoubleExecution,
    DroppedRequest,
    EmptyResponse,
    Emulator,
    Fault,
    LateExecution,
    LostReply,
    MalformedReceipts,
    ProxyResponse,
    StaleRead,
    TooManyRequests,
    TruncatedBody,
    Unavailable,
)
from clinia_async.emulator.faults import RECEIPT_FORMS
from tests.emulator.raw import RELATIONSHIPS, RESOURCES, Raw, operation, write

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


async def test_a_fault_applies_to_its_route_and_only_so_often(raw: Raw, emulator: Emulator) -> None:
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


async def test_a_request_with_a_wrong_key_uses_up_no_fault(raw: Raw, emulator: Emulator) -> None:
    fault = emulator.faults.add(Unavailable(route=ROUTE, times=1))
    await raw.send("POST", "/sources/s/v1/relationships/t", headers={"X-Clinia-API-Key": "wrong"})
    assert not emulator.faults.played[fault]


async def _struck(seed: int, *more: Fault) -> list[int]:
    async with Emulator(seed=seed) as emulator, Raw(emulator) as raw:
        for fault in (Unavailable(route=ROUTE, probability=0.3), *more):
            emulator.faults.add(fault)
        return [(await raw.create(write(f"p-{n}"))).status for n in range(200)]


async def test_the_seed_decides_which_requests_are_struck() -> None:
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


async def _text(raw: Raw, method: str, path: str, body: object = None) -> tuple[int, str, bytes]:
    """Status, content type and body of an answer that need not be JSON."""
    headers = {"X-Clinia-API-Key": raw.emulator.key}
    url = raw.emulator.url + path
    async with raw.http.request(method, url, json=body, headers=headers, allow_redirects=False) as response:
        return response.status, response.headers.get("Content-Type", ""), await response.read()


CREATE = f"{RELATIONSHIPS}/practises-at"


@pytest.mark.parametrize("executed", [False, True])
@pytest.mark.parametrize(("content", "type_"), [("html", "text/html"), ("json", "application/json")])
async def test_the_page_of_an_intermediary_is_not_the_envelope(
    raw: Raw, emulator: Emulator, content: Any, type_: str, executed: bool
) -> None:
    emulator.faults.add(ProxyResponse(route=ROUTE, times=1, status=403, content=content, executed=executed))
    status, found, body = await _text(raw, "POST", CREATE, write())
    assert (status, found) == (403, type_)
    assert b'"message"' not in body
    assert emulator.relationships() == executed


async def test_a_redirect_of_an_intermediary(raw: Raw, emulator: Emulator) -> None:
    emulator.faults.add(ProxyResponse(route=ROUTE, status=302, location="/login"))
    assert (await _text(raw, "POST", CREATE, write()))[0] == 302


async def test_an_empty_response_and_a_byte_order_mark(raw: Raw, emulator: Emulator) -> None:
    emulator.faults.add(ByteOrderMark(route=ROUTE, times=1))
    status, _, body = await _text(raw, "POST", CREATE, write())
    assert status == 201
    assert body.startswith(b"\xef\xbb\xbf{")
    emulator.faults.add(EmptyResponse(route="delete_relationship"))
    assert await _text(raw, "DELETE", f"{CREATE}/prac-1.org-9") == (204, "", b"")
    assert (await _text(raw, "DELETE", f"{CREATE}/prac-1.org-9"))[0] == 404


async def test_late_execution(raw: Raw, emulator: Emulator) -> None:
    emulator.faults.add(LateExecution(route=ROUTE, times=1, seconds=5))
    with pytest.raises((aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)):
        await raw.create(write(data={"by": "first"}))
    await asyncio.sleep(4)
    assert emulator.relationships() == 0
    await asyncio.sleep(2)
    assert [one.data for one in emulator.stored()] == [{"by": "first"}]


@pytest.mark.parametrize("lost", [False, True])
async def test_double_execution(raw: Raw, emulator: Emulator, lost: bool) -> None:
    """A create without an id makes two records, as it does where a gateway repeats it."""
    emulator.faults.add(DoubleExecution(route="create_resource", times=1, seconds=1, lost=lost))
    create = raw.send("POST", f"{RESOURCES}/practitioner", {"data": {}})
    if lost:
        with pytest.raises((aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)):
            await create
    else:
        assert (await create).status == 201
    assert emulator.resources() == 1
    await asyncio.sleep(2)
    assert emulator.resources() == 2


async def test_what_was_to_be_executed_later_ends_with_the_emulator() -> None:
    async with Emulator() as emulator, Raw(emulator) as raw:
        emulator.faults.add(LateExecution(route=ROUTE, seconds=5))
        with pytest.raises(aiohttp.ClientError):
            await raw.create(write())
    await asyncio.sleep(10)


async def test_stale_reads_of_records(raw: Raw, emulator: Emulator) -> None:
    stale = emulator.faults.add(StaleRead(route="get_resource", seconds=2))
    await raw.put("prac-1", {"n": 1})
    assert (await raw.resource("prac-1")).status == 404
    await asyncio.sleep(3)
    await raw.put("prac-1", {"n": 2})
    await raw.put("prac-1", {"n": 3})
    assert (await raw.resource("prac-1")).body["data"] == {"n": 1}
    await asyncio.sleep(3)
    assert (await raw.resource("prac-1")).body["data"] == {"n": 3}
    await raw.send("DELETE", f"{RESOURCES}/practitioner/prac-1")
    assert (await raw.resource("prac-1")).body["data"] == {"n": 3}
    await asyncio.sleep(3)
    assert (await raw.resource("prac-1")).status == 404
    assert emulator.faults.played[stale] == 5


async def test_stale_reads_after_a_bulk(raw: Raw, emulator: Emulator) -> None:
    """What a trigger writes down does not disturb what a bulk reports of each operation."""
    emulator.faults.add(StaleRead(route="get_relationship", seconds=2))
    await raw.create(write("a"))
    id_ = (await raw.bulk(*(operation("CREATE", end) for end in "bacd"))).body["taskId"]
    await asyncio.sleep(1)
    receipts = (await raw.task(id_)).body["receipts"]
    assert [one["status"] for one in receipts] == ["SUCCESS", "FAILURE", "SUCCESS", "SUCCESS"]
    assert (await raw.read("d.org-9")).status == 404
    await asyncio.sleep(2)
    assert (await raw.read("d.org-9")).status == 200


async def test_stale_reads_of_tasks() -> None:
    async with Emulator(bulk=Constant(5)) as emulator, Raw(emulator) as raw:
        emulator.faults.add(StaleRead(route="get_task", seconds=2))
        id_ = (await raw.bulk(operation("CREATE"))).body["taskId"]
        assert (await raw.task(id_)).status == 404
        await asyncio.sleep(3)
        assert (await raw.task(id_)).body["status"] == "PENDING"
        await asyncio.sleep(3)
        task = (await raw.task(id_)).body
        assert (task["status"], task["receipts"][0]["status"]) == ("PENDING", "PENDING")
        await asyncio.sleep(3)
        assert (await raw.task(id_)).body["status"] == "SUCCESS"


@pytest.mark.parametrize("form", RECEIPT_FORMS)
async def test_unusual_receipts(raw: Raw, emulator: Emulator, form: Any) -> None:
    await raw.create(write("a"))
    id_ = (await raw.bulk(operation("CREATE", "a"), operation("CREATE", "b"))).body["taskId"]
    await asyncio.sleep(1)
    usual = (await raw.task(id_)).body
    emulator.faults.add(MalformedReceipts(route="get_task", form=form))
    odd = (await raw.task(id_)).body
    assert odd != usual
    assert {**odd, "receipts": None} == {**usual, "receipts": None}


async def test_a_share_of_unusual_receipts_is_decided_by_the_seed(raw: Raw, emulator: Emulator) -> None:
    id_ = (await raw.bulk(*(operation("CREATE", f"p-{n}") for n in range(100)))).body["taskId"]
    await asyncio.sleep(1)
    emulator.faults.add(MalformedReceipts(route="get_task", form="missing", share=0.5))
    assert 30 < len((await raw.task(id_)).body["receipts"]) < 70
