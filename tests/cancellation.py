"""Cancels at every await, of every kind of call and of job: once, twice, and by a scope of anyio.

    python -m tests.cancellation [--loop LOOP] [--only NAME] [--stride N]

The client's tasks are counted step by step: after the n-th step of any of them, at whatever await that left it,
the caller is cancelled, and the work begins anew with n + 1. After each cancel must hold: it comes out as the
cancel that it is, no task and no thread is left, the session can be used, and what was stored is what was said.
"""

import argparse
import asyncio
import contextlib
import gc
import json
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import anyio
from attrs import define, field

from clinia_async import (
    AlreadyExists,
    BatchResult,
    ChunkLimits,
    Contained,
    CreateResource,
    DeleteResource,
    Disposition,
    Ingestion,
    Outcome,
    Patch,
    PatchOp,
    Polling,
    Session,
    Task,
    UpsertResource,
    read_ndjson,
)
from clinia_async.emulator import Accepted, Constant, Emulator, LostReply, Persisted
from tests.factories import SOURCE, TYPE, create_partition, session_at, write
from tests.virtual_time import EagerLoop, VirtualTimeLoop

WAYS = ("once", "twice at once", "twice", "scope")
"""How the caller is cancelled; a scope of anyio cancels again at every await until it is left."""
LOOPS = ("jumping", "uvloop", "eager")
D = Disposition
STORED = frozenset({D.PERSISTED, D.SUCCEEDED})
_TURN = 0.0005
"""Seconds that pass with each turn of the loop: a scope of anyio keeps it turning, and timers must go off."""
_LAST = 5000
_SERVERS = ("emulator", "web_protocol.py")


# ------------------------------------------------------------------------------ loops


class TurningLoop(VirtualTimeLoop):
    """Its clock jumps, and moves a little with each turn."""

    def _run_once(self) -> None:
        self._jumping.now += _TURN
        super()._run_once()  # type: ignore[misc]


class TurningEagerLoop(TurningLoop, EagerLoop):
    """The same, with eager tasks."""


def loop_of(kind: str) -> Callable[[], asyncio.AbstractEventLoop]:
    """Return the loop of that name."""
    if kind == "uvloop":
        from tests.virtual_uvloop import TurningUvloop

        return TurningUvloop
    return TurningEagerLoop if kind == "eager" else TurningLoop


def is_available(kind: str) -> bool:
    """Whether this Python has what the loop needs."""
    if kind == "uvloop":
        return find_spec("uvloop") is not None
    return kind != "eager" or hasattr(asyncio, "eager_task_factory")


# ------------------------------------------------------------------------------ steps


@define(eq=False)
class Steps:
    """Counts the steps of the client's tasks, and calls something after some of them."""

    count: int = 0
    calls: dict[int, Callable[[], object]] = field(factory=dict)

    @contextlib.contextmanager
    def counted(self) -> Iterator[None]:
        """Count the steps of tasks that are made in this block."""
        loop = asyncio.get_running_loop()
        before = loop.get_task_factory()

        def make(loop: Any, work: Any, **more: Any) -> Any:
            if _is_of_the_client(work):
                work = _Counted(work, self)
            return before(loop, work, **more) if before else asyncio.Task(work, loop=loop, **more)

        loop.set_task_factory(make)
        try:
            yield
        finally:
            loop.set_task_factory(before)

    def step(self) -> None:
        """Note that a task came to an await."""
        self.count += 1
        if self.count in self.calls:
            asyncio.get_running_loop().call_soon(self.calls[self.count])


class _Counted(Coroutine[Any, Any, Any]):
    """A coroutine that counts how often it comes to an await."""

    def __init__(self, work: Coroutine[Any, Any, Any], steps: Steps) -> None:
        self._work, self._steps = work, steps
        self.__name__ = self.__qualname__ = getattr(work, "__qualname__", "work")

    def send(self, value: Any) -> Any:
        found = self._work.send(value)
        self._steps.step()
        return found

    def throw(self, *error: Any) -> Any:
        found = self._work.throw(*error)
        self._steps.step()
        return found

    def close(self) -> None:
        self._work.close()

    def __await__(self) -> Any:
        return self._work.__await__()


