"""Resources that stand in a job's files more than once, with other references in one copy than in another."""

from collections.abc import Sequence

from attrs import define, field

from clinia_async.ingest.readers.fhir_identity import Identity
from clinia_async.ingest.readers.temporary_database import TemporaryDatabase, digest

_TABLE = "CREATE TABLE copies (identity BLOB, targets BLOB, PRIMARY KEY (identity, targets)) WITHOUT ROWID"
_BATCH = 1000
Targets = Sequence[tuple[Sequence[str], Identity]]


@define
class Copies:
    """Counts them, on a temporary database of about 50 MB per million resources that refer to others."""

    _database: TemporaryDatabase = field(factory=lambda: TemporaryDatabase(_TABLE), init=False)
    _added: list[tuple[bytes, bytes]] = field(factory=list, init=False, repr=False)

    def add(self, identity: Identity, targets: Targets) -> None:
        """Add a copy with what it refers to. Raises `InputError` if there is no room for temporary files."""
        said = sorted(".".join((*path, *target)) for path, target in targets)
        self._added.append((digest(*identity), digest(*said)))
        if len(self._added) >= _BATCH:
            self._store()

    def count(self) -> int:
        """Return how many copies refer to something else than the first one. Raises `InputError` as `add`."""
        if not self._database.is_open and not self._added:
            return 0
        self._store()
        row = self._database.execute("SELECT count(*) - count(DISTINCT identity) FROM copies")
        return 0 if row is None else int(str(row[0]))

    def close(self) -> None:
        self._database.close()

    def _store(self) -> None:
        self._database.execute_many("INSERT OR IGNORE INTO copies VALUES (?, ?)", self._added)
        self._added.clear()
