"""Answers that come in pages."""

from collections.abc import Sequence
from typing import Generic, TypeVar

from attrs import field, frozen

from clinia_async.models.definitions import RelationshipDefinition, Source
from clinia_async.models.open_enum import OpenEnum
from clinia_async.models.partitions import Partition
from clinia_async.models.records import Relationship, Resource

T = TypeVar("T")


class HitType(OpenEnum):
    RESOURCE = "RESOURCE"
    RELATIONSHIP = "RELATIONSHIP"


@frozen
class Hit:
    """One record met while browsing; a relationship may come under either name, for none is documented."""

    hit_type: HitType
    record: Resource | Relationship = field(repr=False)


@frozen
class BrowseMeta:
    cursor: str | None = field(default=None, repr=False)
    total: int | None = None


@frozen
class BrowsePage:
    hits: Sequence[Hit]
    meta: BrowseMeta


@frozen
class PageMeta:
    num_pages: int | None = None
    page: int | None = None
    per_page: int | None = None
    total: int | None = None


@frozen
class Page(Generic[T]):
    """One page of a list. An answer without `meta`, or that is a bare array, is all there is."""

    data: Sequence[T]
    meta: PageMeta = field(factory=PageMeta)


PartitionPage = Page[Partition]
SourcePage = Page[Source]
RelationshipDefinitionPage = Page[RelationshipDefinition]
