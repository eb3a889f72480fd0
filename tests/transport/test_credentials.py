"""What a request proves itself with, what else it says of itself, and through whom it goes."""

import asyncio
import re
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import pytest

import clinia_async
from clinia_async import (
    ChunkLimits,
    ConfigError,
    ConnectionFailed,
    CreateRelationship,
    CredentialsFailed,
    Disposition,
    ErrorInfo,
    Ingestion,
    JobStopped,
    Outcome,
    Ref,
    RetryPolicy,
    Secret,
    Session,
    TaskPollError,
    Unauthenticated,
)
from tests.factories import ONCE, SOURCE, create, session_at
from tests.hostile import Hostile, Peer, Seen, accepted, after, by_target, persisted, refusal, reply, task

pytestmark = pytest.mark.usefixtures("each_way_through_aiohttp")


def at(server: Hostile, **options: Any) -> Session:
    return Session(base_url=server.url, **options)


@pytest.mark.parametrize(
    ("options", "header", "value"),
    [
        ({"api_key": "k-1"}, "X-Clinia-API-Key", "k-1"),
        ({"api_key": Secret("k-1")}, "X-Clinia-API-Key", "k-1"),
        ({"token": "t-1"}, "Authorization", "Bearer t-1"),
        ({"token": Secret("t-1")}, "Authorization", "Bearer t-1"),
        ({"credentials": lambda: "t-2"}, "Authorization", "Bearer t-2"),
        ({"credentials": lambda: {"X-Clinia-API-Key": "k-2"}}, "X-Clinia-API-Key", "k-2"),
    ],
)
async def test_a_credential_is_sent_as_its_header(
    options: Mapping[str, Any], header: str, value: str
) -> None:
    async with Hostile(otherwise=persisted) as server, at(server, **options) as session:
        await create(session)
        await create(session, data={"note": "x" * 40_000})
        assert [request.header(header) for request in server.requests] == [value, value]
        others = {"X-Clinia-API-Key", "Authorization"} - {header}
        assert not any(request.header(other) for request in server.requests for other in others)


class Tokens:
    """Gives a new token each time it is asked."""

    def __init__(self) -> None:
        self.given = 0

    async def __call__(self) -> str:
        await asyncio.sleep(0.1)
        self.given += 1
        return f"t-{self.given}"


async def test_an_async_source_is_asked_once_for_many_calls() -> None:
    tokens = Tokens()
    async with Hostile(otherwise=persisted) as server, at(server, credentials=tokens) as session:
        await asyncio.gather(*(create(session, f"p{number}") for number in range(20)))
        assert {request.header("Authorization") for request in server.requests} == {"Bearer t-1"}
        assert tokens.given == 1


async def test_after_a_401_the_source_is_asked_once_more() -> None:
    tokens = Tokens()
    script = [persisted, refusal(401, "UNAUTHENTICATED")]
    async with Hostile(script, otherwise=persisted) as server, at(server, credentials=tokens) as session:
        await create(session, "a")
        made = await create(session, "b")
        assert made.done()
        assert not made.maybe_applied
        sent = [request.header("Authorization") for request in server.requests]
        assert sent == ["Bearer t-1", "Bearer t-1", "Bearer t-2"]


async def test_an_answer_that_proves_nothing_is_not_followed_by_a_second_write() -> None:
    """UNAUTHENTICATED with a status of 5xx: the write may have been carried out all the same."""
    tokens = Tokens()
    async with Hostile([refusal(503, "UNAUTHENTICATED")], otherwise=persisted) as server:
        async with at(server, credentials=tokens, retry=ONCE) as session:
            with pytest.raises(Unauthenticated) as caught:
                await session.create_resource(SOURCE, "practitioner", data={})
            assert caught.value.outcome is Outcome.UNKNOWN
        assert len(server.requests) == tokens.given == 1


async def test_a_second_401_is_raised() -> None:
    tokens = Tokens()
    async with (
        Hostile(otherwise=refusal(401, "UNAUTHENTICATED")) as server,
        at(server, credentials=tokens) as session,
    ):
        with pytest.raises(Unauthenticated):
            await create(session)
        assert len(server.requests) == tokens.given == 2


async def test_calls_refused_together_ask_the_source_once() -> None:
    tokens = Tokens()
    script = [after(0.5, refusal(401, "UNAUTHENTICATED"))] * 10
    async with Hostile(script, otherwise=persisted) as server, at(server, credentials=tokens) as session:
        await asyncio.gather(*(create(session, f"p{number}") for number in range(10)))
        assert tokens.given == 2


