"""Every route: its name, its method and path, its handler, and the largest body that it takes."""

from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import NamedTuple
from urllib.parse import unquote

from aiohttp import web
from attrs import define, field, frozen

from clinia_async.emulator.errors import ApiError
from clinia_async.emulator.exchange import Answer, Request
from clinia_async.emulator.handlers.catalog import CatalogApi
from clinia_async.emulator.handlers.records import RelationshipsApi, ResourcesApi
from clinia_async.emulator.handlers.sources import SourceApi

_SOURCE = "/sources/{source}/v1"
_RELATIONSHIP = f"{_SOURCE}/relationships/{{type}}/{{id}}"
_RESOURCE = f"{_SOURCE}/resources/{{type}}/{{id}}"
_CONTAINED = f"{_RESOURCE}/{{*}}"
_DEFINITIONS = f"{_SOURCE}/relationship-definitions"
_CATALOG = "/catalog/v1"
_REST = "{*}"
UNKNOWN = "unknown"
"""The route of a request that no route takes."""

Handler = Callable[[Request], Answer]


@frozen(kw_only=True)
class Api:
    relationships: RelationshipsApi
    resources: ResourcesApi
    source: SourceApi
    catalog: CatalogApi


class Route(NamedTuple):
    name: str
    """Its name in faults and counts."""
    method: str
    path: str
    handler: str
    """Where in `Api`."""
    limit: str = ""
    """The setting that limits its body; empty if it has none."""


_BODY, _BULK, _BUNDLE = "body_limit", "bulk_limit", "bundle_limit"
ROUTES = (
    # A path without a placeholder comes before the one whose placeholder would match it.
    Route("bulk_relationships", "POST", f"{_SOURCE}/relationships/bulk", "relationships.bulk", _BULK),
    Route("create_relationship", "POST", f"{_SOURCE}/relationships/{{type}}", "relationships.create", _BODY),
    Route("get_task", "GET", f"{_SOURCE}/tasks/{{id}}", "source.get_task"),
    Route("get_bulk_relationships", "GET", f"{_SOURCE}/relationships/bulk/{{id}}", "relationships.get_bulk"),
    Route("get_relationship", "GET", _RELATIONSHIP, "relationships.get"),
    Route("update_relationship", "PATCH", _RELATIONSHIP, "relationships.patch", _BODY),
    Route("delete_relationship", "DELETE", _RELATIONSHIP, "relationships.delete"),
    Route("bulk_resources", "POST", f"{_SOURCE}/resources/bulk", "resources.bulk", _BULK),
    Route("get_bulk_resources", "GET", f"{_SOURCE}/resources/bulk/{{id}}", "resources.get_bulk"),
    Route("create_resource", "POST", f"{_SOURCE}/resources/{{type}}", "resources.create", _BODY),
    Route("put_resource", "PUT", _RESOURCE, "resources.put", _BODY),
    Route("get_resource", "GET", _RESOURCE, "resources.get"),
    Route("delete_resource", "DELETE", _RESOURCE, "resources.delete"),
    Route("create_contained", "POST", _CONTAINED, "resources.create_contained", _BODY),
    Route("put_contained", "PUT", _CONTAINED, "resources.put_contained", _BODY),
    Route("delete_contained", "DELETE", _CONTAINED, "resources.delete_contained"),
    Route("bundle", "POST", f"{_SOURCE}/bundle", "source.bundle", _BUNDLE),
    Route("purge", "POST", f"{_SOURCE}/purge", "source.purge", _BODY),
    Route("get_purge", "GET", f"{_SOURCE}/purge/{{id}}", "source.get_purge"),
    Route("browse", "POST", f"{_SOURCE}/browse", "source.browse", _BODY),
    Route("put_relationship_definition", "PUT", f"{_DEFINITIONS}/{{key}}", "source.put_definition", _BODY),
    Route("get_relationship_definition", "GET", f"{_DEFINITIONS}/{{key}}", "source.get_definition"),
    Route("list_relationship_definitions", "GET", _DEFINITIONS, "source.list_definitions"),
    Route("put_profile", "PUT", f"{_SOURCE}/profiles/{{key}}", "source.put_profile", _BODY),
    Route("put_collection", "PUT", f"{_SOURCE}/collections/{{key}}", "source.put_collection", _BODY),
    Route("get_collection", "GET", f"{_SOURCE}/collections/{{key}}", "source.get_collection"),
    Route("put_source", "PUT", f"{_CATALOG}/sources/{{source}}", "catalog.put_source", _BODY),
    Route("get_source", "GET", f"{_CATALOG}/sources/{{source}}", "catalog.get_source"),
    Route("list_sources", "GET", f"{_CATALOG}/sources", "catalog.list_sources"),
    Route("delete_source", "DELETE", f"{_CATALOG}/sources/{{source}}", "catalog.delete_source"),
    Route("put_partition", "PUT", f"{_CATALOG}/partitions/{{partition}}", "catalog.put_partition", _BODY),
    Route("get_partition", "GET", f"{_CATALOG}/partitions/{{partition}}", "catalog.get_partition"),
    Route("list_partitions", "GET", f"{_CATALOG}/partitions", "catalog.list_partitions"),
    Route("delete_partition", "DELETE", f"{_CATALOG}/partitions/{{partition}}", "catalog.delete_partition"),
)
ROUTE_NAMES = tuple(route.name for route in ROUTES)


