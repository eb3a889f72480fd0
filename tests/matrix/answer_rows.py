"""Rows 31 to 80: answers that are cut, malformed or lying, tasks that misbehave, and statuses."""

import asyncio
import base64
import gzip
import json
import tracemalloc
import zlib
from collections import Counter
from time import process_time
from typing import Any

from clinia_async import (
    ApiError,
    ChunkLimits,
    CliniaError,
    Disposition,
    ErrorType,
    Outcome,
    ProtocolError,
    RedirectRefused,
    RequestError,
    RetryPolicy,
    TaskCancelled,
    TaskError,
    TaskPollError,
    TaskTimeout,
    TransportOptions,
)
from clinia_async.emulator import Emulator, LostReply, TooManyRequests, Unavailable
from tests.factories import SOURCE, TYPE
from tests.hostile import (
    Behaviour,
    Hostile,
    Peer,
    Seen,
    accepted,
    answer,
    by_target,
    chunked,
    close,
    endless,
    head,
    persisted,
    raw,
    redirect,
    refusal,
    reply,
    task,
)
from tests.ingest.running import Ran, ran, session_for, stored_data, writes
from tests.matrix.stage import (
    CALLS,
    ID,
    PERSON,
    Stage,
    bulk,
    create,
    get,
    persisted_answer,
    poll,
    relationship,
    row,
)

D = Disposition
UNKNOWN, REJECTED = Outcome.UNKNOWN, Outcome.REJECTED
PATIENT = RetryPolicy()
GOOD = json.dumps(persisted_answer()).encode()


def bulk_accepted(id: str = "bk_1") -> Behaviour:
    return answer({"status": "ACCEPTED", "taskId": id, "bulkId": id}, 202)


# 31 to 53: answers to one request


@row(31, "truncated JSON, short of its Content-Length")
async def cut_by_length(stage: Stage) -> None:
    await stage.fails_at_all("CB", raw(head(200, length=500) + GOOD[:60]), RequestError)


@row(32, "truncated chunks")
async def cut_chunks(stage: Stage) -> None:
    await stage.fails_at_all("CB", chunked(GOOD[:60], end=b""), RequestError)


@row(33, "a body that ends with its connection is cut, at a poll")
async def cut_at_the_end(stage: Stage) -> None:
    script = by_target(
        {
            "POST": [accepted()],
            "/tasks/": [
                raw(head(200) + b'{"status":"SUC'),
                task("PENDING"),
                task("SUCCESS", receipts=[receipt_of()]),
            ],
            "GET": [answer(relationship())],
        }
    )
    async with stage.against(otherwise=script) as (one, server):
        assert (await (await create(one))).id == ID
        assert server.count("GET", "/tasks/") >= 3


@row(34, "it is cut right after a valid JSON value, at the poll of a bulk")
async def cut_after_a_value(stage: Stage) -> None:
    whole = {"status": "SUCCESS", "taskId": "bk_1", "receipts": [receipt_of()]}
    script = by_target({"POST": [bulk_accepted()], "GET": [answer(whole)]})
    async with stage.against(otherwise=script) as (one, _):
        from tests.factories import write

        made = await one.bulk(SOURCE, [write(PERSON), write("other")])
        try:
            await made
        except ProtocolError as error:
            stage.silent(error)
            assert error.outcome in {UNKNOWN, Outcome.DONE}
        else:
            raise AssertionError("what has no receipt is not claimed")


@row(35, "bad status line, bad chunk size, a header of 20 kB")
async def not_http(stage: Stage) -> None:
    for bad in (
        raw(b"BANANA\r\n\r\n"),
        raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"),
        raw(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20_000 + b"\r\n\r\n"),
    ):
        await stage.fails_at_all("C", bad, ProtocolError)


@row(36, "200 with a page of HTML that quotes")
async def portal(stage: Stage) -> None:
    page = reply(200, f"<html>{PERSON}</html>".encode(), kind="text/html")
    await stage.fails_at_all("CB", page, ProtocolError)


@row(37, "200 with good JSON of the wrong content type")
async def wrong_type(stage: Stage) -> None:
    async with stage.against(reply(201, GOOD, kind="text/plain")) as (one, _):
        assert (await (await create(one))).id == ID


