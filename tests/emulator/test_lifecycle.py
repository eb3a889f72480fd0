"""Starting, stopping, and what lives on in a file."""

import asyncio
import gc
import os
import socket
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import clinia_async.emulator as public
from clinia_async.emulator import Accepted, Constant, DataFileBusy, DataFileError, Emulator, Settings
from clinia_async.emulator.clock import Clock
from tests.emulator.raw import RELATIONSHIPS, Raw, operation, write

PARTITION = {"modules": {}, "source": {"type": "DATA_SOURCE", "key": "s", "collections": []}}


async def test_start_and_close_may_be_said_twice() -> None:
    emulator = Emulator()
    await emulator.close()
    await emulator.start()
    url = emulator.url
    await emulator.start()
    assert emulator.url == url
    assert repr(emulator) == f"<Emulator at {url}>"
    await emulator.close()
    await emulator.close()
    assert repr(emulator) == "<Emulator closed>"
    with pytest.raises(RuntimeError, match="not running"):
        _ = emulator.url


async def test_memory_is_gone_after_closing() -> None:
    emulator = Emulator()
    for _ in range(2):
        async with emulator, Raw(emulator) as raw:
            assert emulator.relationships() == 0
            await raw.create(write())
            assert emulator.relationships() == 1


def _open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def _modes(directory: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs a list of open files")
async def test_nothing_is_left_behind(tmp_path: Path) -> None:
    gc.collect()  # what tests before this one left closes its files
    before, tasks = _open_files(), asyncio.all_tasks()
    async with Emulator(data=tmp_path / "r.db", default=Accepted(Constant(100))) as emulator:
        async with Raw(emulator) as raw:
            await raw.create(write())
            await raw.bulk(operation("CREATE"))
        idle = await asyncio.open_connection(*emulator.url.removeprefix("http://").split(":"))
        idle[1].write(b"GET / HTTP/1.1\r\n")
        assert _open_files() > before
    await idle[0].read()
    idle[1].close()
    await idle[1].wait_closed()
    await asyncio.sleep(0)
    gc.collect()
    assert _open_files() == before
    assert asyncio.all_tasks() == tasks
    assert _modes(tmp_path).keys() == {"r.db"}


REQUEST = b"POST /sources/ehr/v1/relationships/t HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n{}"


@pytest.mark.parametrize("cut", [1, 30, len(REQUEST) - 2, len(REQUEST) - 1, len(REQUEST)])
@pytest.mark.parametrize("ends", ["half", "whole"])
async def test_no_task_is_left_of_a_request_that_never_came_whole(cut: int, ends: str) -> None:
    """The server waits for the rest of a body that it has refused already: not beyond its own end."""
    tasks = asyncio.all_tasks()
    async with Emulator() as emulator:
        reader, writer = await asyncio.open_connection(*emulator.url.removeprefix("http://").split(":"))
        writer.write(REQUEST[:cut])
        if ends == "half":
            writer.write_eof()
        if cut > REQUEST.index(b"\r\n\r\n") + 3:
            answer = (await reader.readline())[:10]
            # a connection that its client has ended may be closed before the answer
            assert answer == b"HTTP/1.1 4" or (ends == "half" and not answer)
        writer.close()
        await writer.wait_closed()
        for _ in range(5):
            await asyncio.sleep(0)
    assert asyncio.all_tasks() == tasks


@pytest.mark.parametrize("turns", range(8))
async def test_a_client_that_comes_as_it_closes_is_hung_up_on_at_once(turns: int) -> None:
    """Whatever the turn of the event loop in which it is accepted: half a transport would warn."""
    loop = asyncio.get_running_loop()
    emulator = Emulator()
    await emulator.start()
    with _connected(emulator) as client:
        for _ in range(turns):
            await asyncio.sleep(0)
        before = loop.time()
        await emulator.close()
        assert loop.time() == before
        with suppress(ConnectionResetError):
            assert await loop.sock_recv(client, 1) == b""
    gc.collect()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs a list of open files")
async def test_a_client_that_does_not_take_its_answer_is_hung_up_on() -> None:
    before = _open_files()
    async with Emulator() as emulator:
        async with Raw(emulator) as raw:
            await raw.create(write(data={"text": "x" * 500_000}))
        lines = (f"GET {RELATIONSHIPS}/practises-at/prac-1.org-9 HTTP/1.1", f"Host: {emulator.url[7:]}")
        request = "\r\n".join([*lines, f"X-Clinia-API-Key: {emulator.key}", "", ""]).encode()
        client = _connected(emulator)
        client.send(request * 30)
        await asyncio.sleep(5)
        assert 1 < emulator.requests["get_relationship"] < 30
    with client:
        await asyncio.sleep(0)
        assert _open_files() == before + 1


def _connected(emulator: Emulator) -> socket.socket:
    host, port = emulator.url.removeprefix("http://").split(":")
    client = socket.create_connection((host, int(port)))
    client.setblocking(False)
    return client


async def test_a_port_that_is_taken_leaves_nothing_open(tmp_path: Path) -> None:
    async with Emulator() as first:
        url = first.url
        second = Emulator(port=int(url.rpartition(":")[2]), data=tmp_path / "r.db")
        with pytest.raises(OSError, match="in use"):
            await second.start()
    async with second:
        assert second.url == url


async def test_a_file_keeps_everything(tmp_path: Path) -> None:
    emulator = Emulator(data=str(tmp_path / "r.db"), bulk=Constant(5.0), settings=Settings(conflicts="queue"))
    async with emulator, Raw(emulator) as raw:
        done = (await raw.create(write(data={"n": 10**40}))).body
        staged = await raw.send("PUT", "/catalog/v1/partitions/p?stage=true", PARTITION)
        pending = [
            (await raw.bulk(operation("UPSERT", f"p-{n}", data={"n": n}))).body["taskId"] for n in range(2)
        ]
        later = (await raw.bulk(operation("UPSERT", "p-0", data={"last": True}))).body["taskId"]
        before = (await raw.task(later)).body["receipts"][0]["receivedAt"]
    async with emulator, Raw(emulator) as raw:
        assert (await raw.read("prac-1.org-9")).body == done["relationship"]
        assert (await raw.task(done["taskId"])).body["status"] == "SUCCESS"
        assert (await raw.send("GET", "/catalog/v1/partitions/p")).body == staged.body
        assert [(await raw.task(id_)).body["status"] for id_ in pending] == ["PENDING"] * 2
        await asyncio.sleep(4.9)
        assert emulator.relationships() == 1
        await asyncio.sleep(0.2)
        assert [(await raw.task(id_)).body["status"] for id_ in [*pending, later]] == ["SUCCESS"] * 3
        assert (await raw.task(later)).body["receipts"][0]["receivedAt"] == before
        assert (await raw.read("p-0.org-9")).body["data"] == {"last": True}
        finished = (await raw.task(later)).body
        new = (await raw.create(write("new"))).body["taskId"]
        assert new not in {done["taskId"], *pending, later}
    async with emulator, Raw(emulator) as raw:
        assert [stored.id for stored in emulator.stored()] == [
            "new.org-9",
            "p-0.org-9",
            "p-1.org-9",
            "prac-1.org-9",
        ]
        await asyncio.sleep(10)
        assert (await raw.task(later)).body == finished


def _run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])


