"""Session: the door to a workspace. One thin method a call, and the verbs for its tasks."""

import asyncio
import os
import re
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Sequence
from types import TracebackType
from typing import Self, TypedDict, TypeVar, Unpack, cast, overload
from weakref import WeakValueDictionary

from attrs import frozen

from clinia_async import waiting
from clinia_async.addresses import CATALOG_HOST, REGISTRY_HOST, Addresses
from clinia_async.calls import (
    BulkRelationships,
    Call,
    CreatePartition,
    CreateRelationship,
    GetPartition,
    GetRelationship,
    GetTask,
    Write,
)
from clinia_async.conclusions import OfBulk, OfRelationship, OfResumed
from clinia_async.delivery import Delivered, Delivery
from clinia_async.errors import ConfigError, SessionClosed
from clinia_async.models import (
    BulkResult,
    DataSource,
    Json,
    Mdm,
    Meta,
    Modules,
    Partition,
    Ref,
    Relationship,
    SubmissionStatus,
    TaskSnapshot,
    TaskStatus,
    TaskSubmission,
)
from clinia_async.polling import Poller, Polling
from clinia_async.retry import RetryPolicy
from clinia_async.secret import Secret
from clinia_async.strict_json import RawJson
from clinia_async.submission import InDoubt, Submissions
from clinia_async.task_id import TaskId
from clinia_async.tasks import Conclude, Task, TaskStats, Watch, parse_token
from clinia_async.transport import HttpSession, Transport, Wire

R = TypeVar("R")

_KEY = re.compile(r"[\x21-\x7e]+", re.ASCII)


class SessionOptions(TypedDict, total=False):
    """The settings of a `Session` beside its address and key; durations are in seconds."""

    registry_host: str
    catalog_host: str
    http_session: HttpSession | None
    timeout: float
    settle_within: float
    close_grace: float
    retry: RetryPolicy
    polling: Polling
    wire: Wire


@frozen
class _Machinery:
    """What works for a session, bound to one event loop."""

    loop: asyncio.AbstractEventLoop
    transport: Transport
    delivery: Delivery
    poller: Poller


