"""Listeners: they get every answer that was given in full, and nothing else."""

import asyncio
import json
from collections.abc import Iterator

import aiohttp
import pytest

from clinia_async.emulator import (
    DroppedRequest,
    Emulator,
    Exchange,
    Fault,
    LostReply,
    Settings,
    TooManyRequests,
    TruncatedBody,
    Unavailable,
)
from tests.emulator.raw import RELATIONSHIPS, Raw, write


@pytest.fixture
def reported() -> Iterator[list[Exchange]]:
    exchanges: list[Exchange] = []
    Emulator.listeners.append(exchanges.append)
    yield exchanges
    Emulator.listeners.remove(exchanges.append)


async def test_an_exchange_is_reported_as_it_was(reported: list[Exchange], raw: Raw) -> None:
    path = f"{RELATIONSHIPS}/practises%2Dat"
    text = json.dumps(write("a/b")) + "  "
    reply = await raw.send("POST", f"{path}?x=%20y&z", text=text, headers={"X-More": "é"})
    (exchange,) = reported
    assert (exchange.route, exchange.method) == ("create_relationship", "POST")
    assert (exchange.path, exchange.query) == (path, "x=%20y&z")
    assert (exchange.body, exchange.status) == (text.encode(), 201)
    assert exchange.headers["x-more"] == "é"
    assert exchange.headers["Content-Type"] == "application/json"
    assert json.loads(exchange.answer_body) == reply.body
    assert dict(exchange.answer_headers) == dict(reply.headers)
    assert exchange.answer_headers["Content-Length"] == str(len(exchange.answer_body))


async def test_the_key_is_shown_to_nobody(reported: list[Exchange], raw: Raw, emulator: Emulator) -> None:
    await raw.create(write(data={"name": "SECRET"}))
    await raw.send("GET", "/nowhere", headers={"X-Clinia-API-Key": "wrong"})
    assert len(reported) == 2
    for exchange in reported:
        assert "X-Clinia-API-Key" not in exchange.headers
        assert not {emulator.key, "wrong"} & set(exchange.headers.values())
        assert "SECRET" not in repr(exchange)


async def test_refusals_are_reported_too(reported: list[Exchange]) -> None:
    async with Emulator(settings=Settings(body_limit=100)) as emulator, Raw(emulator) as raw:
        await raw.create({})
        await raw.send("GET", "/nowhere")
        await raw.send("DELETE", f"{RELATIONSHIPS}/t")
        await raw.send("POST", f"{RELATIONSHIPS}/t", write(), headers={"X-Clinia-API-Key": ""})
        await raw.send("POST", f"{RELATIONSHIPS}/t", text=" " * 101)
    assert [(one.route, one.status, one.body) for one in reported] == [
        ("create_relationship", 400, b"{}"),
        ("unknown", 404, None),
        ("unknown", 405, None),
        ("create_relationship", 401, None),
        ("create_relationship", 413, None),
    ]


@pytest.mark.parametrize("kind", [DroppedRequest, LostReply, TruncatedBody])
async def test_what_was_not_answered_in_full_is_not_reported(
    reported: list[Exchange], raw: Raw, emulator: Emulator, kind: type[Fault]
) -> None:
    emulator.faults.add(kind(route="create_relationship", times=1))
    with pytest.raises(aiohttp.ClientError):
        await raw.create(write())
    await asyncio.sleep(1)
    assert reported == []


@pytest.mark.parametrize(
    ("fault", "body"),
    [
        (TooManyRequests(route="create_relationship", retry_after=7), json.dumps(write()).encode()),
        (Unavailable(route="create_relationship", retry_after=7), json.dumps(write()).encode()),
        (
            Unavailable(route="create_relationship", retry_after=7, executed=True),
            json.dumps(write()).encode(),
        ),
    ],
)
async def test_faults_that_are_answers_are_reported(
    reported: list[Exchange], raw: Raw, emulator: Emulator, fault: Fault, body: bytes | None
) -> None:
    emulator.faults.add(fault)
    reply = await raw.create(write())
    (exchange,) = reported
    assert (exchange.status, exchange.body) == (reply.status, body)
    assert exchange.answer_headers["Retry-After"] == "7"


async def test_every_emulator_calls_every_listener(reported: list[Exchange]) -> None:
    also: list[Exchange] = []
    async with Emulator() as first, Emulator() as second, Raw(first) as one, Raw(second) as other:
        Emulator.listeners.append(also.append)
        try:
            await one.create(write())
            await other.create(write())
        finally:
            Emulator.listeners.remove(also.append)
        await one.create(write())
    assert (len(reported), len(also)) == (3, 2)
    assert reported[:2] == also


async def test_an_error_of_a_listener_is_logged(raw: Raw, caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: Exchange) -> None:
        raise RuntimeError("the contract is broken")

    Emulator.listeners.append(fail)
    try:
        with pytest.raises(aiohttp.ClientError):
            await raw.create(write())
    finally:
        Emulator.listeners.remove(fail)
    assert "the contract is broken" in caplog.text
    assert (await raw.create(write())).status == 409


@pytest.mark.off_contract
def test_by_default_there_is_no_listener() -> None:
    assert Emulator.listeners == []