async def test_what_was_answered_survives_a_kill(tmp_path: Path) -> None:
    script = """
import asyncio, os, signal, sys
from clinia_async.emulator import Accepted, Constant, Emulator
from tests.emulator.raw import RELATIONSHIPS, Raw, write

async def main():
    async with Emulator(data=sys.argv[1]) as emulator, Raw(emulator) as raw:
        print((await raw.create(write("done"))).body["taskId"])
        emulator.default = Accepted(Constant(1))
        print((await raw.create(write("pending"))).body["taskId"], flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""
    killed = _run(script, str(tmp_path / "r.db"))
    assert killed.returncode == -9, killed.stderr
    done, pending = killed.stdout.split()
    async with Emulator(data=tmp_path / "r.db") as emulator, Raw(emulator) as raw:
        assert [stored.id for stored in emulator.stored()] == ["done.org-9"]
        assert (await raw.task(done)).body["status"] == "SUCCESS"
        await asyncio.sleep(2)
        assert (await raw.task(pending)).body["status"] == "SUCCESS"
        assert emulator.relationships() == 2


async def test_the_file_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "r.db"
    path.touch(0o666)
    path.chmod(0o666)
    async with Emulator(data=path) as emulator, Raw(emulator) as raw:
        await raw.create(write())
        assert _modes(tmp_path) == {"r.db": 0o600, "r.db-wal": 0o600}
    fresh = tmp_path / "fresh.db"
    async with Emulator(data=fresh):
        assert stat.S_IMODE(fresh.stat().st_mode) == 0o600


async def test_files_that_are_refused(tmp_path: Path) -> None:
    real, link, fifo = tmp_path / "real.db", tmp_path / "link.db", tmp_path / "fifo"
    real.touch()
    link.symlink_to(real)
    os.mkfifo(fifo)
    (tmp_path / "text").write_text("not a database, but long enough to look at" * 100)
    for path in (fifo, Path("/dev/null")):
        with pytest.raises(DataFileError, match="regular file"):
            await Emulator(data=path).start()
    for path in (link, tmp_path, tmp_path / "no" / "such", tmp_path / "text"):
        with pytest.raises(OSError, match=r"No such|not a database|symbolic|directory"):
            await Emulator(data=path).start()
    assert real.stat().st_size == 0


@pytest.mark.parametrize("script", ["CREATE TABLE relationships (id)", "PRAGMA user_version = 99"])
async def test_a_file_of_another_version_is_refused_and_left_alone(tmp_path: Path, script: str) -> None:
    path = tmp_path / "r.db"
    async with Emulator(data=path):
        pass
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 0")
        database.execute(script)
    before = path.read_bytes()
    with pytest.raises(DataFileError, match="version"):
        await Emulator(data=path).start()
    assert path.read_bytes() == before


async def test_a_file_serves_one_emulator_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "r.db"
    async with Emulator(data=path):
        with pytest.raises(DataFileBusy, match="locked"):
            await Emulator(data=path).start()
    async with Emulator(data=path):
        pass


async def test_a_file_called_memory_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with Emulator(data=":memory:") as emulator, Raw(emulator) as raw:
        await raw.create(write())
    async with Emulator(data=":memory:") as emulator:
        assert emulator.relationships() == 1


async def test_the_schema_is_not_trusted(emulator: Emulator) -> None:
    assert emulator._running is not None
    database = emulator._running.registry._database
    assert database.execute("PRAGMA trusted_schema").fetchone() == (0,)


async def test_stamps_keep_up_with_whichever_clock_is_ahead() -> None:
    before = datetime.now(UTC)
    clock = Clock()
    await asyncio.sleep(3600)
    assert clock.wall() >= before + timedelta(hours=1)
    clock.now = lambda: -3600.0  # as after a laptop's sleep, in which the loop's clock stood still
    assert clock.wall() >= before


def test_the_public_names_are_sorted_and_there() -> None:
    assert public.__all__ == sorted(public.__all__)
    assert all(hasattr(public, name) for name in public.__all__)


def test_the_emulator_shares_no_code_with_the_client() -> None:
    script = """
import sys
import clinia_async
before = set(sys.modules)
import clinia_async.emulator
ours = {name for name in set(sys.modules) - before if name.startswith("clinia_async")}
assert all(name.startswith("clinia_async.emulator") for name in ours), ours
"""
    assert (result := _run(script)).returncode == 0, result.stderr
