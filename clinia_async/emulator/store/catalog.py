"""The catalog: sources, and the partitions made of them."""

from sqlite3 import Connection

from clinia_async.emulator.errors import refused
from clinia_async.emulator.settings import Settings
from clinia_async.emulator.store.partitions import Partitions
from clinia_async.emulator.store.sources import Sources


class Catalog:
    def __init__(self, database: Connection, settings: Settings) -> None:
        self._settings = settings
        self.sources = Sources(database, strict=settings.strict)
        self.partitions = Partitions(database, settings.immutable_partition)

    def enter(self, source: str) -> str:
        """The key of a source that may be used; the strict emulator knows only those that were put."""
        if self._settings.strict and not self.sources.has(source):
            raise refused(self._settings.unknown_source, "no such source")
        return source

    def put_partition(self, name: str, body: object, *, stage: bool) -> tuple[dict[str, object], bool]:
        for source in self.partitions.sources(body):
            self.enter(source)
        return self.partitions.put(name, body, stage=stage)

    def remove_source(self, name: str) -> None:
        self.sources.remove(name)
        self.partitions.spoil(name)
