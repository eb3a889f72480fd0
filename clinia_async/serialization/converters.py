"""The converters, the only users of cattrs. How objects are read is in `object_hooks`."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

import attrs
from cattrs import BaseConverter, Converter

from clinia_async import models
from clinia_async.errors import DecodeError, InvalidWrite
from clinia_async.models.task_id import TaskId
from clinia_async.serialization import timestamps, type_hooks
from clinia_async.serialization.exact_json import RawJson
from clinia_async.serialization.object_hooks import (
    Hook,
    Unreadable,
    exact_object,
    lenient_object,
    object_writer,
    strict_object,
)

T = TypeVar("T")


def read_answer(value: object, model: type[T]) -> T:
    """Read parsed JSON of an answer, leniently. Raises `DecodeError`."""
    return _structured(_lenient, value, model)


def read_strictly(value: object, model: type[T], *, keep_unknown: bool) -> T:
    """Read parsed JSON that somebody wrote. Raises `DecodeError`."""
    return _structured(_exact if keep_unknown else _strict, value, model)


def write(value: object) -> object:
    """Return a value, or JSON made of values, as dicts and lists of plain JSON values and `RawJson`.

    Raises:
        InvalidWrite: it is nested too deeply, or holds itself.
    """
    try:
        return _writer.unstructure(value)
    except RecursionError:
        pass
    raise InvalidWrite("$", "must have less nesting")


def _structured(converter: BaseConverter, value: object, model: type[T]) -> T:
    try:
        return converter.structure(value, model)
    except Unreadable as error:
        path, expected = error.path, error.expected
    except RecursionError:
        path, expected = "", "less nesting"
    raise DecodeError(f"${path}", expected)  # out here, so that it has no context


def _reading(make_object_hook: Callable[[Any, BaseConverter], Hook], *, is_lenient: bool) -> BaseConverter:
    """Make a converter that reads. All hooks are registered before first use: cattrs ignores later ones."""
    converter = BaseConverter()
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
    converter.register_structure_hook_factory(
        type_hooks.is_named("SourceCollection"),
        lambda kind: type_hooks.source_collection_hook(make_object_hook(kind, converter)),
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
    for name in ("OtherSource", "OtherRecord"):
        converter.register_unstructure_hook_func(type_hooks.is_named(name), lambda value: value.body)
    return converter


_strict, _exact = _reading(strict_object, is_lenient=False), _reading(exact_object, is_lenient=False)
_lenient = _reading(lenient_object, is_lenient=True)
_lenient.register_structure_hook_func(
    type_hooks.is_named("PipelineExecution"), type_hooks.execution_hook(_lenient)
)
_lenient.register_structure_hook_func(type_hooks.is_named("PurgeOperation"), type_hooks.purge_hook(_lenient))
_writer = _writing()
