"""The poll scheduler: one a session, asleep unless somebody waits for a task.

Tasks wait in a wheel: a list for each tick of five milliseconds that something is due in. A few workers poll
what is due, the longest due first. Polls are capped in number at once and per second, and there is one
stream of polls per task however many wait for it. A bad answer (HTML, an empty body, 429, 5xx, a timeout)
means "ask again": it says nothing of the task.
"""

import asyncio
import heapq
import math
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import chain
from random import Random
from random import random as default_seed

from attrs import field, frozen

from clinia_async.errors import (
    ApiError,
    ConfigError,
    ConnectionFailed,
    CredentialsFailed,
    GatewayError,
    NotFound,
    Outcome,
    RequestError,
    SessionClosed,
    TaskPollError,
    reason_of,
)
from clinia_async.errors.settings import Number, is_async, is_finite, named_options
from clinia_async.models import TaskSnapshot
from clinia_async.models.secret import fingerprint
from clinia_async.models.value import EqualByFields
from clinia_async.tasks.bad_answers import BadAnswerStreak
from clinia_async.tasks.detached import OwnTasks, create_detached, ends_loop, raise_fault
from clinia_async.tasks.pacing import Learner, Pace, jittered, learner
from clinia_async.tasks.resume_token import token_of
from clinia_async.tasks.task_state import TaskState

_BURST = 0.02
_TICK = 0.005
_IN_A_ROW = 64
"""Polls of one worker, which then ends: so the loop has a turn even if no poll had to wait for anything."""
_EARLY_TICKS = 0.01
"""Ticks by which a timer may fire early; a poll is never earlier than that."""


@named_options
@frozen(eq=False, repr=False)
class Polling(EqualByFields):
    """How to poll; durations are in seconds.

    `pace` says when to poll a task again: a function of its kind and its age, or a `Learner`, which also
    gets the source and learns how long each task took. None is a `LearnedPace` of the session's own. Each
    pause is made up to `jitter` longer or shorter, as a share of it. `in_flight` and `per_second` cap the
    polls of a session.

    `grace` is how long after acceptance a 404 is taken for a task that the service does not show yet.
    `patience` is how long a task may bring nothing but bad answers before the wait is given up. The time that
    a Retry-After asks for does not count, up to a day in a row.

    Raises:
        ConfigError: a value is out of its range.
    """

    pace: Pace | Learner | None = field(default=None)
    in_flight: int = field(default=64, validator=Number(least=1, whole=True))
    per_second: float = field(default=5000.0, validator=Number(above=0))
    grace: float = field(default=30.0, validator=Number(least=0))
    patience: float = field(default=600.0, validator=Number(above=0))
    jitter: float = field(default=0.1, validator=Number(least=0, below=1))

    @pace.validator
    def _check_pace(self, attribute: object, pace: object) -> None:
        if not (pace is None or callable(pace) or isinstance(pace, Learner)):
            raise ConfigError("Polling.pace must be a function of a kind and an age, a Learner, or None")
        if is_async(pace):
            raise ConfigError("Polling.pace must be a plain function: nothing awaits an async one")


