"""Handlers for resources and for relationships, which are written and read in much the same way."""

from abc import abstractmethod

from attrs import frozen

from clinia_async.emulator.bodies.batches import Bodies, bulk
from clinia_async.emulator.bodies.operation import RELATIONSHIP, RESOURCE, Operation
from clinia_async.emulator.bodies.patch import (
    CREATE_CONTAINED,
    DELETE_CONTAINED,
    PUT_CONTAINED,
    contained_operation,
    patch_operation,
)
from clinia_async.emulator.bodies.relationships import RelationshipBodies
from clinia_async.emulator.bodies.resources import ResourceBodies
from clinia_async.emulator.bodies.shapes import is_identifier, relationship_id, resource_id, task_id
from clinia_async.emulator.errors import ApiError, invalid
from clinia_async.emulator.exchange import Answer, Request
from clinia_async.emulator.handlers.parameters import flag, path_key
from clinia_async.emulator.handlers.submissions import Submissions
from clinia_async.emulator.settings import Settings
from clinia_async.emulator.store.registry import Registry


@frozen(kw_only=True)
class RecordsApi:
    target: str
    registry: Registry
    settings: Settings
    submissions: Submissions

    def get(self, request: Request) -> Answer:
        source, type_ = self._address(request)
        id_ = request.path["id"]
        if not is_identifier(id_):
            self._id(request)
        if "includes" in request.query:
            raise ApiError("UNIMPLEMENTED", "the emulator includes nothing")
        return Answer(self.registry.record(source, self.target, type_, id_, lag=request.lag).document())

    def delete(self, request: Request) -> Answer:
        source, type_ = self._address(request)
        return self.submissions.single(
            source, Operation(self.target, "DELETE", type_, self._id(request)), request.plan
        )

    def bulk(self, request: Request) -> Answer:
        source = self._source(request)
        body = request.json()
        return self.submissions.bulk(source, bulk(body, self._bodies(source)), request.plan)

    def get_bulk(self, request: Request) -> Answer:
        """Answer with the task of a bulk, without its id."""
        source, with_receipts = self._source(request), flag(request, "withReceipts")
        id_ = task_id(request.path["id"])
        document = self.registry.bulk(
            source, id_, self.target, with_receipts=with_receipts, lag=request.lag
        ).document()
        del document["taskId"]
        return Answer(document)

    @abstractmethod
    def _id(self, request: Request) -> str: ...

    @abstractmethod
    def _bodies(self, source: str) -> Bodies: ...

    def _source(self, request: Request) -> str:
        return self.registry.catalog.enter(path_key(request, "source"))

    def _address(self, request: Request) -> tuple[str, str]:
        return self._source(request), path_key(request, "type")


@frozen(kw_only=True)
class RelationshipsApi(RecordsApi):
    target: str = RELATIONSHIP

    def create(self, request: Request) -> Answer:
        source, type_ = self._address(request)
        operation = self._bodies(source).creation(type_, request.json())
        return self.submissions.single(source, operation, request.plan)

    def patch(self, request: Request) -> Answer:
        source, type_ = self._address(request)
        id_ = self._id(request)
        return self.submissions.single(source, patch_operation(type_, id_, request.json()), request.plan)

    def _id(self, request: Request) -> str:
        return relationship_id(request.path["id"])

    def _bodies(self, source: str) -> RelationshipBodies:
        return RelationshipBodies(now=self.registry.clock.wall)


@frozen(kw_only=True)
class ResourcesApi(RecordsApi):
    target: str = RESOURCE

    def create(self, request: Request) -> Answer:
        source, type_ = self._address(request)
        operation = self._bodies(source).creation(type_, request.json())
        return self.submissions.single(source, operation, request.plan)

    def put(self, request: Request) -> Answer:
        source, type_ = self._address(request)
        id_ = self._id(request)
        operation = self._bodies(source).replacement(type_, id_, request.json())
        return self.submissions.single(source, operation, request.plan)

    def create_contained(self, request: Request) -> Answer:
        """Create a contained resource; the path ends in a key, and the body may have an id."""
        source, type_ = self._address(request)
        id_, path = self._id(request), _contained_path(request, ends_in_id=False)
        entry = self._bodies(source).new_entry(request.json())
        return self.submissions.single(
            source, contained_operation(CREATE_CONTAINED, type_, id_, path, entry), request.plan
        )

    def put_contained(self, request: Request) -> Answer:
        source, type_ = self._address(request)
        id_, path = self._id(request), _contained_path(request, ends_in_id=True)
        entry = self._bodies(source).entry(path.pop(), request.json())
        return self.submissions.single(
            source, contained_operation(PUT_CONTAINED, type_, id_, path, entry), request.plan
        )

    def delete_contained(self, request: Request) -> Answer:
        source, type_ = self._address(request)
        id_, path = self._id(request), _contained_path(request, ends_in_id=True)
        return self.submissions.single(
            source, contained_operation(DELETE_CONTAINED, type_, id_, path), request.plan
        )

    def _id(self, request: Request) -> str:
        return resource_id(request.path["id"])

    def _bodies(self, source: str) -> ResourceBodies:
        return resource_bodies(self.registry, source)


def resource_bodies(registry: Registry, source: str) -> ResourceBodies:
    return ResourceBodies(
        now=registry.clock.wall,
        new_id=registry.new_id,
        properties=lambda type_: registry.definitions.properties(source, type_),
    )


def _contained_path(request: Request, *, ends_in_id: bool) -> list[str]:
    path = list(request.rest)
    if (len(path) % 2 == 0) != ends_in_id:
        raise invalid(f"the path into a resource must end in {'an id' if ends_in_id else 'a key'}")
    return path