def _is_of_the_client(work: Any) -> bool:
    file = getattr(getattr(work, "cr_code", None), "co_filename", "")
    return not any(each in file for each in _SERVERS)


# ------------------------------------------------------------------------------ what is cancelled


@define(eq=False)
class Stage:
    """Where a piece of work runs: an emulator, a session, a folder, and what the caller got to know."""

    emulator: Emulator
    folder: Path
    handles: list[Task[Any]] = field(factory=list)
    results: list[Any] = field(factory=list)
    job: Ingestion | None = None
    said: dict[int, Disposition] = field(factory=dict)
    is_unknown: bool = False
    """Whether the caller was told that nobody knows."""
    left_open: frozenset[Disposition] = frozenset()
    """What the next run may say, too."""

    def keep(self, task: Task[Any]) -> Task[Any]:
        """Note a handle that the caller has: its id is not lost."""
        self.handles.append(task)
        return task


Work = Callable[[Stage, Session], Coroutine[Any, Any, Any]]


async def create(stage: Stage, session: Session) -> None:
    await stage.keep(await session.submit(write("a")))


async def create_and_wait(stage: Stage, session: Session) -> None:
    stage.results.append(await session.submit(write("a")).result())


async def create_without_id(stage: Stage, session: Session) -> None:
    await stage.keep(await session.create_resource(SOURCE, "note", data={"n": 1}))


async def upsert(stage: Stage, session: Session) -> None:
    await stage.keep(await session.upsert_resource(SOURCE, "note", "n-1", data={"n": 1}))


async def update(stage: Stage, session: Session) -> None:
    patches = [Patch(PatchOp.REPLACE, "/n", 1)]
    await stage.keep(await session.update_relationship(SOURCE, TYPE, "old.org-9", patches))


async def contain(stage: Stage, session: Session) -> None:
    office = Contained("office", {"n": 1})
    await stage.keep(await session.create_contained(SOURCE, "note", "old-1", ["offices"], office))


async def delete(stage: Stage, session: Session) -> None:
    await stage.keep(await session.delete_relationship(SOURCE, TYPE, "old.org-9"))


async def bulk(stage: Stage, session: Session) -> None:
    await stage.keep(await session.bulk(SOURCE, [write("a"), write("b")]))


async def bundle(stage: Stage, session: Session) -> None:
    await stage.keep(
        await session.bundle(SOURCE, [write("a"), CreateResource(SOURCE, "note", "n-1", data={})])
    )


async def purge(stage: Stage, session: Session) -> None:
    await stage.keep(await session.purge(SOURCE, "resources", "note"))


async def partition(stage: Stage, session: Session) -> None:
    await stage.keep(await create_partition(session))


async def coalesced(stage: Stage, session: Session) -> None:
    async def one(name: str) -> None:
        await stage.keep(await session.submit(write(name)))

    await asyncio.gather(*map(one, "abc"))


async def get(stage: Stage, session: Session) -> None:
    await session.get_relationship(SOURCE, TYPE, "old.org-9")


async def browse(stage: Stage, session: Session) -> None:
    assert len([hit async for hit in session.browse(SOURCE, ["note"])]) == 1


async def gather(stage: Stage, session: Session) -> None:
    tasks = [stage.keep(await session.submit(write(name))) for name in "abc"]
    await session.gather(*tasks)


async def as_completed(stage: Stage, session: Session) -> None:
    tasks = [stage.keep(await session.submit(write(name))) for name in "abc"]
    assert len([task async for task in session.as_completed(tasks)]) == 3


async def updates(stage: Stage, session: Session) -> None:
    task = stage.keep(await session.submit(write("a")))
    async for _ in task.updates():
        pass


async def resume(stage: Stage, session: Session) -> None:
    task = stage.keep(await session.submit(write("a")))
    await (task if task.id is None else session.task(task.token()))


