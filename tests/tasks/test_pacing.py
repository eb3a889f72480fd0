"""Paces against the best possible, in a simulation of their own code: no clock, and the same every time."""

import math
import statistics
from itertools import pairwise
from random import Random

import pytest
from attrs import astuple

from benchmarks.pace_simulation import TUNED_ON, Distribution, Figures, as_drawn, least_delay, simulate
from clinia_async import LearnedPace, Learner, ShareOfAge, TaskKind
from clinia_async.tasks import duration_histogram
from clinia_async.tasks.duration_histogram import Durations, bin_of
from clinia_async.tasks.pacing import jittered, learner

SINGLE = TaskKind.SINGLE


def say(pace: Learner, took: float) -> None:
    """One look found the task pending, the next one that it had ended."""
    pace.learn(SINGLE, "ehr", 0, took * 0.8, ended=False)
    pace.learn(SINGLE, "ehr", took * 0.8, took * 1.1, ended=True)


def learned(count: int = 200, duration: float = 0.4) -> LearnedPace:
    pace, chance = LearnedPace(), Random(1)
    for _ in range(count):
        say(pace, chance.uniform(0.5, 1.5) * duration)
    return pace


def polls(pace: Learner, until: float, age: float = 0.0) -> int:
    count = 0
    while age < until:
        age += pace.pause(SINGLE, "ehr", age)
        count += 1
    return count


def usually(distribution: Distribution) -> Figures:
    """The middle of a few runs: chance moves each of them by some percent."""
    runs = [simulate(LearnedPace(), distribution, seed=seed) for seed in range(1, 4)]
    return Figures(*(statistics.median(column) for column in zip(*map(astuple, runs), strict=True)))


@pytest.mark.campaign
def test_a_log_normal_law_is_learned() -> None:
    distribution = TUNED_ON["log-normal"]
    got = usually(distribution)
    assert got.polls <= 3
    assert got.p50 <= 0.150
    assert got.p99 <= 0.450
    assert got.mean <= 1.3 * least_delay(distribution, got.polls)


@pytest.mark.campaign
def test_a_law_with_two_modes_is_learned() -> None:
    distribution = TUNED_ON["bimodal"]
    got = usually(distribution)
    assert got.polls <= 4
    assert got.p50 <= 0.120
    assert got.p90 <= 0.250
    assert got.p99 <= 0.650
    assert got.mean <= 1.7 * least_delay(distribution, got.polls)


@pytest.mark.campaign
@pytest.mark.parametrize(("title", "delay"), [("always 0.3 s", 0.05), ("always 3 s", 0.2)])
def test_what_always_takes_as_long_costs_few_polls(title: str, delay: float) -> None:
    got = simulate(LearnedPace(), TUNED_ON[title])
    assert got.polls <= 3
    assert got.mean <= delay


@pytest.mark.campaign
def test_a_few_that_take_minutes_leave_the_pace_of_the_others_alone() -> None:
    distribution = TUNED_ON["2 % take 20 to 200 s"]
    got = simulate(LearnedPace(), distribution)
    assert got.mean <= 1.3 * least_delay(distribution, got.polls, as_drawn)
    assert got.p50 <= 0.1


@pytest.mark.campaign
@pytest.mark.parametrize("title", ["drifting", "drifting by more"])
def test_a_law_that_drifts_is_followed(title: str, monkeypatch: pytest.MonkeyPatch) -> None:
    distribution = TUNED_ON[title]
    got = simulate(LearnedPace(), distribution)
    # a thousand tasks are under way at each change, paced by what held until then
    assert got.mean <= 2.2 * least_delay(distribution, got.polls)
    monkeypatch.setattr(duration_histogram, "_CONTRADICTION", math.inf)
    never_forgets = simulate(LearnedPace(memory=10**9), distribution)
    assert got.mean + 0.05 * got.polls < never_forgets.mean + 0.05 * never_forgets.polls


def test_before_anything_is_learned() -> None:
    pace = LearnedPace()
    assert [pace.pause(SINGLE, "ehr", age) for age in (0, 1, 2, 8, 128, 1e6)] == [
        0.2,
        0.2,
        0.2,
        0.4,
        1.6,
        15,
    ]


def test_few_completions_are_no_distribution() -> None:
    assert learned(15).pause(SINGLE, "ehr", 0) == 0.2
    assert learned(16).pause(SINGLE, "ehr", 0) != 0.2


@pytest.mark.parametrize("pace", [LearnedPace(), learned()])
def test_ten_days_of_review_cost_few_polls(pace: LearnedPace) -> None:
    assert polls(pace, 10 * 86400) < 10 * 7000


def test_the_tail_is_capped() -> None:
    pace = learned(2000)
    for age in (1.0, 2.0, 5.0, 30.0):
        assert 0.02 <= pace.pause(SINGLE, "ehr", age) <= 1.6 * (2 * pace.cost * age) ** 0.5


def test_each_kind_and_source_is_a_law_of_its_own() -> None:
    pace = learned()
    assert pace.pause(TaskKind.BULK, "ehr", 0) == pace.pause(SINGLE, "lab", 0) == 0.2


def test_what_was_not_used_for_long_is_forgotten() -> None:
    pace = learned()
    for number in range(pace.distinct):
        assert pace.pause(SINGLE, "ehr", 0) != 0.2
        pace.learn(SINGLE, f"source-{number}", 0.1, 0.2, ended=True)
    assert pace.pause(SINGLE, "ehr", 0) == 0.2


