"""Upserts through `qdrant-client`: one acknowledgement a chunk, and a vector of four numbers a record."""

import asyncio
from collections.abc import Iterator
from itertools import islice

from qdrant_client import AsyncQdrantClient
from qdrant_client.models import PointStruct

from benchmarks import workload
from benchmarks.ways.spent import spent

CHUNK, IN_FLIGHT = 1000, 4


def _points(count: int) -> Iterator[PointStruct]:
    for number in range(count):
        yield PointStruct(id=number, vector=[0.1, 0.2, 0.3, 0.4], payload=workload.body(number))


async def upsert(url: str, count: int) -> dict[str, float]:
    client = AsyncQdrantClient(url=url, check_compatibility=False)

    async def send(points: Iterator[PointStruct]) -> None:
        while chunk := list(islice(points, CHUNK)):
            await client.upsert("c", chunk, wait=True)

    async def work(count: int) -> None:
        points = _points(count)
        await asyncio.gather(*(send(points) for _ in range(IN_FLIGHT)))

    try:
        return await spent(work, count)
    finally:
        await client.close()
