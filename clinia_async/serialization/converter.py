"""The converter between JSON and values, the only one, and the only user of cattrs.

Names in JSON are the attributes in camel case, without a trailing underscore; None is left out; times are
RFC 3339 with any number of fraction digits. `object_hooks` says how objects are read. Errors name the path
and the expected type, never the value.
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

import attrs
import orjson
from cattrs import Converter

from clinia_async import models
from clinia_async.errors import DecodeError
from clinia_async.models.task_id import TaskId
from clinia_async.models.value import Json
from clinia_async.serialization import exact_json, strict_json, timestamps, type_hooks
from clinia_async.serialization.drift import notes
from clinia_async.serialization.exact_json import RawJson
from clinia_async.serialization.fast_decoders import FAST_DECODERS, WITHOUT_NUMBERS
from clinia_async.serialization.object_hooks import (
    Hook,
    Unreadable,
    exact_object,
    lenient_object,
    object_writer,
    strict_object,
)

T = TypeVar("T")


def decode(body: bytes, model: type[T], known: Json | None = None) -> T:
    """Read an answer, leniently.

    Args:
        body: the JSON of the answer.
        model: the class that it is of.
        known: fields, by their names in JSON, to use where the answer has none.

    Raises:
        DecodeError: it is not JSON, has a key twice, or lacks a part without which it is of no use.
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
    if known and type(value) is dict:
        value = {**value, **{name: part for name, part in known.items() if not value.get(name)}}
    return structure_answer(value, model, model.__name__)


def decode_page(body: bytes, entry: type[T]) -> "models.Page[T]":
    """Read a page of entries, leniently; a list whose shape is not documented may be a bare array.

    Raises:
        DecodeError: it is not JSON, has a key twice, or is no page.
    """
    value = parse(body)
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
    try:
        return _structured(_lenient, value, model)
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
    return _structured(_exact if keep_unknown else _strict, value, model)


def _structured(converter: Converter, value: object, model: type[T]) -> T:
    try:
        return converter.structure(value, model)
    except Unreadable as error:
        path, expected = error.path, error.expected
    except RecursionError:
        path, expected = "", "less nesting"
    raise DecodeError(f"${path}", expected)  # out here, so that it has no context


def encode(value: object) -> bytes:
    """Encode a value, or JSON made of values, as the body of a request.

    Raises:
        InvalidWrite: JSON cannot carry it exactly.
    """
    return exact_json.dumps(_writer.unstructure(value))


def to_json_values(value: object) -> object:
    """Return a value, or JSON made of values, as dicts, lists and plain JSON values."""
    return _without_raw_json(_writer.unstructure(value))


def fragment(value: object) -> orjson.Fragment:
    """Encode a value as a part of a larger body.

    Raises:
        InvalidWrite: JSON cannot carry it exactly.
    """
    return orjson.Fragment(encode(value))


def _without_raw_json(value: object) -> object:
    if isinstance(value, RawJson):
        return value.value()
    if type(value) is dict:
        return {name: _without_raw_json(part) for name, part in value.items()}
    return [_without_raw_json(part) for part in value] if type(value) is list else value


def _reading(make_object_hook: Callable[[Any, Converter], Hook], *, is_lenient: bool) -> Converter:
    """Make a converter that reads. All hooks are registered before first use: cattrs ignores later ones."""
    converter = Converter()
    for kind, name in ((str, "a string"), (int, "an integer"), (bool, "a boolean")):
        converter.register_structure_hook(kind, type_hooks.strictly(kind, name))
    converter.register_structure_hook_func(lambda kind: kind is object, type_hooks.as_it_is)
    converter.register_structure_hook_func(lambda kind: kind == models.Json, type_hooks.json_object_hook)
    converter.register_structure_hook(datetime, type_hooks.time_hook)
    converter.register_structure_hook(models.OpenEnum, type_hooks.open_enum_hook)  # or str's would win
    converter.register_structure_hook(TaskId, type_hooks.task_id_hook)
    converter.register_structure_hook_factory(
        type_hooks.is_sequence, partial(type_hooks.list_hook, converter=converter, is_lenient=is_lenient)
    )
    converter.register_structure_hook_factory(
        type_hooks.is_mapping, partial(type_hooks.mapping_hook, converter=converter, is_lenient=is_lenient)
    )
    converter.register_structure_hook_factory(attrs.has, lambda kind: make_object_hook(kind, converter))
    for names, special in (
        ("Hit", type_hooks.hit_hook),
        ("Resource Relationship OtherRecord", type_hooks.record_hook),
        ("DataSource Mdm OtherSource", type_hooks.partition_source_hook),
    ):
        predicate = type_hooks.is_named(*names.split())
        converter.register_structure_hook_func(predicate, special(converter, is_lenient=is_lenient))
    converter.register_structure_hook_func(
        type_hooks.is_named("SourceCollection"),
        type_hooks.source_collection_hook(make_object_hook(models.SourceCollection, converter)),
    )
    return converter


def _writing() -> Converter:
    converter = Converter()
    converter.register_unstructure_hook_func(
        lambda kind: kind is object or kind == models.Json, type_hooks.as_it_is
    )
    converter.register_unstructure_hook(RawJson, type_hooks.as_it_is)
    converter.register_unstructure_hook(datetime, timestamps.text_of)
    converter.register_unstructure_hook(models.OpenEnum, str)
    converter.register_unstructure_hook_factory(
        attrs.has, partial(object_writer, converter=converter, reader=_lenient)
    )
    converter.register_unstructure_hook_func(type_hooks.is_named("Hit"), type_hooks.hit_writer(converter))
    converter.register_unstructure_hook(TaskId, str)
    for kind in (models.OtherSource, models.OtherRecord):
        converter.register_unstructure_hook(kind, lambda value: value.body)
    return converter


_strict, _exact = _reading(strict_object, is_lenient=False), _reading(exact_object, is_lenient=False)
_lenient = _reading(lenient_object, is_lenient=True)
_lenient.register_structure_hook_func(
    type_hooks.is_named("PipelineExecution"), type_hooks.execution_hook(_lenient)
)
_lenient.register_structure_hook_func(type_hooks.is_named("PurgeOperation"), type_hooks.purge_hook(_lenient))
_writer = _writing()