async def test_a_fixed_credential_is_not_sent_again_after_a_401() -> None:
    async with Hostile([refusal(401, "UNAUTHENTICATED")]) as server, at(server, api_key="k") as session:
        with pytest.raises(Unauthenticated):
            await create(session)
        assert len(server.requests) == 1


async def test_polls_ask_the_source_again_too() -> None:
    tokens = Tokens()
    looks = iter([refusal(401, "UNAUTHENTICATED"), task("SUCCESS")])

    async def poll(peer: Any, seen: Any) -> None:
        await next(looks)(peer, seen)

    script = by_target({"/tasks/": [poll, poll], "POST": [accepted()]})
    async with Hostile(otherwise=script) as server, at(server, credentials=tokens) as session:
        snapshot = await (await create(session)).wait()
        assert snapshot.status == "SUCCESS"
        assert tokens.given == 2


SECRET = "CANARY-CREDENTIAL-51c2"
UNFIT: Mapping[str, Any] = {
    "none": None,
    "a number": 7,
    "bytes": SECRET.encode(),
    "an empty token": "",
    "a token with a space": f"{SECRET} x",
    "a token with a line break": f"{SECRET}\r\nX: y",
    "a token with letters beyond ASCII": f"{SECRET}é",
    "pairs": [("Authorization", SECRET)],
    "a value with a line break": {"Authorization": f"{SECRET}\r\nX: y"},
    "a value that is a number": {"Authorization": 7},
    "a name with a line break": {"X-Key\r\nX": SECRET},
    "a name with a space": {"X Key": SECRET},
    "a name that is no text": {7: SECRET},
    "no name": {"": SECRET},
    "a length": {"Authorization": SECRET, "Content-Length": "3"},
    "a coding": {"Authorization": SECRET, "transfer-encoding": "chunked"},
    "another host": {"Authorization": SECRET, "HOST": "evil.example"},
    "a media type": {"Authorization": SECRET, "Content-Type": "text/plain"},
}


@pytest.mark.parametrize("name", UNFIT)
async def test_what_a_source_gives_that_cannot_be_sent_is_not(name: str) -> None:
    async with Hostile() as server, at(server, credentials=lambda: UNFIT[name]) as session:
        with pytest.raises(CredentialsFailed) as caught:
            await create(session)
        assert caught.value.outcome is Outcome.NOT_SENT
        assert not caught.value.is_transient
        check_silent(caught.value)
        assert not server.requests


def _fails(error: BaseException) -> Callable[[], Any]:
    def source() -> str:
        raise error

    return source


def _fails_later(error: BaseException) -> Callable[[], Any]:
    async def source() -> str:
        await asyncio.sleep(1)
        raise error

    return source


async def _hangs() -> str:
    await asyncio.get_running_loop().create_future()
    return SECRET


async def _awaits_what_was_cancelled() -> str:
    future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    future.cancel()
    return await future


TROUBLES: Mapping[str, Callable[[], Any]] = {
    "raises": _fails(ValueError(f"no {SECRET}")),
    "raises an error of the network": _fails(ConnectionResetError(104, SECRET)),
    "raises a timeout of its own": _fails(TimeoutError(SECRET)),
    "raises an error of ours": _fails(Unauthenticated(SECRET, status=401, info=ErrorInfo())),
    "raises a cancel": _fails(asyncio.CancelledError(SECRET)),
    "raises a group": _fails(ExceptionGroup(SECRET, [ValueError(SECRET)])),
    "raises later": _fails_later(ValueError(SECRET)),
    "raises a cancel later": _fails_later(asyncio.CancelledError()),
    "awaits what was cancelled": _awaits_what_was_cancelled,
    "hangs": _hangs,
}


class Fails:
    """Gives a key that is right the first time, and then fails as `trouble` does."""

    def __init__(self, trouble: Callable[[], Any], good: int = 1) -> None:
        self.trouble = trouble
        self.good = good

    def __call__(self) -> Any:
        self.good -= 1
        return SECRET if self.good >= 0 else self.trouble()


