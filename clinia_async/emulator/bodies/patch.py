"""Partial updates: a list of changes to a record's data, each at a JSON pointer relative to it."""

import re

from clinia_async.emulator.bodies import contained
from clinia_async.emulator.bodies.operation import RELATIONSHIP, RESOURCE, Operation
from clinia_async.emulator.bodies.shapes import array, fields
from clinia_async.emulator.bodies.strict_json import decode, encode
from clinia_async.emulator.errors import invalid

PATCH = "PATCH"
CREATE_CONTAINED, PUT_CONTAINED, DELETE_CONTAINED = "CREATE_CONTAINED", "PUT_CONTAINED", "DELETE_CONTAINED"
EDITS = frozenset({PATCH, CREATE_CONTAINED, PUT_CONTAINED, DELETE_CONTAINED})
"""Actions of operations that change a part of an existing record."""

_INDEX = re.compile(r"0|[1-9]\d{0,17}", re.ASCII)
_OPS = ("add", "remove", "replace")


def patch_operation(type_: str, id_: str, body: object) -> Operation:
    return Operation(RELATIONSHIP, PATCH, type_, id_, edit=checked(body))


def contained_operation(
    action: str, type_: str, id_: str, path: list[str], entry: object = None
) -> Operation:
    """Return the write of one contained resource: of the entry at a path, or of its removal."""
    contained.check_path(path)
    return Operation(RESOURCE, action, type_, id_, edit=encode({"path": path, "entry": entry}))


def checked(body: object) -> str:
    """Return the changes of a body, checked, as JSON."""
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
    """Split a JSON pointer into its names and indexes."""
    if not isinstance(path, str) or not path.startswith("/"):
        raise invalid("the path of a change must begin with a slash")
    if path.count("~") != path.count("~0") + path.count("~1"):
        raise invalid("a tilde in the path of a change must be written ~0")
    return [step.replace("~1", "/").replace("~0", "~") for step in path[1:].split("/")]


def patched(data: str, changes: str) -> str:
    """Return the data with all changes made.

    Raises:
        LookupError: a path does not exist in the data; nothing is changed then.
    """
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
    """Parse an index without leading zeros that does not count from the end."""
    if not _INDEX.fullmatch(step) or int(step) > highest:
        raise LookupError
    return int(step)
