"""How many creates came again for a record that already held the very same content."""

from sqlite3 import Connection

_ADD = """
INSERT INTO counters VALUES ('absorbed', ?) ON CONFLICT DO UPDATE SET value = value + excluded.value
"""


class Absorbed:
    """A refused write is rolled back, and is counted all the same: what is noted waits for `keep`."""

    def __init__(self, database: Connection) -> None:
        self._database = database
        self._noted = 0

    def note(self) -> None:
        self._noted += 1

    def keep(self) -> None:
        """In the transaction that is open, or in one of its own."""
        if self._noted:
            self._database.execute(_ADD, (self._noted,))
            self._noted = 0

    def count(self) -> int:
        row = self._database.execute("SELECT value FROM counters WHERE name = 'absorbed'").fetchone()
        return int(row[0]) if row else 0