CALLS: dict[str, Work] = {
    work.__name__: work
    for work in (
        create, create_and_wait, create_without_id, upsert, update, contain, delete, bulk, bundle, purge,
        partition, coalesced, get, browse, gather, as_completed, updates, resume,
    )
}  # fmt: skip
LOST_ROUTES = ("create_relationship", "put_resource", "bulk_relationships", "bundle", "put_partition")
ANSWERS = ("persisted", "accepted", "lost")
"""What the service does: at once, by a task, or at once with its first answer lost."""


def writes() -> list[Any]:
    """One write of each of eight records."""
    upserts = [UpsertResource(SOURCE, "note", f"n-{number}", data={"n": number}) for number in range(3)]
    return [*map(write, "abcd"), *upserts, DeleteResource(SOURCE, "note", "old-1")]


def lines(folder: Path) -> Any:
    path = folder / "in.ndjson"
    if not path.exists():
        path.write_text("".join(json.dumps(_line(name)) + "\n" for name in "abcdef"))
    return read_ndjson(path, source=SOURCE)


def _line(name: str) -> dict[str, Any]:
    ends = {"from": {"id": name, "type": "p"}, "to": {"id": "b", "type": "o"}}
    return {"type": TYPE, **ends, "data": {"n": 1}}


def job_of(via: str, *, reads: str, journal: bool) -> Work:
    """A job that is read to its end in its block, as a service does."""

    async def run(stage: Stage, session: Session) -> None:
        items = lines(stage.folder) if reads == "ndjson" else writes()
        if via == "bundle" and reads == "typed":
            # a bundle that was carried out and is sent again is refused whole, for its delete finds nothing
            stage.left_open = frozenset({D.UNKNOWN})
        stage.job = Ingestion(
            session,
            SOURCE,
            items,
            via=via,
            journal=stage.folder / "journal" if journal else None,
            chunk=ChunkLimits(operations=2),
            workers=2,
        )
        async with stage.job as job:
            async for outcome in job:
                stage.said[outcome.line] = outcome.disposition

    return run


JOBS: dict[str, Work] = {
    f"job {via} {reads}{' journal' * journal}": job_of(via, reads=reads, journal=journal)
    for via in ("single", "bulk", "bundle")
    for reads in ("typed", "ndjson")
    for journal in (False, True)
}
SCENARIOS = {
    **{f"{name} {answers}": (work, answers) for name, work in CALLS.items() for answers in ANSWERS},
    **{f"{name} {answers}": (work, answers) for name, work in JOBS.items() for answers in ANSWERS},
}


# ------------------------------------------------------------------------------ one cancel


@contextlib.asynccontextmanager
async def staged(answers: str, folder: Path) -> AsyncIterator[Stage]:
    """An emulator that holds a relationship and a resource, and answers as asked for."""
    mode = Accepted(Constant(0.3)) if answers == "accepted" else Persisted()
    async with Emulator(bulk=Constant(0.3)) as emulator:
        async with session_at(emulator) as session:
            await (await session.submit(write("old", data={"n": 0})))
            await (await session.submit(CreateResource(SOURCE, "note", "old-1", data={"n": 0})))
        emulator.default = emulator.bundle = mode
        for route in LOST_ROUTES if answers == "lost" else ():
            emulator.faults.add(LostReply(route=route, times=1))
        yield Stage(emulator, folder)


async def cancel_at(work: Work, answers: str, *, at: int, way: str, folder: Path) -> bool:
    """Cancel a piece of work after so many steps; return whether it had ended before."""
    async with staged(answers, folder) as stage:
        before, files = asyncio.all_tasks(), open_files()
        async with session_at(
            stage.emulator, coalesce=work is coalesced, polling=Polling(jitter=0.0)
        ) as session:
            was_over = await _cancelled(stage, lambda: work(stage, session), at=at, way=way)
            report = None if stage.job is None else stage.job.report
            assert report is None or report.completed == report.read, f"{report.completed} of {report.read}"
            await asyncio.sleep(60)  # what is late is carried out by now
            if stage.job is None:
                await check_call(stage, session)
            else:
                check_job(stage)
            assert session._engine.open().poller.scheduled == 0
            assert (await (await session.submit(write("afterwards")))).id == "afterwards.org-9"
        await asyncio.sleep(60)
        assert {task for task in asyncio.all_tasks() - before if _is_of_the_client(task.get_coro())} == set()
        assert [each.name for each in threading.enumerate() if each.name.startswith("clinia")] == []
        assert (now := open_files()) <= files, f"{now - files} more open files"
        if stage.job is not None and (folder / "journal").exists():
            await check_next_run(work, stage)
    return was_over