@row(38, "200 with an empty body")
async def empty(stage: Stage) -> None:
    await stage.fails_at_all("CB", reply(200), ProtocolError)


@row(39, "204 to a create")
async def no_content(stage: Stage) -> None:
    nothing = raw(b"HTTP/1.1 204 No Content\r\n\r\n", keep=True)
    script = by_target({"POST": [nothing, refusal(409, "ALREADY_EXISTS")], "GET": [answer(relationship())]})
    async with stage.against(otherwise=script, retry=PATIENT) as (one, _):
        try:
            assert (await (await create(one))).id == ID
        except RequestError as error:
            assert error.outcome is UNKNOWN


@row(40, "201 or 202 in place of 200")
async def other_good_status(stage: Stage) -> None:
    for status in (200, 201, 202, 299):
        async with stage.against(
            answer(persisted_answer(), status), answer({"status": "ACCEPTED", "taskId": "bk_1"}, status)
        ) as (one, _):
            assert (await create(one)).done()
            assert str((await bulk(one)).id) == "bk_1"


@row(41, "null, a list, a text, a number as body")
async def no_object(stage: Stage) -> None:
    for body in (b"null", b"[]", b'"x"', b"1"):
        await stage.fails_at_all("CPBTG", reply(200, body), ProtocolError)


@row(42, "ACCEPTED without a task id")
async def no_id(stage: Stage) -> None:
    await stage.fails_at_all("CB", answer({"status": "ACCEPTED"}, 202), ProtocolError)


@row(43, "a task id that is empty, long, climbs or holds controls")
async def bad_ids(stage: Stage) -> None:
    for id_ in ("", "s" * 10_000, "a/b", "../x", "..", "s_1\r\nX: y", "s_\0"):
        await stage.fails_at_all("B", answer({"status": "ACCEPTED", "taskId": id_}, 202), ProtocolError)


@row(44, "a task id of an unknown prefix")
async def unknown_prefix(stage: Stage) -> None:
    script = by_target({"POST": [bulk_accepted("zz_1")], "GET": [task("SUCCESS", "zz_1", [receipt_of()])]})
    async with stage.against(otherwise=script) as (one, server):
        made = await bulk(one)
        assert (str(made.id), str(made.kind)) == ("zz_1", "unknown")
        await made
        assert server.count("GET", "/tasks/zz_1")


@row(45, "deprecated ids: bare, and purge:")
async def old_ids(stage: Stage) -> None:
    done = {
        "status": "SUCCESS",
        "taskId": "pg_9",
        "purgeId": "pg_9",
        "collectionType": "resources",
        "collectionKey": "c",
    }
    script = by_target(
        {
            "POST": [bulk_accepted("2wil2v")],
            "purge": [answer(done)],
            "GET": [task("SUCCESS", "2wil2v", [receipt_of()])],
        }
    )
    async with stage.against(otherwise=script) as (one, server):
        made = await bulk(one)
        assert str(made.kind) == "legacy"
        await made
        assert (await one.task("purge:9", source=SOURCE).wait()).status == "SUCCESS"
        assert any("purge%3A9" in seen.target for seen in server.requests)


@row(46, "only bulkId is there")
async def only_bulk_id(stage: Stage) -> None:
    async with stage.against(answer({"status": "ACCEPTED", "bulkId": "bk_7"}, 202)) as (one, _):
        assert str((await bulk(one)).id) == "bk_7"


@row(47, "task id and bulk id differ")
async def two_ids(stage: Stage) -> None:
    async with stage.against(answer({"status": "ACCEPTED", "taskId": "bk_1", "bulkId": "bk_2"}, 202)) as (
        one,
        _,
    ):
        assert str((await bulk(one)).id) == "bk_1"


@row(48, "ACCEPTED with a record")
async def accepted_with_a_record(stage: Stage) -> None:
    document = {"status": "ACCEPTED", "taskId": "s_1", "relationship": relationship()}
    async with stage.against(answer(document, 202)) as (one, _):
        assert not (await create(one)).done()


@row(49, "PERSISTED without a record")
async def persisted_without_a_record(stage: Stage) -> None:
    await stage.fails_at_all("C", answer({"status": "PERSISTED", "taskId": "s_1"}), ProtocolError)


