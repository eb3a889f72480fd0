"""Answers in pages, as one stream."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Sequence
from typing import TypeVar

from attrs import evolve

from clinia_async import calls, models
from clinia_async.errors import InvalidWrite, ProtocolError
from clinia_async.models.partial_list import left_out_of

T = TypeVar("T")

_log = logging.getLogger("clinia_async.session")


class _Repetition:
    """Notices that pages come again and again, however many of them in turn, with one of them in memory.

    It is Brent's algorithm to find a cycle: one page is kept, and another one after twice as many pages.
    """

    def __init__(self) -> None:
        self._kept: Sequence[object] = ()
        self._seen, self._limit = 0, 1

    def check(self, page: Sequence[object]) -> None:
        """Take note of a page by what names its entries. Raises `ProtocolError` if it came before."""
        if page and page == self._kept:
            raise ProtocolError("the service gives pages again that it has given: there is no end of them")
        self._seen += 1
        if self._seen == self._limit:
            self._kept, self._seen, self._limit = page, 0, self._limit * 2


async def all_hits(read: calls.Read, browse: "calls.Browse") -> AsyncIterator["models.Hit"]:
    """Every hit, page after page: a page without hits is the end, and so is one without a cursor.

    Raises:
        ProtocolError: pages come again, or a cursor is missing where the total says that records are left.
    """
    repetition, given, total = _Repetition(), 0, 0
    while True:
        page = await read(browse)
        total = total if page.meta.total is None else page.meta.total
        repetition.check([_name_of(hit) for hit in page.hits])
        for hit in page.hits:
            yield hit
        given += len(page.hits)
        if page.hits and page.meta.cursor:
            browse = evolve(browse, cursor=page.meta.cursor)
            continue
        if page.hits and given < total:
            raise ProtocolError(f"there is no cursor of the next page after {given} of {total} records")
        if given < total:  # they may have been deleted since, or written
            _log.warning("browsing has ended after %d records; the service counts %d", given, total)
        return


def _name_of(hit: "models.Hit") -> object:
    record = hit.record
    return record if isinstance(record, models.OtherRecord) else (record.type, record.id)


_MOST_PER_PAGE = 2**31 - 1
"""Far above any limit of the service; a number of more digits than Python writes is none."""


def all_pages(
    read_page: Callable[[str], Awaitable["models.Page[T]"]], per_page: int | None
) -> AsyncIterator[T]:
    """Yield every entry of a list, each key once.

    Whether pages count from 0 or from 1 is not documented: it is inferred from the answers.

    Raises:
        InvalidWrite: `per_page` is less than 1.
        ProtocolError: an answer is another page than the one that was asked for, pages come again, or the
            service says itself that there is more; after all others, where an entry cannot be read.
    """
    if per_page is not None and (type(per_page) is not int or not 1 <= per_page <= _MOST_PER_PAGE):
        raise InvalidWrite("$.perPage", "must be a whole number of 1 or more")
    return _all_pages(read_page, per_page)


async def _all_pages(
    read_page: Callable[[str], Awaitable["models.Page[T]"]], per_page: int | None
) -> AsyncIterator[T]:
    size = "" if per_page is None else f"perPage={per_page}"
    repetition, keys = _Repetition(), set[Hashable]()
    query, given, left_out, seen, asked = size, 0, 0, 0, None
    number, total = 0, 0
    while True:
        page = await read_page(query)
        # what an answer leaves out is as an earlier one has said
        number = number if page.meta.num_pages is None else page.meta.num_pages
        total = total if page.meta.total is None else page.meta.total
        if asked is not None and page.meta.page != asked:
            raise ProtocolError("the answer is another page than the one that was asked for")
        names = [getattr(entry, "key", None) for entry in page.data]
        repetition.check(names)
        for name, entry in zip(names, page.data, strict=True):
            if name is None or name not in keys:  # an entry moves to the next page where one is added
                keys.add(name)
                yield entry
        left_out += left_out_of(page.data)
        given, seen = given + len(names), seen + 1
        if seen >= number:
            total = max(total, given + left_out)
            if given < total:
                raise ProtocolError(f"{given} of {total} entries came; {left_out} could not be read")
            return
        if page.meta.page is None or not page.data:
            raise ProtocolError(f"{seen} of {number} pages came, and the next cannot be asked for")
        asked = page.meta.page + 1
        query = "&".join(filter(None, [f"page={asked}", size]))
