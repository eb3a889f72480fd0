"""The registry: state and rules, without HTTP.

An accepted write is executed when it is due. No timer waits for that moment: each access to the
registry first executes what is due, so that every reader sees the state of that time.
"""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from sqlite3 import Connection
from types import TracebackType

from clinia_async.emulator.bodies.operation import APPROVED, CANCELLED, READY, REJECTED, REVIEWED, Operation
from clinia_async.emulator.bodies.shapes import is_identifier
from clinia_async.emulator.clock import Clock
from clinia_async.emulator.errors import ApiError, absent
from clinia_async.emulator.settings import Settings
from clinia_async.emulator.store.browsing import BrowseQuery, Browsing
from clinia_async.emulator.store.catalog import Catalog
from clinia_async.emulator.store.database import delete_everything, keep_stamp, latest_stamp, open_database
from clinia_async.emulator.store.definitions import Definitions
from clinia_async.emulator.store.execution import Executor, Written
from clinia_async.emulator.store.history import History
from clinia_async.emulator.store.ids import number_of
from clinia_async.emulator.store.overview import overview
from clinia_async.emulator.store.receipts import IN_REVIEW, SUCCESSFUL, OperationResult
from clinia_async.emulator.store.records import DuplicateCounter, Record, Records, Stored
from clinia_async.emulator.store.relationship_index import RelationshipIndex
from clinia_async.emulator.store.rules import Rules
from clinia_async.emulator.store.tasks import BULK, BUNDLE, PURGE, SINGLE, Purges, Task, Tasks, Work

_REVIEW_STATES = frozenset({REVIEWED, APPROVED, REJECTED})
_AT_ONCE = 100
"""Tasks executed in one transaction: each whole, with its receipts, or not at all."""


class _Transaction:
    """A transaction, again and again but not within itself. A rollback does not undo counted duplicates."""

    def __init__(self, database: Connection, duplicates: DuplicateCounter) -> None:
        self._database = database
        self._duplicates = duplicates

    def __enter__(self) -> None:
        self._database.execute("BEGIN")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.__exit__(kind, error, trace)  # commits, or rolls back
        self._duplicates.save()