class Poller:
    """Polls the tasks that somebody waits for; `poll` sends one GET, without retries.

    `patience_clock` returns the time in seconds without that for which the service asks to wait. What it asks
    for in a row counts beyond `longest_asked_wait` seconds.
    """

    def __init__(
        self,
        poll: Callable[[TaskState, bool], Awaitable[TaskSnapshot]],
        settings: Polling,
        random: Random | None = None,
        *,
        patience_clock: Callable[[], float] | None = None,
        longest_asked_wait: float = math.inf,
    ) -> None:
        self._poll = poll
        self._settings = settings
        self._patience_time = patience_clock or _now
        self._longest_asked_wait = longest_asked_wait
        self._pace = learner(settings.pace)
        self._random = random or Random(default_seed())
        self._wheel: dict[int, list[TaskState]] = {}
        """Scheduled tasks by the tick in which they are due."""
        self._ticks: list[int] = []
        """A heap of the wheel's ticks."""
        self._due: deque[TaskState] = deque()
        self._in_flight: set[TaskState] = set()
        self._workers = OwnTasks()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf
        self._free_at = 0.0
        """When the limit on polls per second allows the next one."""
        self._held_until = 0.0
        """Until when a Retry-After of the service holds every poll back."""
        self._closed = False
        self.scheduled = 0
        """How many tasks are polled."""

    def start(self, state: TaskState) -> None:
        """Poll this task until it ends or nobody waits for it any more. May be called again."""
        if self._closed:
            state.fail_waiters(_closed(state))
        elif not state.scheduled:
            self._schedule(state, self._first_due(state))
            state.scheduled = True
            self.scheduled += 1

    def close(self) -> None:
        """Stop polling. Every wait ends with `SessionClosed`, which has the token that resumes the task."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for worker in self._workers.tasks:
            worker.cancel()
        for state in [*chain.from_iterable(self._wheel.values()), *self._due, *self._in_flight]:
            self._forget(state)
            state.fail_waiters(_closed(state))
        self._wheel.clear()
        self._ticks.clear()
        self._due.clear()

    def works_in(self, task: "asyncio.Task[object]") -> bool:
        """Return whether `task` is one of those that poll."""
        return task in self._workers

    async def closed(self) -> None:
        """Wait until the polls in flight have ended, after `close`."""
        await asyncio.gather(*self._workers.tasks, return_exceptions=True)

    def _first_due(self, state: TaskState) -> float:
        if state.seen_pending_at is None and state.resumed:
            return _now()
        since = state.submitted_at if state.seen_pending_at is None else state.seen_pending_at
        return since + self._pause(state, since)

    def _pause(self, state: TaskState, at: float) -> float:
        """Seconds from `at` to the next poll."""
        age = max(0.0, at - state.submitted_at)
        pause: object = self._pace.pause(state.kind, state.source or "", age)
        if not isinstance(pause, int | float) or not is_finite(pause):
            raise ConfigError("Polling.pace must give a number of seconds")
        return jittered(pause, self._settings.jitter, self._random)

    def _schedule(self, state: TaskState, due: float) -> None:
        tick = math.ceil(due / _TICK)
        if tick in self._wheel:
            self._wheel[tick].append(state)
            return
        self._wheel[tick] = [state]
        heapq.heappush(self._ticks, tick)
        self._set_timer(tick * _TICK)

    def _set_timer(self, time: float) -> None:
        if len(self._workers.tasks) >= self._settings.in_flight:
            return  # each of them asks what is due before it ends
        if self._timer is not None:
            if self._timer_at <= time:
                return
            self._timer.cancel()
        self._timer_at = time
        self._timer = asyncio.get_running_loop().call_at(time, self._fire)

    def _fire(self) -> None:
        self._timer = None
        self._start_workers()

    def _start_workers(self) -> None:
        while len(self._workers.tasks) < self._settings.in_flight and (state := self._next_due()) is not None:
            worker = self._workers.make(partial(create_detached, self._work(state), "clinia-poll"))
            worker.add_done_callback(self._worked)
        if self._due:
            self._set_timer(max(self._free_at, self._held_until))
        elif self._ticks:
            self._set_timer(max(self._ticks[0] * _TICK, self._held_until))

    def _worked(self, worker: asyncio.Task[None]) -> None:
        self._workers.tasks.discard(worker)
        if not self._closed:
            self._start_workers()
        raise_fault(worker)

    def _next_due(self) -> TaskState | None:
        """The next task to poll, if one is due and a poll is allowed now."""
        now = _now()
        while self._ticks and self._ticks[0] <= now / _TICK + _EARLY_TICKS:
            self._due.extend(self._wheel.pop(heapq.heappop(self._ticks)))
        while self._due and max(self._free_at, self._held_until) <= now:
            state = self._due.popleft()
            if state.is_awaited:
                self._free_at = max(self._free_at, now - _BURST) + 1 / self._settings.per_second
                self._in_flight.add(state)
                return state
            self._forget(state)
        return None

    def _forget(self, state: TaskState) -> None:
        state.scheduled = False
        state.wait_context = None
        state.bad_answers = None
        self.scheduled -= 1

    async def _work(self, first: TaskState) -> None:
        """Poll one task after the other, for as long as one is due: a burst needs no worker for each."""
        state: TaskState | None = first
        left = _IN_A_ROW
        while state is not None:
            await self._poll_one(state)
            left -= 1
            state = self._next_due() if left else None

    async def _poll_one(self, state: TaskState) -> None:
        due = None
        try:
            due = await self._poll_and_plan(state)
        except BaseException as error:
            if not self._closed:  # nobody may be left waiting for ever
                where = (
                    "that ended the event loop" if ends_loop(error) else "in this library or in Polling.pace"
                )
                self._fail_waiters(state, f"{type(error).__name__} {where}")
            raise
        finally:
            self._in_flight.discard(state)
            if not self._closed and (due is None or not state.is_awaited):
                self._forget(state)
        if due is not None and state.is_awaited:
            self._schedule(state, due)

    async def _poll_and_plan(self, state: TaskState) -> float | None:
        """Poll once. Returns when to poll again, or None if that is of no use."""
        asked, receipts = _now(), state.polls_for_receipts
        try:
            snapshot = await self._poll(state, receipts)
        except RequestError as error:
            return self._after_bad_answer(error, state, receipts=receipts)
        except SessionClosed:
            state.fail_waiters(_closed(state))
            return None
        is_news, seen_before = not state.has_ended, state.seen_pending_at
        state.observe(snapshot, asked)
        state.bad_answers = None
        if is_news and not state.resumed:
            self._learn(state, seen_before)
        if state.has_ended:
            return None
        now = _now()
        return now + self._pause(state, now)

    def _learn(self, state: TaskState, seen_before: float | None) -> None:
        since = state.submitted_at
        after = 0.0 if seen_before is None else max(0.0, seen_before - since)
        by = _now() if state.has_ended else state.seen_pending_at or since
        self._pace.learn(state.kind, state.source or "", after, by - since, ended=state.has_ended)

    def _after_bad_answer(self, error: RequestError, state: TaskState, *, receipts: bool) -> float | None:
        """When to poll again after an answer that brought no status, or None if that is of no use."""
        now, at = _now(), self._patience_time()
        streak = BadAnswerStreak.after(
            state.bad_answers, at, now=now, has_asked_to_wait=bool(error.retry_after)
        )
        state.bad_answers = streak
        if receipts and _is_refusal(error):
            return now  # it may be only the receipts that are refused: the next poll goes without
        reason = self._why_hopeless(error, now, state.submitted_at, streak)
        if reason is not None:
            self._fail_waiters(state, reason, error)
            return None
        if error.retry_after is not None:
            self._held_until = max(self._held_until, now + error.retry_after)
        return now + streak.pause(self._pause(state, now))

    def _fail_waiters(self, state: TaskState, reason: str, cause: RequestError | None = None) -> None:
        text = f"{state.kind} task {fingerprint(state.id)}: {reason}"
        token = token_of(state.known_id, state.source, maybe_applied=state.maybe_applied)
        error = TaskPollError(text, id=state.known_id, state=state.snapshot.status, token=token)
        if cause is not None:
            error.request_id = cause.request_id
            error.status = cause.status if isinstance(cause, ApiError) else None
        state.fail_waiters(error)

    def _why_hopeless(
        self, error: RequestError, now: float, submitted_at: float, streak: BadAnswerStreak
    ) -> str | None:
        """Why no further poll can bring a status; None if one may."""
        if isinstance(error, NotFound):
            return "the service does not know it" if now - submitted_at > self._settings.grace else None
        is_lasting = isinstance(error, ConnectionFailed | CredentialsFailed) and not error.is_transient
        if _is_refusal(error) or is_lasting:
            return f"it can no longer be polled ({reason_of(error)})"
        bad_for = now - streak.began
        if max(streak.lasted, bad_for - self._longest_asked_wait) > self._settings.patience:
            return f"nothing but bad answers for {bad_for:.0f} s ({reason_of(error)})"
        return None


def _is_refusal(error: RequestError) -> bool:
    """Whether the service itself, in its own envelope, refuses the poll.

    A page of a proxy or a firewall speaks for nobody but itself, and so means "ask again".
    """
    return isinstance(error, ApiError) and not error.is_transient and not isinstance(error, GatewayError)


def _closed(state: TaskState) -> SessionClosed:
    token = token_of(state.known_id, state.source, maybe_applied=state.maybe_applied)
    return SessionClosed("the session is closed; the task goes on", outcome=Outcome.UNKNOWN, token=token)


def _now() -> float:
    return asyncio.get_running_loop().time()
