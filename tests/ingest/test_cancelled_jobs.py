"""A journaled job that is cancelled at any step of the event loop goes on as if it had never been."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from clinia_async import Session
from clinia_async.emulator import Emulator
from tests.ingest.journal.power_loss import Case, against_everything, collected, held
from tests.ingest.truth import check
from tests.virtual_time import VirtualTimeLoop

pytestmark = pytest.mark.campaign

RECORDS = 3
_SLICES = 4
"""Each takes every fourth step; together they take all."""


class SteppingLoop(VirtualTimeLoop):
    """Calls back right before the so-many-th step from now."""

    def __init__(self) -> None:
        super().__init__()
        self._steps_left = 0
        self._then: Callable[[], object] = lambda: None

    def after(self, steps: int, then: Callable[[], object]) -> None:
        self._steps_left, self._then = steps, then

    def _run_once(self) -> None:
        if self._steps_left:
            self._steps_left -= 1
            if not self._steps_left:
                self._then()
        super()._run_once()  # type: ignore[misc]


async def cancelled(case: Case, emulator: Emulator, folder: Path, step: int) -> bool:
    """Whether the job was cancelled before it ended by itself."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SteppingLoop)
    async with Session(base_url=emulator.url, api_key=emulator.key) as session:
        running = asyncio.create_task(collected(case.job(session, folder)))
        loop.after(step, running.cancel)
        await asyncio.wait([running])
        loop.after(0, running.cancel)
    return running.cancelled()


async def goes_on(folder: Path, seed: int, step: int) -> bool:
    case = Case.of(Random(seed), count=RECORDS)
    case.given.write(folder / "in.ndjson")
    (folder / "journal").mkdir()
    async with against_everything(seed) as emulator:
        was_cancelled = await cancelled(case, emulator, folder, step)
        async with Session(base_url=emulator.url, api_key=emulator.key) as session:
            told = await collected(case.job(session, folder))
        assert list(check(case.given, case.policy, told, held(emulator))) == [], f"step {step}"
    return was_cancelled


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("first", range(1, _SLICES + 1))
def test_a_job_that_is_cancelled_at_any_step_goes_on(first: int, seed: int, tmp_path: Path) -> None:
    step, was_cancelled = first, True
    while was_cancelled:
        folder = tmp_path / str(step)
        folder.mkdir()
        with asyncio.Runner(loop_factory=SteppingLoop) as runner:
            was_cancelled = runner.run(goes_on(folder, seed, step))
        step += _SLICES
    assert step > 10 * _SLICES, "the job has more steps than that"
