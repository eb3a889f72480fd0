"""Session: a workspace, its calls as methods, and its tasks."""

import math
import os
from collections.abc import AsyncIterable, AsyncIterator, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from copy import copy
from functools import partial
from types import TracebackType
from typing import Literal, Self, overload

from clinia_async import transport
from clinia_async.calls import Call, GetTask, Host, Write
from clinia_async.calls.call import R, check_call, check_write
from clinia_async.calls.conflicts import OnExisting, checked_policy
from clinia_async.errors import CliniaError, ConfigError
from clinia_async.errors.settings import (
    Number,
    check_call_options,
    check_class,
    choice,
    refuse_unknown_options,
)
from clinia_async.models.identifiers import KEY_RULE, is_key
from clinia_async.models.secret import Secret
from clinia_async.models.task_id import TaskId
from clinia_async.serialization.own_copy import own_copy
from clinia_async.session.derived_engine import DerivedEngine
from clinia_async.session.engine import Engine
from clinia_async.session.options import SessionOptions, with_environment, with_profile
from clinia_async.session.registry_api import as_task_id
from clinia_async.session.source_session import ApiMethods, SourceSession
from clinia_async.session.submissions import InDoubt, Submission
from clinia_async.tasks import completion
from clinia_async.tasks.poller import Polling
from clinia_async.tasks.resume_token import parse_token
from clinia_async.tasks.task import Task
from clinia_async.telemetry import Observer, Telemetry, log_as_environment_says, observers_of
from clinia_async.transport import HttpSession, TransportOptions
from clinia_async.transport.base_urls import CATALOG_HOST, REGISTRY_HOST, Addresses, checked_proxy
from clinia_async.transport.credentials import CredentialSource, checked_headers, credentials_of
from clinia_async.transport.http_transport import CREDENTIAL_HEADERS, RESERVED_HEADERS, Identity
from clinia_async.transport.retry import PatienceClock, RetryPolicy

_DEFAULT_RETRY, _DEFAULT_POLLING, _DEFAULT_TRANSPORT = RetryPolicy(), Polling(), TransportOptions()


