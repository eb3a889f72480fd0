"""Every route: its name, its method and path, and who handles it."""

from operator import attrgetter
from typing import NamedTuple

from aiohttp import web
from attrs import frozen

from clinia_async.emulator.handlers.catalog import CatalogApi
from clinia_async.emulator.handlers.records import RelationshipsApi, ResourcesApi
from clinia_async.emulator.handlers.sources import SourceApi

_SOURCE = "/sources/{source}/v1"
_RELATIONSHIP = f"{_SOURCE}/relationships/{{type}}/{{id}}"
_RESOURCE = f"{_SOURCE}/resources/{{type}}/{{id}}"
_CONTAINED = f"{_RESOURCE}/{{path:[\\s\\S]+}}"
_DEFINITIONS = f"{_SOURCE}/relationship-definitions"
_CATALOG = "/catalog/v1"


@frozen(kw_only=True)
class Api:
    relationships: RelationshipsApi
    resources: ResourcesApi
    source: SourceApi
    catalog: CatalogApi


class Route(NamedTuple):
    name: str
    """What faults and counts call it."""
    method: str
    path: str
    handler: str
    """Where in `Api`."""


ROUTES = (
    # A path without a placeholder comes before the one whose placeholder would swallow it, and what is
    # called most often comes as early as it may: paths are tried in this order.
    Route("bulk_relationships", "POST", f"{_SOURCE}/relationships/bulk", "relationships.bulk"),
    Route("create_relationship", "POST", f"{_SOURCE}/relationships/{{type}}", "relationships.create"),
    Route("get_task", "GET", f"{_SOURCE}/tasks/{{id}}", "source.get_task"),
    Route("get_bulk_relationships", "GET", f"{_SOURCE}/relationships/bulk/{{id}}", "relationships.get_bulk"),
    Route("get_relationship", "GET", _RELATIONSHIP, "relationships.get"),
    Route("update_relationship", "PATCH", _RELATIONSHIP, "relationships.patch"),
    Route("delete_relationship", "DELETE", _RELATIONSHIP, "relationships.delete"),
    Route("bulk_resources", "POST", f"{_SOURCE}/resources/bulk", "resources.bulk"),
    Route("get_bulk_resources", "GET", f"{_SOURCE}/resources/bulk/{{id}}", "resources.get_bulk"),
    Route("create_resource", "POST", f"{_SOURCE}/resources/{{type}}", "resources.create"),
    Route("put_resource", "PUT", _RESOURCE, "resources.put"),
    Route("get_resource", "GET", _RESOURCE, "resources.get"),
    Route("delete_resource", "DELETE", _RESOURCE, "resources.delete"),
    Route("create_contained", "POST", _CONTAINED, "resources.create_contained"),
    Route("put_contained", "PUT", _CONTAINED, "resources.put_contained"),
    Route("delete_contained", "DELETE", _CONTAINED, "resources.delete_contained"),
    Route("bundle", "POST", f"{_SOURCE}/bundle", "source.bundle"),
    Route("purge", "POST", f"{_SOURCE}/purge", "source.purge"),
    Route("get_purge", "GET", f"{_SOURCE}/purge/{{id}}", "source.get_purge"),
    Route("browse", "POST", f"{_SOURCE}/browse", "source.browse"),
    Route("put_relationship_definition", "PUT", f"{_DEFINITIONS}/{{key}}", "source.put_definition"),
    Route("get_relationship_definition", "GET", f"{_DEFINITIONS}/{{key}}", "source.get_definition"),
    Route("list_relationship_definitions", "GET", _DEFINITIONS, "source.list_definitions"),
    Route("put_profile", "PUT", f"{_SOURCE}/profiles/{{key}}", "source.put_profile"),
    Route("put_collection", "PUT", f"{_SOURCE}/collections/{{key}}", "source.put_collection"),
    Route("get_collection", "GET", f"{_SOURCE}/collections/{{key}}", "source.get_collection"),
    Route("put_source", "PUT", f"{_CATALOG}/sources/{{source}}", "catalog.put_source"),
    Route("get_source", "GET", f"{_CATALOG}/sources/{{source}}", "catalog.get_source"),
    Route("list_sources", "GET", f"{_CATALOG}/sources", "catalog.list_sources"),
    Route("delete_source", "DELETE", f"{_CATALOG}/sources/{{source}}", "catalog.delete_source"),
    Route("put_partition", "PUT", f"{_CATALOG}/partitions/{{partition}}", "catalog.put_partition"),
    Route("get_partition", "GET", f"{_CATALOG}/partitions/{{partition}}", "catalog.get_partition"),
    Route("list_partitions", "GET", f"{_CATALOG}/partitions", "catalog.list_partitions"),
    Route("delete_partition", "DELETE", f"{_CATALOG}/partitions/{{partition}}", "catalog.delete_partition"),
)
ROUTE_NAMES = tuple(route.name for route in ROUTES)


def add_routes(app: web.Application, api: Api) -> None:
    for route in ROUTES:
        app.router.add_route(route.method, route.path, attrgetter(route.handler)(api), name=route.name)
