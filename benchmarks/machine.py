"""What the figures were measured on."""

import os
import platform
import statistics
import subprocess
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_OURS = ("aiohttp", "attrs", "cattrs", "orjson", "yarl", "multidict", "uvloop")
_PEERS = ("httpx", "elasticsearch", "qdrant-client", "algoliasearch", "backoff", "azure-core")
_MORE = ("google-api-core", "clinia-context-engine")
_took: list[float] = []
"""Milliseconds of CPU that each run of a fixed loop took, between the rounds of all measurements."""


def note_speed() -> None:
    """Run a fixed loop once: where neighbours on the same processor slow us down, no load says so."""
    started = time.process_time()
    for number in range(300_000):
        number * number % 7
    _took.append((time.process_time() - started) * 1000)


def description() -> list[str]:
    system = f"{platform.system()} {platform.release()}"
    steadiness = "no round was measured"
    if _took:
        low, middle, high = min(_took), statistics.median(_took), max(_took)
        steadiness = (
            f"the same loop of Python took {low:.0f} to {high:.0f} ms of CPU between the rounds, half of"
            f" the time {middle:.0f} or less: where these are far apart, so are the ratios"
        )
    return [
        steadiness,
        f"{_processor()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end",
        f"{system}, {platform.python_implementation()} {platform.python_version()}",
        ", ".join(f"{name} {_version(name)}" for name in (*_OURS, *_PEERS, *_MORE)),
    ]


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def commit() -> str:
    """The last commit that changed the library, whatever else the folder holds."""
    named = _git("log", "-1", "--format=%h", "--", "clinia_async") or "an unknown commit"
    return f"{named}, changed since" if _git("status", "--porcelain", "--", "clinia_async") else named


def _git(*arguments: str) -> str:
    root = Path(__file__).parents[1]
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False, cwd=root)
    return done.stdout.strip()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
