"""Rows 103 to 126: processes, disks, clocks and loops that end, fill up, jump or stand still."""

import asyncio
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from typing import Any

from clinia_async import (
    ChunkLimits,
    CliniaError,
    CreateResource,
    Disposition,
    Ingestion,
    JournalBusy,
    JournalError,
    Outcome,
    RetryPolicy,
    Session,
    SessionClosed,
    TaskError,
    UpsertResource,
)
from clinia_async.emulator import Accepted, Constant, Emulator, LateExecution, LostReply, Persisted
from tests.factories import KEY
from tests.hostile import Hostile, after, persisted
from tests.ingest.running import SOURCE, run, session_for, stored_data, writes
from tests.matrix.stage import Stage, create, get, not_here, poll, row
from tests.patience import PATIENCE
from tests.privileges import without_rights_of_root

ROOT = Path(__file__).parents[2]
D = Disposition


async def module(*arguments: str) -> str:
    """Run a module of the tests in an interpreter of its own; return what it prints."""
    command = [sys.executable, "-m", *arguments]

    def work() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False
        )

    ran = await asyncio.to_thread(work)
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-2000:]
    return ran.stdout


@row(103, "cut off at any step, twice, with another fault")
async def cut_off_anywhere(stage: Stage) -> None:
    async with Emulator(bulk=Constant(0.3)) as emulator:
        for first in range(2, 40, 6):
            emulator.faults.clear()
            emulator.faults.add(LostReply(route="bulk_relationships", times=1))
            journal = stage.folder / f"j{first}"
            options: dict[str, Any] = {"journal": journal, "chunk": ChunkLimits(operations=2), "workers": 2}
            for steps in (first, first + 3):
                async with session_for(emulator) as one:
                    job = Ingestion(one, SOURCE, writes(6), **options)

                    async def drain(job: Ingestion = job) -> None:
                        async with job:
                            async for _ in job:
                                pass

                    work = asyncio.ensure_future(drain())
                    for _ in range(steps):
                        await asyncio.sleep(0.01)
                    work.cancel()
                    await asyncio.wait([work])
            found = await run(emulator, writes(6), **options)
            assert found.error is None
            assert set(found.reported) <= {D.PERSISTED, D.EXISTING}
            assert stored_data(emulator) == {each.id: each.data for each in writes(6)}


@row(104, "killed at random")
async def killed(stage: Stage) -> None:
    out = await module("tests.ingest.journal.kills", "--kills", "10", "--seed", "3")
    assert "lost 0, doubled 0, wrongly reported 0" in out


@row(105, "SIGTERM and SIGINT, once and twice")
async def signals(stage: Stage) -> None:
    lines = "".join(
        f'{{"type":"t","from":{{"id":"p-{n}","type":"a"}},"to":{{"id":"o","type":"b"}}}}\n'
        for n in range(20_000)
    )
    source = stage.folder / "in.ndjson"
    source.write_text(lines)

    def work(number: int, *, twice: bool) -> int:
        command = [sys.executable, "-m", "clinia_async", "ingest", str(source), "--source", "s", "--emulator"]
        command += ["--via", "single", "--dead-letters", str(stage.folder / "d"), "--json"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT)
        time.sleep(2)
        process.send_signal(number)
        if twice:
            assert process.stderr is not None
            process.stderr.readline()
            process.send_signal(number)
        process.communicate(timeout=PATIENCE)
        return process.returncode

    for number, code in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
        for twice in (False, True):
            assert await asyncio.to_thread(work, number, twice=twice) in {code, -number, 1, 0}


@row(106, "the power fails")
async def power_loss(stage: Stage) -> None:
    await module("tests.ingest.journal.power_loss", "--trials", "5")


