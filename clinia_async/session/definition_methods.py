"""What a source is made of. The service answers at once, so the task of a write is resolved at birth."""

from collections.abc import AsyncIterator

from clinia_async import calls, models
from clinia_async.session.call_interface import Calling
from clinia_async.session.pagination import all_pages
from clinia_async.tasks.task import Task


class DefinitionMethods(Calling):
    async def put_profile(
        self, source: str, key: str, profile: "models.Profile", *, timeout: float | None = None
    ) -> Task["models.Profile"]:
        """Answered at once: the task is resolved at birth. May be repeated.

        https://docs.clinia.com/explanation/data-model/profiles-relationships
        """
        return await self._perform(calls.PutProfile(source, key, profile), timeout)

    async def put_relationship_definition(
        self,
        source: str,
        key: str,
        definition: "models.RelationshipDefinition",
        *,
        timeout: float | None = None,
    ) -> Task["models.RelationshipDefinition"]:
        """Answered at once. Whether it replaces one that is there is not documented.

        https://docs.clinia.com/api-reference/relationship-definitions/create-a-relationship-definition-in-the-registry
        """
        return await self._perform(calls.PutRelationshipDefinition(source, key, definition), timeout)

    async def get_relationship_definition(
        self, source: str, key: str, *, timeout: float | None = None
    ) -> "models.RelationshipDefinition":
        """That the call exists is documented, its path is not.

        https://docs.clinia.com/api-reference/relationship-definitions/create-a-relationship-definition-in-the-registry
        """
        return await self.send(calls.GetRelationshipDefinition(source, key), timeout=timeout)

    def list_relationship_definitions(
        self, source: str, *, per_page: int | None = None
    ) -> AsyncIterator["models.RelationshipDefinition"]:
        """That the call exists is documented, its path is not.

        https://docs.clinia.com/api-reference/relationship-definitions/create-a-relationship-definition-in-the-registry
        """
        return all_pages(lambda query: self.send(calls.ListRelationshipDefinitions(source, query)), per_page)

    async def put_collection(
        self, source: str, key: str, collection: "models.Collection", *, timeout: float | None = None
    ) -> Task["models.Collection"]:
        """Answered at once. May be repeated.

        https://docs.clinia.com/api-reference/collections/create-or-update-a-registry-collection
        """
        return await self._perform(calls.PutCollection(source, key, collection), timeout)

    async def get_collection(
        self, source: str, key: str, *, timeout: float | None = None
    ) -> "models.Collection":
        """https://docs.clinia.com/api-reference/collections/get-a-collection-from-the-registry"""
        return await self.send(calls.GetCollection(source, key), timeout=timeout)
