"""What keeps strangers out: names, keys, web pages, sizes, and what answers give away."""

import asyncio
import gzip
import json
import logging

import pytest

from clinia_async.emulator import Emulator, Settings
from tests.emulator.raw import RELATIONSHIPS, Raw, write

CREATE = f"{RELATIONSHIPS}/t"
PATHS = [
    ("POST", CREATE),
    ("POST", f"{RELATIONSHIPS}/bulk"),
    ("GET", f"{CREATE}/a.b"),
    ("GET", "/sources/s/v1/tasks/s_1"),
    ("PUT", "/catalog/v1/partitions/p"),
    ("GET", "/catalog/v1/partitions/p"),
    ("GET", "/nowhere"),
    ("DELETE", CREATE),
]


@pytest.mark.parametrize(("method", "path"), PATHS)
@pytest.mark.parametrize("key", ["", "wrong", "é"])
async def test_without_the_key_nothing_is_shown(raw: Raw, method: str, path: str, key: str) -> None:
    reply = await raw.send(method, path, headers={"X-Clinia-API-Key": key})
    assert (reply.status, reply.kind) == (401, "UNAUTHENTICATED")
    assert reply.body == (await raw.send("GET", "/nowhere", headers={"X-Clinia-API-Key": ""})).body


async def test_almost_the_key_is_not_the_key(raw: Raw, emulator: Emulator) -> None:
    for key in (emulator.key[:-1], emulator.key + "x", emulator.key.swapcase()):
        assert (await raw.send("GET", "/nowhere", headers={"X-Clinia-API-Key": key})).status == 401
    assert (await raw.send("GET", "/nowhere", headers={"x-clinia-api-KEY": emulator.key})).status == 404


async def talk(emulator: Emulator, text: str) -> bytes:
    """Bytes out, the head of the answer back."""
    host, _, port = emulator.url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(text.format(host=f"{host}:{port}", key=emulator.key).replace("\n", "\r\n").encode())
    head = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    return head


async def test_a_wrong_key_is_answered_before_the_body(emulator: Emulator) -> None:
    head = (
        f"POST {CREATE} HTTP/1.1\nHost: {{host}}\nContent-Type: application/json\nContent-Length: 1000000\n\n"
    )
    assert (await talk(emulator, head)).startswith(b"HTTP/1.1 401 ")


async def test_a_body_that_says_it_is_too_large_is_not_waited_for(emulator: Emulator) -> None:
    head = (
        f"POST {CREATE} HTTP/1.1\nHost: {{host}}\nX-Clinia-API-Key: {{key}}\n"
        "Content-Type: application/json\nContent-Length: 1048577\n\n"
    )
    assert (await talk(emulator, head)).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1",
        "127.0.0.1:1",
        "localhost",
        "localhost:1",
        "evil.example:{port}",
        "127.0.0.2:{port}",
    ],
)
async def test_other_names_are_not_ours(raw: Raw, host: str) -> None:
    port = raw.emulator.url.rpartition(":")[2]
    reply = await raw.send("GET", "/nowhere", headers={"Host": host.format(port=port)})
    assert reply.status == reply.body["code"] == 421


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LocalHost", "[::1]"])
async def test_our_names(raw: Raw, host: str) -> None:
    port = raw.emulator.url.rpartition(":")[2]
    assert (await raw.send("GET", "/nowhere", headers={"Host": f"{host}:{port}"})).status == 404


@pytest.mark.parametrize("hosts", ["", "Host: {host}\nHost: {host}\n", "Host: {host}\nHost: evil\n"])
async def test_one_name_and_only_one(emulator: Emulator, hosts: str) -> None:
    head = await talk(emulator, f"GET /nowhere HTTP/1.1\n{hosts}X-Clinia-API-Key: {{key}}\n\n")
    assert head.split()[1] in {b"400", b"421"}  # 400 is aiohttp's own word on such requests


async def test_no_name_at_all(emulator: Emulator) -> None:
    head = await talk(emulator, "GET /nowhere HTTP/1.0\nX-Clinia-API-Key: {key}\n\n")
    assert head.split()[1] == b"421"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
async def test_web_pages_get_nothing(raw: Raw, headers: dict[str, str]) -> None:
    reply = await raw.send("POST", CREATE, write(), headers=headers)
    assert (reply.status, reply.kind) == (403, "PERMISSION_DENIED")
    assert raw.emulator.relationships() == 0
    assert not any(name.lower().startswith("access-control") for name in reply.headers)


@pytest.mark.parametrize("path", [CREATE, f"{RELATIONSHIPS}/bulk", "/catalog/v1/partitions/p"])
@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonx"]
)
async def test_bodies_are_json(raw: Raw, path: str, content_type: str) -> None:
    method = "PUT" if "catalog" in path else "POST"
    reply = await raw.send(method, path, write(), headers={"Content-Type": content_type})
    assert reply.status == reply.body["code"] == 415


async def test_a_charset_does_no_harm(raw: Raw) -> None:
    headers = {"Content-Type": "application/json; charset=utf-8"}
    assert (await raw.send("POST", CREATE, write(), headers=headers)).status == 201


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "identity"])
async def test_no_body_is_inflated(raw: Raw, encoding: str) -> None:
    squeezed = gzip.compress(json.dumps(write()).encode())
    reply = await raw.send("POST", CREATE, text=squeezed, headers={"Content-Encoding": encoding})
    assert reply.status == 415


