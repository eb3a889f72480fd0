"""Checks of what an emulator is given: a wrong value is refused when it is set, by name and range.

An emulator that took it would play something else, and a test against it would say nothing.
"""

import math
from typing import Protocol, TypeVar, get_args

from attrs import frozen

T = TypeVar("T")


class _Attribute(Protocol):
    @property
    def name(self) -> str: ...


@frozen(kw_only=True)
class Number:
    """A range of finite numbers, as a validator of a field; `optional` takes None too."""

    least: float = -math.inf
    above: float = -math.inf
    most: float = math.inf
    whole: bool = False
    optional: bool = False

    def __call__(self, _: object, attribute: _Attribute, value: T) -> None:
        self.check(attribute.name, value)

    def check(self, name: str, value: object) -> None:
        """Raise `ValueError`, which says `name` and the range, for a `value` outside of it."""
        if (value is None and self.optional) or self._holds(value):
            return
        bounds = [
            f" of {self.least:g} or more" if self.least > -math.inf else "",
            f" greater than {self.above:g}" if self.above > -math.inf else "",
            f" of at most {self.most:g}" if self.most < math.inf else "",
        ]
        kind = "a whole number" if self.whole else "a finite number"
        raise ValueError(
            f"{name} must be {kind}{' and'.join(filter(None, bounds))}{' or None' * self.optional}"
        )

    def _holds(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int if self.whole else int | float):
            return False
        try:
            return math.isfinite(value) and self.above < value and self.least <= value <= self.most
        except OverflowError:
            return False


class InstanceOf:
    """One of some classes, as a validator of a field; `optional` takes None too."""

    def __init__(self, *kinds: type, optional: bool = False) -> None:
        self._kinds = kinds
        self._optional = optional

    def __call__(self, _: object, attribute: _Attribute, value: T) -> None:
        if isinstance(value, self._kinds) or (value is None and self._optional):
            return
        names = " or ".join(kind.__name__ for kind in self._kinds) + " or None" * self._optional
        raise ValueError(f"{attribute.name.lstrip('_')} must be {names}, not {_class_of(value)}")


class OneOf:
    """The values of a `Literal`, as a validator of a field."""

    def __init__(self, literal: object) -> None:
        self._values = get_args(literal)

    def __call__(self, _: object, attribute: _Attribute, value: T) -> None:
        if not isinstance(value, str) or value not in self._values:
            raise ValueError(f"{attribute.name} must be one of {', '.join(self._values)}")


@frozen(kw_only=True)
class Text:
    """Text that is not empty, as a validator of a field; `optional` takes None too."""

    optional: bool = False

    def __call__(self, _: object, attribute: _Attribute, value: T) -> None:
        self.check(attribute.name, value)

    def check(self, name: str, value: object) -> None:
        """Raise `ValueError`, which says `name`, for a `value` that is no text or empty."""
        if not (value is None and self.optional) and (not isinstance(value, str) or not value):
            raise ValueError(f"{name} must be text, and not empty{', or None' * self.optional}")


STATUS = Number(least=200, most=599, whole=True)
"""An HTTP status that an answer may have."""


def is_error_and_status(_: object, attribute: _Attribute, value: T) -> None:
    """Check a pair of an error's type and its HTTP status, as a validator of a field."""
    match value:
        case (type_, status) if isinstance(value, tuple):
            Text().check(f"the type in {attribute.name}", type_)
            STATUS.check(f"the status in {attribute.name}", status)
        case _:
            raise ValueError(f"{attribute.name} must be a pair of an error's type and its HTTP status")


def _class_of(value: object) -> str:
    return f"the class {value.__name__} itself" if isinstance(value, type) else type(value).__name__
