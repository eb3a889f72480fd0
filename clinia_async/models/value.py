"""The base of all values: fields are checked by their annotated types, and JSON is read and written.

Reading and writing JSON belongs to `serialization`, which stands above this room and registers itself here.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cache, reduce
from importlib import import_module
from inspect import Parameter, Signature, isfunction
from operator import attrgetter, or_
from types import NoneType, UnionType
from typing import NoReturn, Protocol, Self, TypeVar, Union, get_args, get_origin, get_type_hints

from attrs import NOTHING, Attribute, field, fields, frozen

from clinia_async.models.open_enum import OpenEnum
from clinia_async.models.refusal import without_locals

V = TypeVar("V")

Json = Mapping[str, object]
"""A JSON object."""
JsonDocument = str | bytes | os.PathLike[str]
"""JSON text, or the path of a file that holds it. A `str` that starts with `{` is text."""
Check = Callable[[object, str], object]
"""Returns a value in its type, or refuses it with the path at which it stands."""

REQUIRED_IN_ANSWERS = {"required_in_answers": True}
"""Metadata of a field: an answer in which it cannot be read cannot be used at all."""


class JsonCodec(Protocol):
    """The part of `serialization` that values use."""

    def refuse(self, path: str, rule: str) -> NoReturn:
        """Raise `InvalidWrite`."""
        ...

    def from_object(self, kind: type[V], value: Json, path: str, *, keep_unknown: bool = False) -> V: ...
    def from_json(self, kind: type[V], document: JsonDocument, *, keep_unknown: bool = False) -> V: ...
    def to_object(self, value: object) -> dict[str, object]: ...
    def to_json(self, value: object) -> str: ...


_registered: list[JsonCodec] = []
_CODEC = "clinia_async.serialization.documents"
"""The module that registers the codec. It stands above this room, and so is loaded by name and only at need:
a value that was unpickled in a new process has to find it, too."""


def register_codec(codec: JsonCodec) -> None:
    """Set the codec of all values."""
    _registered[:] = [codec]


def codec() -> JsonCodec:
    """Return the codec of all values; it is loaded when it is first needed."""
    if not _registered:
        import_module(_CODEC)
    return _registered[0]


REFUSING = frozenset({"__init__", "operation", "request", "to_json"})
"""Methods that may refuse what they are given, or what they send: no traceback of them shows it."""


class EqualByFields:
    """Equality, hash and repr by the fields of a class, the same as attrs writes them.

    attrs would compile them for each class, which takes as long as all else that it does for one.
    """

    __slots__ = ()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for name in REFUSING & cls.__dict__.keys():  # attrs makes the class a second time, with all
            if isfunction(method := cls.__dict__[name]):
                setattr(cls, name, without_locals(method))

    def __eq__(self, other: object) -> bool:
        if other.__class__ is not self.__class__:
            return NotImplemented
        kind: type = type(self)
        values = _compared_values(kind)
        return bool(values(self) == values(other))

    def __hash__(self) -> int:
        kind: type = type(self)
        return hash((kind, _compared_values(kind)(self)))

    def __repr__(self) -> str:
        shown = (
            f"{each.name}={_text_of(each, getattr(self, each.name, NOTHING))}"
            for each in fields(type(self))  # type: ignore[arg-type]  # of attrs, as all that have this base
            if each.repr
        )
        return f"{type(self).__qualname__}({', '.join(shown)})"


def _text_of(attribute: "Attribute[object]", value: object) -> str:
    return repr(value) if attribute.repr is True else str(attribute.repr(value))  # type: ignore[operator]


@cache
def _compared_values(kind: type) -> Callable[[object], object]:
    """Return what reads those fields of a value that count where it is compared."""
    names = [each.name for each in fields(kind) if each.eq]
    return attrgetter(*names) if names else lambda _: ()


@frozen(eq=False, repr=False)
class Value(EqualByFields):
    """A value of the API with fields of its own. Fields are checked when it is made.

    Raises:
        InvalidWrite: a field is of another type than its annotation says.
    """

    unknown_fields: Json | None = field(default=None, kw_only=True, repr=False, eq=False)
    """Fields of the JSON that are unknown here or could not be read; they are sent back as they are."""

    @classmethod
    @without_locals
    def from_json(cls, document: JsonDocument, *, keep_unknown: bool = False) -> Self:
        """Make a value from JSON as the reference pages of the API show it.

        Args:
            document: JSON text, or the path of a file that holds it; a `str` that starts with `{` is text.
            keep_unknown: keep unknown fields in `unknown_fields`, and so send them, rather than refuse them.

        Raises:
            InvalidWrite: it is not strict JSON (a key given twice is refused), or not of this shape; `path`
                says where.
        """
        return codec().from_json(cls, document, keep_unknown=keep_unknown)

    @classmethod
    @without_locals
    def from_dict(cls, value: Json, *, keep_unknown: bool = False) -> Self:
        """Make a value from parsed JSON, with the names of the reference pages.

        Args:
            value: dicts, lists and plain JSON values; times may be datetimes.
            keep_unknown: keep unknown fields in `unknown_fields`, and so send them, rather than refuse them.

        Raises:
            InvalidWrite: it is not of this shape; `path` says where.
        """
        return codec().from_object(cls, value, "$", keep_unknown=keep_unknown)

    def to_dict(self) -> dict[str, object]:
        """Return this value as a JSON object with the names of the reference pages."""
        return codec().to_object(self)

    def to_json(self) -> str:
        """Return this value as JSON text with the names of the reference pages.

        Raises:
            InvalidWrite: JSON cannot carry it exactly.
        """
        return codec().to_json(self)


def wire_name(attribute: str) -> str:
    """Return the name of a field in JSON: camel case, without a trailing underscore."""
    first, *rest = attribute.removesuffix("_").split("_")
    return first + "".join(map(str.title, rest))


def checked(cls: type, attributes: list["Attribute[object]"]) -> list["Attribute[object]"]:
    """Let a class check its fields by their annotated types: pass it to attrs as `field_transformer`.

    A list becomes a tuple, the text of an enum its value, and the JSON of a value that value. Fields that
    have a converter or a validator are left to it.
    """
    for each in attributes:
        if _is_unchecked(each):
            # they are this class's own; a copy of each by `evolve` takes as long as all else that attrs does
            object.__setattr__(each, "converter", _converter(cls, each))
    return attributes


def _is_unchecked(attribute: "Attribute[object]") -> bool:
    return attribute.init and attribute.converter is None and attribute.validator is None


def _converter(cls: type, attribute: "Attribute[object]") -> Callable[[object], object]:
    path = str(attribute.metadata.get("path", f"$.{wire_name(attribute.name)}"))
    found: list[Check] = []

    def convert(value: object) -> object:
        if value is None and attribute.default is None:
            return None
        if not found:  # not before first use: a class may hold itself
            found.append(check_for(get_type_hints(cls)[attribute.name], f"{cls.__name__}.{attribute.name}"))
        return found[0](value, path)

    # attrs shows the type in the signature of the class, and takes long to find it out by itself
    convert.__signature__ = _signature_with(attribute.type)  # type: ignore[attr-defined, arg-type]  # hashable
    return convert


@cache
def _signature_with(hint: "type[object] | None") -> Signature:
    return Signature([Parameter("value", Parameter.POSITIONAL_OR_KEYWORD, annotation=hint)])


def check_for(hint: object, name: str) -> Check:
    """Return the check of an annotated type. `name` is the field's, for the text of the error."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in {Union, UnionType}:
        return _union(arguments, name)
    if hint is object or getattr(hint, "_is_protocol", False) or not (origin or isinstance(hint, type)):
        return _anything
    if origin is Sequence:
        return _sequence(hint, check_for(arguments[0], name), name)
    if origin is Mapping:
        return _mapping(hint, check_for(arguments[1], name), name)
    return _instance(hint, name)  # type: ignore[arg-type]


