"""The values of a column of Arrow, as they go into a record.

Values keep their types: whole numbers, finite numbers, text, booleans; decimals with every digit;
timestamps as RFC 3339 in UTC, dates and times of day as ISO 8601; binary as the UTF-8 text that it is;
lists, structs and maps with texts as keys of those. What is null leaves its field out. Values of extension
types are what they are stored as, but UUIDs are text, and `bool8` is boolean.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Protocol
from uuid import UUID
from zoneinfo import ZoneInfo

import orjson
from attrs import frozen

from clinia_async.ingest.readers.bad_cell import BadCell
from clinia_async.ingest.readers.line_splitter import LARGEST_LINE
from clinia_async.ingest.readers.table_template import present

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TICKS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
"""Ticks in a second, and so the digits of its fraction."""
_DAY = 86_400
_OUT_OF_RANGE = BadCell("must lie in the years 1 to 9999")
_NOT_FINITE = BadCell("must be a finite number")
_NOT_TEXT = BadCell("must be text in UTF-8")
NAIVE = "its timestamps have no time zone: say which one it is (timezone), or that the field is :str"


class ArrowColumn(Protocol):
    """What is used of an array of Arrow."""

    type: object

    def to_pylist(self) -> list[object]: ...
    def cast(self, target: object) -> "ArrowColumn": ...


class UnsupportedType(Exception):
    """A type of Arrow whose values no record can carry; the text says why."""


Convert = Callable[[object], object]
Join = Callable[[object, object], object]


@frozen
class ColumnReader:
    """Reads columns of one type: cast to `container`, then converted value by value where that is needed."""

    container: object
    binary: object
    """The container with the bytes of texts in their place."""
    convert: Convert | None
    convert_binary: Convert
    is_run_end_encoded: bool = False

    def read(self, column: ArrowColumn, in_seconds: ArrowColumn | None = None) -> Sequence[object]:
        """Return the values. Raises what Arrow raises for a column that is damaged.

        `in_seconds` is the column with moments of INT96 in seconds, where there are any.
        """
        convert = self.convert
        if self.is_run_end_encoded:
            column = import_module("pyarrow.compute").run_end_decode(column)
        try:
            values = _listed(column, self.container, in_seconds)
        except UnicodeDecodeError:  # one of its texts is none, but the others are
            values, convert = _listed(column, self.binary, in_seconds), self.convert_binary
        if convert is None or (convert is _finite and _are_finite(values)):
            return values
        return [None if value is None else convert(value) for value in values]


def _listed(column: ArrowColumn, container: object, in_seconds: ArrowColumn | None) -> list[object]:
    values = (column if column.type == container else column.cast(container)).to_pylist()
    if in_seconds is None or in_seconds.type == column.type:
        return values
    join = _join(import_module("pyarrow").types, column.type, in_seconds.type)
    return [*map(join, values, in_seconds.cast(container).to_pylist())]


def _join(is_: ModuleType, type_: object, in_seconds: object) -> Join:
    """Return what makes one value of two, where one of the types has some timestamps in seconds."""

    def inner(name: str) -> Join:
        return _join(is_, getattr(type_, name), getattr(in_seconds, name))

    if type_ == in_seconds:
        return lambda value, _: value
    if is_.is_timestamp(type_):
        return _nanoseconds
    if is_.is_struct(type_):
        other = {field.name: field.type for field in in_seconds}  # type: ignore[attr-defined]
        fields = {field.name: _join(is_, field.type, other[field.name]) for field in type_}  # type: ignore[attr-defined]
        return partial(_join_struct, fields=fields)
    if is_.is_map(type_):
        return partial(_join_map, item=inner("item_type"))
    return partial(_join_list, item=inner("value_type"))


def _nanoseconds(ticks: object, seconds: object) -> object:
    """Return nanoseconds of which Arrow gives the last 64 bits."""
    if not isinstance(ticks, int) or not isinstance(seconds, int):
        return None
    whole = seconds * _TICKS["ns"]
    return whole + (ticks - whole) % 2**64


def _join_struct(value: object, other: object, fields: Mapping[str, Join]) -> object:
    if not isinstance(value, dict) or not isinstance(other, dict):
        return None
    return {name: fields[name](inner, other[name]) for name, inner in value.items()}


def _join_map(value: object, other: object, item: Join) -> object:
    if not isinstance(value, list) or not isinstance(other, list):
        return None
    return [(key, item(inner, known)) for (key, inner), (_, known) in zip(value, other, strict=True)]


def _join_list(value: object, other: object, item: Join) -> object:
    if not isinstance(value, list) or not isinstance(other, list):
        return None
    return [*map(item, value, other)]


def column_reader(arrow: ModuleType, type_: object, timezone: str | None, *, as_text: bool) -> ColumnReader:
    """Return how columns of the type are read; `as_text` is for fields that are `:str`.

    Raises `UnsupportedType`.
    """
    zone = None if timezone is None else ZoneInfo(timezone)
    kinds = _Kinds(arrow, zone, as_text=as_text)
    is_run_end_encoded = arrow.types.is_run_end_encoded(type_)
    if is_run_end_encoded:
        type_ = type_.value_type  # type: ignore[attr-defined]
    return ColumnReader(
        kinds.container(type_, as_binary=False),
        kinds.container(type_, as_binary=True),
        kinds.convert(type_, as_binary=False),
        kinds.convert(type_, as_binary=True) or _same,
        is_run_end_encoded,
    )


@frozen
class _Kinds:
    """What is done with the types, each by the first row of a table that it is of."""

    arrow: ModuleType
    zone: ZoneInfo | None
    as_text: bool

    def container(self, type_: object, *, as_binary: bool) -> object:
        """Return the type that a type is cast to: of what Python reads without loss."""
        arrow, is_ = self.arrow, self.arrow.types

        def of(inner: object) -> object:
            return self.container(inner, as_binary=as_binary)

        makers: Sequence[tuple[Callable[[object], bool], Callable[[_Type], object]]] = (
            (_is_extension, lambda t: of(t.storage_type)),
            (lambda t: is_.is_timestamp(t) or is_.is_time64(t) or is_.is_date64(t), lambda _: arrow.int64()),
            (lambda t: is_.is_date32(t) or is_.is_time32(t), lambda _: arrow.int32()),
            (is_.is_float16, lambda _: arrow.float32()),
            (lambda t: as_binary and _is_text(is_, t), lambda _: arrow.large_binary()),
            (lambda t: is_.is_dictionary(t) and _is_view(is_, getattr(t, "value_type", t)), lambda t: t),
            (is_.is_dictionary, lambda t: of(t.value_type)),
            (is_.is_map, lambda t: arrow.map_(of(t.key_type), of(t.item_type))),
            (is_.is_large_list, lambda t: arrow.large_list(of(t.value_type))),
            (lambda t: _is_list(is_, t), lambda t: arrow.list_(of(t.value_type))),
            (is_.is_struct, lambda t: arrow.struct([(f.name, of(f.type)) for f in t])),
        )
        make = next((make for is_one, make in makers if is_one(type_)), None)
        return type_ if make is None else make(type_)  # type: ignore[arg-type]

    def convert(self, type_: object, *, as_binary: bool, depth: int = 0) -> Convert | None:
        """Return what is done to each value of it; None if nothing is. Raises `UnsupportedType`."""
        is_ = self.arrow.types

        def of(inner: object, levels: int = 1) -> Convert | None:
            return self.convert(inner, as_binary=as_binary, depth=depth + levels)

        makers: Sequence[tuple[Callable[[object], bool], Callable[[_Type], Convert | None]]] = (
            (_is_extension, lambda t: _of_extension(t.extension_name, lambda: of(t.storage_type, 0))),
            (is_.is_timestamp, lambda t: self._moment(t, is_inner=depth > 0)),
            (is_.is_time, lambda t: partial(_time, unit=_TICKS[t.unit])),
            (is_.is_date, lambda t: partial(_day, unit=1 if is_.is_date32(t) else _DAY * 1000)),
            (is_.is_decimal, lambda _: _decimal),
            (is_.is_floating, lambda _: _finite),
            (lambda t: _is_binary(is_, t) or (as_binary and _is_text(is_, t)), lambda _: _text_of_bytes),
            (lambda t: is_.is_integer(t) or is_.is_boolean(t) or is_.is_null(t), lambda _: None),
            (lambda t: _is_text(is_, t), lambda _: None),
            (is_.is_dictionary, lambda t: of(t.value_type, 0)),
            (is_.is_map, lambda t: _of_map(is_, t, of(t.item_type), as_binary=as_binary)),
            (lambda t: _is_list(is_, t), lambda t: _of_list(of(t.value_type))),
            (lambda t: _is_list_view(is_, t), lambda t: _of_list(self._of_view(t, of(t.value_type)))),
            (is_.is_struct, lambda t: _of_struct({f.name: of(f.type) or _same for f in t}, len([*t]))),
        )
        make = next((make for is_one, make in makers if is_one(type_)), None)
        if make is None:
            raise UnsupportedType("its type is none that JSON has")
        return make(type_)  # type: ignore[arg-type]

    def _of_view(self, type_: "_Type", convert: Convert | None) -> Convert | None:
        # Arrow makes broken lists of views of them, so they are not cast
        if self.container(type_.value_type, as_binary=False) != type_.value_type:
            raise UnsupportedType("it is a view of lists, whose values cannot be converted: make it a list")
        return convert

    def _moment(self, type_: "_Type", *, is_inner: bool) -> Convert:
        unit, zone = _TICKS[type_.unit], self.zone
        if type_.tz is not None:
            return partial(_moment, unit=unit, suffix="Z")
        if zone is not None:
            return lambda ticks: _moment(_from_local(ticks, unit, zone), unit, "Z")
        if self.as_text and not is_inner:
            return partial(_moment, unit=unit, suffix="")
        raise UnsupportedType(NAIVE)


class _Type(Protocol):
    """What is used of types of Arrow, each of which has some of it."""

    tz: str | None
    unit: str
    value_type: object
    key_type: object
    item_type: object
    storage_type: object
    extension_name: str

    def __iter__(self) -> "Iterator[_Field]": ...


class _Field(Protocol):
    name: str
    type: object


def _of_map(is_: ModuleType, type_: _Type, item: Convert | None, *, as_binary: bool) -> Convert:
    key: object = getattr(type_.key_type, "value_type", type_.key_type)
    if not _is_text(is_, key):
        raise UnsupportedType("its maps have keys that are no text")
    return partial(_mapping, key=_text_of_bytes if as_binary else _same, item=item or _same)


def _of_list(each: Convert | None) -> Convert | None:
    return None if each is None else partial(_list, each=each)


def _of_struct(fields: Mapping[str, Convert], count: int) -> Convert:
    if len(fields) != count:
        raise UnsupportedType("its structs have a field twice")
    return partial(_struct, fields=fields)


def _is_extension(type_: object) -> bool:
    return hasattr(type_, "extension_name")


def _of_extension(name: str, of_storage: Callable[[], Convert | None]) -> Convert | None:
    if name in _WITHOUT_VALUE:
        raise UnsupportedType("its extension type has no value that JSON has: make it text")
    return _OF_EXTENSIONS.get(name) or of_storage()


def _is_text(is_: ModuleType, type_: object) -> bool:
    return any(test(type_) for test in (is_.is_string, is_.is_large_string, is_.is_string_view))


def _is_binary(is_: ModuleType, type_: object) -> bool:
    tests = (is_.is_binary, is_.is_large_binary, is_.is_fixed_size_binary, is_.is_binary_view)
    return any(test(type_) for test in tests)


def _is_list(is_: ModuleType, type_: object) -> bool:
    return any(test(type_) for test in (is_.is_list, is_.is_large_list, is_.is_fixed_size_list))


def _is_list_view(is_: ModuleType, type_: object) -> bool:
    return bool(is_.is_list_view(type_) or is_.is_large_list_view(type_))


def _is_view(is_: ModuleType, type_: object) -> bool:
    return bool(is_.is_string_view(type_) or is_.is_binary_view(type_))


def _uuid(value: object) -> object:
    assert isinstance(value, bytes)
    return str(UUID(bytes=value))


def _same(value: object) -> object:
    return value


def _fraction(rest: int, unit: int) -> str:
    return f".{rest:0{len(str(unit)) - 1}d}".rstrip("0") if rest else ""


def _moment(ticks: object, unit: int, suffix: str) -> object:
    if not isinstance(ticks, int):
        return ticks
    seconds, rest = divmod(ticks, unit)
    try:
        moment = _EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        return _OUT_OF_RANGE
    return f"{moment.replace(tzinfo=None).isoformat()}{_fraction(rest, unit)}{suffix}"


def _from_local(ticks: object, unit: int, zone: ZoneInfo) -> object:
    """Return the ticks since 1970 in UTC of a local time: of two the earlier one."""
    assert isinstance(ticks, int)
    seconds, rest = divmod(ticks, unit)
    try:
        local = (_EPOCH + timedelta(seconds=seconds)).replace(tzinfo=zone)
        return int(local.astimezone(UTC).timestamp()) * unit + rest
    except (OverflowError, ValueError):
        return _OUT_OF_RANGE


def _time(ticks: object, unit: int) -> object:
    assert isinstance(ticks, int)
    seconds, rest = divmod(ticks, unit)
    minutes, seconds = divmod(seconds, 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{seconds:02d}{_fraction(rest, unit)}"


def _day(ticks: object, unit: int) -> object:
    assert isinstance(ticks, int)
    try:
        return (_EPOCH + timedelta(days=ticks // unit)).date().isoformat()
    except OverflowError:
        return _OUT_OF_RANGE


def decimal_cell(number: Decimal) -> object:
    """Return the cell of a decimal, with every digit."""
    if not number.is_finite():
        return BadCell(_NOT_FINITE.reason, str(number))
    exponent = number.as_tuple().exponent
    if isinstance(exponent, int) and abs(exponent) > LARGEST_LINE:
        return BadCell("must be a number of fewer digits", str(number))
    return orjson.Fragment(f"{number:f}")


def _decimal(number: object) -> object:
    assert isinstance(number, Decimal)
    return decimal_cell(number)


def _finite(number: object) -> object:
    if isinstance(number, float) and not math.isfinite(number):
        return BadCell(_NOT_FINITE.reason, repr(number))
    return number


def _are_finite(numbers: Sequence[object]) -> bool:
    """Return whether each number that is there is finite."""
    return all(map(math.isfinite, present(numbers)))  # type: ignore[arg-type]


def _text_of_bytes(value: object) -> object:
    assert isinstance(value, bytes)
    try:
        return value.decode()
    except UnicodeDecodeError:
        return BadCell(_NOT_TEXT.reason, value.decode(errors="surrogateescape"))


def _list(items: object, each: Convert) -> object:
    assert isinstance(items, list)
    values = [None if item is None else each(item) for item in items]
    return next((value for value in values if isinstance(value, BadCell)), values)


def _struct(value: object, fields: Mapping[str, Convert]) -> object:
    assert isinstance(value, dict)
    found = {name: fields[name](inner) for name, inner in value.items() if inner is not None}
    return next((inner for inner in found.values() if isinstance(inner, BadCell)), found)


def _mapping(pairs: object, key: Convert, item: Convert) -> object:
    assert isinstance(pairs, list)
    names = [key(name) for name, _ in pairs]
    values = [None if value is None else item(value) for _, value in pairs]
    bad = next((each for each in (*names, *values) if isinstance(each, BadCell)), None)
    if bad is not None:
        return bad
    if len({*names}) != len(names):
        return BadCell("must be a map with each key once")
    return {name: value for name, value in zip(names, values, strict=True) if value is not None}


_OF_EXTENSIONS: Mapping[str, Convert] = {"arrow.uuid": _uuid, "arrow.bool8": bool}
"""What is done with values of extension types that are not what they are stored as."""
_WITHOUT_VALUE = frozenset({"pandas.period"})
"""Extension types that are stored as a number that means nothing by itself."""