@row(107, "the order of system calls")
async def order_of_calls(stage: Stage) -> None:
    if shutil.which("strace") is None:
        return  # said below
    program = (
        "import asyncio, sys\nfrom pathlib import Path\nfrom clinia_async.emulator import Emulator\n"
        "from tests.ingest.running import run, writes\n"
        "async def main():\n async with Emulator() as e: print((await run(e, writes(5), journal=Path(sys.argv[1]))).error)\n"
        "asyncio.run(main())\n"
    )
    trace = stage.folder / "trace"
    command = ["strace", "-f", "-y", "-s", "80", "-o", str(trace), "-e", "trace=fdatasync,fsync,sendto,write"]
    command += [sys.executable, "-c", program, str(stage.folder / "j")]
    ran = await asyncio.to_thread(
        lambda: subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    )
    if ran.returncode and "ptrace" in ran.stderr:
        return  # this machine lets nobody trace
    assert ran.stdout.strip() == "None", ran.stderr[-500:]
    calls = trace.read_text(errors="replace").splitlines()
    posts = [number for number, line in enumerate(calls) if "POST /sources" in line]
    syncs = [number for number, line in enumerate(calls) if "sync(" in line and "/j" in line]
    assert posts
    assert any(number < posts[0] for number in syncs), (
        "what is sent is on the disk before its first byte leaves"
    )


@row(108, "the disk is full")
async def full_disk(stage: Stage) -> None:
    journal = stage.folder / "j"
    async with Emulator() as emulator:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, before[1]))
        try:
            found = await run(emulator, writes(200), journal=journal, chunk=ChunkLimits(operations=1))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert isinstance(found.error, JournalError)
        stage.silent(found.error)
        assert len(stored_data(emulator)) == found.reported[D.PERSISTED]
        if journal.exists() and not journal.stat().st_size:
            journal.unlink()
        again = await run(emulator, writes(200), journal=stage.folder / "another")
        assert again.reported[D.PERSISTED] + again.reported[D.EXISTING] == 200


@row(109, "input and output errors of the disk")
async def broken_disk(stage: Stage) -> None:
    from tests.ingest.journal.test_disk_trouble import Failing, connected

    for at in (3, 9, 14):
        for done_first in (False, True):
            journal = stage.folder / f"j{at}{done_first}"
            async with Emulator() as emulator:
                with connected(
                    lambda plain, at=at, first=done_first: Failing(plain, at, "SQLITE_IOERR_FSYNC", first)
                ):  # type: ignore[misc]
                    found = await run(emulator, writes(6), journal=journal, chunk=ChunkLimits(operations=2))
                if found.error is not None:
                    assert isinstance(found.error, JournalError)
                    stage.silent(found.error)
                again = await run(emulator, writes(6), journal=journal, chunk=ChunkLimits(operations=2))
                assert again.error is None
                assert stored_data(emulator) == {each.id: each.data for each in writes(6)}


@row(110, "a journal that is damaged, empty, foreign or newer")
async def unfit_journals(stage: Stage) -> None:
    from tests.ingest.journal.test_journal import spoiled

    journal = stage.folder / "j"
    async with Emulator() as emulator:
        await run(emulator, writes(300), journal=journal, chunk=ChunkLimits(operations=1))
        requests = emulator.requests.total()
        for words, _ in spoiled(journal):
            found = await run(emulator, writes(300), journal=journal)
            assert isinstance(found.error, JournalError), words
            stage.silent(found.error)
        assert emulator.requests.total() == requests


@row(111, "a folder that is not there or everybody's, a link in its place")
async def unfit_folders(stage: Stage) -> None:
    public, real = stage.folder / "public", stage.folder / "real"
    public.mkdir()
    public.chmod(0o777)
    real.mkdir(mode=0o700)
    (real / "link").symlink_to(stage.folder / "elsewhere")
    async with Emulator() as emulator:
        for path in (stage.folder / "no" / "j", public / "j", real / "link"):
            found = await run(emulator, writes(5), journal=path)
            assert isinstance(found.error, JournalError)
            stage.silent(found.error)
        assert not emulator.requests
        real.chmod(0o500)
        with without_rights_of_root():
            assert isinstance((await run(emulator, writes(5), journal=real / "j")).error, JournalError)


