"""Sources, partitions and definitions: the service answers at once, so each task is done at birth."""

from collections.abc import AsyncIterator, Coroutine

from attrs import evolve

from clinia_async import calls, models
from clinia_async.calls.conflicts import OnExisting
from clinia_async.calls.validation import value_of_document
from clinia_async.errors import InvalidWrite
from clinia_async.session.call_interface import CallInterface
from clinia_async.session.ensured import Ensured, ensured
from clinia_async.session.pagination import all_pages
from clinia_async.session.submissions import Submission


class CatalogMethods(CallInterface):
    """The catalog, and the definitions of a source."""

    # Sources

    def create_source(
        self, key: str, type: "models.SourceType | str" = "registry", *, timeout: float | None = None
    ) -> Submission["models.Source"]:
        """Create a source. May be retried. The task is done when it is returned.

        https://docs.clinia.com/explanation/sources/data-source

        Raises:
            InvalidWrite: the key is none; nothing was sent.
            RequestError: no good answer came; its `outcome` says what may have happened.
        """
        return self._perform(calls.CreateSource(key, type), timeout)

    def get_source(
        self, key: str, *, timeout: float | None = None
    ) -> Coroutine[object, object, "models.Source"]:
        """Read a source. May be retried.

        https://docs.clinia.com/explanation/sources/data-source

        Raises:
            NotFound: there is none with this key.
            RequestError: no good answer came.
        """
        return self.send(calls.GetSource(key), timeout=timeout)

    def list_sources(self, *, per_page: int | None = None) -> AsyncIterator["models.Source"]:
        """Iterate over all sources, `per_page` in one request. May be retried.

        https://docs.clinia.com/explanation/sources/data-source

        Raises:
            InvalidWrite: `per_page` is less than 1.
            RequestError: no good answer came.
        """
        return all_pages(lambda query: self.send(calls.ListSources(query)), per_page)

    def delete_source(self, key: str, *, timeout: float | None = None) -> Submission[None]:
        """Delete a source with all its records; its partitions become `STATUS_STALE`. May be retried.

        https://docs.clinia.com/explanation/sources/data-source

        Raises:
            RequestError: no good answer came; its `outcome` says what may have happened.
        """
        return self._perform(calls.DeleteSource(key), timeout)

    # Partitions

    def create_partition(
        self,
        key: str,
        *,
        definition: "models.Partition | models.PartitionJson | models.JsonDocument | None" = None,
        modules: "models.Modules | models.ModulesJson | None" = None,
        source: "models.DataSource | models.Mdm | models.DataSourceJson | models.MdmJson | None" = None,
        stage: bool = False,
        on_existing: OnExisting | str = OnExisting.FAIL,
        timeout: float | None = None,
    ) -> Submission["models.Partition"]:
        """Create a partition: immutable at once, or with `stage` a mutable one to try. May be retried.

        https://docs.clinia.com/api-reference/partitions/create-a-data-partition

        Args:
            key: the key of the new partition.
            definition: the body as the reference page shows it: a `Partition` that was read, a dict, JSON
                text, or the path of a file. It replaces `modules` and `source`.
            modules: the modules, or their JSON.
            source: the source, or its JSON.
            stage: make a mutable partition.
            on_existing: what becomes of it if a partition with this key is there: `fail` (the default),
                `compare` or `keep`, as `submit` says.
            timeout: seconds for all attempts together.

        Raises:
            InvalidWrite: a key or a part of the definition is wrong; nothing was sent.
            ConfigError: there is no such `on_existing`.
            WriteConflict: an answer was lost, and another partition has the key.
            RequestError: no good answer came; its `outcome` says what may have happened.
        """
        if definition is not None and modules is None and source is None:
            call = calls.CreatePartition.from_definition(key, definition, stage=stage)
        elif definition is None and modules is not None and source is not None:
            # JSON is taken, and checked
            call = calls.CreatePartition(key, modules, source, stage)  # type: ignore[arg-type]
        else:
            path = "$.source" if source is None else "$.modules"
            path = "$" if definition is not None or (modules is None and source is None) else path
            raise InvalidWrite(path, "must be given as `definition`, or as `modules` and `source`")
        return self._perform(call, timeout, on_existing)

    def ensure_partition(
        self,
        key: str,
        *,
        definition: "models.Partition | models.PartitionJson | models.JsonDocument | None" = None,
        modules: "models.Modules | models.ModulesJson | None" = None,
        source: "models.DataSource | models.Mdm | models.DataSourceJson | models.MdmJson | None" = None,
        stage: bool = False,
        timeout: float | None = None,
    ) -> Coroutine[object, object, Ensured["models.Partition"]]:
        """Return the partition with this key, which is created unless there is one. May be retried.

        What is there is never changed: `existing` of the result says if its definition differs.

        https://docs.clinia.com/api-reference/partitions/create-a-data-partition

        Args:
            key: the key of the partition.
            definition: the body as the reference page shows it: a `Partition` that was read, a dict, JSON
                text, or the path of a file. It replaces `modules` and `source`.
            modules: the modules, or their JSON.
            source: the source, or its JSON.
            stage: make a mutable partition.
            timeout: seconds for all attempts together.

        Raises:
            InvalidWrite: a key or a part of the definition is wrong; nothing was sent.
            RequestError: no good answer came; its `outcome` says what may have happened.
        """
        return ensured(
            self.create_partition(
                key,
                definition=definition,
                modules=modules,
                source=source,
                stage=stage,
                on_existing=OnExisting.KEEP,
                timeout=timeout,
            )
        )

    def get_partition(
        self, key: str, *, timeout: float | None = None
    ) -> Coroutine[object, object, "models.Partition"]:
        """Read a partition. May be retried.

        https://docs.clinia.com/api-reference/partitions/get-a-data-partition

        Raises:
            NotFound: there is none with this key.
            RequestError: no good answer came.
        """
        return self.send(calls.GetPartition(key), timeout=timeout)

    def list_partitions(self, *, per_page: int | None = None) -> AsyncIterator["models.Partition"]:
        """Iterate over all partitions, `per_page` in one request. May be retried.

        https://docs.clinia.com/api-reference/partitions/list-the-data-partitions

        Raises:
            InvalidWrite: `per_page` is less than 1.
            RequestError: no good answer came.
        """
        return all_pages(lambda query: self.send(calls.ListPartitions(query)), per_page)

    def delete_partition(self, key: str, *, timeout: float | None = None) -> Submission[None]:
        """Delete a partition. May be retried. That the call exists is documented, its path is not.

        https://docs.clinia.com/explanation/data-model/partitions

        Raises:
            RequestError: no good answer came; its `outcome` says what may have happened.
        """
        return self._perform(calls.DeletePartition(key), timeout)

    # Definitions

    def put_profile(
        self,
        source: str,
        key: str,
        profile: "models.Profile | models.ProfileJson | models.JsonDocument",
        *,
        timeout: float | None = None,
    ) -> Submission["models.Profile"]:
        """Create or replace a profile. May be retried. The task is done when it is returned.

        https://docs.clinia.com/explanation/data-model/profiles-relationships

        Raises:
            InvalidWrite: a key is wrong; nothing was sent.
            RequestError: no good answer came; its `outcome` says what may have happened.
        """
        return self._perform(
            calls.PutProfile(source, key, value_of_document(models.Profile, profile)), timeout
        )

    def put_relationship_definition(
        self,
        source: str,
        key: str,
        definition: "models.RelationshipDefinition | models.RelationshipDefinitionJson | models.JsonDocument",
        *,
        timeout: float | None = None,
    ) -> Submission["models.RelationshipDefinition"]:
        """Create a relationship definition. Whether it replaces one that is there is not documented.

        https://docs.clinia.com/api-reference/relationship-definitions/create-a-relationship-definition-in-the-registry

        Raises:
            InvalidWrite: a key is wrong; nothing was sent.
            RequestError: no good answer came; its `outcome` says what may have happened.
        """
        return self._perform(
            calls.PutRelationshipDefinition(
                source, key, value_of_document(models.RelationshipDefinition, definition)
            ),
            timeout,
        )

    def get_relationship_definition(
        self, source: str, key: str, *, timeout: float | None = None
    ) -> Coroutine[object, object, "models.RelationshipDefinition"]:
        """Read a relationship definition. May be retried.

        That the call exists is documented, its path is not.

        https://docs.clinia.com/api-reference/relationship-definitions/create-a-relationship-definition-in-the-registry

        Raises:
            NotFound: there is none with this key.
            RequestError: no good answer came.
        """
        return self.send(calls.GetRelationshipDefinition(source, key), timeout=timeout)

    def list_relationship_definitions(
        self, source: str, *, per_page: int | None = None
    ) -> AsyncIterator["models.RelationshipDefinition"]:
        """Iterate over the relationship definitions of a source. May be retried.

        That the call exists is documented, its path is not.

        https://docs.clinia.com/api-reference/relationship-definitions/create-a-relationship-definition-in-the-registry

        Raises:
            InvalidWrite: `per_page` is less than 1.
            RequestError: no good answer came.
        """
        first = calls.ListRelationshipDefinitions(source)
        return all_pages(lambda query: self.send(evolve(first, query=query)), per_page)

    def put_collection(
        self,
        source: str,
        key: str,
        collection: "models.Collection | models.CollectionJson | models.JsonDocument",
        *,
        timeout: float | None = None,
    ) -> Submission["models.Collection"]:
        """Create or replace a collection. May be retried. The task is done when it is returned.

        https://docs.clinia.com/api-reference/collections/create-or-update-a-registry-collection

        Raises:
            InvalidWrite: a key is wrong; nothing was sent.
            RequestError: no good answer came; its `outcome` says what may have happened.
        """
        return self._perform(
            calls.PutCollection(source, key, value_of_document(models.Collection, collection)), timeout
        )

    def get_collection(
        self, source: str, key: str, *, timeout: float | None = None
    ) -> Coroutine[object, object, "models.Collection"]:
        """Read a collection. May be retried.

        https://docs.clinia.com/api-reference/collections/get-a-collection-from-the-registry

        Raises:
            NotFound: there is none with this key.
            RequestError: no good answer came.
        """
        return self.send(calls.GetCollection(source, key), timeout=timeout)