class Session(ApiMethods):
    """A workspace, for one event loop. Close it with `async with`, or with `aclose()`.

    Args:
        workspace: the name of the workspace, or one of its hosts, such as `acme.clinia.cloud`.
        api_key: the API key. It, `token` and `credentials` exclude each other.
        token: a bearer token.
        credentials: a function, sync or async, that returns the headers of a credential, or a bearer token
            as text. It is asked with the first call, and once more when the service answers 401.
        base_url: where both APIs are, instead of the workspace's own hosts.
        source: the source of `session.source()`, and of task ids that are given none.
        registry_host: the host of the registry; `{workspace}` stands for the workspace.
        catalog_host: the host of the catalog: the reference pages name two hosts.
        timeout: seconds for one call with all its retries; it does not bound the wait for a task. A call
            with a large body gets the time that its bytes need on top, unless it has a `timeout` of its own.
        reconcile_timeout: seconds for reading back what became of a write whose answer was lost.
        close_grace: seconds that a close waits for the answers of writes in flight.
        retry: how often and how soon a request is sent again, and how many retries the session may make.
        polling: how tasks are polled.
        transport: how to connect, and the limits of one attempt.
        coalesce: send writes of single records that are awaited together as one bulk.
        read_back: the result of a queued write is the record as read back. False takes it as it was sent
            where the receipt proves the write, which saves a request; it can be set for each call, too.
        proxy: the URL of a proxy that all requests go through; proxies of the environment are not used.
        headers: more headers of every request.
        in_doubt_limit: how many writes `in_doubt` holds at most.
        in_doubt_age: seconds after its answer for which a write stays in `in_doubt`.
        http_session: an `aiohttp.ClientSession` whose connections are used, with its trace configs and
            middlewares. It is never closed; its headers, cookies, redirects and proxies are left alone.
        observers: functions that are called with each event, such as `RequestEnded` or `TaskEnded`, in the
            event loop. They must not block. What they raise is logged once and ignored.
        open_telemetry: make spans and metrics with OpenTelemetry, `clinia-async[otel]`. None does so where
            the program has set a provider of spans.

    Raises:
        ConfigError: a setting is wrong, or no credential or no address is given.
    """

    @refuse_unknown_options(wire="transport", settle_within="reconcile_timeout")
    def __init__(
        self,
        workspace: str | None = None,
        *,
        api_key: str | Secret | None = None,
        token: str | Secret | None = None,
        credentials: CredentialSource | None = None,
        base_url: str | None = None,
        source: str | None = None,
        registry_host: str = REGISTRY_HOST,
        catalog_host: str = CATALOG_HOST,
        timeout: float = 60.0,
        reconcile_timeout: float = 30.0,
        close_grace: float = 10.0,
        retry: RetryPolicy = _DEFAULT_RETRY,
        polling: Polling = _DEFAULT_POLLING,
        transport: TransportOptions = _DEFAULT_TRANSPORT,
        coalesce: bool = False,
        read_back: bool = True,
        proxy: str | None = None,
        headers: Mapping[str, str] | None = None,
        in_doubt_limit: int = 100,
        in_doubt_age: float = 3600.0,
        http_session: HttpSession | None = None,
        observers: Iterable[Observer] = (),
        open_telemetry: bool | None = None,
    ) -> None:
        if source is not None and not is_key(source):
            raise ConfigError(f"Session.source must be {KEY_RULE}")
        self.default_source = source
        """The source of `session.source()`, and of task ids that are given none."""
        options = SessionOptions(
            timeout=timeout,
            reconcile_timeout=reconcile_timeout,
            close_grace=close_grace,
            retry=retry,
            polling=polling,
            transport=transport,
            coalesce=coalesce,
            read_back=read_back,
            in_doubt_limit=in_doubt_limit,
            in_doubt_age=in_doubt_age,
            http_session=http_session,
            observers=observers_of(observers),
            open_telemetry=open_telemetry,
        ).checked()
        log_as_environment_says()
        identity = Identity(
            credentials_of(api_key, token, credentials, RESERVED_HEADERS - CREDENTIAL_HEADERS),
            checked_headers({} if headers is None else headers, RESERVED_HEADERS),
            None if proxy is None else checked_proxy(proxy),
        )
        addresses = Addresses.of(workspace, base_url, registry_host, catalog_host)
        self._engine = Engine(addresses, identity, options)

    @classmethod
    @refuse_unknown_options(wire="transport", settle_within="reconcile_timeout")
    def from_env(
        cls,
        workspace: str | None = None,
        *,
        api_key: str | Secret | None = None,
        token: str | Secret | None = None,
        credentials: CredentialSource | None = None,
        base_url: str | None = None,
        source: str | None = None,
        registry_host: str | None = None,
        catalog_host: str | None = None,
        timeout: float | None = None,
        reconcile_timeout: float | None = None,
        close_grace: float | None = None,
        retry: RetryPolicy | None = None,
        polling: Polling | None = None,
        transport: TransportOptions | None = None,
        coalesce: bool | None = None,
        read_back: bool | None = None,
        proxy: str | None = None,
        headers: Mapping[str, str] | None = None,
        in_doubt_limit: int | None = None,
        in_doubt_age: float | None = None,
        http_session: HttpSession | None = None,
        observers: Iterable[Observer] | None = None,
        open_telemetry: bool | None = None,
    ) -> Self:
        """Return a session whose settings come from `CLINIA_*` variables where no argument gives them.

        `CLINIA_WORKSPACE`, `CLINIA_API_KEY` or `CLINIA_TOKEN` are enough; every setting of `Session` that a
        text can give has a variable, such as `CLINIA_TIMEOUT` or `CLINIA_RETRY_ATTEMPTS`. An empty variable
        is as one that is not set. `CLINIA_PROFILE` may name a file of such variables, one `NAME=VALUE` a
        line, as `clinia-async doctor` writes it; the environment wins over it.

        Raises:
            ConfigError: a setting is wrong, or no credential or no address is given.
        """
        given = {name: value for name, value in locals().items() if name != "cls" and value is not None}
        return cls(**with_environment(given, with_profile(os.environ)))  # type: ignore[arg-type]  # checked there

    # Any call

    def submit(
        self,
        write: Write[R],
        *,
        timeout: float | None = None,
        maybe_applied: bool = False,
        read_back: bool | None = None,
        on_existing: OnExisting | str = OnExisting.FAIL,
    ) -> Submission[R]:
        if timeout is not None or read_back is not None or maybe_applied is not False:
            check_call_options(timeout=timeout, read_back=read_back, maybe_applied=maybe_applied)
        check_write(write)
        policy = checked_policy(write, on_existing)
        write = own_copy(write)
        work = self._engine.submit(
            write, timeout, maybe_applied=maybe_applied, read_back=read_back, on_existing=policy
        )
        return Submission(work, partial(self._engine.submissions.keep, write))

    def send(self, call: Call[R], *, timeout: float | None = None) -> Coroutine[object, object, R]:
        check_call_options(timeout=timeout)
        check_call(call)
        return self._engine.read(own_copy(call), timeout=timeout)

    def request(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        params: Mapping[str, str | int] | None = None,
        host: Literal["registry", "catalog"] = "registry",
        idempotent: bool | None = None,
        timeout: float | None = None,
    ) -> Coroutine[object, object, object]:
        """Send a request to an endpoint that has no method here, and return the JSON of its answer.

        It has the credentials, retries, outcomes and secrecy of every other call. Prefer a method of its own
        where there is one: this one knows nothing of keys, tasks and receipts.

        Args:
            method: GET, POST, PUT, PATCH or DELETE.
            path: the path under the host, percent-encoded, without a query. No log shows it.
            json: what to send, as JSON.
            params: the query.
            host: which of the two APIs.
            idempotent: whether it may be retried; None retries GET, PUT and DELETE alone.
            timeout: seconds for the call with all its retries; None takes the session's.

        Raises:
            InvalidWrite: the method, the path or the parameters are none of HTTP, or the body is no JSON.
            ConfigError: there is no such host.
            RequestError: no good answer came; its `outcome` says what may have happened.
            SessionClosed: the session is closed.
        """
        from clinia_async.calls.raw_request import RawRequest  # noqa: PLC0415  few programs need it

        call = RawRequest(method, path, json, params, choice(Host, "host", host), idempotent)
        return self.send(call, timeout=timeout)

    @refuse_unknown_options()
    def with_options(
        self,
        *,
        timeout: float | None = None,
        retry: RetryPolicy | None = None,
        polling: Polling | None = None,
        read_back: bool | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Self:
        """Return the same session with other settings, for one call or for some.

        It shares connections, credentials, limits and `in_doubt` with this one. None keeps a setting. Its
        writes are not sent together with others. It need not be closed: it ends with this one, and a close of
        its own ends its waits alone. `headers` are more headers, such as the id that a request is traced by.

        Raises:
            ConfigError: a setting is wrong.
        """
        given = {"timeout": timeout, "retry": retry, "polling": polling, "read_back": read_back}
        changes = {name: value for name, value in given.items() if value is not None}
        view = copy(self)
        given_headers = checked_headers({} if headers is None else headers, RESERVED_HEADERS)
        options = self._engine.options.changed(coalesce=False, **changes)
        view._engine = DerivedEngine(self._engine, options, given_headers)
        return view

    def _perform(
        self, call: Call[R], timeout: float | None, on_existing: OnExisting | str = OnExisting.FAIL
    ) -> Submission[R]:
        check_call_options(timeout=timeout)
        call = own_copy(call)
        work = self._engine.perform(call, timeout, checked_policy(call, on_existing))
        return Submission(work, partial(self._engine.submissions.keep, call))

    def source(self, key: str | None = None) -> SourceSession:
        """Return the calls of one source, which need not name it: `session.source("ehr").get_resource(...)`.

        Without a `key` it is the session's own `source`. It shares everything with this session.

        Raises:
            ConfigError: no source is given, here or in the session.
            InvalidWrite: it is no key.
        """
        key = self.default_source if key is None else key
        if key is None:
            raise ConfigError("a source must be given, here or to the session")
        return SourceSession(self, key)

    def limit_concurrency(
        self, limits: "transport.ConcurrencyLimits", *, background: bool = False
    ) -> "AbstractContextManager[transport.AdaptiveLimit]":
        """Limit the requests in flight of this session, polls too, for as long as the block lasts.

        The limit adapts to what the service bears. Blocks within each other, or side by side, share the
        first one's. Once the service refuses the key, nothing more is sent within the block.

        Where processes share the limit (`ConcurrencyLimits.shared`), requests of sessions in the `background`
        come after those of the others and leave room for them. Jobs are in the background.

        Raises:
            ConfigError: the file of a limit that is shared cannot be used.
            SessionClosed: the session is closed.
        """
        check_class("limits", limits, transport.ConcurrencyLimits)
        return self._limited(limits, background=background)

    @contextmanager
    def _limited(
        self, limits: "transport.ConcurrencyLimits", *, background: bool
    ) -> Iterator["transport.AdaptiveLimit"]:
        limit = self._engine.limit(limits, background=background)
        try:
            yield limit
        finally:
            self._engine.unlimit()

    # Tasks

    def task(self, id_or_token: TaskId | str, *, source: str | None = None) -> Task[object]:
        if isinstance(id_or_token, str) and id_or_token.lstrip().startswith("{"):
            resumed = parse_token(id_or_token)
            task_id, source, maybe_applied = resumed.id, resumed.source, resumed.maybe_applied
        else:
            task_id, maybe_applied = as_task_id(id_or_token), False
            source = self.default_source if source is None else source
        if source is None:
            raise ConfigError("a task id needs the source that it belongs to")
        GetTask(source, task_id)  # checks the source
        return self._engine.resume_unknown(task_id, source, maybe_applied=maybe_applied)

    def resume(
        self,
        write: Write[R],
        id: TaskId | str,
        *,
        maybe_applied: bool = False,
        read_back: bool | None = None,
        on_existing: OnExisting | str = OnExisting.FAIL,
    ) -> Task[R]:
        """Return the handle that `submit(write)` gave, in this process or another; nothing is sent for it.

        Unlike `task(id)` it knows what was sent, so its result is that of the write. `maybe_applied` says
        that an answer to the write was lost. `read_back` and `on_existing` are those of `submit`.

        Raises:
            ConfigError: the text is no task id, or `on_existing` does not fit the write.
            SessionClosed: the session is closed.
        """
        check_call_options(read_back=read_back, maybe_applied=maybe_applied)
        check_write(write)
        return self._engine.resume_write(
            own_copy(write),
            as_task_id(id),
            maybe_applied=maybe_applied,
            read_back=read_back,
            on_existing=checked_policy(write, on_existing),
        )

    def as_completed(
        self, tasks: Iterable[Task[R]] | AsyncIterable[Task[R]], *, limit: int = 1000
    ) -> AsyncIterator[Task[R]]:
        """Yield each handle once its task has ended, however it ended.

        At most `limit` handles are taken from `tasks` ahead. Where `tasks` raises, the handles that it gave
        before are yielded first.

        Raises:
            Exception: whatever `tasks` raises.
        """
        return completion.as_completed(tasks, limit=limit)

    @overload
    async def gather(self, *tasks: Task[R], return_exceptions: Literal[False] = False) -> list[R]: ...
    @overload
    async def gather(self, *tasks: Task[R], return_exceptions: Literal[True]) -> list[R | CliniaError]: ...
    async def gather(
        self, *tasks: Task[R], return_exceptions: bool = False
    ) -> list[R] | list[R | CliniaError]:
        """Wait for all the tasks and return their results, in the order given.

        With `return_exceptions` a failure stands in the place of its result.

        Raises:
            CliniaError: the failure, if exactly one of the tasks failed.
            GatherError: all the failures, if more than one failed.
        """
        return await completion.gather(tasks, return_exceptions=return_exceptions)

    async def wait(
        self, tasks: Iterable[Task[R]], *, timeout: float | None = None
    ) -> tuple[set[Task[R]], set[Task[R]]]:
        """Return the tasks that have ended and those that have not; `timeout` is in seconds.

        A task that failed has ended.
        """
        return await completion.wait(tasks, timeout=timeout)

    guarded = limit_concurrency
    """The former name."""

    @property
    def drift(self) -> Mapping[str, Mapping[str, int]]:
        """How answers have differed from the documentation so far: counts by path and kind, never values.

        Such as `{"TaskSnapshot.receipts[].error.details": {"wrong type": 3}}`. The kinds are those of
        `DriftKind`; fields that are null, absent or empty count only where they are required.
        """
        return self._engine.drift.counts()

    @property
    def in_doubt(self) -> Sequence[InDoubt[object]]:
        """Writes whose caller was cancelled before the answer, with the task if one came late.

        The oldest comes first. At most `in_doubt_limit` are kept, and each for `in_doubt_age` seconds after
        its answer.
        """
        return self._engine.submissions.in_doubt

    def take_in_doubt(self) -> Sequence[InDoubt[object]]:
        """Remove the writes that were answered from `in_doubt`, and return them."""
        return self._engine.submissions.take_in_doubt()

    @property
    def closed(self) -> bool:
        """Whether the session was closed, or is being closed: nothing more can be sent."""
        return self._engine.closed

    @property
    def registry(self) -> str:
        """The origin of the registry, such as `https://acme.clinia.cloud`."""
        return self._engine.registry

    @property
    def telemetry(self) -> Telemetry:
        """Where what the session does is reported."""
        return self._engine.telemetry

    @property
    def patience_clock(self) -> PatienceClock:
        """The clock that leaves out the time for which the service asks to wait (Retry-After)."""
        return self._engine.patience_clock

    # Life

    async def aclose(self, grace: float | None = None) -> None:
        """Wait up to `grace` seconds for writes in flight, end all waits, and close what was opened.

        None takes the session's `close_grace`. May be called again, and by several at once. A cancel is
        raised only after all that is done. Where the event loop of the session was closed before, only what
        is open is closed, in any other loop.

        Raises:
            ConfigError: `grace` is no number of seconds, another event loop runs than that of the session, or
                a function that one of its calls waits for, such as one for credentials, waits for the close.
        """
        if grace is not None and grace != math.inf:
            Number().check("grace", grace)
        await self._engine.close(grace)

    async def __aenter__(self) -> Self:
        self._engine.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        engine = getattr(self, "_engine", None)  # None where a setting was refused
        return f"<Session {'not made' if engine is None else engine.state}>"
