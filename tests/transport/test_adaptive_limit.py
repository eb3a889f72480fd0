"""The adaptive without a loop: whatever happens in whatever order, it keeps what it promises."""

import math
from collections import deque
from random import Random

import pytest
from attrs import evolve
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from clinia_async import ConcurrencyLimits, ConfigError
from clinia_async.transport.adaptive_limit import AdaptiveLimit
from clinia_async.transport.permits import LoadSignal, Permit

NO_JITTER = 0.5
ROUND_TRIP = 0.05


def limit_of(**limits: object) -> AdaptiveLimit:
    return AdaptiveLimit(evolve(ConcurrencyLimits(), **limits), lambda: NO_JITTER)


def answer(adaptive: AdaptiveLimit, signal: LoadSignal, now: float, *, size: int = 0, **more: float) -> float:
    """One request, as soon as it may enter; gives the time of its answer."""
    at = max(now, adaptive.opens_at(size))
    permit = adaptive.enter(size, at)
    adaptive.leave(permit, signal, at + ROUND_TRIP, **more)
    return at + ROUND_TRIP


def fill(adaptive: AdaptiveLimit, now: float, size: int = 0) -> list[Permit]:
    entered = []
    while adaptive.opens_at(size) <= now:
        entered.append(adaptive.enter(size, now))
    return entered


def good_round(adaptive: AdaptiveLimit, now: float) -> float:
    """As many requests as may be in flight, all with good answers."""
    for permit in fill(adaptive, now):
        adaptive.leave(permit, LoadSignal.GOOD, now + ROUND_TRIP)
    return now + ROUND_TRIP


def test_growth_is_fast_until_the_first_throttle() -> None:
    adaptive = limit_of()
    good_round(adaptive, 0.0)
    assert adaptive.limit == 6.0, "the second half of the answers finds the adaptive less than half full"
    now = 1.0
    for _ in range(20):
        now = good_round(adaptive, now)
    assert adaptive.limit == 32


def test_growth_after_a_throttle_is_at_most_one_a_round() -> None:
    adaptive = limit_of(start=20)
    now = answer_under_a_full_limit(adaptive, LoadSignal.THROTTLED, 0.0)
    assert adaptive.limit == 14
    before = adaptive.limit
    for _ in range(40):
        now = good_round(adaptive, now)
        assert before <= adaptive.limit <= before + 1
        before = adaptive.limit
    assert adaptive.limit > 20, "and it does find out that there is more room again"


def answer_under_a_full_limit(adaptive: AdaptiveLimit, signal: LoadSignal, now: float) -> float:
    entered = fill(adaptive, now)
    for permit in entered:
        adaptive.leave(permit, signal, now + 1.0)
    return now + 1.0


def test_a_limit_that_is_hardly_used_does_not_grow() -> None:
    adaptive = limit_of(start=8)
    now = 0.0
    for _ in range(50):
        now = answer(adaptive, LoadSignal.GOOD, now)
    assert adaptive.limit == 8


def test_the_limit_does_not_grow_while_answers_take_longer() -> None:
    adaptive = limit_of()
    now = answer(adaptive, LoadSignal.GOOD, 0.0)
    for _ in range(20):
        for permit in fill(adaptive, now):
            adaptive.leave(permit, LoadSignal.GOOD, now + 10 * ROUND_TRIP)
        now += 10 * ROUND_TRIP
    assert adaptive.limit == 4
    good_round(adaptive, now)
    assert adaptive.limit > 4


def test_the_shortest_round_trip_is_measured_anew_after_a_time() -> None:
    adaptive = limit_of()
    now = answer(adaptive, LoadSignal.GOOD, 0.0)
    for _ in range(200):
        for permit in fill(adaptive, now):
            adaptive.leave(permit, LoadSignal.GOOD, now + 1.0)
        now += 1.0
    assert adaptive.limit > 4


def test_an_idle_limit_keeps_its_size() -> None:
    adaptive = limit_of()
    now = answer(adaptive, LoadSignal.GOOD, 0.0)
    answer(adaptive, LoadSignal.GOOD, now + 1e9)


def test_large_requests_are_not_measured_by_small_ones() -> None:
    adaptive = limit_of()
    now = answer(adaptive, LoadSignal.GOOD, 0.0)
    for permit in fill(adaptive, now, size=1_000_000):
        adaptive.leave(permit, LoadSignal.GOOD, now + 20 * ROUND_TRIP)
    assert adaptive.limit == 6


def test_many_throttled_answers_in_one_epoch_are_one_decrease() -> None:
    adaptive = limit_of(start=20)
    answer_under_a_full_limit(adaptive, LoadSignal.THROTTLED, 0.0)
    assert (adaptive.limit, adaptive.throttles) == (14, 20)


def test_decreases_are_an_epoch_apart() -> None:
    adaptive = limit_of(start=20, epoch=0.2)
    now = answer(adaptive, LoadSignal.THROTTLED, 0.0)
    now = answer(adaptive, LoadSignal.THROTTLED, now)
    assert adaptive.limit == 14
    answer(adaptive, LoadSignal.THROTTLED, now + 0.2)
    assert adaptive.limit == pytest.approx(9.8)


