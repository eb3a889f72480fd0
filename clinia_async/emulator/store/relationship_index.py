"""Relationships by the resources at their ends, through indexes that are made when first asked for.

A registry that is only ever written to is spared them: they would cost a create as much as its row.
"""

from sqlite3 import Connection

from clinia_async.emulator.bodies.operation import Operation
from clinia_async.emulator.store.records import Record

_INDEXES = (
    "CREATE INDEX IF NOT EXISTS from_ends ON records (source, from_type, from_id) WHERE from_id IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS to_ends ON records (source, to_type, to_id) WHERE to_id IS NOT NULL",
)
_ATTACHED = """
DELETE FROM records WHERE source = :source
AND (from_type = :type AND from_id = :id OR to_type = :type AND to_id = :id)
"""
_ATTACHED_TO_TYPE = """
DELETE FROM records WHERE source = :source AND target = 'RELATIONSHIP'
AND (from_type = :type OR to_type = :type)
"""
_LINKS_FROM = """
SELECT count(*) FROM records
WHERE source = ? AND from_type = ? AND from_id = ? AND type = ? AND id <> ?
"""
_LINKS_TO = """
SELECT count(*) FROM records
WHERE source = ? AND to_type = ? AND to_id = ? AND type = ? AND id <> ?
"""


class RelationshipIndex:
    def __init__(self, database: Connection) -> None:
        self._database = database

    def detach(self, source: str, resource: Operation) -> None:
        """Delete the relationships attached to a resource."""
        self._index()
        which = {"source": source, "type": resource.type, "id": resource.id}
        self._database.execute(_ATTACHED, which)

    def detach_all(self, source: str, type_: str) -> int:
        """Delete the relationships attached to any resource of a type. Return how many there were."""
        return self._database.execute(_ATTACHED_TO_TYPE, {"source": source, "type": type_}).rowcount

    def links(self, relationship: Operation | Record, source: str) -> tuple[int, int]:
        """Return how many other relationships of its type the resources at its two ends have."""
        self._index()
        type_, id_ = relationship.type, relationship.id
        from_ = (source, relationship.from_type, relationship.from_id, type_, id_)
        to = (source, relationship.to_type, relationship.to_id, type_, id_)
        (out,) = self._database.execute(_LINKS_FROM, from_).fetchone()
        (in_,) = self._database.execute(_LINKS_TO, to).fetchone()
        return int(out), int(in_)

    def _index(self) -> None:
        for index in _INDEXES:
            self._database.execute(index)
