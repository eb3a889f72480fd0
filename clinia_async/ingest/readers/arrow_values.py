"""The values of a column of Arrow, as they go into a record."""

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Protocol

import orjson
from attrs import frozen

from clinia_async.ingest.readers.table_rows import Refused

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TICKS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
"""Ticks in a second, and so the digits of its fraction."""
_NO_MOMENT = Refused("must lie in the years 1 to 9999")
_NO_NUMBER = Refused("must be a finite number")


class Column(Protocol):
    """What is used of an array of Arrow."""

    def to_pylist(self) -> list[object]: ...
    def cast(self, target: object) -> "Column": ...


Values = Callable[[Column], Sequence[object]]


def values_of(arrow: ModuleType, type_: object) -> Values | str:
    """How values of the type are read, or why they cannot be."""
    is_ = arrow.types
    if is_.is_timestamp(type_):
        return _moments(arrow, type_)
    if is_.is_date(type_):
        return lambda column: list(map(_day, column.cast(arrow.date32()).cast(arrow.int32()).to_pylist()))
    if is_.is_float16(type_):
        return lambda column: list(map(_finite, column.cast(arrow.float32()).to_pylist()))
    for is_one, each in (
        (is_.is_decimal, _decimal),
        (is_.is_floating, _finite),
        (_Plain(is_), _without_nulls),
    ):
        if is_one(type_):
            return _each(each)
    return "its type is none that JSON has"


def _each(read: Callable[[object], object]) -> Values:
    return lambda column: list(map(read, column.to_pylist()))


@frozen
class _Plain:
    """Whether a type is, all through, of what JSON has."""

    is_: ModuleType

    def __call__(self, type_: object) -> bool:
        is_ = self.is_
        nests = (is_.is_dictionary, is_.is_list, is_.is_large_list, is_.is_fixed_size_list)
        if any(is_nest(type_) for is_nest in nests):
            return self(type_.value_type)  # type: ignore[attr-defined]
        if is_.is_struct(type_):
            return all(self(field.type) for field in type_)  # type: ignore[attr-defined]
        texts = (is_.is_string, is_.is_large_string)
        leaves = (*texts, is_.is_integer, is_.is_float32, is_.is_float64, is_.is_boolean, is_.is_null)
        return any(is_leaf(type_) for is_leaf in leaves)


def _moments(arrow: ModuleType, type_: object) -> Values | str:
    if type_.tz is None:  # type: ignore[attr-defined]
        return "its timestamps have no time zone, so they are no moments"
    unit: str = type_.unit  # type: ignore[attr-defined]
    return lambda column: [_moment(ticks, unit) for ticks in column.cast(arrow.int64()).to_pylist()]


def _moment(ticks: object, unit: str) -> object:
    if not isinstance(ticks, int):
        return None
    seconds, rest = divmod(ticks, _TICKS[unit])
    try:
        moment = _EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        return _NO_MOMENT
    digits = len(str(_TICKS[unit])) - 1
    fraction = f".{rest:0{digits}d}".rstrip("0") if rest else ""
    return f"{moment.replace(tzinfo=None).isoformat()}{fraction}Z"


def _day(days: object) -> object:
    if not isinstance(days, int):
        return None
    try:
        return (_EPOCH + timedelta(days=days)).date().isoformat()
    except OverflowError:
        return _NO_MOMENT


def _decimal(number: object) -> object:
    return None if number is None else orjson.Fragment(f"{number:f}")


def _finite(number: object) -> object:
    return _NO_NUMBER if isinstance(number, float) and not math.isfinite(number) else number


def _without_nulls(value: object) -> object:
    if isinstance(value, Mapping):
        return {name: _without_nulls(inner) for name, inner in value.items() if inner is not None}
    return [_without_nulls(inner) for inner in value] if isinstance(value, list) else value
