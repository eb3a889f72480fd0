"""Handlers for resources and for relationships, which are written and read in much the same way."""

from abc import abstractmethod

from aiohttp import web
from attrs import frozen

from clinia_async.emulator.access import answer, read_json
from clinia_async.emulator.bodies.batches import Bodies, bulk
from clinia_async.emulator.bodies.edits import (
    CREATE_CONTAINED,
    DELETE_CONTAINED,
    PUT_CONTAINED,
    containing,
    patching,
)
from clinia_async.emulator.bodies.operation import RELATIONSHIP, RESOURCE, Operation
from clinia_async.emulator.bodies.relationships import RelationshipBodies
from clinia_async.emulator.bodies.resources import ResourceBodies
from clinia_async.emulator.bodies.shapes import is_identifier, relationship_id, resource_id, task_id
from clinia_async.emulator.errors import ApiError, invalid
from clinia_async.emulator.handlers.parameters import flag, path_key, path_parts
from clinia_async.emulator.handlers.submissions import Submissions
from clinia_async.emulator.settings import Settings
from clinia_async.emulator.store.registry import Registry

_CONTAINED_PATH = 7
"""Where the way into a resource begins, among the parts of its path."""


@frozen(kw_only=True)
class RecordsApi:
    target: str
    registry: Registry
    settings: Settings
    submissions: Submissions

    async def get(self, request: web.Request) -> web.Response:
        source, type_ = self._address(request)
        id_ = request.match_info["id"]
        if not is_identifier(id_):
            self._id(request)
        if "includes" in request.query:
            raise ApiError("UNIMPLEMENTED", "the emulator includes nothing")
        return answer(self.registry.record(source, self.target, type_, id_).document())

    async def delete(self, request: web.Request) -> web.Response:
        source, type_ = self._address(request)
        return self.submissions.single(source, Operation(self.target, "DELETE", type_, self._id(request)))

    async def bulk(self, request: web.Request) -> web.Response:
        source = self._source(request)
        body = await read_json(request, self.settings.bulk_limit)
        return self.submissions.bulk(source, bulk(body, self._bodies(source)))

    async def get_bulk(self, request: web.Request) -> web.Response:
        """Like its task, without the id."""
        source, with_receipts = self._source(request), flag(request, "withReceipts")
        id_ = task_id(request.match_info["id"])
        document = self.registry.bulk(source, id_, self.target, with_receipts=with_receipts).document()
        del document["taskId"]
        return answer(document)

    @abstractmethod
    def _id(self, request: web.Request) -> str: ...

    @abstractmethod
    def _bodies(self, source: str) -> Bodies: ...

    def _source(self, request: web.Request) -> str:
        return self.registry.catalog.enter(path_key(request, "source"))

    def _address(self, request: web.Request) -> tuple[str, str]:
        return self._source(request), path_key(request, "type")

    async def _json(self, request: web.Request) -> object:
        return await read_json(request, self.settings.body_limit)


@frozen(kw_only=True)
class RelationshipsApi(RecordsApi):
    target: str = RELATIONSHIP

    async def create(self, request: web.Request) -> web.Response:
        source, type_ = self._address(request)
        operation = self._bodies(source).creation(type_, await self._json(request))
        return self.submissions.single(source, operation)

    async def patch(self, request: web.Request) -> web.Response:
        source, type_ = self._address(request)
        id_ = self._id(request)
        return self.submissions.single(source, patching(type_, id_, await self._json(request)))

    def _id(self, request: web.Request) -> str:
        return relationship_id(request.match_info["id"])

    def _bodies(self, source: str) -> RelationshipBodies:
        return RelationshipBodies(now=self.registry.clock.wall)


@frozen(kw_only=True)
class ResourcesApi(RecordsApi):
    target: str = RESOURCE

    async def create(self, request: web.Request) -> web.Response:
        source, type_ = self._address(request)
        operation = self._bodies(source).creation(type_, await self._json(request))
        return self.submissions.single(source, operation)

    async def put(self, request: web.Request) -> web.Response:
        source, type_ = self._address(request)
        id_ = self._id(request)
        operation = self._bodies(source).replacement(type_, id_, await self._json(request))
        return self.submissions.single(source, operation)

    async def create_contained(self, request: web.Request) -> web.Response:
        """The path ends in a key; the body may bring an id."""
        source, type_ = self._address(request)
        id_, path = self._id(request), _way(request, ends_in_id=False)
        entry = self._bodies(source).new_entry(await self._json(request))
        return self.submissions.single(source, containing(CREATE_CONTAINED, type_, id_, path, entry))

    async def put_contained(self, request: web.Request) -> web.Response:
        source, type_ = self._address(request)
        id_, path = self._id(request), _way(request, ends_in_id=True)
        entry = self._bodies(source).entry(path.pop(), await self._json(request))
        return self.submissions.single(source, containing(PUT_CONTAINED, type_, id_, path, entry))

    async def delete_contained(self, request: web.Request) -> web.Response:
        source, type_ = self._address(request)
        id_, path = self._id(request), _way(request, ends_in_id=True)
        return self.submissions.single(source, containing(DELETE_CONTAINED, type_, id_, path))

    def _id(self, request: web.Request) -> str:
        return resource_id(request.match_info["id"])

    def _bodies(self, source: str) -> ResourceBodies:
        return resource_bodies(self.registry, source)


def resource_bodies(registry: Registry, source: str) -> ResourceBodies:
    return ResourceBodies(
        now=registry.clock.wall,
        new_id=registry.new_id,
        properties=lambda type_: registry.definitions.properties(source, type_),
    )


def _way(request: web.Request, *, ends_in_id: bool) -> list[str]:
    path = path_parts(request, _CONTAINED_PATH)
    if (len(path) % 2 == 0) != ends_in_id:
        raise invalid(f"the path into a resource must end in {'an id' if ends_in_id else 'a key'}")
    return path
