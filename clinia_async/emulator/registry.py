"""The registry: state and rules, without HTTP.

A write that was accepted is done when its time has come. Nobody waits for that moment with a
timer: whoever looks at the registry first settles what is due, so the state anyone sees is the
state the clock says.
"""

from collections.abc import Iterator
from pathlib import Path

from .clock import Clock
from .database import open_database
from .errors import ApiError
from .operations import Operation
from .partitions import Partitions
from .relationships import Relationship, Relationships, Stored
from .settings import Settings
from .tasks import Due, Error, Tasks


class Registry:
    def __init__(self, data: Path | None, *, seed: int, settings: Settings) -> None:
        self.clock = Clock()
        self._database = open_database(data)
        self._relationships = Relationships(self._database, settings.already_exists)
        self._tasks = Tasks(self._database, self.clock, seed)
        self._partitions = Partitions(self._database, settings.immutable_partition)

    def close(self) -> None:
        self._database.close()

    def create(self, source: str, operation: Operation) -> tuple[str, Relationship]:
        """Persist a relationship now: the id of its finished task, and the record."""
        self._settle()
        stamp = self.clock.stamp()
        with self._database:
            self._database.execute("BEGIN")
            relationship = self._relationships.create(source, operation, stamp)
            return self._tasks.done(source, operation, stamp), relationship

    def accept(self, source: str, operation: Operation, *, latency: float) -> str:
        self._settle()
        if self._relationships.has(source, operation):
            raise self._relationships.taken()
        return self._tasks.accept(source, [operation], prefix="s_", latency=latency)

    def accept_bulk(self, source: str, operations: list[Operation], *, latency: float) -> str:
        self._settle()
        return self._tasks.accept(source, operations, prefix="bk_", latency=latency)

    def relationship(self, source: str, type_: str, id_: str) -> Relationship:
        self._settle()
        return self._relationships.get(source, type_, id_)

    def task(self, source: str, id_: str, *, with_receipts: bool) -> dict[str, object]:
        self._settle()
        return self._tasks.get(source, id_, with_receipts=with_receipts)

    def put_partition(self, name: str, body: object, *, stage: bool) -> tuple[dict[str, object], bool]:
        return self._partitions.put(name, body, stage=stage)

    def partition(self, name: str) -> dict[str, object]:
        return self._partitions.get(name)

    def count(self, type_: str | None = None) -> int:
        self._settle()
        return self._relationships.count(type_)

    def stored(self) -> Iterator[Stored]:
        self._settle()
        return self._relationships.stored()

    def partitions(self) -> int:
        return self._partitions.count()

    def _settle(self) -> None:
        if not self._tasks.anything_due():
            return
        with self._database:
            self._database.execute("BEGIN")
            for due in self._tasks.due():
                self._execute(due)

    def _execute(self, due: Due) -> None:
        source, operations = self._tasks.work(due)
        stamp = self.clock.stamp(due.moment)
        errors = [self._attempt(source, operation, stamp) for operation in operations]
        self._tasks.finish(due, operations, errors)

    def _attempt(self, source: str, operation: Operation, stamp: str) -> Error:
        try:
            self._relationships.do(source, operation, stamp)
        except ApiError as refusal:
            return refusal.envelope()
        return None
