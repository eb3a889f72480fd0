"""Handlers for what a source has besides its records: batches, tasks, browsing and definitions."""

from attrs import evolve, frozen

from clinia_async.emulator.bodies.batches import Bodies, bundle, purge
from clinia_async.emulator.bodies.references import Tokens
from clinia_async.emulator.bodies.relationships import RelationshipBodies
from clinia_async.emulator.bodies.shapes import task_id
from clinia_async.emulator.exchange import Answer, Request
from clinia_async.emulator.handlers.parameters import flag, paged, path_key
from clinia_async.emulator.handlers.records import resource_bodies
from clinia_async.emulator.handlers.submissions import Submissions
from clinia_async.emulator.settings import Settings
from clinia_async.emulator.store.browsing import browse_query
from clinia_async.emulator.store.definitions import COLLECTION, PROFILE, RELATIONSHIP_DEFINITION
from clinia_async.emulator.store.registry import Registry


@frozen(kw_only=True)
class SourceApi:
    registry: Registry
    settings: Settings
    submissions: Submissions

    def bundle(self, request: Request) -> Answer:
        source = self._source(request)
        body = request.json()

        def bodies(tokens: Tokens) -> tuple[Bodies, Bodies]:
            relationships = RelationshipBodies(now=self.registry.clock.wall, tokens=tokens)
            return evolve(resource_bodies(self.registry, source), tokens=tokens), relationships

        return self.submissions.bundle(source, bundle(body, self.registry.new_id, bodies), request.plan)

    def purge(self, request: Request) -> Answer:
        source = self._source(request)
        return self.submissions.purge(source, purge(request.json()))

    def get_purge(self, request: Request) -> Answer:
        return Answer(self.registry.purge(self._source(request), task_id(request.path["id"])))

    def get_task(self, request: Request) -> Answer:
        source, id_ = self._source(request), task_id(request.path["id"])
        with_receipts = flag(request, "withReceipts")
        task = self.registry.task(source, id_, with_receipts=with_receipts, lag=request.lag)
        return Answer(task.document())

    def browse(self, request: Request) -> Answer:
        source = self._source(request)
        return Answer(self.registry.browse(source, browse_query(request.json(), self.settings)))

    def put_definition(self, request: Request) -> Answer:
        return self._put(request, RELATIONSHIP_DEFINITION)

    def get_definition(self, request: Request) -> Answer:
        return self._get(request, RELATIONSHIP_DEFINITION)

    def list_definitions(self, request: Request) -> Answer:
        definitions = self.registry.definitions.list(self._source(request), RELATIONSHIP_DEFINITION)
        return Answer(paged(request, definitions))

    def put_profile(self, request: Request) -> Answer:
        return self._put(request, PROFILE)

    def put_collection(self, request: Request) -> Answer:
        return self._put(request, COLLECTION)

    def get_collection(self, request: Request) -> Answer:
        return self._get(request, COLLECTION)

    def _put(self, request: Request, kind: str) -> Answer:
        source, name = self._source(request), path_key(request, "key")
        definition, new = self.registry.definitions.put(source, kind, name, request.json())
        return Answer(definition, 201 if new else 200)

    def _get(self, request: Request, kind: str) -> Answer:
        return Answer(self.registry.definitions.get(self._source(request), kind, path_key(request, "key")))

    def _source(self, request: Request) -> str:
        return self.registry.catalog.enter(path_key(request, "source"))
