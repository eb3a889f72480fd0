"""Pages that contradict themselves: no end is made up, nothing is left out, nothing comes twice."""

import itertools
import logging
from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from clinia_async import CliniaError, ProtocolError, Session
from tests.exchanges import EHR, PERSON, against, held
from tests.factories import ONCE
from tests.hostile import Behaviour, answer, refusal

BROWSE, LIST = "browse", "list"


def hits(ids: Sequence[int], cursor: str | None = "c", total: int | None = None) -> Behaviour:
    found = [{"hitType": "RESOURCE", "resource": held(f"r{id_}")} for id_ in ids]
    return answer({"hits": found, "meta": {"cursor": cursor, "total": total}})


def entries(ids: Sequence[int], page: int | None, of: int | None, total: int | None = None) -> Behaviour:
    found = [{"key": f"r{id_}", "type": "registry"} for id_ in ids]
    return answer({"data": found, "meta": {"page": page, "numPages": of, "total": total}})


def records(session: Session) -> AsyncIterator[str]:
    return (found.record.id async for found in session.browse(EHR, [PERSON]))  # type: ignore[union-attr]


def sources(session: Session) -> AsyncIterator[str]:
    return (found.key async for found in session.list_sources())


async def taken(
    pages: Sequence[Behaviour], what: Callable[[Session], AsyncIterator[str]]
) -> tuple[list[str], type[CliniaError] | None]:
    """What came, and the error that it ended with."""
    found: list[str] = []
    async with against(list(pages), retry=ONCE) as (session, _):
        try:
            async for each in what(session):
                found.append(each)  # noqa: PERF401  those before an error count too
        except CliniaError as error:
            return found, type(error)
    return found, None


@pytest.mark.parametrize(
    ("pages", "found", "error"),
    [
        ([hits([1, 2]), hits([1, 2])], [1, 2], ProtocolError),
        ([hits([1], "a"), hits([2], "b"), hits([1], "a")], [1, 2], ProtocolError),
        ([hits([1]), hits([2]), hits([3]), hits([])], [1, 2, 3], None),
        ([hits([1, 2], None, 5)], [1, 2], ProtocolError),
        ([hits([1, 2], "", 5)], [1, 2], ProtocolError),
        ([hits([1, 2], None, 2)], [1, 2], None),
        ([hits([1, 2], None)], [1, 2], None),
        ([hits([1, 2], "c", 1), hits([], "c", 1)], [1, 2], None),
        ([hits([1]), refusal(500), hits([2])], [1], CliniaError),
        ([hits([1, 2], "a", 5), hits([3], None)], [1, 2, 3], ProtocolError),
        ([hits([1, 2], "a", 5), hits([3], "b"), hits([4], None)], [1, 2, 3, 4], ProtocolError),
        ([hits([1, 2], "a", 5), hits([3], None, 3)], [1, 2, 3], None),
    ],
)
async def test_browsing(pages: list[Behaviour], found: list[int], error: type[CliniaError] | None) -> None:
    ids, raised = await taken(pages, records)
    assert ids == [f"r{each}" for each in found]
    assert (raised is None) is (error is None)
    assert error is None or issubclass(raised or object, error)


@pytest.mark.parametrize("total", [3, 2, 1, None])
async def test_an_end_before_the_total_is_logged(total: int | None, caplog: pytest.LogCaptureFixture) -> None:
    """Records may be deleted while others are read, so it is no error."""
    with caplog.at_level(logging.WARNING, "clinia_async.session"):
        assert await taken([hits([1, 2], "c", total), hits([], "d", total)], records) == (["r1", "r2"], None)
    logged = ["browsing has ended after 2 records; the service counts 3"] if total == 3 else []
    assert [each.getMessage() for each in caplog.records] == logged
    with caplog.at_level(logging.WARNING, "clinia_async.session"):
        await taken([hits([1, 2], "c", total), hits([], "d")], records)
    assert [each.getMessage() for each in caplog.records] == 2 * logged, "as an earlier answer has said"


@pytest.mark.parametrize(
    ("pages", "found", "error"),
    [
        ([entries([1, 2], 0, 3), entries([1, 2], 1, 3)], [1, 2], ProtocolError),
        ([entries([1, 2], None, 3)], [1, 2], ProtocolError),
        ([entries([1], 0, 3), entries([], 1, 3)], [1], ProtocolError),
        ([entries([1, 2], 0, 1, 7)], [1, 2], ProtocolError),
        ([entries([1, 2], 0, None, 7)], [1, 2], ProtocolError),
        ([entries([1, 2], None, None, 7)], [1, 2], ProtocolError),
        ([entries([], 0, 1, 7)], [], ProtocolError),
        ([entries([1], 0, 2, 1), entries([2], 1, 2, 1)], [1, 2], None),
        ([entries([1], 0, 3), entries([2], 1, 2)], [1, 2], None),
        ([entries([1], 0, 3), entries([], 1, 1)], [1], None),
        ([entries([1, 2], 0, 2, 4), entries([2, 3], 1, 2, 4)], [1, 2, 3], None),
        ([entries([1], 1, 2), refusal(500)], [1], CliniaError),
        ([entries([1], 0, 3), entries([2], 1, None), entries([3], 2, None)], [1, 2, 3], None),
        ([entries([1], 0, 3), entries([2], 1, None), refusal(500)], [1, 2], CliniaError),
        ([entries([1, 2], 0, 2, 5), entries([3], 1, None)], [1, 2, 3], ProtocolError),
        ([entries([1, 2], 0, 2, 5), entries([3], 1, None, 3)], [1, 2, 3], None),
        ([entries([], 0, 0, 0)], [], None),
        (
            [answer({"data": [{"key": "r1", "type": "registry"}, 7, {"key": "r2", "type": "registry"}]})],
            [1, 2],
            ProtocolError,
        ),
        ([answer({"data": [{"key": "r1", "type": "registry"}, None]})], [1], None),
    ],
)
async def test_lists(pages: list[Behaviour], found: list[int], error: type[CliniaError] | None) -> None:
    ids, raised = await taken(pages, sources)
    assert ids == [f"r{each}" for each in found]
    assert (raised is None) is (error is None)
    assert error is None or issubclass(raised or object, error)


@pytest.mark.parametrize("before", range(0, 13, 3))
@pytest.mark.parametrize("length", range(1, 13))
async def test_pages_that_come_again_are_noticed(before: int, length: int) -> None:
    """After at most three times as many pages as there are."""
    most = 3 * (before + length) + 3
    turn = itertools.cycle(range(before, before + length))
    numbers = [*range(before), *itertools.islice(turn, most - before)]
    found, error = await taken([hits([number]) for number in numbers], records)
    assert error is ProtocolError
    assert len(found) < most
    assert set(found) == {f"r{number}" for number in range(before + length)}
