"""Many creates, ours: from typed values, and from a file by the command line."""

import os
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import clinia_async as clinia
from benchmarks import workload
from benchmarks.ways.spent import of, spent
from clinia_async.cli import main as command_line

CHUNK, IN_FLIGHT = 1000, 4


async def typed(url: str, count: int) -> dict[str, float]:
    """attrs values from a generator, every receipt read and matched, an outcome a record."""
    return await _ingested(url, count, writes)


async def dicts(url: str, count: int) -> dict[str, float]:
    """The same as dicts, such as lines of NDJSON hold."""
    return await _ingested(url, count, records)


async def _ingested(
    url: str, count: int, made: Callable[[int], Iterator[clinia.CreateRelationship | dict[str, object]]]
) -> dict[str, float]:
    async with clinia.Session(base_url=url, api_key="k") as session:

        async def work(count: int) -> None:
            landed = 0
            limits = clinia.ChunkLimits(operations=CHUNK)
            async with clinia.Ingestion(
                session, "persisted", made(count), chunk=limits, workers=IN_FLIGHT
            ) as job:
                async for outcome in job:
                    landed += outcome.disposition.has_landed
            assert landed == job.report.landed == count

        return await spent(work, count)


def writes(count: int) -> Iterator[clinia.CreateRelationship]:
    for number in range(count):
        from_, to = workload.ends(number)
        yield clinia.CreateRelationship(
            "persisted",
            workload.TYPE,
            clinia.Ref(from_, "practitioner"),
            clinia.Ref(to, "organization"),
            workload.DATA | {"visits": number},
        )


def records(count: int) -> Iterator[dict[str, object]]:
    for number in range(count):
        yield {"type": workload.TYPE, **workload.body(number)}


def file(url: str, count: int, path: str) -> dict[str, float]:
    """The command line itself, on an NDJSON file of `count` lines: parsed, checked and sent as it stands."""
    os.environ["CLINIA_API_KEY"] = "k"
    small = Path(f"{path}.{os.getpid()}")
    with Path(path).open() as lines:
        small.write_text("".join(islice(lines, CHUNK)))
    _ingest(url, str(small))
    small.unlink()
    started, began = time.process_time(), time.perf_counter()
    _ingest(url, path)
    return of(count, time.process_time() - started, time.perf_counter() - began)


def _ingest(url: str, path: str) -> None:
    order = ["ingest", path, "--source", "persisted", "--base-url", url, "--json"]
    assert command_line([*order, "--chunk-operations", str(CHUNK), "--workers", str(IN_FLIGHT)]) == 0