async def _cancelled(
    stage: Stage, work: Callable[[], Coroutine[Any, Any, Any]], *, at: int, way: str
) -> bool:
    """Run a piece of work and cancel it; return whether it had ended before."""
    steps, granted, late = Steps(), list[bool](), list[bool]()

    def cancel() -> None:
        granted.append(not running.done())
        if way == "scope":
            # anyio leaves a task alone that is about to go on: it is cancelled at its next await, if there is one
            waiter = running._fut_waiter  # type: ignore[attr-defined]
            late.append(waiter is not None and waiter.done())
            scope.cancel()
        else:
            running.cancel()

    scope = anyio.CancelScope()
    with steps.counted():
        running = asyncio.ensure_future(_within(scope, work) if way == "scope" else work())
        now = max(at, steps.count)  # an eager task has taken steps already
        steps.calls[now] = cancel
        if way.startswith("twice"):
            steps.calls[now + (1 if way == "twice at once" else 4)] = cancel
        if now == steps.count:
            cancel()
        await asyncio.wait([running])
    assert granted or steps.count <= now, "a cancel was left out, so nothing was tried"
    if not granted or not granted[0] or (late == [True] and running.result() is False):
        if isinstance(running.exception(), AlreadyExists):  # a bundle whose answer was lost
            stage.is_unknown = True
        else:
            running.result()
        return True
    assert running.result() if way == "scope" else running.cancelled(), "a cancel comes out as itself"
    return False


async def _within(scope: anyio.CancelScope, work: Callable[[], Coroutine[Any, Any, Any]]) -> bool:
    """Run a piece of work in a scope; return whether the scope took the cancel."""
    with scope:
        await work()
    return scope.cancelled_caught


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir())) if sys.platform == "linux" else 0


# ------------------------------------------------------------------------------ what must hold


async def check_call(stage: Stage, session: Session) -> None:
    """What was changed is what the caller, or `in_doubt`, has a handle of, and nothing else."""
    entries = session.in_doubt
    unknown = [entry.error.outcome for entry in entries if entry.error is not None]
    assert set(unknown) <= {Outcome.UNKNOWN}
    assert all(entry.task or entry.error for entry in entries), "an answer comes, and is kept"
    late = [entry.task for entry in entries if entry.task is not None]
    results = [*stage.results, *[await task for task in (*stage.handles, *late)]]
    known = {name for result in results for name in _names(result)}
    changed = await changes(stage.emulator, session)
    is_unknown = stage.is_unknown or unknown
    assert known == changed or (is_unknown and known < changed), f"known {known}, changed {changed}"


def _names(result: Any) -> Sequence[str]:
    """The keys of what a result is about."""
    if result is None:
        return ["old.org-9"]  # the only one that is deleted
    if isinstance(result, BatchResult):  # with no receipts, if it was carried out at once
        return [str(each.id) for each in result.receipts or result.writes]
    return [str(getattr(result, "id", None) or getattr(result, "key", "old-1"))]


async def changes(emulator: Emulator, session: Session) -> set[str]:
    """The keys of all that is not as it was before the work."""
    found = {each.id: each.data for each in (*emulator.stored(), *emulator.stored_resources())}
    before = {"old.org-9": {"n": 0}, "old-1": {"n": 0}}
    changed = {id_ for id_ in found.keys() | before.keys() if found.get(id_) != before.get(id_)}
    if "old-1" in found and (await session.get_resource(SOURCE, "note", "old-1")).contained:
        changed.add("old-1")
    return changed | {"clinics" for _ in range(emulator.partitions())}


