"""What a piece of work cost this process: CPU a record, and the most memory that it ever held."""

import time
from collections.abc import Awaitable, Callable
from pathlib import Path

_WARM_UP = 1000


def megabytes(field: str = "VmHWM") -> float:
    """Of this process alone: `ru_maxrss` would count the parent that it was forked from."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise LookupError(field)


async def spent(work: Callable[[int], Awaitable[None]], count: int) -> dict[str, float]:
    """`work(count)` does `count` records; a small run before it loads and connects what there is."""
    await work(_WARM_UP)
    started, began = time.process_time(), time.perf_counter()
    await work(count)
    return of(count, time.process_time() - started, time.perf_counter() - began)


def of(count: int, cpu: float, took: float) -> dict[str, float]:
    return {"cpu_us": cpu / count * 1e6, "per_second": count / took, "peak_mb": megabytes()}
