"""Answers to what the API's pages leave open, and limits."""

from collections.abc import Iterable
from typing import Literal

from attrs import field, frozen, validators

_positive = validators.ge(1)


def _names(names: Iterable[str]) -> frozenset[str]:
    return frozenset(names)


@frozen(kw_only=True)
class Settings:
    """A pair of text and number is an error's type and its HTTP status."""

    already_exists: int = 409
    """HTTP status of ALREADY_EXISTS; the reference page prints 400 beside it."""

    immutable_partition: tuple[str, int] = ("FAILED_PRECONDITION", 400)
    """A PUT on a partition that is ready."""

    body_limit: int = field(default=1024**2, validator=_positive)
    """Bytes in the body of a single write."""

    bulk_limit: int = field(default=256 * 1024**2, validator=_positive)
    """Bytes in the body of a bulk, which is held in memory; the service takes 5 GB."""

    bundle_limit: int = field(default=500_000, validator=_positive)
    """Bytes in the body of a bundle: the documented 500 KB, in their smaller reading."""

    header_timeout: float = field(default=10.0, validator=validators.gt(0))
    """Seconds for a request's headers to arrive, from the first byte or the opening of its connection."""

    body_timeout: float = field(default=60.0, validator=validators.gt(0))
    """Seconds for a request's body to arrive."""

    connection_limit: int = field(default=500, validator=_positive)
    """Connections at a time; one more is answered 503 and closed."""

    host_names: frozenset[str] = field(default=(), converter=_names)
    """More names a client may call the emulator by in its Host header, without the port."""

    strict: bool = False
    """Sources, definitions and profiles must be put before they are used, the ends of a
    relationship must exist, and cardinality is checked. Without it, whatever is named springs
    into being."""

    unknown_source: tuple[str, int] = ("NOT_FOUND", 404)
    unknown_type: tuple[str, int] = ("NOT_FOUND", 404)
    """Strict only: neither definition nor profile nor collection has the type of a write."""

    missing_end: tuple[str, int] = ("NOT_FOUND", 404)
    """Strict only: a resource at the end of a relationship is not there."""

    cardinality: tuple[str, int] = ("FAILED_PRECONDITION", 400)
    """Strict only: a resource would have too many relationships, or too few."""

    conflicts: Literal["cancel", "queue"] = "cancel"
    """Of two accepted tasks that touch one record while both are pending, the later has that
    operation cancelled; `queue` does both instead, by due time."""

    patch_failed: tuple[str, int] = ("FAILED_PRECONDITION", 400)
    """A path of a partial update that leads nowhere in the record."""

    update_action: str = "UPDATE"
    """What a receipt calls a partial update, or a write of a contained resource."""

    rejected: str = "REJECTED"
    """What a receipt's pipeline execution says after a reviewer's no."""

    bundle_field: str = "operations"
    """Where the answer of a persisted bundle lists its operations."""

    bundle_status: int | None = None
    """HTTP status of a persisted bundle; without one, 201 if it created anything and 200 if not."""

    rolled_back: Literal["CANCELLED", "FAILURE"] = "CANCELLED"
    """What receipts say of the operations that another one of their bundle took down with it."""

    purge_counts_relationships: bool = False
    """Whether `deletedCount` of purged resources also counts the relationships they took along."""

    browse_cursor: Literal["same", "new"] = "same"
    """Whether one cursor serves a whole session, or each page has the next one and can be read again."""

    browse_filter: Literal["refuse", "ignore"] = "refuse"
    """A browse with a filter or a sort is UNIMPLEMENTED, or done as if it had none."""

    definitions_replaceable: bool = True
    """Whether a PUT may replace a definition, a profile or a collection; if not, ALREADY_EXISTS."""

    catalog_delete: int = 200
    """HTTP status of deleting a source or a partition, of which no page could be read."""
