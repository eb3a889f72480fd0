"""How writes are answered: done at once, or accepted and done later."""

from random import Random
from typing import Protocol

from aiohttp import web
from attrs import frozen

from clinia_async.emulator.access import answer
from clinia_async.emulator.bodies.operation import REVIEWED, Operation
from clinia_async.emulator.latency import Latency, Mode, Persisted, Review
from clinia_async.emulator.settings import Settings
from clinia_async.emulator.store.execution import Outcome
from clinia_async.emulator.store.registry import Registry


class Knobs(Protocol):
    """How things are done just now, as the owner of the emulator wants it."""

    @property
    def bulk(self) -> Latency: ...
    @property
    def bundle(self) -> Mode: ...
    @property
    def purge(self) -> Latency: ...
    def mode(self, type_: str, /) -> Mode: ...


@frozen(kw_only=True)
class Submissions:
    registry: Registry
    settings: Settings
    knobs: Knobs
    random: Random

    def single(self, source: str, operation: Operation) -> web.Response:
        mode = self.knobs.mode(operation.type)
        if isinstance(mode, Persisted):
            id_, outcome = self.registry.persist(source, operation)
            return _persisted(id_, _shown(outcome), 201 if outcome.created else 200)
        (operation,) = _for_review([operation], mode)
        return _accepted(self.registry.accept(source, operation, latency=self._draw(mode.latency)))

    def bulk(self, source: str, operations: list[Operation]) -> web.Response:
        """Always accepted, but what a reviewer must see waits for one here, too."""
        reviewed = {
            type_: isinstance(self.knobs.mode(type_), Review) for type_ in {one.type for one in operations}
        }
        if any(reviewed.values()):
            operations = [one._replace(state=REVIEWED) if reviewed[one.type] else one for one in operations]
        id_ = self.registry.accept_bulk(source, operations, latency=self._draw(self.knobs.bulk))
        return _accepted(id_, {"bulkId": id_})

    def bundle(self, source: str, operations: list[Operation]) -> web.Response:
        mode = self.knobs.bundle
        if isinstance(mode, Persisted):
            return self._persisted_bundle(source, operations)
        operations = _for_review(operations, mode)
        return _accepted(self.registry.accept_bundle(source, operations, latency=self._draw(mode.latency)))

    def purge(self, source: str, operation: Operation) -> web.Response:
        id_ = self.registry.accept_purge(source, operation, latency=self._draw(self.knobs.purge))
        return _accepted(id_, {"purgeOperation": self.registry.purge(source, id_)})

    def _persisted_bundle(self, source: str, operations: list[Operation]) -> web.Response:
        id_, outcomes = self.registry.persist_bundle(source, operations)
        done = [_done(*pair) for pair in zip(operations, outcomes, strict=True)]
        status = 201 if any(outcome.created for outcome in outcomes) else 200
        return _persisted(id_, {self.settings.bundle_field: done}, self.settings.bundle_status or status)

    def _draw(self, latency: Latency) -> float:
        return latency.draw(self.random)


def _for_review(operations: list[Operation], mode: Mode) -> list[Operation]:
    if not isinstance(mode, Review):
        return operations
    return [operation._replace(state=REVIEWED) for operation in operations]


def _shown(outcome: Outcome) -> dict[str, object]:
    """The record under the name of what it is; nothing after a delete."""
    record = outcome.record
    return {} if record is None else {record.target.lower(): record.document()}


def _done(operation: Operation, outcome: Outcome) -> dict[str, object]:
    """No page shows an operation of a persisted bundle; this is a receipt with the record."""
    names = {"targetType": operation.target, "type": operation.type, "id": operation.id}
    return {"action": operation.action, **names, **_shown(outcome)}


def _persisted(id_: str, more: dict[str, object], status: int) -> web.Response:
    return answer({"taskId": id_, "status": "PERSISTED", **more}, status)


def _accepted(id_: str, more: dict[str, object] | None = None) -> web.Response:
    return answer({"taskId": id_, "status": "ACCEPTED", **(more or {})}, 202)
