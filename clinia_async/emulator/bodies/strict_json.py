"""JSON that is written exactly as it was read, or refused.

The text of a number is kept, so that neither a big integer nor the last digit of a decimal is lost.
"""

import json
import re
from contextlib import suppress
from typing import NoReturn

from orjson import Fragment, JSONDecodeError, JSONEncodeError, dumps, loads

from clinia_async.emulator.errors import invalid

_MAYBE_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def decode(body: bytes) -> object:
    """Parse JSON. Raises `ApiError` if it is not strict JSON in UTF-8.

    If orjson writes the same bytes again, nothing was lost: neither a digit nor a name that is given
    twice. Anything else is parsed by the slower decoder."""
    with suppress(JSONDecodeError, JSONEncodeError):
        if dumps(value := loads(body)) == body:
            return value
    return _decoded(body)


def _decoded(body: bytes) -> object:
    try:
        if _MAYBE_SURROGATE.search(body):
            loads(body)  # refuses halves of surrogate pairs, which the standard library lets through
        return _decoder.decode(body.decode())
    except (ValueError, RecursionError):
        raise invalid("the body is not strict JSON in UTF-8") from None


def encode(value: object) -> str:
    try:
        return dumps(value).decode()
    except JSONEncodeError:
        raise invalid("the body is nested too deeply") from None


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError
    return document


def _refuse(_: str) -> NoReturn:
    raise ValueError


_decoder = json.JSONDecoder(
    object_pairs_hook=_unique,
    parse_int=Fragment,
    parse_float=Fragment,
    parse_constant=_refuse,  # NaN, Infinity, -Infinity
)
