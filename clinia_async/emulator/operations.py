"""Bodies of writes, checked and turned into operations."""

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from . import metadata
from .errors import ApiError, invalid
from .shapes import array, end_id, fields, key, mapping, relationship_id
from .strict_json import encode

Now = Callable[[], datetime]
"""Asked only if a body has metadata, which must not lie in the future."""

_ACTIONS = frozenset({"CREATE", "UPSERT", "DELETE"})


class Operation(NamedTuple):
    """A write of one relationship in strings only, JSON where the API has objects.

    Plain enough to wait in the database until its time comes.
    """

    action: str
    type: str
    id: str
    from_: str = ""
    to: str = ""
    data: str = "{}"
    created_at: str | None = None
    updated_at: str | None = None
    identifier: str | None = None
    refusal: str | None = None
    """Why this operation of a bulk must fail; the others of its bulk are done all the same."""


def creation(type_: str, body: object, now: Now) -> Operation:
    """The body of a single create."""
    document = fields(body, "the body", need={"from", "to"}, may={"data", "meta"})
    return _write(Operation("CREATE", type_, ""), document, now)


def bulk(body: object, now: Now) -> list[Operation]:
    """The body of a bulk.

    An operation that no receipt could name spoils the whole request; any other mistake stays
    with its operation.
    """
    operations = array(fields(body, "the body", need={"operations"})["operations"], "operations")
    if not operations:
        raise invalid("operations must not be empty")
    return [_operation(operation, now) for operation in operations]


def _operation(value: object, now: Now) -> Operation:
    action = mapping(value, "an operation", need={"action"})["action"]
    if not isinstance(action, str) or action not in _ACTIONS:
        raise invalid("the action of an operation must be CREATE, UPSERT or DELETE")
    member = action.lower()
    payload = mapping(fields(value, "an operation", need={"action", member})[member], member)
    operation = Operation(action, *_names(payload))
    try:
        key(payload["type"], "type")
        return _removal(operation, payload) if action == "DELETE" else _put(operation, payload, now)
    except ApiError as refusal:
        return operation._replace(refusal=refusal.message)


def _names(payload: dict[str, object]) -> tuple[str, str]:
    """Type and id, valid or not, as the receipt will show them."""
    match payload:
        case {"type": str(type_), "from": {"id": str(from_)}, "to": {"id": str(to)}}:
            return type_, f"{from_}.{to}"
        case {"type": str(type_), "id": str(id_)}:
            return type_, id_
        case _:
            raise invalid("an operation needs its type and the ids of both ends")


def _removal(operation: Operation, payload: dict[str, object]) -> Operation:
    """No page shows the payload of a DELETE: an id will do, and so will both ends."""
    if "id" in payload:
        fields(payload, "delete", need={"type", "id"})
        relationship_id(payload["id"])
        return operation
    ends = fields(payload, "delete", need={"type", "from", "to"})
    _end(ends["from"], "from")
    _end(ends["to"], "to")
    return operation


def _put(operation: Operation, payload: dict[str, object], now: Now) -> Operation:
    where = operation.action.lower()
    return _write(operation, fields(payload, where, need={"type", "from", "to"}, may={"data", "meta"}), now)


def _write(operation: Operation, document: dict[str, object], now: Now) -> Operation:
    from_, to = _end(document["from"], "from"), _end(document["to"], "to")
    meta = metadata.checked(document["meta"], now()) if "meta" in document else metadata.Meta()
    return Operation(
        operation.action,
        operation.type,
        f"{from_}.{to}",
        encode(document["from"]),
        encode(document["to"]),
        encode(mapping(document.get("data", {}), "data")),
        *meta,
    )


def _end(value: object, where: str) -> str:
    end = fields(value, where, need={"id", "type"})
    key(end["type"], f"{where}.type")
    return end_id(end["id"], f"{where}.id")
