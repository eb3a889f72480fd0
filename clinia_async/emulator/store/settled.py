"""A transaction on the state that the clock says."""

from collections.abc import Callable
from sqlite3 import Connection
from types import TracebackType

from clinia_async.emulator.store.absorbed import Absorbed


class Settled:
    """`with` it, as often as one likes, but not inside itself."""

    def __init__(self, database: Connection, absorbed: Absorbed, settle: Callable[[], None]) -> None:
        self._database = database
        self._absorbed = absorbed
        self._settle = settle

    def __enter__(self) -> None:
        self._settle()
        self._database.execute("BEGIN")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Commits, or rolls back; what was refused is counted either way."""
        self._database.__exit__(kind, error, trace)
        self._absorbed.keep()