@row(50, "PERSISTED with another record: its id, or its ends")
async def another_record(stage: Stage) -> None:
    for more in (
        {"id": f"{PERSON}.x"},
        {"to": {"id": "org-9", "type": "clinic"}},
        {"from": {"id": "x", "type": "practitioner"}},
    ):
        await stage.fails_at_all("C", answer(persisted_answer(**more)), ProtocolError)


@row(51, "an unknown status, at a create and at a poll")
async def unknown_status(stage: Stage) -> None:
    await stage.fails_at_all("C", answer({"status": "QUEUED", "taskId": "s_1"}), ProtocolError)
    script = by_target(
        {
            "POST": [accepted()],
            "/tasks/": [task("QUEUED")] * 3 + [task("SUCCESS", receipts=[receipt_of()])],
            "GET": [answer(relationship())],
        }
    )
    async with stage.against(otherwise=script) as (one, _):
        assert (await (await create(one))).id == ID


@row(52, "a status of lower case or of another type, at a poll")
async def no_status(stage: Stage) -> None:
    for status in (1, None, [], {}):
        await stage.fails_at_all("T", answer({"status": status, "taskId": "s_1"}), ProtocolError)
    script = by_target({"POST": [accepted()], "GET": [task("success")]})
    async with stage.against(otherwise=script) as (one, _):
        made = await create(one)
        await stage.fails(made.result(timeout=60), TaskTimeout)
        assert made.state != "SUCCESS", "a text that is no status of the service proves nothing"


@row(53, "unknown members everywhere")
async def unknown_members(stage: Stage) -> None:
    odd = {"surprise": [{"deep": None}]}
    document = {**persisted_answer(**odd), **odd}
    async with stage.against(
        answer(document),
        answer({**relationship(), **odd}),
        answer({"status": "PENDING", "taskId": "s_1", **odd}),
    ) as (one, _):
        assert (await (await create(one))).id == ID
        assert (await get(one)).id == ID
        assert (await poll(one)).status == "PENDING"


# 54 to 60: receipts of a job


def receipt_of(id: str = ID, status: str = "SUCCESS", **more: Any) -> dict[str, Any]:
    return {
        "action": "CREATE",
        "status": status,
        "targetType": "RELATIONSHIP",
        "type": TYPE,
        "id": id,
        **more,
    }


def failed(id: str, type: str | None, **more: Any) -> dict[str, Any]:
    error = {"code": 400, "message": f"no {PERSON}", "details": []} | ({"type": type} if type else {})
    return receipt_of(id, "FAILURE", error=error, **more)


IDS = [each.id for each in writes(3)]


async def job(
    stage: Stage,
    status: str,
    receipts: list[dict[str, Any]] | None,
    *,
    get: list[Behaviour] | None = None,
    post: list[Behaviour] | None = None,
    **options: Any,
) -> tuple[Ran, Hostile]:
    """A job of three records in one bulk, whose task ends so."""
    script = by_target(
        {
            "POST": post or [bulk_accepted()],
            "/tasks/": [task(status, "bk_1", receipts)],
            "GET": get or [refusal(404, "NOT_FOUND")],
        }
    )
    async with stage.against(otherwise=script) as (one, server):
        found = await ran(one, writes(3), via="bulk", **{"patience": 30, **options})
        stage.shown += [repr(each) for each in found.outcomes] + [str(found.report)]
    return found, server


def reported(found: Ran) -> list[D]:
    return [each.disposition for each in sorted(found.outcomes, key=lambda one: one.line)]


@row(54, "FAILURE with receipts of both kinds")
async def mixed(stage: Stage) -> None:
    found, _ = await job(
        stage, "FAILURE", [receipt_of(IDS[0]), failed(IDS[1], "INVALID_ARGUMENT"), receipt_of(IDS[2])]
    )
    assert reported(found) == [D.SUCCEEDED, D.FAILED, D.SUCCEEDED]


@row(55, "FAILURE without receipts")
async def no_receipts(stage: Stage) -> None:
    for receipts in (None, []):
        found, _ = await job(stage, "FAILURE", receipts)
        assert set(reported(found)) == {D.UNKNOWN}


@row(56, "SUCCESS with a FAILURE receipt in it")
async def success_with_a_failure(stage: Stage) -> None:
    found, _ = await job(
        stage, "SUCCESS", [receipt_of(IDS[0]), failed(IDS[1], "INVALID_ARGUMENT"), receipt_of(IDS[2])]
    )
    assert reported(found)[0] == reported(found)[2] == D.SUCCEEDED
    assert reported(found)[1] in {D.FAILED, D.UNKNOWN}


