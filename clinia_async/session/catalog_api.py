"""The catalog's calls as methods. They are answered at once, so the task of a write is resolved at birth."""

from collections.abc import AsyncIterator

from clinia_async import calls, models
from clinia_async.session.call_interface import Calling
from clinia_async.session.pagination import all_pages
from clinia_async.tasks.task import Task


class CatalogMethods(Calling):
    async def create_source(
        self, key: str, type: "models.SourceType | str" = "registry", *, timeout: float | None = None
    ) -> Task["models.Source"]:
        """May be repeated.

        https://docs.clinia.com/explanation/sources/data-source
        """
        return await self._perform(calls.CreateSource(key, models.SourceType(type)), timeout)

    async def get_source(self, key: str, *, timeout: float | None = None) -> "models.Source":
        """https://docs.clinia.com/explanation/sources/data-source"""
        return await self.send(calls.GetSource(key), timeout=timeout)

    def list_sources(self, *, per_page: int | None = None) -> AsyncIterator["models.Source"]:
        """https://docs.clinia.com/explanation/sources/data-source"""
        return all_pages(lambda query: self.send(calls.ListSources(query)), per_page)

    async def delete_source(self, key: str, *, timeout: float | None = None) -> Task[None]:
        """Deletes a source with all its records; its partitions become `STATUS_STALE`. May be repeated.

        https://docs.clinia.com/explanation/sources/data-source
        """
        return await self._perform(calls.DeleteSource(key), timeout)

    async def create_partition(
        self,
        key: str,
        *,
        modules: "models.Modules",
        source: "models.DataSource | models.Mdm",
        stage: bool = False,
        timeout: float | None = None,
    ) -> Task["models.Partition"]:
        """Creates a partition: immutable at once, or with `stage` a mutable one to try. May be repeated.

        https://docs.clinia.com/api-reference/partitions/create-a-data-partition
        """
        return await self._perform(calls.CreatePartition(key, modules, source, stage), timeout)

    async def get_partition(self, key: str, *, timeout: float | None = None) -> "models.Partition":
        """https://docs.clinia.com/api-reference/partitions/get-a-data-partition"""
        return await self.send(calls.GetPartition(key), timeout=timeout)

    def list_partitions(self, *, per_page: int | None = None) -> AsyncIterator["models.Partition"]:
        """https://docs.clinia.com/api-reference/partitions/list-the-data-partitions"""
        return all_pages(lambda query: self.send(calls.ListPartitions(query)), per_page)

    async def delete_partition(self, key: str, *, timeout: float | None = None) -> Task[None]:
        """That the call exists is documented, its path is not. May be repeated.

        https://docs.clinia.com/explanation/data-model/partitions
        """
        return await self._perform(calls.DeletePartition(key), timeout)
