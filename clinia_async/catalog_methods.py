"""The catalog's calls as methods. They are answered at once, so the task of a write is resolved at birth."""

from collections.abc import AsyncIterator

from clinia_async.calling import Calling
from clinia_async.calls import (
    CreatePartition,
    CreateSource,
    DeletePartition,
    DeleteSource,
    GetPartition,
    GetSource,
    ListPartitions,
    ListSources,
)
from clinia_async.models import DataSource, Mdm, Modules, Partition, Source, SourceType
from clinia_async.paging import all_pages
from clinia_async.tasks import Task


class CatalogMethods(Calling):
    async def create_source(
        self, key: str, type: SourceType = SourceType.REGISTRY, *, timeout: float | None = None
    ) -> Task[Source]:
        """May be repeated.

        https://docs.clinia.com/explanation/sources/data-source
        """
        return await self._perform(CreateSource(key, type), timeout)

    async def get_source(self, key: str, *, timeout: float | None = None) -> Source:
        """https://docs.clinia.com/explanation/sources/data-source"""
        return await self.send(GetSource(key), timeout=timeout)

    def list_sources(self, *, per_page: int | None = None) -> AsyncIterator[Source]:
        """https://docs.clinia.com/explanation/sources/data-source"""
        return all_pages(lambda query: self.send(ListSources(query)), per_page)

    async def delete_source(self, key: str, *, timeout: float | None = None) -> Task[None]:
        """Deletes a source with all its records; its partitions become `STATUS_STALE`. May be repeated.

        https://docs.clinia.com/explanation/sources/data-source
        """
        return await self._perform(DeleteSource(key), timeout)

    async def create_partition(
        self,
        key: str,
        *,
        modules: Modules,
        source: DataSource | Mdm,
        stage: bool = False,
        timeout: float | None = None,
    ) -> Task[Partition]:
        """Creates a partition: immutable at once, or with `stage` a mutable one to try. May be repeated.

        https://docs.clinia.com/api-reference/partitions/create-a-data-partition
        """
        return await self._perform(CreatePartition(key, modules, source, stage), timeout)

    async def get_partition(self, key: str, *, timeout: float | None = None) -> Partition:
        """https://docs.clinia.com/api-reference/partitions/get-a-data-partition"""
        return await self.send(GetPartition(key), timeout=timeout)

    def list_partitions(self, *, per_page: int | None = None) -> AsyncIterator[Partition]:
        """https://docs.clinia.com/api-reference/partitions/list-the-data-partitions"""
        return all_pages(lambda query: self.send(ListPartitions(query)), per_page)

    async def delete_partition(self, key: str, *, timeout: float | None = None) -> Task[None]:
        """That the call exists is documented, its path is not. May be repeated.

        https://docs.clinia.com/explanation/data-model/partitions
        """
        return await self._perform(DeletePartition(key), timeout)
