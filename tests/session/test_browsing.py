"""Browsing: every record of some collections, page after page."""

from typing import Any

import pytest

from clinia_async import (
    Browse,
    Hit,
    InvalidWrite,
    NotFound,
    OtherRecord,
    Outcome,
    ProtocolError,
    Relationship,
    Resource,
)
from clinia_async.calls import RetrySafety
from tests.exchanges import EHR, PERSON, WORKS_AT, against, held, joined, sent
from tests.factories import ONCE
from tests.hostile import answer, close, refusal

PATH = "/sources/ehr/v1/browse"


def hit(record: Any, kind: str = "RESOURCE", name: str = "resource") -> dict[str, Any]:
    return {"hitType": kind, "score": 1.5, name: record, "highlighting": {}, "traversedProperties": {}}


def page(*hits: Any, cursor: str | None = "c1", total: int = 3) -> Any:
    return answer({"hits": list(hits), "meta": {"cursor": cursor, "total": total}})


async def test_nothing_is_asked_before_the_first_step() -> None:
    async with against([page(hit(held()))]) as (session, server):
        hits = session.browse(EHR, [PERSON])
        assert not server.requests
        assert (await anext(hits)).record.id == "prac-1"
        await hits.aclose()  # type: ignore[attr-defined]
        assert server.seen() == [("POST", PATH)]


async def test_pages_are_read_by_the_last_cursor_until_one_has_no_hits() -> None:
    pages = [
        page(hit(held("p1")), hit(held("p2"))),
        page(hit(held("p3")), cursor="c2"),
        page(cursor="c3"),
    ]
    async with against(pages) as (session, server):
        hits = session.browse(EHR, [PERSON], per_page=2, filter={"a": 1}, include=["name"], exclude=["x"])
        assert [found.record.id async for found in hits] == ["p1", "p2", "p3"]
        asked = {"perPage": 2, "filter": {"a": 1}, "properties": {"include": ["name"], "exclude": ["x"]}}
        keys = {"collectionKeys": [PERSON]}
        assert sent(server, 0) == {**keys, "params": asked}
        assert sent(server, 1) == {**keys, "params": {**asked, "cursor": "c1"}}
        assert sent(server, 2) == {**keys, "params": {**asked, "cursor": "c2"}}
        assert len(server.requests) == 3


async def test_a_page_that_is_not_full_is_not_the_end() -> None:
    pages = [page(hit(held("p1"))), page(hit(held("p2"))), page()]
    async with against(pages) as (session, server):
        assert len([found async for found in session.browse(EHR, [PERSON], per_page=1000)]) == 2
        assert len(server.requests) == 3


@pytest.mark.parametrize(
    "last",
    [
        page(),
        page(cursor=None),
        page(hit(held()), cursor=None, total=1),
        page(hit(held()), cursor="", total=1),
    ],
)
async def test_one_page_may_be_all(last: Any) -> None:
    async with against([last]) as (session, server):
        assert len([found async for found in session.browse(EHR, [PERSON])]) <= 1
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("kind", "name", "record", "expected"),
    [
        ("RESOURCE", "resource", held(), Resource),
        ("RELATIONSHIP", "resource", joined(), Relationship),
        ("RELATIONSHIP", "relationship", joined(), Relationship),
        ("RESOURCE", "relationship", joined(), Relationship),
        ("SOMETHING_NEW", "resource", held(), Resource),
        ("RESOURCE", "resource", held(data={"from": 1, "to": 2}), Resource),
    ],
)
async def test_hits_are_of_both_kinds(kind: str, name: str, record: Any, expected: type[object]) -> None:
    async with against([page(hit(record, kind, name), cursor=None, total=1)]) as (session, _):
        hits = [found async for found in session.browse(EHR, [PERSON, WORKS_AT])]
        assert isinstance(hits[0], Hit)
        assert isinstance(hits[0].record, expected)
        assert hits[0].hit_type == kind
        assert hits[0].record.id == record["id"]


