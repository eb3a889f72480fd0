"""Records from a JSON document: a list of records, or one record, in the form that a line of NDJSON has."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from itertools import groupby, islice

from clinia_async.errors import DecodeError
from clinia_async.ingest.readers.compression import InputError, InputStream
from clinia_async.ingest.readers.json_elements import PLACEHOLDER, Element, ElementScanner, Ended, Frame
from clinia_async.ingest.readers.line_splitter import LARGEST_LINE
from clinia_async.ingest.readers.ndjson import LineReader
from clinia_async.ingest.records.record import BadRecord, Item
from clinia_async.ingest.records.record_batch import RecordBatch
from clinia_async.serialization.exact_json import loads
from clinia_async.serialization.strict_json import loads_strictly

_LINE_ENDS = bytes.maketrans(b"\r\n", b"  ")
"""No string of JSON holds line ends as they are."""

_ELEMENTS = 1024
"""Records at once, at most."""

Block = list[Item | RecordBatch]


async def read_json(stream: InputStream, lines: LineReader) -> AsyncGenerator[Block, None]:
    """Yield the records, numbered by their place in the list from 1. Raises `InputError`."""
    pieces = iter(ElementScanner(stream.read, b"", LARGEST_LINE))
    number = 1
    while batch := await asyncio.to_thread(lambda: [*islice(pieces, _ELEMENTS)]):
        for is_element, run in _runs(batch):
            if is_element:
                texts = [_as_line(each.text) for each in run]
                yield [*lines.read_all(range(number, number + len(texts)), texts)]
                number += len(texts)
            else:
                for frame in run:
                    yield _around(number, frame, lines)  # type: ignore[arg-type]


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


def _around(number: int, frame: Frame, lines: LineReader) -> Block:
    """Return what stands around the records: nothing, what is wrong there, or the one record that it is."""
    if frame.ended is not Ended.WHOLE:
        raise InputError(
            "the input is no JSON: it is cut off, its brackets do not match, or something stands before it,"
            " such as a comment; correct it"
        )
    text = frame.text
    if text is None or text.lstrip().startswith(b"{"):
        return [*lines.read_all([number], [_as_line(text)])]
    try:
        values = loads_strictly(text)
    except DecodeError as error:
        return [BadRecord(number, error.path, f"expected {error.expected}")]
    if not isinstance(values, list):
        return [BadRecord(number, "$", "expected a list or an object")]
    return [
        BadRecord(place, "$", "expected an object")
        for place, value in enumerate(values, 1)
        if value != PLACEHOLDER
    ]
