"""What became of one write that was sent in a bulk with others."""

import asyncio
from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet
from typing import cast

from attrs import define, field

from clinia_async.calls import CreateRelationship, CreateResource, Read, UpsertResource
from clinia_async.errors import ProtocolError
from clinia_async.models import Receipt, Relationship, Resource, TaskSnapshot, TaskStatus
from clinia_async.models.batch_result import Key, match_receipts
from clinia_async.serialization.lazy_receipts import LazyReceipts
from clinia_async.tasks.results import RecordResult, RecordWrite
from clinia_async.tasks.task import Task
from clinia_async.tasks.task_state import TaskState

KeyedWrite = CreateRelationship | CreateResource | UpsertResource
Record = Relationship | Resource

_SUCCESS = TaskStatus.SUCCESS


@define(eq=False, repr=False)
class SharedBulk:
    """What the tasks of one bulk share. It knows none of them, so each is freed with its last reference."""

    watch: TaskState
    read: Read
    maybe_applied: bool
    attempts: int
    done_at_once: bool
    """It was PERSISTED: everything in it is stored, and nobody need be asked."""
    _stored: "dict[tuple[str, str], AbstractSet[str]]" = field(factory=dict)
    """The ids of what is stored, by target and type."""
    _matched: Mapping[Key, Receipt] | None = None
    _lock: asyncio.Lock = field(factory=asyncio.Lock)

    def task_of(self, write: KeyedWrite, operation: bytes) -> "BulkMemberTask":
        return BulkMemberTask(self, write, operation)

    def has_stored(self, write: KeyedWrite) -> bool:
        """Whether `write` is stored for certain, by what the end of the task brought."""
        if self.done_at_once:
            return True
        of = write.target, write.type
        ids = self._stored.get(of)
        if ids is None:
            receipts = self.watch.kept
            ids = receipts.stored_ids(*of) if isinstance(receipts, LazyReceipts) else frozenset()
            self._stored[of] = ids
        return write.id in ids

    async def __call__(self, task: Task[Record], snapshot: TaskSnapshot) -> Record:
        """The conclusion of each of its tasks."""
        task = cast("BulkMemberTask", task)
        if self.done_at_once:
            return task.as_sent()
        receipt = await self._receipt_of(task)
        if receipt.status == _SUCCESS and receipt.pipeline_execution is None:
            return task.as_sent()  # without a pipeline there was no review that could have dropped it
        conclude = RecordResult(cast("RecordWrite[Record]", task.write), self.read)
        return await conclude(task, TaskSnapshot(receipt.status, task.id, (receipt,)))

    async def _receipt_of(self, task: "BulkMemberTask") -> Receipt:
        if self._matched is None:
            async with self._lock:  # one reads them for all
                if self._matched is None:
                    self._matched = _by_key(await task.receipts())
        write = task.write
        receipt = self._matched.get((write.target, write.type, write.id or ""))
        if receipt is None or not receipt.status.is_terminal:
            raise ProtocolError("the write is without a receipt to rely on")
        return receipt


class BulkMemberTask(Task[Record]):
    """The task of one write of a bulk."""

    __slots__ = ("_bulk", "_operation", "write")

    def __init__(self, bulk: SharedBulk, write: KeyedWrite, operation: bytes) -> None:
        super().__init__(bulk.watch, bulk, maybe_applied=bulk.maybe_applied, attempts=bulk.attempts)
        self._bulk = bulk
        self._operation = operation
        self.write = write

    def as_sent(self) -> Record:
        return self.write.as_sent(self._operation)

    def _settle_at_once(self) -> None:
        if self._bulk.has_stored(self.write):
            self._result = self.write.as_sent(self._operation)
            self._known = True


def _by_key(receipts: Collection[Receipt]) -> Mapping[Key, Receipt]:
    keys = [(receipt.target_type, receipt.type, receipt.id) for receipt in receipts]
    return match_receipts(keys, receipts).of
