"""A write as a value."""

from typing import NamedTuple

RELATIONSHIP, RESOURCE = "RELATIONSHIP", "RESOURCE"
"""What a write is about, in the words of receipts."""

READY, REVIEWED, CANCELLED, DONE = "", "REVIEWED", "CANCELLED", "DONE"
APPROVED, REJECTED = "APPROVED", "REJECTED"
"""States of an operation: it waits for its time, for a reviewer too, or for nothing any more; or it waits
for its time, and the decision of its reviewer is known."""


class Operation(NamedTuple):
    """A write of one record in strings only, JSON where the API has objects.

    Plain enough to wait in the database until its time comes.
    """

    target: str
    action: str
    """CREATE, UPSERT, DELETE, PURGE, or the name of an edit."""

    type: str
    id: str
    from_type: str | None = None
    from_id: str | None = None
    to_type: str | None = None
    to_id: str | None = None
    data: str = "{}"
    contained: str | None = None
    created_at: str | None = None
    updated_at: str | None = None
    identifier: str | None = None
    edit: str | None = None
    """What an edit does to the record, as its module understands it."""

    refusal: tuple[str, str] | None = None
    """Type and message of the error with which this operation fails, whatever the others do."""

    state: str = READY
