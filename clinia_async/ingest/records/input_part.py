"""One share of an input: all records of one key are in the same share, in the order of the input."""

from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from contextlib import aclosing
from zlib import crc32

from attrs import define, field, frozen

from clinia_async.errors.settings import Number
from clinia_async.ingest.records.record import Barrier, Item, Record
from clinia_async.ingest.records.record_batch import RecordBatch
from clinia_async.ingest.records.record_stream import RecordStream
from clinia_async.models.tasks import Key

Block = Iterable[Item | RecordBatch | Barrier]


@define
class SeenInput:
    """What a process has seen of an input, its own share and all others.

    Shares are of one input only where every process sees the same. Of a file that changes meanwhile, a record
    may be in no share, or in two.
    """

    is_whole: bool = False
    _records: int = 0
    _sum: int = 0

    def add(self, numbers: Sequence[int]) -> None:
        """Take in the numbers by which records go to their shares."""
        self._records += len(numbers)
        self._sum += sum(numbers)

    def digest(self) -> tuple[int, int] | None:
        """Return what is the same wherever the same was seen; None before the end of the input."""
        return (self._records, self._sum) if self.is_whole else None


@frozen
class InputPart:
    """The share `number`, from 0, of `count`. It is the same on every machine and in every run.

    A record goes by its id. One whose id the service makes, and a line that is no record, go by their line.
    """

    number: int = field(validator=Number(least=0, whole=True))
    count: int = field(validator=Number(least=1, whole=True))

    def of(self, stream: RecordStream, seen: SeenInput | None = None) -> RecordStream:
        """Return the records of this share. `seen` takes in those of all shares."""
        return RecordStream(self._blocks(stream.blocks, seen or SeenInput()), stream.options)

    async def _blocks(
        self, blocks: AsyncGenerator[Block, None], seen: SeenInput
    ) -> AsyncGenerator[Block, None]:
        async with aclosing(blocks):
            async for block in blocks:
                yield self._own(block, seen)
        seen.is_whole = True

    def _own(self, block: Block, seen: SeenInput) -> Iterator[Item | RecordBatch | Barrier]:
        for item in block:
            if isinstance(item, Barrier):
                yield item
            elif isinstance(item, RecordBatch):
                numbers = [*map(_number_of, item.keys, item.lines)]
                seen.add(numbers)
                stay = [number % self.count == self.number for number in numbers]
                if any(stay):
                    yield item.where(stay)
            else:
                number = _number_of(_key_of(item), item.line)
                seen.add((number,))
                if number % self.count == self.number:
                    yield item


def _number_of(key: Key | None, line: int) -> int:
    return line if key is None else crc32(key[2].encode("utf-8", "surrogatepass"))


def _key_of(item: Item) -> Key | None:
    return item.key if isinstance(item, Record) else None
