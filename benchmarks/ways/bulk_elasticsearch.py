"""Elasticsearch's own bulk helpers: an item of the answer a record, as our receipts are."""

from collections.abc import Awaitable, Callable, Iterator

from elasticsearch import AsyncElasticsearch
from elasticsearch.helpers import async_bulk, async_streaming_bulk

from benchmarks import workload
from benchmarks.ways.spent import spent

CHUNK = 1000


def _actions(count: int) -> Iterator[dict[str, object]]:
    for id_, document in workload.documents(count):
        yield {"_index": "i", "_id": id_, "_source": document}


async def bulk(url: str, count: int) -> dict[str, float]:
    async def work(client: AsyncElasticsearch, count: int) -> None:
        landed, _ = await async_bulk(client, _actions(count), chunk_size=CHUNK)
        assert landed == count

    return await _measured(work, url, count)


async def streaming(url: str, count: int) -> dict[str, float]:
    async def work(client: AsyncElasticsearch, count: int) -> None:
        landed = 0
        async for ok, _ in async_streaming_bulk(client, _actions(count), chunk_size=CHUNK):
            landed += ok
        assert landed == count

    return await _measured(work, url, count)


async def _measured(
    work: Callable[[AsyncElasticsearch, int], Awaitable[None]], url: str, count: int
) -> dict[str, float]:
    async with AsyncElasticsearch(url) as client:
        return await spent(lambda count: work(client, count), count)
