"""What the adaptive is for: a service that is short of capacity for a minute gets hardly a send too many."""

import pytest

from clinia_async.errors import RequestError
from clinia_async.transport.adaptive_limit import AdaptiveLimit
from clinia_async.transport.permits import Permit
from clinia_async.transport.retry import RetryBudget
from tests.simulations.brownout import HINTING, PROMISED, QUEUEING, SHEDDING, Figures, Service, main, simulate

SEEDS = range(3)


def is_kept(run: Figures, service: Service) -> bool:
    """Over the whole run, and in the minute of the brown-out by itself as well."""
    share = 0.80 if service is QUEUEING else 0.95
    return (
        max(run.sends_per_useful, run.during) <= 1.10
        and min(run.goodput, run.goodput_during) >= share
        and run.recovery <= 10
    )


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.campaign) for seed in SEEDS[1:])])
@pytest.mark.parametrize("clients", [5, 20])
@pytest.mark.parametrize("service", PROMISED, ids=lambda service: service.name)
def test_an_overloaded_service_keeps_its_goodput(service: Service, clients: int, seed: int) -> None:
    run = simulate(service, seed, clients=clients)
    assert is_kept(run, service), run


def test_a_single_client_keeps_the_goodput() -> None:
    for service in PROMISED:
        assert is_kept(simulate(service, 0, clients=1), service)


@pytest.mark.campaign
def test_a_seed_repeats_a_run() -> None:
    assert simulate(HINTING, 7, clients=3) == simulate(HINTING, 7, clients=3)
    assert simulate(HINTING, 7, clients=3) != simulate(HINTING, 8, clients=3)


class NoDecrease(AdaptiveLimit):
    def _shrink(self, now: float, round_trip: float) -> None:
        pass


class OpensAllAtOnce(NoDecrease):
    def _pause(self, now: float, retry_after: float) -> None:
        self._opens_at = max(self._opens_at, now + retry_after)


class BlindToDelay(AdaptiveLimit):
    def _is_late(self, permit: Permit, now: float) -> bool:
        return False


class AlwaysOpen(AdaptiveLimit):
    def opens_at(self, size: int) -> float:
        return 0.0


@pytest.mark.campaign
@pytest.mark.parametrize(
    ("broken", "service"),
    [
        (NoDecrease, SHEDDING),
        (OpensAllAtOnce, HINTING),
        (BlindToDelay, QUEUEING),
        (AlwaysOpen, SHEDDING),
        (AlwaysOpen, HINTING),
        (AlwaysOpen, QUEUEING),
    ],
)
def test_a_limit_without_one_of_its_parts_does_not_keep_it(
    broken: type[AdaptiveLimit], service: Service
) -> None:
    assert not is_kept(simulate(service, 0, adaptive=broken), service)


class EndlessBudget(RetryBudget):
    def afford(self, error: RequestError) -> bool:
        return True


def test_without_a_budget_timeouts_are_retried_too_often() -> None:
    """The adaptive alone comes close: it bounds what is in flight, whatever for."""
    runs = [simulate(QUEUEING, seed, budget=EndlessBudget) for seed in SEEDS]
    assert not all(is_kept(run, QUEUEING) for run in runs)


@pytest.mark.campaign
def test_the_command_prints_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--seeds", "1", "--clients", "1"])
    assert len(capsys.readouterr().out.splitlines()) == 10