def test_throttled_requests_from_before_a_decrease_cause_no_second_one() -> None:
    adaptive = limit_of(start=20)
    first, second, *_ = fill(adaptive, 0.0)
    adaptive.leave(first, LoadSignal.THROTTLED, 1.0)
    adaptive.leave(second, LoadSignal.THROTTLED, 5.0)
    assert (adaptive.limit, adaptive.throttles) == (14, 2)


def test_good_answers_from_before_a_decrease_do_not_undo_it() -> None:
    adaptive = limit_of(start=20)
    first, *others = fill(adaptive, 0.0)
    adaptive.leave(first, LoadSignal.THROTTLED, 1.0)
    for permit in others:
        adaptive.leave(permit, LoadSignal.GOOD, 1.1)
    assert adaptive.limit == 14


def test_after_a_retry_after_one_request_goes_first() -> None:
    adaptive = limit_of(start=20)
    first, *others = fill(adaptive, 0.0)
    adaptive.leave(first, LoadSignal.THROTTLED, 1.0, retry_after=10.0)
    for permit in others:
        adaptive.leave(permit, LoadSignal.GOOD, 1.0)
    assert 11.0 <= adaptive.opens_at(0) <= 13.0
    back = adaptive.opens_at(0)
    (probe,) = fill(adaptive, back)
    adaptive.leave(probe, LoadSignal.GOOD, back + 0.1)
    assert len(fill(adaptive, back + 0.1)) == 2


def test_after_a_retry_after_growth_is_fast_up_to_the_limit_that_held() -> None:
    adaptive = limit_of(start=20)
    now = answer(adaptive, LoadSignal.THROTTLED, 0.0, retry_after=2.0)
    while adaptive.limit < 13.9:
        now = good_round(adaptive, max(now, adaptive.opens_at(0)))
    assert now < 3.5
    while now < 4:
        now = good_round(adaptive, now)
    assert adaptive.limit <= 14
    while now < 10:
        now = good_round(adaptive, now)
    assert adaptive.limit > 20


def test_the_longer_of_two_retry_afters_counts() -> None:
    adaptive = limit_of()
    first, second, *_ = fill(adaptive, 0.0)
    adaptive.leave(first, LoadSignal.THROTTLED, 1.0, retry_after=10.0)
    adaptive.leave(second, LoadSignal.THROTTLED, 1.0, retry_after=1.0)
    adaptive.in_flight = 0
    assert adaptive.opens_at(0) >= 11.0


def test_below_one_in_flight_requests_are_spaced() -> None:
    adaptive = limit_of(start=1)
    now, gaps = 0.0, []
    for _ in range(10):
        now = answer(adaptive, LoadSignal.THROTTLED, now)
        gaps.append(round(adaptive.opens_at(0) - (now - ROUND_TRIP), 6))
        now += 0.2
    assert gaps == sorted(gaps)
    assert gaps[0] == 2 * ROUND_TRIP
    assert gaps[-1] == 2.0, "and they are never so far apart that a recovery goes unnoticed"
    for _ in range(40):
        now = answer(adaptive, LoadSignal.GOOD, now)
    assert adaptive.opens_at(0) <= now, "good answers bring them together again"
    assert adaptive.limit >= 1


def test_a_body_that_is_too_large_goes_alone() -> None:
    adaptive = limit_of(bytes=100)
    small = adaptive.enter(10, 0.0)
    assert adaptive.opens_at(1000) == math.inf
    assert adaptive.opens_at(91) == math.inf
    assert adaptive.opens_at(90) <= 0.0
    adaptive.leave(small, LoadSignal.GOOD, 0.1)
    adaptive.enter(1000, 0.1)
    assert adaptive.opens_at(0) == math.inf
    assert adaptive.peak_bytes == 1000


def test_after_a_refused_key_nothing_is_admitted() -> None:
    adaptive = limit_of()
    answer(adaptive, LoadSignal.REFUSED, 0.0)
    assert adaptive.is_key_refused
    assert adaptive.opens_at(0) == math.inf


