"""A brown-out on a simulated clock: a service loses nine tenths of its capacity for a minute.

Some clients of this library ingest without end. Each uses the library's own `AdaptiveLimit`, `RetryBudget`,
`RetryWaits` and verdicts; the service and time itself are made up. For more seeds and services than the
tests have time for:

    python -m tests.simulations.brownout --seeds 20
"""

import argparse
import heapq
import itertools
import math
from collections import deque
from collections.abc import Callable, Sequence
from random import Random

from attrs import define, field, frozen

from clinia_async.errors import ApiError, ErrorInfo, Outcome, RequestError, RequestTimeout
from clinia_async.transport.adaptive_limit import AdaptiveLimit, ConcurrencyLimits
from clinia_async.transport.limiter import load_signal_of
from clinia_async.transport.permits import LoadSignal, Permit
from clinia_async.transport.retry import RetryBudget, RetryPolicy, RetryWaits, is_throttled

FULL, BROWN = 200.0, 20.0
"""Requests a second that the service can carry out."""

CUT, RESTORED, END = 30.0, 90.0, 130.0
WARM = 5.0
NETWORK = 0.05
"""Seconds that a request and its answer are on the wire together, more or less."""

Answer = Callable[[int], None]


@frozen
class Service:
    """What finds no `room` in the queue is refused with 429, perhaps with a Retry-After.

    A queue without bounds refuses nothing; its clients give up after `timeout`, and what they gave up
    is carried out all the same. With `burst`, there is no queue: the service answers at once while it
    has tokens, of which so many seconds' worth are saved up, and refuses otherwise.
    """

    name: str
    room: float = math.inf
    retry_after: float | None = None
    timeout: float = 30.0
    burst: float | None = None


SHEDDING = Service("sheds, 429", room=100)
HINTING = Service("sheds, Retry-After 2", room=100, retry_after=2.0)
QUEUEING = Service("queues, timeout 10 s", timeout=10.0)
PROMISED = (SHEDDING, HINTING, QUEUEING)
"""The services that the promise is made for; the others show where it ends."""

OTHERS = (
    Service("queues, timeout 30 s", timeout=30.0),
    Service("queues, timeout 2 s", timeout=2.0),
    Service("short queue, 429", room=20),
    Service("short queue, Retry-After 2", room=20, retry_after=2.0),
    Service("no queue, 429", burst=0.1),
    Service("no queue, Retry-After 2", burst=0.1, retry_after=2.0),
)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def after(self, seconds: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + seconds, next(self._order), event))

    def run(self, until: float) -> None:
        while self._events and self._events[0][0] <= until:
            self.now, _, event = heapq.heappop(self._events)
            event()


class Server:
    def __init__(self, clock: Clock, service: Service, random: Random) -> None:
        self._clock = clock
        self._service = service
        self._random = random
        self._queue: deque[Answer] = deque()
        self._tokens, self._tokens_at = 0.0, 0.0

    def request(self, answer: Answer) -> None:
        if self._service.burst is not None:
            answer(200 if self._spend(self._service.burst) else 429)
        elif len(self._queue) >= self._service.room:
            answer(429)
        else:
            self._queue.append(answer)
            if len(self._queue) == 1:
                self._serve()

    @property
    def _capacity(self) -> float:
        return BROWN if CUT <= self._clock.now < RESTORED else FULL

    def _serve(self) -> None:
        self._clock.after(self._random.uniform(0.5, 1.5) / self._capacity, self._served)

    def _served(self) -> None:
        self._queue.popleft()(200)
        if self._queue:
            self._serve()

    def _spend(self, burst: float) -> bool:
        earned = (self._clock.now - self._tokens_at) * self._capacity
        self._tokens = min(burst * self._capacity, self._tokens + earned)
        self._tokens_at = self._clock.now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


@define(eq=False)
class Client:
    """One process that ingests: workers that each have a record to send at all times, and one adaptive."""

    clock: Clock
    server: Server
    service: Service
    random: Random
    adaptive: AdaptiveLimit
    budget: RetryBudget
    sends: list[float] = field(factory=list)
    useful: list[float] = field(factory=list)
    _waiting: deque[Callable[[Permit], None]] = field(factory=deque)

    def join(self, enters: Callable[[Permit], None]) -> None:
        self._waiting.append(enters)
        self.admit()

    def admit(self) -> None:
        while self._waiting:
            opens = self.adaptive.opens_at(0)
            if opens > self.clock.now:
                if opens < math.inf:
                    self.clock.after(opens - self.clock.now, self.admit)
                return
            self._waiting.popleft()(self.adaptive.enter(0, self.clock.now))

    def leave(self, permit: Permit, signal: LoadSignal, retry_after: float | None = None) -> None:
        self.adaptive.leave(permit, signal, self.clock.now, retry_after=retry_after)
        self.admit()


