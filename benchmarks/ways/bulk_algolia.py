"""`save_objects` of `algoliasearch`: one chunk at a time, its tasks waited for."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from algoliasearch.http.hosts import Host, HostsCollection
from algoliasearch.search.client import SearchClient
from algoliasearch.search.config import SearchConfig

from benchmarks import workload
from benchmarks.ways.spent import spent

CHUNK = 1000


def _objects(count: int) -> Iterator[dict[str, object]]:
    for id_, document in workload.documents(count):
        yield {"objectID": id_, **document}


async def save_objects(url: str, count: int) -> dict[str, float]:
    config = SearchConfig("app", "key")
    where = urlsplit(url)
    config.hosts = HostsCollection([Host(str(where.hostname), scheme="http", port=where.port)])

    async with SearchClient.create_with_config(config) as client:

        async def work(count: int) -> None:
            objects = _objects(count)
            answers = await client.save_objects("i", objects, wait_for_tasks=True, batch_size=CHUNK)
            assert sum(len(answer.object_ids) for answer in answers) == count

        return await spent(work, count)