def check_job(stage: Stage) -> None:
    """What was said of a record is what became of it, and the counts of the report are true."""
    assert stage.job is not None
    happened = carried_out(stage.emulator)
    for line, disposition in stage.said.items():
        if disposition is not D.UNKNOWN:
            assert disposition.has_landed == (line in happened), f"{line}: {disposition}"
    counts = stage.job.report.by_disposition
    landed = sum(count for disposition, count in counts.items() if disposition.has_landed)
    assert landed <= len(happened) <= landed + counts[D.UNKNOWN]


def carried_out(emulator: Emulator) -> set[int]:
    """The lines whose write was carried out."""
    stored = {each.id for each in (*emulator.stored(), *emulator.stored_resources())}
    made = [*(f"{name}.org-9" for name in "abcd"), "n-0", "n-1", "n-2"]
    if any(f"{name}.b" in stored for name in "abcdef"):  # the lines of the file
        return {line for line, name in enumerate("abcdef", 1) if f"{name}.b" in stored}
    found = {line for line, id_ in enumerate(made, 1) if id_ in stored}
    return found if "old-1" in stored else {*found, 8}


async def check_next_run(work: Work, stage: Stage) -> None:
    """The same command once more does the rest, and nothing twice."""
    stage.said.clear()
    async with session_at(stage.emulator) as session:
        await work(stage, session)
    assert stage.job is not None
    report = stage.job.report
    assert report.completed == report.read
    assert carried_out(stage.emulator) == set(range(1, report.read + 1)), carried_out(stage.emulator)
    failed = {disposition for disposition in report.by_disposition if not disposition.has_landed}
    assert failed <= stage.left_open, failed


# ------------------------------------------------------------------------------ all of them


def cancel_everywhere(name: str, way: str, kind: str, *, first: int = 0, stride: int = 1) -> int:
    """Cancel a piece of work at every await, or at every `stride`-th; return at how many.

    Raises:
        AssertionError: something does not hold; the text names the step.
    """
    work, answers = SCENARIOS[name]
    for number, at in enumerate(range(first, _LAST, stride)):
        with tempfile.TemporaryDirectory() as folder:
            try:
                with asyncio.Runner(loop_factory=loop_of(kind)) as runner:
                    was_over = runner.run(cancel_at(work, answers, at=at, way=way, folder=Path(folder)))
            except BaseException as error:
                error.add_note(f"{name}, cancelled {way} after step {at}, on {kind}")
                raise
        if was_over:
            gc.collect()  # what was not closed would be heard of now
            return number
    raise AssertionError("the work never came to its end")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.cancellation", description=__doc__.splitlines()[0])
    parser.add_argument("--loop", choices=LOOPS, action="append", help="default: each that there is")
    parser.add_argument("--only", metavar="NAME", help="only work with this in its name")
    parser.add_argument("--stride", type=int, default=1, help="cancel at every so-many-th await")
    chosen = parser.parse_args(arguments)
    warnings.simplefilter("error")
    points = broken = 0
    for kind in chosen.loop or filter(is_available, LOOPS):
        for name in SCENARIOS:
            if chosen.only in name if chosen.only else True:
                found, faults = _all_ways(name, kind, chosen.stride)
                points, broken = points + found, broken + faults
    print(f"{points} cancels, {broken} faults")
    return int(broken > 0)


def _all_ways(name: str, kind: str, stride: int) -> tuple[int, int]:
    began, points, broken = time.monotonic(), 0, 0
    for way in WAYS:
        try:
            points += cancel_everywhere(name, way, kind, stride=stride)
        except Exception as error:  # noqa: BLE001  whatever it is, it is printed
            broken += 1
            print(f"  {type(error).__name__}: {error}", *getattr(error, "__notes__", ()), flush=True)
    print(f"{kind:<8} {points:>6} cancels {time.monotonic() - began:6.0f} s  {name}", flush=True)
    return points, broken


if __name__ == "__main__":
    sys.exit(main())
