"""The key and what is in records reach the wire, and no text that a person or a log may see."""

import asyncio
import copy
import io
import logging
import pickle
import traceback
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest

from clinia_async import (
    CliniaError,
    Identifier,
    Meta,
    Ref,
    Session,
    SourceCollection,
    TaskFailed,
    TaskId,
    calls,
)
from clinia_async.models.secret import fingerprint
from tests.factories import MODULES, PARTITION, SOURCE, TYPE, session_at
from tests.hostile import (
    Behaviour,
    Hostile,
    accepted,
    answer,
    by_target,
    chunked,
    close,
    persisted,
    refusal,
    reply,
    task,
)
from tests.transport.test_http_transport import REJECTED, UNKNOWN

KEY = "CANARY-KEY-5b1e"
PERSON = "CANARY-PERSON-91d0"
CANARIES = (KEY, PERSON)


def assert_silent(*shown: object) -> None:
    for text in shown:
        assert isinstance(text, str)
        for canary in CANARIES:
            assert canary not in text


def polls(value: object) -> list[str]:
    return [repr(value), str(value), f"{value}", ascii(value), repr([value]), "%s %r" % (value, value)]  # noqa: UP031


def of_person() -> dict[str, Any]:
    return {
        "from_": Ref(PERSON, "practitioner"),
        "to": Ref(f"{PERSON}-2", "organization"),
        "data": {PERSON: {"name": PERSON}},
        "meta": Meta(
            created_at=datetime(2020, 1, 1, tzinfo=UTC),
            identifier=(Identifier(system="s", value=PERSON, use="u"),),
        ),
    }


def of_person_on_the_wire() -> dict[str, Any]:
    return {
        "id": f"{PERSON}.{PERSON}-2",
        "type": TYPE,
        "from": {"id": PERSON, "type": "practitioner"},
        "to": {"id": f"{PERSON}-2", "type": "organization"},
        "data": {"name": PERSON},
        "meta": {"identifier": [{"value": PERSON}]},
        "includes": {"x": PERSON},
    }


quoting = {
    "code": 400,
    "type": "INVALID_ARGUMENT",
    "message": f"bad {PERSON} {KEY}",
    "details": [{"message": PERSON}],
}
RECEIPT = {
    "action": "CREATE",
    "status": "FAILURE",
    "targetType": "RELATIONSHIP",
    "type": TYPE,
    "id": f"{PERSON}.{PERSON}-2",
    "error": quoting,
}

BEHAVIOURS: dict[str, Behaviour] = {
    name: behaviour for table in (UNKNOWN, REJECTED) for name, (behaviour, _) in table.items()
}
BEHAVIOURS |= {
    "an envelope that quotes": answer(quoting, 400),
    "an envelope of 500 that quotes": answer(quoting, 500),
    "HTML that quotes": reply(200, f"<html>{PERSON}{KEY}".encode(), kind="text/html"),
    "a redirect that quotes": reply(307, b"", {"Location": f"https://evil.example.org/{KEY}/{PERSON}"}),
    "a bad header that quotes": reply(200, b"", {f"X {PERSON}": KEY}),
    "a record of another": answer(
        {"status": "PERSISTED", "relationship": {**of_person_on_the_wire(), "id": f"{PERSON}.x"}}
    ),
    "a record of a wrong shape": answer(
        {"status": "PERSISTED", "relationship": {**of_person_on_the_wire(), "data": PERSON}}
    ),
    "a bad task id": answer({"status": "ACCEPTED", "taskId": f"{PERSON}/"}),
    "an id of the request that quotes": reply(400, b"<html>", {"X-Request-Id": f"id-{KEY}"}),
    "a good answer with an id that quotes": reply(200, b"{}", {"X-Correlation-Id": KEY}),
    "chunks that quote": chunked(PERSON.encode(), end=b"zz" + KEY.encode()),
}

Call = Callable[[Session], Awaitable[object]]


async def one(session: Session) -> object:
    return await session.create_relationship(SOURCE, TYPE, **of_person())


async def many(session: Session) -> object:
    return await session.bulk(SOURCE, [calls.CreateRelationship(SOURCE, TYPE, **of_person())])


async def reading(session: Session) -> object:
    return await session.get_relationship(SOURCE, TYPE, f"{PERSON}.{PERSON}-2")


@pytest.fixture(autouse=True)
def everything_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)