@row(57, "receipts that are fewer, more, in another order, doubled or foreign")
async def unusual_receipts(stage: Stage) -> None:
    good = [receipt_of(each) for each in IDS]
    bad = failed(IDS[1], "INVALID_ARGUMENT")
    for receipts, expected in (
        (good[:2], [D.SUCCEEDED, D.SUCCEEDED, D.UNKNOWN]),
        ([*good, receipt_of("foreign.x")], [D.SUCCEEDED] * 3),
        (good[::-1], [D.SUCCEEDED] * 3),
        ([good[2], bad, good[0]], [D.SUCCEEDED, D.FAILED, D.SUCCEEDED]),
        ([good[0], good[1], bad, good[2]], [D.SUCCEEDED, D.UNKNOWN, D.SUCCEEDED]),
        ([receipt_of("a.x"), receipt_of("b.x"), receipt_of("c.x")], [D.UNKNOWN] * 3),
    ):
        found, _ = await job(stage, "SUCCESS" if bad not in receipts else "FAILURE", receipts)
        assert reported(found) == expected, receipts


@row(58, "each type of error, an unknown one and none")
async def types_of_errors(stage: Stage) -> None:
    for type_ in (*(str(each) for each in ErrorType), "SOMETHING_NEW", None):
        if type_ in {"ALREADY_EXISTS", "INTERNAL"}:
            continue  # rows 59 and 60
        found, _ = await job(
            stage, "FAILURE", [receipt_of(IDS[0]), failed(IDS[1], type_), receipt_of(IDS[2])]
        )
        assert reported(found) == [D.SUCCEEDED, D.FAILED, D.SUCCEEDED], type_
        assert type_ is None or any(type_ in (each.reason or "") for each in found.outcomes), type_


@row(59, "a receipt ALREADY_EXISTS: at the first attempt, and after a lost answer")
async def already_exists(stage: Stage) -> None:
    receipts = [failed(each.id, "ALREADY_EXISTS") for each in writes(3)]
    equal = {
        each.id: {
            "id": each.id,
            "type": TYPE,
            "from": {"id": each.from_.id, "type": each.from_.type},
            "to": {"id": each.to.id, "type": each.to.type},
            "data": each.data,
        }
        for each in writes(3)
    }

    async def read(peer: Peer, seen: Seen) -> None:
        await answer(equal[seen.target.rsplit("/", 1)[1]])(peer, seen)

    async def other(peer: Peer, seen: Seen) -> None:
        await answer(equal[seen.target.rsplit("/", 1)[1]] | {"data": {"of": "another"}})(peer, seen)

    for post, records, expected in (
        ([bulk_accepted()], read, {D.EXISTING}),
        ([bulk_accepted()], other, {D.FAILED}),
        ([close, bulk_accepted()], read, {D.PERSISTED, D.SUCCEEDED}),
        ([close, bulk_accepted()], other, {D.UNKNOWN, D.FAILED}),
    ):
        found, _ = await job(stage, "FAILURE", receipts, get=[records], post=post)
        assert set(reported(found)) <= expected, (reported(found), expected)


@row(60, "a receipt INTERNAL")
async def internal(stage: Stage) -> None:
    found, server = await job(
        stage, "FAILURE", [receipt_of(IDS[0]), failed(IDS[1], "INTERNAL"), receipt_of(IDS[2])]
    )
    assert reported(found)[0] == reported(found)[2] == D.SUCCEEDED
    assert reported(found)[1] in {D.FAILED, D.UNKNOWN}
    assert server.count("POST") <= 4


# 61 to 67: tasks


def tasks(*answers: Behaviour, record: Behaviour | None = None) -> Behaviour:
    return by_target(
        {"POST": [accepted()], "/tasks/": list(answers), "GET": [record or answer(relationship())]}
    )


@row(61, "the task was cancelled by the service")
async def cancelled(stage: Stage) -> None:
    async with stage.against(
        otherwise=tasks(task("CANCELLED", receipts=[receipt_of(status="CANCELLED")]))
    ) as (
        one,
        _,
    ):
        made = await create(one)
        try:
            await made
        except asyncio.CancelledError:
            raise AssertionError from None
        except TaskCancelled as error:
            stage.silent(error)
        else:
            raise AssertionError


