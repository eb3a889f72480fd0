"""Partial updates: a list of changes to a record's data, each at a JSON pointer relative to it."""

import re

from clinia_async.emulator.bodies.shapes import array, fields
from clinia_async.emulator.bodies.strict_json import decode, encode
from clinia_async.emulator.errors import invalid

_INDEX = re.compile(r"0|[1-9]\d{0,17}", re.ASCII)
_OPS = ("add", "remove", "replace")


def checked(body: object) -> str:
    """The changes, as JSON."""
    changes = array(body, "the body")
    if not changes:
        raise invalid("the body must hold at least one change")
    for change in changes:
        _check(fields(change, "a change", need={"path"}, may={"op", "value"}))
    return encode(changes)


def _check(change: dict[str, object]) -> None:
    op = change.get("op", "add")
    if op not in _OPS:
        raise invalid(f"the op of a change must be one of {', '.join(_OPS)}")
    if op != "remove" and "value" not in change:
        raise invalid("a change that adds or replaces needs a value")
    _steps(change["path"])


def _steps(path: object) -> list[str]:
    """The names and indexes of a JSON pointer."""
    if not isinstance(path, str) or not path.startswith("/"):
        raise invalid("the path of a change must begin with a slash")
    if path.count("~") != path.count("~0") + path.count("~1"):
        raise invalid("a tilde in the path of a change must be written ~0")
    return [step.replace("~1", "/").replace("~0", "~") for step in path[1:].split("/")]


def patched(data: str, changes: str) -> str:
    """All changes or none; raises `LookupError` for a path that leads nowhere."""
    document = decode(data.encode())
    for change in array(decode(changes.encode()), "the changes"):
        assert isinstance(change, dict)
        *way, last = _steps(change["path"])
        container = document
        for step in way:
            container = _child(container, step)
        _change(container, last, change)
    return encode(document)


def _child(container: object, step: str) -> object:
    match container:
        case dict():
            return container[step]
        case list():
            return container[_index(step, len(container) - 1)]
        case _:
            raise LookupError


def _change(container: object, last: str, change: dict[str, object]) -> None:
    op = change.get("op", "add")
    match container:
        case dict() if op == "add" or last in container:
            _change_dict(container, last, change, op)
        case list():
            _change_list(container, last, change, op)
        case _:
            raise LookupError


def _change_dict(members: dict[str, object], last: str, change: dict[str, object], op: object) -> None:
    if op == "remove":
        del members[last]
    else:
        members[last] = change["value"]


def _change_list(items: list[object], last: str, change: dict[str, object], op: object) -> None:
    match op:
        case "add":
            items.insert(len(items) if last == "-" else _index(last, len(items)), change["value"])
        case "replace":
            items[_index(last, len(items) - 1)] = change["value"]
        case _:
            del items[_index(last, len(items) - 1)]


def _index(step: str, highest: int) -> int:
    """Without leading zeros, and never from the end."""
    if not _INDEX.fullmatch(step) or int(step) > highest:
        raise LookupError
    return int(step)
