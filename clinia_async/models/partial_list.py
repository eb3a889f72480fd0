"""A list of an answer of which a part could not be read."""

from collections.abc import Iterable
from typing import Self, TypeVar

T = TypeVar("T")


class PartialList(tuple[T, ...]):  # noqa: SLOT001  a tuple takes no slots
    """The items that could be read; `left_out` is how many could not. Equal to a tuple of the same items."""

    left_out: int

    @classmethod
    def of(cls, items: Iterable[T], left_out: int) -> Self:
        """Make the list of `items`, with the number of the others."""
        made = cls(items)
        made.left_out = left_out
        return made


def left_out_of(items: object) -> int:
    """Return how many items of a list in an answer could not be read."""
    return items.left_out if isinstance(items, PartialList) else 0
