"""Answers with a good status that are not what was asked for: errors, and JSON of something else.

Gateways and frameworks give `{"success": false}` or `{"message": "..."}` with the status 200, too. As every
field of an answer may be absent, such an object would pass for a value that has nothing in it.
"""

from collections.abc import Mapping
from functools import cache
from typing import get_type_hints

from attrs import fields

from clinia_async import models
from clinia_async.errors import ProtocolError
from clinia_async.models.value import wire_name

_DOCUMENTED_ERRORS = frozenset(models.ErrorType)
_ENVELOPE = ("message", "code", "details")
_TYPED = frozenset({"Collection", "Profile", "Source"})
_MAY_BE_EMPTY = _TYPED | {"BrowsePage", "Page", "Partition", "PurgeOperation", "RelationshipDefinition"}
"""Names of models of answers, but for those that are not read without a field that other JSON hardly has."""
_OF_OTHERS = frozenset({"description", "type", "unknown_fields"})
"""Fields that errors of others have, too."""


def refuse_foreign(value: object, model: type) -> None:
    """Check that the parsed JSON of an answer may be a `model`.

    Raises:
        ProtocolError: it holds an error, or something and nothing of the model.
    """
    if model.__name__ not in _MAY_BE_EMPTY or not isinstance(value, Mapping):
        return
    refuse_error_in(value)
    if holds_something(value) and not _has_own_fields(value, model):
        raise ProtocolError("the answer is about something else than what was asked for")


def _has_own_fields(value: Mapping[str, object], model: type) -> bool:
    type_ = value.get("type")
    is_typed = model.__name__ in _TYPED and isinstance(type_, str) and type_ in _types_of(model)
    return is_typed or not value.keys().isdisjoint(_names_of(model))


@cache
def _names_of(model: type) -> frozenset[str]:
    return frozenset(wire_name(each.name) for each in fields(model) if each.name not in _OF_OTHERS)


@cache
def _types_of(model: type) -> frozenset[str]:
    return frozenset(map(str, get_type_hints(model)["type"]))


def refuse_error_in(value: Mapping[str, object]) -> None:
    """Check that an answer with a good status holds no error. One that is null is none.

    Raises:
        ProtocolError: it holds one.
    """
    type_ = value.get("type")
    names_error = isinstance(type_, str) and type_ in _DOCUMENTED_ERRORS
    is_envelope = names_error and any(name in value for name in _ENVELOPE)
    if is_envelope or value.get("error") or value.get("errors"):
        raise ProtocolError("the answer has a good status and holds an error")


def holds_something(value: Mapping[str, object]) -> bool:
    """Return whether any field of an object is neither null nor empty."""
    return any(part is not None and part not in _EMPTY for part in value.values())


_EMPTY: tuple[object, ...] = ("", [], {})
