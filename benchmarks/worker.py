"""One measurement, in a process of its own: `python -m benchmarks.worker [--profile] WAY ARGUMENTS`.

Nothing is imported here that the way does not need, so that its memory is its own.
"""

import asyncio
import importlib
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

Way = Callable[..., Awaitable[dict[str, float]]]


def _way(name: str) -> Way:
    module, _, function = name.partition(":")
    way: Way = getattr(importlib.import_module(f"benchmarks.ways.{module}"), function)
    return way


def _loop_factory(name: str | None) -> Callable[[], asyncio.AbstractEventLoop] | None:
    if name is None:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = importlib.import_module(name).new_event_loop
    return factory


def run(name: str, arguments: dict[str, Any]) -> dict[str, float]:
    way = _way(name)
    arguments.pop("round", None) if not _takes_round(way) else None
    with asyncio.Runner(loop_factory=_loop_factory(arguments.pop("loop", None))) as runner:
        return runner.run(_started(way, arguments))


def _takes_round(way: Way) -> bool:
    return "round" in way.__code__.co_varnames[: way.__code__.co_argcount + way.__code__.co_kwonlyargcount]


async def _started(way: Way, arguments: dict[str, Any]) -> dict[str, float]:
    return await way(**arguments)


def _profiled(name: str, arguments: dict[str, Any]) -> None:
    profiling, statistics = importlib.import_module("cProfile"), importlib.import_module("pstats")
    profile = profiling.Profile()
    profile.enable()
    run(name, arguments)
    profile.disable()
    statistics.Stats(profile).sort_stats("tottime").print_stats(30)


if __name__ == "__main__":
    *flags, name, arguments = sys.argv[1:]
    if flags:
        _profiled(name, json.loads(arguments))
    else:
        print(json.dumps(run(name, json.loads(arguments))))
