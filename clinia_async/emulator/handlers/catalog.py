"""Handlers for the catalog: sources and partitions."""

from attrs import frozen

from clinia_async.emulator.exchange import Answer, Request
from clinia_async.emulator.handlers.parameters import flag, paged, path_key
from clinia_async.emulator.settings import Settings
from clinia_async.emulator.store.registry import Registry


@frozen(kw_only=True)
class CatalogApi:
    registry: Registry
    settings: Settings

    def put_source(self, request: Request) -> Answer:
        name = path_key(request, "source")
        body = request.json()
        source, new = self.registry.catalog.sources.put(name, body)
        return Answer(source, 201 if new else 200)

    def get_source(self, request: Request) -> Answer:
        return Answer(self.registry.catalog.sources.get(path_key(request, "source")))

    def list_sources(self, request: Request) -> Answer:
        return Answer(paged(request, self.registry.catalog.sources.list()))

    def delete_source(self, request: Request) -> Answer:
        self.registry.delete_source(path_key(request, "source"))
        return self._gone()

    def put_partition(self, request: Request) -> Answer:
        name, stage = path_key(request, "partition"), flag(request, "stage")
        body = request.json()
        partition, new = self.registry.catalog.put_partition(name, body, stage=stage)
        return Answer(partition, 201 if new else 200)

    def get_partition(self, request: Request) -> Answer:
        return Answer(self.registry.catalog.partitions.get(path_key(request, "partition")))

    def list_partitions(self, request: Request) -> Answer:
        return Answer(paged(request, self.registry.catalog.partitions.list()))

    def delete_partition(self, request: Request) -> Answer:
        self.registry.catalog.partitions.remove(path_key(request, "partition"))
        return self._gone()

    def _gone(self) -> Answer:
        status = self.settings.catalog_delete
        return Answer(None, 204) if status == 204 else Answer({}, status)