def _anything(value: object, _: str) -> object:
    return value


def _refuse(path: str, hint: object, name: str) -> NoReturn:
    codec().refuse(path, f"must be {wanted(hint)} ({name})")


def _instance(kind: type, name: str) -> Check:
    def check(value: object, path: str) -> object:
        if isinstance(value, kind) and (kind is not int or not isinstance(value, bool)):
            return value
        if issubclass(kind, OpenEnum) and isinstance(value, str):
            return kind(value)
        if issubclass(kind, Value) and isinstance(value, Mapping):
            return codec().from_object(kind, value, path)
        _refuse(path, kind, name)

    return check


def _sequence(hint: object, check: Check, name: str) -> Check:
    item = get_args(hint)[0]
    is_plain = item in _PLAIN

    def check_items(value: object, path: str) -> object:
        if isinstance(value, list | tuple):
            if check is _anything or (is_plain and set(map(type, value)) <= {item}):
                return tuple(value)
            return tuple(check(each, f"{path}[{index}]") for index, each in enumerate(value))
        if isinstance(value, Sequence) and getattr(value, "item_type", None) is item:
            return value  # a sequence that checks its items itself
        _refuse(path, hint, name)

    return check_items


_PLAIN = frozenset({str, bytes})
"""Types of items that are checked all at once."""


