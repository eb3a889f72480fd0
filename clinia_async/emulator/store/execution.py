"""Execution of operations: one, many independently, or many together or not at all."""

from itertools import groupby
from sqlite3 import Connection
from typing import NamedTuple

from clinia_async.emulator.bodies import contained
from clinia_async.emulator.bodies.operation import CANCELLED, READY, RESOURCE, Operation
from clinia_async.emulator.bodies.patch import CREATE_CONTAINED, DELETE_CONTAINED, EDITS, PATCH, patched
from clinia_async.emulator.bodies.shapes import mapping, texts
from clinia_async.emulator.bodies.strict_json import decode
from clinia_async.emulator.errors import ApiError, absent, refused
from clinia_async.emulator.settings import Settings
from clinia_async.emulator.store.receipts import OperationResult
from clinia_async.emulator.store.records import Record, Records
from clinia_async.emulator.store.relationship_index import RelationshipIndex
from clinia_async.emulator.store.rules import Rules

_SUCCESS = OperationResult("SUCCESS")


class Written(NamedTuple):
    record: Record | None
    created: bool


class Executor:
    def __init__(self, database: Connection, records: Records, rules: Rules, settings: Settings) -> None:
        self._database = database
        self._records = records
        self._index = RelationshipIndex(database)
        self._rules = rules
        self._settings = settings

    def expect(self, source: str, operation: Operation) -> None:
        """Refuse an operation that would fail in the present state."""
        self._rules.check_type(source, operation.target, operation.type)
        there = self._records.has(source, operation)
        if there and operation.action == "CREATE":
            raise self._records.taken(source, operation)
        if not there and operation.action in EDITS | {"DELETE"}:
            raise absent(operation.target.lower())

    def execute(self, source: str, operation: Operation, stamp: str) -> Written:
        """Execute one operation, or raise the error for its receipt."""
        if operation.refusal is not None:
            kind, message = operation.refusal
            raise ApiError(kind, message)
        self._rules.check(source, operation)
        match operation.action:
            case "CREATE":
                return Written(self._records.create(source, operation, stamp), created=True)
            case "UPSERT":
                return Written(*self._records.put(source, operation, stamp))
            case "DELETE":
                self._remove(source, operation)
                return Written(None, created=False)
            case _:
                return self._edit(source, operation, stamp)

    def each(self, source: str, operations: list[Operation], stamp: str) -> list[OperationResult | None]:
        """Execute every operation independently. One that is done or in review has no result."""
        if self._settings.strict:
            return [self._attempt(source, operation, stamp) for operation in operations]
        results: list[OperationResult | None] = []
        for action, run in groupby(operations, _batch_action):
            results += self._run(source, action, list(run), stamp)
        return results

    def together(self, source: str, operations: list[Operation], stamp: str) -> list[OperationResult | None]:
        """Execute all operations or none: the first that fails rolls the others back."""
        if {operation.state for operation in operations} != {READY}:
            return self.each(source, operations, stamp)
        self._database.execute("SAVEPOINT together")
        results: list[OperationResult | None] = []
        for operation in operations:
            results.append(result := self._attempt(source, operation, stamp))
            if result and result.error:
                self._database.execute("ROLLBACK TO together")
                results = self._rolled_back(len(operations), len(results) - 1, result)
                break
        self._database.execute("RELEASE together")
        return results

    def _rolled_back(self, count: int, failed: int, result: OperationResult) -> list[OperationResult | None]:
        results: list[OperationResult | None] = [OperationResult(self._settings.rolled_back)] * count
        results[failed] = result
        return results

    def _run(
        self, source: str, action: str | None, run: list[Operation], stamp: str
    ) -> list[OperationResult | None]:
        """Execute consecutive operations, in one statement if all are of one action."""
        match action:
            case "CREATE":
                created = self._records.create_all(source, run, stamp)
                pairs = zip(created, run, strict=True)
                return [_SUCCESS if made else self._taken(source, operation) for made, operation in pairs]
            case "UPSERT":
                self._records.put_all(source, run, stamp)
                return [_SUCCESS] * len(run)
            case _:
                return [self._attempt(source, operation, stamp) for operation in run]

    def _taken(self, source: str, operation: Operation) -> OperationResult:
        return OperationResult("FAILURE", self._records.taken(source, operation).envelope())

    def _attempt(self, source: str, operation: Operation, stamp: str) -> OperationResult | None:
        if operation.state == CANCELLED:
            return OperationResult(CANCELLED)
        if operation.state != READY:
            return None
        try:
            self.execute(source, operation, stamp)
        except ApiError as refusal:
            return OperationResult("FAILURE", refusal.envelope())
        return _SUCCESS

    def purge(self, source: str, operation: Operation) -> int:
        """Delete the records of a type. Return how many, counted as the settings say."""
        attached = 0
        if operation.target == RESOURCE:
            attached = self._index.detach_all(source, operation.type)
        records = self._records.purge(source, operation.target, operation.type)
        return records + attached * self._settings.purge_counts_relationships

    def _remove(self, source: str, operation: Operation) -> None:
        """Delete a record, and the relationships attached to it if it is a resource."""
        self._records.remove(source, operation)
        if operation.target == RESOURCE:
            self._index.detach(source, operation)

    def _edit(self, source: str, operation: Operation, stamp: str) -> Written:
        record = self._records.get(source, operation.target, operation.type, operation.id)
        record, created = self._edited(record, operation)
        return Written(self._records.save(record, stamp), created)

    def _edited(self, record: Record, operation: Operation) -> tuple[Record, bool]:
        """Return the changed record, and whether something in it is new."""
        assert operation.edit is not None
        if operation.action == PATCH:
            try:
                return record._replace(data=patched(record.data, operation.edit)), False
            except LookupError:
                raise refused(self._settings.patch_failed, "a path leads nowhere in the data") from None
        edit = mapping(decode(operation.edit.encode()), "the edit")
        path = texts(edit["path"], "path")
        if operation.action == DELETE_CONTAINED:
            return record._replace(contained=contained.removed(record.contained, path)), False
        tree, created = contained.put(record.contained, path, mapping(edit["entry"], "entry"))
        if operation.action == CREATE_CONTAINED and not created:
            code = self._settings.already_exists
            raise ApiError("ALREADY_EXISTS", "the contained resource already exists", code=code)
        return record._replace(contained=tree), created


def _batch_action(operation: Operation) -> str | None:
    """Return the action of an operation that can be executed together with others of that action."""
    if operation.state == READY and operation.refusal is None and operation.action in ("CREATE", "UPSERT"):
        return operation.action
    return None
