"""Mixed work with faults for a long time: memory, descriptors, tasks and threads stay flat.

    python -m tests.soak --minutes 30

It runs in development mode with every warning an error, and prints a line a minute. The exit code is 1 where
a figure grows, a write is lost or doubled, or anything is raised that is not an error of the library.
"""

import argparse
import asyncio
import gc
import os
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

from attrs import astuple, define, field, frozen

from clinia_async import (
    ChunkLimits,
    CliniaError,
    CreateRelationship,
    Ingestion,
    Outcome,
    Ref,
    RetryPolicy,
    Session,
)
from clinia_async.emulator import (
    Accepted,
    DroppedRequest,
    Emulator,
    LogNormal,
    LostReply,
    TooManyRequests,
    TruncatedBody,
    Unavailable,
)

SOURCE, TYPE = "ehr", "treats"
WRITES = ("create_relationship", "bulk_relationships", "delete_relationship")
READS = ("get_task", "get_relationship")
MOST_GROWTH = 8.0
"""MiB that the median of the last third may be above that of the first; a leak grows without end."""


@frozen
class Sample:
    """What the process holds at one moment, in MiB and counts."""

    memory: float
    descriptors: int
    tasks: int
    threads: int

    @classmethod
    def now(cls) -> "Sample":
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        memory = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
        descriptors = sum(1 for _ in Path("/proc/self/fd").iterdir())
        return cls(memory, descriptors, len(asyncio.all_tasks()), threading.active_count())


@define
class Soak:
    random: Random
    folder: Path
    rounds: Counter[str] = field(factory=Counter)
    problems: list[str] = field(factory=list)
    _number: int = 0

    async def run(self, seconds: float, every: float) -> list[Sample]:
        """Work for so long, and return a sample of each idle moment between two rounds."""
        samples: list[Sample] = []
        end = time.monotonic() + seconds
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: self.problems.append(str(context))
        )
        while time.monotonic() < end:
            begun = time.monotonic()
            while time.monotonic() < min(begun + every, end):
                await self._round()
            await asyncio.sleep(0.2)
            samples.append(Sample.now())
            print(
                len(samples), *(f"{each:.0f}" for each in astuple(samples[-1])), dict(self.rounds), flush=True
            )
        return samples

    async def _round(self) -> None:
        """Open a service and a session, do everything at once, and close both."""
        options = {"coalesce": self.random.random() < 0.3, "retry": RetryPolicy(budget=None)}
        default = Accepted(LogNormal(0.01, 1.0)) if self.random.random() < 0.5 else None
        modes = {} if default is None else {"default": default}
        async with Emulator(**modes) as emulator:  # type: ignore[arg-type]
            for fault in self._faults():
                emulator.faults.add(fault)
            async with Session(base_url=emulator.url, api_key=emulator.key, **options) as session:
                before = self._number
                work = [self._single(session) for _ in range(20)]
                work += [self._cancelled(session) for _ in range(5)]
                work += [self._job(session), self._bulk(session), self._read(session)]
                await asyncio.gather(*(self._guarded(each) for each in work))
            ids = [each.id for each in emulator.stored()]
            if len(ids) != len(set(ids)) or len(ids) > self._number - before:
                self.problems.append("a record is there twice")

    def _faults(self) -> list[LostReply | DroppedRequest | TruncatedBody | TooManyRequests | Unavailable]:
        return [
            kind(route=route, probability=self.random.uniform(0.0, 0.1), **more)  # type: ignore[arg-type]
            for route in (*WRITES, *READS)
            for kind, more in (
                (LostReply, {}),
                (DroppedRequest, {}),
                (TruncatedBody, {}),
                (TooManyRequests, {"retry_after": 0}),
                (Unavailable, {"executed": True}),
            )
        ]

    async def _guarded(self, work: Awaitable[str]) -> None:
        try:
            name = await work
        except CliniaError as error:
            name = type(error).__name__
            if error.outcome is Outcome.REJECTED and name not in {"ApiError", "TaskFailed", "AlreadyExists"}:
                self.problems.append(f"rejected by {name}")
        except Exception as error:  # noqa: BLE001
            self.problems.append(f"{type(error).__name__} escaped")
            name = "escaped"
        self.rounds[name] += 1

    def _write(self) -> CreateRelationship:
        self._number += 1
        return CreateRelationship(
            SOURCE, TYPE, Ref(f"p-{self._number}", "patient"), Ref("o", "organization"), {"n": self._number}
        )

    async def _single(self, session: Session) -> str:
        await (await session.submit(self._write()))
        return "single"

    async def _cancelled(self, session: Session) -> str:
        work = asyncio.ensure_future(self._single(session))
        await asyncio.sleep(self.random.uniform(0.0, 0.05))
        work.cancel()
        await asyncio.wait([work])
        if not work.cancelled() and (error := work.exception()) is not None:
            raise error
        return "cancelled"

    async def _bulk(self, session: Session) -> str:
        await (await session.bulk(SOURCE, [self._write() for _ in range(50)]))
        return "bulk"

    async def _read(self, session: Session) -> str:
        for _ in range(10):
            try:
                await session.get_relationship(SOURCE, TYPE, "a.b")
            except CliniaError:
                continue
        return "read"

    async def _job(self, session: Session) -> str:
        journal = self.folder / f"j{self._number}.db"
        writes = [self._write() for _ in range(100)]
        job = Ingestion(session, SOURCE, writes, journal=journal, chunk=ChunkLimits(operations=20))
        async with job:
            async for _ in job:
                pass
        for path in self.folder.glob(f"{journal.name}*"):
            path.unlink()
        return "job"


@asynccontextmanager
async def _folder() -> AsyncIterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def grown(samples: list[Sample]) -> list[str]:
    """Name the figures whose last third lies above the second; the first third is for warming up."""
    third = max(len(samples) // 3, 1)
    middle, last = samples[third : 2 * third] or samples[:1], samples[-third:]
    found = []
    for name, most in (("memory", MOST_GROWTH), ("descriptors", 0), ("tasks", 0), ("threads", 0)):
        before, after = (statistics.median(getattr(each, name) for each in part) for part in (middle, last))
        if after - before > most:
            found.append(f"{name} grew from {before:.1f} to {after:.1f}")
    return found


async def _main(minutes: float, seed: int) -> int:
    async with _folder() as folder:
        soak = Soak(Random(seed), folder)
        samples = await soak.run(minutes * 60, every=min(60.0, minutes * 6))
    problems = [*sorted(set(soak.problems)), *grown(samples)]
    first, last = samples[0], samples[-1]
    print(f"{minutes:g} minutes, {soak.rounds.total()} pieces of work; first {first}, last {last}")
    print("flat" if not problems else f"NOT FLAT: {problems}")
    return bool(problems)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    if not sys.flags.dev_mode:
        command = [sys.executable, "-X", "dev", "-W", "error", "-m", "tests.soak", *sys.argv[1:]]
        os.execv(sys.executable, command)
    return asyncio.run(_main(given.minutes, given.seed))


if __name__ == "__main__":
    sys.exit(main())
