"""One share of an input: all records of one key are in the same share, in the order of the input."""

from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing
from zlib import crc32

from attrs import field, frozen

from clinia_async.errors.settings import Number
from clinia_async.ingest.records.record import Barrier, Item, Record
from clinia_async.ingest.records.record_batch import RecordBatch
from clinia_async.ingest.records.record_stream import RecordStream
from clinia_async.models.tasks import Key

Block = Iterable[Item | RecordBatch | Barrier]


@frozen
class InputPart:
    """The share `number`, from 0, of `count`. It is the same on every machine and in every run.

    A record goes by its id. One whose id the service makes, and a line that is no record, go by their line.
    """

    number: int = field(validator=Number(least=0, whole=True))
    count: int = field(validator=Number(least=1, whole=True))

    def of(self, stream: RecordStream) -> RecordStream:
        """Return the records of this share."""
        return RecordStream(self._blocks(stream.blocks), stream.options)

    async def _blocks(self, blocks: AsyncGenerator[Block, None]) -> AsyncGenerator[Block, None]:
        async with aclosing(blocks):
            async for block in blocks:
                yield self._own(block)

    def _own(self, block: Block) -> Iterator[Item | RecordBatch | Barrier]:
        for item in block:
            if isinstance(item, RecordBatch):
                stay = [*map(self._owns, item.keys, item.lines)]
                if any(stay):
                    yield item.where(stay)
            elif isinstance(item, Barrier) or self._owns(_key_of(item), item.line):
                yield item

    def _owns(self, key: Key | None, line: int) -> bool:
        number = line if key is None else crc32(key[2].encode("utf-8", "surrogatepass"))
        return number % self.count == self.number


def _key_of(item: Item) -> Key | None:
    return item.key if isinstance(item, Record) else None
