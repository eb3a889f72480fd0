"""Answers in pages, as one stream."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from attrs import evolve

from clinia_async import calls, models
from clinia_async.errors import InvalidWrite, ProtocolError

T = TypeVar("T")


async def all_hits(read: calls.Read, browse: "calls.Browse") -> AsyncIterator["models.Hit"]:
    """Every hit, page after page: a page without hits is the end, and only that."""
    while True:
        page = await read(browse)
        for hit in page.hits:
            yield hit
        if not page.hits or page.meta.cursor is None:
            return
        browse = evolve(browse, cursor=page.meta.cursor)


async def all_pages(
    read_page: Callable[[str], Awaitable["models.Page[T]"]], per_page: int | None
) -> AsyncIterator[T]:
    """Yield every entry of a list.

    Whether pages count from 0 or from 1 is not documented: it is inferred from the answers.

    Raises:
        InvalidWrite: `per_page` is less than 1.
        ProtocolError: an answer is another page than the one that was asked for.
    """
    size = "" if per_page is None else f"perPage={per_page}"
    if per_page is not None and (type(per_page) is not int or per_page < 1):
        raise InvalidWrite("$.perPage", "must be 1 or more")
    query, seen, asked = size, 0, None
    while True:
        page = await read_page(query)
        if asked is not None and page.meta.page != asked:
            raise ProtocolError("the answer is another page than the one that was asked for")
        for entry in page.data:
            yield entry
        seen += 1
        if not page.data or page.meta.page is None or seen >= (page.meta.num_pages or 0):
            return
        asked = page.meta.page + 1
        query = "&".join(filter(None, [f"page={asked}", size]))