@row(62, "404 right after ACCEPTED")
async def not_known_yet(stage: Stage) -> None:
    late = [refusal(404, "NOT_FOUND")] * 3
    async with stage.against(otherwise=tasks(*late, task("SUCCESS", receipts=[receipt_of()]))) as (one, _):
        assert (await (await create(one))).id == ID


@row(63, "404 for ever")
async def never_known(stage: Stage) -> None:
    async with stage.against(
        otherwise=tasks(refusal(404, "NOT_FOUND"), record=refusal(404, "NOT_FOUND"))
    ) as (one, _):
        error = await stage.fails((await create(one)).result(timeout=3600), TaskError)
        assert isinstance(error, TaskPollError | TaskTimeout)


@row(64, "SUCCESS, then PENDING")
async def flips_back(stage: Stage) -> None:
    async with stage.against(otherwise=tasks(task("SUCCESS", receipts=[receipt_of()]), task("PENDING"))) as (
        one,
        _,
    ):
        made = await create(one)
        await made
        await asyncio.sleep(100)
        assert (await made.wait()).status == made.state == "SUCCESS"


@row(65, "SUCCESS, then FAILURE")
async def changes_its_mind(stage: Stage) -> None:
    async with stage.against(otherwise=tasks(task("SUCCESS", receipts=[receipt_of()]), task("FAILURE"))) as (
        one,
        _,
    ):
        made = await create(one)
        await made
        await made.refresh()
        assert (await made.wait()).status == made.state == "SUCCESS"


@row(66, "PENDING for long")
async def pending(stage: Stage) -> None:
    async with stage.against(otherwise=tasks(task("PENDING"))) as (one, server):
        made = await create(one)
        error = await stage.fails(made.result(timeout=21_600), TaskTimeout)
        assert server.count("GET") < 2_500
        server.otherwise = tasks(task("SUCCESS", receipts=[receipt_of()]))
        assert (await one.task(error.token)).id == ID


@row(67, "the body of another task")
async def of_another(stage: Stage) -> None:
    async with stage.against(otherwise=tasks(task("SUCCESS", id="s_2", receipts=[receipt_of()]))) as (one, _):
        made = await create(one)
        await stage.fails(made.result(timeout=60), TaskError)
        assert made.state == "PENDING"


# 68 to 76: size, depth, redirects, headers


BROTLI_OF_SPACES = base64.b64decode(
    "y///P/glQOKxQCD3/o///3/wSwDEYRGA7v0f////4JcAiMMCAN37P/7//8EvARCHBQC693/8//+DXwIgDgsAdO//8g9eD78EQBwWAOig6wE="
)
"""50 MB of spaces."""


async def bounded(stage: Stage, *bombs: Behaviour, largest: int = 2_000_000) -> None:
    for bomb in bombs:
        async with stage.against(bomb, transport=TransportOptions(largest_answer=largest)) as (one, _):
            tracemalloc.start()
            before = tracemalloc.get_traced_memory()[0]
            try:
                await stage.fails(create(one), RequestError)
                grown = tracemalloc.get_traced_memory()[1] - before
            finally:
                tracemalloc.stop()
            assert grown < 12_000_000


THREE_GB = 3 * 1024**3


@row(68, "a body of 3 GB, or without end")
async def endless_body(stage: Stage) -> None:
    await bounded(
        stage,
        endless(head(200, length=THREE_GB), b" " * 65536),
        endless(head(200, {"Transfer-Encoding": "chunked"}), b"%x\r\n%s" % (THREE_GB, b" " * 65536)),
        endless(head(200), b" " * 65536),
        endless(head(200, {"Transfer-Encoding": "chunked"}), b"10000\r\n%s\r\n" % (b" " * 65536)),
    )
    async with stage.against(endless(head(200), b" " * 65536)) as (one, _):
        error = await stage.fails(create(one), ProtocolError)
        assert str(error).startswith(f"the answer is larger than {TransportOptions().largest_answer} bytes; ")


@row(69, "a Content-Length of 10^15")
async def absurd_length(stage: Stage) -> None:
    loop = asyncio.get_running_loop()
    async with stage.against(raw(head(200, length=10**15), keep=True)) as (one, _):
        began = loop.time()
        await stage.fails(create(one), ProtocolError)
        assert loop.time() - began < 1


