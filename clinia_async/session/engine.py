"""The parts of a session: bound to one event loop, and there from the first call to the close."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TypeVar, cast
from weakref import WeakSet, WeakValueDictionary

from clinia_async import calls, models, telemetry, transport
from clinia_async.calls import Call, GetTask, Read, Reconcilable, Write
from clinia_async.calls.call import R
from clinia_async.calls.conflicts import OnExisting, found_instead
from clinia_async.calls.error_answers import statement_without_answer
from clinia_async.calls.reconciliation import statement_of_answer, statement_of_failure
from clinia_async.errors import ConfigError, RequestError, RequestTimeout, SessionClosed, WriteConflict
from clinia_async.models import SubmissionStatus, TaskSnapshot, TaskStatus, TaskSubmission
from clinia_async.models.lazy_loading import load_ahead
from clinia_async.models.secret import fingerprint
from clinia_async.models.struct import Struct
from clinia_async.models.task_id import TaskId, TaskKind
from clinia_async.serialization.drift import Drift
from clinia_async.serialization.fast_decoders import make_snapshot
from clinia_async.session import coalescing
from clinia_async.session.options import SessionOptions
from clinia_async.session.submissions import Submissions, run_to_end
from clinia_async.tasks.poller import Poller
from clinia_async.tasks.record_result import CreateResult, RecordWrite, describe_found
from clinia_async.tasks.results import polls_for_receipts, resolver_of
from clinia_async.tasks.resumed_result import resumed_result
from clinia_async.tasks.task import ResultResolver, Task, log
from clinia_async.tasks.task_state import StateReader, TaskState, TaskStats, check_loop
from clinia_async.telemetry import Telemetry, open_telemetry
from clinia_async.transport import Transport
from clinia_async.transport.base_urls import Addresses
from clinia_async.transport.forks import keep_apart
from clinia_async.transport.http_transport import Identity
from clinia_async.transport.read_buffers import reuse_read_buffers
from clinia_async.transport.retry import LONGEST_ASKED_WAIT, PatienceClock
from clinia_async.transport.sender import Delivery, Sender, operation_name

T = TypeVar("T")

_ACCEPTED = SubmissionStatus.ACCEPTED
_PENDING, _DONE = TaskStatus.PENDING, TaskStatus.SUCCESS


class Components(Struct):
    """What an open session works with."""

    loop: asyncio.AbstractEventLoop
    transport: Transport
    sender: Sender
    poller: Poller
    reader: StateReader


class Engine:
    """What a session does its work with; made when the session is opened, or with its first call."""

    def __init__(self, addresses: Addresses, identity: Identity, options: SessionOptions) -> None:
        self.addresses = addresses
        self.identity = identity
        self._options = options
        self.telemetry = Telemetry(options.observers)
        self._running: Components | None = None
        self._states: defaultdict[str, WeakValueDictionary[TaskId, TaskState]] = defaultdict(
            WeakValueDictionary
        )
        self._closing: asyncio.Task[None] | None = None
        self.pollers: WeakSet[Poller] = WeakSet()
        """Those of engines that are derived from this one."""
        self.drift = Drift()
        self.submissions = Submissions(options.in_doubt_limit, options.in_doubt_age)
        self._reads: Read = self.read
        """One for all handles, as there may be a hundred thousand."""
        self._resume_result = partial(resumed_result, self._reads)
        self._coalescer: coalescing.Coalescer | None = None
        if options.coalesce:
            service = coalescing.Service(self._deliver_bulk, self._alone, self._sent_bulk)
            self._coalescer = coalescing.Coalescer(service, self.submissions)

    @property
    def options(self) -> SessionOptions:
        """The settings that this was made with."""
        return self._options

    @property
    def state(self) -> str:
        return "closed" if self.closed else "open" if self._running else "new"

    @property
    def closed(self) -> bool:
        """Whether it was closed, or is being closed."""
        return self._closing is not None

    def open(self, *, maybe_applied: bool = False) -> Components:
        """Return the components, made now if need be.

        Raises:
            SessionClosed: the session is closed; its `outcome` is unknown where what is to be sent was sent
                before (`maybe_applied`).
        """
        if self._closing is not None:
            closed = SessionClosed("the session is closed")
            raise statement_of_failure(closed, maybe_applied=maybe_applied).on(closed)
        return self._components()

    async def close(self, grace: float | None) -> None:
        self._check_close()
        if self._closing is None:
            grace = self._options.close_grace if grace is None else grace
            if self._running is not None and not self._has_lost_its_loop:
                for poller in (self._running.poller, *self.pollers):
                    poller.close()  # now, so that no poll finds the session closed
            self._closing = asyncio.ensure_future(self._close(grace))
        await run_to_end(self._closing)

    @property
    def _has_lost_its_loop(self) -> bool:
        """Whether its event loop was closed before it: then nothing is left to wait for."""
        return self._running is not None and self._running.loop.is_closed()

    def _check_close(self) -> None:
        """Raise `ConfigError` where a close would wait for what it cannot."""
        if self._running is None or self._has_lost_its_loop:
            return
        check_loop(self._running.loop)
        current = asyncio.current_task()
        if current is not None and self._works_in(current):
            raise ConfigError(
                "a function that a call waits for cannot close the session, which waits for that call: "
                "close it in a task of its own, and do not wait for that"
            )

    def _works_in(self, task: "asyncio.Task[object]") -> bool:
        """Whether a close waits for the end of `task`."""
        pollers = () if self._running is None else (self._running.poller, *self.pollers)
        is_of_coalescer = self._coalescer is not None and self._coalescer.works_in(task)
        is_of_poller = any(each.works_in(task) for each in pollers)
        return is_of_coalescer or is_of_poller or self.submissions.works_in(task)

    async def read(self, call: Call[R], /, *, timeout: float | None = None) -> R:
        return (await self._deliver(self.open(), call, timeout)).answer

    async def perform(
        self, call: Call[R], timeout: float | None, on_existing: OnExisting = OnExisting.FAIL
    ) -> Task[R]:
        """Send a write that is answered at once and without a task; return a task that is done."""
        components = self.open()
        work = self._perform(components, call, timeout)
        if on_existing is not OnExisting.FAIL:
            write = cast("Reconcilable[object]", call)
            work = self._unless_there(
                components, write, work, source=None, timeout=timeout, on_existing=on_existing
            )
        return await self.submissions.run(call, work)

    async def _perform(self, components: Components, call: Call[R], timeout: float | None) -> Task[R]:
        delivery = await self._deliver(components, call, timeout)
        return self._resolved(delivery, delivery.answer, None, None)

    async def submit(
        self,
        write: Write[R],
        timeout: float | None,
        *,
        maybe_applied: bool = False,
        read_back: bool | None = None,
        on_existing: OnExisting = OnExisting.FAIL,
    ) -> Task[R]:
        """Send a write, together with others where that is asked for, and return its task."""
        components = self.open(maybe_applied=maybe_applied)
        coalescer = self._coalescer
        is_plain = timeout is None and not maybe_applied and on_existing is OnExisting.FAIL
        if coalescer is not None and is_plain and coalescer.takes(write):
            return await coalescer.submit(write, components.loop)  # type: ignore[return-value]  # its record
        resolver = partial(self._resolver, write, read_back, on_existing)
        work = self._submit(components, write, resolver, timeout, maybe_applied=maybe_applied)
        if on_existing is not OnExisting.FAIL:
            create = cast("Reconcilable[object]", write)
            work = self._unless_there(
                components, create, work, source=write.source, timeout=timeout, on_existing=on_existing
            )
        return await self.submissions.run(write, work)

    async def _submit(
        self,
        components: Components,
        write: Write[R],
        resolver: Callable[[], ResultResolver[R]],
        timeout: float | None = None,
        *,
        maybe_applied: bool = False,
    ) -> Task[R]:
        delivery = await self._deliver(components, write, timeout, maybe_applied=maybe_applied)
        submission = delivery.answer
        if submission.status != _ACCEPTED:
            return self._resolved(delivery, write.result(submission), submission.task_id, write.source)
        state = self._state(submission.task_id, write.source)
        self._emit_accepted(state, delivery.request_id)
        state.wants_receipts = polls_for_receipts(write)
        task = Task(state, resolver(), maybe_applied=delivery.maybe_applied, attempts=delivery.attempts)
        task.request_id = delivery.request_id
        return task

    async def _unless_there(
        self,
        components: Components,
        write: Reconcilable[object],
        work: Coroutine[object, object, Task[R]],
        *,
        source: str | None,
        timeout: float | None,
        on_existing: OnExisting,
    ) -> Task[R]:
        """Await `work`, which sends `write`; if its key is taken, do as `on_existing` says."""
        until = components.loop.time() + (timeout or 0.0)
        try:
            return await work
        except RequestError as error:
            failure = error
        if timeout is None:
            until = components.loop.time() + self._options.reconcile_timeout

        async def read(call: Call[T], /) -> T:
            return await components.sender.read(call, until)

        found = await found_instead(write, failure, on_existing, read, maybe_applied=False)
        delivery = Delivery(
            None,
            isinstance(failure, WriteConflict),
            attempts=failure.attempts,
            request_id=failure.request_id,
        )
        task = self._resolved(delivery, cast("R", found.record), None, source)
        describe_found(task, found)
        return task

    def _resolver(
        self, write: Write[R], read_back: bool | None, on_existing: OnExisting = OnExisting.FAIL
    ) -> ResultResolver[R]:
        reads_back = self._options.read_back if read_back is None else read_back
        resolve = resolver_of(write, self._reads, reads_back=reads_back)
        if on_existing is OnExisting.FAIL:
            return resolve
        return CreateResult(cast("RecordWrite[R]", write), self._reads, on_existing, resolve)

    async def _deliver_bulk(self, bulk: "calls.EncodedBulk") -> Delivery[TaskSubmission]:
        return await self._deliver(self._components(), bulk)

    async def _alone(self, write: "coalescing.KeyedWrite", maybe_applied: bool) -> "Task[coalescing.Record]":
        single = cast("Write[coalescing.Record]", write)
        resolver = partial(self._resolver, single, None)
        return await self._submit(self._components(), single, resolver, maybe_applied=maybe_applied)

    def _sent_bulk(
        self, delivery: Delivery[TaskSubmission], source: str, operations: int
    ) -> "coalescing.SharedBulk":
        id_, is_done = delivery.answer.task_id, delivery.answer.status != _ACCEPTED
        if is_done:
            state = self._state_of_done(id_, source, asyncio.get_running_loop().time())
        else:
            state = self._state(id_, source)
            self._emit_accepted(state, delivery.request_id)
            state.wants_receipts = True
        return coalescing.SharedBulk(
            state,
            self._reads,
            delivery.maybe_applied,
            delivery.attempts,
            operations,
            is_done,
            delivery.request_id,
        )

    def resume(
        self, id: TaskId, source: str, resolve: ResultResolver[R], *, maybe_applied: bool = False
    ) -> Task[R]:
        self.open()
        state = self._state(id, source, resumed=True)
        state.wants_receipts = id.kind in {TaskKind.SINGLE, TaskKind.BUNDLE}
        return Task(state, resolve, maybe_applied=maybe_applied)

    def resume_unknown(self, id: TaskId, source: str, *, maybe_applied: bool = False) -> Task[object]:
        """The handle of a task of which nothing is known here but its id."""
        return self.resume(id, source, self._resume_result, maybe_applied=maybe_applied)

    def resume_write(
        self,
        write: Write[R],
        id: TaskId,
        *,
        maybe_applied: bool,
        read_back: bool | None = None,
        on_existing: OnExisting = OnExisting.FAIL,
    ) -> Task[R]:
        resolve = self._resolver(write, read_back, on_existing)
        return self.resume(id, write.source, resolve, maybe_applied=maybe_applied)

    @property
    def registry(self) -> str:
        return self.addresses.registry

    @property
    def patience_clock(self) -> PatienceClock:
        """The clock that leaves out the time for which the service asks to wait."""
        return self.open().sender.limiter.patience_clock

    def limit(
        self, limits: "transport.ConcurrencyLimits", *, background: bool = False
    ) -> "transport.AdaptiveLimit":
        """Start an adaptive limit on all requests, or share the one that there is. `unlimit` gives it up.

        Raises:
            ConfigError: the file of a limit that is shared cannot be used.
        """
        return self.open().sender.limiter.limit(limits, background=background)

    def unlimit(self) -> None:
        """Give the limit up, once for each `limit`; it ends with its last user."""
        if self._running is not None:
            self._running.sender.limiter.unlimit()

    async def _close(self, grace: float) -> None:
        if self._running is not None and self._has_lost_its_loop:
            await self._running.transport.close()
            return
        draining = [self.submissions.drain(grace)]
        if self._coalescer is not None:
            draining.append(self._coalescer.drain(grace))
        await asyncio.gather(*draining)
        if self._running is not None:
            await asyncio.gather(*(each.closed() for each in (self._running.poller, *self.pollers)))
            self._running.sender.limiter.close()
            _log_never_awaited(self._running.reader.never_awaited)
            await self._running.transport.close()

    def _components(self) -> Components:
        loop = running_loop()
        if self._running is None:
            self._running = self._build(loop)
            keep_apart(loop)
        check_loop(self._running.loop)
        return self._running

    def _build(self, loop: asyncio.AbstractEventLoop) -> Components:
        load_what_requests_need()
        reuse_read_buffers()
        options = self._options
        transport = Transport(self.addresses, self.identity, options.transport, options.http_session)
        self.telemetry.tracer = open_telemetry(options.open_telemetry)
        sender = Sender(
            transport,
            options.retry,
            self.telemetry,
            reconcile_timeout=options.reconcile_timeout,
            drift=self.drift,
        )
        poller = self._make_poller(sender)
        reader = StateReader(self._poll, self._read_receipts, poller.start, self.telemetry)
        return Components(loop, transport, sender, poller, reader)

    def _make_poller(self, sender: Sender) -> Poller:
        """Return a poller by the options of this engine, whose patience is that of the sender's requests."""
        return Poller(
            self._poll,
            self._options.polling,
            patience_clock=sender.limiter.patience_clock.time,
            longest_asked_wait=LONGEST_ASKED_WAIT,
        )

    def _deliver(
        self,
        components: Components,
        call: Call[R],
        timeout: float | None = None,
        *,
        maybe_applied: bool = False,
    ) -> Coroutine[object, object, Delivery[R]]:
        if timeout is not None:
            if timeout <= 0:  # of a deadline that has passed: a write is not sent to be given up at once
                failure = RequestTimeout(f"{operation_name(call)}: no time was left, so nothing was sent")
                failure = statement_without_answer(sent=False).on(failure)
                raise statement_of_failure(failure, maybe_applied=maybe_applied).on(failure)
            return components.sender.send(call, components.loop.time() + timeout, maybe_applied=maybe_applied)
        deadline, slowest = components.loop.time() + self._options.timeout, self._options.transport.slowest
        return components.sender.send(call, deadline, maybe_applied=maybe_applied, slowest=slowest)

    def _resolved(self, delivery: Delivery[T], result: R, id: TaskId | None, source: str | None) -> Task[R]:
        now = asyncio.get_running_loop().time()
        task = Task.resolved(result, id, source, at=now, state_of_done=self._state_of_done)
        task.attempts = delivery.attempts
        task.maybe_applied = delivery.maybe_applied
        task.reconciled = delivery.reconciled
        task.request_id = delivery.request_id
        if delivery.reconciled:
            task.evidence = statement_of_answer(reconciled=True).evidence
        return task

    def _state(self, id: TaskId | None, source: str, *, resumed: bool = False) -> TaskState:
        """The state of a task id, one for all its handles."""
        components = self._components()
        state = None if id is None else self._states[source].get(id)
        if state is None:
            stats = TaskStats(submitted_at=components.loop.time(), resumed=resumed)
            state = self._new_state(components, id, source, make_snapshot(_PENDING, id, None, None), stats)
            if id is not None:
                self._states[source][id] = state
        return state

    def _state_of_done(self, id: TaskId | None, source: str | None, at: float) -> TaskState:
        """The state of a write that was carried out at once; it may be asked after the loop has ended."""
        assert self._running is not None
        stats = TaskStats(submitted_at=at)
        return self._new_state(self._running, id, source, make_snapshot(_DONE, id, None, None), stats)

    def _new_state(
        self,
        components: Components,
        id: TaskId | None,
        source: str | None,
        snapshot: TaskSnapshot,
        stats: TaskStats,
    ) -> TaskState:
        return TaskState(
            id,
            source,
            reader=components.reader,
            snapshot=snapshot,
            stats=stats,
        )

    def _emit_accepted(self, state: TaskState, request_id: str | None) -> None:
        if self.telemetry.active:
            task, source = fingerprint(state.known_id), state.source or ""
            self.telemetry.emit(
                telemetry.TaskAccepted(kind=state.kind, source=source, task=task, request_id=request_id)
            )

    async def _poll(self, state: TaskState, receipts: bool) -> TaskSnapshot:
        """One GET, without retries."""
        if not self.telemetry.active:
            return await self._poll_once(state, receipts)
        kind, source, task = state.kind, state.source or "", fingerprint(state.known_id)
        status, failure = None, None
        try:
            within = state.wait_context
            with self.telemetry.span("poll", within, clinia__task__kind=kind, clinia__source=source):
                snapshot = await self._poll_once(state, receipts)
            status = snapshot.status
        except RequestError as error:
            failure = type(error).__name__
            raise
        finally:
            polled = telemetry.TaskPolled(
                kind=kind, source=source, task=task, polls=state.polls, status=status, error=failure
            )
            self.telemetry.emit(polled)
        return snapshot

    async def _poll_once(self, state: TaskState, receipts: bool) -> TaskSnapshot:
        components = self.open()
        state.polls += 1
        deadline = components.loop.time() + self._options.timeout
        source = state.source or ""
        # a purge has an endpoint of its own that is documented to say how it stands
        if state.kind is TaskKind.PURGE and not receipts:
            purge = calls.GetPurge(source, state.known_id)
            operation = await components.sender.once(purge, purge.request(), deadline)
            return TaskSnapshot(operation.status, operation.task_id)
        task = GetTask(source, state.known_id, receipts)
        return await components.sender.once(task, task.request(), deadline)

    async def _read_receipts(self, state: TaskState) -> TaskSnapshot:
        self.open()
        state.polls += 1
        return await self.read(GetTask(state.source or "", state.known_id, with_receipts=True))


def _log_never_awaited(count: int) -> None:
    if count:
        log.warning(
            "%d accepted tasks were never awaited: their results were never retrieved, and may be failures",
            count,
        )


def load_what_requests_need() -> None:
    """Load every call and model, the events and cattrs.

    Whatever a request loaded when it is first needed would hold up everything else on its loop.
    """
    load_ahead((calls, models, telemetry), ["decimal", "clinia_async.serialization.converters"])


def running_loop() -> asyncio.AbstractEventLoop:
    """Return the event loop that runs.

    Raises:
        ConfigError: none does, as in a process that was forked from within one.
    """
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise ConfigError(
            "no event loop runs here: a session works within one, and not in a process that was forked "
            "from it; make a session of its own there, within asyncio.run()"
        ) from None
