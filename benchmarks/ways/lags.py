"""How late the ends of tasks were noticed, and what noticing them cost."""

import re
import time
from collections.abc import Awaitable, Callable, Sequence

from benchmarks.ways.spent import megabytes

WARM_UP = 100
"""Tasks that end at once, so that as many connections are there before the measuring begins."""

_DUE = re.compile(r"-(\d+)$")


def due(task_id: str) -> float:
    """When the stub ends the task, in seconds on CLOCK_MONOTONIC: the clock that Python has too."""
    found = _DUE.search(task_id)
    assert found is not None
    return int(found[1]) / 1e6


async def measured(run: Callable[[], Awaitable[tuple[Sequence[float], int]]]) -> dict[str, float]:
    """`run` gives the lag of each task in seconds, and the number of GETs of all."""
    started, began = time.process_time(), time.perf_counter()
    lags, looks = await run()
    spent, took = time.process_time() - started, time.perf_counter() - began
    lags = sorted(lags)
    return {
        "looks": looks / len(lags),
        "p50_ms": at(lags, 0.50) * 1e3,
        "p90_ms": at(lags, 0.90) * 1e3,
        "p99_ms": at(lags, 0.99) * 1e3,
        "mean_ms": sum(lags) / len(lags) * 1e3,
        "cpu_us": spent / len(lags) * 1e6,
        "seconds": took,
        "peak_mb": megabytes(),
    }


def at(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
