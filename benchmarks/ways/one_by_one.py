"""A file of NDJSON sent a request a record: by a plain loop of our session, and by the command line."""

import asyncio
import json
import os
import time
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path

import clinia_async as clinia
from benchmarks.ways.spent import of, spent
from clinia_async.cli import main as command_line

IN_FLIGHT = 32
_FEW = 1000


async def gathered(url: str, count: int, path: str) -> dict[str, float]:
    """As much of gather and a semaphore as a script has: typed creates, and each is awaited."""
    gate = asyncio.Semaphore(IN_FLIGHT)
    async with clinia.Session(base_url=url, api_key="k") as session:
        lines = partial(_lines, path)

        async def send(line: str) -> None:
            record = json.loads(line)
            async with gate:
                task = await session.create_relationship(
                    "persisted",
                    record["type"],
                    from_=clinia.Ref(**record["from"]),
                    to=clinia.Ref(**record["to"]),
                    data=record["data"],
                )
                await task

        async def work(count: int) -> None:
            await asyncio.gather(*(send(line) for line in islice(lines(), count)))

        return await spent(work, count)


def _lines(path: str) -> Iterator[str]:
    with Path(path).open() as file:
        yield from file


def ingested(url: str, count: int, path: str, *, journal: bool = False) -> dict[str, float]:
    """The command line on the same file; what it loads is loaded by a run over few records before."""
    few = _first(path)
    _ingest(url, few, journal=f"{few}.journal" if journal else None)
    started, began = time.process_time(), time.perf_counter()
    _ingest(url, path, journal=f"{path}.{os.getpid()}.whole" if journal else None)
    return of(count, time.process_time() - started, time.perf_counter() - began)


def resumed(url: str, count: int, path: str) -> dict[str, float]:
    """A job that has ended, run again: nothing is sent."""
    journal, few = f"{path}.{os.getpid()}.whole", _first(path)
    for each, its in ((path, journal), (few, f"{few}.journal")):
        _ingest(url, each, journal=its, via="bulk")
    took = []
    for each, its in ((few, f"{few}.journal"), (path, journal)):
        started = time.process_time()
        _ingest(url, each, journal=its, via="bulk")
        took.append(time.process_time() - started)
    return {"cpu_us": (took[1] - took[0]) / (count - _FEW) * 1e6}


def _first(path: str) -> str:
    """Write the first lines to a file of their own, and return its path."""
    few = Path(f"{path}.{os.getpid()}")
    with Path(path).open() as lines:
        few.write_text("".join(islice(lines, _FEW)))
    return str(few)


def _ingest(url: str, path: str, *, journal: str | None, via: str = "single") -> None:
    os.environ["CLINIA_API_KEY"] = "k"
    order = ["ingest", path, "--source", "persisted", "--base-url", url, "--json", "--via", via]
    assert command_line([*order, *(["--journal", journal] if journal else [])]) == 0
