"""A file loaded by the command with several processes, and by a plain script."""

import asyncio
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import aiohttp

from benchmarks.ways.spent import megabytes

CHUNK, IN_FLIGHT, POLL = 1000, 4, 0.1
_SMALL = 2000


def source_of(delay: float) -> str:
    """Return the source whose tasks take so many seconds at the stub."""
    return f"takes-{round(delay * 1000)}" if delay else "instant"


def processes(url: str, count: int, path: str, delay: float, processes: int) -> dict[str, float]:
    """The command itself, in a process of its own: a large file less a small one."""
    small = Path(f"{path}.{os.getpid()}")
    with Path(path).open() as lines:
        small.write_text("".join(islice(lines, _SMALL)))
    before = _run(url, str(small), delay, processes)
    after = _run(url, path, delay, processes)
    small.unlink()
    more = count - _SMALL
    took, cpu = (after[name] - before[name] for name in ("took", "cpu"))
    return {"per_second": more / took, "cpu_us": cpu / more * 1e6, "peak_mb": after["peak_mb"]}


def _run(url: str, path: str, delay: float, processes: int) -> dict[str, float]:
    command = [sys.executable, "-m", "clinia_async", "ingest", path, "--source", source_of(delay)]
    command += ["--base-url", url, "--processes", str(processes), "--json"]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    environment = {**os.environ, "CLINIA_API_KEY": "k"}
    done = subprocess.run(command, env=environment, capture_output=True, check=True)
    took, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    assert json.loads(done.stdout)["complete"]
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"took": took, "cpu": cpu, "peak_mb": after.ru_maxrss / 1024}


def plain(url: str, count: int, path: str, delay: float) -> dict[str, float]:
    """Dicts, the standard library's json, and polls at an even pace, receipts parsed and counted."""
    started, began = time.process_time(), time.perf_counter()
    with Path(path).open() as lines:
        landed = asyncio.run(_send_all(f"{url}/sources/{source_of(delay)}/v1/", islice(lines, count)))
    assert landed == count
    took, cpu = time.perf_counter() - began, time.process_time() - started
    return {"per_second": count / took, "cpu_us": cpu / count * 1e6, "peak_mb": megabytes()}


async def _send_all(base: str, lines: Iterator[str]) -> int:
    async with aiohttp.ClientSession(base) as session:
        return sum(await asyncio.gather(*(_send_chunks(session, lines) for _ in range(IN_FLIGHT))))


async def _send_chunks(session: aiohttp.ClientSession, lines: Iterator[str]) -> int:
    landed = 0
    while chunk := [{"action": "CREATE", "create": json.loads(line)} for line in islice(lines, CHUNK)]:
        content = json.dumps({"operations": chunk}).encode()
        async with session.post("relationships/bulk", data=content) as answer:
            task = json.loads(await answer.read())["taskId"]
        landed += await _wait(session, task)
    return landed


async def _wait(session: aiohttp.ClientSession, task: str) -> int:
    while True:
        async with session.get(f"tasks/{task}?withReceipts=true") as answer:
            found = json.loads(await answer.read())
        if found["status"] == "SUCCESS":
            return sum(receipt["status"] == "SUCCESS" for receipt in found["receipts"])
        await asyncio.sleep(POLL)
