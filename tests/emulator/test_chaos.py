"""Faults from text, and chaos: of every kind, seldom, and decided by a seed."""

import asyncio
from collections import Counter

import aiohttp
import pytest

from clinia_async.emulator import (
    Constant,
    Emulator,
    ExecutedAs,
    LateExecution,
    LostReply,
    Review,
    TooManyRequests,
    Unavailable,
)
from clinia_async.emulator.chaos import faults_from_text
from clinia_async.emulator.routes import ROUTE_NAMES
from tests.emulator.raw import Raw, write

REJECTED = Review(Constant(0.1), approved=False)


async def _outcomes(chaos: int, seed: int = 0, order: int = 1) -> dict[int, str]:
    async with Emulator(chaos=chaos, seed=seed) as emulator, Raw(emulator) as raw:
        return {number: await _outcome(raw, number) for number in range(400)[::order]}


async def _outcome(raw: Raw, number: int) -> str:
    try:
        return str((await raw.create(write(f"p-{number}"))).status)
    except (aiohttp.ClientError, ValueError) as error:
        return type(error).__name__


async def test_chaos_is_decided_by_its_own_seed() -> None:
    first = await _outcomes(1)
    assert await _outcomes(1, seed=5) == first
    assert await _outcomes(2) != first
    assert {"201", "202", "429", "503", "ClientPayloadError"} < set(first.values())
    assert 0.8 < Counter(first.values())["201"] / len(first) < 0.97


async def test_a_failing_seed_replays_in_any_order_of_requests() -> None:
    """The fault of a request depends on its content, so that concurrent requests replay it, too."""
    assert await _outcomes(4, order=-1) == await _outcomes(4)


async def test_equal_requests_are_struck_differently() -> None:
    async with Emulator(chaos=1) as emulator, Raw(emulator) as raw:
        kinds = Counter([await _outcome(raw, 1) for _ in range(200)])
        assert len(kinds) > 3


async def test_chaos_applies_in_every_way_and_can_be_inspected() -> None:
    async with Emulator(chaos=3) as emulator, Raw(emulator) as raw:
        for number in range(1500):
            await _outcome(raw, number)
        counts = (await raw.send("GET", "/emulator")).body
        assert counts["faults"].keys() == {
            *("LostReply", "DroppedRequest", "TruncatedBody", "TooManyRequests", "Unavailable"),
            *("ProxyResponse", "ByteOrderMark", "LateExecution", "DoubleExecution", "ExecutedAs"),
        }
        played = {(type(one), one.executed) for one in emulator.faults.played}
        assert {(Unavailable, True), (Unavailable, False)} < played
        await asyncio.sleep(5)
        lost = [
            one for one in emulator.faults.played if not one.executed and not isinstance(one, LateExecution)
        ]
        rejected = [
            one for one in emulator.faults.played if isinstance(one, ExecutedAs) and one.plan.mode == REJECTED
        ]
        done = 1500 - sum(emulator.faults.played[one] for one in (*lost, *rejected))
        assert emulator.relationships() == done
        emulator.faults.clear()
        assert (await raw.create(write())).status == 201


def test_faults_from_text() -> None:
    (lost,) = faults_from_text("lost-reply:bulk_relationships:0.1")
    assert (type(lost), lost.route, lost.probability) == (LostReply, "bulk_relationships", 0.1)
    (always,) = faults_from_text("unavailable-executed:browse")
    assert isinstance(always, Unavailable)
    assert (always.probability, always.executed, always.retry_after) == (1.0, True, None)
    many = list(faults_from_text("too-many-requests:*:0.5:7"))
    assert [one.route for one in many] == list(ROUTE_NAMES)
    assert {(type(one), one.probability, getattr(one, "retry_after", None)) for one in many} == {
        (TooManyRequests, 0.5, "7")
    }


@pytest.mark.parametrize(
    "text",
    ["", "lost-reply", "lost:browse", "lost-reply:x", "lost-reply:browse:2", "lost-reply:browse:often"],
)
def test_text_that_is_no_fault(text: str) -> None:
    with pytest.raises(ValueError, match=r"fault|route"):
        list(faults_from_text(text))


def test_only_answers_say_when_to_come_again() -> None:
    with pytest.raises(ValueError, match="again"):
        list(faults_from_text("lost-reply:browse:1:5"))