class Worker:
    """Sends one record after the other, each until it is stored: `Sender` within what a job adds to it."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._pause = 0.5
        self._begin()

    def _begin(self) -> None:
        self._waits = RetryWaits(RetryPolicy(), lambda step: self._client.random.uniform(0, step))
        self._left = RetryPolicy().attempts
        self._client.join(self._send)

    def _send(self, permit: Permit) -> None:
        client = self._client
        client.sends.append(client.clock.now)
        is_open = True

        def answered(status: int | None) -> None:
            nonlocal is_open
            if is_open:
                is_open = False
                self._answered(permit, status)

        def answer(status: int) -> None:
            client.clock.after(NETWORK / 2, lambda: answered(status))

        client.clock.after(NETWORK * client.random.uniform(0.4, 0.6), lambda: client.server.request(answer))
        client.clock.after(client.service.timeout, lambda: answered(None))

    def _answered(self, permit: Permit, status: int | None) -> None:
        if status == 200:
            self._client.useful.append(self._client.clock.now)
            self._client.budget.success()
            self._client.leave(permit, LoadSignal.GOOD)
            self._pause = 0.5
            self._begin()
            return
        error = self._error(status)
        self._client.leave(permit, load_signal_of(error), error.retry_after)
        self._left -= 1
        if self._left and (is_throttled(error) or self._client.budget.afford(error)):
            pause = self._waits.after(error) - (error.retry_after or 0.0)
            self._client.clock.after(pause, lambda: self._client.join(self._send))
        else:
            self._client.clock.after(self._pause, self._begin)
            self._pause = min(self._pause * 2, 5.0)

    def _error(self, status: int | None) -> RequestError:
        if status is None:
            return RequestTimeout("no answer in time")
        hint = self._client.service.retry_after
        return ApiError("", status=status, info=ErrorInfo(), outcome=Outcome.REJECTED, retry_after=hint)


@frozen
class Figures:
    """`during` is the minute of the brown-out alone; goodput is a share of what the service could do."""

    sends_per_useful: float
    during: float
    goodput: float
    goodput_during: float
    recovery: float
    """Seconds from the end of the cut until the goodput of the next five is 90 % of the full capacity."""
    unfairness: float
    """What the client that was served most got, over what the one that was served least got."""


def simulate(
    service: Service,
    seed: int,
    *,
    clients: int = 20,
    workers: int = 32,
    adaptive: Callable[[ConcurrencyLimits, Callable[[], float]], AdaptiveLimit] = AdaptiveLimit,
    budget: Callable[[], RetryBudget] = RetryBudget,
) -> Figures:
    random = Random(seed)
    clock = Clock()
    server = Server(clock, service, random)
    crowd = [
        Client(clock, server, service, random, adaptive(ConcurrencyLimits(), random.random), budget())
        for _ in range(clients)
    ]
    for client in crowd:
        for _ in range(workers):
            Worker(client)
    clock.run(END)
    return _figures(crowd)


def _figures(crowd: Sequence[Client]) -> Figures:
    sends = sorted(itertools.chain.from_iterable(client.sends for client in crowd))
    useful = sorted(itertools.chain.from_iterable(client.useful for client in crowd))
    could = FULL * (CUT - WARM + END - RESTORED) + BROWN * (RESTORED - CUT)
    shares = [len(client.useful) for client in crowd]
    return Figures(
        sends_per_useful=len(sends) / max(1, len(useful)),
        during=_count(sends, CUT, RESTORED) / max(1, _count(useful, CUT, RESTORED)),
        goodput=_count(useful, WARM, END) / could,
        goodput_during=_count(useful, CUT, RESTORED) / (BROWN * (RESTORED - CUT)),
        recovery=_recovery(useful),
        unfairness=max(shares) / max(1, min(shares)),
    )


def _recovery(useful: Sequence[float]) -> float:
    for quarters in range(int(END - RESTORED - 5) * 4):
        start = RESTORED + quarters / 4
        if _count(useful, start, start + 5) >= 0.9 * FULL * 5:
            return quarters / 4
    return math.inf


def _count(times: Sequence[float], start: float, end: float) -> int:
    return sum(start <= time < end for time in times)


def worst(figures: Sequence[Figures]) -> Figures:
    return Figures(
        max(run.sends_per_useful for run in figures),
        max(run.during for run in figures),
        min(run.goodput for run in figures),
        min(run.goodput_during for run in figures),
        max(run.recovery for run in figures),
        max(run.unfairness for run in figures),
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="A brown-out before this client: the worst of all seeds.")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 5, 20, 50])
    options = parser.parse_args(arguments)
    print(f"{'service':28}{'clients':>8}{'sends/useful':>14}{'in the cut':>12}{'goodput':>9}", end="")
    print(f"{'in the cut':>12}{'recovery s':>12}{'max/min':>9}")
    for service in (*PROMISED, *OTHERS):
        for clients in options.clients:
            run = worst([simulate(service, seed, clients=clients) for seed in range(options.seeds)])
            print(f"{service.name:28}{clients:8}{run.sends_per_useful:14.3f}{run.during:12.3f}", end="")
            print(f"{run.goodput:9.3f}{run.goodput_during:12.3f}{run.recovery:12.2f}{run.unfairness:9.2f}")


if __name__ == "__main__":
    main()