@pytest.mark.parametrize("signal", LoadSignal)
def test_the_clock_is_all_that_a_rate_needs(signal: LoadSignal) -> None:
    adaptive = limit_of(rate=10.0)
    permit = adaptive.enter(0, 5.0)
    assert adaptive.opens_at(0) == pytest.approx(5.1)
    if signal not in {LoadSignal.REFUSED, LoadSignal.THROTTLED}:
        adaptive.leave(permit, signal, 5.01)
        assert adaptive.opens_at(0) == pytest.approx(5.1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"least": 0},
        {"start": 33},
        {"least": 5},
        {"decrease": 0.0},
        {"decrease": 1.0},
        {"epoch": -1.0},
        {"epoch": math.nan},
        {"rate": 0.0},
        {"rate": math.nan},
        {"rate": math.inf},
        {"bytes": 0},
    ],
)
def test_limits_that_make_no_sense(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        ConcurrencyLimits(**wrong)  # type: ignore[arg-type]


class LimiterMachine(RuleBasedStateMachine):
    """Requests come, enter in turn, and leave in any order with any signal; time goes on or stands still."""

    @initialize(
        least=st.integers(1, 3),
        start=st.integers(3, 10),
        most=st.integers(10, 40),
        rate=st.none() | st.floats(0.5, 50.0),
        bound=st.integers(1, 500),
        seed=st.randoms(use_true_random=False),
    )
    def begin(
        self, *, least: int, start: int, most: int, rate: float | None, bound: int, seed: Random
    ) -> None:
        self.limits = ConcurrencyLimits(start=start, least=least, most=most, rate=rate, bytes=bound)
        self.adaptive = AdaptiveLimit(self.limits, seed.random)
        self.now = 1000.0
        self.waiting: deque[int] = deque()
        self.inside: list[Permit] = []
        self.entries: list[float] = []
        self.decreases: list[float] = []
        self.closed_until = -math.inf
        self.throttles = 0

    @rule(size=st.integers(0, 600))
    def arrives(self, size: int) -> None:
        self.waiting.append(size)
        self.let_in()

    @rule(seconds=st.sampled_from([0.0, 0.001, 0.05, 0.2, 1.0, 5.0, 100.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.let_in()

    @precondition(lambda self: self.inside)
    @rule(
        which=st.integers(0, 100),
        signal=st.sampled_from([LoadSignal.GOOD, LoadSignal.GOOD, LoadSignal.THROTTLED, LoadSignal.NEITHER]),
        hint=st.none() | st.floats(0.0, 3600.0),
    )
    def answered(self, which: int, signal: LoadSignal, hint: float | None) -> None:
        permit = self.inside.pop(which % len(self.inside))
        before = self.adaptive.limit
        hint = hint if signal is LoadSignal.THROTTLED else None
        epoch = self.adaptive._epoch
        self.adaptive.leave(permit, signal, self.now, retry_after=hint)
        self.throttles += signal is LoadSignal.THROTTLED
        if signal is LoadSignal.NEITHER:
            assert self.adaptive.limit == before
        if self.adaptive._epoch > epoch:
            assert not self.decreases or permit.at >= self.decreases[-1]
            assert not self.decreases or self.now - self.decreases[-1] >= self.limits.epoch - 1e-9
            self.decreases.append(self.now)
        elif not hint:
            assert self.adaptive.limit >= before
        if hint:
            self.closed_until = max(self.closed_until, self.now + hint)
            assert self.adaptive.limit == self.limits.least
        self.let_in()

    @precondition(lambda self: self.inside)
    @rule(which=st.integers(0, 100))
    def key_refused(self, which: int) -> None:
        self.adaptive.leave(self.inside.pop(which % len(self.inside)), LoadSignal.REFUSED, self.now)
        while self.inside:
            self.adaptive.leave(self.inside.pop(), LoadSignal.GOOD, self.now)
        self.now += 10_000.0
        assert self.adaptive.is_key_refused
        assert self.adaptive.opens_at(0) == math.inf
        self.adaptive.is_key_refused = False  # for nothing else would ever happen in this run
        self.let_in()

    @rule()
    def runs_dry(self) -> None:
        """Whatever happened, with time and good answers everybody who waits gets in, in turn."""
        for _ in range(2 * (len(self.waiting) + len(self.inside)) + 2):
            while self.inside:
                self.adaptive.leave(self.inside.pop(), LoadSignal.GOOD, self.now)
            if not self.waiting:
                return
            opens = self.adaptive.opens_at(self.waiting[0])
            assert opens < math.inf, "an empty adaptive only waits for time"
            self.now = max(self.now, opens)
            self.let_in()
        assert not self.waiting

    def let_in(self) -> None:
        while self.waiting and self.adaptive.opens_at(self.waiting[0]) <= self.now:
            self.enter(self.waiting.popleft())

    def enter(self, size: int) -> None:
        adaptive = self.adaptive
        assert not adaptive.is_key_refused
        assert self.now >= self.closed_until
        self.inside.append(adaptive.enter(size, self.now))
        assert adaptive.in_flight <= adaptive.limit
        assert adaptive.bytes_in_flight <= self.limits.bytes or adaptive.in_flight == 1
        if self.entries and self.limits.rate:
            assert self.now - self.entries[-1] >= 1 / self.limits.rate - 1e-9
        self.entries.append(self.now)

    @invariant()
    def books_are_right(self) -> None:
        if not hasattr(self, "adaptive"):
            return
        adaptive = self.adaptive
        assert self.limits.least <= adaptive.limit <= self.limits.most
        assert adaptive.in_flight == len(self.inside) <= adaptive.peak_in_flight
        assert adaptive.bytes_in_flight == sum(permit.size for permit in self.inside) <= adaptive.peak_bytes
        assert adaptive.throttles == self.throttles
        if self.waiting and not self.inside:
            assert adaptive.opens_at(self.waiting[0]) < math.inf


TestGateMachine = LimiterMachine.TestCase
TestGateMachine.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
