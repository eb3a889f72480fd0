"""Hooks of the converter for types whose JSON does not follow from their fields alone."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

from cattrs import BaseConverter

from clinia_async import models
from clinia_async.models.partial_list import PartialList
from clinia_async.models.task_id import TaskId
from clinia_async.serialization import timestamps
from clinia_async.serialization.drift import DriftKind, notes
from clinia_async.serialization.object_hooks import LESS_NESTING, TAGS, Hook, Unreadable, lenient_object

T = TypeVar("T")


def time_hook(text: object, _: Any) -> datetime:
    """Read a timestamp; a datetime in a dict that a program made is taken as it is. Raises `Unreadable`."""
    if isinstance(text, datetime):  # in a dict that a program made
        return text
    try:
        return timestamps.parse(text)
    except ValueError:
        raise Unreadable("an RFC 3339 time") from None


def strictly(kind: type[T], name: str) -> Callable[[object, Any], T]:
    """Make the hook of a plain type. cattrs would make "None" of None and 7 of "7"."""

    def structure_strictly(value: object, _: Any) -> T:
        if type(value) is not kind:
            raise Unreadable(name)
        return value

    return structure_strictly


def as_it_is(value: object, _: Any = None) -> object:
    """Return a value as it is."""
    return value


def json_object_hook(value: object, _: Any) -> object:
    """Read a JSON object that is opaque here. Raises `Unreadable`."""
    if type(value) is not dict:
        raise Unreadable("an object")
    return value


def open_enum_hook(value: object, kind: type[models.OpenEnum]) -> models.OpenEnum:
    """Read a constant of an enum; an unknown value is kept, and noted. Raises `Unreadable` for no string."""
    if not isinstance(value, str):
        raise Unreadable("a string")
    member = kind(value)
    if member.name == "UNKNOWN":
        notes.add("", DriftKind.UNKNOWN_VALUE)
    return member


def task_id_hook(value: object, _: Any) -> TaskId:
    """Read a task id. Raises `Unreadable`."""
    try:
        return TaskId(value)  # type: ignore[arg-type]
    except ValueError:
        raise Unreadable("a task id") from None


def is_named(*names: str) -> Callable[[Any], bool]:
    """Return the predicate of a model, or of the union of several, by name."""
    wanted = set(names)

    def is_one_of_these(kind: Any) -> bool:
        kinds = get_args(kind) if get_origin(kind) in {UnionType, Union} else (kind,)
        return {_name_of_model(each) for each in kinds} == wanted

    return is_one_of_these


def _name_of_model(kind: Any) -> str | None:
    is_model = isinstance(kind, type) and issubclass(kind, models.Value)
    return kind.__name__ if is_model else None


def is_sequence(kind: Any) -> bool:
    """Return whether a type is a list of something."""
    return get_origin(kind) is Sequence


def is_mapping(kind: Any) -> bool:
    """Return whether a type is an object whose values have a type."""
    return get_origin(kind) is Mapping and kind != models.Json


def _item(hook: Hook, value: object, hint: Any, step: str) -> Any:
    start = len(notes.found)
    try:
        return hook(value, hint)
    except Unreadable as error:
        raise error.below(step) from None
    finally:
        if len(notes.found) > start:
            notes.put_below(start, "[]" if step.startswith("[") else ".*")


def list_hook(kind: Any, converter: BaseConverter, *, is_lenient: bool) -> Hook:
    """Make the hook of a list. In an answer, items that cannot be read are left out."""
    (hint,) = get_args(kind)
    hook = converter.get_structure_hook(hint)

    def structure_list(value: object, _: Any) -> tuple[Any, ...]:
        if type(value) is not list:  # a string would pass for a sequence of characters
            raise Unreadable("a list")
        if not is_lenient:
            return tuple(_item(hook, each, hint, f"[{index}]") for index, each in enumerate(value))
        wanted = [each for each in value if each is not None]
        found = tuple(_readable(hook, wanted, hint))
        return found if len(found) == len(wanted) else PartialList.of(found, len(wanted) - len(found))

    return structure_list


def _readable(hook: Hook, values: list[object], hint: Any) -> Any:
    """Yield those items of a list in an answer that can be read."""
    for value in values:
        try:
            yield _item(hook, value, hint, "[]")
        except Unreadable as error:
            if error.expected == LESS_NESTING:
                raise
            notes.add(error.path, DriftKind.WRONG_TYPE)


def mapping_hook(kind: Any, converter: BaseConverter, *, is_lenient: bool) -> Hook:
    """Make the hook of an object. In an answer, entries that cannot be read are left out."""
    _, hint = get_args(kind)
    hook = converter.get_structure_hook(hint)

    def structure_mapping(value: object, _: Any) -> dict[str, Any]:
        if type(value) is not dict:
            raise Unreadable("an object")
        found = {}
        for name, part in value.items():
            try:
                found[name] = _item(hook, part, hint, f".{name}" if name.isidentifier() else ".*")
            except Unreadable:
                if not is_lenient:
                    raise
                notes.add(".*", DriftKind.WRONG_TYPE)
        return found

    return structure_mapping


_SOURCES: Mapping[str, str] = {tag: name for name, tag in TAGS.items()}


def partition_source_hook(converter: BaseConverter, *, is_lenient: bool) -> Hook:
    """Make the hook of the source of a partition, which its `type` decides."""

    def structure_source(value: object, _: Any) -> object:
        if type(value) is not dict:
            raise Unreadable("an object with a type")
        kind = value.get("type")
        if type(kind) is str and kind in _SOURCES:
            return converter.structure(value, getattr(models, _SOURCES[kind]))
        if type(kind) is not str and not is_lenient:
            raise Unreadable("a string", ".type")
        notes.add(".type", DriftKind.UNKNOWN_VALUE)
        return models.OtherSource(kind if type(kind) is str else "", value)

    return structure_source


def record_hook(converter: BaseConverter, *, is_lenient: bool) -> Hook:
    """Make the hook of a record: one with two ends is a relationship."""

    def structure_record(
        value: object, _: Any
    ) -> "models.Resource | models.Relationship | models.OtherRecord":
        if type(value) is not dict:
            raise Unreadable("an object with a type")
        kind: Any = models.Relationship if "from" in value and "to" in value else models.Resource
        start = len(notes.found)
        try:
            return converter.structure(value, kind)  # type: ignore[no-any-return]
        except Unreadable as error:
            if not is_lenient:
                raise
            del notes.found[start:]
            notes.add(error.path, DriftKind.WRONG_TYPE)
        return models.OtherRecord(value)

    return structure_record


def hit_hook(converter: BaseConverter, *, is_lenient: bool) -> Hook:
    """Make the hook of a hit, whose record stands under one of two names."""
    read_record = record_hook(converter, is_lenient=is_lenient)

    def structure_hit(value: object, _: Any) -> "models.Hit":
        if type(value) is not dict:
            if not is_lenient:
                raise Unreadable("an object")
            notes.add("", DriftKind.WRONG_TYPE)
            value = {}  # still a hit: a page without hits would be the end
        name = "relationship" if value.get("relationship") else "resource"
        record, kind = value.get(name), value.get("hitType")
        known = {"hitType", name}
        if type(record) is dict and record:
            found = _item(read_record, record, None, f".{name}")
        elif is_lenient:
            notes.add(f".{name}", DriftKind.MISSING if record is None else DriftKind.WRONG_TYPE)
            found, known = models.OtherRecord({}), {"hitType"}
        else:
            raise Unreadable("an object", f".{name}")
        return models.Hit(
            models.HitType(kind if type(kind) is str else ""),
            found,
            unknown_fields={key: part for key, part in value.items() if key not in known} or None,
        )

    return structure_hit


def hit_writer(converter: BaseConverter) -> Callable[[Any], dict[str, object]]:
    """Make the hook that writes a hit: its record stands under the name of its class."""

    def write(hit: "models.Hit") -> dict[str, object]:
        name = "relationship" if isinstance(hit.record, models.Relationship) else "resource"
        found = {"hitType": str(hit.hit_type), name: converter.unstructure(hit.record)}
        return {**found, **(hit.unknown_fields or {})}

    return write


def source_collection_hook(as_object: Hook) -> Hook:
    """Make the hook of a collection of a source."""

    def structure_collection(value: object, hint: Any) -> Any:
        # The older pages of the API list plain keys where the newer ones list objects.
        return models.SourceCollection(value) if type(value) is str else as_object(value, hint)

    return structure_collection


def execution_hook(converter: BaseConverter) -> Hook:
    """Make the hook of a pipeline execution in an answer."""
    as_object = lenient_object(models.PipelineExecution, converter)

    def structure_execution(value: object, hint: Any) -> Any:
        # To take what cannot be read for no pipeline at all would make of a receipt a proof that it is not.
        if type(value) is not dict:
            notes.add("", DriftKind.WRONG_TYPE)
            return models.PipelineExecution(unknown_fields={"pipelineExecution": value})
        return as_object(value, hint)

    return structure_execution


def purge_hook(converter: BaseConverter) -> Hook:
    """Make the hook of a purge in an answer."""
    as_object = lenient_object(models.PurgeOperation, converter)

    def structure_purge(value: object, hint: Any) -> Any:
        if type(value) is dict and not value.get("taskId") and value.get("purgeId"):
            value = {**value, "taskId": value["purgeId"]}  # they are the same
        return as_object(value, hint)

    return structure_purge
