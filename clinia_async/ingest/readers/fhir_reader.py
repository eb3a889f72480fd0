"""Records from FHIR: the references of resources, as relationships.

The input is NDJSON whose lines are resources or Bundles, or one JSON document that is a Bundle, a list of
resources or a resource. A line may be of 16 MiB. Of a document any size is read: it is held entry by
entry, each of which may be of 16 MiB, beside the `fullUrl`s and identifiers of all of them. A document is
read twice, so one on standard input is kept in a temporary file.

* The ends are the resource that holds the reference, the innermost one, and the one that is referred to.
  Their types are those of FHIR, such as `Patient`, and their ids those of the resources; where an entry has
  no id, it is what its `fullUrl` ends with. `fhir_identity` says how other servers are distinguished.
* A reference is literal if it is `Type/id`, an absolute URL that ends so (`/_history/n` after it is left
  out), or the `fullUrl` of an entry, such as a `urn:uuid:`. `fhir_bundle` says which entries count.
* The type of the relationship is made of the type of the one end, the path of the reference and the type
  of the other: `Encounter-participant-individual-Practitioner`. Positions in lists do not count; an
  extension is named by the end of its URL and a hash of the URL. What is no letter, digit, `-` or `_`
  becomes `-`, and what is longer than 62 characters is cut and ends with a hash. So a type has one profile
  at either end, as definitions of relationships want it.
* A reference that stands twice at one path in a resource is one relationship.
* References to what is contained (`#id`), conditional ones that lead to nothing in the Bundle, logical ones
  (an `identifier` alone) and those that lead nowhere are passed over and counted, by reason.

A relationship holds no data. An id with a dot is refused like any other, unless dots are escaped.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, aclosing, suppress
from copy import copy
from itertools import chain
from pathlib import Path

from attrs import define, field

from clinia_async.errors import DecodeError
from clinia_async.ingest.readers.compression import InputError, InputStream
from clinia_async.ingest.readers.fhir_bundle import Bundle, Found, Placed
from clinia_async.ingest.readers.fhir_content import COPIES, FhirContent, PassedOver
from clinia_async.ingest.readers.fhir_copies import Copies
from clinia_async.ingest.readers.fhir_history import Histories
from clinia_async.ingest.readers.fhir_identity import Servers
from clinia_async.ingest.readers.fhir_records import (
    LARGEST_LETTER,
    Block,
    RecordMaker,
    letter_text,
)
from clinia_async.ingest.readers.fhir_resources import resource_type
from clinia_async.ingest.readers.formats import InputFormat
from clinia_async.ingest.readers.json_elements import (
    PLACEHOLDER,
    Element,
    ElementScanner,
    Ended,
    Frame,
    places_of,
)
from clinia_async.ingest.readers.line_splitter import LineSplitter
from clinia_async.ingest.readers.ndjson import LineReader
from clinia_async.ingest.readers.spool import spooled
from clinia_async.ingest.records.record import BadRecord, Blank
from clinia_async.serialization.exact_json import dumps, loads
from clinia_async.serialization.strict_json import loads_strictly

LARGEST_RESOURCE = 16 * 1024 * 1024
"""Bytes of a line, of an entry, and of a document without its entries."""
LOOK_AHEAD = 1024 * 1024
"""Bytes at the start of an input that distinguish lines from a document."""
_LONG = 64 * 1024
"""Bytes of JSON that are parsed in a thread."""
_HISTORY = b'"history"'
"""A line that may need others to be read ahead."""
_TOO_LARGE = (
    f"a FHIR resource may be of {LARGEST_RESOURCE:,} bytes, and so may a Bundle without its entries:"
    " leave this one out"
)
_RECORDS = 128
"""Records of a document that come at once, or a few more."""

Read = Callable[[], bytes]


@define
class FhirReader:
    """Reads inputs of one job: it keeps what it learns of servers from one input to the next."""

    lines: LineReader
    passed_over: PassedOver
    servers: Servers = field(factory=Servers)
    content: FhirContent = FhirContent.REFERENCES
    is_second: bool = False
    """Whether a pass over the same input went before, and named what cannot be read."""
    is_read_once: bool = False
    """The lines come from standard input: of histories, only those on one line can be known ahead."""
    histories: Histories = field(factory=Histories)
    copies: Copies = field(factory=Copies)

    async def read(self, stream: InputStream) -> AsyncGenerator[Block, None]:
        """Yield the records of lines or of a document, whichever it is. Raises `InputError`."""
        start = await asyncio.to_thread(stream.peek, LOOK_AHEAD, until=_begins_with_value)
        read = self.read_document if is_document(start) else self.read_lines
        async with aclosing(read(stream)) as blocks:
            async for block in blocks:
                yield block

    async def read_lines(self, stream: InputStream) -> AsyncGenerator[Block, None]:
        """Yield the records of NDJSON, numbered by line. Raises `InputError`."""
        splitter, number = LineSplitter(LARGEST_RESOURCE), 1
        async with aclosing(stream.blocks()) as blocks:
            async for block in blocks:
                lines = splitter.split(block)
                yield await self._items(number, lines)
                number += len(lines)
        yield await self._items(number, splitter.rest())

    async def read_document(self, stream: InputStream) -> AsyncGenerator[Block, None]:
        """Yield the records of one document, numbered by entry. Raises `InputError`."""
        path = stream.path
        with ExitStack() as opened:
            if path is None:
                path = await spooled(stream.blocks(), opened)
            document = self._document(lambda: opened.enter_context(InputStream(path)).read)
            if self.is_read_once:
                ahead = self.ahead()._document(lambda: opened.enter_context(InputStream(path)).read)
                self.histories.ahead = ahead.skip
            await asyncio.to_thread(document.index)
            blocks = document.blocks()
            while (block := await asyncio.to_thread(next, blocks, None)) is not None:
                yield block

    async def _items(self, first: int, lines: Sequence[bytes | None]) -> Block:
        long = max(map(len, filter(None, lines)), default=0) > _LONG or any(
            _HISTORY in line for line in lines if line
        )
        return await asyncio.to_thread(self._read, first, lines) if long else self._read(first, lines)

    def _read(self, first: int, lines: Sequence[bytes | None]) -> Block:
        return [item for number, line in enumerate(lines, first) for item in self.read_line(number, line)]

    def read_line(self, number: int, text: bytes | None) -> Block:
        """Return the records of a resource, a Bundle or a list of resources on line `number`."""
        if text is None:
            reason = f"is larger than {LARGEST_RESOURCE:,} bytes"
            return [] if self.is_second else [BadRecord(number, "$", reason)]
        if not text.strip():
            return [] if self.is_second else [Blank(number)]
        if self.is_read_once:
            self.histories.ahead = lambda: self.ahead().skip_line(text)
        maker = self.maker()
        try:
            value = maker.parse(text)
        except DecodeError as error:
            wrong = BadRecord(number, error.path, f"expected {error.expected}", _kept(text))
            return self._entries(number, text) or ([] if self.is_second else [wrong])
        bundle = Bundle(self.servers, self.histories)
        if isinstance(value, list) and value:
            found = bundle.listed(value, "$", self.passed_over)
        else:
            found = bundle.whole(value, "$", self.passed_over)
        return maker.make((number, each) for each in found)

    def _entries(self, number: int, text: bytes) -> Block:
        """Return the records of a Bundle that is no JSON in one of its entries; none if it is no such one."""
        document = self._document(lambda: iter((text, b"")).__next__, number)
        document.index()
        return [*chain.from_iterable(document.blocks())] if document.is_container() else []

    def _document(self, open_: Callable[[], Read], number: int | None = None) -> "Document":
        return Document(self.maker(), self.servers, self.histories, open_, number)

    def count_copies(self) -> None:
        """Count the copies of resources that refer to something else than another. Raises `InputError`."""
        count = self.copies.count()
        if count:
            self.passed_over[COPIES] += count

    def close(self) -> None:
        """Remove what was kept of the input."""
        self.histories.close()
        self.copies.close()

    def maker(self) -> RecordMaker:
        """Return what makes the records of this pass."""
        return RecordMaker(
            self.lines,
            self.passed_over,
            self.content,
            self.copies,
            names_wrong=not self.is_second,
            follows_resources=self.is_second,
        )

    def ahead(self) -> "AheadReader":
        """Return what reads the same input for the versions in its histories."""
        return AheadReader(
            self.lines, PassedOver(), copy(self.servers), is_second=True, histories=self.histories
        )


@define
class AheadReader(FhirReader):
    """Reads FHIR for its histories alone, in a thread."""

    def maker(self) -> RecordMaker:
        return _AheadMaker(self.lines, self.passed_over, names_wrong=False)

    def skip_line(self, text: bytes) -> None:
        """Read one line."""
        self.read_line(1, text)

    def skip(self, stream: InputStream, path: Path, format_: InputFormat) -> None:
        """Read a file of FHIR to its end. Raises `InputError`."""
        known = {InputFormat.FHIR_DOCUMENT: True, InputFormat.FHIR_NDJSON: False}.get(format_)
        if is_document(stream.peek(LOOK_AHEAD, until=_begins_with_value)) if known is None else known:
            with ExitStack() as opened:
                document = self._document(lambda: opened.enter_context(InputStream(path)).read)
                document.skip()
            return
        splitter = LineSplitter(LARGEST_RESOURCE)
        while (block := stream.read()) and not self.histories.is_closed:
            self._read(1, splitter.split(block))
        self._read(1, splitter.rest())


class _AheadMaker(RecordMaker):
    def make(self, found: Iterable[tuple[int, Found]]) -> Block:
        for _, each in found:
            if isinstance(each, Placed):
                each.see_servers()
        return []


@define
class _Value:
    """What the first reading found of one top-level value."""

    bundle: Bundle
    is_list: bool = False
    is_whole: bool = False
    """It is one resource, and not cut into entries."""
    outside: object = field(default=None, repr=False)
    """What stands around the entries."""
    wrong: tuple[str, str] | None = None
    """Path and reason, where it cannot be read."""
    text: bytes | None = field(default=None, repr=False)
    """All of what cannot be read, if no entries were cut out of it."""
    count: int = 0
    """How many entries it has."""
    no_objects: Mapping[int, object] = field(factory=dict, repr=False)
    """What stands in place of entries, by their index."""


@define
class Document:
    """One document that is read twice: for what its entries are, then for what they hold.

    `number` is that of the line that it stands on; without one, records are numbered by entry. All of it
    runs in a thread. `blocks` raises `InputError`.
    """

    maker: RecordMaker
    servers: Servers
    histories: Histories
    open: Callable[[], Read]
    number: int | None = None
    _values: list[_Value] = field(factory=list, init=False, repr=False)

    def index(self) -> None:
        """Read the document for what its entries are."""
        bundle = Bundle(self.servers, self.histories)
        for piece in ElementScanner(self.open(), b"entry", LARGEST_RESOURCE):
            if isinstance(piece, Frame):
                self._values.append(_described(piece, bundle))
                bundle = Bundle(self.servers, self.histories)
            elif piece.text is not None:
                with suppress(DecodeError):
                    value = loads(piece.text)
                    bundle.index({"resource": value} if piece.in_array else value)

    def is_container(self) -> bool:
        """Return whether it is one value that was cut into entries, and right around them."""
        return [value.wrong is None and not value.is_whole for value in self._values] == [True]

    def blocks(self) -> Iterator[Block]:
        """Yield the records, some at a time."""
        block: Block = []
        for found in self._found():
            block += found
            if len(block) >= _RECORDS:
                yield block
                block = []
        yield block

    def skip(self) -> None:
        """Read all of it, until its histories are closed. Raises `InputError`."""
        self.index()
        for _ in self._found():
            if self.histories.is_closed:
                return

    def _found(self) -> Iterator[Block]:
        values, before, last = iter(self._values), 0, 0
        value = next(values, None)
        is_whole = [each.is_whole for each in self._values]
        scanner = ElementScanner(
            self.open(), b"entry", LARGEST_RESOURCE, lambda n: n < len(is_whole) and is_whole[n]
        )
        for piece in scanner:
            if value is None:
                raise InputError("the input has changed while it was read")
            if isinstance(piece, Element):
                last = before + piece.index + 1
                yield [] if value.wrong else self._element(self.number or last, piece, value)
            else:
                yield self._around(before, max(last, 1), value)
                before = last = max(before + value.count, last)
                value = next(values, None)

    def _element(self, number: int, element: Element, value: _Value) -> Block:
        path = f"$[{element.index}]" if value.is_list else f"$.entry[{element.index}]"
        path = "$" if value.is_whole else path
        if element.text is None and value.is_whole:
            raise InputError(_TOO_LARGE)
        if element.text is None:
            return self._wrong(number, path, f"is larger than {LARGEST_RESOURCE:,} bytes")
        try:
            entry = self.maker.parse(element.text)
        except DecodeError as error:
            with suppress(ValueError, RecursionError):
                value.bundle.note_unreadable(json.loads(element.text))
            return self._wrong(number, path, f"expected {error.expected}", _letter(element.text, value))
        passed_over = self.maker.passed_over
        if value.is_whole or value.is_list:
            found = value.bundle.whole(entry, path, passed_over)
        else:
            found = value.bundle.resources(entry, path, passed_over)
        return self.maker.make((number, each) for each in found)

    def _around(self, before: int, last: int, value: _Value) -> Block:
        """Return the records of the Bundle itself, and what is wrong with it, behind `before` entries."""
        number = self.number or last
        if value.wrong is not None:
            return self._wrong(number, *value.wrong, value.text)
        wrong: Block = []
        name = "$" if value.is_list else "$.entry"
        for index, entry in value.no_objects.items():
            place = self.number or before + index + 1
            wrong += self._wrong(
                place, f"{name}[{index}]", "expected an object", _letter(dumps(entry), value)
            )
        if not isinstance(value.outside, dict):
            return wrong
        found = value.bundle.whole(value.outside, "$", self.maker.passed_over)
        return [*wrong, *self.maker.make((number, each) for each in found)]

    def _wrong(self, number: int, path: str, reason: str, text: bytes | None = None) -> Block:
        return [BadRecord(number, path, reason, text)] if self.maker.names_wrong else []


def _described(frame: Frame, bundle: Bundle) -> _Value:
    """Return what `frame` says of a value. Raises `InputError` where the input cannot be read on."""
    if frame.text is None or frame.ended is Ended.TOO_LARGE:
        raise InputError(_TOO_LARGE)
    value = _Value(bundle)
    if frame.ended is Ended.CUT:
        value.wrong = "$", "expected JSON: it is cut off, or its brackets do not match"
        return value
    try:
        outside = loads_strictly(frame.text)
        value.is_list = isinstance(outside, list)
        type_ = "Bundle" if value.is_list else resource_type(outside, "$")
    except DecodeError as error:
        value.wrong = error.path, f"expected {error.expected}"
        value.text = None if PLACEHOLDER.encode() in frame.text else _kept(frame.text)
        return value
    if type_ != "Bundle":
        value.is_whole = True
    else:
        _describe_bundle(value, outside)
    return value


def _describe_bundle(value: _Value, outside: object) -> None:
    entries: object = outside
    if isinstance(outside, dict):
        entries = outside.pop("entry", [])
        kind = outside.get("type")
        value.bundle.type = kind if isinstance(kind, str) else None
        value.outside = outside
    if not isinstance(entries, list):
        value.wrong = "$.entry", "expected a list"
        return
    value.count, value.no_objects = places_of(entries)


def _letter(entry: bytes, value: _Value) -> bytes | None:
    if value.is_whole:
        return _kept(entry)
    return letter_text(b'{"resource":%b}' % entry if value.is_list else entry, value.bundle)


def _kept(text: bytes) -> bytes | None:
    return text if len(text) <= LARGEST_LETTER else None


def is_document(start: bytes) -> bool:
    """Return whether FHIR that begins so is one document, and not one value a line.

    It is lines where the first one, or any other in `start`, is a resource by itself.
    """
    lines = [line for line in start.splitlines() if line.strip()]
    if not lines or lines[0].lstrip(b"\xef\xbb\xbf \t")[:1] not in b"{[":
        return False
    if _is_value(lines[0]) or (len(lines) == 1 and len(start) < LOOK_AHEAD):
        return False
    return not any(line.lstrip().startswith(b"{") and _is_resource(line) for line in lines[1:])


def _begins_with_value(start: bytes) -> bool:
    line, end, _ = start.lstrip(b"\xef\xbb\xbf \t\r\n").partition(b"\n")
    return bool(end) and _is_value(line)


def _is_value(line: bytes) -> bool:
    try:
        loads(line.removeprefix(b"\xef\xbb\xbf"))
    except DecodeError:
        return False
    return True


def _is_resource(line: bytes) -> bool:
    try:
        value = loads(line)
    except DecodeError:
        return False
    return isinstance(value, dict) and "resourceType" in value
