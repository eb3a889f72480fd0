"""The gate without a loop: whatever happens in whatever order, it keeps what it promises."""

import math
from collections import deque
from random import Random

import pytest
from attrs import evolve
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from clinia_async import ConcurrencyLimits, ConfigError
from clinia_async.transport.adaptive_limit import AdaptiveLimit, LoadSignal, Permit

NO_JITTER = 0.5
ROUND_TRIP = 0.05


def gate_of(**limits: object) -> AdaptiveLimit:
    return AdaptiveLimit(evolve(ConcurrencyLimits(), **limits), lambda: NO_JITTER)


def answer(gate: AdaptiveLimit, verdict: LoadSignal, now: float, *, size: int = 0, **more: float) -> float:
    """One request, as soon as it may enter; gives the time of its answer."""
    at = max(now, gate.opens_at(size))
    permit = gate.enter(size, at)
    gate.leave(permit, verdict, at + ROUND_TRIP, **more)
    return at + ROUND_TRIP


def fill(gate: AdaptiveLimit, now: float, size: int = 0) -> list[Permit]:
    entered = []
    while gate.opens_at(size) <= now:
        entered.append(gate.enter(size, now))
    return entered


def good_round(gate: AdaptiveLimit, now: float) -> float:
    """As many requests as may be in flight, all with good answers."""
    for permit in fill(gate, now):
        gate.leave(permit, LoadSignal.GOOD, now + ROUND_TRIP)
    return now + ROUND_TRIP


def test_growth_is_fast_until_the_first_throttle() -> None:
    gate = gate_of()
    good_round(gate, 0.0)
    assert gate.limit == 6.0, "the second half of the answers finds the gate less than half full"
    now = 1.0
    for _ in range(20):
        now = good_round(gate, now)
    assert gate.limit == 32


def test_growth_after_a_throttle_is_at_most_one_a_round() -> None:
    gate = gate_of(start=20)
    now = answer_in_a_full_gate(gate, LoadSignal.THROTTLED, 0.0)
    assert gate.limit == 14
    before = gate.limit
    for _ in range(40):
        now = good_round(gate, now)
        assert before <= gate.limit <= before + 1
        before = gate.limit
    assert gate.limit > 20, "and it does find out that there is more room again"


def answer_in_a_full_gate(gate: AdaptiveLimit, verdict: LoadSignal, now: float) -> float:
    entered = fill(gate, now)
    for permit in entered:
        gate.leave(permit, verdict, now + 1.0)
    return now + 1.0


def test_a_gate_that_is_hardly_used_does_not_grow() -> None:
    gate = gate_of(start=8)
    now = 0.0
    for _ in range(50):
        now = answer(gate, LoadSignal.GOOD, now)
    assert gate.limit == 8


def test_nothing_grows_while_answers_only_take_longer() -> None:
    gate = gate_of()
    now = answer(gate, LoadSignal.GOOD, 0.0)
    for _ in range(20):
        for permit in fill(gate, now):
            gate.leave(permit, LoadSignal.GOOD, now + 10 * ROUND_TRIP)
        now += 10 * ROUND_TRIP
    assert gate.limit == 4
    good_round(gate, now)
    assert gate.limit > 4


def test_a_service_that_has_become_slower_for_good_is_measured_anew() -> None:
    gate = gate_of()
    now = answer(gate, LoadSignal.GOOD, 0.0)
    for _ in range(200):
        for permit in fill(gate, now):
            gate.leave(permit, LoadSignal.GOOD, now + 1.0)
        now += 1.0
    assert gate.limit > 4


def test_a_gate_may_rest_for_as_long_as_it_likes() -> None:
    gate = gate_of()
    now = answer(gate, LoadSignal.GOOD, 0.0)
    answer(gate, LoadSignal.GOOD, now + 1e9)


def test_large_requests_are_not_measured_by_small_ones() -> None:
    gate = gate_of()
    now = answer(gate, LoadSignal.GOOD, 0.0)
    for permit in fill(gate, now, size=1_000_000):
        gate.leave(permit, LoadSignal.GOOD, now + 20 * ROUND_TRIP)
    assert gate.limit == 6


def test_a_crowd_of_refusals_is_one_decrease() -> None:
    gate = gate_of(start=20)
    answer_in_a_full_gate(gate, LoadSignal.THROTTLED, 0.0)
    assert (gate.limit, gate.throttles) == (14, 20)