@row(70, "bombs: gzip, gzip in gzip, many members, deflate, br, zstd")
async def bombs(stage: Stage) -> None:
    spaces = b" " * 50_000_000
    await bounded(
        stage,
        reply(200, gzip.compress(spaces), {"Content-Encoding": "gzip"}),
        reply(200, gzip.compress(gzip.compress(spaces)), {"Content-Encoding": "gzip, gzip"}),
        reply(200, gzip.compress(b" " * 1_000_000) * 50, {"Content-Encoding": "gzip"}),
        reply(200, zlib.compress(spaces), {"Content-Encoding": "deflate"}),
    )

    import zstandard

    # neither is asked for; without a package for it aiohttp refuses the answer, with one it is inflated
    await bounded(
        stage,
        reply(200, BROTLI_OF_SPACES, {"Content-Encoding": "br"}),
        reply(200, zstandard.ZstdCompressor().compress(spaces), {"Content-Encoding": "zstd"}),
    )


@row(71, "an unknown or a corrupt encoding")
async def corrupt(stage: Stage) -> None:
    for body, name in ((b"\x00\x01", "exi"), (GOOD, "exi"), (b"not gzip", "gzip"), (b"\xff" * 20, "deflate")):
        await stage.fails_at_all("CTG", reply(200, body, {"Content-Encoding": name}), RequestError)


@row(72, "JSON of a depth of 100,000")
async def deep(stage: Stage) -> None:
    for body in (b'{"a":' * 100_000, b"[" * 100_000, b'{"a":' * 100_000 + b"1" + b"}" * 100_000):
        before = process_time()
        await stage.fails_at_all("CTG", reply(200, body), ProtocolError)
        assert process_time() - before < 5


@row(73, "numbers, names and bytes that JSON has not")
async def bad_json(stage: Stage) -> None:
    def of(data: str) -> bytes:
        text = json.dumps(persisted_answer())
        return text.replace(json.dumps({"name": PERSON}), data).encode()

    for data in ('{"n":NaN}', '{"n":Infinity}', '{"n":-Infinity}'):
        await stage.fails_at_all("C", reply(200, of(data)), ProtocolError)
    await stage.fails_at_all(
        "C", reply(200, GOOD.replace(b'"taskId"', b'"taskId":"s_9","taskId"')), ProtocolError
    )
    await stage.fails_at_all("C", reply(200, GOOD.decode().encode("utf-16")), ProtocolError)
    await stage.fails_at_all("B", reply(200, b'{"status":"ACCEPTED","taskId":"s_\\ud800"}'), ProtocolError)
    digits = "9" * 300
    async with stage.against(reply(200, of(f'{{"n":{digits}}}'))) as (one, _):
        made = await (await create(one))
        assert "." not in str(made.data["n"]), "no digit is lost"
        assert "e" not in str(made.data["n"])


@row(74, "redirects of every form")
async def redirects(stage: Stage) -> None:
    async with Hostile() as evil:
        for status in (301, 302, 303, 307, 308):
            for place in (
                evil.url,
                "/x",
                "http://evil.example",
                "//evil.example/x",
                evil.url + "/" + "x" * 8000,
            ):
                for letter in "CTG":
                    async with stage.against(redirect(status, place)) as (one, server):
                        try:
                            await CALLS[letter](one)
                        except RedirectRefused as error:
                            stage.silent(error)
                        assert len(server.requests) == 1
        assert evil.connections == 0


@row(75, "Set-Cookie")
async def cookies(stage: Stage) -> None:
    biscuit = reply(201, GOOD, {"Set-Cookie": "session=evil; Path=/"})
    async with stage.against(biscuit, biscuit) as (one, server):
        await create(one)
        await create(one)
        assert [seen.header("Cookie") for seen in server.requests] == [None, None]


