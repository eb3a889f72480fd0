"""Enums that keep what they do not know."""

from enum import StrEnum
from typing import Self


class OpenEnum(StrEnum):
    """An enum that keeps what it does not know: most of the service's lists are known to be incomplete."""

    # Enum hashes by name, so a member and the equal string would be two keys of one dict.
    __hash__ = str.__hash__

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str):
            return None
        member = str.__new__(cls, value)
        member._name_ = "UNKNOWN"
        member._value_ = value
        return member
