"""A person decides: the wait shows it, and a SUCCESS that was rejected is no success."""

import pytest

from clinia_async import DeleteRelationship, Outcome, Session, TaskDropped, TaskStatus
from clinia_async.emulator import Constant, Emulator, Review
from clinia_async.tasks import results
from tests.factories import ID, SOURCE, TYPE, create, write


@pytest.fixture(autouse=True)
def reviewed(emulator: Emulator) -> None:
    emulator.default = Review(Constant(1.0))


async def test_a_review_shows_in_the_updates_and_an_approval_ends_it(
    session: Session, emulator: Emulator
) -> None:
    made = await create(session)
    seen = []
    async for snapshot in made.updates():
        seen.append((snapshot.status, snapshot.in_review))
        if snapshot.in_review:
            emulator.approve(str(made.id))
    assert seen == [
        (TaskStatus.PENDING, False),
        (TaskStatus.PENDING, True),
        (TaskStatus.SUCCESS, False),
    ]
    assert (await made).id == ID
    assert emulator.relationships() == 1


async def test_a_rejected_record_is_dropped(session: Session, emulator: Emulator) -> None:
    made = await create(session)
    async for snapshot in made.updates():
        if snapshot.in_review:
            emulator.reject(str(made.id))
    assert made.state == TaskStatus.SUCCESS
    with pytest.raises(TaskDropped) as caught:
        await made
    assert caught.value.outcome is Outcome.REJECTED
    assert emulator.relationships() == 0
    requests = emulator.requests.total()
    with pytest.raises(TaskDropped):
        await made
    assert emulator.requests.total() == requests, "the end is final"


async def test_a_rejected_delete_is_dropped(session: Session, emulator: Emulator) -> None:
    made = await create(session)
    async for snapshot in made.updates():
        if snapshot.in_review:
            emulator.approve(str(made.id))
    gone = await session.submit(DeleteRelationship(SOURCE, TYPE, ID))
    async for snapshot in gone.updates():
        if snapshot.in_review:
            emulator.reject(str(gone.id))
    with pytest.raises(TaskDropped, match="a reviewer refused"):
        await gone


async def test_polls_of_a_large_bulk_ask_for_no_receipts(
    session: Session, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "MOST_RECEIPTS_PER_POLL", 1)
    bulk = await session.bulk(SOURCE, [write("a"), write("b")])
    with pytest.raises(TimeoutError):
        await bulk.wait(timeout=60)
    assert bulk.state == TaskStatus.PENDING
    assert (await bulk.refresh()).receipts is None
    assert (await bulk.refresh(receipts=True)).in_review
