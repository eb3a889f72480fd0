"""What became of one write that was sent in a bulk with others."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import cast

from attrs import define, field

from clinia_async.calls import CreateRelationship, CreateResource, Read, UpsertResource
from clinia_async.conclusions import OfRecord, RecordWrite
from clinia_async.errors import ProtocolError
from clinia_async.models import Receipt, Relationship, Resource, TaskSnapshot, TaskStatus
from clinia_async.receipts import Key, match_receipts
from clinia_async.tasks import Task

KeyedWrite = CreateRelationship | CreateResource | UpsertResource
Record = Relationship | Resource

_SUCCESS = TaskStatus.SUCCESS


@define(eq=False, repr=False)
class SharedReceipts:
    """What the tasks of one bulk share. It knows no task, so each is freed with its last reference."""

    keys: Sequence[Key]
    _matched: Mapping[Key, Receipt] | None = None
    _lock: asyncio.Lock = field(factory=asyncio.Lock)

    async def of(self, key: Key, task: Task[Record]) -> Receipt:
        if self._matched is None:
            async with self._lock:  # one reads them for all
                if self._matched is None:
                    self._matched = match_receipts(self.keys, await task.receipts()).of
        receipt = self._matched.get(key)
        if receipt is None or not receipt.status.is_terminal:
            raise ProtocolError("the write is without a receipt to rely on")
        return receipt


@define(eq=False, repr=False)
class OfOne:
    """What its receipt says of one write of a bulk."""

    write: KeyedWrite
    key: Key
    receipts: SharedReceipts
    read: Read

    async def __call__(self, task: Task[Record], snapshot: TaskSnapshot) -> Record:
        receipt = await self.receipts.of(self.key, task)
        if receipt.status == _SUCCESS and receipt.pipeline_execution is None:
            return self.write.as_sent()  # without a pipeline there was no review that could have dropped it
        conclude = OfRecord(cast("RecordWrite[Record]", self.write), self.read)
        return await conclude(task, TaskSnapshot(receipt.status, task.id, (receipt,)))
