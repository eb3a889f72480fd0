"""Answers to writes: executed at once, or accepted and executed later."""

from random import Random
from typing import Protocol

from attrs import frozen

from clinia_async.emulator.bodies.operation import APPROVED, REJECTED, REVIEWED, Operation
from clinia_async.emulator.errors import ApiError
from clinia_async.emulator.exchange import Answer, Plan
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

    def single(self, source: str, operation: Operation, plan: Plan | None = None) -> Answer:
        mode = self.modes.mode(operation.type) if plan is None else plan.mode
        if isinstance(mode, Persisted):
            id_, written = self.registry.persist(source, operation)
            return _persisted(id_, _record(written), 201 if written.created else 200)
        (operation,) = _planned(_for_review([operation], mode), plan)
        polls = None if plan is None else plan.polls
        id_ = self.registry.accept(source, operation, latency=self._draw(mode.latency), polls=polls)
        return _accepted(id_)

    def bulk(self, source: str, operations: list[Operation], plan: Plan | None = None) -> Answer:
        """Accept a bulk. Operations of types that are reviewed wait for a reviewer here, too."""
        latency = self.modes.bulk
        if plan is not None and not isinstance(plan.mode, Persisted):
            operations, latency = _planned(_for_review(operations, plan.mode), plan), plan.mode.latency
        else:
            operations = self._reviewed_by_type(operations)
        polls = None if plan is None else plan.polls
        id_ = self.registry.accept_bulk(source, operations, latency=self._draw(latency), polls=polls)
        return _accepted(id_, {"bulkId": id_})

    def bundle(self, source: str, operations: list[Operation], plan: Plan | None = None) -> Answer:
        mode = self.modes.bundle if plan is None else plan.mode
        if isinstance(mode, Persisted):
            return self._persisted_bundle(source, operations)
        operations = _planned(_for_review(operations, mode), plan)
        polls = None if plan is None else plan.polls
        id_ = self.registry.accept_bundle(source, operations, latency=self._draw(mode.latency), polls=polls)
        return _accepted(id_)

    def purge(self, source: str, operation: Operation) -> Answer:
        id_ = self.registry.accept_purge(source, operation, latency=self._draw(self.modes.purge))
        return _accepted(id_, {"purgeOperation": self.registry.purge(source, id_)})

    def _reviewed_by_type(self, operations: list[Operation]) -> list[Operation]:
        modes = {type_: self.modes.mode(type_) for type_ in {one.type for one in operations}}
        if not any(isinstance(mode, Review) for mode in modes.values()):
            return operations
        return [reviewed for one in operations for reviewed in _for_review([one], modes[one.type])]

    def _persisted_bundle(self, source: str, operations: list[Operation]) -> Answer:
        id_, written = self.registry.persist_bundle(source, operations)
        done = [_operation(*pair) for pair in zip(operations, written, strict=True)]
        status = 201 if any(one.created for one in written) else 200
        return _persisted(id_, {self.settings.bundle_field: done}, self.settings.bundle_status or status)

    def _draw(self, latency: Latency) -> float:
        return latency.draw(self.random)


_DECISIONS = {None: REVIEWED, True: APPROVED, False: REJECTED}


def _for_review(operations: list[Operation], mode: Mode) -> list[Operation]:
    if not isinstance(mode, Review):
        return operations
    return [operation._replace(state=_DECISIONS[mode.approved]) for operation in operations]


def _planned(operations: list[Operation], plan: Plan | None) -> list[Operation]:
    """Return the operations, failing as planned. Raises `ApiError` if there is none to fail."""
    if plan is None or plan.failure is None:
        return operations
    type_, failing = plan.failure
    if failing is not None and failing >= len(operations):
        raise ApiError("INVALID_ARGUMENT", "the script fails an operation that this request does not have")
    error = (type_, "the operation failed, as the emulator is set")
    return [
        one._replace(refusal=error) if failing in (None, index) else one
        for index, one in enumerate(operations)
    ]


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
