"""Enums that keep unknown values."""

import re
from enum import StrEnum
from typing import Self

_WORD = re.compile(r"(?:[A-Za-z][A-Za-z0-9_]{0,63})?", re.ASCII)


class OpenEnum(StrEnum):
    """A string enum whose lookup keeps unknown values: the service's lists are known to be incomplete.

    An unknown value becomes an instance named `UNKNOWN` that equals its text.
    """

    # Enum hashes by name, so a member and the equal string would be two keys of one dict.
    __hash__ = str.__hash__

    @property
    def shown(self) -> str:
        """The value as errors and logs show it: an unknown one that is no word may quote a record."""
        if self._name_ != "UNKNOWN" or _WORD.fullmatch(self._value_):
            return self._value_
        return "UNKNOWN"

    def __repr__(self) -> str:
        return f"<{type(self).__name__}.{self._name_}: {self.shown!r}>"

    def __reduce_ex__(self, _: object) -> tuple[type[Self], tuple[str]]:
        """Return the class and the value: all unknown values have the same name."""
        return type(self), (self._value_,)

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str):
            return None
        member = str.__new__(cls, value)
        member._name_ = "UNKNOWN"
        member._value_ = value
        return member