async def test_each_route_has_its_own_limit() -> None:
    settings = Settings(body_limit=1000, bulk_limit=3000)
    async with Emulator(settings=settings) as emulator, Raw(emulator) as raw:
        partition = "/catalog/v1/partitions/p"
        for method, path, limit in (
            ("POST", CREATE, 1000),
            ("POST", f"{RELATIONSHIPS}/bulk", 3000),
            ("PUT", partition, 1000),
        ):
            assert (await raw.send(method, path, text="[" + " " * (limit - 2) + "]")).status == 400
            reply = await raw.send(method, path, text="[" + " " * (limit - 1) + "]")
            assert (reply.status, reply.kind) == (413, "CONTENT_TOO_LARGE")


async def test_a_body_of_unknown_length_is_limited_too() -> None:
    async def chunks(total: int):  # type: ignore[no-untyped-def]
        for _ in range(total):
            yield b" " * 100

    async with Emulator(settings=Settings(body_limit=1000)) as emulator, Raw(emulator) as raw:
        for total, status in ((10, 400), (11, 413)):
            reply = await raw.send("POST", CREATE, text=chunks(total))
            assert reply.status == status


async def test_limits_by_default() -> None:
    assert (Settings().body_limit, Settings().bulk_limit) == (1024**2, 256 * 1024**2)
    with pytest.raises(ValueError, match="body_limit"):
        Settings(body_limit=0)


@pytest.mark.parametrize(("method", "path"), PATHS)
async def test_answers_give_nothing_away(raw: Raw, method: str, path: str) -> None:
    for headers in ({}, {"X-Clinia-API-Key": "wrong"}, {"Origin": "x"}):
        reply = await raw.send(method, path, write() if method != "GET" else None, headers=headers)
        assert "Server" not in reply.headers
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert reply.headers["Content-Type"].startswith("application/json")


async def test_a_bug_shows_no_trace(raw: Raw, emulator: Emulator, caplog: pytest.LogCaptureFixture) -> None:
    assert emulator._running is not None
    emulator._running.registry._database.execute("DROP TABLE records")
    async with raw.http.get(
        f"{emulator.url}{CREATE}/a.b", headers={"X-Clinia-API-Key": emulator.key, "Accept": "text/html"}
    ) as response:
        text = await response.text()
        assert response.status == 500
        assert "Server" not in response.headers
    assert "Traceback" not in text
    assert "sqlite" not in text
    assert "Traceback" in caplog.text


async def test_nothing_is_logged(raw: Raw, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    await raw.create(write("SECRET"))
    await raw.read("SECRET.org-9")
    await raw.read("SECRET")
    assert "SECRET" not in caplog.text


@pytest.mark.parametrize(
    "request_",
    [
        b"SECRET\r\n\r\n",
        b"GET / HTTP/1.1\r\nSECRET\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: SECRET\r\n\r\n",
    ],
)
async def test_what_is_not_http_is_not_logged(
    emulator: Emulator, request_: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    reader, writer = await asyncio.open_connection(*emulator.url.removeprefix("http://").split(":"))
    writer.write(request_)
    assert (await reader.read()).startswith(b"HTTP/1.1 400")
    writer.close()
    await writer.wait_closed()
    assert "a request was not valid HTTP" in caplog.text
    assert "SECRET" not in caplog.text
    assert "Traceback" not in caplog.text


def test_the_key_is_random_and_not_shown() -> None:
    first, second = Emulator(), Emulator()
    assert len(first.key) >= 32
    assert first.key != second.key
    assert first.key not in repr(first)
    assert Emulator(key="given").key == "given"


@pytest.mark.parametrize("key", ["", "a b", "a\n", "é", "x\x7f"])
def test_keys_that_no_header_could_carry(key: str) -> None:
    with pytest.raises(ValueError, match="visible ASCII") as caught:
        Emulator(key=key)
    assert not key or key not in str(caught.value)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "registry.example", "", "127.0.0.1.example"])
def test_beyond_loopback_only_with_a_long_key(host: str) -> None:
    for key in (None, "short", "k" * 31):
        with pytest.raises(ValueError, match="32 characters"):
            Emulator(host=host, key=key)
    assert Emulator(host=host, key="k" * 32).host == host


async def test_beyond_loopback_the_names_are_a_setting() -> None:
    settings = Settings(host_names=["Registry.example"])
    async with Emulator(host="0.0.0.0", key="k" * 32, settings=settings) as emulator, Raw(emulator) as raw:
        assert emulator.url.startswith("http://127.0.0.1:")
        port = emulator.url.rpartition(":")[2]
        for host, status in ((f"registry.example:{port}", 404), (f"other.example:{port}", 421)):
            assert (await raw.send("GET", "/nowhere", headers={"Host": host})).status == status


async def test_loopback_has_a_second_address() -> None:
    async with Emulator(host="::1") as emulator, Raw(emulator) as raw:
        assert emulator.url.startswith("http://[::1]:")
        assert (await raw.create(write())).status == 201
