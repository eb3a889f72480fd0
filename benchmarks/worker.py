"""One measurement, in a process of its own: `python -m benchmarks.worker [--profile] WAY ARGUMENTS`.

Nothing is imported here that the way does not need, so that its memory is its own.
"""

import asyncio
import importlib
import inspect
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

Figures = dict[str, float]
Way = Callable[..., Figures | Awaitable[Figures]]


def _way(name: str) -> Way:
    module, _, function = name.partition(":")
    way: Way = getattr(importlib.import_module(f"benchmarks.ways.{module}"), function)
    return way


def _loop_factory(name: str | None) -> Callable[[], asyncio.AbstractEventLoop] | None:
    if name is None:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = importlib.import_module(name).new_event_loop
    return factory


def run(name: str, arguments: dict[str, Any]) -> Figures:
    """A way that is no coroutine has a loop of its own, or needs none."""
    way = _way(name)
    loop = arguments.pop("loop", None)
    if "round" not in inspect.signature(way).parameters:
        arguments.pop("round", None)
    if not inspect.iscoroutinefunction(way):
        found = way(**arguments)
        assert isinstance(found, dict)
        return found
    with asyncio.Runner(loop_factory=_loop_factory(loop)) as runner:
        figures: Figures = runner.run(way(**arguments))
        return figures


def _profiled(name: str, arguments: dict[str, Any]) -> None:
    """By CPU and not by the clock, in the second of two runs: all that is loaded at first use is there."""
    profiling, statistics = importlib.import_module("cProfile"), importlib.import_module("pstats")
    run(name, {**arguments, "count": 1000})
    profile = profiling.Profile(time.process_time)
    profile.enable()
    run(name, arguments)
    profile.disable()
    found = statistics.Stats(profile)
    found.sort_stats("tottime").print_stats(25)
    found.sort_stats("cumulative").print_stats("clinia_async", 25)


if __name__ == "__main__":
    *flags, name, arguments = sys.argv[1:]
    if flags:
        _profiled(name, json.loads(arguments))
    else:
        print(json.dumps(run(name, json.loads(arguments))))