def test_decreases_are_an_epoch_apart() -> None:
    gate = gate_of(start=20, epoch=0.2)
    now = answer(gate, LoadSignal.THROTTLED, 0.0)
    now = answer(gate, LoadSignal.THROTTLED, now)
    assert gate.limit == 14
    answer(gate, LoadSignal.THROTTLED, now + 0.2)
    assert gate.limit == pytest.approx(9.8)


def test_refusals_from_before_a_decrease_are_no_second_one() -> None:
    gate = gate_of(start=20)
    first, second, *_ = fill(gate, 0.0)
    gate.leave(first, LoadSignal.THROTTLED, 1.0)
    gate.leave(second, LoadSignal.THROTTLED, 5.0)
    assert (gate.limit, gate.throttles) == (14, 2)


def test_good_answers_from_before_a_decrease_do_not_undo_it() -> None:
    gate = gate_of(start=20)
    first, *others = fill(gate, 0.0)
    gate.leave(first, LoadSignal.THROTTLED, 1.0)
    for permit in others:
        gate.leave(permit, LoadSignal.GOOD, 1.1)
    assert gate.limit == 14


def test_a_hint_closes_the_gate_and_one_comes_back_first() -> None:
    gate = gate_of(start=20)
    first, *others = fill(gate, 0.0)
    gate.leave(first, LoadSignal.THROTTLED, 1.0, retry_after=10.0)
    for permit in others:
        gate.leave(permit, LoadSignal.GOOD, 1.0)
    assert 11.0 <= gate.opens_at(0) <= 13.0
    back = gate.opens_at(0)
    (probe,) = fill(gate, back)
    gate.leave(probe, LoadSignal.GOOD, back + 0.1)
    assert len(fill(gate, back + 0.1)) == 2


def test_after_a_hint_the_way_back_is_fast_but_not_to_where_it_was_too_much() -> None:
    gate = gate_of(start=20)
    now = answer(gate, LoadSignal.THROTTLED, 0.0, retry_after=2.0)
    while gate.limit < 13.9:
        now = good_round(gate, max(now, gate.opens_at(0)))
    assert now < 4
    while now < 10:
        now = good_round(gate, now)
    assert gate.limit <= 14
    while now < 16:
        now = good_round(gate, now)
    assert gate.limit > 20


def test_the_shorter_of_two_hints_opens_nothing() -> None:
    gate = gate_of()
    first, second, *_ = fill(gate, 0.0)
    gate.leave(first, LoadSignal.THROTTLED, 1.0, retry_after=10.0)
    gate.leave(second, LoadSignal.THROTTLED, 1.0, retry_after=1.0)
    gate.in_flight = 0
    assert gate.opens_at(0) >= 11.0


def test_below_one_in_flight_requests_are_spaced() -> None:
    gate = gate_of(start=1)
    now, gaps = 0.0, []
    for _ in range(10):
        now = answer(gate, LoadSignal.THROTTLED, now)
        gaps.append(round(gate.opens_at(0) - (now - ROUND_TRIP), 6))
        now += 0.2
    assert gaps == sorted(gaps)
    assert gaps[0] == 2 * ROUND_TRIP
    assert gaps[-1] == 2.0, "and they are never so far apart that a recovery goes unnoticed"
    for _ in range(40):
        now = answer(gate, LoadSignal.GOOD, now)
    assert gate.opens_at(0) <= now, "good answers bring them together again"
    assert gate.limit >= 1


def test_a_body_that_is_too_large_goes_alone() -> None:
    gate = gate_of(bytes=100)
    small = gate.enter(10, 0.0)
    assert gate.opens_at(1000) == math.inf
    assert gate.opens_at(91) == math.inf
    assert gate.opens_at(90) <= 0.0
    gate.leave(small, LoadSignal.GOOD, 0.1)
    gate.enter(1000, 0.1)
    assert gate.opens_at(0) == math.inf
    assert gate.peak_bytes == 1000


def test_a_refused_key_shuts_the_gate_for_good() -> None:
    gate = gate_of()
    answer(gate, LoadSignal.REFUSED, 0.0)
    assert gate.latched
    assert gate.opens_at(0) == math.inf


