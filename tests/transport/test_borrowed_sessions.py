"""A borrowed `aiohttp.ClientSession`: its settings change nothing, and its hooks send no write twice."""

import asyncio
import contextlib
import gzip
import itertools
import json
import warnings
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from attrs import define, field

from clinia_async import (
    AlreadyExists,
    CliniaError,
    DeleteRelationship,
    Disposition,
    NotFound,
    Outcome,
    RequestError,
    Session,
    SessionClosed,
    TransportOptions,
)
from tests.factories import ID, KEY, ONCE, SOURCE, STEADY, TYPE, create, record, session_at
from tests.hostile import (
    Behaviour,
    Hostile,
    Peer,
    Seen,
    accepted,
    after,
    answer,
    chunked,
    close,
    persisted,
    refusal,
    reply,
    task,
)
from tests.ingest.running import ran, writes

USERS_KEY = "a-key-of-the-user"
SIZES = [10, 40_000]
Write = Callable[[Session, int], Awaitable[Any]]


@define
class Registry:
    """Carries out what it is asked, counts that, and loses the answers to the first `lost` writes."""

    lost: int = 0
    records: dict[str, Any] = field(factory=dict)
    carried_out: Counter[str] = field(factory=Counter)

    async def __call__(self, peer: Peer, seen: Seen) -> None:
        status, document = self._answer(seen.method, seen.target, json.loads(seen.body or b"{}"))
        if seen.method != "GET" and self.lost:
            self.lost -= 1
            return
        await answer(document, status, {"Set-Cookie": "from=service"})(peer, seen)

    def _answer(self, method: str, target: str, body: Any) -> tuple[int, Any]:
        *_, collection, type_, id_ = (*target.split("/"), "")[: None if method == "POST" else -1]
        name = collection.removesuffix("s")
        if method == "POST":
            ends = [body[end]["id"] for end in ("from", "to") if end in body]
            id_ = ".".join(ends) or f"made-{len(self.records)}"
        if method == "POST" and id_ in self.records:
            return self._refused(409, "ALREADY_EXISTS")
        if method in {"GET", "DELETE"} and id_ not in self.records:
            return self._refused(404, "NOT_FOUND")
        if method == "GET":
            return 200, self.records[id_]
        self.carried_out[f"{method} {name}"] += 1
        if method == "DELETE":
            del self.records[id_]
            return 200, {"status": "PERSISTED", "taskId": "s_1"}
        self.records[id_] = {"data": {}, **body, "id": id_, "type": type_}
        return 200, {"status": "PERSISTED", "taskId": "s_1", name: self.records[id_]}

    def _refused(self, status: int, kind: str) -> tuple[int, Any]:
        return status, {"code": status, "message": "no", "type": kind, "details": []}


async def make_record(session: Session, size: int) -> Any:
    return await (await create(session, data={"note": "x" * size}))


async def make_id(session: Session, size: int) -> Any:
    return await (await session.create_resource(SOURCE, "practitioner", data={"note": "x" * size}))


async def put(session: Session, size: int) -> Any:
    return await (await session.upsert_resource(SOURCE, "practitioner", "prac-1", data={"note": "x" * size}))


async def delete(session: Session, size: int) -> Any:
    return await (await session.delete_relationship(SOURCE, TYPE, ID))


WRITES = {"create": make_record, "made id": make_id, "upsert": put, "delete": delete}
SETTINGS: dict[str, Callable[[], dict[str, Any]]] = {
    "none": dict,
    "base_url": lambda: {"base_url": "http://127.0.0.1:1/"},
    "headers": lambda: {
        "headers": {
            "Authorization": "Bearer user",
            "X-Clinia-API-Key": USERS_KEY,
            "Content-Type": "text/plain",
            "X-Of-User": "1",
        }
    },
    "cookies": lambda: {"cookies": {"of": "user"}, "cookie_jar": aiohttp.CookieJar(unsafe=True)},
    "raise_for_status": lambda: {"raise_for_status": True},
    "timeout": lambda: {"timeout": aiohttp.ClientTimeout(total=1e-9)},
    "auto_decompress": lambda: {"auto_decompress": False},
    "json_serialize": lambda: {"json_serialize": lambda _: "{}"},
    "read_bufsize": lambda: {"read_bufsize": 16},
    "lines": lambda: {"max_line_size": 64, "max_field_size": 64},
    "trust_env": lambda: {"trust_env": True},
    "skip_auto_headers": lambda: {"skip_auto_headers": ["User-Agent", "Content-Type", "Accept"]},
    "version": lambda: {"version": aiohttp.HttpVersion10},
    "proxy": lambda: {"proxy": "http://127.0.0.1:1"},
}


