"""Fixtures of the rooms below ingestion: a session, an emulator, a check for leaks."""

import asyncio
import gc
from collections.abc import AsyncIterator
from typing import Any

import pytest

from clinia_async import Session
from clinia_async.emulator import Emulator, Settings
from tests import factories
from tests.factories import session_at

__all__ = [
    "each_way_of_sending",
    "each_way_through_aiohttp",
    "emulator",
    "nothing_is_left_behind",
    "session",
]


@pytest.fixture(autouse=True)
async def nothing_is_left_behind() -> AsyncIterator[None]:
    """No task of ours outlives its test, no socket stays open, and the loop has no complaint.

    An unclosed socket warns when it is collected, and every warning is an error.
    """
    loop = asyncio.get_running_loop()
    complaints: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    yield
    for _ in range(3):  # transports close in the turn of the loop after they are told to
        await asyncio.sleep(0)
    gc.collect()
    gc.freeze()  # what is left belongs to the test run: the next collection need not look at it again
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert complaints == []


@pytest.fixture(params=["pooled", "public"])
def each_way_through_aiohttp(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Straight over the pool, and by `ClientSession.request`, as with a version that is not known."""
    if request.param == "public":
        monkeypatch.setattr("clinia_async.transport.connections.IS_KNOWN", False)


@pytest.fixture(params=[False, True], ids=["each", "coalesced"])
def each_way_of_sending(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param and request.node.get_closest_marker("rivals"):
        pytest.skip("coalesced, two writes of one record are never under way together")
    monkeypatch.setitem(factories.DEFAULTS, "coalesce", request.param)


@pytest.fixture
async def emulator(request: pytest.FixtureRequest) -> AsyncIterator[Emulator]:
    queued = request.node.get_closest_marker("queued") is not None
    async with Emulator(settings=Settings(conflicts="queue" if queued else "cancel")) as emulator:
        yield emulator


@pytest.fixture
async def session(emulator: Emulator) -> AsyncIterator[Session]:
    async with session_at(emulator) as session:
        yield session
