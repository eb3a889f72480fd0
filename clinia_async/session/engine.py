"""The parts of a session: bound to one event loop, and there from the first call to the close."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Coroutine
from typing import TypedDict, TypeVar, cast
from weakref import WeakValueDictionary

from attrs import frozen

from clinia_async.calls import Call, EncodedBulk, GetPurge, GetTask, Read, Write
from clinia_async.errors import ConfigError, SessionClosed
from clinia_async.models import SubmissionStatus, TaskSnapshot, TaskStatus, TaskSubmission
from clinia_async.models.secret import Secret
from clinia_async.models.task_id import TaskId, TaskKind
from clinia_async.session.coalescing.bulk_member import KeyedWrite, Record, SharedBulk
from clinia_async.session.coalescing.coalescer import Coalescer, Service
from clinia_async.session.submissions import Submissions
from clinia_async.tasks.poller import Poller, Polling
from clinia_async.tasks.results import ResumedResult, resolver_of
from clinia_async.tasks.task import ResultResolver, Task
from clinia_async.tasks.task_state import StateReader, TaskState, TaskStats
from clinia_async.transport import HttpSession, Transport, TransportOptions
from clinia_async.transport.adaptive_limit import AdaptiveLimit, ConcurrencyLimits
from clinia_async.transport.base_urls import Addresses
from clinia_async.transport.retry import RetryPolicy
from clinia_async.transport.sender import Delivery, Sender

R = TypeVar("R")
T = TypeVar("T")

_ACCEPTED = SubmissionStatus.ACCEPTED
_PENDING, _DONE = TaskStatus.PENDING, TaskStatus.SUCCESS


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
    wire: TransportOptions
    coalesce: bool


@frozen(eq=False, repr=False)
class _Components:
    loop: asyncio.AbstractEventLoop
    transport: Transport
    sender: Sender
    poller: Poller
    keeper: StateReader


class Engine:
    def __init__(self, addresses: Addresses, key: Secret, options: SessionOptions) -> None:
        self._addresses = addresses
        self._key = key
        self._options = options
        self._timeout = _duration(options.get("timeout", 60.0))
        self._wire = options.get("wire", TransportOptions())
        self._running: _Components | None = None
        self._watches: defaultdict[str, WeakValueDictionary[TaskId, TaskState]] = defaultdict(
            WeakValueDictionary
        )
        self._closing: asyncio.Task[None] | None = None
        self.submissions = Submissions()
        self._reads: Read = self.read
        """One for all handles, as there may be a hundred thousand."""
        self._of_resumed = ResumedResult(self._reads)
        self._coalescer: Coalescer | None = None
        if options.get("coalesce", False):
            service = Service(self._deliver_bulk, self._alone, self._sent_bulk)
            self._coalescer = Coalescer(service, self.submissions)

    @property
    def state(self) -> str:
        return "closed" if self._closing else "open" if self._running else "new"

    def open(self) -> _Components:
        """Before every new call: a closed session takes none."""
        if self._closing is not None:
            raise SessionClosed("the session is closed")
        return self._components()

    async def close(self, grace: float | None) -> None:
        if self._closing is None:
            grace = self._options.get("close_grace", 10.0) if grace is None else grace
            if self._running is not None:
                self._running.poller.close()  # now, so that no look finds the session closed
            self._closing = asyncio.ensure_future(self._close(grace))
        await asyncio.shield(self._closing)

    async def read(self, call: Call[R], /, *, timeout: float | None = None) -> R:
        return (await self._deliver(self.open(), call, timeout)).answer

    async def perform(self, call: Call[R], timeout: float | None) -> Task[R]:
        """A write that the service answers at once and without a task: its handle is resolved at birth."""

        components = self.open()

        async def send() -> Task[R]:
            delivered = await self._deliver(components, call, timeout)
            return self._resolved(delivered, delivered.answer, None, None)

        return await self.submissions.run(call, send())

    def submit(self, write: Write[R], timeout: float | None, *, maybe_applied: bool) -> Awaitable[Task[R]]:
        components = self.open()
        coalescer = self._coalescer
        if coalescer is not None and timeout is None and not maybe_applied and coalescer.takes(write):
            return coalescer.submit(write, components.loop)  # type: ignore[return-value]  # its record
        return self.submissions.run(
            write, self._submit(components, write, timeout, maybe_applied=maybe_applied)
        )

    async def _submit(
        self,
        components: _Components,
        write: Write[R],
        timeout: float | None = None,
        *,
        maybe_applied: bool = False,
    ) -> Task[R]:
        delivered = await self._deliver(components, write, timeout, maybe_applied=maybe_applied)
        submission = delivered.answer
        if submission.status != _ACCEPTED:
            return self._resolved(delivered, write.result(submission), submission.task_id, write.source)
        watch = self._watch(submission.task_id, write.source)
        conclude = resolver_of(write, self._reads)
        return Task(watch, conclude, maybe_applied=delivered.maybe_applied, attempts=delivered.attempts)

    async def _deliver_bulk(self, bulk: EncodedBulk) -> Delivery[TaskSubmission]:
        return await self._deliver(self._components(), bulk)

    async def _alone(self, write: KeyedWrite) -> Task[Record]:
        return await self._submit(self._components(), cast("Write[Record]", write))

    def _sent_bulk(self, delivered: Delivery[TaskSubmission], source: str) -> SharedBulk:
        id_, is_done = delivered.answer.task_id, delivered.answer.status != _ACCEPTED
        if is_done:
            watch = self._watch_of_done(id_, source, asyncio.get_running_loop().time())
        else:
            watch = self._watch(id_, source)
            watch.wants_receipts = True
        return SharedBulk(watch, self._reads, delivered.maybe_applied, delivered.attempts, is_done)

    def resume(
        self, id: TaskId, source: str, conclude: ResultResolver[R], *, maybe_applied: bool = False
    ) -> Task[R]:
        self.open()
        return Task(self._watch(id, source, resumed=True), conclude, maybe_applied=maybe_applied)

    def resume_unknown(self, id: TaskId, source: str) -> Task[object]:
        """The handle of a task of which nothing is known here but its id."""
        return self.resume(id, source, self._of_resumed)

    def resume_write(self, write: Write[R], id: TaskId, *, maybe_applied: bool) -> Task[R]:
        return self.resume(id, write.source, resolver_of(write, self._reads), maybe_applied=maybe_applied)

    @property
    def registry(self) -> str:
        return self._addresses.registry

    def limit(self, limits: ConcurrencyLimits) -> AdaptiveLimit:
        """Start an adaptive limit on all requests, or share the one that there is. `unlimit` gives it up."""
        return self.open().sender.limiter.limit(limits)

    def unlimit(self) -> None:
        """Give the limit up, once for each `limit`; it ends with its last user."""
        if self._running is not None:
            self._running.sender.limiter.unlimit()

    async def _close(self, grace: float) -> None:
        draining = [self.submissions.drain(grace)]
        if self._coalescer is not None:
            draining.append(self._coalescer.drain(grace))
        await asyncio.gather(*draining)
        if self._running is not None:
            await self._running.poller.closed()
            self._running.sender.limiter.close()
            await self._running.transport.close()

    def _components(self) -> _Components:
        loop = asyncio.get_running_loop()
        if self._running is None:
            self._running = self._build(loop)
        if self._running.loop is not loop:
            raise ConfigError("this session belongs to another event loop; hand its tasks over by token")
        return self._running

    def _build(self, loop: asyncio.AbstractEventLoop) -> _Components:
        transport = Transport(self._addresses, self._key, self._wire, self._options.get("http_session"))
        retry, settle = self._options.get("retry", RetryPolicy()), self._options.get("settle_within", 30.0)
        sender = Sender(transport, retry, reconcile_timeout=settle)
        poller = Poller(self._look, self._options.get("polling", Polling()))
        keeper = StateReader(self._look, self._read_receipts, poller.begin)
        return _Components(loop, transport, sender, poller, keeper)

    def _deliver(
        self,
        components: _Components,
        call: Call[R],
        timeout: float | None = None,
        *,
        maybe_applied: bool = False,
    ) -> Coroutine[object, object, Delivery[R]]:
        if timeout is not None:
            return components.sender.send(call, components.loop.time() + timeout, maybe_applied=maybe_applied)
        deadline, slowest = components.loop.time() + self._timeout, self._wire.slowest
        return components.sender.send(call, deadline, maybe_applied=maybe_applied, slowest=slowest)

    def _resolved(self, delivered: Delivery[T], result: R, id: TaskId | None, source: str | None) -> Task[R]:
        now = asyncio.get_running_loop().time()
        task = Task.resolved(result, id, source, born_at=now, watch_of_done=self._watch_of_done)
        task.attempts = delivered.attempts
        task.maybe_applied = delivered.maybe_applied
        task.reconciled = delivered.reconciled
        return task

    def _watch(self, id: TaskId | None, source: str, *, resumed: bool = False) -> TaskState:
        """One watch an id, shared by all its handles."""
        components = self._components()
        watch = None if id is None else self._watches[source].get(id)
        if watch is None:
            stats = TaskStats(submitted_at=components.loop.time(), resumed=resumed)
            watch = self._new_watch(components, id, source, TaskSnapshot(_PENDING, id), stats)
            if id is not None:
                self._watches[source][id] = watch
        return watch

    def _watch_of_done(self, id: TaskId | None, source: str | None, at: float) -> TaskState:
        """For a task that ended before it had a watch: needs no loop, for it may be asked after its end."""
        assert self._running is not None
        stats = TaskStats(submitted_at=at)
        return self._new_watch(self._running, id, source, TaskSnapshot(_DONE, id), stats)

    def _new_watch(
        self,
        components: _Components,
        id: TaskId | None,
        source: str | None,
        snapshot: TaskSnapshot,
        stats: TaskStats,
    ) -> TaskState:
        return TaskState(
            id,
            source,
            keeper=components.keeper,
            snapshot=snapshot,
            stats=stats,
        )

    async def _look(self, watch: TaskState, receipts: bool) -> TaskSnapshot:
        """One GET, without repeats: whoever asks decides about asking again."""
        components = self.open()
        watch.polls += 1
        deadline = components.loop.time() + self._timeout
        source = watch.source or ""
        # a purge has an endpoint of its own that is documented to tell how it stands
        if watch.kind is TaskKind.PURGE and not receipts:
            purge = GetPurge(source, watch.known_id)
            operation = await components.sender.once(purge, purge.request(), deadline)
            return TaskSnapshot(operation.status, operation.task_id)
        task = GetTask(source, watch.known_id, receipts)
        return await components.sender.once(task, task.request(), deadline)

    async def _read_receipts(self, watch: TaskState) -> TaskSnapshot:
        watch.polls += 1
        return await self.read(GetTask(watch.source or "", watch.known_id, with_receipts=True))


def _duration(seconds: object) -> float:
    if not isinstance(seconds, int | float) or not seconds > 0:
        raise ConfigError("timeout must be a positive number of seconds")
    return seconds
