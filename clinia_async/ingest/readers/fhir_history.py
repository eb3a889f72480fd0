"""Which version of a resource is the last one, over all histories of a job.

A history may come in several Bundles, as the pages of a server do, in one file or in several. They are one:

* Of two versions the later one is that with the later `response.lastModified`, or `meta.lastUpdated`; where
  times say nothing, that with the higher `meta.versionId`, or `response.etag`, if these are numbers. In one
  Bundle it is else the one that stands first, for histories have the newest first.
* A version that stands in two Bundles is one: pages may overlap.
* Where none of it orders versions in two Bundles, it is not known which one is the last, and each is a bad
  record.

The histories are read once before the first of them is loaded, from the first one on. What is read once only,
such as lines on standard input, is read line by line: a later version of what was loaded before is a bad
record there.
"""

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from enum import Enum
from hashlib import blake2b
from typing import cast

from attrs import define, field, frozen

from clinia_async.ingest.readers.compression import InputError
from clinia_async.ingest.readers.fhir_identity import Identity
from clinia_async.ingest.readers.temporary_database import TemporaryDatabase, digest
from clinia_async.serialization import timestamps

_NUMBER = re.compile(r'(?:W/)?"?([0-9]{1,18})"?')
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TABLE = """
    CREATE TABLE last (identity BLOB PRIMARY KEY, place INTEGER, bundle INTEGER, time INTEGER, number INTEGER,
        content BLOB, is_deleted INTEGER, state INTEGER) WITHOUT ROWID
"""
_FIND = "SELECT place, bundle, time, number, content, is_deleted, state FROM last WHERE identity = ?"
_KEEP = "INSERT OR REPLACE INTO last VALUES (?, ?, ?, ?, ?, ?, ?, ?)"


_Row = tuple[int, int, int | None, int | None, bytes | None, int, int]


class Standing(Enum):
    """What a version of a resource is among all of them."""

    LAST = 0
    UNORDERED = 1
    """Nothing says whether it is before or after one of another Bundle."""
    LATE = 2
    """It is the last, and an earlier one was loaded when it was met."""
    EARLIER = 3


@frozen
class _Version:
    """What an entry says of its version; `content` is a digest that says which one without a number it is."""

    place: int
    bundle: int
    time: int | None = None
    number: int | None = None
    content: bytes | None = field(default=None, repr=False)
    is_deleted: bool = False

    def is_same(self, other: "_Version") -> bool:
        return (self.time, self.number, self.content) == (other.time, other.number, other.content)

    def is_later(self, other: "_Version") -> bool | None:
        """Return whether it came after `other`; None if nothing says so, or not the same."""
        pairs = ((self.time, other.time), (self.number, other.number))
        said = {one > two for one, two in pairs if one is not None and two is not None and one != two}
        if len(said) == 1:
            return said.pop()
        return self.place < other.place if self.bundle == other.bundle else None


@define
class Histories:
    """The histories of one job, on a temporary database: a few MiB of memory, whatever their size.

    Raises `InputError` where there is no room for temporary files.
    """

    ahead: Callable[[], None] | None = None
    """Reads the histories that are still to be loaded, or as many of them as can be known, once."""
    _bundles: int = field(default=0, init=False)
    _noted: int = field(default=0, init=False)
    _read: int = field(default=0, init=False)
    _is_reading_ahead: bool = field(default=False, init=False)
    _database: TemporaryDatabase = field(factory=lambda: TemporaryDatabase(_TABLE), init=False)

    @property
    def is_closed(self) -> bool:
        """Whether nobody reads on."""
        return self._database.is_closed

    @property
    def are_known(self) -> bool:
        """Whether histories were read ahead."""
        return self._noted > 0

    def new_bundle(self) -> int:
        """Return a number for a Bundle."""
        self._bundles += 1
        return self._bundles

    def see(
        self, identity: Identity, entry: Mapping[str, object], bundle: int, *, is_deleted: bool
    ) -> Standing:
        """Return what the version in an entry is. Each entry is seen once, in order. Raises `InputError`."""
        if self._is_reading_ahead:
            self._note(identity, entry, bundle, is_deleted=is_deleted)
            return Standing.EARLIER
        if self.ahead is not None:
            self._read_versions(self.ahead)
        place, self._read = self._read, self._read + 1
        found = self._find(identity)
        if found is None:
            raise InputError("the input has changed while it was read: run it again")
        version, standing = found
        if standing is Standing.UNORDERED:
            return standing
        return standing if version.place == place else Standing.EARLIER

    def is_deleted(self, identity: Identity) -> bool:
        """Return whether the last version says that the resource is gone."""
        found = self._find(identity) if self.are_known else None
        return found is not None and found[0].is_deleted and found[1] is not Standing.UNORDERED

    def close(self) -> None:
        """Remove the database. A reader in a thread ends at its next entry."""
        self._database.close()

    def _read_versions(self, read: Callable[[], None]) -> None:
        self.ahead, self._is_reading_ahead, self._noted = None, True, self._read
        try:
            read()
        finally:
            self._is_reading_ahead = False

    def _note(
        self, identity: Identity, entry: Mapping[str, object], bundle: int, *, is_deleted: bool
    ) -> None:
        version = _version_of(entry, self._noted, bundle, is_deleted=is_deleted)
        self._noted += 1
        found = self._find(identity)
        if found is None:
            self._keep(identity, version, Standing.LAST)
            return
        known, standing = found
        if standing is Standing.UNORDERED or version.is_same(known):
            return
        is_later = version.is_later(known)
        if is_later is None:
            self._keep(identity, known, Standing.UNORDERED)
        elif is_later:
            was_loaded = known.place < self._read
            self._keep(identity, version, Standing.LATE if was_loaded else standing)

    def _find(self, identity: Identity) -> tuple[_Version, Standing] | None:
        row = self._database.execute(_FIND, digest(*identity))
        if row is None:
            return None
        place, bundle, time, number, content, is_deleted, state = cast("_Row", row)
        return _Version(place, bundle, time, number, content, bool(is_deleted)), Standing(state)

    def _keep(self, identity: Identity, version: _Version, standing: Standing) -> None:
        row = (version.place, version.bundle, version.time, version.number, version.content)
        self._database.execute(_KEEP, digest(*identity), *row, version.is_deleted, standing.value)


def _version_of(entry: Mapping[str, object], place: int, bundle: int, *, is_deleted: bool) -> _Version:
    response, meta = _object(entry.get("response")), _object(_object(entry.get("resource")).get("meta"))
    time = _microseconds(response.get("lastModified")) or _microseconds(meta.get("lastUpdated"))
    number = _number(meta.get("versionId")) or _number(response.get("etag"))
    content = None
    if number is None:
        said = meta.get("versionId") or response.get("etag") or entry.get("resource") or is_deleted
        content = blake2b(json.dumps(said).encode(), digest_size=16).digest()  # it may be no strict JSON
    return _Version(place, bundle, time, number, content, is_deleted)


def _object(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _microseconds(text: object) -> int | None:
    try:
        return (timestamps.parse(text) - _EPOCH) // timedelta(microseconds=1)
    except (OverflowError, ValueError):
        return None


def _number(text: object) -> int | None:
    match = _NUMBER.fullmatch(text) if isinstance(text, str) else None
    return None if match is None else int(match[1])
