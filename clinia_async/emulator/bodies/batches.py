"""Bodies of many writes: bulks, bundles and purges."""

from collections.abc import Callable
from typing import Protocol

from clinia_async.emulator.bodies.operation import RELATIONSHIP, RESOURCE, Operation
from clinia_async.emulator.bodies.references import TOKEN, Tokens
from clinia_async.emulator.bodies.shapes import array, fields, key, mapping
from clinia_async.emulator.errors import ApiError, invalid

_ACTIONS = {action: frozenset({"action", action.lower()}) for action in ("CREATE", "UPSERT", "DELETE")}
"""The fields of an operation of each action."""

_WRITES = {"CREATE": "create", "UPSERT": "upsert"}
_ACTION = frozenset({"action"})
_PURGED = {"resources": RESOURCE, "relationships": RELATIONSHIP}


class Bodies(Protocol):
    """The checks of one target: resources or relationships."""

    def plain_write(self, action: str, payload: dict[str, object], /) -> Operation | None: ...
    def named(self, action: str, payload: dict[str, object], /) -> Operation: ...
    def removal(self, payload: dict[str, object], /) -> Operation: ...
    def write(self, action: str, payload: dict[str, object], /) -> Operation: ...


def bulk(body: object, bodies: Bodies) -> list[Operation]:
    """Return the operations of a bulk.

    An operation without type or id, which no receipt could name, fails the whole request; any other
    mistake fails its operation only.
    """
    work = _operations(fields(body, "the body", need={"operations"})["operations"], "operations", bodies)
    if not work:
        raise invalid("operations must not be empty")
    return work


def bundle(
    body: object, new_id: Callable[[], str], bodies: Callable[[Tokens], tuple[Bodies, Bodies]]
) -> list[Operation]:
    """Return the operations of a bundle: resources before relationships, each id at most once."""
    document = fields(body, "the body", need={"resourceOperations", "relationshipOperations"})
    tokens = {name: new_id() for name in _named(document["resourceOperations"])}
    resources, relationships = bodies(tokens)
    work = _operations(document["resourceOperations"], "resourceOperations", resources)
    work += _operations(document["relationshipOperations"], "relationshipOperations", relationships)
    if not work:
        raise invalid("a bundle needs at least one operation")
    if len({(one.target, one.type, one.id) for one in work}) != len(work):
        raise invalid("a bundle may have one operation for each id")
    return work


def purge(body: object) -> Operation:
    document = fields(body, "the body", need={"collectionType", "collectionKey"})
    kind = document["collectionType"]
    if kind == "objects":
        raise ApiError("UNIMPLEMENTED", "the emulator holds no objects")
    if not isinstance(kind, str) or kind not in _PURGED:
        raise invalid("collectionType must be resources, relationships or objects")
    return Operation(_PURGED[kind], "PURGE", key(document["collectionKey"], "collectionKey"), "")


def _named(operations: object) -> list[str]:
    """Return the tokens that stand for created resources."""
    names = []
    for operation in array(operations, "resourceOperations"):
        match operation:
            case {"action": "CREATE", "create": {"id": str(id_)}} if TOKEN.fullmatch(id_):
                names.append(id_)
    return names


def _operations(value: object, where: str, bodies: Bodies) -> list[Operation]:
    return [_operation(operation, bodies) for operation in array(value, where)]


def _operation(value: object, bodies: Bodies) -> Operation:
    if (plain := _plain_operation(value, bodies)) is not None:
        return plain
    action = mapping(value, "an operation", need=_ACTION)["action"]
    if not isinstance(action, str) or action not in _ACTIONS:
        raise invalid("the action of an operation must be CREATE, UPSERT or DELETE")
    member = action.lower()
    payload = mapping(fields(value, "an operation", need=_ACTIONS[action])[member], member)
    try:
        return bodies.removal(payload) if action == "DELETE" else bodies.write(action, payload)
    except ApiError as refusal:
        return bodies.named(action, payload)._replace(refusal=("INVALID_ARGUMENT", refusal.message))


def _plain_operation(value: object, bodies: Bodies) -> Operation | None:
    try:
        action = value["action"]  # type: ignore[index]
        payload = value[_WRITES[action]]  # type: ignore[index]
    except (KeyError, TypeError, IndexError):
        return None
    is_plain = isinstance(value, dict) and len(value) == 2 and isinstance(payload, dict)
    return bodies.plain_write(action, payload) if is_plain else None
