"""What prints the locals of a traceback, or of a task that waits, prints neither the key nor a record."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from inspect import signature
from pathlib import Path
from types import FrameType
from typing import Any

import aiohttp
import pytest

from clinia_async import (
    CliniaError,
    ConfigError,
    CreateRelationship,
    PartitionConfig,
    Ref,
    RetryPolicy,
    Session,
    ingest_partition,
)
from clinia_async.session.options import VARIABLES
from tests.captured_locals import OURS, frames_of, held_in, waiting_frames
from tests.factories import SOURCE, TYPE
from tests.hostile import Behaviour, Hostile, accepted, answer, close, persisted, raw, reply, reset, stall

pytestmark = pytest.mark.usefixtures("each_way_through_aiohttp")

KEY = "CANARY-KEY-5b1e"
PERSON = "CANARY-PERSON-91d0"

Call = Callable[[Session], Awaitable[object]]


def write(to: str = "b", size: int = 1) -> CreateRelationship:
    return CreateRelationship(SOURCE, TYPE, Ref(PERSON, "a"), Ref(to, "b"), {"name": PERSON * size})


async def browse(session: Session) -> object:
    filter_ = {"name": {"eq": PERSON}}
    return [hit async for hit in session.browse(SOURCE, [TYPE], filter=filter_)]


CALLS: dict[str, Call] = {
    "create": lambda session: session.create_relationship(
        SOURCE, TYPE, from_=Ref(PERSON, "a"), to=Ref("b", "b"), data={"name": PERSON}
    ),
    "submit": lambda session: session.submit(write()),
    "result": lambda session: session.submit(write()).result(),
    "bulk": lambda session: session.bulk(SOURCE, [write(), write("c", 20_000)]),
    "get": lambda session: session.get_relationship(SOURCE, TYPE, f"{PERSON}.b"),
    "delete": lambda session: session.delete_relationship(SOURCE, TYPE, f"{PERSON}.b"),
    "upsert": lambda session: session.upsert_resource(SOURCE, TYPE, PERSON, data={"name": PERSON}),
    "task": lambda session: session.get_task(SOURCE, PERSON),
    "browse": browse,
}
BEHAVIOURS: dict[str, Behaviour] = {
    "stall": stall,
    "close": close,
    "reset": reset,
    "half an answer": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n" + PERSON.encode()),
    "not HTTP": raw(f"{PERSON} {KEY}\r\n".encode()),
    "HTML": reply(200, f"<html>{PERSON}{KEY}".encode(), kind="text/html"),
    "HTML 403": reply(403, f"<html>{PERSON}{KEY}".encode(), kind="text/html"),
    "a record of another": answer({"status": "PERSISTED", "relationship": {"id": PERSON, "data": PERSON}}),
    "an envelope": answer({"code": 400, "type": "INVALID_ARGUMENT", "message": PERSON, "details": []}, 400),
    "a redirect": reply(302, b"", {"Location": f"https://evil.example.org/{KEY}/{PERSON}"}),
}


def found_in(frames: Iterator[FrameType], *, within: str | None = None) -> list[str]:
    return held_in(frames, KEY, PERSON, within=within)


def session_of(server: Hostile, **options: Any) -> Session:
    retry = RetryPolicy(attempts=2)
    return Session(api_key=KEY, base_url=server.url, close_grace=0.1, retry=retry, **options)


async def error_of(work: Awaitable[object]) -> BaseException:
    try:
        await work
    except BaseException as error:  # noqa: BLE001  a cancel is meant, too
        return error
    raise AssertionError("it was to fail")


@pytest.mark.parametrize("name", BEHAVIOURS)
@pytest.mark.parametrize("call", CALLS)
async def test_no_traceback_of_a_failure_holds_them(call: str, name: str) -> None:
    async with Hostile(otherwise=BEHAVIOURS[name]) as server, session_of(server, timeout=2) as session:
        try:
            await CALLS[call](session)
        except CliniaError as error:
            assert found_in(frames_of(error)) == []  # noqa: PT017  some calls bring a good answer
        else:
            assert name == "a record of another", "which is a good answer to some calls"


@pytest.mark.parametrize("end", ["timeout", "wait_for", "cancel"])
@pytest.mark.parametrize("call", CALLS)
async def test_no_traceback_of_a_call_that_is_ended_from_outside_holds_them(call: str, end: str) -> None:
    async def under_timeout(session: Session) -> None:
        async with asyncio.timeout(0.5):
            await CALLS[call](session)

    async with Hostile(otherwise=stall) as server, session_of(server) as session:
        if end == "timeout":
            error = await error_of(under_timeout(session))
        elif end == "wait_for":
            error = await error_of(asyncio.wait_for(CALLS[call](session), 0.5))
        else:
            work = asyncio.ensure_future(CALLS[call](session))
            await asyncio.sleep(0.5)
            work.cancel()
            error = await error_of(work)
        assert isinstance(error, TimeoutError | asyncio.CancelledError)
        assert found_in(frames_of(error)) == []


@pytest.mark.parametrize("credentials", [False, True], ids=["key", "credentials"])
@pytest.mark.parametrize("call", CALLS)
async def test_no_frame_of_ours_holds_them_while_it_waits(call: str, credentials: bool) -> None:
    async with (
        Hostile(otherwise=stall) as server,
        Session(
            base_url=server.url,
            close_grace=0.1,
            **({"credentials": lambda: {"X-Clinia-API-Key": KEY}} if credentials else {"api_key": KEY}),
        ) as session,
    ):
        work = asyncio.ensure_future(CALLS[call](session))
        await asyncio.sleep(0.5)
        frames = [frame for task in asyncio.all_tasks() for frame in waiting_frames(task.get_coro())]
        # an async generator does not say what it waits for
        assert call == "browse" or any(frame.f_code.co_name == "_exchange" for frame in frames)
        assert found_in(iter(frames), within=OURS) == []
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


class Abort(BaseException):
    """Neither an `Exception` nor a cancel, as `pytest.fail` raises it, and as is what ends the loop."""


@pytest.mark.parametrize("call", CALLS)
async def test_no_traceback_of_what_a_hook_raises_holds_them(call: str) -> None:
    async def ended(*_: object) -> None:
        raise Abort

    trace = aiohttp.TraceConfig()
    trace.on_request_end.append(ended)
    async with (
        Hostile(otherwise=accepted()) as server,
        aiohttp.ClientSession(trace_configs=[trace]) as client,
        session_of(server, http_session=client) as session,
    ):
        error = await error_of(CALLS[call](session))
        assert isinstance(error, Abort)
        assert found_in(frames_of(error)) == []


async def test_no_traceback_of_a_refused_connection_holds_them() -> None:
    async with Session(api_key=KEY, base_url="http://127.0.0.1:9", timeout=2) as session:
        for call in CALLS.values():
            assert found_in(frames_of(await error_of(call(session)))) == []


async def test_a_write_that_went_well_is_not_in_a_frame() -> None:
    async with Hostile(otherwise=persisted) as server, session_of(server) as session:
        assert (await session.submit(write())).done()


WRONG = object()
"""A value that is wrong for every setting."""
WRONG_IN_THE_ENVIRONMENT = {
    name: ("no number" if parse is not str else "'in quotes'") for name, (_, parse) in VARIABLES.items()
}


def refused(make: Callable[[], object]) -> Exception:
    with pytest.raises((ConfigError, TypeError)) as caught:
        make()
    return caught.value


@pytest.mark.parametrize("setting", [*signature(Session).parameters, "tiemout"])
def test_no_traceback_of_a_wrong_setting_holds_them(setting: str) -> None:
    base = {
        "workspace": "acme",
        "headers": {"X-Person": PERSON},
        "proxy": f"http://u:{KEY}@h",
        "api_key": KEY,
    }
    given: dict[str, Any] = {**base, setting: WRONG}
    error = refused(lambda: Session(**given))
    assert found_in(frames_of(error), within=OURS) == []
    error = refused(lambda: Session.from_env(**given))
    assert found_in(frames_of(error), within=OURS) == []


@pytest.mark.parametrize("variable", VARIABLES)
@pytest.mark.parametrize("place", ["environment", "profile"])
def test_no_traceback_of_a_wrong_variable_holds_the_key(
    variable: str, place: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wrong = f'{KEY}" x' if place == "profile" else WRONG_IN_THE_ENVIRONMENT[variable]
    given = {"CLINIA_WORKSPACE": "acme", "CLINIA_API_KEY": KEY, variable: wrong}
    if place == "profile":
        profile = tmp_path / "profile"
        profile.write_text("".join(f"{name}='{value}\n" for name, value in given.items()))
        given = {"CLINIA_PROFILE": str(profile)}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    error = refused(Session.from_env)
    assert found_in(frames_of(error), within=OURS) == []


def test_no_traceback_of_wrong_options_of_a_session_holds_them() -> None:
    session = Session("acme", api_key="k")
    error = refused(lambda: session.with_options(headers={"X-Clinia-API-Key": KEY}))
    assert found_in(frames_of(error), within=OURS) == []


def test_no_traceback_on_a_worker_holds_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLINIA_API_KEY", KEY)
    config = PartitionConfig(source=SOURCE, workspace="not a workspace")
    error = refused(lambda: ingest_partition([], config=config, partition=0))
    assert found_in(frames_of(error), within=OURS) == []
