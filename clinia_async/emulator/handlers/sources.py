"""Handlers for what a source has besides its records: batches, tasks, browsing and definitions."""

from aiohttp import web
from attrs import evolve, frozen

from clinia_async.emulator.access import answer, read_json
from clinia_async.emulator.bodies.batches import Bodies, bundle, purge
from clinia_async.emulator.bodies.references import Tokens
from clinia_async.emulator.bodies.relationships import RelationshipBodies
from clinia_async.emulator.bodies.shapes import task_id
from clinia_async.emulator.handlers.parameters import flag, paged, path_key
from clinia_async.emulator.handlers.records import resource_bodies
from clinia_async.emulator.handlers.submissions import Submissions
from clinia_async.emulator.settings import Settings
from clinia_async.emulator.store.browsing import question
from clinia_async.emulator.store.definitions import COLLECTION, PROFILE, RELATIONSHIP_DEFINITION
from clinia_async.emulator.store.registry import Registry


@frozen(kw_only=True)
class SourceApi:
    registry: Registry
    settings: Settings
    submissions: Submissions

    async def bundle(self, request: web.Request) -> web.Response:
        source = self._source(request)
        body = await read_json(request, self.settings.bundle_limit)

        def bodies(tokens: Tokens) -> tuple[Bodies, Bodies]:
            relationships = RelationshipBodies(now=self.registry.clock.wall, tokens=tokens)
            return evolve(resource_bodies(self.registry, source), tokens=tokens), relationships

        return self.submissions.bundle(source, bundle(body, self.registry.new_id, bodies))

    async def purge(self, request: web.Request) -> web.Response:
        source = self._source(request)
        return self.submissions.purge(source, purge(await self._json(request)))

    async def get_purge(self, request: web.Request) -> web.Response:
        return answer(self.registry.purge(self._source(request), task_id(request.match_info["id"])))

    async def get_task(self, request: web.Request) -> web.Response:
        source, id_ = self._source(request), task_id(request.match_info["id"])
        task = self.registry.task(source, id_, with_receipts=flag(request, "withReceipts"))
        return answer(task.document())

    async def browse(self, request: web.Request) -> web.Response:
        source = self._source(request)
        return answer(self.registry.browse(source, question(await self._json(request), self.settings)))

    async def put_definition(self, request: web.Request) -> web.Response:
        return await self._put(request, RELATIONSHIP_DEFINITION)

    async def get_definition(self, request: web.Request) -> web.Response:
        return self._get(request, RELATIONSHIP_DEFINITION)

    async def list_definitions(self, request: web.Request) -> web.Response:
        definitions = self.registry.definitions.list(self._source(request), RELATIONSHIP_DEFINITION)
        return answer(paged(request, definitions))

    async def put_profile(self, request: web.Request) -> web.Response:
        return await self._put(request, PROFILE)

    async def put_collection(self, request: web.Request) -> web.Response:
        return await self._put(request, COLLECTION)

    async def get_collection(self, request: web.Request) -> web.Response:
        return self._get(request, COLLECTION)

    async def _put(self, request: web.Request, kind: str) -> web.Response:
        source, name = self._source(request), path_key(request, "key")
        definition, new = self.registry.definitions.put(source, kind, name, await self._json(request))
        return answer(definition, 201 if new else 200)

    def _get(self, request: web.Request, kind: str) -> web.Response:
        return answer(self.registry.definitions.get(self._source(request), kind, path_key(request, "key")))

    def _source(self, request: web.Request) -> str:
        return self.registry.catalog.enter(path_key(request, "source"))

    async def _json(self, request: web.Request) -> object:
        return await read_json(request, self.settings.body_limit)
