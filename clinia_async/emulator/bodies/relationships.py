"""Bodies of writes of relationships."""

from collections.abc import Callable
from datetime import datetime

from attrs import frozen

from clinia_async.emulator.bodies import metadata
from clinia_async.emulator.bodies.operation import RELATIONSHIP, Operation
from clinia_async.emulator.bodies.references import TOKEN, Tokens
from clinia_async.emulator.bodies.shapes import (
    end_id,
    fields,
    is_relationship_id,
    key,
    known_keys,
    mapping,
    relationship_id,
)
from clinia_async.emulator.bodies.strict_json import encode
from clinia_async.emulator.errors import invalid

_ENDS, _WRITE = frozenset({"from", "to"}), frozenset({"type", "from", "to"})
_END = frozenset({"id", "type"})
_MORE = frozenset({"data", "meta"})
Now = Callable[[], datetime]
"""Called only if a body has metadata, which must not lie in the future."""


@frozen(kw_only=True)
class RelationshipBodies:
    target = RELATIONSHIP
    now: Now
    tokens: Tokens | None = None
    """The tokens for ids of ends in a bundle."""

    def creation(self, type_: str, body: object) -> Operation:
        """Return a single create."""
        return self._write("CREATE", type_, fields(body, "the body", need=_ENDS, may=_MORE))

    def plain_write(self, action: str, payload: dict[str, object]) -> Operation | None:
        """Return a valid create or upsert without metadata, or None if it must be checked by fields.

        Most operations of a bulk are such, and this takes a fifth of the time.
        """
        try:
            type_, from_, to, data = payload["type"], payload["from"], payload["to"], payload["data"]
            from_type, from_id, to_type, to_id = from_["type"], from_["id"], to["type"], to["id"]  # type: ignore[index]
            are_known = type_ in known_keys and from_type in known_keys and to_type in known_keys
        except (KeyError, TypeError, IndexError):
            return None
        if (
            not are_known
            or type(from_id) is not str
            or type(to_id) is not str
            or type(data) is not dict
            or (len(payload), len(from_), len(to)) != (4, 2, 2)  # type: ignore[arg-type]
            or not is_relationship_id(id_ := f"{from_id}.{to_id}")
            or self.tokens is not None
        ):
            return None
        ends = (str(from_type), from_id, str(to_type), to_id)
        return Operation(RELATIONSHIP, action, str(type_), id_, *ends, encode(data))

    def named(self, action: str, payload: dict[str, object]) -> Operation:
        """Return type and id, valid or not, as the receipt will show them."""
        match payload:
            case {"type": str(type_), "from": {"id": str(from_)}, "to": {"id": str(to)}}:
                return Operation(RELATIONSHIP, action, type_, f"{self._name(from_)}.{self._name(to)}")
            case {"type": str(type_), "id": str(id_)}:
                return Operation(RELATIONSHIP, action, type_, id_)
            case _:
                raise invalid("an operation needs its type and the ids of both ends")

    def removal(self, payload: dict[str, object]) -> Operation:
        """Return a delete. No page shows its payload: an id is taken, and so are both ends."""
        if "id" in payload:
            fields(payload, "delete", need=_END)
            relationship_id(payload["id"])
        else:
            ends = fields(payload, "delete", need=_WRITE)
            self._end(ends["from"], "from")
            self._end(ends["to"], "to")
        key(payload["type"], "type")
        return self.named("DELETE", payload)

    def write(self, action: str, payload: dict[str, object]) -> Operation:
        document = fields(payload, action.lower(), need=_WRITE, may=_MORE)
        return self._write(action, key(document["type"], "type"), document)

    def _write(self, action: str, type_: str, document: dict[str, object]) -> Operation:
        from_type, from_id = self._end(document["from"], "from")
        to_type, to_id = self._end(document["to"], "to")
        data = encode(mapping(document["data"], "data")) if "data" in document else "{}"
        ends = (from_type, from_id, to_type, to_id)
        operation = Operation(RELATIONSHIP, action, type_, f"{from_id}.{to_id}", *ends, data)
        if "meta" not in document:
            return operation
        return operation._replace(**metadata.checked(document["meta"], self.now())._asdict())

    def _end(self, value: object, where: str) -> tuple[str, str]:
        """Return type and id."""
        end = fields(value, where, need=_END)
        id_ = end_id(end["id"], f"{where}.id")
        if self.tokens is not None and TOKEN.fullmatch(id_ := self._name(id_)):
            raise invalid(f"{where}.id is a token that no resource of the bundle has")
        return key(end["type"], f"{where}.type"), id_

    def _name(self, id_: str) -> str:
        return self.tokens.get(id_, id_) if self.tokens else id_
