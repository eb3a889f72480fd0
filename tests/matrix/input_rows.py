"""Rows 81 to 102: keys, settings and records that are wrong, and files that are unusual."""

import asyncio
import gzip
import json
import os
from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from clinia_async import (
    BadRecord,
    ChunkLimits,
    CliniaError,
    ConfigError,
    CreateResource,
    DeleteResource,
    Disposition,
    InputError,
    InvalidWrite,
    JournalMismatch,
    Outcome,
    Record,
    Ref,
    Session,
    UpsertResource,
    read_records,
)
from clinia_async.emulator import Accepted, Constant, Emulator
from tests.factories import KEY, SOURCE, TYPE
from tests.hostile import persisted, refusal
from tests.ingest.running import ran, run, session_for, writes
from tests.ingest.witness import witnessed
from tests.matrix.stage import PERSON, Stage, create, row

_NAIVE = datetime(2020, 1, 1)
NOT_SENT = Outcome.NOT_SENT
WRONG_KEYS = [
    *(
        "",
        "x" * 63,
        "_a",
        "a\n",
        "\na",
        "é",
        "٣",
        "..",
        ".",
        "a/b",
        "%2e%2e",
        "a?x",
        "a#f",
        "a\0",
        "\ud800",
    ),
    *(
        "a b",
        " a",
        "a ",
        "a\t",
        "a\r",
        "a\\b",
        "a;b",
        "a:b",
        "a@b",
        "a,b",
        "a&b",
        "a=b",
        "a+b",
        "a%b",
        "a*b",
        "a'b",
    ),
    *('a"b', "a<b", "a|b", "a`b", "a~b", "a.b", "ａ", "a\u200b", "a\u202e", "名"),
]


@row(81, "keys that are no keys")
async def wrong_keys(stage: Stage) -> None:
    assert len(set(WRONG_KEYS)) >= 40
    async with stage.against(persisted) as (one, server):
        for key in WRONG_KEYS:
            await stage.fails(
                _made(
                    lambda key=key: one.create_relationship(key, TYPE, from_=Ref("a", "b"), to=Ref("c", "d"))
                ),
                InvalidWrite,
                NOT_SENT,
            )
            await stage.fails(
                _made(
                    lambda key=key: one.create_relationship(
                        SOURCE, key, from_=Ref("a", "b"), to=Ref("c", "d")
                    )
                ),
                InvalidWrite,
                NOT_SENT,
            )
            await stage.fails(_made(lambda key=key: one.get_partition(key)), InvalidWrite, NOT_SENT)
        assert server.requests == []


async def _made(make: Any) -> Any:
    return await make()


@row(82, "workspaces that are no label")
async def wrong_workspaces(stage: Stage) -> None:
    for name in (
        "evil.com/",
        "a@b",
        "x\r\nHost: y",
        "é",
        "x" * 64,
        "",
        "-a",
        "a-",
        "a_b",
        "a b",
        "a/b",
        "a?b",
    ):
        await stage.fails(_settings(name, api_key=KEY), ConfigError, NOT_SENT)


async def _settings(*args: Any, **options: Any) -> Session:
    return Session(*args, **options)


@row(83, "base URLs that are not to be trusted")
async def wrong_urls(stage: Stage) -> None:
    for url in (
        "http://example.org",
        "https://u:p@h",
        "https://h?x=1",
        "https://h#f",
        "ftp://h",
        "h",
        "https://",
        "http://127.0.0.1.evil.org",
        "https://h\r\n",
        "https:\\\\h",
    ):
        await stage.fails(_settings(base_url=url, api_key=KEY), ConfigError, NOT_SENT)


@row(84, "keys of the service that are none")
async def wrong_api_keys(stage: Stage) -> None:
    for tail in ("\r\n", " x", "é", "\0", "\n"):
        await stage.fails(_settings("acme", api_key=KEY + tail), ConfigError, NOT_SENT)
    await stage.fails(_settings("acme", api_key=""), ConfigError, NOT_SENT)


@row(85, "ids that would be another's")
async def wrong_ids(stage: Stage) -> None:
    async with stage.against(otherwise=refusal(404, "NOT_FOUND")) as (one, server):
        for id_ in ("", ".", "..", "a.b", "a\r\nb", "a\0", "\ud800", "x" * 10_000):
            await stage.fails(_made(lambda id_=id_: create(one, id_)), InvalidWrite, NOT_SENT)
        assert server.requests == []
        for id_ in ("a/../b", "a?b#c", "%2e%2e", "é名", "a b", "-", "~"):
            await stage.fails(one.get_resource(SOURCE, "p", id_), CliniaError, Outcome.REJECTED)
        from urllib.parse import unquote

        got = [unquote(seen.target.split("/p/", 1)[1]) for seen in server.requests]
        assert got == ["a/../b", "a?b#c", "%2e%2e", "é名", "a b", "-", "~"]


