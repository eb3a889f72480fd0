"""Answers in pages, as one stream."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from attrs import evolve

from clinia_async.calls import Browse, Read
from clinia_async.errors import ProtocolError
from clinia_async.models import Hit, Page

T = TypeVar("T")


async def all_hits(read: Read, browse: Browse) -> AsyncIterator[Hit]:
    """Every hit, page after page: a page without hits is the end, and only that."""
    while True:
        page = await read(browse)
        for hit in page.hits:
            yield hit
        if not page.hits or page.meta.cursor is None:
            return
        browse = evolve(browse, cursor=page.meta.cursor)


async def all_pages(read_page: Callable[[str], Awaitable[Page[T]]], per_page: int | None) -> AsyncIterator[T]:
    """Every entry of a list. Whether pages count from 0 or from 1 is not documented: the answers tell."""
    size = "" if per_page is None else f"perPage={per_page}"
    query, seen = size, 0
    while True:
        page = await read_page(query)
        for entry in page.data:
            yield entry
        seen += 1
        if not page.data or page.meta.page is None or seen >= (page.meta.num_pages or 0):
            return
        query, before = "&".join(filter(None, [f"page={page.meta.page + 1}", size])), query
        if query == before:
            raise ProtocolError("the list gives the same page again")
