"""Bytes to models and back: the one converter, and the only place that knows wire names.

Wire names are the attributes in camel case, without a trailing underscore; what is None is left out;
times are RFC 3339 with any number of fraction digits; unknown fields are ignored and unknown enum
values kept. An error names the path and the expected type, never the value.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin

import attrs
import orjson
from cattrs import BaseValidationError, ClassValidationError, IterableValidationError
from cattrs.cols import list_structure_factory
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override
from cattrs.preconf.orjson import OrjsonConverter, make_converter

from clinia_async import models
from clinia_async.errors import DecodeError
from clinia_async.models.task_id import TaskId
from clinia_async.serialization import exact_json, timestamps
from clinia_async.serialization.exact_json import RawJson
from clinia_async.serialization.fast_decoders import FAST_DECODERS, WITHOUT_NUMBERS

T = TypeVar("T")


class _Unexpected(ValueError):
    """A value of the wrong shape: the text is the expected type."""


def decode(body: bytes, model: type[T]) -> T:
    """The `model` in `body`. Raises `DecodeError`."""
    make: Any = FAST_DECODERS.get(model)
    if make is not None:
        parse = orjson.loads if model in WITHOUT_NUMBERS else exact_json.loads
        try:
            return make(parse(body))  # type: ignore[no-any-return]
        except (LookupError, TypeError, ValueError):
            pass  # the converter takes what is unusual, and explains what is wrong
    return structure(exact_json.loads(body), model)


def decode_page(body: bytes, entry: type[T]) -> "models.Page[T]":
    """A page of entries; lists whose shape is not documented may come as a bare array."""
    value = exact_json.loads(body)
    if isinstance(value, list):
        value = {"data": value, "meta": {}}
    return structure(value, models.Page[entry])  # type: ignore[valid-type]


def structure(value: object, model: type[T]) -> T:
    try:
        return _converter.structure(value, model)
    except (BaseValidationError, AttributeError, LookupError, TypeError, ValueError) as error:
        path, expected = _where(error, "$")
    raise DecodeError(path, expected)  # out here, without a context: cattrs' errors quote the value


def encode(value: object) -> bytes:
    """A model, or JSON made of models, as the body of a request. Raises `InvalidWrite`."""
    return exact_json.dumps(_converter.unstructure(value))


def fragment(value: object) -> orjson.Fragment:
    """`encode`, to stand in a larger body."""
    return orjson.Fragment(encode(value))


def _where(error: BaseException, path: str) -> tuple[str, str]:
    """The first fault in a tree of cattrs' errors."""
    if isinstance(error, ClassValidationError):
        grouped, others = error.group_exceptions()
        if grouped:
            inner, note = grouped[0]
            return _where(inner, f"{path}.{_wire_name(note.name)}")
        return _where(others[0], path)
    if isinstance(error, IterableValidationError):
        items, others = error.group_exceptions()
        if items:
            inner, place = items[0]
            return _where(inner, f"{path}[{place.index}]")
        return _where(others[0], path)
    if isinstance(error, _Unexpected):
        return path, str(error)
    # cattrs says that a required field is absent with a KeyError, already at the path of that field
    return path, "a value" if isinstance(error, KeyError) else "an object"


def _wire_name(attribute: str) -> str:
    first, *rest = attribute.removesuffix("_").split("_")
    return first + "".join(map(str.title, rest))


def _time(text: object, _: Any) -> datetime:
    try:
        return timestamps.parse(text)
    except ValueError:
        raise _Unexpected("an RFC 3339 time") from None


def _exactly(kind: type[T], name: str) -> Callable[[object, Any], T]:
    """cattrs would make "None" of None and 7 of "7"; here a value is of its type or it is refused."""

    def structure_exactly(value: object, _: Any) -> T:
        if type(value) is not kind:
            raise _Unexpected(name)
        return value

    return structure_exactly


def _as_it_is(value: object, _: Any = None) -> object:
    return orjson.Fragment(value.text) if isinstance(value, RawJson) else value


def _json_object(value: object, _: Any) -> object:
    if type(value) is not dict:
        raise _Unexpected("an object")
    return value


def _open_enum(value: object, kind: type[models.OpenEnum]) -> models.OpenEnum:
    if type(value) is not str:
        raise _Unexpected("a string")
    return kind(value)


def _task_id(value: object, _: Any) -> TaskId:
    try:
        return TaskId(value)  # type: ignore[arg-type]
    except ValueError:
        raise _Unexpected("a task id") from None


def _partition_source(value: object, _: Any) -> "models.DataSource | models.Mdm | models.OtherSource":
    if type(value) is not dict or type(value.get("type")) is not str:
        raise _Unexpected("an object with a type")
    match value["type"]:
        case "DATA_SOURCE":
            return _converter.structure(value, models.DataSource)
        case "MDM":
            return _converter.structure(value, models.Mdm)
        case kind:
            return models.OtherSource(kind, value)


def _record(value: object, _: Any) -> models.Resource | models.Relationship:
    # cattrs would tell them apart by an attribute of ours, such as `from_`, which is not on the wire
    if type(value) is dict and "from" in value and "to" in value:
        return _converter.structure(value, models.Relationship)
    return _converter.structure(value, models.Resource)


