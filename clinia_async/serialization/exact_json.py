"""JSON that is never changed on the way: what cannot be carried exactly is refused.

orjson does the work. It would write NaN as null and read integers beyond 64 bits as floats, so
those cases are found and taken to the standard library. Errors say where, never what.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import NoReturn
from uuid import UUID

import orjson
from attrs import field, frozen

from clinia_async.errors import DecodeError, InvalidWrite

DEEPEST = 200
"""Levels of nesting; more is refused."""

_SMALL = 2048
_BEYOND_64_BITS = b"0" * 19
_DIGITS_AS_ZEROS = bytes(ord("0") if chr(byte).isdecimal() else ord(" ") for byte in range(128)) + b" " * 128
_OPTIONS = (
    orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS
)


@frozen
class RawJson:
    """A JSON object in its own bytes, sent exactly as it is: every digit and every space.

    Whoever makes it answers for its being one valid JSON object; `members` gives such ones.
    """

    text: bytes = field(repr=False)

    def value(self) -> object:
        return loads(self.text)


def dumps(value: object, path: str = "$") -> bytes:
    """`value` as JSON. Raises `InvalidWrite` with the path of what JSON cannot carry exactly."""
    try:
        text = orjson.dumps(value, option=_OPTIONS)
    except TypeError:
        return _dump_slowly(value, path)
    if text.find(b"null") >= 0:  # orjson writes NaN and the infinities as null: look for them only then
        _refuse_what_json_cannot_carry(value, path, 0)
    return fitted(text)


def plain(value: object) -> bytes | None:
    """`dumps` of what is plainly right; None where only a closer look can tell, as `dumps` takes it."""
    try:
        text = orjson.dumps(value, option=_OPTIONS)
    except TypeError:
        return None
    return text if text.find(b"null") < 0 else None


def all_plain(values: Sequence[object]) -> list[bytes] | None:
    """`plain` of them all; None where it is None for one."""
    try:
        texts = [orjson.dumps(value, option=_OPTIONS) for value in values]
    except TypeError:
        return None
    return None if b"null" in b"".join(texts) else texts


def raw(value: object, path: str = "$") -> RawJson:
    """`value` encoded once; what is raw already stays as it is."""
    return value if isinstance(value, RawJson) else RawJson(dumps(value, path))


def embedded(value: object, path: str = "$") -> orjson.Fragment:
    """`value`, encoded once, to stand in what goes through `dumps` next."""
    return orjson.Fragment(value.text if isinstance(value, RawJson) else dumps(value, path))


def loads(text: bytes) -> object:
    """The value of `text`. Raises `DecodeError`; integers of any size come out exactly."""
    # a search for a run of digits that takes a fifth of the time of a pattern
    parse = orjson.loads if text.translate(_DIGITS_AS_ZEROS).find(_BEYOND_64_BITS) < 0 else _loads_exactly
    try:
        return parse(text)
    except (RecursionError, ValueError):
        pass  # raised below, so that not even its context holds the parser's error: that one quotes the text
    raise DecodeError("$", "JSON")


def fitted(text: bytes) -> bytes:
    """`text` in no more memory than it needs: orjson leaves at least 4 KiB to it, and a body may wait."""
    return b"%b" % text if len(text) < _SMALL else text


def _loads_exactly(text: bytes) -> object:
    value: object = _EXACT.decode(text.decode())
    if b"\\u" in text and not _is_unicode(_unescaped(value)):
        raise DecodeError("$", "text without lone surrogates")
    return value


def _dump_slowly(value: object, path: str) -> bytes:
    _refuse_what_json_cannot_carry(value, path, 0)
    return orjson.dumps(_with_exact_integers(value), option=_OPTIONS)


def _with_exact_integers(value: object) -> object:
    if isinstance(value, Enum):
        return _with_exact_integers(value.value)
    if isinstance(value, RawJson):
        return orjson.Fragment(value.text)
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**64:
        return orjson.Fragment(int.__repr__(value))
    if isinstance(value, Mapping):
        return {key: _with_exact_integers(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_with_exact_integers(item) for item in value]
    return value


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
    if not _is_unicode(key):
        raise InvalidWrite(path, "must not hold a lone surrogate")


def _check_leaf(value: object, path: str) -> None:
    if isinstance(value, Enum):
        value = value.value
    kind = type(value)
    if kind is int and not _can_be_written(value):  # type: ignore[arg-type]
        raise InvalidWrite(path, "must have fewer digits")
    if kind is float and not math.isfinite(value):  # type: ignore[arg-type]
        raise InvalidWrite(path, "must be a finite number")
    if kind is str and not _is_unicode(value):  # type: ignore[arg-type]
        raise InvalidWrite(path, "must not hold a lone surrogate")
    if kind not in {str, int, float, bool, type(None), UUID, RawJson, orjson.Fragment}:
        raise InvalidWrite(path, "must be a string, number, boolean, null, list or object")


def _can_be_written(number: int) -> bool:
    try:
        int.__repr__(number)
    except ValueError:  # Python writes no integers of more than some thousand digits
        return False
    return True


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _refuse_constant(_: str) -> NoReturn:
    raise DecodeError("$", "numbers that are finite")


def _refuse_duplicates(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise DecodeError("$", "each key once")
    return members


def _exact_float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise DecodeError("$", "numbers that a double can hold")
    return number


def faithful(text: bytes, value: object) -> bytes | None:
    """`value`, which orjson made of `text`, as JSON again, if nothing of what `text` says is lost in it.

    A key given twice is the one thing that orjson drops, and with it at least two quotation marks: the
    marks of both texts are counted. What is nested deep, or spells the mark by its number, is left to
    whoever reads to the letter: then, and where marks are missing, there is None.
    """
    if _may_be_deep(text):
        return None
    again = orjson.dumps(value)
    return again if _says_all(again, text) else None


def are_faithful(texts: Sequence[bytes], whole: bytes, value: object) -> bool:
    """Whether nothing is lost of any of the `texts` that `whole` is made of, as `faithful` looks at one.

    `value` is what orjson made of `whole`. No text can make up for what is lost of another, and what
    stands between them must hold no quotation mark.
    """
    if max(map(len, texts)) >= 2 * DEEPEST and any(map(_may_be_deep, texts)):
        return False
    again = orjson.dumps(value)
    return _says_all(again, whole)


def _says_all(again: bytes, text: bytes) -> bool:
    return again == text or (again.count(b'"') == text.count(b'"') and b"\\u0022" not in text)


def _may_be_deep(text: bytes) -> bool:
    # a text that is shorter cannot be nested so deep
    return len(text) >= 2 * DEEPEST and text.count(b"{") + text.count(b"[") > DEEPEST


_EXACT = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_exact_float)
_STRICT = json.JSONDecoder(
    object_pairs_hook=_refuse_duplicates, parse_constant=_refuse_constant, parse_float=_exact_float
)
_GAP = re.compile(r"[ \t\r\n]*")


def members(text: str) -> dict[str, tuple[object, RawJson]]:
    """The members of one JSON object from outside: each value parsed, and in its own bytes.

    Stricter than `loads`, because this is input that somebody wrote: a key given twice, NaN, an
    overflowing number and a lone surrogate are refused (`DecodeError`).
    """
    try:
        return _members(text)
    except DecodeError:
        raise
    except (RecursionError, ValueError):
        pass  # raised below, without the parser's error as its context: that one quotes the text
    raise DecodeError("$", "JSON")


def loads_strictly(text: bytes) -> object:
    """The value of JSON from outside, as strict as `members`. Numbers beyond 64 bits may come as floats."""
    try:
        value: object = orjson.loads(text)
        again = orjson.dumps(value)
    except (TypeError, ValueError):  # no JSON, or nested too deep to be dumped
        return _loads_to_the_letter(text)
    if _says_all(again, text):
        return value
    return _loads_to_the_letter(text)


def _loads_to_the_letter(text: bytes) -> object:
    try:
        value: object = _STRICT.decode(text.decode())
    except DecodeError:
        raise
    except (RecursionError, ValueError):
        pass  # raised below, without the parser's error as its context: that one quotes the text
    else:
        if _depth(value) > DEEPEST + 2:
            raise DecodeError("$", f"at most {DEEPEST} levels of nesting")
        if not _is_unicode(_unescaped(value)):
            raise DecodeError("$", "text without lone surrogates")
        return value
    raise DecodeError("$", "JSON")


def _members(text: str) -> dict[str, tuple[object, RawJson]]:
    position = _after_gap(text, 0)
    if text[position : position + 1] != "{":
        _STRICT.decode(text)
        raise DecodeError("$", "an object")
    found: dict[str, tuple[object, RawJson]] = {}
    position = _after_gap(text, position + 1)
    if text[position : position + 1] == "}":
        _expect_end(text, position + 1)
        return found
    while True:
        key, value, raw, position = _member(text, position)
        if key in found:
            raise DecodeError("$", "each key once")
        found[key] = (value, raw)
        following, position = text[position : position + 1], position + 1
        if following == "}":
            break
        if following != ",":
            raise DecodeError("$", "JSON")
        position = _after_gap(text, position)
    _expect_end(text, position)
    _check_text(text, found)
    return found


def _member(text: str, position: int) -> tuple[str, object, RawJson, int]:
    key, position = _STRICT.raw_decode(text, position)
    position = _after_gap(text, position)
    if not isinstance(key, str) or text[position : position + 1] != ":":
        raise DecodeError("$", "JSON")
    start = _after_gap(text, position + 1)
    value, end = _STRICT.raw_decode(text, start)
    return key, value, RawJson(text[start:end].encode()), _after_gap(text, end)


def _after_gap(text: str, position: int) -> int:
    gap = _GAP.match(text, position)
    return gap.end() if gap else position


def _expect_end(text: str, position: int) -> None:
    if _after_gap(text, position) != len(text):
        raise DecodeError("$", "one JSON value")


def _check_text(text: str, found: dict[str, tuple[object, RawJson]]) -> None:
    # The two walks are rare, so they hide behind what can be seen without parsing.
    if not _is_unicode(text) or ("\\u" in text and not _is_unicode(_unescaped(found))):
        raise DecodeError("$", "text without lone surrogates")
    if text.count("{") + text.count("[") > DEEPEST and _depth(list(found.values())) > DEEPEST + 2:
        raise DecodeError("$", f"at most {DEEPEST} levels of nesting")


def _unescaped(found: object) -> str:
    return json.dumps(found, ensure_ascii=False, default=lambda _: None)


def _depth(value: object) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return 1 + max(map(_depth, inner), default=0)