@row(112, "two jobs on one journal, and one after a job that was killed")
async def two_jobs(stage: Stage) -> None:
    journal = stage.folder / "j"
    async with Emulator(bulk=Constant(30)) as emulator, session_for(emulator) as one:
        async with Ingestion(one, SOURCE, writes(5), journal=journal):
            await asyncio.sleep(1)
            found = await run(emulator, writes(5), journal=journal)
            assert isinstance(found.error, JournalBusy)
            stage.silent(found.error)
        found = await run(emulator, writes(5), journal=journal)
        assert (found.error, found.reported) == (None, {D.PERSISTED: 5})
    assert [each.name for each in stage.folder.iterdir()] == ["j"]


@row(113, "a journal on tmpfs, and where write-ahead logging is not granted")
async def file_systems(stage: Stage) -> None:
    from tests.ingest.journal.test_disk_trouble import connected

    options: dict[str, Any] = {"chunk": ChunkLimits(operations=2)}
    memory = Path("/dev/shm")
    async with Emulator(bulk=Constant(5)) as emulator:
        with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else stage.folder) as folder:
            journal = Path(folder) / "j"
            async with session_for(emulator) as one:
                async with Ingestion(one, SOURCE, writes(6), journal=journal, **options) as job:
                    await asyncio.sleep(1)
                    job.stop(grace=0)
                assert journal.exists()
            again = await run(emulator, writes(6), journal=journal, **options)
            assert again.error is None
            assert stored_data(emulator) == {each.id: each.data for each in writes(6)}

        requests = emulator.requests.total()
        with connected(lambda plain: plain):
            stage.monkeypatch.setattr("clinia_async.ingest.journal.file.sqlite3", _WithoutLog)
            found = await run(emulator, writes(6), journal=stage.folder / "j", **options)
        assert isinstance(found.error, JournalError)
        assert "write-ahead logging" in str(found.error)
        stage.silent(found.error)
        assert emulator.requests.total() == requests
        assert not [*stage.folder.iterdir()], "nothing is left of a journal that cannot be made"


class _WithoutLog:
    """SQLite on a file system that grants no write-ahead log: the answer is the mode that stays."""

    Error = sqlite3.Error
    Connection = sqlite3.Connection

    class _Connection(sqlite3.Connection):
        def execute(self, sql: str, values: Any = ()) -> sqlite3.Cursor:
            return super().execute("PRAGMA journal_mode=DELETE" if "journal_mode" in sql else sql, values)

    @classmethod
    def connect(cls, *args: Any, **options: Any) -> sqlite3.Connection:
        return sqlite3.connect(*args, factory=cls._Connection, **options)


@row(114, "a copy of a journal goes on elsewhere")
async def copied_journal(stage: Stage) -> None:
    journal, copy = stage.folder / "j", stage.folder / "copy"
    async with Emulator() as emulator:
        await run(emulator, writes(20), journal=journal, chunk=ChunkLimits(operations=5))
        shutil.copy(journal, copy)
        copy.chmod(0o600)
        requests = emulator.requests.total()
        found = await run(emulator, writes(20), journal=copy)
        assert isinstance(found.error, JournalError)
        stage.silent(found.error)
        assert emulator.requests.total() == requests


