"""JSON that somebody wrote, read strictly: a key given twice, NaN, a lone surrogate, an overflowing number
and more than `DEEPEST` levels are refused. Errors say where, never what.
"""

import json
import re
from collections.abc import Sequence

import orjson

from clinia_async.errors import DecodeError
from clinia_async.serialization.exact_json import (
    DEEPEST,
    RawJson,
    exact_float,
    exact_int,
    has_long_numbers,
    is_unicode,
    refuse_constant,
    refuse_repeated_keys,
    unescaped,
)


def refuse_duplicates(text: bytes, value: object) -> None:
    """Check that no key was given twice in `text`, from which `value` was parsed.

    Raises:
        DecodeError: one was.
    """
    try:
        again = orjson.dumps(value)
    except TypeError:  # an integer beyond 64 bits was parsed exactly, or the nesting is deep
        again = b""
    if not _is_lossless(again, text):
        _parse_without_duplicates(text)


def _parse_without_duplicates(text: bytes) -> None:
    try:
        _STRICT.decode(text.decode())
    except DecodeError:
        raise
    except (RecursionError, ValueError):
        pass  # raised below, without the parser's error as its context: that one quotes the text
    else:
        return
    raise DecodeError("$", "JSON")


def faithful(text: bytes, value: object) -> bytes | None:
    """Encode `value`, which orjson parsed from `text`; None unless this proves that nothing was lost.

    The one thing that orjson drops is a key given twice, and with it at least two quotation marks, so the
    marks of both texts are compared. None also for deep nesting and for escaped marks (`\\u0022`), which
    the slow reader has to check.
    """
    if _may_be_deep(text):
        return None
    again = orjson.dumps(value)
    return again if _is_lossless(again, text) else None


def are_faithful(texts: Sequence[bytes], whole: bytes, value: object) -> bool:
    """Return whether nothing was lost of any of the `texts` in `whole`, from which orjson parsed `value`.

    The text between them must hold no quotation mark. See `faithful`.
    """
    if one_may_be_deep(texts):
        return False
    again = orjson.dumps(value)
    return _is_lossless(again, whole)


def _is_lossless(again: bytes, text: bytes) -> bool:
    return again == text or (again.count(b'"') == text.count(b'"') and b"\\u0022" not in text)


def one_may_be_deep(texts: Sequence[bytes]) -> bool:
    """Return whether one of `texts` may be nested deeper than is read."""
    return max(map(len, texts), default=0) >= 2 * DEEPEST and any(map(_may_be_deep, texts))


def _may_be_deep(text: bytes) -> bool:
    # a text that is shorter cannot be nested so deep
    return len(text) >= 2 * DEEPEST and text.count(b"{") + text.count(b"[") > DEEPEST


_STRICT = json.JSONDecoder(
    object_pairs_hook=refuse_repeated_keys,
    parse_constant=refuse_constant,
    parse_float=exact_float,
    parse_int=exact_int,
)
_VERBATIM = json.JSONDecoder(parse_float=orjson.Fragment)
_BRACKET = r'"[^"\\]*+(?:\\.?[^"\\]*+)*(?:"|\Z)|[{}\[\]]'
"""A string, which may go on to the end of the text, or a bracket."""
_GAP = re.compile(r"[ \t\r\n]*")


def fields(text: str) -> dict[str, tuple[object, RawJson]]:
    """Parse one JSON object; return each field's value, parsed and in its own bytes.

    Raises:
        DecodeError: it is not one JSON object, or breaks a rule of this module.
    """
    _check_depth(text)
    try:
        return _fields(text)
    except DecodeError:
        raise
    except (RecursionError, ValueError):
        pass  # raised below, without the parser's error as its context: that one quotes the text
    raise DecodeError("$", "JSON")


def loads_strictly(text: bytes) -> object:
    """Parse JSON as strictly as `fields`. Numbers are exact, as `exact_json.loads` has them.

    Raises:
        DecodeError: it is not JSON, or breaks a rule of this module.
    """
    if _may_be_deep(text):
        _check_depth(text.decode(errors="replace"))
    try:
        value: object = orjson.loads(text)
        again = orjson.dumps(value)
    except (TypeError, ValueError):  # no JSON, or nested too deep to be dumped
        return _loads_slowly(text)
    if _is_lossless(again, text) and not has_long_numbers(text):
        return value
    return _loads_slowly(text)


def loads_verbatim(text: bytes) -> object:
    """Parse JSON that `loads_strictly` has taken, with every number in its own digits.

    Numbers with a fraction or an exponent become fragments, which are written as they were read.
    """
    value: object = _VERBATIM.decode(text.decode())
    return value


def decoded(text: bytes) -> str:
    """Return the text. Raises `DecodeError` if it is not UTF-8."""
    try:
        return text.decode()
    except UnicodeDecodeError:
        pass  # raised below: the error of the decoder holds the bytes
    raise DecodeError("$", "UTF-8")


def _loads_slowly(text: bytes) -> object:
    try:
        value: object = _STRICT.decode(decoded(text))
    except DecodeError:
        raise
    except (RecursionError, ValueError):
        pass  # raised below, without the parser's error as its context: that one quotes the text
    else:
        if not is_unicode(unescaped(value)):
            raise DecodeError("$", "text without lone surrogates")
        return value
    raise DecodeError("$", "JSON")


def _fields(text: str) -> dict[str, tuple[object, RawJson]]:
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
        key, value, raw, position = _field(text, position)
        if key in found:
            raise DecodeError("$", "an object with each key once")
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


def _field(text: str, position: int) -> tuple[str, object, RawJson, int]:
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
    # the walk is rare, so it hides behind what can be seen without parsing
    if not is_unicode(text) or ("\\u" in text and not is_unicode(unescaped(found))):
        raise DecodeError("$", "text without lone surrogates")


def _check_depth(text: str) -> None:
    """Raise `DecodeError` for more than `DEEPEST` levels, before anything is parsed."""
    if text.count("{") + text.count("[") <= DEEPEST:
        return
    depth = 0
    for match in re.finditer(_BRACKET, text, re.DOTALL):
        bracket = match[0]
        if bracket in {"{", "["}:
            depth += 1
            if depth > DEEPEST:
                raise DecodeError("$", f"at most {DEEPEST} levels of nesting")
        elif bracket in {"}", "]"}:
            depth -= 1
