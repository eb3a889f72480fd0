"""Browsing: page after page of what a source holds, under a cursor that expires."""

import secrets
from collections.abc import Callable, Iterator
from typing import Self

from attrs import define, evolve, frozen

from clinia_async.emulator.bodies.operation import RELATIONSHIP, RESOURCE
from clinia_async.emulator.bodies.shapes import array, fields, integer, key, texts
from clinia_async.emulator.bodies.strict_json import decode, encode
from clinia_async.emulator.errors import ApiError, absent, invalid
from clinia_async.emulator.settings import Settings
from clinia_async.emulator.store.records import Record, Records

_LIFETIME = 300.0
_DEFAULT_PAGE, _LARGEST_PAGE = 100, 1000
Path = tuple[str, ...]


@frozen
class Projection:
    """Properties by name, or by dotted path for what lies deeper; excluding is stronger."""

    include: frozenset[Path]
    exclude: frozenset[Path]

    @classmethod
    def of(cls, value: object) -> Self:
        where = "params.properties"
        properties = fields(value, where, may={"include", "exclude"})
        return cls(*(_paths(properties.get(name, []), f"{where}.{name}") for name in ("include", "exclude")))

    def apply(self, data: str) -> str:
        if not (self.include or self.exclude):
            return data
        document = decode(data.encode())
        if self.include:
            document = _kept(document, self.include, ())
        return encode(_without(document, self.exclude, ()))


@frozen
class BrowseQuery:
    """The body of a browse, checked."""

    types: tuple[str, ...]
    cursor: str | None
    limit: int
    projection: Projection


@define
class _Session:
    source: str
    types: tuple[str, ...]
    expires: float
    collection: int = 0
    """Which collection comes next: each type first as resources, then as relationships."""
    after: str = ""

    @property
    def collections(self) -> list[tuple[str, str]]:
        return [(target, type_) for type_ in self.types for target in (RESOURCE, RELATIONSHIP)]


class Browsing:
    """Sessions live in memory and end with the run."""

    def __init__(self, records: Records, settings: Settings, now: Callable[[], float]) -> None:
        self._records = records
        self._settings = settings
        self._now = now
        self._sessions: dict[str, _Session] = {}

    def page(self, source: str, query: BrowseQuery) -> dict[str, object]:
        """The next page of a session, or the first one of a new one. An empty one is the end."""
        self._expire()
        cursor, session = self._session(source, query)
        hits = list(self._hits(session, query))
        session.expires = self._now() + _LIFETIME
        self._sessions[cursor] = session
        total = sum(self._records.count(*collection, source) for collection in session.collections)
        return {"hits": hits, "meta": {"cursor": cursor, "total": total}}

    def reset(self) -> None:
        self._sessions.clear()

    def _session(self, source: str, query: BrowseQuery) -> tuple[str, _Session]:
        if query.cursor is None:
            return _new_cursor(), _Session(source, query.types, 0.0)
        session = self._sessions.get(query.cursor)
        if session is None or session.source != source:
            raise absent("cursor, or it has expired")
        if session.types != query.types:
            raise invalid("the cursor belongs to other collections")
        if self._settings.browse_cursor == "same":
            return query.cursor, session
        session.expires = self._now() + _LIFETIME
        return _new_cursor(), evolve(session)

    def _hits(self, session: _Session, query: BrowseQuery) -> Iterator[dict[str, object]]:
        left = query.limit
        while left and session.collection < len(session.collections):
            target, type_ = session.collections[session.collection]
            records = self._records.page(session.source, target, type_, session.after, left)
            for record in records:
                yield _hit(record, query.projection)
            left -= len(records)
            if left:
                session.collection, session.after = session.collection + 1, ""
            else:
                session.after = records[-1].id

    def _expire(self) -> None:
        now = self._now()
        self._sessions = {cursor: one for cursor, one in self._sessions.items() if now < one.expires}


def browse_query(body: object, settings: Settings) -> BrowseQuery:
    document = fields(body, "the body", need={"collectionKeys", "params"})
    types = tuple(
        key(name, "a collection key") for name in array(document["collectionKeys"], "collectionKeys")
    )
    may = {"cursor", "filter", "properties", "perPage", "sort"}
    params = fields(document["params"], "params", may=may)
    if not types or len(set(types)) != len(types):
        raise invalid("collectionKeys must name at least one collection, and each only once")
    if settings.browse_filter == "refuse" and params.keys() & {"filter", "sort"}:
        raise ApiError("UNIMPLEMENTED", "the emulator neither filters nor sorts")
    cursor = params.get("cursor")
    if not isinstance(cursor, str | None):
        raise invalid("params.cursor must be a string")
    return BrowseQuery(types, cursor, _limit(params), Projection.of(params.get("properties", {})))


def _limit(params: dict[str, object]) -> int:
    if "perPage" not in params:
        return _DEFAULT_PAGE
    limit = integer(encode(params["perPage"]), "params.perPage")
    if not 1 <= limit <= _LARGEST_PAGE:
        raise ApiError("OUT_OF_RANGE", f"params.perPage must be between 1 and {_LARGEST_PAGE}")
    return limit


def _hit(record: Record, projection: Projection) -> dict[str, object]:
    shown = record._replace(data=projection.apply(record.data))
    return {"hitType": record.target, record.target.lower(): shown.document()}


def _new_cursor() -> str:
    return secrets.token_urlsafe(24)


def _paths(value: object, where: str) -> frozenset[Path]:
    return frozenset(tuple(path.split(".")) for path in texts(value, where))


def _kept(value: object, paths: frozenset[Path], here: Path) -> object:
    if here in paths:
        return value
    match value:
        case dict():
            inner = {name: (*here, name) for name in value}
            return {name: _kept(value[name], paths, at) for name, at in inner.items() if _leads(at, paths)}
        case list():
            return [_kept(entry, paths, here) for entry in value]
        case _:
            return value


def _leads(here: Path, paths: frozenset[Path]) -> bool:
    return any(path[: len(here)] == here for path in paths)


def _without(value: object, paths: frozenset[Path], here: Path) -> object:
    match value:
        case dict():
            inner = {name: (*here, name) for name in value}
            return {name: _without(value[name], paths, at) for name, at in inner.items() if at not in paths}
        case list():
            return [_without(entry, paths, here) for entry in value]
        case _:
            return value
