"""Patterns of keys and ids, and the fields of objects.

`fullmatch` and ASCII on purpose: `$` lets a line break through, and `\\w` knows many alphabets.
"""

import re
from collections.abc import Set as AbstractSet

from clinia_async.emulator.errors import invalid

_KEY = re.compile(r"[a-zA-Z0-9-][\w-]{0,61}", re.ASCII)
_END_ID = re.compile(r"[^.\x00-\x1f\x7f-\x9f]+")
_RELATIONSHIP_ID = re.compile(rf"{_END_ID.pattern}\.{_END_ID.pattern}")
_RESOURCE_ID = re.compile(r"[a-zA-Z0-9-][\w-]{1,92}", re.ASCII)
_CONTAINED_ID = re.compile(r"[^\x00-\x1f\x7f-\x9f]+")
_IDENTIFIER = re.compile(rf"{_CONTAINED_ID.pattern}:{_CONTAINED_ID.pattern}:{_CONTAINED_ID.pattern}")
_INTEGER = re.compile(r"-?\d{1,18}", re.ASCII)
_TASK_ID = re.compile(r"[\w:-]{1,100}", re.ASCII)
known_keys: set[str] = set()
"""Keys that were found to be valid: few are used again and again."""

_KNOWN_KEYS = 1000
_NOTHING: frozenset[str] = frozenset()


def matching(pattern: re.Pattern[str], value: object, complaint: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise invalid(complaint)
    return value


def key(value: object, where: str) -> str:
    """Return the key of a source, a partition, a profile or a relationship definition, checked."""
    if isinstance(value, str) and (value in known_keys or _KEY.fullmatch(value)):
        if len(known_keys) < _KNOWN_KEYS:
            known_keys.add(value)
        return value
    raise invalid(f"{where} is not a valid key")


def end_id(value: object, where: str) -> str:
    if isinstance(value, str) and _END_ID.fullmatch(value):
        return value
    raise invalid(f"{where} must be a string with neither dots nor control characters, and not empty")


def is_relationship_id(value: str) -> bool:
    return _RELATIONSHIP_ID.fullmatch(value) is not None


def relationship_id(value: object) -> str:
    return matching(_RELATIONSHIP_ID, value, "a relationship's id is two ids joined by one dot")


def resource_id(value: object) -> str:
    return matching(_RESOURCE_ID, value, "a resource's id is 2 to 93 letters, digits, hyphens or underscores")


def contained_id(value: object) -> str:
    """No page gives their pattern, and an old guide joins several ids by slashes."""
    complaint = "a contained resource's id must be a string without control characters, and not empty"
    return matching(_CONTAINED_ID, value, complaint)


def is_identifier(value: str) -> bool:
    """Return whether it has the form `{system}:{value}:{use}`, which a read takes instead of an id."""
    return _IDENTIFIER.fullmatch(value) is not None


def task_id(value: object) -> str:
    return matching(_TASK_ID, value, "the task id is malformed")


def fields(
    value: object, where: str, *, need: AbstractSet[str] = _NOTHING, may: AbstractSet[str] = _NOTHING
) -> dict[str, object]:
    """Return the object, checked to have every field of `need` and no others than those of `may`."""
    if isinstance(value, dict) and value.keys() == need:
        return value
    document = mapping(value, where, need=need)
    if not document.keys() <= need | may:
        raise invalid(f"{where} has an unknown field; known are {', '.join(sorted(need | may))}")
    return document


def mapping(value: object, where: str, *, need: AbstractSet[str] = _NOTHING) -> dict[str, object]:
    """Return the object, checked to have every field of `need`."""
    if not isinstance(value, dict):
        raise invalid(f"{where} must be an object")
    if not need <= value.keys():
        raise invalid(f"{where} needs {', '.join(sorted(need))}")
    return value


def array(value: object, where: str) -> list[object]:
    if not isinstance(value, list):
        raise invalid(f"{where} must be an array")
    return value


def texts(value: object, where: str) -> list[str]:
    entries = array(value, where)
    if not all(isinstance(entry, str) for entry in entries):
        raise invalid(f"{where} holds strings only")
    return [str(entry) for entry in entries]


def integer(text: str, where: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise invalid(f"{where} must be an integer")
    return int(text)
