"""The records of a registry: each method makes a call, which checks itself, and sends it."""

from collections.abc import AsyncIterator, Coroutine, Iterable, Sequence

from clinia_async import calls, models
from clinia_async.calls.conflicts import OnExisting
from clinia_async.errors import ConfigError, InvalidWrite
from clinia_async.models.task_id import TaskId
from clinia_async.serialization.exact_json import RawJson
from clinia_async.serialization.own_copy import own_copy
from clinia_async.session.call_interface import CallInterface
from clinia_async.session.ensured import Ensured, ensured
from clinia_async.session.pagination import all_hits
from clinia_async.session.submissions import Submission


class RegistryMethods(CallInterface):
    """The records of a registry, alone and in batches."""

    # Relationships

    def create_relationship(
        self,
        source: str,
        type: str,
        *,
        from_: "models.Ref | models.RefJson | None" = None,
        to: "models.Ref | models.RefJson | None" = None,
        data: "models.Json | RawJson | None" = None,
        meta: "models.Meta | models.MetaJson | None" = None,
        body: "models.RelationshipBodyJson | models.RelationshipJson | models.JsonDocument | None" = None,
        on_existing: OnExisting | str = OnExisting.FAIL,
        timeout: float | None = None,
        read_back: bool | None = None,
    ) -> "Submission[models.Relationship]":
        """Create one relationship. May be retried: its key is known before sending.

        https://docs.clinia.com/api-reference/relationships/create-a-relationship-between-two-resources-in-the-registry

        Args:
            source: the key of the source.
            type: the key of the relationship definition.
            from_: one end, or its JSON.
            to: the other end, or its JSON.
            data: the properties, as a JSON object.
            meta: times and identifiers, or their JSON.
            body: all of these as the reference page shows them: a dict, JSON text, or the path of a file.
            on_existing: what becomes of it if a relationship of these two is there: `fail` (the default),
                `compare` or `keep`, as `submit` says.
            timeout: seconds for all attempts together.
            read_back: read the stored record after a task (the default), or take it as it was sent.

        Raises:
            InvalidWrite: a value is one that the service could only refuse; nothing was sent.
            ConfigError: there is no such `on_existing`.
            AlreadyExists: there is a relationship of these two; with `compare`, a different one.
            WriteConflict: an answer was lost, and another record has the key.
            RequestError: no good answer came; its `outcome` says what may have happened.
        """
        if body is None:
            write = calls.CreateRelationship(source, type, from_, to, data, meta)  # type: ignore[arg-type]
        elif (from_, to, data, meta) == (None, None, None, None):
            write = calls.CreateRelationship.from_body(source, type, body)
        else:
            raise InvalidWrite("$", "must be given as `body`, or in parts")
        return self.submit(write, timeout=timeout, read_back=read_back, on_existing=on_existing)

    def ensure_relationship(
        self,
        source: str,
        type: str,
        *,
        from_: "models.Ref | models.RefJson | None" = None,
        to: "models.Ref | models.RefJson | None" = None,
        data: "models.Json | RawJson | None" = None,
        meta: "models.Meta | models.MetaJson | None" = None,
        body: "models.RelationshipBodyJson | models.RelationshipJson | models.JsonDocument | None" = None,
        timeout: float | None = None,
    ) -> "Coroutine[object, object, Ensured[models.Relationship]]":
        """Return the relationship of these two, which is created unless there is one. May be retried.

        It waits until the relationship is stored; `create_relationship(..., on_existing="keep")` returns the
        task instead. What is there is never changed: `existing` of the result says if it differs.

        https://docs.clinia.com/api-reference/relationships/create-a-relationship-between-two-resources-in-the-registry

        Args:
            source: the key of the source.
            type: the key of the relationship definition.
            from_: one end, or its JSON.
            to: the other end, or its JSON.
            data: the properties, as a JSON object.
            meta: times and identifiers, or their JSON.
            body: all of these as the reference page shows them: a dict, JSON text, or the path of a file.
            timeout: seconds for all attempts together; the wait for a task is not bounded.

        Raises:
            InvalidWrite: a value is one that the service could only refuse; nothing was sent.
            RequestError: no good answer came; its `outcome` says what may have happened.
            TaskError: the task failed, or was cancelled by the service because of a concurrent write.
        """
        return ensured(
            self.create_relationship(
                source,
                type,
                from_=from_,
                to=to,
                data=data,
                meta=meta,
                body=body,
                on_existing=OnExisting.KEEP,
                timeout=timeout,
            )
        )

    def get_relationship(
        self, source: str, type: str, id: str, *, timeout: float | None = None
    ) -> "Coroutine[object, object, models.Relationship]":
        """Read a relationship by `{from.id}.{to.id}` or `{system}:{value}:{use}`. May be retried.

        https://docs.clinia.com/api-reference/relationships/get-a-relationship-from-the-registry

        Raises:
            NotFound: there is none with this id.
            RequestError: no good answer came.
        """
        return self.send(calls.GetRelationship(source, type, id), timeout=timeout)

    def update_relationship(
        self,
        source: str,
        type: str,
        id: str,
        patches: "Sequence[models.Patch | models.PatchJson]",
        *,
        timeout: float | None = None,
    ) -> "Submission[models.Relationship]":
        """Change a relationship's data, in order. Retried only if each change sets a whole value.

        https://docs.clinia.com/api-reference/relationships/update-a-relationship-between-two-resources-in-the-registry

        Raises:
            InvalidWrite: a value is one that the service could only refuse; nothing was sent.
            RequestError: no good answer came; its `outcome` says what may have happened.
        """
        return self.submit(calls.UpdateRelationship(source, type, id, patches), timeout=timeout)  # type: ignore[arg-type]

    def delete_relationship(
        self, source: str, type: str, id: str, *, timeout: float | None = None
    ) -> Submission[None]:
        """Delete a relationship; the resources at its ends stay. May be retried.

        https://docs.clinia.com/api-reference/relationships/delete-a-relationship-between-two-resources-in-the-registry

        Raises:
            InvalidWrite: a value is one that the service could only refuse; nothing was sent.
            RequestError: no good answer came; its `outcome` says what may have happened.
        """
        return self.submit(calls.DeleteRelationship(source, type, id), timeout=timeout)

    # Resources

    def create_resource(
        self,
        source: str,
        type: str,
        *,
        data: "models.Json | RawJson",
        id: str | None = None,
        meta: "models.Meta | models.MetaJson | None" = None,
        contained: "calls.ContainedIn | models.ContainedInJson | None" = None,
        on_existing: OnExisting | str = OnExisting.FAIL,
        timeout: float | None = None,
        read_back: bool | None = None,
    ) -> "Submission[models.Resource]":
        """Create one resource. Without an `id` the service makes one, and the create is sent once.

        https://docs.clinia.com/api-reference/resources/create-a-resource-in-the-registry

        Args:
            source: the key of the source.
            type: the key of the profile.
            data: the properties, as a JSON object.
            id: the id; without one the service makes it.
            meta: times and identifiers, or their JSON.
            contained: contained resources, by the key of the property that holds them.
            on_existing: what becomes of it if a resource with this id is there: `fail` (the default),
                `compare` or `keep`, as `submit` says.
            timeout: seconds for all attempts together.
            read_back: read the stored record after a task (the default), or take it as it was sent.

        Raises:
            InvalidWrite: a value is one that the service could only refuse; nothing was sent.
            ConfigError: there is no such `on_existing`, or it needs an `id`.
            AlreadyExists: there is a resource with this id; with `compare`, a different one.
            WriteConflict: an answer was lost, and another record has the id.
            RequestError: no good answer came; its `outcome` says what may have happened.
        """
        write = calls.CreateResource(source, type, id, data=data, meta=meta, contained=contained)  # type: ignore[arg-type]
        return self.submit(write, timeout=timeout, read_back=read_back, on_existing=on_existing)

    def ensure_resource(
        self,
        source: str,
        type: str,
        id: str,
        *,
        data: "models.Json | RawJson",
        meta: "models.Meta | models.MetaJson | None" = None,
        contained: "calls.ContainedIn | models.ContainedInJson | None" = None,
        timeout: float | None = None,
    ) -> "Coroutine[object, object, Ensured[models.Resource]]":
        """Return the resource with this id, which is created unless there is one. May be retried.

        It waits until the resource is stored; `create_resource(..., on_existing="keep")` returns the task
        instead. What is there is never changed: `existing` of the result says if it differs.

        https://docs.clinia.com/api-reference/resources/create-a-resource-in-the-registry

        Args:
            source: the key of the source.
            type: the key of the profile.
            id: the id.
            data: the properties, as a JSON object.
            meta: times and identifiers, or their JSON.
            contained: contained resources, by the key of the property that holds them.
            timeout: seconds for all attempts together; the wait for a task is not bounded.

        Raises:
            InvalidWrite: a value is one that the service could only refuse; nothing was sent.
            RequestError: no good answer came; its `outcome` says what may have happened.
            TaskError: the task failed, or was cancelled by the service because of a concurrent write.
        """
        return ensured(
            self.create_resource(
                source,
                type,
                id=id,
                data=data,
                meta=meta,
                contained=contained,
                on_existing=OnExisting.KEEP,
                timeout=timeout,
            )
        )

    def upsert_resource(
        self,
        source: str,
        type: str,
        id: str,
        *,
        data: "models.Json | RawJson",
        meta: "models.Meta | models.MetaJson | None" = None,
        contained: "calls.ContainedIn | models.ContainedInJson | None" = None,
        timeout: float | None = None,
        read_back: bool | None = None,
    ) -> "Submission[models.Resource]":
        """Create a resource or replace it whole. May be retried.

        https://docs.clinia.com/api-reference/resources/upsert-a-resource-in-the-registry

        Args:
            source: the key of the source.
            type: the key of the profile.
            data: the properties, as a JSON object.
            id: the id.
            meta: times and identifiers, or their JSON.
            contained: contained resources, by the key of the property that holds them.
            timeout: seconds for all attempts together.
            read_back: read the stored record after a task (the default), or take it as it was sent.

        Raises:
            InvalidWrite: a value is one that the service could only refuse; nothing was sent.
            RequestError: no good answer came; its `outcome` says what may have happened.
        """
        write = calls.UpsertResource(source, type, id, data=data, meta=meta, contained=contained)  # type: ignore[arg-type]
        return self.submit(write, timeout=timeout, read_back=read_back)

    def get_resource(
        self, source: str, type: str, id: str, *, timeout: float | None = None
    ) -> "Coroutine[object, object, models.Resource]":
        """Read a resource by its id or an identifier `{system}:{value}:{use}`. May be retried.

        https://docs.clinia.com/api-reference/resources/create-a-resource-in-the-registry

        Raises:
            NotFound: there is none with this id.
            RequestError: no good answer came.
        """
        return self.send(calls.GetResource(source, type, id), timeout=timeout)

    def delete_resource(
        self, source: str, type: str, id: str, *, timeout: float | None = None
    ) -> Submission[None]:
        """Delete a resource and the relationships attached to it. May be retried.

        https://docs.clinia.com/guides/managing-data/purge

        Raises:
            InvalidWrite: a value is one that the service could only refuse; nothing was sent.
            RequestError: no good answer came; its `outcome` says what may have happened.
        """
        return self.submit(calls.DeleteResource(source, type, id), timeout=timeout)

    def create_contained(
        self,
        source: str,
        type: str,
        id: str,
        place: Sequence[str],
        contained: "models.Contained | models.ContainedJson",
        *,
        timeout: float | None = None,
    ) -> "Submission[models.Resource]":
        """Create a resource inside another, under the key that `place` ends with. Sent once.

        The result is the root resource.

        https://docs.clinia.com/changelog/behaviour-change-for-registry-apis

        Raises:
            InvalidWrite: a value is one that the service could only refuse; nothing was sent.
            RequestError: no good answer came; its `outcome` says what may have happened.
        """
        return self.submit(calls.CreateContained(source, type, id, place, contained), timeout=timeout)  # type: ignore[arg-type]

    def upsert_contained(
        self,
        source: str,
        type: str,
        id: str,
        place: Sequence[str],
        contained: "models.Contained | models.ContainedJson",
        *,
        timeout: float | None = None,
    ) -> "Submission[models.Resource]":
        """Create or replace the resource at `place` inside another. May be retried.

        The result is the root resource.

        https://docs.clinia.com/api-reference/resources/upsert-a-contained-resource-in-the-registry

        Raises:
            InvalidWrite: a value is one that the service could only refuse; nothing was sent.
            RequestError: no good answer came; its `outcome` says what may have happened.
        """
        return self.submit(calls.UpsertContained(source, type, id, place, contained), timeout=timeout)  # type: ignore[arg-type]

    def delete_contained(
        self, source: str, type: str, id: str, place: Sequence[str], *, timeout: float | None = None
    ) -> "Submission[models.Resource | None]":
        """Delete the resource at `place` inside another. Sent once.

        The result is the root resource without it, or None where the answer does not hold the root.

        https://docs.clinia.com/changelog/behaviour-change-for-registry-apis

        Raises:
            InvalidWrite: a value is one that the service could only refuse; nothing was sent.
            RequestError: no good answer came; its `outcome` says what may have happened.
        """
        return self.submit(calls.DeleteContained(source, type, id, place), timeout=timeout)

    # Batches

    def bulk(
        self, source: str, writes: "Iterable[calls.BatchWrite]", *, timeout: float | None = None
    ) -> "Submission[models.BatchResult]":
        """Create, upsert and delete in one request, each for itself and in order.

        The task's result raises `TaskFailed` if one is not stored; `error.result` has each outcome. For
        more than a few thousand use `Ingestion`, which splits, retries and reports by record.

        https://docs.clinia.com/api-reference/bulk/bulk-create-upsert-or-delete-resources

        Raises:
            InvalidWrite: a value is one that the service could only refuse; nothing was sent.
            RequestError: no good answer came; its `outcome` says what may have happened.
        """
        return self.submit(calls.Bulk(source, writes), timeout=timeout)

    def bundle(
        self, source: str, writes: "Iterable[calls.BatchWrite]", *, timeout: float | None = None
    ) -> "Submission[models.BatchResult]":
        """Write resources and relationships, all or none; `BundleBuilder` links new ones without an id.

        https://docs.clinia.com/api-reference/bundle/bundle-resource-and-relationship-operations-to-be-processed

        Raises:
            InvalidWrite: a value is one that the service could only refuse; nothing was sent.
            RequestError: no good answer came; its `outcome` says what may have happened.
        """
        return self.submit(calls.Bundle(source, writes), timeout=timeout)

    def get_bulk_result(
        self,
        source: str,
        target: "models.TargetType",
        id: TaskId | str,
        *,
        with_receipts: bool = False,
        timeout: float | None = None,
    ) -> "Coroutine[object, object, models.TaskSnapshot]":
        """Read a bulk by its own endpoint, for deprecated bare ids. May be retried.

        `session.task(id)` waits for any other. `with_receipts` asks for the receipt of each operation.

        https://docs.clinia.com/api-reference/bulk/get-the-result-of-a-bulk-resource-request

        Raises:
            ConfigError: the id is no task id.
            RequestError: no good answer came.
        """
        call = calls.GetBulkResult(source, target, as_task_id(id), with_receipts)
        return self.send(call, timeout=timeout)

    def purge(
        self,
        source: str,
        collection_type: "models.CollectionType | str",
        collection_key: str,
        *,
        timeout: float | None = None,
    ) -> "Submission[models.PurgeOperation]":
        """Delete all records of a collection, and of resources the relationships attached. Sent once.

        It cannot be undone. The result says how many were deleted.

        https://docs.clinia.com/api-reference/purge/purge-operation-request-for-resources-or-relationships

        Raises:
            InvalidWrite: a value is one that the service could only refuse; nothing was sent.
            RequestError: no good answer came; its `outcome` says what may have happened.
        """
        return self.submit(calls.Purge(source, collection_type, collection_key), timeout=timeout)

    def get_purge(
        self, source: str, id: TaskId | str, *, timeout: float | None = None
    ) -> "Coroutine[object, object, models.PurgeOperation]":
        """Read how a purge stands. May be retried.

        https://docs.clinia.com/api-reference/purge/get-the-result-of-a-purge-request

        Raises:
            ConfigError: the id is no task id.
            RequestError: no good answer came.
        """
        return self.send(calls.GetPurge(source, as_task_id(id)), timeout=timeout)

    def get_task(
        self, source: str, id: TaskId | str, *, with_receipts: bool = False, timeout: float | None = None
    ) -> "Coroutine[object, object, models.TaskSnapshot]":
        """Poll a task once. To wait for it, use `session.task(id)`. May be retried.

        `with_receipts` asks for the receipt of each operation, which makes the answer larger.

        https://docs.clinia.com/api-reference/task/get-a-task-from-the-registry

        Raises:
            ConfigError: the id is no task id.
            RequestError: no good answer came.
        """
        return self.send(calls.GetTask(source, as_task_id(id), with_receipts), timeout=timeout)

    def browse(
        self,
        source: str,
        collection_keys: Sequence[str],
        *,
        per_page: int = 100,
        filter: "models.Json | None" = None,
        include: Sequence[str] | None = None,
        exclude: Sequence[str] | None = None,
    ) -> AsyncIterator["models.Hit"]:
        """Iterate over every record of these collections. May be retried.

        The service keeps its place for five minutes from one page to the next. A caller that takes longer
        meets `NotFound` and has to begin again: pages cannot be asked for by number.

        Args:
            source: the key of the source.
            collection_keys: the keys of profiles or relationship definitions.
            per_page: records in one answer, up to 1,000.
            filter: the filter, as a JSON object.
            include: the properties that the records come with; None is all.
            exclude: properties that they come without.

        https://docs.clinia.com/api-reference/browse/browse-accross-resource-or-relationship-collections-in-the-registry

        Raises:
            InvalidWrite: a key or `per_page` is wrong; nothing was sent.
            RequestError: no good answer came.
            ProtocolError: pages come again, or there is no way to the next one.
        """
        call = calls.Browse(
            source,
            collection_keys,
            per_page=per_page,
            filter=filter,
            include=include,
            exclude=exclude,
        )
        return all_hits(self.send, own_copy(call))


def as_task_id(id: TaskId | str) -> TaskId:
    """Return `id` as a task id. Raises `ConfigError` for a text that is none."""
    try:
        return id if isinstance(id, TaskId) else TaskId(id)
    except ValueError as error:
        text = str(error)
    raise ConfigError(text)
