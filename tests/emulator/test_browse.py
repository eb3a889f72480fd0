"""Browsing: pages under a cursor that rolls on, until one without hits."""

import asyncio
import json
from typing import Any

import pytest

from clinia_async.emulator import Emulator, Settings
from tests.emulator.raw import RELATIONSHIPS, SOURCE, Raw, Reply, resource, write


async def browse(raw: Raw, *keys: str, source: str = SOURCE, **params: Any) -> Reply:
    body = {"collectionKeys": keys or ["practitioner"], "params": params}
    return await raw.send("POST", f"{source}/browse", body)


async def fill(raw: Raw, count: int) -> None:
    await raw.bulk_resources(*(resource("CREATE", f"p-{n:04}", {"n": n}) for n in range(count)))
    await asyncio.sleep(1)


def ids(reply: Reply) -> list[str]:
    return [hit[hit["hitType"].lower()]["id"] for hit in reply.body["hits"]]


async def test_pages_go_on_until_one_is_empty(raw: Raw) -> None:
    await fill(raw, 7)
    page = await browse(raw, perPage=3)
    cursor, seen = page.body["meta"]["cursor"], [ids(page)]
    while page.body["hits"]:
        page = await browse(raw, perPage=3, cursor=cursor)
        assert page.body["meta"] == {"cursor": cursor, "total": 7}
        seen.append(ids(page))
    assert [len(one) for one in seen] == [3, 3, 1, 0]
    assert [id_ for one in seen for id_ in one] == [f"p-{n:04}" for n in range(7)]
    assert (await browse(raw, cursor=cursor)).body["hits"] == []


async def test_a_full_last_page_is_not_the_end(raw: Raw) -> None:
    await fill(raw, 4)
    cursor = (first := await browse(raw, perPage=2)).body["meta"]["cursor"]
    rest = [ids(await browse(raw, perPage=2, cursor=cursor)) for _ in range(2)]
    assert [ids(first), *rest] == [["p-0000", "p-0001"], ["p-0002", "p-0003"], []]


async def test_resources_and_relationships(raw: Raw) -> None:
    await raw.put("prac-1", {"n": 1})
    await raw.create(write(data={"n": 2}))
    await raw.create(write(), "other")
    await raw.send("POST", "/sources/else/v1/relationships/practises-at", write())
    page = await browse(raw, "practises-at", "absent", "practitioner")
    assert page.status == 200
    assert page.body["hits"] == [
        {"hitType": "RELATIONSHIP", "relationship": (await raw.read("prac-1.org-9")).body},
        {"hitType": "RESOURCE", "resource": (await raw.resource("prac-1")).body},
    ]
    assert page.body["meta"]["total"] == 2
    assert page.body.keys() == {"hits", "meta"}


async def test_pages_cross_collections(raw: Raw) -> None:
    for id_ in ("p-1", "p-2", "p-3"):
        await raw.put(id_)
        await raw.put(id_, type_="b")
    cursor = (page := await browse(raw, "practitioner", "b", perPage=2)).body["meta"]["cursor"]
    pages = [page] + [await browse(raw, "practitioner", "b", perPage=2, cursor=cursor) for _ in range(3)]
    assert [ids(page) for page in pages] == [["p-1", "p-2"], ["p-3", "p-1"], ["p-2", "p-3"], []]


async def test_sizes_of_pages(raw: Raw) -> None:
    await fill(raw, 1001)
    assert len((await browse(raw)).body["hits"]) == 100
    assert len((await browse(raw, perPage=1000)).body["hits"]) == 1000
    for wrong in (0, -1, 1001):
        reply = await browse(raw, perPage=wrong)
        assert (reply.status, reply.kind) == (400, "OUT_OF_RANGE")
    for wrong in ("5", 1.5, None, True, [5]):
        reply = await browse(raw, perPage=wrong)
        assert (reply.status, reply.kind) == (400, "INVALID_ARGUMENT")


@pytest.mark.parametrize("kind", ["same", "new"])
async def test_a_cursor_lives_for_five_minutes_after_each_use(kind: Any) -> None:
    async with Emulator(settings=Settings(browse_cursor=kind)) as emulator, Raw(emulator) as raw:
        await fill(raw, 5)
        cursor = (await browse(raw, perPage=1)).body["meta"]["cursor"]
        for _ in range(3):
            await asyncio.sleep(290)
            page = await browse(raw, perPage=1, cursor=cursor)
            assert page.status == 200
            cursor = page.body["meta"]["cursor"]
        await asyncio.sleep(301)
        late = await browse(raw, perPage=1, cursor=cursor)
        assert (late.status, late.kind) == (404, "NOT_FOUND")
        assert (await browse(raw)).status == 200


