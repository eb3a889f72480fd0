"""Handlers for the catalog: sources and partitions."""

from aiohttp import web
from attrs import frozen

from clinia_async.emulator.access import answer, read_json
from clinia_async.emulator.handlers.parameters import flag, paged, path_key
from clinia_async.emulator.settings import Settings
from clinia_async.emulator.store.registry import Registry


@frozen(kw_only=True)
class CatalogApi:
    registry: Registry
    settings: Settings

    async def put_source(self, request: web.Request) -> web.Response:
        name = path_key(request, "source")
        body = await read_json(request, self.settings.body_limit)
        source, new = self.registry.catalog.sources.put(name, body)
        return answer(source, 201 if new else 200)

    async def get_source(self, request: web.Request) -> web.Response:
        return answer(self.registry.catalog.sources.get(path_key(request, "source")))

    async def list_sources(self, request: web.Request) -> web.Response:
        return answer(paged(request, self.registry.catalog.sources.list()))

    async def delete_source(self, request: web.Request) -> web.Response:
        self.registry.delete_source(path_key(request, "source"))
        return self._gone()

    async def put_partition(self, request: web.Request) -> web.Response:
        name, stage = path_key(request, "partition"), flag(request, "stage")
        body = await read_json(request, self.settings.body_limit)
        partition, new = self.registry.catalog.put_partition(name, body, stage=stage)
        return answer(partition, 201 if new else 200)

    async def get_partition(self, request: web.Request) -> web.Response:
        return answer(self.registry.catalog.partitions.get(path_key(request, "partition")))

    async def list_partitions(self, request: web.Request) -> web.Response:
        return answer(paged(request, self.registry.catalog.partitions.list()))

    async def delete_partition(self, request: web.Request) -> web.Response:
        self.registry.catalog.partitions.remove(path_key(request, "partition"))
        return self._gone()

    def _gone(self) -> web.Response:
        status = self.settings.catalog_delete
        return web.Response(status=204) if status == 204 else answer({}, status)