@pytest.mark.parametrize(
    "bad",
    [{"hitType": "RESOURCE"}, {"hitType": "X", "resource": 1}, {"hitType": "X", "resource": {"a": 1}}, 7],
)
async def test_a_hit_that_cannot_be_read_is_given_as_it_is_and_ends_nothing(bad: Any) -> None:
    async with against({"POST": [page(bad), page(hit(held())), page()]}) as (session, _):
        hits = [each async for each in session.browse(EHR, [PERSON])]
        assert isinstance(hits[0].record, OtherRecord)
        assert [type(each.record) for each in hits[1:]] == [Resource]


@pytest.mark.parametrize("bad", ["text", 7, {"a": 1}])
async def test_hits_that_are_no_list_are_not_the_end(bad: Any) -> None:
    async with against({"POST": [answer({"hits": bad, "meta": {}})]}, retry=ONCE) as (session, _):
        with pytest.raises(ProtocolError):
            await anext(session.browse(EHR, [PERSON]))


@pytest.mark.parametrize("cursor", [7, {"a": 1}, ["x"]])
async def test_a_cursor_that_cannot_be_read_is_not_the_end(cursor: Any) -> None:
    document = {"hits": [hit(held())], "meta": {"cursor": cursor}}
    async with against({"POST": [answer(document)]}, retry=ONCE) as (session, _):
        with pytest.raises(ProtocolError):
            [_ async for _ in session.browse(EHR, [PERSON])]


async def test_an_expired_cursor_ends_the_browsing() -> None:
    async with against([page(hit(held())), refusal(404, "NOT_FOUND")]) as (session, server):
        hits = session.browse(EHR, [PERSON])
        await anext(hits)
        with pytest.raises(NotFound) as caught:
            await anext(hits)
        assert caught.value.outcome is Outcome.REJECTED
        with pytest.raises(StopAsyncIteration):
            await anext(hits)
        assert len(server.requests) == 2


async def test_a_lost_page_is_asked_for_again_with_the_same_cursor() -> None:
    pages = [page(hit(held("p1"))), close, refusal(503), page(hit(held("p2")), cursor="c2"), page()]
    async with against(pages) as (session, server):
        assert [found.record.id async for found in session.browse(EHR, [PERSON])] == ["p1", "p2"]
        assert [sent(server, at)["params"].get("cursor") for at in range(5)] == [None, "c1", "c1", "c1", "c2"]


@pytest.mark.parametrize("per_page", [1, 1000])
async def test_pages_of_1_to_1000(per_page: int) -> None:
    async with against([page()]) as (session, server):
        assert [found async for found in session.browse(EHR, [PERSON], per_page=per_page)] == []
        assert sent(server)["params"] == {"perPage": per_page}


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({"per_page": 0}, "$.params.perPage"),
        ({"per_page": 1001}, "$.params.perPage"),
        ({"per_page": -5}, "$.params.perPage"),
        ({"per_page": "5"}, "$.params.perPage"),
        ({"per_page": 2.5}, "$.params.perPage"),
        ({"per_page": True}, "$.params.perPage"),
        ({"per_page": None}, "$.params.perPage"),
        ({"include": "name"}, "$.params.properties.include"),
        ({"exclude": 7}, "$.params.properties.exclude"),
        ({"collection_keys": []}, "$.collectionKeys"),
        ({"collection_keys": "practitioner"}, "$.collectionKeys"),
        ({"collection_keys": None}, "$.collectionKeys"),
        ({"collection_keys": ["ok", "no no"]}, "$.collectionKeys[1]"),
        ({"collection_keys": ["ok", 7]}, "$.collectionKeys[1]"),
        ({"source": "_x"}, "$.source"),
    ],
)
async def test_what_can_not_be_asked_for(options: Any, path: str) -> None:
    async with against([]) as (session, server):
        with pytest.raises(InvalidWrite) as caught:
            session.browse(**{"source": EHR, "collection_keys": [PERSON], **options})
        assert caught.value.path == path
        assert not server.requests


def test_asking_twice_does_no_harm() -> None:
    assert Browse(EHR, [PERSON]).retry_safety is RetrySafety.IDEMPOTENT
    assert "secret-cursor" not in repr(Browse(EHR, [PERSON], cursor="secret-cursor", filter={"name": "Ana"}))
    assert "Ana" not in repr(Browse(EHR, [PERSON], filter={"name": "Ana"}))