FORKING = """
import asyncio, os, sys
from pathlib import Path
from clinia_async import ChunkLimits, ConfigError, Ingestion, Session
from tests.factories import KEY
from tests.ingest.running import SOURCE, writes
from tests.matrix.stage import get

async def child(session, how):
    try:
        if how == "goes on":
            await get(session)
        elif how == "a job":
            await Ingestion(session, SOURCE, writes(3)).run()
        elif how == "another loop":
            asyncio.run(get(session))
    except ConfigError:
        os._exit(0)
    if how == "the interpreter ends":
        raise SystemExit(0)  # as where a process makes a daemon of itself
    os._exit(1)

async def main():
    how, url, journal = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    async with Session(base_url=url, api_key=KEY) as session:
        chunks, goes_on = ChunkLimits(operations=10), asyncio.Event()
        if how == "no fork":
            goes_on.set()

        async def source():
            for number, write in enumerate(writes(200)):
                if number == 100:
                    await goes_on.wait()  # the job is under way while there is a child, however slow
                yield write

        job = Ingestion(session, SOURCE, source(), journal=journal, via="bulk", chunk=chunks)
        async with job:
            async for outcome in job:
                break
            if how != "no fork":
                number = os.fork()
                if number == 0:
                    await child(session, how)
                _, status = await asyncio.to_thread(os.waitpid, number, 0)
                print("child", status, flush=True)
            if how == "the interpreter ends":
                assert journal.with_name(journal.name + "-wal").exists()
                os._exit(0)  # nothing but the journal is left
            goes_on.set()
            async for outcome in job:
                assert outcome.disposition.has_landed
    print("landed", sum(job.report.by_disposition.values()))

asyncio.run(main())
"""


SERVICE = """
import sys, time
from clinia_async.emulator import Constant, Emulator
from tests.factories import KEY
import asyncio
async def main():
    async with Emulator(key=KEY, bulk=Constant(0.2)) as emulator:
        print(emulator.url, flush=True)
        await asyncio.to_thread(sys.stdin.read)
        print(emulator.requests["get_relationship"], emulator.relationships(), flush=True)
asyncio.run(main())
"""


def fork(how: str, journal: Path) -> None:
    """Run a job in a process that forks, against a service of its own, and what is left of it afterwards."""
    program = [sys.executable, "-W", "ignore", "-c"]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT}
    with subprocess.Popen([*program, SERVICE], **pipes) as service:
        assert service.stdout is not None
        url = service.stdout.readline().strip()
        command = [*program, FORKING, how, url, str(journal)]
        try:
            ran = subprocess.run(
                command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False
            )
            assert ran.returncode == 0, ran.stderr[-2000:]
            if how != "the interpreter ends":
                assert ran.stdout.startswith("child 0\n"), "it is told what to do instead"
            else:
                again = [*program, FORKING, "no fork", url, str(journal)]
                ran = subprocess.run(
                    again, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False
                )
            assert ran.stdout.endswith("landed 200\n"), ran.stdout + ran.stderr[-2000:]
        finally:
            said, _ = service.communicate("")
    read, stored = said.split()
    assert stored == "200", "each record is there once"
    # a run that resumes reads what a request stored whose answer the run before did not live to see
    assert read == "0" or how == "the interpreter ends", "the child sends nothing"


@row(115, "a fork while a session and a journal are open")
async def forked(stage: Stage) -> None:
    for number, how in enumerate(("goes on", "a job", "another loop", "the interpreter ends")):
        await asyncio.to_thread(fork, how, stage.folder / f"j{number}")


@row(116, "the wall clock jumps by a day, and an hour passes while nothing runs")
async def clock_jumps(stage: Stage) -> None:
    async with stage.against(persisted, after(3, persisted), persisted) as (one, server):
        await create(one, "a")
        for jump in (-86_400, 86_400):
            stage.monkeypatch.setattr(time, "time", lambda now=time.time, jump=jump: now() + jump)
        await create(one, "b")
        await asyncio.sleep(3600)
        await create(one, "c")
        assert len(server.requests) == 3


@row(117, "the loop is blocked for 30 s")
async def blocked_loop(stage: Stage) -> None:
    loop = asyncio.get_running_loop()
    async with stage.against(after(0.5, persisted), timeout=20.0, retry=RetryPolicy()) as (one, _):
        work = asyncio.ensure_future(create(one))
        await asyncio.sleep(0.1)
        loop._jumping.now += 30  # type: ignore[attr-defined]  # as if a callback had taken so long
        try:
            await work
        except CliniaError as error:
            stage.silent(error)
            assert error.outcome is Outcome.UNKNOWN


