"""JSON without loss: `dumps`, `loads` and `RawJson`. Values that JSON cannot carry exactly are refused.

orjson writes NaN as null and reads integers beyond 64 bits as floats, so those cases are detected and
left to the standard library. Errors name the path, never the value.
"""

import json
import math
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime
from enum import Enum
from typing import Any, NoReturn
from uuid import UUID

import orjson
from attrs import field, frozen

from clinia_async.errors import DecodeError, InvalidWrite
from clinia_async.models.value import EqualByFields
from clinia_async.serialization import timestamps

DEEPEST = 200
"""Levels of nesting; more is refused."""

_SMALL = 2048
_BEYOND_64_BITS = 19
"""Digits of a whole number that may have more bits."""
_BEYOND_DOUBLES = b"0" * 16
"""A double holds every number of fewer digits."""
_DIGITS_AS_ZEROS = bytes(ord("0") if byte in b"0123456789." else ord(" ") for byte in range(256))
_OPTIONS = (
    orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS
)


@frozen(eq=False, repr=False)
class RawJson(EqualByFields):
    """A JSON object in its own bytes, sent exactly as it is: every digit and every space.

    It is not checked: the caller makes sure that `text` is one valid JSON object.
    """

    text: bytes = field(repr=False)

    def value(self) -> object:
        """Return the JSON as Python objects."""
        return loads(self.text)


def dumps(value: object, path: str = "$") -> bytes:
    """Encode `value`.

    Raises:
        InvalidWrite: JSON cannot carry a part of it exactly; its path is in the error.
    """
    try:
        text = orjson.dumps(value, _json_of, _OPTIONS)
    except TypeError:
        return _dump_slowly(value, path)
    if not _is_exact(text, value):
        _refuse_what_json_cannot_carry(value, path, 0)
    return trimmed(text)


def try_dumps(value: object) -> bytes | None:
    """Encode `value` if no slow check is needed, else return None; `dumps` then encodes or refuses it."""
    try:
        text = orjson.dumps(value, _json_of, _OPTIONS)
    except TypeError:
        return None
    # the search is that of `_is_exact`: here it saves a call for each record of a job
    return text if text.find(b"null") < 0 or _is_exact(text, value) else None


def are_written_so(values: Sequence[object], texts: Sequence[bytes]) -> bool:
    """Return whether `values` are still what `try_dumps` or `dumps` made `texts` of."""
    try:
        return orjson.dumps([*values], _json_of, _OPTIONS) == b"[" + b",".join(texts) + b"]"
    except TypeError:
        return False


def _is_exact(text: bytes, value: object) -> bool:
    """Return whether orjson, which writes NaN and the infinities as null, has written none of them."""
    return text.find(b"null") < 0 or bool(orjson.loads(text) == value)


def to_raw(value: object, path: str = "$") -> RawJson:
    """Encode `value`, unless it is a `RawJson` already.

    Raises:
        InvalidWrite: JSON cannot carry it exactly.
    """
    return value if isinstance(value, RawJson) else RawJson(dumps(value, path))


def fragment(value: object, path: str = "$") -> orjson.Fragment:
    """Encode `value` as a part of a larger value for `dumps`.

    Raises:
        InvalidWrite: JSON cannot carry it exactly.
    """
    return orjson.Fragment(value.text if isinstance(value, RawJson) else dumps(value, path))


def loads(text: bytes) -> object:
    """Parse `text`. Integers of any size are exact; a fraction that no double holds is a `Decimal`.

    Raises:
        DecodeError: it is not JSON.
    """
    parse = _loads_exactly if has_long_numbers(text) else orjson.loads
    try:
        return parse(text)
    except DecodeError:
        raise
    except (RecursionError, ValueError):
        pass  # raised below, so that not even its context holds the parser's error: that one quotes the text
    raise DecodeError("$", "JSON")


def has_long_numbers(text: bytes) -> bool:
    """Return whether a number in `text` may be beyond 64 bits, or have more digits than a double."""
    # a search for a run of digits and dots that takes a fifth of the time of a pattern
    zeros = text.translate(_DIGITS_AS_ZEROS)
    start = zeros.find(_BEYOND_DOUBLES)
    while start >= 0:
        end = zeros.find(b" ", start)
        end = len(text) if end < 0 else end
        if _is_long(text[start:end], text[end : end + 1]):
            return True
        start = zeros.find(_BEYOND_DOUBLES, end)
    return False


def _is_long(run: bytes, after: bytes) -> bool:
    dots = run.count(b".")
    if dots:
        return dots == 1  # more are those of an OID
    return len(run) >= _BEYOND_64_BITS or after in {b"e", b"E"}


def trimmed(text: bytes) -> bytes:
    """Copy a short `text` to memory of its own size: orjson allocates at least 4 KiB for it."""
    return b"%b" % text if len(text) < _SMALL else text


def _loads_exactly(text: bytes) -> object:
    value: object = _EXACT.decode(text.decode())
    if b"\\u" in text and not is_unicode(unescaped(value)):
        raise DecodeError("$", "text without lone surrogates")
    return value