class Session:
    """A workspace, for one event loop. Whoever makes it closes it: `async with`, or `aclose()`.

    Registry calls go to `registry_host` and catalog calls to `catalog_host`, in which `{workspace}`
    stands for the workspace: the reference pages name two hosts. `base_url` puts both under one.

    `timeout` is for one call with all its repeats; it does not bound the wait for a task. A call with
    a large body gets the time that its bytes need on top, unless it is given a `timeout` of its own.

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
        """The source key that is used where a call is given none."""
        self._addresses = _addresses(workspace, base_url, options)
        self._key = _checked_key(api_key)
        self._options = options
        self._timeout = _duration(options.get("timeout", 60.0), "timeout")
        self._wire = options.get("wire", Wire())
        self._machinery: _Machinery | None = None
        self._submissions = Submissions()
        self._watches: WeakValueDictionary[tuple[str, TaskId], Watch] = WeakValueDictionary()
        self._closing: asyncio.Task[None] | None = None

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

    # Writes

    async def create_relationship(
        self,
        source: str,
        type: str,
        *,
        from_: Ref,
        to: Ref,
        data: Json | RawJson | None = None,
        meta: Meta | None = None,
        timeout: float | None = None,
    ) -> Task[Relationship]:
        """Creates one relationship; await the task for it. May be repeated: its key is known before sending.

        Raises `InvalidWrite` before anything is sent, `AlreadyExists`, `WriteConflict`, or another
        `RequestError`, whose `outcome` says what may have happened.

        https://docs.clinia.com/api-reference/relationships/create-a-relationship-between-two-resources-in-the-registry
        """
        return await self.submit(CreateRelationship(source, type, from_, to, data, meta), timeout=timeout)

    async def bulk_relationships(
        self, source: str, writes: Sequence[CreateRelationship], *, timeout: float | None = None
    ) -> Task[BulkResult]:
        """Creates many relationships in one request, each for itself and in order.

        Its result raises `TaskFailed` with the receipts of those that failed. For more than a few
        thousand use `Ingestion`, which cuts, repeats and reports by record.

        https://docs.clinia.com/api-reference/bulk/get-the-result-of-a-bulk-relationship-request
        """
        return await self.submit(BulkRelationships(source, writes), timeout=timeout)

    @overload
    async def submit(
        self, write: CreateRelationship, *, timeout: float | None = None, doubtful: bool = False
    ) -> Task[Relationship]: ...

    @overload
    async def submit(
        self, write: BulkRelationships, *, timeout: float | None = None, doubtful: bool = False
    ) -> Task[BulkResult]: ...

    async def submit(
        self,
        write: CreateRelationship | BulkRelationships,
        *,
        timeout: float | None = None,
        doubtful: bool = False,
    ) -> Task[Relationship] | Task[BulkResult]:
        """Submits a write that was made as a value.

        `doubtful` says that this very write was sent before and its answer was lost: then a key that
        is found taken is settled by reading it back, instead of raising `AlreadyExists`.
        """
        if isinstance(write, CreateRelationship):
            of_one = OfRelationship(write, self.send)
            return await self._submit(write, of_one, timeout, doubtful=doubtful, result_of=_relationship_of)
        return await self._submit(write, OfBulk(write, self.send), timeout, doubtful=doubtful)

    async def create_partition(
        self,
        key: str,
        *,
        modules: Modules,
        source: DataSource | Mdm,
        stage: bool = False,
        timeout: float | None = None,
    ) -> Task[Partition]:
        """Creates a partition. The service answers at once, so the task is resolved at birth and has no id.

        https://docs.clinia.com/api-reference/partitions/create-a-data-partition
        """
        call = CreatePartition(key, modules, source, stage)

        async def send() -> Task[Partition]:
            delivered = await self._deliver(call, timeout)
            watch = self._watch(None, None, TaskStatus.SUCCESS)
            return Task.resolved(
                watch,
                delivered.answer,
                _needless,
                doubtful=delivered.doubtful,
                reconciled=delivered.reconciled,
            )

        return await self._submissions.run(call, send)

    # Reads

    async def get_relationship(
        self, source: str, type: str, id: str, *, timeout: float | None = None
    ) -> Relationship:
        """`id` is `{from.id}.{to.id}` or an identifier `{system}:{value}:{use}`. Raises `NotFound`.

        https://docs.clinia.com/api-reference/relationships/get-a-relationship-from-the-registry
        """
        return await self.send(GetRelationship(source, type, id), timeout=timeout)

    async def get_partition(self, key: str, *, timeout: float | None = None) -> Partition:
        """https://docs.clinia.com/api-reference/partitions/get-a-data-partition"""
        return await self.send(GetPartition(key), timeout=timeout)

    async def get_task(
        self, source: str, id: TaskId | str, *, with_receipts: bool = False, timeout: float | None = None
    ) -> TaskSnapshot:
        """One look at a task. To wait for it, use `session.task(id)`.

        https://docs.clinia.com/api-reference/task/get-a-task-from-the-registry
        """
        return await self.send(GetTask(source, _task_id(id), with_receipts), timeout=timeout)

    async def send(self, call: Call[R], *, timeout: float | None = None) -> R:
        """Sends any call and gives its plain answer: for a write that is the submission, not a task."""
        return (await self._deliver(call, timeout)).answer

    # Tasks

    def task(self, id_or_token: TaskId | str, *, source: str | None = None) -> Task[object]:
        """A handle for a task that was submitted elsewhere; nothing is sent until it is awaited.

        An id needs its source, here or in the session. The result is the relationship that a single
        create made, and the receipts (`BulkResult`) for any other task.
        """
        if isinstance(id_or_token, str) and id_or_token.lstrip().startswith("{"):
            task_id, source = parse_token(id_or_token)
        else:
            task_id, source = _task_id(id_or_token), source or self.source
        if source is None:
            raise ConfigError("a task id needs the source that it belongs to")
        GetTask(source, task_id)  # checks the source
        self._open()
        return Task(self._watch(task_id, source, TaskStatus.PENDING, resumed=True), OfResumed(self.send))

    def as_completed(
        self, tasks: Iterable[Task[R]] | AsyncIterable[Task[R]], *, limit: int = 1000
    ) -> AsyncIterator[Task[R]]:
        """Yields each handle once its task has ended, whatever its end; at most `limit` are pulled ahead."""
        return waiting.as_completed(tasks, limit=limit)

    async def gather(self, *tasks: Task[R]) -> list[R]:
        """The results, in the order of the tasks. The first failure is raised; the other tasks go on."""
        return await asyncio.gather(*(task.result() for task in tasks))

    async def wait(
        self, tasks: Iterable[Task[R]], *, timeout: float | None = None
    ) -> tuple[set[Task[R]], set[Task[R]]]:
        """The tasks that have ended and those that have not. A task that failed has ended."""
        return await waiting.wait(tasks, timeout=timeout)

    @property
    def in_doubt(self) -> Sequence[InDoubt[object]]:
        """Writes whose caller was cancelled before the answer, with the handle if one came late."""
        return tuple(self._submissions.in_doubt)

    # Life

    async def aclose(self, grace: float | None = None) -> None:
        """Gives writes in flight `grace` seconds for their answers, ends all waits, closes what it opened.

        May be called again, and by several at once.
        """
        if self._closing is None:
            grace = self._options.get("close_grace", 10.0) if grace is None else grace
            if self._machinery is not None:
                self._machinery.poller.close()  # now, so that no look finds the session closed
            self._closing = asyncio.ensure_future(self._close(grace))
        await asyncio.shield(self._closing)

    async def __aenter__(self) -> Self:
        self._open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        state = "closed" if self._closing else "open" if self._machinery else "new"
        return f"<Session {state}>"

    async def _close(self, grace: float) -> None:
        await self._submissions.drain(grace)
        if self._machinery is not None:
            await self._machinery.poller.closed()
            await self._machinery.transport.close()

    def _open(self) -> None:
        """Before every new call: a closed session takes none."""
        if self._closing is not None:
            raise SessionClosed("the session is closed")
        self._work()

    def _work(self) -> _Machinery:
        loop = asyncio.get_running_loop()
        if self._machinery is None:
            transport = Transport(self._addresses, self._key, self._wire, self._options.get("http_session"))
            retry, settle = (
                self._options.get("retry", RetryPolicy()),
                self._options.get("settle_within", 30.0),
            )
            delivery = Delivery(transport, retry, settle_within=settle)
            poller = Poller(self._look, self._options.get("polling", Polling()))
            self._machinery = _Machinery(loop, transport, delivery, poller)
        if self._machinery.loop is not loop:
            raise ConfigError("this session belongs to another event loop; hand its tasks over by token")
        return self._machinery

    async def _deliver(self, call: Call[R], timeout: float | None, *, doubtful: bool = False) -> Delivered[R]:
        self._open()
        work = self._work()
        if timeout is not None:
            return await work.delivery.send(call, work.loop.time() + timeout, doubtful=doubtful)
        deadline, slowest = work.loop.time() + self._timeout, self._wire.slowest
        return await work.delivery.send(call, deadline, doubtful=doubtful, slowest=slowest)

    async def _submit(
        self,
        call: Write,
        conclude: Conclude[R],
        timeout: float | None,
        *,
        doubtful: bool,
        result_of: Callable[[TaskSubmission], R] | None = None,
    ) -> Task[R]:
        async def send() -> Task[R]:
            delivered = await self._deliver(call, timeout, doubtful=doubtful)
            submission = delivered.answer
            accepted = submission.status == SubmissionStatus.ACCEPTED
            state = TaskStatus.PENDING if accepted else TaskStatus.SUCCESS
            watch = self._watch(submission.task_id, call.source, state)
            if accepted or result_of is None:
                return Task(watch, conclude, doubtful=delivered.doubtful)
            return Task.resolved(
                watch,
                result_of(submission),
                conclude,
                doubtful=delivered.doubtful,
                reconciled=delivered.reconciled,
            )

        return await self._submissions.run(call, send)

    def _watch(
        self, id: TaskId | None, source: str | None, status: TaskStatus, *, resumed: bool = False
    ) -> Watch:
        known = self._watches.get((source, id)) if id is not None and source is not None else None
        if known is not None:
            return known
        work = self._work()
        stats = TaskStats(submitted_at=work.loop.time(), resumed=resumed)
        snapshot = TaskSnapshot(status, id)
        watch = Watch(
            id,
            source,
            look=self._look,
            read=self._read_receipts,
            begin=work.poller.begin,
            snapshot=snapshot,
            stats=stats,
        )
        if id is not None and source is not None:
            self._watches[source, id] = watch
        return watch

    async def _look(self, watch: Watch, receipts: bool) -> TaskSnapshot:
        """One GET, without repeats: whoever asks decides about asking again."""
        self._open()
        work = self._work()
        watch.stats.polls += 1
        call = GetTask(watch.source or "", watch.known_id, receipts)
        return await work.delivery.once(call, call.request(), work.loop.time() + self._timeout)

    async def _read_receipts(self, watch: Watch) -> TaskSnapshot:
        watch.stats.polls += 1
        return await self.send(GetTask(watch.source or "", watch.known_id, with_receipts=True))


