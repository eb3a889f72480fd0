"""Bodies of writes of relationships."""

from collections.abc import Callable
from datetime import datetime

from attrs import frozen

from . import metadata
from .errors import invalid
from .operations import RELATIONSHIP, Operation
from .shapes import end_id, fields, key, mapping, relationship_id
from .strict_json import encode
from .tokens import TOKEN, Tokens

Now = Callable[[], datetime]
"""Asked only if a body has metadata, which must not lie in the future."""


@frozen(kw_only=True)
class RelationshipBodies:
    target = RELATIONSHIP
    now: Now
    tokens: Tokens | None = None
    """What ends may be called in a bundle."""

    def creation(self, type_: str, body: object) -> Operation:
        """A create of its own."""
        document = fields(body, "the body", need={"from", "to"}, may={"data", "meta"})
        return self._write(Operation(RELATIONSHIP, "CREATE", type_, ""), document)

    def begin(self, action: str, payload: dict[str, object]) -> Operation:
        """Type and id, valid or not, as the receipt will show them."""
        match payload:
            case {"type": str(type_), "from": {"id": str(from_)}, "to": {"id": str(to)}}:
                return Operation(RELATIONSHIP, action, type_, f"{self._name(from_)}.{self._name(to)}")
            case {"type": str(type_), "id": str(id_)}:
                return Operation(RELATIONSHIP, action, type_, id_)
            case _:
                raise invalid("an operation needs its type and the ids of both ends")

    def removal(self, operation: Operation, payload: dict[str, object]) -> Operation:
        """No page shows the payload of a DELETE: an id will do, and so will both ends."""
        if "id" in payload:
            fields(payload, "delete", need={"type", "id"})
            relationship_id(payload["id"])
            return operation
        ends = fields(payload, "delete", need={"type", "from", "to"})
        self._end(ends["from"], "from")
        self._end(ends["to"], "to")
        return operation

    def write(self, operation: Operation, payload: dict[str, object]) -> Operation:
        where = operation.action.lower()
        may = {"data", "meta"}
        return self._write(operation, fields(payload, where, need={"type", "from", "to"}, may=may))

    def _write(self, operation: Operation, document: dict[str, object]) -> Operation:
        from_type, from_id = self._end(document["from"], "from")
        to_type, to_id = self._end(document["to"], "to")
        meta = metadata.checked(document["meta"], self.now()) if "meta" in document else metadata.Meta()
        return operation._replace(
            id=f"{from_id}.{to_id}",
            from_type=from_type,
            from_id=from_id,
            to_type=to_type,
            to_id=to_id,
            data=encode(mapping(document.get("data", {}), "data")),
            **meta._asdict(),
        )

    def _end(self, value: object, where: str) -> tuple[str, str]:
        """Type and id."""
        end = fields(value, where, need={"id", "type"})
        id_ = self._name(end_id(end["id"], f"{where}.id"))
        if self.tokens is not None and TOKEN.fullmatch(id_):
            raise invalid(f"{where}.id is a token that no resource of the bundle has")
        return key(end["type"], f"{where}.type"), id_

    def _name(self, id_: str) -> str:
        return (self.tokens or {}).get(id_, id_)