def check_silent(error: BaseException) -> None:
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    text = "".join(shown.format()) + repr(error) + repr(error.__context__)
    ours = [frame for frame in shown.stack if "/tests/" not in frame.filename]
    values = [value for frame in ours for value in (frame.locals or {}).values()]
    assert not any(SECRET in value for value in values)
    assert SECRET not in re.sub(r"^    \w+ = .*$", "", text, flags=re.MULTILINE)


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_a_source_that_fails_is_an_error_in_time_and_nothing_was_sent(trouble: str) -> None:
    retry = RetryPolicy(attempts=2)
    options = {"credentials": TROUBLES[trouble], "retry": retry, "timeout": 100.0}
    async with Hostile() as server, at(server, **options) as session:
        async with asyncio.timeout(200):
            with pytest.raises(CredentialsFailed) as caught:
                await create(session)
        assert caught.value.outcome is Outcome.NOT_SENT
        assert caught.value.attempts == 2, "a token service may be there again in a moment"
        check_silent(caught.value)
        assert not server.requests


async def test_a_cancel_of_the_caller_stays_a_cancel_while_a_source_hangs() -> None:
    async with Hostile() as server, at(server, credentials=_hangs) as session:
        reading = asyncio.create_task(session.get_relationship(SOURCE, "t", "a.b"))
        await asyncio.sleep(1)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_a_source_that_fails_after_a_401_leaves_the_outcome_of_that(trouble: str) -> None:
    source = Fails(TROUBLES[trouble])
    async with (
        Hostile(otherwise=refusal(401)) as server,
        at(server, credentials=source, retry=ONCE) as session,
    ):
        with pytest.raises(CredentialsFailed) as caught:
            await create(session)
    assert caught.value.outcome is Outcome.REJECTED
    check_silent(caught.value)


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_a_source_that_fails_while_a_task_is_polled_is_asked_again(
    trouble: str, caplog: pytest.LogCaptureFixture
) -> None:
    broken = Fails(TROUBLES[trouble])

    def source() -> Any:
        if broken.good < -3:
            return "t-2"
        return broken()

    script = by_target({"/tasks/": [refusal(401)] * 4 + [task("SUCCESS", receipts=[])], "POST": [accepted()]})
    async with Hostile(otherwise=script) as server, at(server, credentials=source) as session:
        assert (await (await create(session)).wait()).status == "SUCCESS"
    assert SECRET not in caplog.text
    assert not [each for each in caplog.records if each.levelname == "ERROR"]


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_a_wait_ends_where_a_source_fails_for_good(trouble: str) -> None:
    script = by_target({"/tasks/": [refusal(401)], "POST": [accepted()]})
    source = Fails(TROUBLES[trouble])
    async with Hostile(otherwise=script) as server, at(server, credentials=source) as session:
        made = await create(session)
        async with asyncio.timeout(2000):
            with pytest.raises(TaskPollError) as caught:
                await made
    assert caught.value.outcome is Outcome.UNKNOWN
    check_silent(caught.value)