@pytest.mark.parametrize("verdict", LoadSignal)
def test_the_clock_is_all_that_a_rate_needs(verdict: LoadSignal) -> None:
    gate = gate_of(rate=10.0)
    permit = gate.enter(0, 5.0)
    assert gate.opens_at(0) == pytest.approx(5.1)
    if verdict not in {LoadSignal.REFUSED, LoadSignal.THROTTLED}:
        gate.leave(permit, verdict, 5.01)
        assert gate.opens_at(0) == pytest.approx(5.1)


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


class GateMachine(RuleBasedStateMachine):
    """Requests come, enter in turn, and leave in any order with any verdict; time goes on or stands still."""

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
        self.gate = AdaptiveLimit(self.limits, seed.random)
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
        verdict=st.sampled_from([LoadSignal.GOOD, LoadSignal.GOOD, LoadSignal.THROTTLED, LoadSignal.NEITHER]),
        hint=st.none() | st.floats(0.0, 3600.0),
    )
    def answered(self, which: int, verdict: LoadSignal, hint: float | None) -> None:
        permit = self.inside.pop(which % len(self.inside))
        before = self.gate.limit
        hint = hint if verdict is LoadSignal.THROTTLED else None
        epoch = self.gate._epoch
        self.gate.leave(permit, verdict, self.now, retry_after=hint)
        self.throttles += verdict is LoadSignal.THROTTLED
        if verdict is LoadSignal.NEITHER:
            assert self.gate.limit == before
        if self.gate._epoch > epoch:
            assert not self.decreases or permit.at >= self.decreases[-1]
            assert not self.decreases or self.now - self.decreases[-1] >= self.limits.epoch - 1e-9
            self.decreases.append(self.now)
        elif not hint:
            assert self.gate.limit >= before
        if hint:
            self.closed_until = max(self.closed_until, self.now + hint)
            assert self.gate.limit == self.limits.least
        self.let_in()

    @precondition(lambda self: self.inside)
    @rule(which=st.integers(0, 100))
    def key_refused(self, which: int) -> None:
        self.gate.leave(self.inside.pop(which % len(self.inside)), LoadSignal.REFUSED, self.now)
        while self.inside:
            self.gate.leave(self.inside.pop(), LoadSignal.GOOD, self.now)
        self.now += 10_000.0
        assert self.gate.latched
        assert self.gate.opens_at(0) == math.inf
        self.gate.latched = False  # for nothing else would ever happen in this run
        self.let_in()

    @rule()
    def runs_dry(self) -> None:
        """Whatever happened, with time and good answers everybody who waits gets in, in turn."""
        for _ in range(2 * (len(self.waiting) + len(self.inside)) + 2):
            while self.inside:
                self.gate.leave(self.inside.pop(), LoadSignal.GOOD, self.now)
            if not self.waiting:
                return
            opens = self.gate.opens_at(self.waiting[0])
            assert opens < math.inf, "an empty gate only waits for time"
            self.now = max(self.now, opens)
            self.let_in()
        assert not self.waiting

    def let_in(self) -> None:
        while self.waiting and self.gate.opens_at(self.waiting[0]) <= self.now:
            self.enter(self.waiting.popleft())

    def enter(self, size: int) -> None:
        gate = self.gate
        assert not gate.latched
        assert self.now >= self.closed_until
        self.inside.append(gate.enter(size, self.now))
        assert gate.in_flight <= gate.limit
        assert gate.bytes_in_flight <= self.limits.bytes or gate.in_flight == 1
        if self.entries and self.limits.rate:
            assert self.now - self.entries[-1] >= 1 / self.limits.rate - 1e-9
        self.entries.append(self.now)

    @invariant()
    def books_are_right(self) -> None:
        if not hasattr(self, "gate"):
            return
        gate = self.gate
        assert self.limits.least <= gate.limit <= self.limits.most
        assert gate.in_flight == len(self.inside) <= gate.peak_in_flight
        assert gate.bytes_in_flight == sum(permit.size for permit in self.inside) <= gate.peak_bytes
        assert gate.throttles == self.throttles
        if self.waiting and not self.inside:
            assert gate.opens_at(self.waiting[0]) < math.inf


TestGateMachine = GateMachine.TestCase
TestGateMachine.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
