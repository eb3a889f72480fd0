"""An emulator on a thread of its own: for tests with and without an event loop."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

import clinia_async as clinia
from clinia_async.emulator import Accepted, Constant, Emulator
from clinia_async.testing import EmulatorServer
from tests.patience import PATIENCE

ENDS = {"from_": clinia.Ref("prac-1", "practitioner"), "to": clinia.Ref("org-9", "organization")}


@pytest.fixture
def server() -> Iterator[EmulatorServer]:
    with EmulatorServer() as server:
        yield server


async def _create(session: clinia.Session) -> clinia.Relationship:
    return await (await session.create_relationship("ehr", "works-at", **ENDS))  # type: ignore[arg-type]


def test_synchronous_work_with_a_session(server: EmulatorServer) -> None:
    assert server.run(_create).id == "prac-1.org-9"
    assert [one.id for one in server.stored_relationships("works-at")] == ["prac-1.org-9"]
    assert (server.stored_relationships("other"), server.stored_resources()) == ([], [])


def test_asynchronous_work_with_a_session(server: EmulatorServer) -> None:
    """On a real loop: the clock of the tests' own does not wait for other threads."""

    async def work() -> str:
        async with server.session() as session:
            return (await _create(session)).id

    assert asyncio.run(work()) == "prac-1.org-9"


def test_scripts_and_what_was_received(server: EmulatorServer) -> None:
    server.on("create_relationship").lose_reply()
    server.on("get_task").block(502)
    server.run(_create)
    writes = server.received("create_relationship")
    assert [one.fault for one in writes] == ["LostReply", None]
    assert {one.records[0]["from"]["id"] for one in writes} == {"prac-1"}  # type: ignore[index]
    assert server.steps_left() == {"get_task": 1}
    assert server.summary().splitlines()[:2] == [
        "POST create_relationship: no answer, LostReply",
        "POST create_relationship: 409",
    ]
    assert "prac-1" not in server.summary()


def test_a_review(server: EmulatorServer) -> None:
    async def submit(session: clinia.Session) -> clinia.TaskId | None:
        return (await session.create_relationship("ehr", "works-at", **ENDS)).id  # type: ignore[arg-type]

    for decide, count in ((server.reject, 0), (server.approve, 1)):
        server.on("create_relationship").hold_for_review()
        task_id = server.run(submit)
        assert server.stored_relationships() == []
        decide(str(task_id))
        assert len(server.stored_relationships()) == count
    with pytest.raises(LookupError):
        server.approve("s_nothing")


def test_a_reset_leaves_nothing(server: EmulatorServer) -> None:
    server.on("create_relationship").succeed().drop()
    server.emulator.default = Accepted(Constant(0.0))
    server.run(_create)
    server.reset()
    assert (server.stored_relationships(), server.received(), server.steps_left()) == ([], [], {})
    assert server.emulator.default != Accepted(Constant(0.0))


def test_an_emulator_is_asked_by_its_own_thread(server: EmulatorServer) -> None:
    server.run(_create)
    with pytest.raises(RuntimeError, match=r"server\.call\(Emulator\.relationships\)"):
        server.emulator.relationships()
    assert server.call(Emulator.relationships) == 1
    assert server.emulator.url == server.url


def test_many_threads_at_once(server: EmulatorServer) -> None:
    counts = []

    def count() -> None:
        counts.append(len(server.received()))

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [0] * 8


def test_nothing_is_left_of_a_server() -> None:
    before = threading.active_count()
    server = EmulatorServer(Emulator())
    with pytest.raises(RuntimeError, match="not running"):
        server.stored_relationships()
    server.start()
    assert server.environment == {"CLINIA_BASE_URL": server.url, "CLINIA_API_KEY": server.key}
    assert server.key not in repr(server)
    server.stop()
    server.stop()
    assert threading.active_count() == before


def test_a_server_that_cannot_start_leaves_nothing() -> None:
    before = threading.active_count()
    with EmulatorServer() as first:
        port = int(first.url.rpartition(":")[2])
        with pytest.raises(OSError, match="in use"):
            EmulatorServer(Emulator(port=port)).start()
    assert threading.active_count() == before


async def test_an_unopened_session_needs_no_closing(server: EmulatorServer) -> None:
    server.session()
    await asyncio.sleep(0)


def test_a_server_that_runs_is_not_started_again(server: EmulatorServer) -> None:
    url, threads = server.url, threading.active_count()
    with pytest.raises(RuntimeError, match="running already"):
        server.start()
    assert (server.url, threading.active_count()) == (url, threads)
    assert server.run(_create).id == "prac-1.org-9"


def test_work_may_take_long_and_a_step_that_hangs_is_named(
    server: EmulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = threading.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.set()

    with pytest.raises(TimeoutError, match="thread of the emulator is busy"):
        server._run(work, limit=0.01)
    assert ended.wait(PATIENCE), "it is not left to run on"
    limits: list[object] = []
    run = server._run
    monkeypatch.setattr(
        EmulatorServer, "_run", lambda _, work, limit: [limits.append(limit), run(work, limit=limit)]
    )
    server.run(_create)
    assert limits == [None]


def test_a_timeout_of_the_work_is_its_own(server: EmulatorServer) -> None:
    async def late(session: clinia.Session) -> None:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        server.run(late)
