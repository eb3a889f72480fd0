"""Files loaded: by our command line, and by plain scripts over raw aiohttp."""

import asyncio
import csv
import json
import os
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks import workload
from benchmarks.ways.spent import of

CHUNK, IN_FLIGHT = 1000, 4
Records = Iterator[dict[str, Any]]


def ours(url: str, count: int, path: str, columns: str | None = None) -> dict[str, float]:
    """The command line itself; what it loads is loaded by a run over no records before."""
    from clinia_async.cli import main as command_line  # noqa: PLC0415  the scripts do not need it

    os.environ["CLINIA_API_KEY"] = "k"
    order = ["ingest", path, "--source", "persisted", "--base-url", url, "--json"]
    order += ["--chunk-operations", str(CHUNK), "--workers", str(IN_FLIGHT)]
    order += ["--columns", columns, "--dead-letters", f"{path}.dead"] if columns else []
    assert command_line(order) == 0
    started, began = time.process_time(), time.perf_counter()
    assert command_line(order) == 0
    return of(count, time.process_time() - started, time.perf_counter() - began)


async def with_json(url: str, count: int, path: str) -> dict[str, float]:
    return await _script(url, count, lambda: map(json.loads, _lines(path)), json.dumps)


async def with_orjson(url: str, count: int, path: str) -> dict[str, float]:
    import orjson  # noqa: PLC0415

    return await _script(url, count, lambda: map(orjson.loads, _lines(path)), orjson.dumps)


async def with_csv(url: str, count: int, path: str) -> dict[str, float]:
    def records() -> Records:
        with Path(path).open(newline="") as file:
            for row in csv.DictReader(file):
                yield _record(
                    row
                    | {
                        "primary": row["primary"] == "true",
                        "fte": float(row["fte"]),
                        "languages": json.loads(row["languages"]),
                        "visits": int(row["visits"]),
                    }
                )

    return await _script(url, count, records, json.dumps)


async def with_pyarrow(url: str, count: int, path: str) -> dict[str, float]:
    import pyarrow.parquet as pq  # noqa: PLC0415

    def records() -> Records:
        for batch in pq.ParquetFile(path).iter_batches(CHUNK):
            yield from map(_record, batch.to_pylist())

    return await _script(url, count, records, json.dumps)


def _lines(path: str) -> Iterable[str]:
    with Path(path).open() as file:
        yield from file


def _record(row: dict[str, Any]) -> dict[str, Any]:
    from_, to = row.pop("prac"), row.pop("org")
    ends = {"from": {"id": from_, "type": "practitioner"}, "to": {"id": to, "type": "organization"}}
    return {"type": workload.TYPE, **ends, "data": row}


async def _script(url: str, count: int, records: Any, dumps: Any) -> dict[str, float]:
    async with aiohttp.ClientSession(f"{url}/sources/persisted/v1/") as session:
        await _load(session, islice(records(), CHUNK), dumps)
        started, began = time.process_time(), time.perf_counter()
        landed = await _load(session, records(), dumps)
        assert landed == count
        return of(count, time.process_time() - started, time.perf_counter() - began)


async def _load(session: aiohttp.ClientSession, records: Records, dumps: Any) -> int:
    return sum(await asyncio.gather(*(_send_chunks(session, records, dumps) for _ in range(IN_FLIGHT))))


async def _send_chunks(session: aiohttp.ClientSession, records: Records, dumps: Any) -> int:
    landed = 0
    while chunk := list(islice(records, CHUNK)):
        content = dumps({"operations": [{"action": "CREATE", "create": record} for record in chunk]})
        body = content if isinstance(content, bytes) else content.encode()
        async with session.post("relationships/bulk", data=body) as answer:
            task = json.loads(await answer.read())["taskId"]
        async with session.get(f"tasks/{task}?withReceipts=true") as answer:
            receipts = json.loads(await answer.read())["receipts"]
        landed += sum(receipt["status"] == "SUCCESS" for receipt in receipts)
    return landed
