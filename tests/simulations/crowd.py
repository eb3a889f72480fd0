"""A job of 1,000 workers, and 50 services beside it, through a brown-out, on a simulated clock.

Each worker is a process of a cluster, with the library's own `AdaptiveLimit` and `RetryBudget`; nothing is
shared between them but the service that they meet. A service sends one write at a time, thinks, and has no
adaptive limit, as sessions without a job have none. The service bears 25 times what that of `brownout` does:

    python -m tests.simulations.crowd --seeds 3
"""

import argparse
from collections.abc import Callable, Sequence
from random import Random

from attrs import evolve, frozen

from clinia_async.transport.adaptive_limit import AdaptiveLimit, ConcurrencyLimits
from clinia_async.transport.limiter import LoadSignal
from clinia_async.transport.permits import UNMETERED, Permit
from clinia_async.transport.retry import RetryBudget
from tests.simulations.brownout import (
    CUT,
    END,
    FULL,
    HINTING,
    RESTORED,
    SHEDDING,
    WARM,
    Client,
    Clock,
    Server,
    Service,
    Worker,
)

_TIMES = 25
_THINKS = 0.5
_SPREAD = 2.0
"""Seconds within which the workers of a cluster start."""


class LargeServer(Server):
    """Bears `times` as much."""

    times: float = _TIMES

    @property
    def _capacity(self) -> float:
        return super()._capacity * self.times


class Unlimited(Client):
    """A session without a job: it sends at once, and thinks before each write."""

    def join(self, enters: Callable[[Permit], None]) -> None:
        """Let `enters` send after a while."""
        self.clock.after(self.random.uniform(0, 2 * _THINKS), lambda: enters(UNMETERED))

    def leave(self, permit: Permit, signal: LoadSignal, retry_after: float | None = None) -> None:
        """Adapt nothing."""


@frozen
class Figures:
    """`storm` is the most sends of a second after the cut, over what the service can do in one."""

    sends_per_useful: float
    goodput: float
    storm: float
    unfairness: float
    unfairness_of_services: float
    service_goodput: float
    """Writes of a service beside the job in the quiet times, over those that it would make alone."""


def simulate(
    service: Service, seed: int, *, workers: int = 1000, services: int = 50, times: float = _TIMES
) -> Figures:
    """Run it once."""
    random, clock = Random(seed), Clock()
    sized = evolve(service, room=service.room * times)
    server = LargeServer(clock, sized, random)
    server.times = times
    limits = ConcurrencyLimits()

    def client(kind: type[Client]) -> Client:
        return kind(clock, server, sized, random, AdaptiveLimit(limits, random.random), RetryBudget())

    jobs, others = [client(Client) for _ in range(workers)], [client(Unlimited) for _ in range(services)]
    for each in jobs:
        for _ in range(4):
            clock.after(random.uniform(0, _SPREAD), lambda each=each: Worker(each))  # type: ignore[misc]
    for each in others:
        Worker(each)
    clock.run(END)
    return _figures(jobs, others, FULL * times)


def _figures(jobs: Sequence[Client], others: Sequence[Client], capacity: float) -> Figures:
    everyone = [*jobs, *others]
    sends = [at for each in everyone for at in each.sends]
    useful = [at for each in everyone for at in each.useful]
    after = [0] * (int(END - RESTORED) + 1)
    for at in sends:
        if at >= RESTORED:
            after[int(at - RESTORED)] += 1
    could = capacity * (CUT - WARM + END - RESTORED) + capacity / 10 * (RESTORED - CUT)
    alone = (CUT - WARM) / (_THINKS + 0.05)
    return Figures(
        len(sends) / len(useful),
        sum(at >= WARM for at in useful) / could,
        max(after) / capacity,
        _unfairness(jobs),
        _unfairness(others),
        sum(WARM <= at < CUT for each in others for at in each.useful) / (alone * len(others)),
    )


def _unfairness(clients: Sequence[Client]) -> float:
    shares = [len(each.useful) for each in clients]
    return max(shares) / max(1, min(shares))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1000)
    parser.add_argument("--services", type=int, default=50)
    parser.add_argument("--times", type=float, default=_TIMES, help="how many 200 writes a second it bears")
    given = parser.parse_args(arguments)
    print(f"{'service':24}{'sends/useful':>14}{'goodput':>9}{'storm':>8}{'max/min':>9}", end="")
    print(f"{'services max/min':>18}{'services goodput':>18}")
    for service in (SHEDDING, HINTING):
        for seed in range(given.seeds):
            run = simulate(service, seed, workers=given.workers, services=given.services, times=given.times)
            print(f"{service.name:24}{run.sends_per_useful:14.3f}{run.goodput:9.3f}{run.storm:8.2f}", end="")
            print(f"{run.unfairness:9.2f}{run.unfairness_of_services:18.2f}{run.service_goodput:18.3f}")


if __name__ == "__main__":
    main()
