"""Many items taken at once, where they are alike.

Writes of Python are encoded then, and not kept: what is sent is what is reported, and a write is made of
it again where one is needed.
"""

from collections.abc import Sequence
from itertools import repeat
from operator import attrgetter
from typing import TypeGuard

from clinia_async.calls import CreateRelationship, UpsertRelationship
from clinia_async.errors import InvalidWrite
from clinia_async.ingest.records.record import RELATIONSHIP_WRITES, Record, record_kind
from clinia_async.ingest.records.record_batch import RecordBatch

_source, _type, _id = attrgetter("source"), attrgetter("type"), attrgetter("id")


def encode_batch(
    items: Sequence[object], lines: Sequence[bytes | InvalidWrite | None], first: int
) -> RecordBatch | None:
    """All of the items, numbered from `first`; None where they must be read one by one.

    `lines` holds the JSON of those that are writes of relationships; of a record, why it has none.
    """
    try:
        if _are_records(items):
            return None if any(lines) else _of_records(items)
        return _of_writes(items, lines, first)
    except InvalidWrite:
        return None


def _of_records(records: Sequence[Record]) -> RecordBatch | None:
    return (
        RecordBatch.of_all(records) if len({(record.kind, record.file) for record in records}) == 1 else None
    )


def _of_writes(
    items: Sequence[object], lines: Sequence[bytes | InvalidWrite | None], first: int
) -> RecordBatch | None:
    if not _are_relationship_writes(items) or not _are_texts(lines):
        return None
    if len(sources := set(map(_source, items))) != 1:
        return None
    kind = record_kind(type(items[0]), sources.pop(), True)  # type: ignore[arg-type]  # mypy
    keys = zip(repeat(str.__str__(kind.target)), map(_type, items), map(_id, items), strict=False)
    return RecordBatch(kind, [*keys], [*lines], range(first, first + len(items)), [None] * len(items))


def _are_texts(lines: Sequence[bytes | InvalidWrite | None]) -> TypeGuard[Sequence[bytes]]:
    return set(map(type, lines)) == {bytes}


def _are_records(items: Sequence[object]) -> TypeGuard[Sequence[Record]]:
    return set(map(type, items)) == {Record}


def _are_relationship_writes(
    items: Sequence[object],
) -> TypeGuard[Sequence[CreateRelationship | UpsertRelationship]]:
    kinds = set(map(type, items))
    return len(kinds) == 1 and kinds <= set(RELATIONSHIP_WRITES)