@row(118, "10,000 handles, and a job of many records")
async def many_handles(stage: Stage) -> None:
    import tracemalloc

    async with Emulator() as emulator, session_for(emulator) as one:
        tracemalloc.start()
        try:
            tasks = [one.task(f"s_{number}", source=SOURCE) for number in range(10_000)]
            assert tracemalloc.get_traced_memory()[0] < 30_000_000
            del tasks
            found = await run(emulator, (each for each in writes(20_000)), via="bulk")
            assert found.reported == {D.PERSISTED: 20_000}
            assert tracemalloc.get_traced_memory()[1] < 150_000_000
        finally:
            tracemalloc.stop()


@row(119, "the interpreter ends in the middle of a job")
async def interpreter_ends(stage: Stage) -> None:
    program = (
        "import asyncio, os, sys\nfrom pathlib import Path\nfrom clinia_async.emulator import *\n"
        "from clinia_async import Ingestion\nfrom tests.ingest.running import SOURCE, session_for, writes\n"
        "async def main():\n"
        " async with Emulator(bulk=Constant(30)) as e, session_for(e) as s:\n"
        "  async with Ingestion(s, SOURCE, writes(5), journal=Path(sys.argv[1])):\n"
        "   await asyncio.sleep(1); os._exit(7) if sys.argv[2] == 'x' else sys.exit(7)\n"
        "asyncio.run(main())\n"
    )
    for way in "xs":
        command = [sys.executable, "-c", program, str(stage.folder / way), way]
        ran = await asyncio.to_thread(
            lambda command=command: subprocess.run(
                command, cwd=ROOT, capture_output=True, timeout=PATIENCE, check=False
            )
        )
        assert ran.returncode == 7
        assert (stage.folder / way).exists()


@row(120, "no descriptor is left")
async def no_descriptors(stage: Stage) -> None:
    async with Hostile(otherwise=persisted) as server:
        async with Session(api_key=KEY, base_url=server.url, retry=RetryPolicy(attempts=1)) as one:
            await create(one, "warm-up")
            one_more = Session(api_key=KEY, base_url=server.url, retry=RetryPolicy(attempts=2))
            before = resource.getrlimit(resource.RLIMIT_NOFILE)
            free = os.dup(0)  # the lowest number that is free: a limit of it leaves none
            os.close(free)
            resource.setrlimit(resource.RLIMIT_NOFILE, (free, before[1]))
            try:
                await stage.fails(create(one_more), CliniaError, Outcome.NOT_SENT)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, before)
            assert (await create(one_more)).done()
            await one_more.aclose()


@row(121, "cancelled at every await, once and twice, and while it closes")
async def cancelled_anywhere(stage: Stage) -> None:
    from tests.cancellation import CALLS, WAYS, cancel_everywhere

    def run() -> None:
        for number, name in enumerate(CALLS):
            assert cancel_everywhere(f"{name} persisted", WAYS[number % len(WAYS)], "jumping", stride=4) > 0

    await asyncio.to_thread(run)


@row(122, "another loop, another thread, a loop that is closed")
async def wrong_loops(stage: Stage) -> None:
    async with stage.against(persisted) as (one, server):
        await create(one)

        def elsewhere() -> BaseException | None:
            async def use() -> BaseException | None:
                try:
                    await get(one)
                except Exception as error:  # noqa: BLE001
                    return error
                return None

            return asyncio.run(use())

        error = await asyncio.to_thread(elsewhere)
        assert isinstance(error, CliniaError | RuntimeError)
        assert len(server.requests) == 1
    try:
        await poll(one)
    except SessionClosed as error:
        stage.silent(error)
    else:
        raise AssertionError


