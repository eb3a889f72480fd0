"""Answers to what the API's pages leave open, and limits."""

from collections.abc import Iterable
from typing import Literal

from attrs import field, frozen

from clinia_async.emulator.validators import STATUS, InstanceOf, Number, OneOf, Text, is_error_and_status

Conflicts = Literal["cancel", "queue"]
RolledBack = Literal["CANCELLED", "FAILURE"]
BrowseCursor = Literal["same", "new"]
BrowseFilter = Literal["refuse", "ignore"]

_BYTES = Number(least=1, whole=True)
_SECONDS = Number(above=0)
_FLAG = InstanceOf(bool)


def _names(names: Iterable[str]) -> frozenset[str]:
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise ValueError("host_names must be a list of names")
    return frozenset(names)


@frozen(kw_only=True)
class Settings:
    """A pair of text and number is an error's type and its HTTP status."""

    already_exists: int = field(default=409, validator=STATUS)
    """HTTP status of ALREADY_EXISTS; the reference page prints 400 beside it."""

    immutable_partition: tuple[str, int] = field(
        default=("FAILED_PRECONDITION", 400), validator=is_error_and_status
    )
    """A PUT on a partition that is ready."""

    body_limit: int = field(default=1024**2, validator=_BYTES)
    """Bytes in the body of a single write."""

    bulk_limit: int = field(default=256 * 1024**2, validator=_BYTES)
    """Bytes in the body of a bulk, which is held in memory; the service takes 5 GB."""

    bundle_limit: int = field(default=500_000, validator=_BYTES)
    """Bytes in the body of a bundle: the documented 500 KB, in their smaller reading."""

    header_timeout: float = field(default=10.0, validator=_SECONDS)
    """Seconds for a request's headers to arrive, from the first byte or the opening of its connection."""

    body_timeout: float = field(default=60.0, validator=_SECONDS)
    """Seconds for a request's body to arrive."""

    connection_limit: int = field(default=500, validator=_BYTES)
    """Connections at a time; one more is answered 503 and closed."""

    host_names: frozenset[str] = field(default=(), converter=_names)
    """More names a client may call the emulator by in its Host header, without the port."""

    strict: bool = field(default=False, validator=_FLAG)
    """Sources, definitions and profiles must be put before they are used, the ends of a
    relationship must exist, and cardinality is checked. Without it, whatever is named springs
    into being."""

    unknown_source: tuple[str, int] = field(default=("NOT_FOUND", 404), validator=is_error_and_status)
    unknown_type: tuple[str, int] = field(default=("NOT_FOUND", 404), validator=is_error_and_status)
    """Strict only: neither definition nor profile nor collection has the type of a write."""

    missing_end: tuple[str, int] = field(default=("NOT_FOUND", 404), validator=is_error_and_status)
    """Strict only: a resource at the end of a relationship is not there."""

    cardinality: tuple[str, int] = field(default=("FAILED_PRECONDITION", 400), validator=is_error_and_status)
    """Strict only: a resource would have too many relationships, or too few."""

    conflicts: Conflicts = field(default="cancel", validator=OneOf(Conflicts))
    """Of two accepted tasks that touch one record while both are pending, the later has that
    operation cancelled; `queue` does both instead, by due time."""

    patch_failed: tuple[str, int] = field(default=("FAILED_PRECONDITION", 400), validator=is_error_and_status)
    """A path of a partial update that leads nowhere in the record."""

    update_action: str = field(default="UPDATE", validator=Text())
    """What a receipt calls a partial update, or a write of a contained resource."""

    rejected: str = field(default="REJECTED", validator=Text())
    """What a receipt's pipeline execution says after a reviewer's no."""

    bundle_field: str = field(default="operations", validator=Text())
    """Where the answer of a persisted bundle lists its operations."""

    bundle_status: int | None = field(
        default=None, validator=Number(least=200, most=299, whole=True, optional=True)
    )
    """HTTP status of a persisted bundle; without one, 201 if it created anything and 200 if not."""

    rolled_back: RolledBack = field(default="CANCELLED", validator=OneOf(RolledBack))
    """What receipts say of the operations that another one of their bundle took down with it."""

    purge_counts_relationships: bool = field(default=False, validator=_FLAG)
    """Whether `deletedCount` of purged resources also counts the relationships they took along."""

    browse_cursor: BrowseCursor = field(default="same", validator=OneOf(BrowseCursor))
    """Whether one cursor serves a whole session, or each page has the next one and can be read again."""

    browse_filter: BrowseFilter = field(default="refuse", validator=OneOf(BrowseFilter))
    """A browse with a filter or a sort is UNIMPLEMENTED, or done as if it had none."""

    definitions_replaceable: bool = field(default=True, validator=_FLAG)
    """Whether a PUT may replace a definition, a profile or a collection; if not, ALREADY_EXISTS."""

    catalog_delete: int = field(default=200, validator=STATUS)
    """HTTP status of deleting a source or a partition, of which no page could be read."""