@row(86, "ends of wrong types")
async def wrong_ends(stage: Stage) -> None:
    async with stage.against(persisted) as (one, server):
        for from_ in (None, 7, "text", ("a", "b"), [PERSON]):
            await stage.fails(
                _made(
                    lambda from_=from_: one.create_relationship(SOURCE, TYPE, from_=from_, to=Ref("c", "d"))
                ),
                InvalidWrite,
                NOT_SENT,
            )
        for id_ in (None, 7, b"a"):
            await stage.fails(_made(lambda id_=id_: create(one, id_)), InvalidWrite, NOT_SENT)
        assert server.requests == []


async def _data(stage: Stage, *values: Any) -> None:
    async with stage.against(persisted) as (one, server):
        for value in values:
            await stage.fails(
                _made(lambda value=value: create(one, data={"n": value})), InvalidWrite, NOT_SENT
            )
        assert server.requests == []


@row(87, "values that JSON has not")
async def wrong_values(stage: Stage) -> None:
    await _data(
        stage,
        float("nan"),
        float("inf"),
        float("-inf"),
        b"bytes",
        {1, 2},
        datetime(2020, 1, 1),
        Decimal("NaN"),
        object(),
        1j,
    )


@row(88, "lone surrogates")
async def surrogates(stage: Stage) -> None:
    await _data(stage, "\ud800", ["\udfff"], {"\ud800": 1})


@row(89, "large integers")
async def large_integers(stage: Stage) -> None:
    for number in (2**63, 2**64 + 1, -(2**70), 10**300):
        async with stage.against(persisted) as (one, server):
            await create(one, data={"n": number})
            assert json.loads(server.requests[0].body)["data"]["n"] == number


@row(90, "data that is cyclic or deep")
async def cyclic(stage: Stage) -> None:
    ring: list[Any] = []
    ring.append(ring)
    deep: Any = 1
    for _ in range(1_000):
        deep = [deep]
    await _data(stage, ring, deep)


LINE = '{"type":"t","from":{"id":"%s","type":"x"},"to":{"id":"b","type":"y"},"data":{"n":1}}'


async def read(stage: Stage, content: bytes, name: str = "in.ndjson") -> list[Any]:
    path = stage.folder / name
    path.write_bytes(content)
    items = [each async for each in read_records(path, SOURCE)]
    assert all(isinstance(each, Record | BadRecord) or type(each).__name__ == "Blank" for each in items)
    stage.shown += [repr(each) for each in items]
    return items


def kinds(items: Iterable[Any]) -> str:
    return "".join({"Record": "r", "BadRecord": "b", "Blank": "-"}[type(each).__name__] for each in items)


@row(91, "a line that is no UTF-8")
async def no_utf8(stage: Stage) -> None:
    items = await read(stage, b"\n".join([(LINE % "a").encode(), b"\xff\xfe", (LINE % "c").encode()]))
    assert (kinds(items), items[1].line) == ("rbr", 2)


@row(92, "byte order marks")
async def marks(stage: Stage) -> None:
    mark, line = b"\xef\xbb\xbf", (LINE % "a").encode()
    assert kinds(await read(stage, mark + line)) == "r"
    assert kinds(await read(stage, line + b"\n" + mark + line)) == "rb"


@row(93, "ends of lines of every kind")
async def line_ends(stage: Stage) -> None:
    odd = LINE.replace('{"n":1}', '{"n":"a\u2028b"}') % "c"
    text = f"{LINE % 'a'}\r\n\n{LINE % 'b'}\n{odd}"
    assert kinds(await read(stage, text.encode())).replace("-", "") == "rrr"


@row(94, "lines of 10 MB")
async def long_lines(stage: Stage) -> None:
    long = LINE.replace("1}", json.dumps("x" * 10_000_000) + "}") % "a"
    assert kinds(await read(stage, f"{long}\n{LINE % 'b'}".encode())) == "br"


@row(95, "a last line that is cut")
async def cut_line(stage: Stage) -> None:
    assert kinds(await read(stage, f"{LINE % 'a'}\n{(LINE % 'b')[:40]}".encode())) == "rb"