def test_what_is_used_is_kept() -> None:
    pace = learned()
    for number in range(3 * pace.distinct):
        pace.learn(SINGLE, f"source-{number}", 0.1, 0.2, ended=True)
        pace.learn(SINGLE, "ehr", 0.4, 0.5, ended=True)
    assert pace.pause(SINGLE, "ehr", 0) != 0.2


def test_a_crowd_is_not_judged_by_the_first_of_it_to_end() -> None:
    durations, chance = Durations(1024), Random(3)
    ages = [chance.uniform(0.2, 0.3) for _ in range(100)]
    for number, age in enumerate(ages):
        if number < 30:
            durations.observe(0, age, ended=True)
        else:
            durations.observe(0, age / 2, ended=False)
            durations.observe(age / 2, age, ended=False)
    assert ended_by(durations, 0.3) == pytest.approx(0.3, abs=0.1)


def test_what_was_seen_in_full_is_the_distribution() -> None:
    durations, chance = Durations(1024), Random(3)
    for _ in range(500):
        took = chance.uniform(0.2, 0.6)
        ages = [0.0, *(0.01 * (number + chance.random()) for number in range(15, 70))]
        for after, by in pairwise(ages):
            if after < took:
                durations.observe(after, by, ended=by >= took)
    assert ended_by(durations, 0.19) == pytest.approx(0, abs=0.03)
    assert ended_by(durations, 0.4) == pytest.approx(0.5, abs=0.06)
    assert ended_by(durations, 0.6) == pytest.approx(1, abs=0.05)


def test_what_takes_minutes_teaches_nothing_of_seconds() -> None:
    durations = Durations(512)
    for number in range(2000):
        durations.observe(0, 0.35, ended=False)
        if number % 50:
            durations.observe(0.35, 0.4, ended=True)
        else:
            durations.observe(0.35, 100, ended=False)
            durations.observe(100, 300, ended=True)
    assert ended_by(durations, 0.3) == pytest.approx(0, abs=0.03)
    assert ended_by(durations, 0.45) == pytest.approx(0.98, abs=0.02)
    assert ended_by(durations, 100) == pytest.approx(0.98, abs=0.02)
    assert ended_by(durations, 300) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(("before", "now"), [(0.2, 4.0), (4.0, 0.2)])
def test_what_polls_contradict_is_forgotten_at_once(before: float, now: float) -> None:
    durations = Durations(512)
    say_all(durations, before, 1000)
    assert say_all(durations, now, 30) >= 1
    middle = math.sqrt(before * now)
    assert (ended_by(durations, middle) > 0.5) is (now < before)


def test_what_always_takes_as_long_contradicts_nothing() -> None:
    assert say_all(Durations(512), 3.0, 5000) == 0


def say_all(durations: Durations, took: float, count: int) -> int:
    """Poll so many tasks shortly before and after they end, too; how often that contradicts what was seen."""
    contradictions, chance = 0, Random(2)
    for _ in range(count):
        ages = [0.0, *(took * chance.uniform(*between) for between in ((0.1, 0.8), (0.9, 1.0), (1.0, 1.1)))]
        for after, by in pairwise(ages):
            contradictions += durations.observe(after, by, ended=by >= took)
    return contradictions


def ended_by(durations: Durations, age: float) -> float:
    """The share of tasks that have ended at an age, as far as it is known."""
    return sum(durations.distribution()[0][: bin_of(age) + 1])


def test_completions_that_say_next_to_nothing_do_no_harm() -> None:
    pace, chance = learned(1000), Random(2)
    before = pace.pause(SINGLE, "ehr", 0)
    for _ in range(1000):
        pace.learn(SINGLE, "ehr", 0, chance.uniform(5, 60), ended=True)  # somebody waited long after the end
        say(pace, chance.uniform(0.2, 0.6))
    assert pace.pause(SINGLE, "ehr", 0) == pytest.approx(before, rel=0.5)


@pytest.mark.parametrize(
    ("after", "by"), [(0, 0), (0, 1e-9), (0, 1e12), (1e11, 1e12), (0.01, 0.01), (3600, 7200)]
)
def test_unusual_durations_give_sane_pauses(after: float, by: float) -> None:
    pace = LearnedPace()
    for _ in range(300):
        pace.learn(SINGLE, "ehr", after, by, ended=True)
    assert all(0.02 <= pace.pause(SINGLE, "ehr", age) <= 15 for age in (0, 1e-9, 0.01, 1, 7199, 7200, 1e12))


def test_a_plain_function_is_a_pace() -> None:
    pace = learner(ShareOfAge())
    pace.learn(SINGLE, "ehr", 0, 1, ended=True)
    assert pace.pause(SINGLE, "ehr", 8) == 2
    assert learner(learned()).pause(SINGLE, "ehr", 0) == learned().pause(SINGLE, "ehr", 0)


def test_jitter_is_a_share_of_the_pause() -> None:
    pauses = [jittered(2.0, 0.1, Random(seed)) for seed in range(200)]
    assert 1.8 <= min(pauses) < 1.85
    assert 2.15 < max(pauses) <= 2.2
    assert jittered(2.0, 0.1, Random(5)) == pauses[5]
