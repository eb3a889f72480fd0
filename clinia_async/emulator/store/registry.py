"""The registry: state and rules, without HTTP.

A write that was accepted is done when its time has come. Nobody waits for that moment with a
timer: whoever looks at the registry first settles what is due, so the state anyone sees is the
state the clock says.
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from clinia_async.emulator.bodies.operation import CANCELLED, READY, REVIEWED, Operation
from clinia_async.emulator.bodies.shapes import is_identifier
from clinia_async.emulator.clock import Clock
from clinia_async.emulator.errors import ApiError, absent
from clinia_async.emulator.settings import Settings
from clinia_async.emulator.store.absorbed import Absorbed
from clinia_async.emulator.store.browsing import Browsing, Question
from clinia_async.emulator.store.catalog import Catalog
from clinia_async.emulator.store.database import open_database
from clinia_async.emulator.store.definitions import Definitions
from clinia_async.emulator.store.execution import Executor, Outcome
from clinia_async.emulator.store.ids import number_of
from clinia_async.emulator.store.purges import Purges
from clinia_async.emulator.store.receipts import APPROVED, IN_REVIEW, Verdict
from clinia_async.emulator.store.records import Record, Records, Stored
from clinia_async.emulator.store.relationship_index import Ends
from clinia_async.emulator.store.rules import Rules
from clinia_async.emulator.store.settled import Settled
from clinia_async.emulator.store.tasks import BULK, BUNDLE, PURGE, SINGLE, Task, Tasks, Work

_AT_ONCE = 100
"""So many tasks are carried out in one transaction: each whole, with its receipts, or not at all."""


class Registry:
    def __init__(self, data: Path | None, *, seed: int, settings: Settings) -> None:
        self.clock = Clock()
        self._settings = settings
        self._database = database = open_database(data)
        self._absorbed = Absorbed(database)
        self._records = Records(database, self._absorbed, settings.already_exists)
        replaceable = settings.definitions_replaceable
        self.definitions = Definitions(database, settings.already_exists, replaceable=replaceable)
        rules = Rules(settings, self.definitions, self._records, Ends(database))
        self._executor = Executor(database, self._records, rules, settings)
        self._tasks = Tasks(database, self.clock, seed, settings.update_action)
        self._purges = Purges(database)
        self._browsing = Browsing(self._records, settings, self.clock.now)
        self.catalog = Catalog(database, settings)
        self.new_id = self._tasks.ids.record
        self._settled = Settled(database, self._absorbed, self._settle)

    def close(self) -> None:
        self._database.close()

    def persist(self, source: str, operation: Operation) -> tuple[str, Outcome]:
        """Do a write now: the id of its finished task, and what came of it."""
        with self._settled:
            stamp = self.clock.stamp()
            outcome = self._executor.do(source, operation, stamp)
            return self._tasks.done(source, [operation], stamp, prefix=SINGLE), outcome

    def persist_bundle(self, source: str, operations: list[Operation]) -> tuple[str, list[Outcome]]:
        """Do all of them now, or none and raise what the first failure says."""
        with self._settled:
            stamp = self.clock.stamp()
            outcomes = [self._executor.do(source, operation, stamp) for operation in operations]
            return self._tasks.done(source, operations, stamp, prefix=BUNDLE), outcomes

    def accept(self, source: str, operation: Operation, *, latency: float) -> str:
        with self._settled:
            if not self._tasks.busy(source, operation):
                self._executor.expect(source, operation)
            return self._accept(source, [operation], prefix=SINGLE, latency=latency)

    def accept_bulk(self, source: str, operations: list[Operation], *, latency: float) -> str:
        with self._settled:
            target = operations[0].target
            return self._accept(source, operations, prefix=BULK, target=target, latency=latency)

    def accept_bundle(self, source: str, operations: list[Operation], *, latency: float) -> str:
        with self._settled:
            return self._accept(source, operations, prefix=BUNDLE, latency=latency)

    def accept_purge(self, source: str, operation: Operation, *, latency: float) -> str:
        with self._settled:
            stamp = self.clock.stamp()
            number, id_ = self._tasks.accept(
                source, [operation], stamp, prefix=PURGE, target="", latency=latency
            )
            self._purges.begin(number, operation, stamp)
            return id_

    def record(self, source: str, target: str, type_: str, id_: str) -> Record:
        """By its id, or by one of its identifiers."""
        with self._settled:
            try:
                return self._records.get(source, target, type_, id_)
            except ApiError:
                if not is_identifier(id_):
                    raise
                return self._records.find(source, target, type_, id_)

    def task(self, source: str, id_: str, *, with_receipts: bool = False) -> Task:
        with self._settled:
            return self._tasks.get(source, id_, with_receipts=with_receipts)

    def bulk(self, source: str, id_: str, target: str, *, with_receipts: bool = False) -> Task:
        task = self.task(source, id_, with_receipts=with_receipts)
        if not task.id.startswith(BULK) or task.target != target:
            raise absent(f"bulk of {target.lower()}s")
        return task

    def purge(self, source: str, id_: str) -> dict[str, object]:
        task = self.task(source, id_)
        if not task.id.startswith(PURGE):
            raise absent("purge")
        return self._purges.document(number_of(task.id), task)

    def browse(self, source: str, question: Question) -> dict[str, object]:
        with self._settled:
            return self._browsing.page(source, question)

    def delete_source(self, name: str) -> None:
        """With everything in it; what it had accepted will not be done."""
        with self._settled:
            self.catalog.remove_source(name)
            self._records.forget(name)
            self.definitions.forget(name)
            self._tasks.forget(name)

    def decide(self, task_id: str, *, approved: bool) -> None:
        """What a reviewer says of everything in a task that waits for one."""
        with self._settled:
            work = self._tasks.in_review(task_id)
            stamp = self.clock.stamp()
            verdicts = self._approved(work, stamp) if approved else self._rejected(work)
            self._tasks.conclude(work, verdicts, stamp)

    def tasks(self) -> dict[str, int]:
        """How many there are, by status."""
        with self._settled:
            return self._tasks.count()

    def absorbed(self) -> int:
        with self._settled:
            return self._absorbed.count()

    def count(self, target: str, type_: str | None = None) -> int:
        with self._settled:
            return self._records.count(target, type_)

    def stored(self, target: str) -> Iterator[Stored]:
        with self._settled:
            return self._records.stored(target)

    def _settle(self) -> None:
        if not self._tasks.anything_due():
            return
        due = self._tasks.due()
        while some := list(islice(due, _AT_ONCE)):
            with self._database:
                self._database.execute("BEGIN")
                for moment, number in some:
                    if (work := self._tasks.work(number)) is not None:
                        self._execute(work, self.clock.stamp(moment))
                self._absorbed.keep()

    def _accept(
        self, source: str, operations: list[Operation], *, prefix: str, target: str = "", latency: float
    ) -> str:
        operations, stamp = (
            self._without_conflicts(source, operations, together=prefix == BUNDLE),
            self.clock.stamp(),
        )
        return self._tasks.accept(source, operations, stamp, prefix=prefix, target=target, latency=latency)[1]

    def _without_conflicts(
        self, source: str, operations: list[Operation], *, together: bool
    ) -> list[Operation]:
        if self._settings.conflicts == "queue":
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
            verdicts = self._purge(work, stamp)
        else:
            verdicts = self._do(work, work.operations, stamp)
        for index, operation in enumerate(work.operations):
            if operation.state == REVIEWED:
                verdicts[index] = Verdict("PENDING", execution=self._execution(work, index, IN_REVIEW))
        self._tasks.conclude(work, verdicts, stamp)

    def _do(self, work: Work, operations: list[Operation], stamp: str) -> list[Verdict | None]:
        do = self._executor.together if work.id.startswith(BUNDLE) else self._executor.each
        return do(work.source, operations, stamp)

    def _purge(self, work: Work, stamp: str) -> list[Verdict | None]:
        (operation,) = work.operations
        self._purges.finish(work.number, self._executor.purge(work.source, operation), stamp)
        return [Verdict("SUCCESS")]

    def _approved(self, work: Work, stamp: str) -> list[Verdict | None]:
        operations = [
            operation._replace(state=READY) if operation.state == REVIEWED else operation
            for operation in work.operations
        ]
        verdicts = self._do(work, operations, stamp)
        return [
            verdict and verdict._replace(execution=self._execution(work, index, APPROVED))
            for index, verdict in enumerate(verdicts)
        ]

    def _rejected(self, work: Work) -> list[Verdict | None]:
        return [
            Verdict("SUCCESS", execution=self._execution(work, index, self._settings.rejected))
            if operation.state == REVIEWED
            else None
            for index, operation in enumerate(work.operations)
        ]

    def _execution(self, work: Work, index: int, status: str) -> dict[str, object]:
        """Of an operation in its pipeline; the version of a definition is part of its id."""
        definition = f"{work.operations[index].type}.1"
        id_ = self._tasks.ids.execution(work.number, index)
        return {"id": id_, "pipelineDefinitionId": definition, "status": status}
