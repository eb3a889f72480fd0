"""Bodies of writes of resources."""

from collections.abc import Callable

from attrs import frozen

from clinia_async.emulator.bodies import contained, metadata
from clinia_async.emulator.bodies.operation import RESOURCE, Operation
from clinia_async.emulator.bodies.references import ROOT, Properties, Tokens, replaced
from clinia_async.emulator.bodies.relationships import Now
from clinia_async.emulator.bodies.shapes import array, fields, key, mapping, resource_id
from clinia_async.emulator.bodies.strict_json import encode
from clinia_async.emulator.errors import invalid

_WRITE, _REMOVAL = frozenset({"type", "data"}), frozenset({"type", "id"})
_MORE = frozenset({"id", "meta", "contained"})


@frozen(kw_only=True)
class ResourceBodies:
    target = RESOURCE
    now: Now
    new_id: Callable[[], str]
    properties: Callable[[str], Properties | None]
    """Returns the properties of a type of resources, if anything defines them."""

    tokens: Tokens | None = None
    """The tokens for ids of a bundle; elsewhere each create has a `@rootId` of its own."""

    def creation(self, type_: str, body: object) -> Operation:
        """Return a single create."""
        document = fields(body, "the body", need={"data"}, may={"id", "meta", "contained"})
        operation = Operation(RESOURCE, "CREATE", type_, self._named("CREATE", document))
        return self._write(operation, document)

    def replacement(self, type_: str, id_: str, body: object) -> Operation:
        """Return a single upsert."""
        document = fields(body, "the body", need={"data"}, may={"meta", "contained"})
        return self._write(Operation(RESOURCE, "UPSERT", type_, id_), document)

    def plain_write(self, action: str, payload: dict[str, object]) -> Operation | None:
        """Return None, for `write` to check every operation by fields."""
        return None

    def named(self, action: str, payload: dict[str, object]) -> Operation:
        """Return type and id, valid or not, as the receipt will show them."""
        if not isinstance(type_ := payload.get("type"), str):
            raise invalid("an operation needs its type")
        return Operation(RESOURCE, action, type_, self._named(action, payload))

    def removal(self, payload: dict[str, object]) -> Operation:
        fields(payload, "delete", need=_REMOVAL)
        key(payload["type"], "type")
        operation = self.named("DELETE", payload)
        resource_id(operation.id)
        return operation

    def write(self, action: str, payload: dict[str, object]) -> Operation:
        document = fields(payload, action.lower(), need=_WRITE, may=_MORE)
        operation = Operation(RESOURCE, action, key(document["type"], "type"), self._named(action, document))
        return self._write(operation, document)

    def new_entry(self, body: object) -> dict[str, object]:
        """Return a contained resource to create, whose body may have an id."""
        document = mapping(body, "the body")
        return contained.entry(document, self._named("CREATE", document))

    def entry(self, id_: str, body: object) -> dict[str, object]:
        """Return a contained resource to put under an id."""
        return contained.entry(fields(body, "the body", need={"type", "data"}, may={"contained"}), id_)

    def _named(self, action: str, payload: dict[str, object]) -> str:
        """Return the id, made here if the body has none."""
        if action == "CREATE" and "id" not in payload:
            return self.new_id()
        if not isinstance(id_ := payload.get("id"), str):
            raise invalid("the id of a resource must be a string")
        if self.tokens is not None:
            return self.tokens.get(id_, id_)
        return self.new_id() if action == "CREATE" and id_ == ROOT else id_

    def _write(self, operation: Operation, document: dict[str, object]) -> Operation:
        resource_id(operation.id)
        tokens = self.tokens or ({ROOT: operation.id} if document.get("id") == ROOT else {})
        data = replaced(mapping(document["data"], "data"), tokens, self._properties(operation.type, tokens))
        operation = operation._replace(data=encode(data))
        if "contained" in document:
            operation = operation._replace(contained=encode(self._contained(document["contained"], tokens)))
        if "meta" not in document:
            return operation
        return operation._replace(**metadata.checked(document["meta"], self.now())._asdict())

    def _contained(self, value: object, tokens: Tokens) -> object:
        """Resolve the references of contained resources, which may lead to the root, too."""
        tree = mapping(contained.check(value), "contained")
        return {
            name: [self._entry(entry, tokens) for entry in array(entries, name)]
            for name, entries in tree.items()
        }

    def _entry(self, value: object, tokens: Tokens) -> dict[str, object]:
        entry = mapping(value, "a contained resource")
        properties = self._properties(str(entry["type"]), tokens)
        entry = {**entry, "data": replaced(entry["data"], tokens, properties)}
        if "contained" in entry:
            entry["contained"] = self._contained(entry["contained"], tokens)
        return entry

    def _properties(self, type_: str, tokens: Tokens) -> Properties | None:
        return self.properties(type_) if tokens else None