def _mapping(hint: object, check: Check, name: str) -> Check:
    is_json = get_args(hint)[1] is object

    def check_entries(value: object, path: str) -> object:
        if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
            _refuse(path, hint, name)
        return value if is_json else {key: check(each, f"{path}.*") for key, each in value.items()}

    return check_entries


def _union(arguments: tuple[object, ...], name: str) -> Check:
    others = tuple(each for each in arguments if each is not NoneType)
    if len(others) == 1:
        check = check_for(others[0], name)
        return lambda value, path: None if value is None else check(value, path)
    kinds = tuple(each for each in others if isinstance(each, type))
    has_json = any(get_origin(each) is Mapping for each in others)
    union = reduce(or_, others)

    def check_any(value: object, path: str) -> object:
        if isinstance(value, kinds) or (value is None and NoneType in arguments):
            return value
        if isinstance(value, Mapping):
            return value if has_json else codec().from_object(union, value, path)  # type: ignore[arg-type]
        _refuse(path, union, name)

    return check_any


_NAMES = {
    str: "a string",
    int: "an integer",
    bool: "a boolean",
    datetime: "a datetime",
    bytes: "bytes",
    float: "a number",
}


def wanted(hint: object) -> str:
    """Return the words for an annotated type, such as "a list of strings"."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Sequence:
        return f"a list of {_plural(arguments[0])}"
    if origin is Mapping:
        return "an object" if arguments[1] is object else f"an object of {_plural(arguments[1])}"
    if origin in {Union, UnionType}:
        return " or ".join(wanted(each) for each in arguments if each is not NoneType)
    if isinstance(hint, type):
        return _NAMES.get(hint, f"a value of class {hint.__name__}")
    return "a value"


def _plural(hint: object) -> str:
    if hint is str:
        return "strings"
    if get_origin(hint) is Sequence:
        return f"lists of {_plural(get_args(hint)[0])}"
    return f"values of class {hint.__name__}" if isinstance(hint, type) else "values"


def maker(kind: type[V]) -> Callable[..., V]:
    """Return a function that makes a value of fields that are checked already.

    It takes them by position, the fields of the class first and `unknown_fields` last.

    It sets the slots directly, at about half the cost of a frozen class's `__init__`.
    """
    names = [name for attribute in fields(kind) if (name := attribute.name) != "unknown_fields"]  # type: ignore[arg-type]
    names.append("unknown_fields")
    slots = {f"_set_{name}": getattr(kind, name).__set__ for name in names}
    lines = [f"def make({', '.join(names)}):", " self = _new(_kind)"]
    lines += [f" _set_{name}(self, {name})" for name in names]
    found: dict[str, Callable[..., V]] = {}
    exec("\n".join([*lines, " return self"]), {**slots, "_new": kind.__new__, "_kind": kind}, found)  # noqa: S102  of our own names only, as attrs does it
    return found["make"]
