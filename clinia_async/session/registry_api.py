"""The records of a registry: each method makes a call, which checks itself, and sends it."""

from collections.abc import AsyncIterator, Iterable, Sequence

from clinia_async import calls, models
from clinia_async.calls import (
    BatchWrite,
    Bulk,
    Bundle,
    ContainedIn,
    CreateRelationship,
    CreateResource,
    DeleteRelationship,
    DeleteResource,
    GetBulkResult,
    GetPurge,
    GetRelationship,
    GetResource,
    GetTask,
    Purge,
    UpdateRelationship,
    UpsertResource,
)
from clinia_async.errors import ConfigError
from clinia_async.models import (
    CollectionType,
    Contained,
    Json,
    Meta,
    Patch,
    PurgeOperation,
    Ref,
    Relationship,
    Resource,
    TargetType,
    TaskSnapshot,
)
from clinia_async.models.batch_result import BatchResult
from clinia_async.models.task_id import TaskId
from clinia_async.serialization.exact_json import RawJson
from clinia_async.session.call_interface import Calling
from clinia_async.session.pagination import all_hits
from clinia_async.tasks.task import Task


class RegistryMethods(Calling):
    # Relationships

    async def create_relationship(
        self,
        source: str,
        type: str,
        *,
        from_: Ref,
        to: Ref,
        data: Json | RawJson | None = None,
        meta: Meta | None = None,
        timeout: float | None = None,
        read_back: bool | None = None,
    ) -> Task[Relationship]:
        """Creates one relationship. May be repeated: its key is known before sending.

        Raises `AlreadyExists`, or `WriteConflict` where an answer was lost and another record is there.

        https://docs.clinia.com/api-reference/relationships/create-a-relationship-between-two-resources-in-the-registry
        """
        return await self._submitting(
            CreateRelationship(source, type, from_, to, data, meta), timeout, read_back
        )

    async def get_relationship(
        self, source: str, type: str, id: str, *, timeout: float | None = None
    ) -> Relationship:
        """`id` is `{from.id}.{to.id}` or an identifier `{system}:{value}:{use}`. Raises `NotFound`.

        https://docs.clinia.com/api-reference/relationships/get-a-relationship-from-the-registry
        """
        return await self.send(GetRelationship(source, type, id), timeout=timeout)

    async def update_relationship(
        self, source: str, type: str, id: str, patches: Sequence[Patch], *, timeout: float | None = None
    ) -> Task[Relationship]:
        """Changes a relationship's data, in order. Repeated only if each change sets a whole value.

        https://docs.clinia.com/api-reference/relationships/update-a-relationship-between-two-resources-in-the-registry
        """
        return await self._submitting(UpdateRelationship(source, type, id, patches), timeout)

    async def delete_relationship(
        self, source: str, type: str, id: str, *, timeout: float | None = None
    ) -> Task[None]:
        """Deletes a relationship and leaves both its ends alone. May be repeated.

        https://docs.clinia.com/api-reference/relationships/delete-a-relationship-between-two-resources-in-the-registry
        """
        return await self._submitting(DeleteRelationship(source, type, id), timeout)

    # Resources

    async def create_resource(
        self,
        source: str,
        type: str,
        *,
        data: Json | RawJson,
        id: str | None = None,
        meta: Meta | None = None,
        contained: ContainedIn | None = None,
        timeout: float | None = None,
        read_back: bool | None = None,
    ) -> Task[Resource]:
        """Creates one resource. Without an `id` the service makes one, and the create is sent once.

        https://docs.clinia.com/api-reference/resources/create-a-resource-in-the-registry
        """
        write = CreateResource(source, type, id, data=data, meta=meta, contained=contained)
        return await self._submitting(write, timeout, read_back)

    async def upsert_resource(
        self,
        source: str,
        type: str,
        id: str,
        *,
        data: Json | RawJson,
        meta: Meta | None = None,
        contained: ContainedIn | None = None,
        timeout: float | None = None,
        read_back: bool | None = None,
    ) -> Task[Resource]:
        """Creates a resource or replaces it whole. May be repeated.

        https://docs.clinia.com/api-reference/resources/upsert-a-resource-in-the-registry
        """
        write = UpsertResource(source, type, id, data=data, meta=meta, contained=contained)
        return await self._submitting(write, timeout, read_back)

    async def get_resource(
        self, source: str, type: str, id: str, *, timeout: float | None = None
    ) -> Resource:
        """`id` may be an identifier `{system}:{value}:{use}`. Raises `NotFound`.

        https://docs.clinia.com/api-reference/resources/create-a-resource-in-the-registry
        """
        return await self.send(GetResource(source, type, id), timeout=timeout)

    async def delete_resource(
        self, source: str, type: str, id: str, *, timeout: float | None = None
    ) -> Task[None]:
        """Deletes a resource and the relationships attached to it. May be repeated.

        https://docs.clinia.com/guides/managing-data/purge
        """
        return await self._submitting(DeleteResource(source, type, id), timeout)

    async def create_contained(
        self,
        source: str,
        type: str,
        id: str,
        place: Sequence[str],
        contained: Contained,
        *,
        timeout: float | None = None,
    ) -> Task[Resource]:
        """Creates a resource inside another, under the key that `place` ends with; gives the root. Sent once.

        https://docs.clinia.com/changelog/behaviour-change-for-registry-apis
        """
        return await self._submitting(calls.CreateContained(source, type, id, place, contained), timeout)

    async def upsert_contained(
        self,
        source: str,
        type: str,
        id: str,
        place: Sequence[str],
        contained: Contained,
        *,
        timeout: float | None = None,
    ) -> Task[Resource]:
        """Creates or replaces the resource at `place` inside another; gives the root. May be repeated.

        https://docs.clinia.com/api-reference/resources/upsert-a-contained-resource-in-the-registry
        """
        return await self._submitting(calls.UpsertContained(source, type, id, place, contained), timeout)

    async def delete_contained(
        self, source: str, type: str, id: str, place: Sequence[str], *, timeout: float | None = None
    ) -> Task[Resource | None]:
        """Deletes the resource at `place` inside another; gives what is left of the root, if told. Sent once.

        https://docs.clinia.com/changelog/behaviour-change-for-registry-apis
        """
        return await self._submitting(calls.DeleteContained(source, type, id, place), timeout)

    # Many at once

    async def bulk(
        self, source: str, writes: Iterable[BatchWrite], *, timeout: float | None = None
    ) -> Task[BatchResult]:
        """Creates, upserts and deletes in one request, each for itself and in order.

        Its result raises `TaskFailed` if one is not stored; `error.result` tells of each. For more than a
        few thousand use `Ingestion`, which cuts, repeats and reports by record.

        https://docs.clinia.com/api-reference/bulk/bulk-create-upsert-or-delete-resources
        """
        return await self._submitting(Bulk(source, writes), timeout)

    async def bundle(
        self, source: str, writes: Iterable[BatchWrite], *, timeout: float | None = None
    ) -> Task[BatchResult]:
        """Resources and relationships, all or none; `BundleBuilder` links new ones without an id at hand.

        https://docs.clinia.com/api-reference/bundle/bundle-resource-and-relationship-operations-to-be-processed
        """
        return await self._submitting(Bundle(source, writes), timeout)

    async def get_bulk_result(
        self,
        source: str,
        target: TargetType,
        id: TaskId | str,
        *,
        with_receipts: bool = False,
        timeout: float | None = None,
    ) -> TaskSnapshot:
        """A bulk by its own endpoint, for deprecated bare ids; `session.task(id)` waits for any other.

        https://docs.clinia.com/api-reference/bulk/get-the-result-of-a-bulk-resource-request
        """
        call = GetBulkResult(source, target, as_task_id(id), with_receipts)
        return await self.send(call, timeout=timeout)

    async def purge(
        self,
        source: str,
        collection_type: CollectionType | str,
        collection_key: str,
        *,
        timeout: float | None = None,
    ) -> Task[PurgeOperation]:
        """Deletes all records of a collection, and of resources the relationships attached. Sent once.

        There is no way back. The result tells how many were deleted.

        https://docs.clinia.com/api-reference/purge/purge-operation-request-for-resources-or-relationships
        """
        return await self._submitting(Purge(source, collection_type, collection_key), timeout)

    async def get_purge(
        self, source: str, id: TaskId | str, *, timeout: float | None = None
    ) -> PurgeOperation:
        """https://docs.clinia.com/api-reference/purge/get-the-result-of-a-purge-request"""
        return await self.send(GetPurge(source, as_task_id(id)), timeout=timeout)

    async def get_task(
        self, source: str, id: TaskId | str, *, with_receipts: bool = False, timeout: float | None = None
    ) -> TaskSnapshot:
        """One look at a task. To wait for it, use `session.task(id)`.

        https://docs.clinia.com/api-reference/task/get-a-task-from-the-registry
        """
        return await self.send(GetTask(source, as_task_id(id), with_receipts), timeout=timeout)

    def browse(
        self,
        source: str,
        collection_keys: Sequence[str],
        *,
        per_page: int = 100,
        filter: Json | None = None,
        include: Sequence[str] | None = None,
        exclude: Sequence[str] | None = None,
    ) -> AsyncIterator["models.Hit"]:
        """Every record of these collections, page after page, at most 1,000 a page.

        The service keeps its place for five minutes from one page to the next. Whoever takes longer
        between two pages meets `NotFound`, and has to begin again: pages cannot be asked for by number.

        https://docs.clinia.com/api-reference/browse/browse-accross-resource-or-relationship-collections-in-the-registry
        """
        call = calls.Browse(
            source,
            collection_keys,
            per_page=per_page,
            filter=filter,
            include=include,
            exclude=exclude,
        )
        return all_hits(self.send, call)


def as_task_id(id: TaskId | str) -> TaskId:
    try:
        return id if isinstance(id, TaskId) else TaskId(id)
    except ValueError as error:
        text = str(error)
    raise ConfigError(text)
