"""The converter between JSON and values, the only one.

Names in JSON are the attributes in camel case, without a trailing underscore; None is left out; times are
RFC 3339 with any number of fraction digits. Errors name the path and the expected type, never the value.

The most frequent answers are read by `fast_decoders`. All else is left to the converters of cattrs, which are
loaded when a session is opened, or for the first value that needs them before.
"""

from typing import Any, TypeVar

import orjson

from clinia_async import models
from clinia_async.models.value import Json
from clinia_async.serialization import exact_json, strict_json
from clinia_async.serialization.drift import notes
from clinia_async.serialization.exact_json import RawJson
from clinia_async.serialization.fast_decoders import FAST_DECODERS, WITHOUT_NUMBERS
from clinia_async.serialization.foreign_answers import refuse_foreign

T = TypeVar("T")


def decode(body: bytes, model: type[T], known: Json | None = None) -> T:
    """Read an answer, leniently.

    Args:
        body: the JSON of the answer.
        model: the class that it is of.
        known: fields, by their names in JSON, to use where the answer has none.

    Raises:
        DecodeError: it is not JSON, has a key twice, or lacks a part without which it is of no use.
        ProtocolError: it is about something else, or holds an error.
    """
    fast: Any = FAST_DECODERS.get(model)
    if fast is not None:
        try:
            value = orjson.loads(body) if model in WITHOUT_NUMBERS else exact_json.loads(body)
            found: T = fast(value)
        except (LookupError, TypeError, ValueError):
            notes.found.clear()  # left to the converter, which reads unusual shapes
        else:
            strict_json.refuse_duplicates(body, value)
            notes.report(model.__name__)
            return found
    value = parse(body)
    refuse_foreign(value, model)
    if known and type(value) is dict:
        value = {**value, **{name: part for name, part in known.items() if not value.get(name)}}
    return structure_answer(value, model, model.__name__)


def decode_page(body: bytes, entry: type[T]) -> "models.Page[T]":
    """Read a page of entries, leniently; a list whose shape is not documented may be a bare array.

    Raises:
        DecodeError: it is not JSON, has a key twice, or is no page.
        ProtocolError: it is about something else, or holds an error.
    """
    value = parse(body)
    refuse_foreign(value, models.Page)
    if isinstance(value, list):
        value = {"data": value, "meta": {}}
    return structure_answer(value, models.Page[entry], "Page")  # type: ignore[valid-type]


def parse(body: bytes) -> object:
    """Read JSON. Raises `DecodeError` if it is none, or has a key twice."""
    value = exact_json.loads(body)
    strict_json.refuse_duplicates(body, value)
    return value


def structure_answer(value: object, model: type[T], root: str) -> T:
    """Read parsed JSON of an answer, leniently; `root` stands before the paths of `session.drift`.

    Raises:
        DecodeError: it lacks a part without which it is of no use.
    """
    from clinia_async.serialization.converters import read_answer  # noqa: PLC0415  loads cattrs

    try:
        return read_answer(value, model)
    finally:
        notes.report(root)


def structure(value: object, model: type[T], *, keep_unknown: bool = False) -> T:
    """Read parsed JSON, strictly.

    Args:
        value: dicts, lists and plain JSON values.
        model: the class to make.
        keep_unknown: keep unknown fields in `unknown_fields`, rather than refuse them.

    Raises:
        DecodeError: a part of it is absent, unknown, or has another type.
    """
    from clinia_async.serialization.converters import read_strictly  # noqa: PLC0415  loads cattrs

    return read_strictly(value, model, keep_unknown=keep_unknown)


def encode(value: object) -> bytes:
    """Encode a value, or JSON made of values, as the body of a request.

    Raises:
        InvalidWrite: JSON cannot carry it exactly.
    """
    return exact_json.dumps(_written(value))


def to_json_values(value: object) -> object:
    """Return a value, or JSON made of values, as dicts, lists and plain JSON values."""
    return _without_raw_json(_written(value))


def fragment(value: object) -> orjson.Fragment:
    """Encode a value as a part of a larger body.

    Raises:
        InvalidWrite: JSON cannot carry it exactly.
    """
    return orjson.Fragment(encode(value))


def _written(value: object) -> object:
    from clinia_async.serialization.converters import write  # noqa: PLC0415  loads cattrs

    return write(value)


def _without_raw_json(value: object) -> object:
    if isinstance(value, RawJson):
        return value.value()
    if type(value) is dict:
        return {name: _without_raw_json(part) for name, part in value.items()}
    return [_without_raw_json(part) for part in value] if type(value) is list else value