@pytest.mark.parametrize("refused_after", [0, 1, 3])
@pytest.mark.parametrize("via", ["single", "bulk", "bundle"])
@pytest.mark.parametrize(
    "trouble", ["raises", "raises a cancel", "hangs", "none", "a value with a line break"]
)
async def test_a_job_whose_source_fails_in_the_middle_says_what_is_proven(
    trouble: str, via: str, refused_after: int
) -> None:
    fails = TROUBLES.get(trouble, lambda: UNFIT[trouble])
    stored: set[str] = set()

    async def serve(peer: Peer, seen: Seen) -> None:
        if len(server.requests) > refused_after:
            return await refusal(401)(peer, seen)
        if seen.method == "GET":
            return await task("SUCCESS", seen.target.split("/")[-1].split("?")[0], receipts=[])(peer, seen)
        stored.add(seen.body.decode())
        return await accepted({"single": "s_1", "bulk": "bk_1", "bundle": "bd_1"}[via])(peer, seen)

    writes = [CreateRelationship(SOURCE, "t", Ref(f"p-{n}", "a"), Ref("o", "b")) for n in range(4)]
    async with Hostile(otherwise=serve) as server, at(server, credentials=Fails(fails)) as session:
        job = Ingestion(session, SOURCE, writes, via=via, workers=1, chunk=ChunkLimits(operations=1))
        outcomes, loop = [], asyncio.get_running_loop()
        began = loop.time()
        with pytest.raises(JobStopped) if refused_after < 2 else suppress(JobStopped):
            async with job:
                async for outcome in job:
                    outcomes.append(outcome)  # noqa: PERF401  those before an error count
        assert loop.time() - began < 2000
    assert job.report.completed == job.report.read == len(outcomes)
    for outcome in outcomes:
        was_stored = any(f'"{outcome.record.write.from_.id}"' in body for body in stored)
        is_denied = outcome.disposition in {Disposition.UNSENT, Disposition.REJECTED, Disposition.FAILED}
        assert not (was_stored and is_denied)
        assert not (outcome.disposition.has_landed and not was_stored)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "credential is needed"),
        ({"api_key": None}, "credential is needed"),
        ({"api_key": ""}, "credential is needed"),
        ({"token": ""}, "credential is needed"),
        ({"api_key": "a b"}, "printable ASCII without spaces"),
        ({"token": "a\r\nb"}, "printable ASCII without spaces"),
        ({"api_key": 7}, "printable ASCII without spaces"),
        ({"api_key": "k", "token": "t"}, "api_key and token exclude each other"),
        ({"token": "t", "credentials": str}, "token and credentials exclude each other"),
        ({"credentials": "t"}, "must be a function"),
        ({"api_key": "k", "headers": {"X-Clinia-API-Key": "x"}}, "the session sets it itself"),
        ({"api_key": "k", "headers": {"content-length": "1"}}, "the session sets it itself"),
        ({"api_key": "k", "headers": {"a b": "x"}}, "name that HTTP does not allow"),
        ({"api_key": "k", "headers": {"a": "x\r\ny"}}, "printable ASCII"),
        ({"api_key": "k", "headers": {"a": 7}}, "printable ASCII"),
        ({"api_key": "k", "headers": ["a"]}, "mapping"),
        ({"api_key": "k", "proxy": "localhost:3128"}, "proxy must be"),
        ({"api_key": "k", "proxy": "socks5://localhost"}, "proxy must be"),
        ({"api_key": "k", "proxy": 7}, "proxy must be"),
    ],
)
def test_wrong_credentials_headers_and_proxies_are_refused(options: Mapping[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Session("acme", **options)


async def test_more_headers_go_with_every_request() -> None:
    more = {"X-Tenant": "north", "User-Agent": "our-service/2"}
    async with Hostile(otherwise=persisted) as server, at(server, api_key="k", headers=more) as session:
        await create(session)
        await create(session, data={"note": "x" * 40_000})
        for request in server.requests:
            assert (request.header("X-Tenant"), request.header("User-Agent")) == ("north", "our-service/2")


async def test_the_user_agent_names_the_version() -> None:
    async with Hostile(otherwise=persisted) as server, session_at(server) as session:
        await create(session)
        assert server.requests[0].header("User-Agent") == f"clinia-async/{clinia_async.__version__}"


async def test_requests_go_through_the_proxy_that_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    async with Hostile(otherwise=persisted) as proxy:
        url = proxy.url.replace("http://", "http://user:word@")
        async with Session(api_key="k", base_url="http://localhost:9", proxy=url, retry=ONCE) as session:
            await create(session)
    (request,) = proxy.requests
    assert request.target.startswith(f"http://localhost:9/sources/{SOURCE}/")
    assert request.header("Proxy-Authorization") == "Basic dXNlcjp3b3Jk"


@pytest.mark.parametrize("kind", ["api_key", "token", "credentials"])
async def test_no_credential_of_the_service_is_sent_to_a_proxy(kind: str) -> None:
    """Neither where it opens a tunnel, nor where it refuses to: it is asked in the clear."""
    credential: Any = (
        (lambda: {"Authorization": "Bearer very-secret"}) if kind == "credentials" else "very-secret"
    )
    async with Hostile(otherwise=reply(407)) as proxy:
        options = {kind: credential, "proxy": proxy.url, "headers": {"X-Tenant": "very-secret"}}
        async with Session(base_url="https://localhost:9", retry=ONCE, **options) as session:
            with pytest.raises(ConnectionFailed) as caught:
                await create(session)
    (request,) = proxy.requests
    assert (request.method, request.target) == ("CONNECT", "localhost:9")
    assert "very-secret" not in str(request.headers)
    assert caught.value.outcome is Outcome.NOT_SENT
    assert ": the proxy does not connect to localhost:9: it says 407; check proxy=" in str(caught.value)


async def test_a_proxy_that_is_not_there_is_named() -> None:
    async with Session(
        api_key="k", base_url="https://localhost:9", proxy="http://127.0.0.1:1", retry=ONCE
    ) as session:
        with pytest.raises(
            ConnectionFailed, match=r"cannot connect to the proxy 127\.0\.0\.1:1: Connection refused"
        ):
            await create(session)
