"""Records by the column: what many of them share is held once.

A `Record` is made when it is asked for. Until then a record costs a key and its bytes, and nothing that the
garbage collector has to go through.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain, compress
from typing import TypeVar, overload

from attrs import define, field

from clinia_async.ingest.records.packed_columns import PackedColumns
from clinia_async.ingest.records.position_ranges import Range, ranges_of
from clinia_async.ingest.records.record import BadRecord, Record, RecordKind
from clinia_async.models import Action
from clinia_async.models.tasks import Key

MAX_BATCH = 128
"""Records that are taken together, at most: one that must be read alone slows down no more than these."""
_NO_PREVIOUS_RUN = (None, 0)


@define(eq=False)
class RecordBatch:
    """Records of one kind, one after the other; either each of them has a key or none has.

    `made` holds the records that were made so far, and None for the others.
    """

    kind: RecordKind
    keys: list[Key | None] = field(repr=lambda keys: f"<{len(keys)} keys>")
    payloads: list[bytes] = field(repr=False)
    lines: Sequence[int]
    made: list[Record | None] = field(repr=False)
    positions: Sequence[int] = ()
    maybe_applied: bool = False
    """Each of them may have arrived already, in a previous run."""
    file: str | None = None
    """The file of all of them, where several are read."""
    _packed: PackedColumns | None = field(default=None, init=False, repr=False)
    _size: int | None = field(default=None, init=False, repr=False)
    """What `size` returned, until records are appended: it is asked for at every step of the way."""

    @classmethod
    def of(cls, record: Record) -> "RecordBatch":
        """Return a batch of one record.

        Raises:
            InvalidWrite: its data cannot be sent as JSON.
        """
        return cls.of_all([record])

    @classmethod
    def of_all(cls, records: Sequence[Record]) -> "RecordBatch":
        """Return a batch of records of one kind and one file.

        Raises:
            InvalidWrite: their data cannot be sent as JSON.
        """
        first = records[0]
        return cls(
            first.kind,
            [record.key for record in records],
            [record.payload() for record in records],
            _numbers([record.line for record in records]),
            [*records],
            _numbers([record.position for record in records]),
            first.previous_attempt is not None,
            first.file,
        )

    def __len__(self) -> int:
        return len(self.keys)

    def __iter__(self) -> Iterator[Record]:
        return map(self.record, range(len(self.keys)))

    def stamp(self, first: int, *, maybe_applied: bool) -> None:
        """Number the records by their positions in the input, from `first` on."""
        self.positions = range(first, first + len(self))
        self.maybe_applied = maybe_applied
        for record, position in zip(self.made, self.positions, strict=True):
            if record is not None:
                record.position = position
                record.previous_attempt = _NO_PREVIOUS_RUN if maybe_applied else None

    def set_file(self, name: str) -> None:
        """Note the file that the records are from."""
        self.file = name
        for record in self.made:
            if record is not None:
                record.file = name

    def record(self, place: int) -> Record:
        """Return the record at a place: the same one each time."""
        record = self.made[place]
        if record is None:
            record = self.made[place] = self._record(place)
        return record

    def _record(self, place: int) -> Record:
        payload = self.payloads[place]
        text = payload if self.kind.as_text else None
        record = Record.encoded(self.lines[place], self.kind, self.keys[place], payload, text=text)
        record.file = self.file
        record.position = self.positions[place] if self.positions else 0
        record.previous_attempt = _NO_PREVIOUS_RUN if self.maybe_applied else None
        return record

    def pack(self) -> None:
        """Compress the keys and the payloads, where that saves memory; nothing else may be asked for then.

        But for `size`, `all_keys`, `unpack` and what all records share.
        """
        if self._packed is not None or any(self.made) or None in self.keys:
            return
        self._packed = PackedColumns.of(self.keys, self.payloads)  # type: ignore[arg-type]  # none is None
        if self._packed is not None:
            self.keys, self.payloads, self.made = [], [], []

    def unpack(self) -> None:
        """Undo `pack`."""
        if self._packed is not None:
            self.keys, self.payloads = [*self._packed.keys()], self._packed.payloads()
            self.made = [None] * len(self.keys)
            self._packed = None

    def all_keys(self) -> Sequence[Key | None]:
        """Return the keys, packed or not."""
        return self.keys if self._packed is None else self._packed.keys()

    def cut(self, start: int, stop: int) -> "RecordBatch":
        part = slice(start, stop)
        return RecordBatch(
            self.kind,
            self.keys[part],
            self.payloads[part],
            self.lines[part],
            self.made[part],
            self.positions[part],
            self.maybe_applied,
            self.file,
        )

    def without(self, places: Sequence[int]) -> "RecordBatch":
        """Return a batch of all records but those at `places`."""
        out = set(places)
        return self.where([place not in out for place in range(len(self))])

    def where(self, stay: Sequence[bool]) -> "RecordBatch":
        """Return a batch of the records for which `stay` is true."""
        return RecordBatch(
            self.kind,
            [*compress(self.keys, stay)],
            [*compress(self.payloads, stay)],
            [*compress(self.lines, stay)],
            [*compress(self.made, stay)],
            [*compress(self.positions, stay)],
            self.maybe_applied,
            self.file,
        )

    def try_extend(self, other: "RecordBatch") -> bool:
        """Append `other`, if both are of one kind and one file; return whether it did."""
        if self.kind is not other.kind or self.maybe_applied is not other.maybe_applied:
            return False
        if self.file != other.file:
            return False
        self._size = None
        self.keys += other.keys
        self.payloads += other.payloads
        self.made += other.made
        self.lines = _joined(self.lines, other.lines)
        self.positions = _joined(self.positions, other.positions)
        return True

    def content(self) -> bytes:
        """Return the operations of a bulk request, with a comma between."""
        prefix = self.kind.prefix
        return prefix + (b"}," + prefix).join(self.payloads) + b"}"

    def size(self) -> int:
        """Return the bytes of the operations in memory: with a separator for each, or packed."""
        if self._packed is not None:
            return len(self._packed)
        if self._size is None:
            self._size = sum(map(len, self.payloads)) + len(self.payloads) * self._frame
        return self._size

    def fitting(self, most: int, size: int) -> int:
        """Return how many records from the first on are at most `most` and at most `size` bytes."""
        most = min(most, len(self.payloads))
        if self.size() <= size:
            return most
        frame = self._frame
        ends = [*accumulate(len(payload) + frame for payload in self.payloads[:most])]
        return bisect_right(ends, size)

    @property
    def _frame(self) -> int:
        """Bytes around each."""
        return len(self.kind.prefix) + len(b"},")


T = TypeVar("T")


def in_file(items: Iterable[T], name: str) -> Iterator[T]:
    """Yield `items`, with the file of those records that have none."""
    for item in items:
        if isinstance(item, RecordBatch) and item.file is None:
            item.set_file(name)
        elif isinstance(item, Record | BadRecord) and item.file is None:
            item.file = name
        yield item


class RecordBatches(Sequence[Record]):
    """The records of one chunk, of one kind or of several.

    They can be packed, for as long as they are only waited for. What is asked for is unpacked.
    """

    __slots__ = ("_ends", "_pieces")

    def __init__(self, pieces: Iterable[RecordBatch]) -> None:
        self._pieces = tuple(pieces)
        self._ends = [*accumulate(map(len, self._pieces))]

    @classmethod
    def of(cls, records: Iterable[Record]) -> "RecordBatches":
        """Group records into batches.

        Raises:
            InvalidWrite: their data cannot be sent as JSON.
        """
        pieces: list[RecordBatch] = []
        for batch in map(RecordBatch.of, records):
            if not (pieces and pieces[-1].try_extend(batch)):
                pieces.append(batch)
        return cls(pieces)

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __iter__(self) -> Iterator[Record]:
        return chain.from_iterable(self.pieces)

    @overload
    def __getitem__(self, place: int) -> Record: ...
    @overload
    def __getitem__(self, place: slice) -> "RecordBatches": ...
    def __getitem__(self, place: int | slice) -> "Record | RecordBatches":
        if isinstance(place, slice):
            return self._part(*place.indices(len(self))[:2])
        place = range(len(self))[place]
        number = bisect_right(self._ends, place)
        piece = self.pieces[number]
        return piece.record(place - (self._ends[number] - len(piece)))

    @property
    def pieces(self) -> Sequence[RecordBatch]:
        """The records in batches."""
        for piece in self._pieces:
            piece.unpack()
        return self._pieces

    def pack(self) -> Iterator[None]:
        """Pack the records, some with each step."""
        for piece in self._pieces:
            piece.pack()
            yield

    @property
    def kind(self) -> RecordKind:
        """The kind of the first record. The others share what matters to their chunk."""
        return self._pieces[0].kind

    @property
    def action(self) -> Action | None:
        """What is done with each of the records; None if that is not the same for all."""
        actions = {piece.kind.action for piece in self._pieces}
        return actions.pop() if len(actions) == 1 else None

    def keys(self) -> Sequence[Key | None]:
        return [*chain.from_iterable(piece.all_keys() for piece in self._pieces)]

    def operations(self) -> list[bytes]:
        """Return the operations of each batch, joined."""
        return [piece.content() for piece in self.pieces]

    def size(self) -> int:
        """Return the bytes of the operations in memory: with a separator for each, or packed."""
        return sum(piece.size() for piece in self._pieces)

    def ranges(self) -> list[Range]:
        """Return the positions of the records, in no order."""
        return [found for piece in self._pieces for found in _ranges(piece.positions)]

    def _part(self, start: int, stop: int) -> "RecordBatches":
        starts = [end - len(piece) for end, piece in zip(self._ends, self.pieces, strict=True)]
        return RecordBatches(
            piece.cut(max(start - first, 0), min(stop - first, len(piece)))
            for first, piece in zip(starts, self.pieces, strict=True)
            if max(start, first) < min(stop, first + len(piece))
        )


def _numbers(numbers: list[int]) -> Sequence[int]:
    known = range(numbers[0], numbers[0] + len(numbers))
    return known if numbers == [*known] else numbers


def _joined(first: Sequence[int], second: Sequence[int]) -> Sequence[int]:
    if isinstance(first, range) and isinstance(second, range) and first.stop == second.start:
        return range(first.start, second.stop)
    return [*first, *second]


def _ranges(positions: Sequence[int]) -> list[Range]:
    if isinstance(positions, range):
        return [(positions[0], positions[-1])] if positions else []
    return ranges_of(sorted(positions))
