"""The poll scheduler: one a session, asleep unless somebody waits for a task.

Tasks wait in a heap by the time of their next look. Looks are capped in number at once and per
second, and there is one stream of looks per task however many wait for it. An odd answer (HTML, an
empty body, 429, 5xx, a timeout) means "ask again": what became of the task is not known from it.
"""

import asyncio
import heapq
import itertools
import random
from collections.abc import Awaitable, Callable

from attrs import field, frozen

from clinia_async.errors import ApiError, Outcome, RequestError, SessionClosed, TaskPollError
from clinia_async.models import TaskSnapshot
from clinia_async.pacing import Pace, ShareOfAge
from clinia_async.retry import is_passing
from clinia_async.secret import fingerprint
from clinia_async.watch import Watch, token_of

_NOT_FOUND = 404
_BURST = 0.02


@frozen
class Polling:
    """How to poll; durations are in seconds.

    `grace` is how long after acceptance a 404 is taken for a task that the service does not show
    yet. `patience` is how long a task may bring nothing but odd answers before the wait is given up.
    """

    pace: Pace = field(factory=ShareOfAge)
    in_flight: int = 64
    per_second: float = 1000.0
    grace: float = 30.0
    patience: float = 600.0
    jitter: float = 0.1


class Poller:
    def __init__(self, look: Callable[[Watch, bool], Awaitable[TaskSnapshot]], settings: Polling) -> None:
        self._look = look
        self._settings = settings
        self._heap: list[tuple[float, int, Watch]] = []
        self._order = itertools.count()
        self._scheduled: dict[Watch, _Oddity] = {}
        self._polls: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._free_at = 0.0
        self._held_until = 0.0
        self._closed = False

    @property
    def watching(self) -> int:
        return len(self._scheduled)

    def begin(self, watch: Watch) -> None:
        """Somebody waits for this task: look at it until it ends or nobody waits any more."""
        if self._closed:
            watch.lose(_closed(watch))
        elif watch not in self._scheduled:
            self._scheduled[watch] = _Oddity()
            self._schedule(watch, self._first_look(watch))

    def close(self) -> None:
        """Stops looking; whoever waits is told, with the token that resumes the task."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for poll in self._polls:
            poll.cancel()
        for watch in list(self._scheduled):
            watch.lose(_closed(watch))
        self._scheduled.clear()
        self._heap.clear()

    async def closed(self) -> None:
        await asyncio.gather(*self._polls, return_exceptions=True)

    def _first_look(self, watch: Watch) -> float:
        now = _now()
        seen = watch.stats.seen_pending_at
        if seen is None and watch.stats.resumed:
            return now
        return max(now, (watch.stats.submitted_at if seen is None else seen) + self._pause(watch, now))

    def _pause(self, watch: Watch, now: float) -> float:
        pause = self._settings.pace(watch.kind, max(0.0, now - watch.stats.submitted_at))
        return pause * (1 + self._settings.jitter * random.uniform(-1, 1))

    def _schedule(self, watch: Watch, due: float) -> None:
        heapq.heappush(self._heap, (due, next(self._order), watch))
        self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._heap and len(self._polls) < self._settings.in_flight:
            at = max(self._heap[0][0], self._free_at, self._held_until)
            self._timer = asyncio.get_running_loop().call_at(at, self._fire)

    def _fire(self) -> None:
        self._timer = None
        now = _now()
        while self._heap and self._heap[0][0] <= now and self._may_look(now):
            watch = heapq.heappop(self._heap)[2]
            if not watch.waited_for:
                del self._scheduled[watch]
                continue
            self._free_at = max(self._free_at, now - _BURST) + 1 / self._settings.per_second
            poll = asyncio.get_running_loop().create_task(self._poll(watch), name="clinia-poll")
            self._polls.add(poll)
            poll.add_done_callback(self._polled)
        self._arm()

    def _may_look(self, now: float) -> bool:
        return len(self._polls) < self._settings.in_flight and max(self._free_at, self._held_until) <= now

    def _polled(self, poll: asyncio.Task[None]) -> None:
        self._polls.discard(poll)
        if not poll.cancelled():
            poll.result()  # a fault of ours: the loop's exception handler gets to see it
        if not self._closed:
            self._arm()

    async def _poll(self, watch: Watch) -> None:
        try:
            due = await self._next_look(watch)
        except Exception:
            del self._scheduled[watch]
            self._lose(watch, "a fault of this library")  # nobody may be left waiting for ever
            raise
        if due is None or not watch.waited_for or watch.snapshot.status.is_terminal:
            self._scheduled.pop(watch, None)
        else:
            self._schedule(watch, due)

    async def _next_look(self, watch: Watch) -> float | None:
        """Looks once, and says when to look again."""
        try:
            snapshot = await self._look(watch, watch.followed)
        except RequestError as error:
            return self._after(error, watch)
        watch.observe(snapshot)
        self._scheduled[watch] = _Oddity()
        return _now() + self._pause(watch, _now())

    def _after(self, error: RequestError, watch: Watch) -> float | None:
        """When to ask again after an answer that tells nothing, or None if there is no use in it."""
        now = _now()
        oddity = self._scheduled[watch] = self._scheduled[watch].another(now)
        hopeless = self._why_hopeless(error, now - watch.stats.submitted_at, now - oddity.since)
        if hopeless is not None:
            self._lose(watch, hopeless, error.status if isinstance(error, ApiError) else None)
            return None
        if error.retry_after is not None:
            self._held_until = max(self._held_until, now + error.retry_after)
        return now + max(self._pause(watch, now), oddity.pause)

    def _lose(self, watch: Watch, why: str, status: int | None = None) -> None:
        text = f"{watch.kind} task {fingerprint(watch.id)}: {why}"
        token = token_of(watch.known_id, watch.source)
        error = TaskPollError(text, id=watch.known_id, state=watch.snapshot.status, token=token)
        error.status = status
        watch.lose(error)

    def _why_hopeless(self, error: RequestError, age: float, odd_for: float) -> str | None:
        if isinstance(error, ApiError) and error.status == _NOT_FOUND:
            return "the service does not know it" if age > self._settings.grace else None
        if not is_passing(error):
            return f"it can no longer be watched ({error})"
        if odd_for > self._settings.patience:
            return f"nothing but odd answers for {self._settings.patience} s ({error})"
        return None


@frozen
class _Oddity:
    """A run of odd answers about one task."""

    count: int = 0
    since: float = 0.0

    def another(self, now: float) -> "_Oddity":
        return _Oddity(self.count + 1, self.since if self.count else now)

    @property
    def pause(self) -> float:
        return float(min(0.25 * 2 ** min(self.count, 10), 15.0))


def _closed(watch: Watch) -> SessionClosed:
    token = token_of(watch.known_id, watch.source)
    return SessionClosed("the session is closed; the task goes on", outcome=Outcome.UNKNOWN, token=token)


def _now() -> float:
    return asyncio.get_running_loop().time()
