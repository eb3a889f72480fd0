"""The poll scheduler: one a session, asleep unless somebody waits for a task.

Tasks wait in a wheel: a list for each tick of five milliseconds that something is due in. A few workers
look at what is due, the longest due first. Looks are capped in number at once and per second, and there
is one stream of looks per task however many wait for it. An odd answer (HTML, an empty body, 429, 5xx, a
timeout) means "ask again": what became of the task is not known from it.
"""

import asyncio
import heapq
import math
from collections import deque
from collections.abc import Awaitable, Callable
from itertools import chain
from random import Random, random

from attrs import frozen

from clinia_async.errors import ApiError, ConfigError, Outcome, RequestError, SessionClosed, TaskPollError
from clinia_async.models import TaskSnapshot
from clinia_async.models.secret import fingerprint
from clinia_async.tasks.pacing import Learner, Pace, jittered, learner
from clinia_async.tasks.task_state import BadAnswerStreak, TaskState, token_of

_NOT_FOUND = 404
_BURST = 0.02
_TICK = 0.005
_IN_A_ROW = 64
"""Looks of one worker, which then ends: so the loop has a turn even if no look had to wait for anything."""
_A_MOMENT = 0.01
"""Ticks by which a timer may fire early; a look is never earlier than that."""


@frozen
class Polling:
    """How to poll; durations are in seconds.

    `pace` says when to look at a task again: a function of its kind and its age, or a `Learner`, which
    also knows the source and is told how long each task took. None is a `LearnedPace` of the session's
    own. Each pause is made up to `jitter` longer or shorter, as a share of it. `in_flight` and
    `per_second` cap the looks of a session.

    `grace` is how long after acceptance a 404 is taken for a task that the service does not show
    yet. `patience` is how long a task may bring nothing but odd answers before the wait is given up.
    """

    pace: Pace | Learner | None = None
    in_flight: int = 64
    per_second: float = 5000.0
    grace: float = 30.0
    patience: float = 600.0
    jitter: float = 0.1