@row(123, "the emulator is killed in the middle of a bulk and started again")
async def restarted(stage: Stage) -> None:
    data = stage.folder / "r.db"
    emulator = Emulator(data=data, bulk=Constant(5), key=KEY)
    async with emulator:
        port = int(emulator.url.rpartition(":")[2])
        async with session_for(emulator) as one:
            made = await one.bulk(SOURCE, writes(5))
            token = made.token()
    async with Emulator(data=data, port=port, key=KEY) as again, session_for(again) as one:
        try:
            await one.task(token).result(timeout=100)
        except TaskError as error:
            stage.silent(error)
        found = await run(again, writes(5))
        assert set(found.reported) <= {D.PERSISTED, D.EXISTING}
        assert stored_data(again) == {each.id: each.data for each in writes(5)}


@row(124, "a lost attempt is carried out late, behind a newer write")
async def late_attempt(stage: Stage) -> None:
    async with Emulator(default=Persisted()) as emulator:
        emulator.faults.add(LostReply(route="create_resource", times=1))
        items = [
            CreateResource(SOURCE, "patient", "p-1", data={"v": 1}),
            UpsertResource(SOURCE, "patient", "p-1", data={"v": 2}),
        ]
        found = await run(emulator, items, via="single")
        assert found.error is None
        assert [each.data for each in emulator.stored_resources()] == [{"v": 2}]
    for first in (CreateResource, UpsertResource):
        async with Emulator(default=Persisted()) as emulator, session_for(emulator) as one:
            route = "create_resource" if first is CreateResource else "put_resource"
            emulator.faults.add(LateExecution(route=route, times=1, seconds=200))
            lost = await one.submit(first(SOURCE, "patient", "p-1", data={"v": 1}))
            await (await one.submit(UpsertResource(SOURCE, "patient", "p-1", data={"v": 2})))
            await asyncio.sleep(300)
            (stored,) = emulator.stored_resources()
            assert lost.maybe_applied, "it may be carried out still, and the task says so"
            assert first is UpsertResource or stored.data == {"v": 2}


@row(125, "the service carries a task out twice")
async def twice(stage: Stage) -> None:
    async with Emulator(default=Accepted(Constant(1))) as emulator, session_for(emulator) as one:
        emulator.faults.add(LostReply(route="bulk_relationships", times=2))
        found = await run(emulator, writes(20), via="bulk")
        assert found.reported == {D.PERSISTED: 20}
        assert len(stored_data(emulator)) == 20
        _ = one


@row(126, "any input or output may fail, one time in sixteen")
async def anything_fails(stage: Stage) -> None:
    random = Random(1)
    loop = type(asyncio.get_running_loop())
    plain = loop.sock_connect

    async def maybe(self: Any, sock: Any, address: Any) -> None:
        if random.random() < 1 / 16:
            raise OSError(random.choice((104, 110, 111, 113)), "words of the system")
        await plain(self, sock, address)

    stage.monkeypatch.setattr(loop, "sock_connect", maybe)
    async with Emulator() as emulator:
        for route in ("create_relationship", "get_relationship", "bulk_relationships", "get_task"):
            emulator.faults.add(LostReply(route=route, probability=1 / 16))
        for number in range(40):
            async with session_for(emulator) as one:
                try:
                    await (await create(one, f"a{number}"))
                    await (await one.bulk(SOURCE, writes(2)))
                except CliniaError as error:
                    stage.silent(error)
        found = await run(emulator, writes(100), via="bulk", chunk=ChunkLimits(operations=10))
        assert found.error is None


not_here(
    103,
    "800 pairs of crash points by 20 seeds",
    "a slice runs here; kills and the campaign of jobs draw them at random by the thousand",
)
not_here(
    107,
    "where strace is missing or not allowed",
    "the order is then held by the tests of the journal and by power losses alone",
)
not_here(
    113, "a journal on NFS", "it cannot be mounted here; on tmpfs, on a disk and without WAL it is tried"
)
not_here(
    116,
    "suspend for an hour",
    "a machine cannot be suspended from a test; an hour of the loop's clock passes in its place",
)
not_here(118, "a job of a million operations", "python -m benchmarks memory --million measures it")
