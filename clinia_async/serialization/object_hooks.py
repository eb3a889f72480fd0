"""How JSON objects become values, in two ways.

Strictly, for JSON that somebody wrote: everything has to have its documented type. Leniently, for answers:
null, absent and empty are one, and a part that cannot be read costs that part alone. Either way, what is not
known or cannot be read is kept in `unknown_fields`, and is written again.
"""

from collections.abc import Callable, Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import attrs
from cattrs import BaseConverter

from clinia_async import models
from clinia_async.models.value import Value, maker, wire_name
from clinia_async.serialization.drift import DriftKind, notes, step_to

Hook = Callable[[object, Any], Any]


DEEPEST_ANSWER = 50
"""Objects within each other in an answer, besides the data of records; deeper ones are left out."""
LESS_NESTING = "less nesting"
MISSING = "a value, and it is missing or null"


class Unreadable(ValueError):
    """A value of another type than `expected`; `path` leads to it from where this is caught."""

    def __init__(self, expected: str, path: str = "") -> None:
        super().__init__(expected)
        self.expected = expected
        self.path = path

    def below(self, step: str) -> "Unreadable":
        """Return this error as it is seen one step further out."""
        return Unreadable(self.expected, f"{step}{self.path}")


class Field:
    """One field of a class: its name in JSON, and what stands for it where it is absent or unreadable."""

    def __init__(self, attribute: "attrs.Attribute[Any]", hint: Any, structure: Hook) -> None:
        self.name = attribute.name
        self.wire = wire_name(attribute.name)
        self.step = f".{self.wire}"
        self.hint = hint
        self.default = attribute.default
        self.is_optional = attribute.default is None
        self.has_default = attribute.default is not attrs.NOTHING
        self.is_essential = "required_in_answers" in attribute.metadata
        self._structure = structure
        self._is_legal_when_empty = _empty_values_of(hint)

    def structure(self, value: object) -> Any:
        """Raises `Unreadable`."""
        return self._structure(value, self.hint)

    def is_absent(self, value: object) -> bool:
        """Return whether an answer says nothing by a value: null, or empty but not of this field's type."""
        return value is None or (
            type(value) in _EMPTY_TYPES and not value and type(value) not in self._is_legal_when_empty
        )

    def absent(self) -> Any:
        """Return what stands for this field in an answer without it.

        Raises:
            Unreadable: the answer is of no use without it.
        """
        if self.has_default:
            return self.fallback()
        notes.add(self.step, DriftKind.MISSING)
        if self.is_essential and get_origin(self.hint) is not Sequence:
            raise Unreadable(MISSING, self.step)
        return self.fallback()

    def fallback(self) -> Any:
        if not self.has_default:
            return blank(self.hint)
        default: Any = self.default
        return default.factory() if hasattr(default, "factory") else default

    def reads_as(self, raw: object, value: object) -> bool:
        """Return whether `value` is what was read from `raw`, so that `raw` can be written for it."""
        start = len(notes.found)
        try:
            read = self.fallback() if self.is_absent(raw) else self.structure(raw)
        except Unreadable:
            read = self.fallback()
        del notes.found[start:]
        return bool(read == value)


def is_blank(value: object) -> bool:
    """Return whether a value has nothing in it."""
    return isinstance(value, Value) and all(
        getattr(value, each.name) is None for each in attrs.fields(type(value))
    )


_EMPTY_TYPES = frozenset({str, list, dict})


def _empty_values_of(hint: Any) -> frozenset[type]:
    hints = [each for each in (get_args(hint) if _is_union(hint) else (hint,)) if each is not NoneType]
    if object in hints:
        return frozenset({str, list, dict})
    origins = {get_origin(each) for each in hints}
    return frozenset(
        kind
        for kind, is_legal in ((str, str in hints), (list, Sequence in origins), (dict, Mapping in origins))
        if is_legal
    )


def _is_union(hint: Any) -> bool:
    return get_origin(hint) in {Union, UnionType}


def blank(hint: Any) -> Any:
    """Return the empty value of a type, for a required field that an answer leaves out."""
    if _is_union(hint):
        kinds = get_args(hint)
        if NoneType in kinds:
            return None
        return models.OtherSource("", {}) if models.OtherSource in kinds else models.OtherRecord({})
    if get_origin(hint) in _BLANKS:
        return _BLANKS[get_origin(hint)]
    if attrs.has(hint):
        return maker(hint)(*(part.fallback() for part in fields_of(hint, None)), None)
    return hint("") if isinstance(hint, type) and issubclass(hint, str) else None


_BLANKS: Mapping[Any, object] = {Sequence: (), Mapping: {}}


def fields_of(kind: Any, converter: BaseConverter | None) -> list[Field]:
    """Return the fields of a class, without `unknown_fields`. With no converter they can read nothing."""
    origin = get_origin(kind) or kind
    hints = get_type_hints(origin)
    variables = dict(zip(getattr(origin, "__parameters__", ()), get_args(kind), strict=False))
    found = []
    for attribute in attrs.fields(origin):
        if attribute.name == "unknown_fields" or not attribute.init:
            continue
        hint = _filled(hints[attribute.name], variables)
        found.append(Field(attribute, hint, _late_hook(hint, converter) if converter else _no_hook))
    return found


def _filled(hint: Any, variables: Mapping[Any, Any]) -> Any:
    """Return a hint with its type variables replaced."""
    parameters = getattr(hint, "__parameters__", ())
    return hint[tuple(variables.get(each, each) for each in parameters)] if parameters else hint


def _no_hook(value: object, hint: Any) -> Any:
    raise Unreadable("nothing")


