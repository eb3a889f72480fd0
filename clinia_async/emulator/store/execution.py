"""Carrying out operations: one, many each for itself, or many together or not at all."""

from itertools import groupby
from sqlite3 import Connection
from typing import NamedTuple

from clinia_async.emulator.bodies.edits import EDITS, edited
from clinia_async.emulator.bodies.operation import CANCELLED, READY, RESOURCE, Operation
from clinia_async.emulator.errors import ApiError, absent
from clinia_async.emulator.settings import Settings
from clinia_async.emulator.store.receipts import Verdict
from clinia_async.emulator.store.records import Record, Records
from clinia_async.emulator.store.relationship_index import Ends
from clinia_async.emulator.store.rules import Rules

_SUCCESS = Verdict("SUCCESS")


class Outcome(NamedTuple):
    record: Record | None
    created: bool


class Executor:
    def __init__(self, database: Connection, records: Records, rules: Rules, settings: Settings) -> None:
        self._database = database
        self._records = records
        self._ends = Ends(database)
        self._rules = rules
        self._settings = settings

    def expect(self, source: str, operation: Operation) -> None:
        """Refuse at arrival what is sure to fail as things are."""
        self._rules.check_type(source, operation.target, operation.type)
        there = self._records.has(source, operation)
        if there and operation.action == "CREATE":
            raise self._records.taken(source, operation)
        if not there and operation.action in EDITS | {"DELETE"}:
            raise absent(operation.target.lower())

    def do(self, source: str, operation: Operation, stamp: str) -> Outcome:
        """Carry out one operation, or raise what its receipt shall say."""
        if operation.refusal is not None:
            raise ApiError("INVALID_ARGUMENT", operation.refusal)
        self._rules.check(source, operation)
        match operation.action:
            case "CREATE":
                return Outcome(self._records.create(source, operation, stamp), created=True)
            case "UPSERT":
                return Outcome(*self._records.put(source, operation, stamp))
            case "DELETE":
                self._remove(source, operation)
                return Outcome(None, created=False)
            case _:
                return self._edit(source, operation, stamp)

    def each(self, source: str, operations: list[Operation], stamp: str) -> list[Verdict | None]:
        """Every operation for itself; no verdict on one that is done or waits for a reviewer."""
        if self._settings.strict:
            return [self._attempt(source, operation, stamp) for operation in operations]
        verdicts: list[Verdict | None] = []
        for action, run in groupby(operations, _plainly):
            verdicts += self._run(source, action, list(run), stamp)
        return verdicts

    def together(self, source: str, operations: list[Operation], stamp: str) -> list[Verdict | None]:
        """All operations, or none: the first that fails takes the others back."""
        if {operation.state for operation in operations} != {READY}:
            return self.each(source, operations, stamp)
        self._database.execute("SAVEPOINT together")
        verdicts: list[Verdict | None] = []
        for operation in operations:
            verdicts.append(verdict := self._attempt(source, operation, stamp))
            if verdict and verdict.error:
                self._database.execute("ROLLBACK TO together")
                verdicts = self._rolled_back(len(operations), len(verdicts) - 1, verdict)
                break
        self._database.execute("RELEASE together")
        return verdicts

    def _rolled_back(self, count: int, failed: int, verdict: Verdict) -> list[Verdict | None]:
        verdicts: list[Verdict | None] = [Verdict(self._settings.rolled_back)] * count
        verdicts[failed] = verdict
        return verdicts

    def _run(self, source: str, action: str | None, run: list[Operation], stamp: str) -> list[Verdict | None]:
        """Operations that follow one another, of one action if they can be done at one stroke."""
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

    def _taken(self, source: str, operation: Operation) -> Verdict:
        return Verdict("FAILURE", self._records.taken(source, operation).envelope())

    def _attempt(self, source: str, operation: Operation, stamp: str) -> Verdict | None:
        if operation.state == CANCELLED:
            return Verdict(CANCELLED)
        if operation.state != READY:
            return None
        try:
            self.do(source, operation, stamp)
        except ApiError as refusal:
            return Verdict("FAILURE", refusal.envelope())
        return _SUCCESS

    def purge(self, source: str, operation: Operation) -> int:
        """How many records went; the setting says whether those count that went along."""
        attached = 0
        if operation.target == RESOURCE:
            attached = self._ends.detach_all(source, operation.type)
        records = self._records.purge(source, operation.target, operation.type)
        return records + attached * self._settings.purge_counts_relationships

    def _remove(self, source: str, operation: Operation) -> None:
        """A resource takes the relationships attached to it along."""
        self._records.remove(source, operation)
        if operation.target == RESOURCE:
            self._ends.detach(source, operation)

    def _edit(self, source: str, operation: Operation, stamp: str) -> Outcome:
        record = self._records.get(source, operation.target, operation.type, operation.id)
        record, created = edited(record, operation, self._settings)
        return Outcome(self._records.save(record, stamp), created)


def _plainly(operation: Operation) -> str | None:
    """The action of an operation that is to be done just so, if many of that kind are done at one stroke."""
    if operation.state == READY and operation.refusal is None and operation.action in ("CREATE", "UPSERT"):
        return operation.action
    return None