@row(96, "keys given twice, and many of them")
async def keys_twice(stage: Stage) -> None:
    many = json.dumps({f"k{n}": n for n in range(10_000)})
    lines = [
        LINE.replace('"data":{"n":1}', '"data":{"n":1,"n":2}') % "a",
        LINE.replace('{"n":1}', many) % "b",
        LINE.replace('{"n":1}', '{"__proto__":{"x":1}}') % "c",
    ]
    assert kinds(await read(stage, "\n".join(lines).encode())) == "brr"


@row(97, "one id twice in one job")
async def one_id_twice(stage: Stage) -> None:
    chain: list[Any] = [
        CreateResource(SOURCE, "patient", "p-1", data={"v": 1}),
        UpsertResource(SOURCE, "patient", "p-1", data={"v": 2}),
        DeleteResource(SOURCE, "patient", "p-1"),
        CreateResource(SOURCE, "patient", "p-1", data={"v": 3}),
    ]
    for via in ("single", "bulk"):
        with witnessed() as seen:
            async with Emulator(default=Accepted(Constant(0.3)), bulk=Constant(0.3)) as emulator:
                async with session_for(emulator) as one:
                    items = [each if each.source == "ehr-prod" else _of_job(each) for each in chain]
                    found = await ran(one, items, via=via, workers=4)
                held = [each.data for each in emulator.stored_resources()]
        assert found.error is None
        assert held == [{"v": 3}]
        assert [str(each.action) for each in seen.done] == ["CREATE", "UPSERT", "DELETE", "CREATE"]


def _of_job(write: Any) -> Any:
    from attrs import evolve

    from tests.ingest.running import SOURCE as JOB

    return evolve(write, source=JOB)


@row(98, "the input changed between two runs")
async def changed_input(stage: Stage) -> None:
    journal = stage.folder / "j"
    async with Emulator() as emulator:
        await run(emulator, writes(20), journal=journal, chunk=ChunkLimits(operations=5))
        requests = emulator.requests.total()
        for items in (writes(19), [*writes(3), *writes(20)[4:], writes(1)[0]]):
            found = await run(emulator, items, journal=journal)
            assert isinstance(found.error, JournalMismatch)
            stage.silent(found.error)
        assert emulator.requests.total() == requests


@row(99, "a source that raises, yields something else, or is cancelled")
async def bad_sources(stage: Stage) -> None:
    class Own(Exception):
        pass

    async def raising() -> AsyncIterator[Any]:
        for each in writes(10):
            yield each
        raise Own

    async def cancelling() -> AsyncIterator[Any]:
        for each in writes(10):
            yield each
        raise asyncio.CancelledError

    def strange() -> Iterable[Any]:
        yield from writes(3)
        yield "a text"

    async with Emulator() as emulator:
        found = await run(emulator, raising())
        assert isinstance(found.error, Own)
        assert found.reported[Disposition.PERSISTED] == 10
        try:
            found = await run(emulator, cancelling())
        except asyncio.CancelledError:
            raise AssertionError("it is not the job that was cancelled") from None
        assert found.error is not None
        found = await run(emulator, strange())  # type: ignore[arg-type]
        assert found.error is not None or found.reported[Disposition.INVALID] == 1


@row(100, "a FIFO, a device, a folder, a loop of links as input")
async def no_files(stage: Stage) -> None:
    os.mkfifo(stage.folder / "fifo")
    (stage.folder / "loop").symlink_to("loop")
    for path in (
        stage.folder / "fifo",
        Path("/dev/zero"),
        stage.folder,
        stage.folder / "loop",
        stage.folder / "none",
    ):
        await stage.fails(_items(path), InputError)


async def _items(path: Path) -> list[Any]:
    try:
        return [each async for each in read_records(path, SOURCE, format="ndjson")]
    except InputError as error:
        error.outcome = Outcome.UNKNOWN
        raise


@row(101, "a bomb of gzip")
async def bomb(stage: Stage) -> None:
    packed = gzip.compress(b"x" * 100_000_000, compresslevel=1)
    assert set(kinds(await read(stage, packed, "in.ndjson.gz"))) == {"b"}


@row(102, "a record without an id where one is needed")
async def no_id(stage: Stage) -> None:
    items = await read(stage, b'{"action":"UPSERT","type":"t","data":{}}\n{"action":"DELETE","type":"t"}')
    assert [(each.line, type(each)) for each in items] == [(1, BadRecord), (2, BadRecord)]