with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # aiohttp discourages it, and many programs do it

    class OfUser(aiohttp.ClientSession):
        """A session with a way of its own to make requests, and with an attribute that it needs for it."""

        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.seen: list[str]
            self.__dict__["seen"] = []

        async def _request(self, method: str, *args: Any, **options: Any) -> aiohttp.ClientResponse:
            self.seen.append(method)
            return await super()._request(method, *args, **options)

    class Repeating(OfUser):
        """Sends again by a way of its own."""

        async def _request(self, method: str, *args: Any, **options: Any) -> aiohttp.ClientResponse:
            for _ in range(3):
                with contextlib.suppress(aiohttp.ClientError):
                    return await super()._request(method, *args, **options)
            raise aiohttp.ServerDisconnectedError


KINDS = [aiohttp.ClientSession, OfUser]
Ended = tuple[str, Outcome | None, Counter[str], list[Any]]


async def outcome_of(kind: str, size: int, lost: int, client: aiohttp.ClientSession | None) -> Ended:
    """What a write is said to have done, what it did, and the headers that it went out with."""
    registry = Registry()
    async with Hostile(otherwise=registry) as server, session_at(server, retry=ONCE) as own:
        if kind == "delete":
            await make_record(own, 1)
        registry.lost = lost
        server.requests.clear()
        async with session_at(server, http_session=client, retry=ONCE) as session:
            result, outcome = "done", None
            try:
                await WRITES[kind](session, size)
            except RequestError as error:
                result, outcome = type(error).__name__, error.outcome
    headers = [sorted((name.lower(), value) for name, value in each.headers) for each in server.requests]
    return (
        result,
        outcome,
        registry.carried_out,
        [[each for each in one if each[0] != "host"] for one in headers],
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("setting", SETTINGS)
async def test_no_setting_of_a_borrowed_session_changes_what_is_sent_or_said(
    kind: type[aiohttp.ClientSession], setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    for write_, size, lost in itertools.product(WRITES, SIZES, (0, 1)):
        async with kind(**SETTINGS[setting]()) as client:
            before = client.headers.copy(), [*client.cookie_jar]
            found = await outcome_of(write_, size, lost, client)
            assert found == await outcome_of(write_, size, lost, None), (write_, size, lost)
            assert found[1] is (Outcome.UNKNOWN if lost else None)
            assert (client.headers.copy(), [*client.cookie_jar]) == before
            assert not client.closed
            if isinstance(client, OfUser):
                assert len(client.seen) == 1


async def again(request: aiohttp.ClientRequest, handler: Any) -> aiohttp.ClientResponse:
    """Send again whatever failed, as middlewares for retries do."""
    for _ in range(3):
        with contextlib.suppress(aiohttp.ClientError):
            found: aiohttp.ClientResponse = await handler(request)
            if found.status < 500:
                return found
    raise aiohttp.ClientConnectorError(request.connection_key, OSError(111, "refused"))


async def hedged(request: aiohttp.ClientRequest, handler: Any) -> aiohttp.ClientResponse:
    """Send at the same time once more, and take the first answer."""
    answers = await asyncio.gather(handler(request), handler(request), return_exceptions=True)
    return next(each for each in answers if isinstance(each, aiohttp.ClientResponse))


def patched() -> aiohttp.ClientSession:
    """A session whose own method was replaced, by one that uses the settings of that session."""
    client = aiohttp.ClientSession(raise_for_status=True)
    original = client._request

    async def twice(*args: Any, **options: Any) -> aiohttp.ClientResponse:
        with contextlib.suppress(aiohttp.ClientError):
            return await original(*args, **options)
        return await original(*args, **options)

    client.__dict__["_request"] = twice
    return client


REPEATING: dict[str, Callable[[], aiohttp.ClientSession]] = {
    "middleware": lambda: aiohttp.ClientSession(middlewares=(again,)),
    "hedging": lambda: aiohttp.ClientSession(middlewares=(hedged,)),
    "subclass": Repeating,
    "its middleware": lambda: OfUser(middlewares=(again,)),
    "patched": patched,
}


@pytest.mark.parametrize("name", REPEATING)
@pytest.mark.parametrize("kind", WRITES)
@pytest.mark.parametrize("size", SIZES)
async def test_what_a_hook_sends_again_is_not_stored_twice_and_has_the_right_outcome(
    name: str, kind: str, size: int
) -> None:
    async with REPEATING[name]() as client:
        result, outcome, carried_out, _ = await outcome_of(kind, size, 1, client)
    assert carried_out.total() == 1 + (kind == "delete")
    assert (result == "done") is (name == "hedging" and outcome is None)
    assert outcome in {None, Outcome.UNKNOWN}


async def through_a_gateway(request: aiohttp.ClientRequest, handler: Any) -> aiohttp.ClientResponse:
    """Send to another path, and again what failed."""
    request.url = request.url.with_path(f"/gateway{request.url.raw_path}", encoded=True)
    return await again(request, handler)


@pytest.mark.parametrize("kind", [kind for kind in WRITES if kind != "delete"])
@pytest.mark.parametrize("size", SIZES)
async def test_a_write_is_known_by_its_body_where_a_hook_changes_its_path(kind: str, size: int) -> None:
    async with aiohttp.ClientSession(middlewares=(through_a_gateway,)) as client:
        _, outcome, carried_out, _ = await outcome_of(kind, size, 1, client)
    assert (carried_out.total(), outcome) == (1, Outcome.UNKNOWN)


@pytest.mark.parametrize("name", REPEATING)
@pytest.mark.parametrize("kind", ["create", "delete"])
async def test_a_write_with_a_key_is_sent_again_by_the_session_and_found_out(name: str, kind: str) -> None:
    registry = Registry()
    async with Hostile(otherwise=registry) as server, REPEATING[name]() as client:
        async with session_at(server, http_session=client) as session:
            if kind == "delete":
                await make_record(session, 1)
            registry.lost = 1
            await WRITES[kind](session, 1)
        assert registry.carried_out.total() == 1 + (kind == "delete")


@pytest.mark.parametrize("status", [429, 413])
@pytest.mark.parametrize("kind", WRITES)
async def test_a_hook_may_send_again_what_was_not_carried_out(status: int, kind: str) -> None:
    async def until_taken(request: aiohttp.ClientRequest, handler: Any) -> aiohttp.ClientResponse:
        found: aiohttp.ClientResponse = await handler(request)
        return found if found.status < 400 else await handler(request)

    registry = Registry()
    async with (
        Hostile(otherwise=registry) as server,
        aiohttp.ClientSession(middlewares=(until_taken,)) as client,
        session_at(server, http_session=client, retry=ONCE) as session,
    ):
        if kind == "delete":
            await make_record(session, 1)
        server.then(answer({}, status))
        await WRITES[kind](session, 1)
        assert registry.carried_out.total() == 1 + (kind == "delete")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("hook", ["middleware", "trace"])
async def test_what_a_hook_asks_of_others_has_no_key_of_ours(hook: str, size: int) -> None:
    """aiohttp's pages show a middleware that gets a token by `request.session`."""
    async with Hostile(otherwise=answer({})) as other, Hostile(otherwise=Registry()) as server:

        async def get_token(client: aiohttp.ClientSession) -> None:
            async with client.get(other.url, middlewares=()) as found:
                await found.read()

        async def authorized(request: aiohttp.ClientRequest, handler: Any) -> aiohttp.ClientResponse:
            await get_token(request.session)
            found: aiohttp.ClientResponse = await handler(request)
            return found

        async def started(client: aiohttp.ClientSession, _: SimpleNamespace, params: Any) -> None:
            if params.url.port != other.port:
                await get_token(client)

        trace = aiohttp.TraceConfig()
        trace.on_request_start.append(started)
        hooks: Any = {"middlewares": (authorized,)} if hook == "middleware" else {"trace_configs": [trace]}
        async with (
            aiohttp.ClientSession(**hooks) as client,
            session_at(server, http_session=client) as session,
        ):
            await make_record(session, size)
        assert other.count("GET") == 1
        assert KEY not in repr(other.requests)
        assert server.requests[0].header("X-Clinia-API-Key") == KEY


ERROR = json.dumps({"code": 409, "message": "no", "type": "ALREADY_EXISTS", "details": []}).encode()


@pytest.mark.parametrize("coding", ["plain", "chunked", "gzip"])
@pytest.mark.parametrize("is_good", [True, False])
async def test_an_answer_that_a_hook_has_read_is_read_all_the_same(coding: str, is_good: bool) -> None:
    async def logged(request: aiohttp.ClientRequest, handler: Any) -> aiohttp.ClientResponse:
        found: aiohttp.ClientResponse = await handler(request)
        await found.text()
        return found

    content = json.dumps({"status": "PERSISTED", "relationship": record()}).encode() if is_good else ERROR
    headers = {"Content-Type": "application/json"}
    packed, extra = (
        (gzip.compress(content), {"Content-Encoding": "gzip"}) if coding == "gzip" else (content, {})
    )
    status = 201 if is_good else 409
    behaviours: dict[str, Behaviour] = {"plain": reply(status, content)}
    given = behaviours.get(coding) or chunked(packed, headers={**headers, **extra}, status=status)
    async with (
        Hostile([given]) as server,
        aiohttp.ClientSession(middlewares=(logged,)) as client,
        session_at(server, http_session=client, retry=ONCE) as session,
    ):
        if is_good:
            assert (await (await create(session))).id == ID
        else:
            with pytest.raises(AlreadyExists):
                await create(session)


@asynccontextmanager
async def closing(kind: type[aiohttp.ClientSession], what: str) -> AsyncIterator[tuple[Any, Any]]:
    """A borrowed session, and what closes it or its connector."""
    client = kind()
    yield client, client.close if what == "session" else client.connector.close  # type: ignore[union-attr]
    await client.close()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("what", ["session", "connector"])
async def test_a_borrowed_session_that_its_owner_closes_ends_what_waits(
    kind: type[aiohttp.ClientSession], what: str
) -> None:
    async with (
        Hostile([accepted()], otherwise=task("PENDING")) as server,
        closing(kind, what) as (client, close_it),
        session_at(server, http_session=client, polling=STEADY) as session,
    ):
        handle = await create(session)
        waits = asyncio.create_task(handle.result())
        began = asyncio.get_running_loop().time()
        await asyncio.sleep(1)
        await close_it()
        with pytest.raises(SessionClosed) as caught:
            await waits
        assert asyncio.get_running_loop().time() - began < 5
        assert caught.value.outcome is Outcome.UNKNOWN
        assert caught.value.token == handle.token()
        sent = len(server.requests)
        for write_ in WRITES.values():
            with pytest.raises(SessionClosed) as refused:
                await write_(session, 1)
            assert refused.value.outcome is Outcome.NOT_SENT
        assert len(server.requests) == sent


@pytest.mark.parametrize("what", ["session", "http_session"])
async def test_a_write_that_was_sent_before_is_unknown_where_nothing_can_be_sent(what: str) -> None:
    async with (
        Hostile(otherwise=Registry()) as server,
        aiohttp.ClientSession() as client,
        session_at(server, http_session=client) as session,
    ):
        write = DeleteRelationship(SOURCE, TYPE, ID)
        with contextlib.suppress(NotFound):
            await session.submit(write)
        sent = len(server.requests)
        await (session.aclose() if what == "session" else client.close())
        for maybe_applied, outcome in ((True, Outcome.UNKNOWN), (False, Outcome.NOT_SENT)):
            with pytest.raises(SessionClosed) as caught:
                await session.submit(write, maybe_applied=maybe_applied)
            assert caught.value.outcome is outcome
        assert len(server.requests) == sent


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reads_back", [True, False])
async def test_a_write_of_which_an_answer_was_lost_before_the_close_is_unknown(
    kind: type[aiohttp.ClientSession], reads_back: bool
) -> None:
    async with closing(kind, "session") as (client, close_it), Hostile() as server:

        async def close_between_reads(peer: Peer, seen: Seen) -> None:
            await refusal(404)(peer, seen)
            asyncio.get_running_loop().call_later(0.01, asyncio.ensure_future, close_it())

        async def close_at_once(peer: Peer, seen: Seen) -> None:
            await close_it()

        server.then(
            close, refusal(409, "ALREADY_EXISTS"), close_between_reads
        ) if reads_back else server.then(close_at_once)
        async with session_at(server, http_session=client) as session:
            with pytest.raises(CliniaError) as caught:
                await create(session)
            assert caught.value.outcome is Outcome.UNKNOWN


@pytest.mark.parametrize("via", ["single", "bulk"])
async def test_a_job_whose_borrowed_session_is_closed_ends_and_what_never_left_is_unsent(via: str) -> None:
    async with closing(aiohttp.ClientSession, "session") as (client, close_it), Hostile() as server:

        async def close_at_once(peer: Peer, seen: Seen) -> None:
            await close_it()

        server.then(close_at_once)
        async with session_at(server, http_session=client) as session:
            found = await ran(
                session,
                writes(5),
                via=via,
                workers=1,
                patience=60,
            )
        assert isinstance(found.error, SessionClosed)
        assert found.report.by_disposition == (
            {Disposition.UNKNOWN: 1, Disposition.UNSENT: 4} if via == "single" else {Disposition.UNKNOWN: 5}
        )


@pytest.mark.parametrize(("of_session", "of_connector", "most"), [(3, 100, 3), (100, 3, 3), (3, 0, 3)])
async def test_no_more_connections_than_the_options_and_the_connector_allow(
    of_session: int, of_connector: int, most: int
) -> None:
    async with (
        Hostile(otherwise=after(1, persisted)) as server,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=of_connector)) as client,
        session_at(
            server, http_session=client, transport=TransportOptions(connections=of_session)
        ) as session,
    ):
        await asyncio.gather(*(create(session, f"p{number}") for number in range(12)))
        assert server.most_in_flight == most