@pytest.mark.parametrize("way", ["api_key", "token", "credentials"])
@pytest.mark.parametrize("status", [200, 400, 500])
async def test_no_id_of_a_request_holds_a_credential(
    way: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    given: dict[str, Any] = {way: KEY if way != "credentials" else lambda: KEY}
    quotes = reply(status, b"[]", {"X-Request-Id": f"id-{KEY}"})
    async with Hostile(otherwise=quotes) as server, Session(base_url=server.url, **given) as session:
        with pytest.raises(CliniaError) as caught:
            await session.get_relationship(SOURCE, TYPE, "a.b")
        assert_silent(*polls(caught.value))
        assert caught.value.request_id is None
    assert_silent(caplog.text)


@pytest.mark.parametrize("name", BEHAVIOURS)
@pytest.mark.parametrize("call", [one, many, reading])
async def test_no_failure_reveals(
    call: Call, name: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    asyncio.get_running_loop().set_debug(True)
    async with Hostile(otherwise=BEHAVIOURS[name]) as server:
        async with Session(api_key=KEY, base_url=server.url) as session:
            try:
                handle = await call(session)
            except CliniaError as error:
                reveal_nothing(error)
            else:
                assert_silent(*polls(handle))
            assert_silent(
                *polls(session), *polls(session._engine.open()), *polls(session._engine.open().transport)
            )
            assert_silent(*(repr(one) for one in asyncio.all_tasks()), *polls(session.in_doubt))
        assert any(request.header("X-Clinia-API-Key") == KEY for request in server.requests)
    assert_silent(caplog.text, *capfd.readouterr())


def reveal_nothing(error: BaseException) -> None:
    """`capture_locals` is another matter: the locals of a caller are the caller's."""
    shown = io.StringIO()
    traceback.print_exception(error, file=shown)
    assert_silent(*polls(error), repr(error.args), shown.getvalue())
    seen: BaseException | None = error
    while seen is not None:
        assert isinstance(seen, CliniaError)
        seen = seen.__cause__ or seen.__context__
    assert KEY not in str(vars(error)).replace(f"bad {PERSON} {KEY}", "")
    pickled = pickle.dumps(error)
    assert KEY.encode() not in pickled.replace(f"bad {PERSON} {KEY}".encode(), b"")
    assert_silent(repr(pickle.loads(pickled)), repr(copy.copy(error)))


async def test_tasks_that_fail_reveal_nothing(caplog: pytest.LogCaptureFixture) -> None:
    script = {
        "withReceipts": [task("FAILURE", receipts=[RECEIPT])],
        "/tasks/": [task("FAILURE")],
    }
    async with (
        Hostile(otherwise=by_target(script, accepted())) as server,
        Session(api_key=KEY, base_url=server.url) as session,
    ):
        handle = await session.create_relationship(SOURCE, TYPE, **of_person())
        with pytest.raises(TaskFailed) as caught:
            await handle
        reveal_nothing(caught.value)
        assert_silent(
            *polls(caught.value.failed_receipts),
            *polls(await handle.wait()),
            *polls(handle),
            handle.token(),
        )
        assert caught.value.failed_receipts[0].id == f"{PERSON}.{PERSON}-2"
    assert_silent(caplog.text)


async def test_what_went_well_reveals_nothing_either(caplog: pytest.LogCaptureFixture) -> None:
    async with Hostile(otherwise=persisted) as server, Session(api_key=KEY, base_url=server.url) as session:
        handle = await session.create_relationship(SOURCE, TYPE, **of_person())
        assert_silent(*polls(handle), *polls(await handle), *polls(await handle.wait()), *polls(handle.stats))
    assert_silent(caplog.text)


async def test_writes_in_doubt_reveal_nothing() -> None:
    async with Hostile(otherwise=close) as server, Session(api_key=KEY, base_url=server.url) as session:
        waiter = asyncio.ensure_future(session.create_relationship(SOURCE, TYPE, **of_person()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        waiter.cancel()
        await asyncio.gather(waiter, return_exceptions=True)
        assert session.in_doubt
        assert_silent(*polls(session.in_doubt[0]), *polls(session.in_doubt[0].call))
        await asyncio.sleep(60)
        assert_silent(*polls(session.in_doubt[0]))


async def test_values_reveal_nothing() -> None:
    write = calls.CreateRelationship(SOURCE, TYPE, **of_person())
    partition = calls.CreatePartition(
        "clinics", MODULES, attrs.evolve(PARTITION, collections=(SourceCollection("c"),))
    )
    values = [
        write,
        write.request(),
        write.readback(),
        write.readback().request(),
        calls.Bulk(SOURCE, [write]),
        calls.Bulk(SOURCE, [write]).request(),
        calls.GetTask(SOURCE, TaskId(PERSON)),
        calls.GetTask(SOURCE, TaskId(PERSON)).request(),
        partition,
        Session("acme", api_key=KEY),
        write.from_,
        write.meta,
        of_person()["meta"].identifier[0],
    ]
    for value in values:
        assert_silent(*polls(value))
    assert_silent(repr(TaskId(PERSON)))  # its str is its wire form


def test_fingerprints_differ_and_nothing_else() -> None:
    assert fingerprint(PERSON) == fingerprint(PERSON) != fingerprint(f"{PERSON}-2")
    assert len(fingerprint(PERSON)) == 9
    assert fingerprint("\ud800")


async def test_the_environment_reveals_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLINIA_API_KEY", f"{KEY} with a space")
    with pytest.raises(CliniaError) as caught:
        Session.from_env("acme")
    reveal_nothing(caught.value)


async def test_faults_of_polls_reveal_nothing(caplog: pytest.LogCaptureFixture) -> None:
    script = by_target({"/tasks/": [refusal(403)]}, accepted(PERSON))
    async with Hostile(otherwise=script) as server, session_at(server) as session:
        handle = await session.create_relationship(SOURCE, TYPE, **of_person())
        with pytest.raises(CliniaError) as caught:
            await handle
        assert_silent(*polls(caught.value), *polls(handle))
    assert_silent(caplog.text)
