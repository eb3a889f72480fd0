"""Writes of Python encoded many at once, where they are alike.

They are not kept: what is sent is what is reported, and a write is made of it again where one is needed.
"""

from collections.abc import Sequence
from itertools import repeat
from operator import attrgetter
from typing import TypeGuard

from clinia_async.calls import CreateRelationship, UpsertRelationship
from clinia_async.errors import InvalidWrite
from clinia_async.ingest.records import kind_of
from clinia_async.ingest.stretches import Stretch

_source, _type, _id = attrgetter("source"), attrgetter("type"), attrgetter("id")


def stretch_of(items: Sequence[object], first: int) -> Stretch | None:
    """All of the items, numbered from `first`; None where they must be looked at one by one."""
    if not (_are_creates(items) or _are_upserts(items)):
        return None
    if len(sources := set(map(_source, items))) != 1:
        return None
    kind = kind_of(type(items[0]), sources.pop(), True)  # type: ignore[arg-type]  # mypy
    try:
        lines = type(items[0]).lines(items)
    except InvalidWrite:
        return None
    keys = zip(repeat(str.__str__(kind.target)), map(_type, items), map(_id, items), strict=False)
    return Stretch(kind, [*keys], lines, range(first, first + len(items)), [None] * len(items))


def _are_creates(items: Sequence[object]) -> TypeGuard[Sequence[CreateRelationship]]:
    return set(map(type, items)) == {CreateRelationship}


def _are_upserts(items: Sequence[object]) -> TypeGuard[Sequence[UpsertRelationship]]:
    return set(map(type, items)) == {UpsertRelationship}