class Target(NamedTuple):
    """A route with its handler."""

    name: str
    handler: Handler
    limit: str
    names: tuple[str, ...]
    """Of the placeholders, in their order."""


@define
class _Node:
    """The paths that begin alike: one level of the tree of all paths."""

    children: dict[str, "_Node"] = field(factory=dict)
    """By the next part of the path."""

    placeholder: "_Node | None" = None
    """For any next part."""

    rest: "_Node | None" = None
    """For all the parts that follow."""

    targets: dict[str, Target] = field(factory=dict)
    """By method."""

    def next(self, part: str) -> "_Node":
        """Return the node after a part of a route's path, made if it is new."""
        if part == _REST:
            self.rest = self.rest or _Node()
            return self.rest
        if part.startswith("{"):
            self.placeholder = self.placeholder or _Node()
            return self.placeholder
        return self.children.setdefault(part, _Node())


class Router:
    def __init__(self, api: Api) -> None:
        self._root = _Node()
        for route in ROUTES:
            self.add(route, attrgetter(route.handler)(api))

    def add(self, route: Route, handler: Handler) -> None:
        node, names = self._root, []
        for part in route.path.split("/")[1:]:
            if part.startswith("{") and part != _REST:
                names.append(part[1:-1])
            node = node.next(part)
        node.targets[route.method] = Target(route.name, handler, route.limit, tuple(names))

    def match(self, http: web.BaseRequest) -> tuple[Request, Target | ApiError]:
        """Return the request with the placeholders of its path, and its target or the refusal."""
        known = False
        for node, values in _matches(self._root, http.rel_url.raw_path):
            if (target := node.targets.get(http.method)) is not None:
                decoded, count = [_decoded(value) for value in values], len(target.names)
                path = dict(zip(target.names, decoded, strict=False))
                return Request(http, target.name, path, decoded[count:]), target
            known = True
        if known:
            refusal = ApiError("UNIMPLEMENTED", "this path does not know the method", code=405)
        else:
            refusal = ApiError("NOT_FOUND", "there is no such path")
        return Request(http, UNKNOWN), refusal


_Match = tuple[_Node, tuple[str, ...]]


def _matches(root: _Node, path: str) -> Iterator[_Match]:
    """Yield the nodes that a path leads to, those with fewer placeholders first."""
    parts = path.split("/")
    waiting: list[tuple[_Node, int, tuple[str, ...]]] = [(root, 1, ())]
    while waiting:
        node, at, values = waiting.pop()
        if at == len(parts):
            if node.targets:
                yield node, values
            continue
        part = parts[at]
        if node.rest is not None and parts[at:] != [""]:
            # what takes all the rest comes after any other way on
            waiting.insert(0, (node.rest, len(parts), (*values, *parts[at:])))
        if node.placeholder is not None and part:
            waiting.append((node.placeholder, at + 1, (*values, part)))
        if (child := node.children.get(part)) is not None:
            waiting.append((child, at + 1, values))


def _decoded(part: str) -> str:
    return unquote(part) if "%" in part else part