def _dump_slowly(value: object, path: str) -> bytes:
    _refuse_what_json_cannot_carry(value, path, 0)
    return orjson.dumps(_with_exact_integers(value), _json_of, _OPTIONS)


def _with_exact_integers(value: object) -> object:
    if isinstance(value, Enum):
        return _with_exact_integers(value.value)
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**64:
        return orjson.Fragment(int.__repr__(value))
    if isinstance(value, Mapping):
        return {key: _with_exact_integers(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_with_exact_integers(item) for item in value]
    return value


def _json_of(value: object) -> object:
    """Return the JSON of what orjson does not know; a `TypeError` for what has none."""
    if isinstance(value, RawJson):
        return orjson.Fragment(value.text)
    if isinstance(value, date) and _has_json(value):
        return timestamps.text_of_data(value)
    if is_decimal(value) and _is_within_doubles(value):
        return orjson.Fragment(str(value))  # every digit, as a number
    raise TypeError


def is_decimal(value: object) -> bool:
    """Return whether a value is a `Decimal`; the module, which takes a millisecond, is not loaded for it."""
    decimal = sys.modules.get("decimal")  # whoever made one has loaded it
    return decimal is not None and isinstance(value, decimal.Decimal)


def _is_within_doubles(number: Any) -> bool:
    """Return whether a `Decimal` is finite, and not larger than every double."""
    return number.is_finite() and math.isfinite(float(number))


def _has_json(value: date) -> bool:
    return not isinstance(value, datetime) or value.utcoffset() is not None


def _refuse_what_json_cannot_carry(value: object, path: str, depth: int) -> None:
    if depth > DEEPEST:
        raise InvalidWrite(path, f"must not be nested deeper than {DEEPEST} levels")
    if isinstance(value, Mapping):
        for key, item in value.items():
            _check_key(key, path)
            _refuse_what_json_cannot_carry(
                item, f"{path}.{key}" if key.isidentifier() else f"{path}.*", depth + 1
            )
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _refuse_what_json_cannot_carry(item, f"{path}[{index}]", depth + 1)
    else:
        _check_leaf(value, path)


def _check_key(key: object, path: str) -> None:
    if type(key) is not str:
        raise InvalidWrite(path, "must have strings as keys")
    if not is_unicode(key):
        raise InvalidWrite(path, "must not hold a lone surrogate")


def _check_leaf(value: object, path: str) -> None:
    if isinstance(value, Enum):
        value = value.value
    kind = type(value)
    if kind is int and not can_be_written(value):  # type: ignore[arg-type]
        raise InvalidWrite(path, "must have fewer digits")
    if kind is float and not math.isfinite(value):  # type: ignore[arg-type]
        raise InvalidWrite(path, "must be a finite number")
    if kind is str and not is_unicode(value):  # type: ignore[arg-type]
        raise InvalidWrite(path, "must not hold a lone surrogate")
    if kind in _LEAVES:
        return
    if isinstance(value, date):
        if not _has_json(value):
            raise InvalidWrite(path, "must be a datetime with a timezone")
    elif not is_decimal(value):
        raise InvalidWrite(
            path, "must be a string, number, boolean, null, date, datetime, UUID, enum, list or object"
        )
    elif not _is_within_doubles(value):
        raise InvalidWrite(path, "must be a finite number that a double can hold")


_LEAVES = frozenset({str, int, float, bool, type(None), UUID, RawJson, orjson.Fragment})


def can_be_written(number: int) -> bool:
    try:
        int.__repr__(number)
    except ValueError:  # Python writes no integers of more than some thousand digits
        return False
    return True


def is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def unescaped(found: object) -> str:
    return json.dumps(found, ensure_ascii=False, default=lambda _: None)


def refuse_constant(_: str) -> NoReturn:
    """Raise `DecodeError` for NaN and the infinities."""
    raise DecodeError("$", "numbers that are finite")


def exact_float(text: str) -> object:
    """Read a number, as a float; it is a `Decimal` if no double is written so, as for one of twenty digits.

    Raises:
        DecodeError: it is larger than every double, or has an exponent that no `Decimal` holds.
    """
    number = float(text)
    if math.isinf(number):
        raise DecodeError("$", "numbers that a double can hold")
    if len(text) < len(_BEYOND_DOUBLES):
        return number
    from decimal import Decimal  # noqa: PLC0415  few records have such numbers

    with suppress(ArithmeticError):
        exact = Decimal(text)
        return number if exact == Decimal(repr(number)) else exact
    raise DecodeError("$", "numbers with a smaller exponent")


def exact_int(text: str) -> int:
    """Read a whole number. Raises `DecodeError` if Python does not read so many digits."""
    try:
        return int(text)
    except ValueError:
        pass  # raised below: the error of Python is no part of ours
    raise DecodeError("$", "whole numbers of fewer digits")


def refuse_repeated_keys(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    """Make an object of its fields. Raises `DecodeError` for a key that is given twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise DecodeError("$", "an object with each key once")
    return found


_EXACT = json.JSONDecoder(
    object_pairs_hook=refuse_repeated_keys,
    parse_constant=refuse_constant,
    parse_float=exact_float,
    parse_int=exact_int,
)
