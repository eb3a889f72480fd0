"""What an emulator was asked and what it did, in order: the truth that a job's claims are held against."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from attrs import field, frozen

from clinia_async.calls import BatchWrite
from clinia_async.emulator.bodies.operation import Operation
from clinia_async.emulator.handlers.submissions import Submissions
from clinia_async.emulator.store.execution import Executor, Written
from clinia_async.emulator.store.receipts import OperationResult
from clinia_async.emulator.store.registry import Registry

Key = tuple[str, str, str]
"""Target, type and id of a record."""
Sign = tuple[str, str, str, str, str]
"""All that tells one write from another: its key without one if the service makes the id, action and data."""


def sign_of(write: BatchWrite) -> Sign:
    data = getattr(write, "data", None) or {}
    return (str(write.target), write.type, write.id or "", str(write.action), _text(data))


def key_of(write: BatchWrite) -> Key:
    assert write.id is not None
    return str(write.target), write.type, write.id


def _text(data: object) -> str:
    return json.dumps(data, sort_keys=True)


@frozen
class Witness:
    """`arrived` are the writes that came in; `done` those that took effect, rolled back ones left out."""

    arrived: list[Operation] = field(factory=list)
    done: list[Operation] = field(factory=list)
    on_arrival: list[Callable[[], None]] = field(factory=list)

    def came(self, sign: Sign) -> bool:
        return any(_is(operation, sign) for operation in self.arrived)

    def times(self, sign: Sign) -> int:
        return sum(_is(operation, sign) for operation in self.done)

    def history(self) -> dict[Key, list[Operation]]:
        found: defaultdict[Key, list[Operation]] = defaultdict(list)
        for operation in self.done:
            found[operation.target, operation.type, operation.id].append(operation)
        return found


def _is(operation: Operation, sign: Sign) -> bool:
    target, type_, id_, action, data = sign
    if (operation.target, operation.type, operation.action) != (target, type_, action):
        return False
    if id_ and operation.id != id_:
        return False
    return action == "DELETE" or _text(json.loads(operation.data)) == data


@contextmanager
def witnessed() -> Iterator[Witness]:
    """Of all emulators that run meanwhile."""
    seen = Witness()
    patched = [*_arrivals(seen), *_effects(seen)]
    for owner, name, replacement in patched:
        setattr(owner, f"_plain_{name}", getattr(owner, name))
        setattr(owner, name, replacement)
    try:
        yield seen
    finally:
        for owner, name, _ in patched:
            setattr(owner, name, getattr(owner, f"_plain_{name}"))
            delattr(owner, f"_plain_{name}")


Patch = tuple[type, str, Callable[..., object]]


def _arrivals(seen: Witness) -> Iterator[Patch]:
    def reported(operations: Iterable[Operation]) -> None:
        seen.arrived.extend(operations)
        for call in list(seen.on_arrival):
            call()

    for name in ("single", "bulk", "bundle"):

        def arrive(
            self: Submissions, source: str, work: object, plan: object = None, *, name: str = name
        ) -> object:
            reported([work] if isinstance(work, Operation) else work)  # type: ignore[arg-type]
            return getattr(self, f"_plain_{name}")(source, work, plan)

        yield Submissions, name, arrive


def _effects(seen: Witness) -> Iterator[Patch]:
    loose: list[Operation] | None = []
    """What was done by itself since the last request; None where the verdicts will tell."""

    def execute(self: Executor, source: str, operation: Operation, stamp: str) -> Written:
        outcome: Written = self._plain_execute(source, operation, stamp)  # type: ignore[attr-defined]
        if loose is not None:
            loose.append(operation)
            seen.done.append(operation)
        return outcome

    def by_results(name: str) -> Callable[..., object]:
        def many(self: Executor, source: str, operations: list[Operation], stamp: str) -> object:
            nonlocal loose
            kept, loose = loose, None
            try:
                plain = getattr(self, f"_plain_{name}")
                results: list[OperationResult | None] = plain(source, operations, stamp)
            finally:
                loose = kept
            if loose is not None:
                pairs = zip(operations, results, strict=True)
                seen.done.extend(each for each, result in pairs if result and result.status == "SUCCESS")
            return results

        return many

    def persist_bundle(self: Registry, *args: object, **options: object) -> object:
        assert loose is not None
        loose.clear()
        try:
            return self._plain_persist_bundle(*args, **options)  # type: ignore[attr-defined]
        except BaseException:
            seen.done[:] = [each for each in seen.done if not any(each is gone for gone in loose)]
            raise

    yield Executor, "execute", execute
    yield Executor, "each", by_results("each")
    yield Executor, "together", by_results("together")
    yield Registry, "persist_bundle", persist_bundle
