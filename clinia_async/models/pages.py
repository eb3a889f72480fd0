"""Pages of records and of catalog entries."""

from collections.abc import Sequence
from typing import Generic, TypeVar

from attrs import field, frozen

from clinia_async.models.definitions import RelationshipDefinition, Source
from clinia_async.models.open_enum import OpenEnum
from clinia_async.models.partitions import Partition
from clinia_async.models.records import Relationship, Resource
from clinia_async.models.value import REQUIRED_IN_ANSWERS, Json, Value, checked

T = TypeVar("T")


class HitType(OpenEnum):
    """Whether a hit of a browse is a resource or a relationship."""

    RESOURCE = "RESOURCE"
    RELATIONSHIP = "RELATIONSHIP"


@frozen(eq=False, repr=False, field_transformer=checked)
class OtherRecord(Value):
    """A record in an answer that is neither a resource nor a relationship, as the service gave it."""

    body: Json = field(repr=False)


@frozen(eq=False, repr=False, field_transformer=checked)
class Hit(Value):
    """One record of a page. An `OtherRecord` could not be read as a resource or a relationship."""

    hit_type: HitType
    record: Resource | Relationship | OtherRecord = field(repr=False)


@frozen(eq=False, repr=False, field_transformer=checked)
class BrowseMeta(Value):
    """The cursor of the next page, and how many records there are in all."""

    cursor: str | None = field(default=None, repr=False, metadata=REQUIRED_IN_ANSWERS)
    total: int | None = None


@frozen(eq=False, repr=False, field_transformer=checked)
class BrowsePage(Value):
    """One page of records. A page without hits is the end."""

    hits: Sequence[Hit] = field(metadata=REQUIRED_IN_ANSWERS)
    meta: BrowseMeta = field(factory=BrowseMeta, metadata=REQUIRED_IN_ANSWERS)


@frozen(eq=False, repr=False, field_transformer=checked)
class PageMeta(Value):
    """Which page it is, of how many."""

    num_pages: int | None = field(default=None, metadata=REQUIRED_IN_ANSWERS)
    page: int | None = field(default=None, metadata=REQUIRED_IN_ANSWERS)
    per_page: int | None = None
    total: int | None = None


@frozen(eq=False, repr=False, field_transformer=checked)
class Page(Value, Generic[T]):
    """One page of a list. An answer without `meta`, or that is a bare array, is the whole list."""

    data: Sequence[T] = field(metadata=REQUIRED_IN_ANSWERS)
    meta: PageMeta = field(factory=PageMeta, metadata=REQUIRED_IN_ANSWERS)


PartitionPage = Page[Partition]
SourcePage = Page[Source]
RelationshipDefinitionPage = Page[RelationshipDefinition]
