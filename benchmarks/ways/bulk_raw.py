"""Many creates over raw aiohttp: the floor that the others are held against."""

import asyncio
import json
from collections.abc import Iterator
from itertools import islice

import aiohttp

from benchmarks import workload
from benchmarks.ways.spent import spent

CHUNK, IN_FLIGHT = 1000, 4


async def create(url: str, count: int) -> dict[str, float]:
    """Dicts, the standard library's json, a poll a chunk, receipts parsed and counted: nothing more."""
    async with aiohttp.ClientSession(f"{url}/sources/persisted/v1/") as session:

        async def work(count: int) -> None:
            operations = _operations(count)
            landed = await asyncio.gather(*(_send_chunks(session, operations) for _ in range(IN_FLIGHT)))
            assert sum(landed) == count

        return await spent(work, count)


def _operations(count: int) -> Iterator[dict[str, object]]:
    for number in range(count):
        yield {"action": "CREATE", "create": {"type": workload.TYPE, **workload.body(number)}}


async def _send_chunks(session: aiohttp.ClientSession, operations: Iterator[dict[str, object]]) -> int:
    landed = 0
    while chunk := list(islice(operations, CHUNK)):
        content = json.dumps({"operations": chunk}).encode()
        async with session.post("relationships/bulk", data=content) as answer:
            task = json.loads(await answer.read())["taskId"]
        async with session.get(f"tasks/{task}?withReceipts=true") as answer:
            receipts = json.loads(await answer.read())["receipts"]
        landed += sum(receipt["status"] == "SUCCESS" for receipt in receipts)
    return landed
