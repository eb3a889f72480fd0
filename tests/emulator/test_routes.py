"""What every route has in common: the key, keys in paths, bodies, counts and faults."""

import pytest

from clinia_async.emulator import Emulator, Settings, Unavailable
from clinia_async.emulator.routes import ROUTES, Route
from tests.emulator.raw import Raw
from tests.emulator.test_create import BAD_KEYS

FILLED = {
    "source": "s",
    "type": "t",
    "id": "r-1",
    "key": "k",
    "partition": "p",
    "*": "desks",
}
KEYS = {"source", "type", "key", "partition"}
BODIED = [route for route in ROUTES if route.method in {"POST", "PUT", "PATCH"}]
LIMITS = {"bulk_relationships": 300, "bulk_resources": 300, "bundle": 200}


def path(route: Route, **parts: str) -> str:
    filled = FILLED | parts
    if "relationships/{type}/{id}" in route.path:
        filled["id"] = "a.b"
    if route.name in {"put_contained", "delete_contained"}:
        filled["*"] = "desks/d-1"
    text = route.path
    for name, value in filled.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def named(route: Route) -> str:
    return route.name


def placeholders(route: Route) -> set[str]:
    return {name for name in KEYS if f"{{{name}}}" in route.path}


def test_names_are_unique() -> None:
    assert len({route.name for route in ROUTES}) == len(ROUTES)


@pytest.mark.parametrize("route", ROUTES, ids=named)
async def test_nothing_without_the_key(raw: Raw, route: Route) -> None:
    reply = await raw.send(route.method, path(route), headers={"X-Clinia-API-Key": "wrong"})
    assert (reply.status, reply.kind) == (401, "UNAUTHENTICATED")


@pytest.mark.parametrize("route", ROUTES, ids=named)
async def test_requests_reach_their_route(raw: Raw, emulator: Emulator, route: Route) -> None:
    await raw.send(route.method, path(route))
    assert emulator.requests == {route.name: 1}


@pytest.mark.parametrize("route", ROUTES, ids=named)
async def test_faults_apply_to_every_route(raw: Raw, emulator: Emulator, route: Route) -> None:
    emulator.faults.add(Unavailable(route=route.name, times=1))
    assert (await raw.send(route.method, path(route))).status == 503
    assert (await raw.send(route.method, path(route))).status != 503


@pytest.mark.parametrize("route", ROUTES, ids=named)
async def test_keys_in_paths(raw: Raw, route: Route) -> None:
    for part in placeholders(route):
        for bad in BAD_KEYS:
            reply = await raw.send(route.method, path(route, **{part: bad}))
            assert (reply.status, reply.kind) == (400, "INVALID_ARGUMENT")
            assert "not a valid key" in reply.body["message"]


@pytest.mark.parametrize("route", BODIED, ids=named)
async def test_bodies_are_json_of_limited_size(route: Route) -> None:
    settings = Settings(body_limit=100, bundle_limit=200, bulk_limit=300)
    limit = LIMITS.get(route.name, 100)
    async with Emulator(settings=settings) as emulator, Raw(emulator) as raw:
        for content_type in ("text/plain", ""):
            reply = await raw.send(route.method, path(route), {}, headers={"Content-Type": content_type})
            assert reply.status == 415
        for text, status in (
            ("1" * limit, 400),
            ("1" * (limit + 1), 413),
            ("{]", 400),
            ('{"a":1,"a":1}', 400),
        ):
            reply = await raw.send(route.method, path(route), text=text)
            assert reply.status == status
        assert emulator.resources() == emulator.relationships() == emulator.partitions() == 0
