"""Session: the door to a workspace, and the verbs for its tasks."""

import os
import re
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Literal, Self, TypeVar, Unpack, overload

from clinia_async.calls import Call, GetTask, Write
from clinia_async.errors import CliniaError, ConfigError
from clinia_async.models.secret import Secret
from clinia_async.models.task_id import TaskId
from clinia_async.session.catalog_api import CatalogMethods
from clinia_async.session.definition_methods import DefinitionMethods
from clinia_async.session.engine import Engine, SessionOptions
from clinia_async.session.registry_api import RegistryMethods, as_task_id
from clinia_async.session.submissions import InDoubt
from clinia_async.tasks import completion
from clinia_async.tasks.task import Task
from clinia_async.tasks.task_state import parse_token
from clinia_async.transport.adaptive_limit import AdaptiveLimit, ConcurrencyLimits
from clinia_async.transport.base_urls import CATALOG_HOST, REGISTRY_HOST, Addresses

R = TypeVar("R")

_KEY = re.compile(r"[\x21-\x7e]+", re.ASCII)


class Session(RegistryMethods, DefinitionMethods, CatalogMethods):
    """A workspace, for one event loop. Whoever makes it closes it: `async with`, or `aclose()`.

    Registry calls go to `registry_host` and catalog calls to `catalog_host`, in which `{workspace}`
    stands for the workspace: the reference pages name two hosts. `base_url` puts both under one.

    `timeout` is for one call with all its repeats; it does not bound the wait for a task. A call with
    a large body gets the time that its bytes need on top, unless it is given a `timeout` of its own.

    `read_back=False` takes the record as it was sent for the result of a queued write that its receipt
    proves, and saves the request that reads it back. It can be set for each call, too.

    `coalesce` sends writes of single records that are awaited together as one bulk: see `coalescing`.

    `http_session` is borrowed: its connections and trace configs are used and it is never closed, but its
    headers, cookies, redirects and proxies are left alone.
    """

    def __init__(
        self,
        workspace: str | None = None,
        *,
        api_key: str | Secret,
        base_url: str | None = None,
        source: str | None = None,
        **options: Unpack[SessionOptions],
    ) -> None:
        self.source = source
        """The source key that is used where a task id is given none."""
        addresses = _addresses(workspace, base_url, options)
        self._engine = Engine(addresses, _checked_key(api_key), options)

    @classmethod
    def from_env(
        cls,
        workspace: str | None = None,
        *,
        api_key: str | Secret | None = None,
        base_url: str | None = None,
        source: str | None = None,
        **options: Unpack[SessionOptions],
    ) -> Self:
        """Reads `CLINIA_WORKSPACE`, `_API_KEY`, `_BASE_URL` and `_SOURCE`; an argument wins."""
        key = api_key or os.environ.get("CLINIA_API_KEY")
        if not key:
            raise ConfigError("an API key is needed: set CLINIA_API_KEY or pass api_key")
        if workspace is None and base_url is None:
            workspace, base_url = os.environ.get("CLINIA_WORKSPACE"), os.environ.get("CLINIA_BASE_URL")
        source = source or os.environ.get("CLINIA_SOURCE")
        return cls(workspace, api_key=key, base_url=base_url, source=source, **options)

    # Any call

    async def submit(
        self,
        write: Write[R],
        *,
        timeout: float | None = None,
        maybe_applied: bool = False,
        read_back: bool | None = None,
    ) -> Task[R]:
        return await self._engine.submit(write, timeout, maybe_applied=maybe_applied, read_back=read_back)

    def _submitting(
        self, write: Write[R], timeout: float | None, read_back: bool | None = None
    ) -> Awaitable[Task[R]]:
        return self._engine.submit(write, timeout, read_back=read_back)

    async def send(self, call: Call[R], *, timeout: float | None = None) -> R:
        return await self._engine.read(call, timeout=timeout)

    async def _perform(self, call: Call[R], timeout: float | None) -> Task[R]:
        return await self._engine.perform(call, timeout)

    @contextmanager
    def limit_concurrency(self, limits: ConcurrencyLimits) -> Iterator[AdaptiveLimit]:
        """While the block lasts, every request of this session passes a gate, polls of tasks too.

        The gate finds out how many may be in flight. Blocks within each other, or side by side, share the
        first one's. Where the key is refused nothing enters any more, and whoever waits is told.
        """
        limit = self._engine.limit(limits)
        try:
            yield limit
        finally:
            self._engine.unlimit()

    # Tasks

    def task(self, id_or_token: TaskId | str, *, source: str | None = None) -> Task[object]:
        """A handle for a task that was submitted elsewhere; nothing is sent until it is awaited.

        An id needs its source, here or in the session. The result is the record that a single write
        made, the purge of a purge, and the receipts (`BatchResult`) for any other task.
        """
        if isinstance(id_or_token, str) and id_or_token.lstrip().startswith("{"):
            task_id, source, maybe_applied = parse_token(id_or_token)
        else:
            task_id, source, maybe_applied = as_task_id(id_or_token), source or self.source, False
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
    ) -> Task[R]:
        """The handle that `submit(write)` gave, in this process or another; nothing is sent for it.

        Unlike `task(id)` it knows what was sent, so its result is that of the write. `maybe_applied` says
        that an answer to the write was lost. `read_back` is that of `submit`.
        """
        return self._engine.resume_write(
            write, as_task_id(id), maybe_applied=maybe_applied, read_back=read_back
        )

    def as_completed(
        self, tasks: Iterable[Task[R]] | AsyncIterable[Task[R]], *, limit: int = 1000
    ) -> AsyncIterator[Task[R]]:
        """Yield each handle once its task has ended, however it ended.

        At most `limit` handles are taken from `tasks` ahead. Where `tasks` raises, the handles that it gave
        before are yielded first.
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
        """The tasks that have ended and those that have not. A task that failed has ended."""
        return await completion.wait(tasks, timeout=timeout)

    @property
    def in_doubt(self) -> Sequence[InDoubt[object]]:
        """Writes whose caller was cancelled before the answer, with the handle if one came late."""
        return tuple(self._engine.submissions.in_doubt)

    @property
    def registry(self) -> str:
        """The origin of the registry, such as `https://acme.clinia.cloud`."""
        return self._engine.registry

    # Life

    async def aclose(self, grace: float | None = None) -> None:
        """Gives writes in flight `grace` seconds for their answers, ends all waits, closes what it opened.

        May be called again, and by several at once.
        """
        await self._engine.close(grace)

    async def __aenter__(self) -> Self:
        self._engine.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<Session {self._engine.state}>"


def _checked_key(key: str | Secret) -> Secret:
    text: object = key.reveal() if isinstance(key, Secret) else key
    if not isinstance(text, str) or not _KEY.fullmatch(text):
        raise ConfigError("the API key must be printable ASCII without spaces")
    return Secret(text)


def _addresses(workspace: str | None, base_url: str | None, options: SessionOptions) -> Addresses:
    if base_url is not None:
        return Addresses.of_base_url(base_url)
    if workspace is None:
        raise ConfigError("a workspace or a base_url is needed")
    return Addresses.of_workspace(
        workspace, options.get("registry_host", REGISTRY_HOST), options.get("catalog_host", CATALOG_HOST)
    )
