"""Rules of a strict registry for a write, beyond the shape of its body."""

from clinia_async.emulator.bodies.operation import RELATIONSHIP, RESOURCE, Operation
from clinia_async.emulator.bodies.shapes import mapping
from clinia_async.emulator.errors import invalid, refused
from clinia_async.emulator.settings import Settings
from clinia_async.emulator.store.definitions import PROFILE, RELATIONSHIP_DEFINITION, Definitions, cardinality
from clinia_async.emulator.store.records import Record, Records
from clinia_async.emulator.store.relationship_index import RelationshipIndex


class Rules:
    """Rules that are checked only if the settings say strict."""

    def __init__(
        self, settings: Settings, definitions: Definitions, records: Records, index: RelationshipIndex
    ) -> None:
        self._settings = settings
        self._definitions = definitions
        self._records = records
        self._index = index

    def check_type(self, source: str, target: str, type_: str) -> None:
        """Refuse a type that nothing defines."""
        if not self._settings.strict:
            return
        kind, collection = (PROFILE, "resources")
        if target == RELATIONSHIP:
            kind, collection = RELATIONSHIP_DEFINITION, "relationships"
        if not self._definitions.knows(source, type_, kind, collection):
            raise refused(self._settings.unknown_type, f"no {kind} has this type")

    def check(self, source: str, operation: Operation) -> None:
        """Check an operation right before it is executed."""
        if not self._settings.strict:
            return
        self.check_type(source, operation.target, operation.type)
        if operation.target == RELATIONSHIP and operation.action in ("CREATE", "UPSERT"):
            self._check_ends(source, operation)
            self._check_links(source, operation, before=1)
        elif operation.target == RELATIONSHIP and operation.action == "DELETE":
            self._check_removal(source, operation)

    def _check_ends(self, source: str, operation: Operation) -> None:
        from_, to = self._sides(source, operation.type)
        for side, type_, id_ in (
            (from_, operation.from_type, operation.from_id),
            (to, operation.to_type, operation.to_id),
        ):
            if side.get("profileKey", type_) != type_:
                raise invalid("an end is not of the profile that the definition names")
            end = Operation(RESOURCE, "", type_ or "", id_ or "")
            if not self._records.has(source, end):
                raise refused(self._settings.missing_end, "a resource at an end is not there")

    def _check_removal(self, source: str, operation: Operation) -> None:
        if self._records.has(source, operation):
            relationship = self._records.get(source, RELATIONSHIP, operation.type, operation.id)
            self._check_links(source, relationship, before=0)

    def _check_links(self, source: str, relationship: Operation | Record, *, before: int) -> None:
        """Check `includeCardinality` of both sides: how many of these links a resource there may have."""
        for side, others in zip(
            self._sides(source, relationship.type), self._index.links(relationship, source), strict=True
        ):
            least, most = str(cardinality(side)).split(":")
            links = others + before
            if most == "1" and links > 1:
                raise refused(self._settings.cardinality, "a resource would have too many relationships")
            if links < int(least):
                raise refused(self._settings.cardinality, "a resource would have too few relationships")

    def _sides(self, source: str, type_: str) -> tuple[dict[str, object], dict[str, object]]:
        """Return both sides of a definition, without limits for a type that only has a collection."""
        if not self._definitions.has(source, RELATIONSHIP_DEFINITION, type_):
            return {}, {}
        definition = self._definitions.get(source, RELATIONSHIP_DEFINITION, type_)
        return mapping(definition["from"], "from"), mapping(definition["to"], "to")
