"""Timestamps: they never go back, whatever the machine's clock and the loop's clock do."""

import asyncio
from pathlib import Path
from random import Random
from typing import Any

import pytest

from clinia_async.emulator import Accepted, Constant, Emulator
from clinia_async.emulator import clock as module
from clinia_async.emulator.clock import Clock
from tests.emulator.raw import SOURCE, Raw, write


class WallClock:
    """The machine's clock, set forth and back at will."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> WallClock:
    wall = WallClock()
    monkeypatch.setattr(module, "time", wall)
    return wall


@pytest.mark.parametrize("seed", range(5))
async def test_timestamps_never_go_back(wall: WallClock, seed: int) -> None:
    random, clock = Random(seed), Clock()
    stamps, moments = [clock.stamp()], [clock.now()]
    for _ in range(200):
        wall.now += random.choice([-7200.0, -0.06, 0.0, 0.001, 0.05, 3600.0])
        await asyncio.sleep(random.choice([0.0, 0.004, 0.06, 1.0]))
        due = random.uniform(moments[-1], clock.now())
        stamps += [clock.stamp(due), clock.stamp()]
        moments.append(clock.now())
    assert stamps == sorted(stamps)


@pytest.mark.parametrize("step", [-86_400.0, -0.06, -0.04, 0.0, 0.04, 0.06])
async def test_updated_at_is_never_before_created_at(wall: WallClock, step: float) -> None:
    """With the jumping clock, and with a wall clock that is set while work is pending."""
    async with Emulator(modes={"later": Accepted(Constant(0.05))}) as emulator, Raw(emulator) as raw:
        wall.now += 0.05
        await raw.put("prac-1")
        await raw.create(write(), "later")
        body = {"collectionType": "resources", "collectionKey": "practitioner"}
        purge = (await raw.send("POST", f"{SOURCE}/purge", body)).body["taskId"]
        wall.now += step
        await asyncio.sleep(0.06)
        purged = (await raw.send("GET", f"{SOURCE}/purge/{purge}")).body
        assert purged["updatedAt"] > purged["createdAt"]
        for change in range(3):
            wall.now += step
            await raw.put("prac-1", {"n": change})
            meta = (await raw.resource("prac-1")).body["meta"]
            assert meta["updatedAt"] >= meta["createdAt"] >= purged["updatedAt"]


async def test_timestamps_do_not_go_back_with_a_restart(wall: WallClock, tmp_path: Path) -> None:
    emulator = Emulator(data=tmp_path / "r.db")
    metas: list[dict[str, Any]] = []
    for change in range(3):
        async with emulator, Raw(emulator) as raw:
            await raw.put("prac-1", {"n": change})
            metas.append((await raw.resource("prac-1")).body["meta"])
        wall.now -= 3600
    stamps = [meta["updatedAt"] for meta in metas]
    assert stamps == sorted(stamps)
    assert stamps[0] >= metas[0]["createdAt"]