@row(76, "Retry-After: numbers, dates, nonsense, two of them")
async def retry_after(stage: Stage) -> None:
    loop = asyncio.get_running_loop()
    now, later = "Sat, 28 Nov 2026 12:00:00 GMT", "Sat, 28 Nov 2026 12:00:07 GMT"
    for headers, least, most in (
        ({"Retry-After": "0"}, 0, 2),
        ({"Retry-After": "5"}, 5, 6.1),
        ({"Retry-After": "-1"}, 0, 2),
        ({"Retry-After": "NaN"}, 0, 2),
        ({"Retry-After": "abc"}, 0, 2),
        ({"Retry-After": later, "Date": now}, 7, 8.5),
        ({"Retry-After": now, "Date": later}, 0, 2),
    ):
        async with stage.against(refusal(429, headers=headers), persisted, retry=PATIENT) as (one, _):
            began = loop.time()
            await create(one)
            assert least <= loop.time() - began <= most, headers
    async with stage.against(refusal(429, headers={"Retry-After": "1e9"}), persisted, retry=PATIENT) as (
        one,
        _,
    ):
        began = loop.time()
        error = await stage.fails(create(one), ApiError, REJECTED)
        assert error.retry_after is not None
        assert loop.time() - began < 1, "what lies behind the deadline is not waited for"


@row(77, "nothing but 429 for ten minutes")
async def storm(stage: Stage) -> None:
    async with Emulator() as emulator, session_for(emulator) as one:
        fault = emulator.faults.add(TooManyRequests(route="bulk_relationships", retry_after=5))
        working = asyncio.ensure_future(ran(one, writes(300), via="bulk", chunk=ChunkLimits(operations=50)))
        await asyncio.sleep(600)
        assert not working.done()
        assert emulator.faults.played[fault] <= 200, "it waits for as long as it is asked to"
        emulator.faults.clear()
        found = await working
        assert (found.error, found.reported) == (None, {D.PERSISTED: 300})


@row(78, "401 in the middle of a job")
async def revoked(stage: Stage) -> None:
    sent = Counter[str]()

    async def revoking(peer: Peer, seen: Seen) -> None:
        sent[seen.method] += 1
        await (bulk_accepted(f"bk_{sent['POST']}") if sent["POST"] <= 2 else refusal(401, "UNAUTHENTICATED"))(
            peer, seen
        )

    async def polled(peer: Peer, seen: Seen) -> None:
        await refusal(401, "UNAUTHENTICATED")(peer, seen)

    script = by_target({"POST": [revoking], "GET": [polled]})
    async with stage.against(otherwise=script) as (one, server):
        found = await ran(
            one, writes(100), via="bulk", chunk=ChunkLimits(operations=5), journal=stage.folder / "j"
        )
        assert isinstance(found.error, CliniaError)
        assert found.reported[D.UNSENT] > 50
        assert len(server.requests) <= 2 + 40, "no flood"
    async with Emulator() as emulator, session_for(emulator) as one:
        again = await ran(one, writes(100), via="bulk")
        assert again.reported == {D.PERSISTED: 100}


@row(79, "500 after it was carried out, 503 before, 504 after")
async def gateways(stage: Stage) -> None:
    async with Emulator() as emulator, session_for(emulator) as one:
        emulator.faults.add(Unavailable(route="create_relationship", executed=True, times=1))
        made = await create(one)
        assert made.reconciled
        emulator.faults.add(Unavailable(route="create_relationship", times=1))
        await create(one, "another")
        emulator.faults.add(LostReply(route="bulk_relationships", times=1))
        emulator.faults.add(Unavailable(route="bulk_relationships", executed=True, times=1))
        found = await ran(one, writes(50), via="bulk", chunk=ChunkLimits(operations=20))
        assert found.reported == {D.PERSISTED: 50}
        assert len(stored_data(emulator)) == 52
    for status in (500, 504):
        script = by_target(
            {
                "POST": [refusal(status, "INTERNAL"), refusal(409, "ALREADY_EXISTS")],
                "GET": [answer(relationship())],
            }
        )
        async with stage.against(otherwise=script, retry=PATIENT) as (one, server):
            assert (await create(one)).reconciled
            assert server.count("POST") == 2


@row(80, "the answer to another request, out of a cache")
async def cached(stage: Stage) -> None:
    stale = {
        **persisted_answer(id="x.org-9"),
        "relationship": relationship(id="x.org-9") | {"from": {"id": "x", "type": "practitioner"}},
    }
    answered = answer(stale, 200, {"Age": "61", "X-Cache": "HIT"})
    await stage.fails_at_all("C", answered, ProtocolError)
