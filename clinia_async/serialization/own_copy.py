"""Calls that nobody else can change: what is sent, sent again and compared is what the caller gave."""

from collections.abc import Mapping
from operator import is_
from typing import Any, TypeVar

from attrs import fields

from clinia_async.models.value import EqualByFields
from clinia_async.serialization.exact_json import DEEPEST

T = TypeVar("T")

_LEAVES = frozenset({str, int, float, bool, type(None), bytes})


def own_copy(call: T) -> T:
    """Return an equal call whose dicts and lists are its own, or the same call if it has none.

    A caller may fill its dict again, for the next call, before this one is sent or while it is sent again.
    A call that copies itself faster has a method of this name.
    """
    copied: T = _own(call)
    return copied


def _own(value: Any, depth: int = 0) -> Any:
    kind = value.__class__
    if kind in _LEAVES or depth > DEEPEST:  # the encoder refuses what is nested deeper
        return value
    if kind is dict or isinstance(value, Mapping):
        copied = {**value}
        for key, item in copied.items():
            if item.__class__ not in _LEAVES:  # a call for each of them is most of what a copy takes
                copied[key] = _own(item, depth + 1)
        return copied
    if isinstance(value, list):
        return [item if item.__class__ in _LEAVES else _own(item, depth + 1) for item in value]
    if isinstance(value, tuple):
        owned = tuple([_own(item, depth + 1) for item in value])
        return value if all(map(is_, owned, value)) else owned
    if not isinstance(value, EqualByFields):
        return value
    faster = getattr(value, "own_copy", None)
    return _own_fields(value, depth) if faster is None else faster()


def _own_fields(value: Any, depth: int) -> Any:
    """Return a copy of a value of attrs, or itself where no field of it can be changed."""
    names = [each.name for each in fields(type(value))]
    given = [getattr(value, name) for name in names]
    owned = [_own(each, depth) for each in given]
    if all(map(is_, owned, given)):
        return value
    made = object.__new__(type(value))
    for name, each in zip(names, owned, strict=True):
        object.__setattr__(made, name, each)  # they were checked when the value was made
    return made