def _source_collection(value: object, _: Any) -> "models.SourceCollection":
    # The older pages of the API list plain keys where the newer ones list objects.
    key = value.get("key") if type(value) is dict else value
    if type(key) is not str:
        raise _Unexpected("a collection")
    return models.SourceCollection(key)


def _attrs_from_object(kind: Any, converter: Any) -> Callable[[object, Any], Any]:
    build = make_dict_structure_fn(kind, converter, **_renames(kind))

    def structure_object(value: object, _: Any) -> Any:
        if type(value) is not dict:
            raise _Unexpected("an object")
        return build(value, kind)

    return structure_object


def _attrs_to_object(kind: Any, converter: Any) -> Callable[[Any], dict[str, Any]]:
    return make_dict_unstructure_fn(kind, converter, **_renames(kind))


def _renames(kind: type[Any]) -> dict[str, Any]:
    return {
        attribute.name: override(rename=_wire_name(attribute.name), omit_if_default=attribute.default is None)
        for attribute in attrs.fields(kind)
    }


def _is_sequence(kind: Any) -> bool:
    return get_origin(kind) is Sequence


def _tuple_from_list(kind: Any, converter: Any) -> Callable[[object, Any], tuple[Any, ...]]:
    build = list_structure_factory(kind, converter)

    def structure_list(value: object, _: Any) -> tuple[Any, ...]:
        if type(value) is not list:  # a string would pass for a sequence of characters
            raise _Unexpected("a list")
        return tuple(build(value, kind))

    return structure_list


def _hit(value: object, _: Any) -> "models.Hit":
    if type(value) is not dict:
        raise _Unexpected("an object")
    record = value.get("relationship") or value.get("resource")
    if type(record) is not dict:
        raise _Unexpected("a record")
    hit_type = _converter.structure(value.get("hitType"), models.HitType)
    if "from" in record:
        return models.Hit(hit_type, _converter.structure(record, models.Relationship))
    return models.Hit(hit_type, _converter.structure(record, models.Resource))


def _hit_to_object(hit: "models.Hit") -> dict[str, object]:
    name = "relationship" if isinstance(hit.record, models.Relationship) else "resource"
    return {"hitType": str(hit.hit_type), name: _converter.unstructure(hit.record)}


def _tagged(tag: str) -> Callable[[Any, Any], Callable[[Any], dict[str, object]]]:
    def to_tagged_object(kind: Any, converter: Any) -> Callable[[Any], dict[str, object]]:
        to_object = _attrs_to_object(kind, converter)
        return lambda source: {"type": tag, **to_object(source)}

    return to_tagged_object


def _called(*names: str) -> Callable[[Any], bool]:
    """Tells a model, or the union of several, by name: what few programs need is not loaded to ask for it."""
    wanted = {(models.__name__, name) for name in names}

    def is_called(kind: Any) -> bool:
        kinds = get_args(kind) if get_origin(kind) is UnionType else (kind,)
        return wanted == {_name_of(each) for each in kinds}

    return is_called


def _name_of(kind: Any) -> tuple[str, str]:
    """The package and the name of a class."""
    return getattr(kind, "__module__", "").rpartition(".")[0], getattr(kind, "__name__", "")


def _build_converter() -> OrjsonConverter:
    """Everything is registered here, before first use: cattrs ignores hooks that come later."""
    converter = make_converter()
    for kind, name in ((str, "a string"), (int, "an integer"), (bool, "a boolean")):
        converter.register_structure_hook(kind, _exactly(kind, name))
    converter.register_structure_hook_func(lambda kind: kind is object, _as_it_is)
    converter.register_structure_hook_func(lambda kind: kind == models.Json, _json_object)
    converter.register_unstructure_hook_func(lambda kind: kind is object or kind == models.Json, _as_it_is)
    converter.register_unstructure_hook(RawJson, _as_it_is)
    converter.register_structure_hook(datetime, _time)
    converter.register_unstructure_hook(datetime, timestamps.text_of)
    converter.register_structure_hook(models.OpenEnum, _open_enum)  # by class, or the hook of str would win
    converter.register_structure_hook_factory(_is_sequence, _tuple_from_list)
    converter.register_structure_hook_factory(attrs.has, _attrs_from_object)
    converter.register_unstructure_hook_factory(attrs.has, _attrs_to_object)
    converter.register_structure_hook_func(_called("Hit"), _hit)
    converter.register_unstructure_hook_func(_called("Hit"), _hit_to_object)
    converter.register_structure_hook(TaskId, _task_id)
    converter.register_unstructure_hook(TaskId, str)
    converter.register_structure_hook_func(_called("Resource", "Relationship"), _record)
    converter.register_structure_hook_func(_called("SourceCollection"), _source_collection)
    converter.register_structure_hook_func(_called("DataSource", "Mdm", "OtherSource"), _partition_source)
    converter.register_unstructure_hook_factory(_called("DataSource"), _tagged("DATA_SOURCE"))
    converter.register_unstructure_hook_factory(_called("Mdm"), _tagged("MDM"))
    converter.register_unstructure_hook_func(_called("OtherSource"), lambda source: source.body)
    return converter


_converter = _build_converter()
