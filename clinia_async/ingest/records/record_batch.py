"""Records by the column: what is alike in many is held once.

A `Record` is made when somebody asks for it. Until then a record on its way costs a key and its bytes,
and nothing that the garbage collector has to look at.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain, compress
from typing import overload

from attrs import define, field

from clinia_async.ingest.records.position_ranges import Range, ranges_of
from clinia_async.ingest.records.record import Record, RecordKind
from clinia_async.models.batch_result import Key

MAX_BATCH = 128
"""Records that are taken together, at most: one that is odd slows down no more than these."""
_NO_PREVIOUS_RUN = (None, 0)


@define(eq=False)
class RecordBatch:
    """Records of one kind, one after the other; either each of them has a key or none has.

    `made` holds the records that there are, and None where nobody has asked for one.
    """

    kind: RecordKind
    keys: list[Key | None] = field(repr=lambda keys: f"<{len(keys)} keys>")
    payloads: list[bytes] = field(repr=False)
    lines: Sequence[int]
    made: list[Record | None] = field(repr=False)
    positions: Sequence[int] = ()
    maybe_applied: bool = False
    """Each of them may have arrived already, in a former run."""

    @classmethod
    def of(cls, record: Record) -> "RecordBatch":
        """Raises `InvalidWrite` for data that JSON cannot carry."""
        return cls.of_all([record])

    @classmethod
    def of_all(cls, records: Sequence[Record]) -> "RecordBatch":
        """Of records that are of one kind. Raises `InvalidWrite` for data that JSON cannot carry."""
        first = records[0]
        return cls(
            first.kind,
            [record.key for record in records],
            [record.payload() for record in records],
            _numbers([record.line for record in records]),
            [*records],
            _numbers([record.position for record in records]),
            first.previous_attempt is not None,
        )

    def __len__(self) -> int:
        return len(self.keys)

    def __iter__(self) -> Iterator[Record]:
        return map(self.record, range(len(self.keys)))

    def stamp(self, first: int, *, maybe_applied: bool) -> None:
        """They are in the input from position `first` on, one behind the other."""
        self.positions = range(first, first + len(self))
        self.maybe_applied = maybe_applied
        for record, position in zip(self.made, self.positions, strict=True):
            if record is not None:
                record.position = position
                record.previous_attempt = _NO_PREVIOUS_RUN if maybe_applied else None

    def record(self, place: int) -> Record:
        """The same one whenever it is asked for."""
        record = self.made[place]
        if record is None:
            record = self.made[place] = self._record(place)
        return record

    def _record(self, place: int) -> Record:
        payload = self.payloads[place]
        text = payload if self.kind.as_text else None
        record = Record.encoded(self.lines[place], self.kind, self.keys[place], payload, text=text)
        record.position = self.positions[place] if self.positions else 0
        record.previous_attempt = _NO_PREVIOUS_RUN if self.maybe_applied else None
        return record

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
        )

    def without(self, places: Sequence[int]) -> "RecordBatch":
        """All but those at `places`."""
        out = set(places)
        stay = [place not in out for place in range(len(self))]
        return RecordBatch(
            self.kind,
            [*compress(self.keys, stay)],
            [*compress(self.payloads, stay)],
            [*compress(self.lines, stay)],
            [*compress(self.made, stay)],
            [*compress(self.positions, stay)],
            self.maybe_applied,
        )

    def try_extend(self, other: "RecordBatch") -> bool:
        """Adds `other` behind its own, if both are of one kind; whether it did."""
        if self.kind is not other.kind or self.maybe_applied is not other.maybe_applied:
            return False
        self.keys += other.keys
        self.payloads += other.payloads
        self.made += other.made
        self.lines = _joined(self.lines, other.lines)
        self.positions = _joined(self.positions, other.positions)
        return True

    def content(self) -> bytes:
        """Its operations, with a comma between."""
        prefix = self.kind.prefix
        return prefix + (b"}," + prefix).join(self.payloads) + b"}"

    def size(self) -> int:
        """Bytes of its operations, with a separator for each."""
        return sum(map(len, self.payloads)) + len(self.payloads) * self._frame

    def fitting(self, most: int, size: int) -> int:
        """How many of the first of them are no more than `most` and no larger than `size`."""
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


class RecordBatches(Sequence[Record]):
    """What stands in one chunk, of one kind or of several."""

    __slots__ = ("_ends", "pieces")

    def __init__(self, pieces: Iterable[RecordBatch]) -> None:
        self.pieces = tuple(pieces)
        self._ends = [*accumulate(map(len, self.pieces))]

    @classmethod
    def of(cls, records: Iterable[Record]) -> "RecordBatches":
        """Raises `InvalidWrite` for data that JSON cannot carry."""
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
    def kind(self) -> RecordKind:
        """That of the first, which the others share in what matters to their chunk."""
        return self.pieces[0].kind

    def keys(self) -> list[Key | None]:
        return [*chain.from_iterable(piece.keys for piece in self.pieces)]

    def operations(self) -> list[bytes]:
        """Those of each piece as one."""
        return [piece.content() for piece in self.pieces]

    def ranges(self) -> list[Range]:
        """Their positions, in no order."""
        return [found for piece in self.pieces for found in _ranges(piece.positions)]

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