async def test_a_page_may_bring_a_new_cursor() -> None:
    async with Emulator(settings=Settings(browse_cursor="new")) as emulator, Raw(emulator) as raw:
        await fill(raw, 3)
        first = await browse(raw, perPage=1)
        cursors = [first.body["meta"]["cursor"]]
        for expected in ("p-0001", "p-0002"):
            for _ in range(2):
                page = await browse(raw, perPage=1, cursor=cursors[-1])
                assert ids(page) == [expected]
            cursors.append(page.body["meta"]["cursor"])
        assert len(set(cursors)) == 3


async def test_records_that_come_and_go_meanwhile(raw: Raw) -> None:
    for id_ in ("p-1", "p-2", "p-4"):
        await raw.put(id_)
    cursor = (await browse(raw, perPage=1)).body["meta"]["cursor"]
    await raw.send("DELETE", f"{SOURCE}/resources/practitioner/p-1")
    await raw.put("p-0")
    await raw.put("p-3")
    assert ids(await browse(raw, cursor=cursor)) == ["p-2", "p-3", "p-4"]


async def test_properties(raw: Raw) -> None:
    data = {"a": 1, "b": {"c": 2, "d": {"e": 3}}, "l": [{"x": 1, "y": 2}, 5], "b.c": 9}
    await raw.put("prac-1", data)

    async def shown(**properties: Any) -> Any:
        (hit,) = (await browse(raw, properties=properties)).body["hits"]
        assert hit["resource"].keys() == {"id", "type", "data", "meta"}
        return hit["resource"]["data"]

    assert await shown() == data
    assert await shown(include=["a", "b.d", "l.x", "z"]) == {"a": 1, "b": {"d": {"e": 3}}, "l": [{"x": 1}, 5]}
    assert await shown(exclude=["a", "b.d.e", "l.x"]) == {
        "b": {"c": 2, "d": {}},
        "l": [{"y": 2}, 5],
        "b.c": 9,
    }
    assert await shown(include=["b"], exclude=["b.c"]) == {"b": {"d": {"e": 3}}}
    assert await shown(include=[], exclude=[]) == data


async def test_properties_keep_numbers_as_text(raw: Raw) -> None:
    body = json.dumps(write(data={"x": "HERE", "y": 1})).replace('"HERE"', "1e400")
    await raw.send("POST", f"{RELATIONSHIPS}/t", text=body)
    question = {"collectionKeys": ["t"], "params": {"properties": {"exclude": ["y"]}}}
    headers = {"X-Clinia-API-Key": raw.emulator.key}
    async with raw.http.post(
        f"{raw.emulator.url}{SOURCE}/browse", json=question, headers=headers
    ) as response:
        assert '"data":{"x":1e400}' in await response.text()


@pytest.mark.parametrize("params", [{"filter": {"eq": {"a": 1}}}, {"sort": "a"}])
async def test_filters_are_refused_or_forgotten(params: Any) -> None:
    async with Emulator() as emulator, Raw(emulator) as raw:
        reply = await browse(raw, **params)
        assert (reply.status, reply.kind) == (501, "UNIMPLEMENTED")
    async with Emulator(settings=Settings(browse_filter="ignore")) as emulator, Raw(emulator) as raw:
        await raw.put("prac-1")
        assert ids(await browse(raw, **params)) == ["prac-1"]


async def test_cursors_of_others(raw: Raw) -> None:
    await fill(raw, 1)
    cursor = (await browse(raw)).body["meta"]["cursor"]
    for reply in (
        await browse(raw, cursor="unknown"),
        await browse(raw, cursor=cursor, source="/sources/other/v1"),
    ):
        assert (reply.status, reply.kind) == (404, "NOT_FOUND")
    reply = await browse(raw, "practitioner", "more", cursor=cursor)
    assert (reply.status, reply.kind) == (400, "INVALID_ARGUMENT")


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"collectionKeys": ["a"]},
        {"params": {}},
        {"collectionKeys": "a", "params": {}},
        {"collectionKeys": [], "params": {}},
        {"collectionKeys": ["a b"], "params": {}},
        {"collectionKeys": ["a", "a"], "params": {}},
        {"collectionKeys": ["a"], "params": []},
        {"collectionKeys": ["a"], "params": {"page": 1}},
        {"collectionKeys": ["a"], "params": {"cursor": 1}},
        {"collectionKeys": ["a"], "params": {"properties": []}},
        {"collectionKeys": ["a"], "params": {"properties": {"include": "a"}}},
        {"collectionKeys": ["a"], "params": {"properties": {"include": [1]}}},
        {"collectionKeys": ["a"], "params": {"properties": {"only": []}}},
    ],
)
async def test_bodies_that_are_wrong(raw: Raw, body: Any) -> None:
    reply = await raw.send("POST", f"{SOURCE}/browse", body)
    assert (reply.status, reply.kind) == (400, "INVALID_ARGUMENT")