def _late_hook(hint: Any, converter: BaseConverter) -> Hook:
    """Return the hook of a type, found at first use: a class may hold itself."""
    found: list[Hook] = []

    def hook(value: object, _: Any) -> Any:
        if not found:
            found.append(converter.get_structure_hook(hint))
        return found[0](value, hint)

    return hook


def strict_object(kind: Any, converter: BaseConverter) -> Hook:
    """Make the hook that reads JSON which somebody wrote: it refuses unknown fields."""
    return _strict_object(kind, converter, keeps_unknown=False)


def exact_object(kind: Any, converter: BaseConverter) -> Hook:
    """Make the hook that reads JSON which somebody wrote: it keeps unknown fields."""
    return _strict_object(kind, converter, keeps_unknown=True)


def _strict_object(kind: Any, converter: BaseConverter, *, keeps_unknown: bool) -> Hook:
    parts, make = fields_of(kind, converter), maker(get_origin(kind) or kind)
    known = _names_of(kind, parts)

    def structure(value: object, _: Any) -> Any:
        if type(value) is not dict:
            raise Unreadable("an object")
        unknown = _but(value, known)
        if unknown and not keeps_unknown:
            raise _unknown_field(next(iter(unknown)), known)
        return make(*[_read_strictly(value, part) for part in parts], unknown)

    return structure


def _read_strictly(value: dict[str, object], part: Field) -> Any:
    given = value.get(part.wire)
    if given is None:
        is_list = part.wire in value and get_origin(part.hint) in {Sequence, Mapping}
        if not (part.has_default or is_list):
            raise Unreadable(MISSING, part.step)
        return part.fallback()
    try:
        return part.structure(given)
    except Unreadable as error:
        raise error.below(part.step) from None


def _unknown_field(name: object, known: set[str]) -> Unreadable:
    if not isinstance(name, str):
        return Unreadable("an object whose keys are text")
    from difflib import get_close_matches  # noqa: PLC0415  for an error alone

    close = get_close_matches(name, known, 1)
    hint = f"; did you mean `{close[0]}`?" if close else ""
    return Unreadable(f"left out: the field is unknown{hint}", step_to(name))


def _read_leniently(part: Field, given: Any, kept: dict[str, object]) -> Any:
    """Return a field of an answer; what cannot be read is put in `kept`."""
    if part.is_absent(given):
        return part.absent()
    start = len(notes.found)
    try:
        found = part.structure(given)
    except (Unreadable, RecursionError) as caught:
        error = caught if isinstance(caught, Unreadable) else Unreadable(LESS_NESTING)
        del notes.found[start:]
        notes.add(f"{part.step}{error.path}", DriftKind.WRONG_TYPE)
        if part.is_essential:
            raise error.below(part.step) from None
        if error.expected != LESS_NESTING:
            kept[part.wire] = given
        return part.fallback()
    if part.is_optional and is_blank(found):
        return part.fallback()  # an object of nulls is an empty one
    if len(notes.found) > start:
        notes.put_below(start, part.step)
        if isinstance(found, tuple | dict) and len(found) != len(given):
            kept[part.wire] = given  # some of its items are left out
    return found


def lenient_object(kind: Any, converter: BaseConverter) -> Hook:
    """Make the hook that reads answers."""
    parts, make = fields_of(kind, converter), maker(get_origin(kind) or kind)
    known = _names_of(kind, parts)

    def structure(value: object, _: Any) -> Any:
        if type(value) is not dict:
            raise Unreadable("an object")
        if notes.depth >= DEEPEST_ANSWER:
            raise Unreadable(LESS_NESTING)
        kept = _but(value, known) or {}
        for name in kept:
            notes.add(step_to(name), DriftKind.UNKNOWN_FIELD)
        notes.depth += 1
        try:
            found = [_read_leniently(part, value.get(part.wire), kept) for part in parts]
        finally:
            notes.depth -= 1
        return make(*found, kept or None)

    return structure


TAGS: Mapping[str, str] = {"DataSource": "DATA_SOURCE", "Mdm": "MDM"}
"""The `type` in the JSON of those models that have no such field, by their names."""


def _tag_of(kind: Any) -> str | None:
    return TAGS.get(getattr(kind, "__name__", ""))


def _names_of(kind: Any, parts: Sequence[Field]) -> set[str]:
    names = {part.wire for part in parts}
    return names if _tag_of(kind) is None else names | {"type"}


def _but(value: Mapping[str, object], known: set[str]) -> dict[str, object] | None:
    """Return what else there is in an object; None if there is nothing."""
    if value.keys() <= known:
        return None
    return {name: part for name, part in value.items() if name not in known}


def object_writer(
    kind: Any, converter: BaseConverter, reader: BaseConverter
) -> Callable[[Any], dict[str, Any]]:
    """Make the hook that writes a value as a JSON object. `reader` is the converter of answers."""
    parts, tag = fields_of(kind, reader), _tag_of(kind)
    known = {part.wire: part for part in parts}

    def write(value: object) -> dict[str, Any]:
        found: dict[str, Any] = {} if tag is None else {"type": tag}
        for part in parts:
            field = getattr(value, part.name)
            if field is not None or part.default is not None:
                found[part.wire] = converter.unstructure(field, unstructure_as=part.hint)
        kept = getattr(value, "unknown_fields", None) or {}
        is_current = {
            name: name not in known or known[name].reads_as(raw, getattr(value, known[name].name))
            for name, raw in kept.items()
        }
        return found | {name: raw for name, raw in kept.items() if is_current[name]}

    return write
