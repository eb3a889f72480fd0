"""A value of a table that no record can carry."""

from attrs import field, frozen


@frozen
class BadCell:
    """A value of a table that no record can carry, and why; `text` is what it says, if anything."""

    reason: str
    text: str | None = field(default=None, repr=False)