class Registry:
    def __init__(
        self, data: Path | None, *, seed: int, settings: Settings, reads_lag: Callable[[], bool]
    ) -> None:
        """`reads_lag` says whether earlier states must be remembered from now on."""
        self._settings = settings
        self._reads_lag = reads_lag
        self._history: History | None = None
        self._database = database = open_database(data)
        self.clock = Clock(latest_stamp(database))
        self._duplicates = DuplicateCounter(database)
        self._one = _Transaction(database, self._duplicates)
        self._records = Records(database, self._duplicates, settings.already_exists)
        replaceable = settings.definitions_replaceable
        self.definitions = Definitions(database, settings.already_exists, replaceable=replaceable)
        rules = Rules(settings, self.definitions, self._records, RelationshipIndex(database))
        self._executor = Executor(database, self._records, rules, settings)
        self._tasks = Tasks(database, self.clock, seed, settings.update_action)
        self._purges = Purges(database)
        self._browsing = Browsing(self._records, settings, self.clock.now)
        self.catalog = Catalog(database, settings)
        self.new_id = self._tasks.ids.record

    def close(self) -> None:
        keep_stamp(self._database, self.clock.stamp())
        self._database.close()

    def reset(self) -> None:
        """Delete everything, and give the same ids again."""
        with self._transaction():
            delete_everything(self._database)
        if self._history is not None:
            self._history.clear()
        self._tasks.reset()
        self._browsing.reset()

    def persist(self, source: str, operation: Operation) -> tuple[str, Written]:
        """Execute a write now. Return the id of its finished task, and the record."""
        with self._transaction():
            stamp = self.clock.stamp()
            outcome = self._executor.execute(source, operation, stamp)
            return self._tasks.add_finished(source, [operation], stamp, prefix=SINGLE), outcome

    def persist_bundle(self, source: str, operations: list[Operation]) -> tuple[str, list[Written]]:
        """Execute all operations now, or none and raise the first error."""
        with self._transaction():
            stamp = self.clock.stamp()
            outcomes = [self._executor.execute(source, operation, stamp) for operation in operations]
            return self._tasks.add_finished(source, operations, stamp, prefix=BUNDLE), outcomes

    def accept(self, source: str, operation: Operation, *, latency: float, polls: int | None = None) -> str:
        with self._transaction():
            if not self._tasks.busy(source, operation):
                self._executor.expect(source, operation)
            return self._accept(source, [operation], prefix=SINGLE, latency=latency, polls=polls)

    def accept_bulk(
        self, source: str, operations: list[Operation], *, latency: float, polls: int | None = None
    ) -> str:
        with self._transaction():
            target = operations[0].target
            return self._accept(source, operations, prefix=BULK, target=target, latency=latency, polls=polls)

    def accept_bundle(
        self, source: str, operations: list[Operation], *, latency: float, polls: int | None = None
    ) -> str:
        with self._transaction():
            return self._accept(source, operations, prefix=BUNDLE, latency=latency, polls=polls)

    def accept_purge(self, source: str, operation: Operation, *, latency: float) -> str:
        with self._transaction():
            stamp = self.clock.stamp()
            number, id_ = self._tasks.accept(
                source, [operation], stamp, prefix=PURGE, target="", latency=latency
            )
            self._purges.begin(number, operation, stamp)
            return id_

    def record(self, source: str, target: str, type_: str, id_: str, *, lag: float = 0.0) -> Record:
        """Return a record by its id, or by one of its identifiers; with `lag`, as it was seconds ago."""
        with self._transaction():
            if lag and self._history is not None:
                changed, record = self._history.record((source, target, type_, id_), lag)
                if changed and record is None:
                    raise absent(target.lower())
                if record is not None:
                    return record
            try:
                return self._records.get(source, target, type_, id_)
            except ApiError:
                if not is_identifier(id_):
                    raise
                return self._records.find(source, target, type_, id_)

    def task(self, source: str, id_: str, *, with_receipts: bool = False, lag: float = 0.0) -> Task:
        """Return a task; with `lag`, as it was seconds ago."""
        self._tasks.count_poll(id_)
        with self._transaction():
            earlier = partial(self._history.task, lag=lag) if lag and self._history else None
            return self._tasks.get(source, id_, with_receipts=with_receipts, earlier=earlier)

    def bulk(
        self, source: str, id_: str, target: str, *, with_receipts: bool = False, lag: float = 0.0
    ) -> Task:
        task = self.task(source, id_, with_receipts=with_receipts, lag=lag)
        if not task.id.startswith(BULK) or task.target != target:
            raise absent(f"bulk of {target.lower()}s")
        return task

    def purge(self, source: str, id_: str) -> dict[str, object]:
        task = self.task(source, id_)
        if not task.id.startswith(PURGE):
            raise absent("purge")
        return self._purges.document(number_of(task.id), task)

    def browse(self, source: str, query: BrowseQuery) -> dict[str, object]:
        with self._transaction():
            return self._browsing.page(source, query)

    def delete_source(self, name: str) -> None:
        """Delete a source with all its records. Its accepted writes will not be executed."""
        with self._transaction():
            self.catalog.delete_source(name)
            self._records.delete_source(name)
            self.definitions.delete_source(name)
            self._tasks.delete_source(name)

    def decide(self, task_id: str, *, approved: bool) -> None:
        """Approve or reject all operations of a task that are in review."""
        with self._transaction():
            work = self._tasks.in_review(task_id)
            decision = APPROVED if approved else REJECTED
            operations = [
                one._replace(state=decision) if one.state == REVIEWED else one for one in work.operations
            ]
            self._execute(work._replace(operations=operations), self.clock.stamp())

    def tasks(self) -> dict[str, int]:
        """Return how many there are, by status."""
        with self._transaction():
            return self._tasks.count()

    def overview(self, *, contents: bool) -> dict[str, object]:
        """Return what the window shows; the data of records only with `contents`."""
        with self._transaction():
            return overview(self._database, contents=contents)

    def duplicate_creates(self) -> int:
        with self._transaction():
            return self._duplicates.total()

    def count(self, target: str, type_: str | None = None) -> int:
        with self._transaction():
            return self._records.count(target, type_)

    def stored(self, target: str) -> Iterator[Stored]:
        with self._transaction():
            return self._records.stored(target)

    def _transaction(self) -> "_Transaction":
        """Execute what is due, and return one transaction."""
        if self._history is None and self._reads_lag():
            self._history = History(self._database, self.clock.now)
        self._execute_due()
        return self._one

    def _execute_due(self) -> None:
        if not self._tasks.anything_due():
            return
        due = self._tasks.due()
        while some := list(islice(due, _AT_ONCE)):
            with self._database:
                self._database.execute("BEGIN")
                for moment, number in some:
                    if (work := self._tasks.work(number)) is not None:
                        self._execute(work, self.clock.stamp(moment))
                self._duplicates.save()
                keep_stamp(self._database, self.clock.stamp())

    def _accept(
        self,
        source: str,
        operations: list[Operation],
        *,
        prefix: str,
        target: str = "",
        latency: float,
        polls: int | None,
    ) -> str:
        operations = self._without_conflicts(source, operations, together=prefix == BUNDLE)
        _, id_ = self._tasks.accept(
            source, operations, self.clock.stamp(), prefix=prefix, target=target, latency=latency, polls=polls
        )
        return id_

    def _without_conflicts(
        self, source: str, operations: list[Operation], *, together: bool
    ) -> list[Operation]:
        if self._settings.conflicts == "queue":
            return operations
        if not self._tasks.any_busy():
            return operations
        busy = [self._tasks.busy(source, operation) for operation in operations]
        if not any(busy):
            return operations
        if together:
            busy = [True] * len(busy)
        return [
            operation._replace(state=CANCELLED) if taken else operation
            for operation, taken in zip(operations, busy, strict=True)
        ]

    def _execute(self, work: Work, stamp: str) -> None:
        if work.id.startswith(PURGE):
            results = self._purge(work, stamp)
        else:
            results = self._results(work, _decided(work.operations), stamp)
        if any(one.state in _REVIEW_STATES for one in work.operations):
            results = [self._reviewed(work, index, result) for index, result in enumerate(results)]
        self._tasks.complete(work, results, stamp)

    def _reviewed(self, work: Work, index: int, result: OperationResult | None) -> OperationResult | None:
        """Return the result of an operation whose reviewer has decided, or has yet to decide."""
        match work.operations[index].state:
            case state if state == REVIEWED:
                return OperationResult("PENDING", execution=self._execution(work, index, IN_REVIEW))
            case state if state == APPROVED:
                return result and result._replace(execution=self._execution(work, index, SUCCESSFUL))
            case state if state == REJECTED:
                return OperationResult(
                    "SUCCESS", execution=self._execution(work, index, self._settings.rejected)
                )
            case _:
                return result

    def _results(self, work: Work, operations: list[Operation], stamp: str) -> list[OperationResult | None]:
        execute = self._executor.together if work.id.startswith(BUNDLE) else self._executor.each
        return execute(work.source, operations, stamp)

    def _purge(self, work: Work, stamp: str) -> list[OperationResult | None]:
        (operation,) = work.operations
        self._purges.finish(work.number, self._executor.purge(work.source, operation), stamp)
        return [OperationResult("SUCCESS")]

    def _execution(self, work: Work, index: int, status: str) -> dict[str, object]:
        """Return the pipeline execution of an operation; the definition's version is part of its id."""
        definition = f"{work.operations[index].type}.1"
        id_ = self._tasks.ids.execution(work.number, index)
        return {"id": id_, "pipelineDefinitionId": definition, "status": status}


def _decided(operations: list[Operation]) -> list[Operation]:
    """Return operations with approved ones ready to be executed."""
    if not any(one.state == APPROVED for one in operations):
        return operations
    return [one._replace(state=READY) if one.state == APPROVED else one for one in operations]
