"""Takes the power from a journaled job at random instants, until it ends; then looks at what is true.

    python -m tests.ingest.journal.power_loss --trials 1000 --seed 1 [--synchronous NORMAL]

The job runs on the loop whose clock jumps, against an emulator that fails in every way it knows. At the
instant of a loss the journal becomes what the disk may hold by then; of the job nothing is left, and
nothing of it reaches the service any more. The same job goes on with that journal.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

from attrs import define, field, frozen

from clinia_async import ChunkLimits, Ingestion, RecordOutcome, Session, read_ndjson
from clinia_async.emulator import Emulator, Exchange
from clinia_async.ingest.journal import file as journal_file
from clinia_async.ingest.outcomes.dead_letters import dead_letter
from tests.ingest.journal.lossy_disk import Disk, recording, restore
from tests.ingest.nemesis import faulty, modes
from tests.ingest.truth import POLICIES, SOURCE, Findings, Input, LineKind, Reported, check, made
from tests.patience import PATIENCE
from tests.virtual_time import VirtualTimeLoop

MOST_LIVES = 100


@define
class Loss:
    """The instant at which the power fails: the so-many-th event of one kind, or after so long.

    What SQLite does after it waits, on SQLite's thread, until the job is cut off from the service: so
    nothing is sent in reliance on what is no longer on the disk.
    """

    kind: str
    count: int
    random: Random
    disk: Disk | None = None
    image: dict[str, bytes] | None = None
    over: asyncio.Event = field(factory=asyncio.Event)
    cut_off: threading.Event = field(factory=threading.Event)
    _loop: asyncio.AbstractEventLoop = field(factory=asyncio.get_running_loop)
    _mutex: threading.Lock = field(factory=threading.Lock)

    def on_disk(self, _: str) -> None:
        self._meet("disk")
        if self.image is not None:
            self.cut_off.wait(PATIENCE)

    def on_exchange(self, _: Exchange) -> None:
        self._meet("exchange")

    def apply(self) -> None:
        with self._mutex:
            if self.image is None and self.disk is not None:
                self.image = self.disk.image(self.random)
                self._loop.call_soon_threadsafe(self.over.set)

    def _meet(self, kind: str) -> None:
        if kind == self.kind:
            self.count -= 1
            if self.count <= 0:
                self.apply()


def drawn(random: Random) -> Loss:
    kind = random.choice(["disk", "disk", "exchange", "time"])
    return Loss(kind, random.randrange(1, 120 if kind == "disk" else 40), random)


@frozen
class Case:
    """A job and its input, told by a seed."""

    given: Input
    policy: str
    via: str
    options: dict[str, object]

    @classmethod
    def of(cls, random: Random, *, count: int | None = None) -> "Case":
        via = random.choice(["single", "bulk"])
        options: dict[str, object] = {"workers": random.choice([1, 2, 4, 8])}
        if via == "bulk":
            options["chunk"] = ChunkLimits(operations=random.randrange(2, 9))
        given = made(random, count or random.randrange(30, 90))
        return cls(given, random.choice(POLICIES), via, options)

    def job(self, session: Session, folder: Path) -> Ingestion:
        return Ingestion(
            session,
            SOURCE,
            read_ndjson(folder / "in.ndjson", SOURCE),
            journal=folder / "journal" / "job",
            journal_is_copy=True,  # what the disk kept is restored into another file
            via=self.via,
            on_existing=self.policy,
            **self.options,  # type: ignore[arg-type]
        )


@define
class Trial:
    lives: int = 0
    losses: int = 0
    findings: Findings = field(factory=Findings)


@asynccontextmanager
async def against_everything(seed: int) -> AsyncIterator[Emulator]:
    each, bulk = modes()
    async with Emulator(seed=seed, modes=each, bulk=bulk) as emulator:
        faulty(emulator)
        yield emulator


async def run_trial(seed: int, folder: Path, draw: Callable[[Random], Loss] = drawn) -> Trial:
    """One job, through as many losses of power as it takes it to end."""
    random, trial = Random(seed), Trial()
    case = Case.of(random)
    case.given.write(folder / "in.ndjson")
    journal = folder / "journal"
    journal.mkdir()
    async with against_everything(seed) as emulator:
        while trial.lives < MOST_LIVES:
            trial.lives += 1
            loss = draw(random)
            told = await live(case, emulator, folder, loss)
            if loss.image is not None:
                trial.losses += 1
                restore(loss.image, journal)
            elif told is not None and told.counts["unknown"] <= case.given.count(LineKind.DIFFERENT):
                trial.findings = check(case.given, case.policy, told, held(emulator))
                return trial
    trial.findings.untrue.append(f"no end after {MOST_LIVES} lives")
    return trial


def held(emulator: Emulator) -> dict[tuple[str, str], object]:
    return {(each.type, each.id): each.data for each in emulator.stored()}


async def live(case: Case, emulator: Emulator, folder: Path, loss: Loss) -> Reported | None:
    """A run of the job until it ends or the power fails; what it told, if it ended by itself."""
    Emulator.listeners.append(loss.on_exchange)
    try:
        with recording(folder / "journal", loss.on_disk) as loss.disk:
            async with Session(base_url=emulator.url, api_key=emulator.key) as session:
                running = asyncio.create_task(collected(case.job(session, folder)))
                await _until_over(running, loss)
                if not running.done():
                    await session.aclose(grace=0)
                    loss.cut_off.set()
                    running.cancel()
                (ended,) = await asyncio.gather(running, return_exceptions=True)
    finally:
        loss.cut_off.set()
        Emulator.listeners.remove(loss.on_exchange)
        await _no_journal_is_open()
    if loss.image is not None:
        return None
    if isinstance(ended, BaseException):
        raise ended
    return ended


async def _no_journal_is_open() -> None:
    """A job that was cancelled twice, as on its way out, closes its journal when nobody waits for it."""
    for _ in range(5000):
        if not any(thread.name.startswith("clinia-journal") for thread in threading.enumerate()):
            return
        await asyncio.sleep(0.001)
    raise AssertionError("a journal was left open")


async def collected(job: Ingestion) -> Reported:
    """Runs a job to its end; what it told."""
    async with job:
        outcomes = [outcome async for outcome in job]
    return _reported(job, outcomes)


async def _until_over(running: asyncio.Task[None], loss: Loss) -> None:
    timer = None
    if loss.kind == "time":
        timer = asyncio.get_running_loop().call_later(loss.count / 20, loss.apply)
    failing = asyncio.create_task(loss.over.wait())
    await asyncio.wait([running, failing], return_when=asyncio.FIRST_COMPLETED)
    failing.cancel()
    if timer is not None:
        timer.cancel()


def _reported(job: Ingestion, outcomes: list[RecordOutcome]) -> Reported:
    report = job.report
    members = {
        "read": report.read,
        "blank": report.blank,
        "completed": report.completed,
        "landed": report.landed,
        "reconciled": report.reconciled,
        "complete": report.stopped_by is None,
        "by_disposition": {str(each): count for each, count in report.by_disposition.items()},
    }
    return Reported(
        members, [json.loads(dead_letter(each)) for each in outcomes if not each.disposition.has_landed]
    )


def run_one(seed: int) -> Trial:
    with (
        tempfile.TemporaryDirectory(prefix="power-loss-") as name,
        asyncio.Runner(loop_factory=VirtualTimeLoop) as runner,
    ):
        return runner.run(run_trial(seed, Path(name).resolve()))


def _main() -> int:
    parser = argparse.ArgumentParser("python -m tests.ingest.journal.power_loss", description=__doc__)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1, help="of the first trial; the next has the next one")
    parser.add_argument("--synchronous", default=journal_file.SYNCHRONOUS)
    given = parser.parse_args()
    journal_file.SYNCHRONOUS = given.synchronous
    lives = losses = untrue = 0
    for seed in range(given.seed, given.seed + given.trials):
        try:
            trial = run_one(seed)
        except Exception as error:
            error.add_note(f"--trials 1 --seed {seed}")
            raise
        lives, losses = lives + trial.lives, losses + trial.losses
        untrue += bool(trial.findings)
        for each in list(trial.findings)[:5]:
            print(f"--trials 1 --seed {seed}: {each}", flush=True)
    print(f"{given.trials} jobs, {lives} lives, {losses} losses of power; jobs with untrue ends: {untrue}")
    return bool(untrue)


if __name__ == "__main__":
    sys.exit(_main())
