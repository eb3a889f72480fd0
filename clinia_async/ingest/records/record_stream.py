"""The records of a file, on their way: a file is read by the block, and its records come by the block."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from contextlib import aclosing
from types import MappingProxyType

from clinia_async.ingest.records.record import Barrier, Item
from clinia_async.ingest.records.record_batch import RecordBatch

_NONE: Mapping[str, str] = MappingProxyType({})


class RecordStream(AsyncIterator[Item]):
    """The items that are read of a file, one after the other. Close it if you leave it before its end."""

    def __init__(
        self,
        blocks: AsyncGenerator[Iterable[Item | RecordBatch | Barrier], None],
        options: Mapping[str, str] = _NONE,
    ) -> None:
        self.options = options
        """Those that change what a record is, where they are not the usual ones: for `DeadLetters`."""
        self.blocks = blocks
        """The same, many at once: each block is gone through before the next is asked for."""
        self._items = _one_by_one(blocks)

    async def __anext__(self) -> Item:
        return await anext(self._items)

    async def aclose(self) -> None:
        """Stop reading and close the files. May be called again."""
        await self._items.aclose()
        await self.blocks.aclose()


async def _one_by_one(
    blocks: AsyncGenerator[Iterable[Item | RecordBatch | Barrier], None],
) -> AsyncGenerator[Item, None]:
    async with aclosing(blocks):
        async for block in blocks:
            for item in block:
                if isinstance(item, RecordBatch):
                    for record in item:
                        yield record
                elif not isinstance(item, Barrier):
                    yield item