class Poller:
    def __init__(
        self,
        look: Callable[[TaskState, bool], Awaitable[TaskSnapshot]],
        settings: Polling,
        chance: Random | None = None,
    ) -> None:
        self._look = look
        self._settings = settings
        self._pace = learner(settings.pace)
        self._chance = chance or Random(random())
        self._wheel: dict[int, list[TaskState]] = {}
        self._ticks: list[int] = []
        self._due: deque[TaskState] = deque()
        self._looked_at: set[TaskState] = set()
        self._workers: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._free_at = 0.0
        self._held_until = 0.0
        self._closed = False
        self.watching = 0

    def begin(self, watch: TaskState) -> None:
        """Somebody waits for this task: look at it until it ends or nobody waits any more."""
        if self._closed:
            watch.lose(_closed(watch))
        elif not watch.scheduled:
            self._schedule(watch, self._first_look(watch))
            watch.scheduled = True
            self.watching += 1

    def close(self) -> None:
        """Stops looking; whoever waits is told, with the token that resumes the task."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for worker in self._workers:
            worker.cancel()
        for watch in [*chain.from_iterable(self._wheel.values()), *self._due, *self._looked_at]:
            self._forget(watch)
            watch.lose(_closed(watch))
        self._wheel.clear()
        self._ticks.clear()
        self._due.clear()

    async def closed(self) -> None:
        await asyncio.gather(*self._workers, return_exceptions=True)

    def _first_look(self, watch: TaskState) -> float:
        if watch.seen_pending_at is None and watch.resumed:
            return _now()
        since = watch.submitted_at if watch.seen_pending_at is None else watch.seen_pending_at
        return since + self._pause(watch, since)

    def _pause(self, watch: TaskState, at: float) -> float:
        age = max(0.0, at - watch.submitted_at)
        pause = self._pace.pause(watch.kind, watch.source or "", age)
        if not math.isfinite(pause):
            raise ConfigError("a pace gave no number of seconds")
        return jittered(pause, self._settings.jitter, self._chance)

    def _schedule(self, watch: TaskState, due: float) -> None:
        tick = math.ceil(due / _TICK)
        if tick in self._wheel:
            self._wheel[tick].append(watch)
            return
        self._wheel[tick] = [watch]
        heapq.heappush(self._ticks, tick)
        self._wake_at(tick * _TICK)

    def _wake_at(self, time: float) -> None:
        if len(self._workers) >= self._settings.in_flight:
            return  # each of them asks what is due before it ends
        if self._timer is not None:
            if self._timer.when() <= time:
                return
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(time, self._fire)

    def _fire(self) -> None:
        self._timer = None
        self._wake()

    def _wake(self) -> None:
        while len(self._workers) < self._settings.in_flight and (watch := self._take()) is not None:
            worker = asyncio.get_running_loop().create_task(self._work(watch), name="clinia-poll")
            self._workers.add(worker)
            worker.add_done_callback(self._worked)
        if self._due:
            self._wake_at(max(self._free_at, self._held_until))
        elif self._ticks:
            self._wake_at(max(self._ticks[0] * _TICK, self._held_until))

    def _worked(self, worker: asyncio.Task[None]) -> None:
        self._workers.discard(worker)
        if not self._closed:
            self._wake()
        if not worker.cancelled():
            worker.result()  # a fault of ours: the loop's exception handler gets to see it

    def _take(self) -> TaskState | None:
        """The next task to look at, if one is due and a look is allowed now."""
        now = _now()
        while self._ticks and self._ticks[0] <= now / _TICK + _A_MOMENT:
            self._due.extend(self._wheel.pop(heapq.heappop(self._ticks)))
        while self._due and max(self._free_at, self._held_until) <= now:
            watch = self._due.popleft()
            if watch.waited_for:
                self._free_at = max(self._free_at, now - _BURST) + 1 / self._settings.per_second
                self._looked_at.add(watch)
                return watch
            self._forget(watch)
        return None

    def _forget(self, watch: TaskState) -> None:
        watch.scheduled = False
        watch.odd = None
        self.watching -= 1

    async def _work(self, first: TaskState) -> None:
        """Looks at one task after the other, for as long as one is due: a burst needs no task for each."""
        watch: TaskState | None = first
        left = _IN_A_ROW
        while watch is not None:
            await self._poll(watch)
            left -= 1
            watch = self._take() if left else None

    async def _poll(self, watch: TaskState) -> None:
        due = None
        try:
            due = await self._next_look(watch)
        except Exception:
            self._lose(watch, "a fault of this library")  # nobody may be left waiting for ever
            raise
        finally:
            self._looked_at.discard(watch)
            if not self._closed and (due is None or not watch.waited_for):
                self._forget(watch)
        if due is not None and watch.waited_for:
            self._schedule(watch, due)

    async def _next_look(self, watch: TaskState) -> float | None:
        """Looks once, and says when to look again, if that is of any use."""
        asked = _now()
        try:
            snapshot = await self._look(watch, watch.followed)
        except RequestError as error:
            return self._after(error, watch)
        is_news, seen_before = not watch.has_ended, watch.seen_pending_at
        watch.observe(snapshot, asked)
        watch.odd = None
        if is_news and not watch.resumed:
            self._learn(watch, seen_before)
        if watch.has_ended:
            return None
        now = _now()
        return now + self._pause(watch, now)

    def _learn(self, watch: TaskState, seen_before: float | None) -> None:
        since = watch.submitted_at
        after = 0.0 if seen_before is None else max(0.0, seen_before - since)
        by = _now() if watch.has_ended else watch.seen_pending_at or since
        self._pace.learn(watch.kind, watch.source or "", after, by - since, ended=watch.has_ended)

    def _after(self, error: RequestError, watch: TaskState) -> float | None:
        """When to ask again after an answer that tells nothing, or None if there is no use in it."""
        now = _now()
        odd = watch.odd = (
            BadAnswerStreak(watch.odd.count + 1, watch.odd.since) if watch.odd else BadAnswerStreak(1, now)
        )
        hopeless = self._why_hopeless(error, now - watch.submitted_at, now - odd.since)
        if hopeless is not None:
            self._lose(watch, hopeless, error.status if isinstance(error, ApiError) else None)
            return None
        if error.retry_after is not None:
            self._held_until = max(self._held_until, now + error.retry_after)
        return now + max(self._pause(watch, now), odd.pause)

    def _lose(self, watch: TaskState, why: str, status: int | None = None) -> None:
        text = f"{watch.kind} task {fingerprint(watch.id)}: {why}"
        token = token_of(watch.known_id, watch.source)
        error = TaskPollError(text, id=watch.known_id, state=watch.snapshot.status, token=token)
        error.status = status
        watch.lose(error)

    def _why_hopeless(self, error: RequestError, age: float, odd_for: float) -> str | None:
        if isinstance(error, ApiError) and error.status == _NOT_FOUND:
            return "the service does not know it" if age > self._settings.grace else None
        if not error.is_transient:
            return f"it can no longer be watched ({error})"
        if odd_for > self._settings.patience:
            return f"nothing but odd answers for {self._settings.patience} s ({error})"
        return None


def _closed(watch: TaskState) -> SessionClosed:
    token = token_of(watch.known_id, watch.source)
    return SessionClosed("the session is closed; the task goes on", outcome=Outcome.UNKNOWN, token=token)


def _now() -> float:
    return asyncio.get_running_loop().time()