def _relationship_of(submission: TaskSubmission) -> Relationship:
    return cast("Relationship", submission.relationship)  # the call has checked that PERSISTED brings it


async def _needless(task: Task[R], snapshot: TaskSnapshot) -> R:
    raise AssertionError("a task that was resolved at birth needs no conclusion")


def _task_id(id: TaskId | str) -> TaskId:
    try:
        return id if isinstance(id, TaskId) else TaskId(id)
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _checked_key(key: str | Secret) -> Secret:
    text: object = key.reveal() if isinstance(key, Secret) else key
    if not isinstance(text, str) or not _KEY.fullmatch(text):
        raise ConfigError("the API key must be printable ASCII without spaces")
    return Secret(text)


def _duration(seconds: object, name: str) -> float:
    if not isinstance(seconds, int | float) or not seconds > 0:
        raise ConfigError(f"{name} must be a positive number of seconds")
    return seconds


def _addresses(workspace: str | None, base_url: str | None, options: SessionOptions) -> Addresses:
    if base_url is not None:
        return Addresses.of_base_url(base_url)
    if workspace is None:
        raise ConfigError("a workspace or a base_url is needed")
    return Addresses.of_workspace(
        workspace, options.get("registry_host", REGISTRY_HOST), options.get("catalog_host", CATALOG_HOST)
    )
