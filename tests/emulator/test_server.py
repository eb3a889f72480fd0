"""Connections: deadlines, a cap, and silence about what clients do and send."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from clinia_async.emulator import Emulator, Settings
from tests.emulator.raw import RELATIONSHIPS, Raw, write

HEAD = "POST {path} HTTP/1.1\r\nHost: {host}\r\nX-Clinia-API-Key: {key}\r\nContent-Type: application/json\r\n"


class Talk:
    """One connection, in bytes."""

    def __init__(
        self, emulator: Emulator, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.emulator, self.reader, self.writer = emulator, reader, writer

    def head(self, length: int, *more: str) -> bytes:
        host = self.emulator.url.removeprefix("http://")
        text = HEAD.format(path=f"{RELATIONSHIPS}/t", host=host, key=self.emulator.key)
        return "".join([text, *more, f"Content-Length: {length}\r\n\r\n"]).encode()

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        status, *lines = head.splitlines()
        headers = dict(line.lower().split(": ", 1) for line in lines if line)
        body = await self.reader.readexactly(int(headers["content-length"]))
        return int(status.split()[1]), headers, body

    async def is_closed(self) -> bool:
        try:
            return await self.reader.read() == b""
        except ConnectionError:
            return True


@asynccontextmanager
async def talk(emulator: Emulator) -> AsyncIterator[Talk]:
    host, _, port = emulator.url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield Talk(emulator, reader, writer)
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)


@pytest.mark.parametrize("start", [b"", b"P", b"POST / HTTP/1.1\r\nHost: x\r\n"])
async def test_headers_must_arrive_in_time(emulator: Emulator, start: bytes) -> None:
    now = asyncio.get_running_loop().time
    async with talk(emulator) as one:
        one.writer.write(start)
        began = now()
        assert await one.is_closed()
        assert 9 < now() - began < 12


async def test_headers_of_a_second_request_must_arrive_in_time(emulator: Emulator) -> None:
    """An idle connection is kept; one with half a request is not."""
    now = asyncio.get_running_loop().time
    async with talk(emulator) as one:
        body = json.dumps(write()).encode()
        one.writer.write(one.head(len(body)) + body)
        assert (await one.answer())[0] == 201
        await asyncio.sleep(600)
        one.writer.write(b"POST ")
        began = now()
        assert await one.is_closed()
        assert 9 < now() - began < 12


async def test_header_by_header_is_not_in_time(emulator: Emulator) -> None:
    now = asyncio.get_running_loop().time
    async with talk(emulator) as one:
        began = now()
        one.writer.write(b"POST / HTTP/1.1\r\n")
        while now() - began < 9:
            one.writer.write(b"X-More: 1\r\n")
            await asyncio.sleep(1)
        assert await one.is_closed()
        assert now() - began < 12


@pytest.mark.parametrize("every", [3600.0, 10.0])
async def test_a_body_must_arrive_in_time(emulator: Emulator, every: float) -> None:
    now = asyncio.get_running_loop().time
    async with talk(emulator) as one:
        one.writer.write(one.head(1000))
        began = now()

        async def trickle() -> None:
            for _ in range(100):
                one.writer.write(b" ")
                await asyncio.sleep(every)

        task = asyncio.create_task(trickle())
        status, headers, body = await one.answer()
        task.cancel()
        assert (status, headers["connection"]) == (408, "close")
        assert json.loads(body)["code"] == 408
        assert 59 < now() - began < 62
    assert emulator.relationships() == 0


async def test_a_client_that_waits_to_be_asked_for_its_body(emulator: Emulator) -> None:
    async with talk(emulator) as one:
        body = json.dumps(write()).encode()
        one.writer.write(one.head(len(body), "Expect: 100-continue\r\n"))
        assert await one.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        one.writer.write(body)
        assert (await one.answer())[0] == 201


async def test_connections_are_capped() -> None:
    async with Emulator(settings=Settings(connection_limit=2)) as emulator:
        async with talk(emulator) as first, talk(emulator):
            async with talk(emulator) as third:
                status, headers, body = await third.answer()
                assert (status, headers["connection"]) == (503, "close")
                assert json.loads(body)["code"] == 503
                assert await third.is_closed()
            body = json.dumps(write()).encode()
            first.writer.write(first.head(len(body)) + body)
            assert (await first.answer())[0] == 201
        await asyncio.sleep(1)
        async with Raw(emulator) as raw:
            assert (await raw.create(write("next"))).status == 201


async def test_half_open_connections_do_not_keep_others_out() -> None:
    async with Emulator(settings=Settings(connection_limit=5)) as emulator:
        opened = [
            await asyncio.open_connection(*emulator.url.removeprefix("http://").split(":")) for _ in range(5)
        ]
        await asyncio.sleep(11)
        async with Raw(emulator) as raw:
            assert (await raw.create(write())).status == 201
        for _, writer in opened:
            writer.close()


@pytest.mark.parametrize("sent", [0, 10, 500])
async def test_a_client_that_hangs_up_is_not_logged(
    emulator: Emulator, sent: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="clinia_async")
    async with talk(emulator) as one:
        one.writer.write(one.head(1000) + b" " * sent)
        await asyncio.sleep(1)
    await asyncio.sleep(1)
    assert caplog.text == ""


async def test_a_client_that_does_not_read_its_answer_is_not_logged(
    emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="clinia_async")
    body = json.dumps(write(data={"text": "x" * 1_000_000})).encode()
    async with talk(emulator) as one:
        for _ in range(5):
            one.writer.write(one.head(len(body)) + body)
        await asyncio.sleep(1)
    await asyncio.sleep(1)
    assert caplog.text == ""


MALFORMED = [
    b"SECRET\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET / HTTP/1.1\r\nSECRET\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nSECRET: " + b"a" * 10_000 + b"\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: SECRET\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: SECRET\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfcSECRET\r\n\r\n",
    b"GET /SECRET\x00 HTTP/1.1\r\n\r\n",
]


@pytest.mark.parametrize("sent", MALFORMED)
async def test_what_is_not_http_is_answered_with_an_envelope(
    emulator: Emulator, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="clinia_async")
    async with talk(emulator) as one:
        one.writer.write(sent)
        status, headers, body = await one.answer()
        assert await one.is_closed()
    assert (status, json.loads(body)["type"]) == (400, "INVALID_ARGUMENT")
    assert "server" not in headers
    assert b"SECRET" not in body
    assert "SECRET" not in caplog.text
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("id_", ["a{b.c}d", "{.}", "{id}.{type}", "a%b.c#d", "a b.c?d", "é/ü.ñ"])
async def test_ids_of_any_characters_can_be_read_back(raw: Raw, id_: str) -> None:
    from urllib.parse import quote

    from_, to = id_.split(".")
    assert (await raw.create(write(from_, to))).status == 201
    for encoded in {quote(id_, safe=""), quote(id_, safe="{}")}:
        reply = await raw.read(encoded)
        assert (reply.status, reply.body["id"]) == (200, id_)
