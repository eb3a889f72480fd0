"""Answers to writes: executed at once, or accepted and executed later."""

from random import Random
from typing import Protocol

from attrs import frozen

from clinia_async.emulator.bodies.operation import REVIEWED, Operation
from clinia_async.emulator.exchange import Answer
from clinia_async.emulator.latency import Latency, Mode, Persisted, Review
from clinia_async.emulator.settings import Settings
from clinia_async.emulator.store.execution import Written
from clinia_async.emulator.store.registry import Registry


class Modes(Protocol):
    """How writes are executed at present, as the emulator is set."""

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
    modes: Modes
    random: Random

    def single(self, source: str, operation: Operation) -> Answer:
        mode = self.modes.mode(operation.type)
        if isinstance(mode, Persisted):
            id_, written = self.registry.persist(source, operation)
            return _persisted(id_, _record(written), 201 if written.created else 200)
        (operation,) = _for_review([operation], mode)
        return _accepted(self.registry.accept(source, operation, latency=self._draw(mode.latency)))

    def bulk(self, source: str, operations: list[Operation]) -> Answer:
        """Accept a bulk. Operations of types that are reviewed wait for a reviewer here, too."""
        reviewed = {
            type_: isinstance(self.modes.mode(type_), Review) for type_ in {one.type for one in operations}
        }
        if any(reviewed.values()):
            operations = [one._replace(state=REVIEWED) if reviewed[one.type] else one for one in operations]
        id_ = self.registry.accept_bulk(source, operations, latency=self._draw(self.modes.bulk))
        return _accepted(id_, {"bulkId": id_})

    def bundle(self, source: str, operations: list[Operation]) -> Answer:
        mode = self.modes.bundle
        if isinstance(mode, Persisted):
            return self._persisted_bundle(source, operations)
        operations = _for_review(operations, mode)
        return _accepted(self.registry.accept_bundle(source, operations, latency=self._draw(mode.latency)))

    def purge(self, source: str, operation: Operation) -> Answer:
        id_ = self.registry.accept_purge(source, operation, latency=self._draw(self.modes.purge))
        return _accepted(id_, {"purgeOperation": self.registry.purge(source, id_)})

    def _persisted_bundle(self, source: str, operations: list[Operation]) -> Answer:
        id_, written = self.registry.persist_bundle(source, operations)
        done = [_operation(*pair) for pair in zip(operations, written, strict=True)]
        status = 201 if any(one.created for one in written) else 200
        return _persisted(id_, {self.settings.bundle_field: done}, self.settings.bundle_status or status)

    def _draw(self, latency: Latency) -> float:
        return latency.draw(self.random)


def _for_review(operations: list[Operation], mode: Mode) -> list[Operation]:
    if not isinstance(mode, Review):
        return operations
    return [operation._replace(state=REVIEWED) for operation in operations]


def _record(written: Written) -> dict[str, object]:
    """Return the record under the name of its target; nothing after a delete."""
    record = written.record
    return {} if record is None else {record.target.lower(): record.document()}


def _operation(operation: Operation, written: Written) -> dict[str, object]:
    """Return an operation of a persisted bundle, which no page shows: a receipt with its record."""
    names = {"targetType": operation.target, "type": operation.type, "id": operation.id}
    return {"action": operation.action, **names, **_record(written)}


def _persisted(id_: str, more: dict[str, object], status: int) -> Answer:
    return Answer({"taskId": id_, "status": "PERSISTED", **more}, status)


def _accepted(id_: str, more: dict[str, object] | None = None) -> Answer:
    return Answer({"taskId": id_, "status": "ACCEPTED", **(more or {})}, 202)
