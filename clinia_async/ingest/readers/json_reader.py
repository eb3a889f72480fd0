"""Records from a JSON document: a list of records, or one record, in the form that a line of NDJSON has."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from itertools import groupby, islice

from attrs import define

from clinia_async.errors import DecodeError
from clinia_async.ingest.readers.compression import InputError, InputStream
from clinia_async.ingest.readers.json_elements import Element, ElementScanner, Ended, Frame, places_of
from clinia_async.ingest.readers.line_splitter import LARGEST_LINE
from clinia_async.ingest.readers.ndjson import LineReader
from clinia_async.ingest.records.record import BadRecord, Item
from clinia_async.ingest.records.record_batch import RecordBatch
from clinia_async.serialization.exact_json import dumps, loads
from clinia_async.serialization.strict_json import loads_strictly, loads_verbatim

_LINE_ENDS = bytes.maketrans(b"\r\n", b"  ")
"""No string of JSON holds line ends as they are."""

_ELEMENTS = 1024
"""Records at once, at most."""

Block = list[Item | RecordBatch]


async def read_json(stream: InputStream, lines: LineReader) -> AsyncGenerator[Block, None]:
    """Yield the records, numbered by their place in the list from 1. Raises `InputError`."""
    pieces = iter(ElementScanner(stream.read, None, LARGEST_LINE))
    numbering = _Numbering()
    while batch := await asyncio.to_thread(lambda: [*islice(pieces, _ELEMENTS)]):
        for is_element, run in _runs(batch):
            if is_element:
                texts = [_as_line(each.text) for each in run]
                numbers = numbering.of([each.index for each in run])  # type: ignore[union-attr]
                yield [*lines.read_all(numbers, texts)]
            else:
                for frame in run:
                    yield _around(numbering, frame, lines)  # type: ignore[arg-type]


@define
class _Numbering:
    """The numbers of records: their places in the list, from 1, and in lists one after another."""

    _before: int = 0
    """The values of the lists before this one."""
    _last: int = 0

    def of(self, indexes: Sequence[int]) -> Sequence[int]:
        """Return the numbers of values at these places, in order."""
        first = self._before + indexes[0] + 1
        self._last = self._before + indexes[-1] + 1
        whole = range(first, first + len(indexes))
        return whole if whole[-1] == self._last else [self._before + each + 1 for each in indexes]

    def next(self) -> int:
        """Return the number behind the last one."""
        self._last += 1
        return self._last

    def end(self, count: int) -> None:
        """End a list of so many values."""
        self._before = self._last = max(self._before + count, self._last)


def _runs(pieces: list[Element | Frame]) -> Iterator[tuple[bool, list[Element | Frame]]]:
    for is_element, run in groupby(pieces, lambda piece: isinstance(piece, Element)):
        yield is_element, list(run)


def _as_line(text: bytes | None) -> bytes | None:
    """Return an element on one line; one that is no JSON stays as it is, for a string may hold a line end."""
    if text is None or not (b"\n" in text or b"\r" in text):
        return text
    try:
        loads(text)
    except DecodeError:
        return text
    return text.translate(_LINE_ENDS)


def _around(numbering: _Numbering, frame: Frame, lines: LineReader) -> Block:
    """Return what stands around the records: nothing, what is wrong there, or the one record that it is."""
    if frame.ended is Ended.TOO_LARGE:
        raise InputError(
            f"a record may be of {LARGEST_LINE:,} bytes, and one has a larger text: leave it out"
        )
    if frame.ended is not Ended.WHOLE:
        raise InputError(
            "the input is no JSON: it is cut off, its brackets do not match, or something stands before it,"
            " such as a comment; correct it"
        )
    text = frame.text
    if text is None or text.lstrip().startswith(b"{"):
        number = numbering.next()
        numbering.end(0)
        return [*lines.read_all([number], [_as_line(text)])]
    try:
        loads_strictly(text)
    except DecodeError as error:
        number = numbering.next()
        numbering.end(0)
        return [BadRecord(number, error.path, f"expected {error.expected}")]
    values = loads_verbatim(text)
    assert isinstance(values, list)  # it begins with a bracket
    count, others = places_of(values)
    numbers = numbering.of([*others]) if others else []
    numbering.end(count)
    return [
        BadRecord(number, "$", "expected an object", dumps(value))
        for number, value in zip(numbers, others.values(), strict=True)
    ]
