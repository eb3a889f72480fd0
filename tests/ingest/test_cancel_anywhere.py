"""A job with a journal that is cancelled at any turn of the loop leaves nothing behind, and goes on."""

import asyncio
import gc
import os
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest

from clinia_async import ChunkLimits, CreateRelationship, Disposition, Ingestion
from clinia_async.emulator import Accepted, Constant, Emulator
from tests.ingest.running import SOURCE, run, session_for, stored_data, writes
from tests.virtual_time import VirtualTimeLoop

Scenario = Callable[[], Coroutine[object, object, None]]
LAST_TURN = 2000
STRIDE = int(os.environ.get("TURNS_APART", "9"))
"""With 1 every turn is tried, which takes minutes."""


class CountingLoop(VirtualTimeLoop):
    """Calls `at_turn` after so many turns in which something happened."""

    def __init__(self) -> None:
        super().__init__()
        self.turns_left: list[int] = []
        self.at_turn: Callable[[], object] = lambda: None

    def _run_once(self) -> None:
        if self._ready:  # type: ignore[attr-defined]
            self.turns_left = [turns - 1 for turns in self.turns_left]
            if 0 in self.turns_left:
                self.at_turn()
        super()._run_once()  # type: ignore[misc]


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def run_cancelled(
    emulator: Emulator, sent: list[CreateRelationship], options: dict[str, object]
) -> bool:
    """Whether the job was over before its cancel."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, CountingLoop)
    async with session_for(emulator) as session:
        job = Ingestion(session, SOURCE, sent, **options)  # type: ignore[arg-type]
        outcomes = []

        async def drain() -> None:
            async with job:
                async for outcome in job:
                    outcomes.append(outcome)  # noqa: PERF401

        caller = asyncio.ensure_future(drain())
        loop.at_turn = caller.cancel
        await asyncio.wait([caller])
        loop.at_turn = lambda: None
        await session.aclose(grace=0)
    assert job.report.completed == job.report.read
    assert len(outcomes) <= job.report.completed
    return not caller.cancelled()


async def go_on(turns: list[int], via: str, folder: Path) -> bool:
    loop, sent = asyncio.get_running_loop(), writes(4)
    assert isinstance(loop, CountingLoop)
    options: dict[str, object] = {
        "via": via,
        "workers": 2,
        "chunk": ChunkLimits(operations=2),
        "journal": folder / "j",
    }
    mode = Accepted(Constant(0.3))
    async with Emulator(default=mode, bulk=Constant(0.3), bundle=mode) as emulator:
        files = open_files()
        loop.turns_left = turns
        was_over = await run_cancelled(emulator, sent, options)
        await asyncio.sleep(1)
        assert {task.get_name() for task in asyncio.all_tasks() if "clinia" in task.get_name()} == set()
        assert [each.name for each in threading.enumerate() if each.name.startswith("clinia")] == []
        assert open_files() <= files
        found = await run(emulator, sent, **options)
        assert found.error is None
        assert found.reported == {Disposition.PERSISTED: 4}
        assert stored_data(emulator) == {each.id: each.data for each in sent}
    return was_over


@pytest.mark.parametrize("via", ["single", "bulk", "bundle"])
@pytest.mark.parametrize("again", [None, 1, 3])
@pytest.mark.timeout(3000)
def test_a_job_may_be_cancelled_at_any_turn(via: str, again: int | None, tmp_path: Path) -> None:
    """`again` is how many turns later it is cancelled once more."""
    for turn in range(1 + (again or 0), LAST_TURN, STRIDE):
        folder = tmp_path / str(turn)
        folder.mkdir()
        with asyncio.Runner(loop_factory=CountingLoop) as runner:
            turns = [turn] if again is None else [turn, turn + again]
            if runner.run(go_on(turns, via, folder)):
                break
    else:
        raise AssertionError("the job never came to its end")
    gc.collect()  # what was not closed would be heard of now
    assert turn > 50, "there were turns to be cancelled at"
