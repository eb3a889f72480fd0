"""Relationships from FHIR: each literal reference inside a resource is one.

The input is NDJSON whose lines are resources or Bundles, or one JSON document that is a Bundle or a
resource. A line or document is held in memory whole, and may be of 16 MiB at most.

* The ends are the resource that holds the reference and the one that is referred to: their types are those
  of FHIR, such as `Patient`, and their ids are the ids of the resources; where an entry of a Bundle has no
  id, it is what its `fullUrl` ends with.
* A reference is literal if it is `Type/id`, an absolute URL that ends so (`/_history/n` after it is left
  out), or the `fullUrl` of an entry of the same Bundle, such as a `urn:uuid:`.
* The type of the relationship is made of the type of the one end, the path of the reference and the type
  of the other: `Encounter-participant-individual-Practitioner`. The places in lists do not count. What is no
  letter, digit, `-` or `_` becomes `-`, and what is longer than 62 characters is cut and ends with a hash.
  So a type has one profile at either end, as definitions of relationships want it.
* References in contained resources are those of the resource that contains them.
* A reference that stands twice at one path in a resource is one relationship.
* References to what is contained (`#id`), conditional ones (`Patient?identifier=...`), logical ones (an
  `identifier` alone) and those that lead nowhere are passed over and counted, by reason.

A relationship holds no data. An id with a dot is refused like any other, unless dots are escaped.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path

from clinia_async.errors import DecodeError
from clinia_async.ingest.readers.compression import InputError, read_blocks
from clinia_async.ingest.readers.fhir_references import PassedOver, Relation, Resource, relations, resources
from clinia_async.ingest.readers.line_splitter import LARGEST_LINE, LineSplitter
from clinia_async.ingest.readers.ndjson import LineReader
from clinia_async.ingest.records.record import BadRecord, Blank, Item
from clinia_async.serialization import exact_json, strict_json

LARGEST_DOCUMENT = 16 * 1024 * 1024
"""Bytes of a line or a document."""
_LONG = 64 * 1024
"""Bytes of JSON that are parsed in a thread."""


async def read_fhir(
    path: Path | None, lines: LineReader, passed_over: PassedOver
) -> AsyncGenerator[Item, None]:
    """A record is numbered by the line that it comes from; of one document, by the entry."""
    async with aclosing(_documents(path)) as documents:
        async for number, text in documents:
            if text is None:
                yield BadRecord(number or 1, "$", f"is larger than {LARGEST_DOCUMENT:,} bytes")
            elif len(text) > _LONG:
                for item in await asyncio.to_thread(_items, number, text, lines, passed_over):
                    yield item
            else:
                for item in _items(number, text, lines, passed_over):
                    yield item


async def _documents(path: Path | None) -> AsyncGenerator[tuple[int | None, bytes | None], None]:
    """Lines with their numbers, if the first one ends with a brace; else all of them as one document."""
    document: list[bytes] = []
    size = number = 0
    is_ndjson: bool | None = None
    async with aclosing(_lines(path)) as lines:
        async for line in lines:
            number += 1
            if is_ndjson is None and (line is None or line.strip()):
                is_ndjson = line is None or line.rstrip().endswith(b"}")
            if is_ndjson is not False:
                yield number, line
                continue
            size += LARGEST_DOCUMENT if line is None else len(line) + 1
            if line is None or size > LARGEST_DOCUMENT:
                raise InputError(
                    f"a FHIR document may be of {LARGEST_DOCUMENT:,} bytes; NDJSON may be longer"
                )
            document.append(line)
    if document:
        yield None, b"\n".join(document)


async def _lines(path: Path | None) -> AsyncGenerator[bytes | None, None]:
    splitter = LineSplitter(LARGEST_DOCUMENT)
    async with aclosing(read_blocks(path)) as blocks:
        async for block in blocks:
            for line in splitter.split(block):
                yield line
    for line in splitter.rest():
        yield line


def _items(number: int | None, text: bytes, lines: LineReader, passed_over: PassedOver) -> Sequence[Item]:
    if not text.strip():
        return [Blank(number or 1)]
    try:
        found = resources(strict_json.loads_strictly(text))
    except DecodeError as error:
        return [BadRecord(number or 1, error.path, f"expected {error.expected}", _kept(text))]
    items: list[Item] = []
    for resource in found:
        place = number or resource.entry
        for relation in relations(resource, passed_over):
            items.append(_item(place, resource, relation, lines))
            if relation.from_ is None:
                break  # nothing else of it can be told either
    return items


def _item(number: int, resource: Resource, relation: Relation, lines: LineReader) -> Item:
    if relation.from_ is None:
        text = _kept(exact_json.dumps(resource.value))
        return BadRecord(
            number, f"{resource.place}.id", "is required where a resource refers to another", text
        )
    return lines.read(number, exact_json.dumps(relation.line()))


def _kept(text: bytes) -> bytes | None:
    return text if len(text) <= LARGEST_LINE else None
