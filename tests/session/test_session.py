"""The session: where its settings come from, how it closes, and its verbs for many tasks."""

import asyncio
import copy
import pickle
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing

import pytest

from clinia_async import (
    CliniaError,
    ConfigError,
    GetRelationship,
    GetTask,
    NotFound,
    Outcome,
    Polling,
    Secret,
    Session,
    SessionClosed,
    TaskFailed,
    TaskId,
    TaskPollError,
    TaskStatus,
)
from clinia_async.emulator import Accepted, Constant, Emulator
from tests.factories import ID, KEY, SOURCE, TYPE, create, create_partition, session_at, write
from tests.hostile import Hostile, after, answer, by_target, persisted, refusal, stall
from tests.patience import PATIENCE

VARIABLES = ("CLINIA_WORKSPACE", "CLINIA_API_KEY", "CLINIA_BASE_URL", "CLINIA_SOURCE")


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


# Where the settings come from


async def test_settings_from_the_environment(environment: pytest.MonkeyPatch, emulator: Emulator) -> None:
    environment.setenv("CLINIA_API_KEY", emulator.key)
    environment.setenv("CLINIA_BASE_URL", emulator.url)
    environment.setenv("CLINIA_SOURCE", SOURCE)
    async with Session.from_env() as session:
        made = await create(session)
        assert session.default_source == SOURCE
        assert (await session.task(str(made.id))).id == ID  # type: ignore[attr-defined]


def test_a_workspace_from_the_environment(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("CLINIA_API_KEY", "k")
    environment.setenv("CLINIA_WORKSPACE", "acme")
    assert Session.from_env()._engine.addresses.registry == "https://acme.clinia.cloud"


def test_an_argument_wins(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("CLINIA_API_KEY", "theirs")
    environment.setenv("CLINIA_WORKSPACE", "theirs")
    environment.setenv("CLINIA_BASE_URL", "https://theirs.example.org")
    environment.setenv("CLINIA_SOURCE", "theirs")
    session = Session.from_env("ours", api_key="ours", source="ours")
    assert session._engine.addresses.registry == "https://ours.clinia.cloud"
    known = session._engine.identity.credentials.known
    assert known is not None
    assert known["X-Clinia-API-Key"].reveal() == "ours"
    assert session.default_source == "ours"
    by_url = Session.from_env(base_url="https://ours.example.org")
    found = by_url._engine.addresses
    assert (found.registry, found.catalog) == ("https://ours.example.org", "https://ours.example.org")


def test_what_is_missing(environment: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="CLINIA_API_KEY"):
        Session.from_env("acme")
    environment.setenv("CLINIA_API_KEY", "k")
    with pytest.raises(ConfigError, match="workspace"):
        Session.from_env()
    with pytest.raises(ConfigError):
        Session(api_key="k")
    environment.setenv("CLINIA_API_KEY", "")
    with pytest.raises(ConfigError):
        Session.from_env("acme")


@pytest.mark.parametrize("timeout", [0.0, -1.0, float("nan"), "60", None])
def test_bad_timeouts(timeout: object) -> None:
    with pytest.raises(ConfigError):
        Session("acme", api_key="k", timeout=timeout)  # type: ignore[arg-type]


# Closing


async def test_nothing_is_opened_before_it_is_needed() -> None:
    session = Session("acme", api_key="k")
    assert repr(session) == "<Session new>"
    await session.aclose()
    assert repr(session) == "<Session closed>"


async def test_after_closing_every_call_is_refused(emulator: Emulator) -> None:
    session = session_at(emulator)
    await create(session)
    assert repr(session) == "<Session open>"
    await session.aclose()
    emulator.requests.clear()
    for attempt in (
        lambda: create(session, "b"),
        lambda: create_partition(session),
        lambda: session.bulk(SOURCE, [write()]),
        lambda: session.get_relationship(SOURCE, TYPE, ID),
        lambda: session.get_partition("clinics"),
        lambda: session.get_task(SOURCE, "s_1"),
        lambda: session.send(GetTask(SOURCE, TaskId("s_1"))),
        session.__aenter__,
    ):
        with pytest.raises(SessionClosed) as caught:
            await attempt()
        assert isinstance(caught.value, RuntimeError)
        assert caught.value.outcome is Outcome.NOT_SENT
    assert not emulator.requests
    assert not session.in_doubt


@pytest.mark.parametrize("used", [False, True])
async def test_a_closed_session_hands_out_no_tasks(emulator: Emulator, used: bool) -> None:
    session = session_at(emulator)
    if used:
        await create(session)
    await session.aclose()
    with pytest.raises(SessionClosed):
        session.task("s_1", source=SOURCE)


async def test_closing_twice_and_by_several(emulator: Emulator) -> None:
    session = session_at(emulator)
    await create(session)
    await asyncio.gather(session.aclose(), session.aclose(), session.aclose())
    await session.aclose()
    async with session_at(emulator) as other:
        await other.aclose()


async def test_closing_goes_on_when_its_caller_is_cancelled() -> None:
    async with Hostile([after(3, persisted)]) as server:
        session = session_at(server)
        sending = asyncio.ensure_future(create(session))
        await asyncio.sleep(0.1)
        closing = asyncio.ensure_future(session.aclose())
        await asyncio.sleep(0.1)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        await session.aclose()
        assert (await sending).done()


async def test_closing_lets_a_submission_finish() -> None:
    async with Hostile([after(3, persisted)]) as server:
        loop = asyncio.get_running_loop()
        async with session_at(server) as session:
            sending = asyncio.ensure_future(create(session))
            await asyncio.sleep(0.1)
            began = loop.time()
        assert 2.5 < loop.time() - began < 4
        assert (await sending).done()
        assert not session.in_doubt


async def test_closing_waits_no_longer_than_its_grace() -> None:
    async with Hostile(otherwise=stall) as server:
        loop = asyncio.get_running_loop()
        session = session_at(server, close_grace=2)
        sending = [asyncio.ensure_future(create(session, f"p{number}")) for number in range(3)]
        await asyncio.sleep(0.1)
        began = loop.time()
        await session.aclose()
        assert loop.time() - began == pytest.approx(2, abs=0.1)
        errors = await asyncio.gather(*sending, return_exceptions=True)
        assert all(isinstance(error, SessionClosed) and error.outcome is Outcome.UNKNOWN for error in errors)


async def test_a_grace_of_nothing() -> None:
    async with Hostile(otherwise=stall) as server:
        session = session_at(server)
        sending = asyncio.ensure_future(create(session))
        await asyncio.sleep(0.1)
        await session.aclose(grace=0)
        with pytest.raises(SessionClosed):
            await sending


async def test_a_read_in_flight_ends_with_the_session() -> None:
    async with Hostile(otherwise=stall) as server:
        loop = asyncio.get_running_loop()
        session = session_at(server)
        reading = asyncio.ensure_future(session.get_relationship(SOURCE, TYPE, ID))
        await asyncio.sleep(0.1)
        began = loop.time()
        await session.aclose()
        with pytest.raises(CliniaError):
            await reading
        assert loop.time() - began < 1


async def test_as_completed_and_wait_end_with_the_session(emulator: Emulator) -> None:
    emulator.default = Accepted(Constant(1000.0))
    session = session_at(emulator)
    tasks = [await create(session, f"p{number}") for number in range(3)]

    async def complete() -> None:
        async for _ in session.as_completed(tasks):
            pass

    verbs = [
        asyncio.ensure_future(work) for work in (complete(), session.wait(tasks), session.gather(*tasks))
    ]
    await asyncio.sleep(1)
    await session.aclose()
    for verb in verbs:
        with pytest.raises(SessionClosed):
            await verb


async def test_another_loop_is_refused(emulator: Emulator) -> None:
    async with session_at(emulator) as session:
        made = await create(session)
        problems: list[BaseException] = []

        async def misuse() -> None:
            for attempt in (lambda: create(session, "b"), lambda: session.get_task(SOURCE, "s_1")):
                try:
                    await attempt()
                except ConfigError as error:
                    problems.append(error)
            assert (await made).id == ID  # what is known needs no loop

        await asyncio.to_thread(asyncio.run, misuse())
        assert len(problems) == 2
        assert emulator.requests == {"create_relationship": 1}
        await create(session, "b")


async def test_from_another_thread_by_the_way_of_asyncio(session: Session) -> None:
    loop = asyncio.get_running_loop()

    def work() -> str:
        made = asyncio.run_coroutine_threadsafe(create(session), loop).result(PATIENCE)
        return asyncio.run_coroutine_threadsafe(made.result(), loop).result(PATIENCE).id

    assert await asyncio.to_thread(work) == ID


# Many tasks


async def slow_tasks(session: Session, emulator: Emulator, seconds: list[float]) -> list[object]:
    tasks: list[object] = []
    for number, wait in enumerate(seconds):
        emulator.default = Accepted(Constant(wait))
        tasks.append(await create(session, f"p{number}"))
    return tasks


async def test_as_completed_yields_in_the_order_of_the_ends(session: Session, emulator: Emulator) -> None:
    tasks = await slow_tasks(session, emulator, [30, 1, 10])
    seen = [task async for task in session.as_completed(tasks)]  # type: ignore[arg-type]
    assert seen == [tasks[1], tasks[2], tasks[0]]
    assert all(task.done() for task in seen)


@pytest.mark.queued
async def test_as_completed_yields_what_failed(session: Session, emulator: Emulator) -> None:
    emulator.default = Accepted(Constant(2.0))
    tasks = [await create(session), await create(session)]
    outcomes = []
    async for task in session.as_completed(tasks):
        try:
            outcomes.append((await task).id)
        except TaskFailed:
            outcomes.append("failed")
    assert sorted(outcomes) == ["failed", ID]


async def test_as_completed_takes_persisted_and_the_same_handle_twice(session: Session) -> None:
    made = await create(session)
    assert [task async for task in session.as_completed([made, made])] == [made, made]
    assert [task async for task in session.as_completed([])] == []


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_as_completed_is_lazy(session: Session, emulator: Emulator, kind: str) -> None:
    emulator.default = Accepted(Constant(10.0))
    pulled = 0

    def handles() -> Iterator[object]:
        nonlocal pulled
        for number in range(10):
            pulled += 1
            yield session.task(f"s_{number}", source=SOURCE)

    async def handles_later() -> AsyncIterator[object]:
        nonlocal pulled
        for number in range(10):
            pulled += 1
            yield await create(session, f"p{number}")

    if kind == "sync":
        script = by_target({"/tasks/": [answer({"status": "SUCCESS"})]})
        async with Hostile(otherwise=script) as server, session_at(server) as other:
            session = other
            ends = [task async for task in other.as_completed(handles(), limit=3)]  # type: ignore[arg-type]
            assert len(ends) == 10
            pulled = 0
            async with aclosing(other.as_completed(handles(), limit=3)) as some:  # type: ignore[arg-type,type-var]
                await anext(some)  # type: ignore[call-overload]
                assert pulled == 3
        return
    async with aclosing(session.as_completed(handles_later(), limit=3)) as some:  # type: ignore[arg-type,type-var]
        await anext(some)  # type: ignore[call-overload]
        assert pulled <= 4


async def test_as_completed_is_not_held_up_by_a_slow_source(session: Session, emulator: Emulator) -> None:
    """A source that waits for what it gave: without a race between the two nobody would ever go on."""
    first_is_done = asyncio.Event()
    emulator.default = Accepted(Constant(1.0))

    async def handles() -> AsyncIterator[object]:
        yield await create(session, "a")
        await first_is_done.wait()
        yield await create(session, "b")

    seen = []
    async with asyncio.timeout(60):
        async for task in session.as_completed(handles()):  # type: ignore[arg-type]
            seen.append(task)
            first_is_done.set()
    assert len(seen) == 2


async def test_as_completed_passes_on_what_its_source_raises(session: Session) -> None:
    async def handles() -> AsyncIterator[object]:
        yield await create(session)
        raise KeyError("source")

    with pytest.raises(KeyError):
        async for _ in session.as_completed(handles()):  # type: ignore[arg-type]
            pass


async def test_as_completed_that_is_left_stops_the_polls(session: Session, emulator: Emulator) -> None:
    tasks = await slow_tasks(session, emulator, [1, 500, 500])
    async with aclosing(session.as_completed(tasks)) as some:  # type: ignore[arg-type,type-var]
        await anext(some)  # type: ignore[call-overload]
    await asyncio.sleep(20)
    polls = emulator.requests["get_task"]
    await asyncio.sleep(200)
    assert emulator.requests["get_task"] == polls


async def test_a_cancelled_as_completed_leaves_nothing(session: Session, emulator: Emulator) -> None:
    tasks = await slow_tasks(session, emulator, [500, 500])

    async def source() -> AsyncIterator[object]:
        for task in tasks:
            yield task
        await asyncio.get_running_loop().create_future()

    async def complete() -> None:
        async with aclosing(session.as_completed(source())) as some:  # type: ignore[arg-type,type-var]
            async for _ in some:  # type: ignore[attr-defined]
                pass

    work = asyncio.ensure_future(complete())
    await asyncio.sleep(1)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work


async def test_a_task_that_cannot_be_watched_ends_as_completed() -> None:
    script = by_target({"s_1": [refusal(403)], "s_2": [refusal(403)]})
    async with Hostile(otherwise=script) as server, session_at(server) as session:
        tasks = [session.task(f"s_{number}", source=SOURCE) for number in (1, 2)]
        with pytest.raises(TaskPollError):
            async for _ in session.as_completed(tasks):
                pass
        with pytest.raises(TaskPollError):
            await session.wait(tasks)


async def test_gather_keeps_the_order(session: Session, emulator: Emulator) -> None:
    tasks = await slow_tasks(session, emulator, [9, 1, 5])
    found = await session.gather(*tasks)  # type: ignore[arg-type]
    assert [one.from_.id for one in found] == ["p0", "p1", "p2"]  # type: ignore[attr-defined]
    assert await session.gather() == []


@pytest.mark.queued
async def test_gather_raises_the_first_failure_and_the_others_go_on(
    session: Session, emulator: Emulator
) -> None:
    emulator.default = Accepted(Constant(1.0))
    first, second = await create(session), await create(session)
    emulator.default = Accepted(Constant(50.0))
    third = await create(session, "other")
    with pytest.raises(TaskFailed):
        await session.gather(first, third, second)
    assert (await third).from_.id == "other"


async def test_wait_separates_the_ended_from_the_others(session: Session, emulator: Emulator) -> None:
    tasks = await slow_tasks(session, emulator, [1, 500])
    loop = asyncio.get_running_loop()
    began = loop.time()
    ended, pending = await session.wait(tasks, timeout=10)  # type: ignore[arg-type]
    assert (ended, pending) == ({tasks[0]}, {tasks[1]})
    assert loop.time() - began == pytest.approx(10, abs=0.1)
    assert await session.wait([]) == (set(), set())
    assert await session.wait([*ended], timeout=0) == (ended, set())


@pytest.mark.queued
async def test_a_failed_task_has_ended(session: Session, emulator: Emulator) -> None:
    emulator.default = Accepted(Constant(1.0))
    tasks = {await create(session), await create(session)}
    assert await session.wait(tasks) == (tasks, set())
    assert {task.state for task in tasks} == {TaskStatus.SUCCESS, TaskStatus.FAILURE}


async def test_thousands_of_waits_are_no_coroutines() -> None:
    polling = Polling(in_flight=3)
    async with Hostile(otherwise=stall) as server, session_at(server, polling=polling) as session:
        tasks = [session.task(f"s_{number}", source=SOURCE) for number in range(3000)]
        waiting = asyncio.ensure_future(session.wait(tasks))
        await asyncio.sleep(1)
        assert server.in_flight == 3
        ours = [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("clinia")]
        assert len(ours) == 3, "those of polls"
        waiting.cancel()
        await asyncio.wait([waiting])


# Reads


async def test_reads(session: Session, emulator: Emulator) -> None:
    made = await create(session, data={"a": 1})
    assert (await session.get_relationship(SOURCE, TYPE, ID)) == await made
    assert (await session.send(GetRelationship(SOURCE, TYPE, ID))) == await made
    partition = await (await create_partition(session))
    assert await session.get_partition("clinics") == partition
    snapshot = await session.get_task(SOURCE, made.id or "", with_receipts=True)
    assert [receipt.id for receipt in snapshot.receipts or ()] == [ID]
    assert (await session.get_task(SOURCE, str(made.id))).receipts is None
    for read in (
        session.get_relationship(SOURCE, TYPE, "no.body"),
        session.get_partition("nobody"),
        session.get_task(SOURCE, "s_nobody"),
    ):
        with pytest.raises(NotFound) as caught:
            await read
        assert caught.value.outcome is Outcome.REJECTED


def test_a_secret_stays_one() -> None:
    secret = Secret(KEY)
    assert KEY not in f"{secret!r} {secret}" + str([secret]) + ascii(secret)
    for way in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            way(secret)
    assert secret.reveal() == KEY
    assert (
        Session("acme", api_key=secret)._engine.identity.credentials.known["X-Clinia-API-Key"].reveal() == KEY
    )


LOADED_BY_A_CALL = """
import asyncio, json, sys
import clinia_async as clinia

RECORD = {"id": "r-1", "type": "clinic", "data": {"a": 1}}
PARTITION = {
    "key": "clinics",
    "modules": {"search": "STANDARD"},
    "source": {"type": "DATA_SOURCE", "key": "ehr", "collections": [{"key": "clinics"}]},
}
ANSWERS = {
    "write": [(200, {"status": "PERSISTED", "resource": RECORD})],
    "task": [
        (200, {"status": "ACCEPTED", "taskId": "s_1"}),
        (200, {"status": "PENDING", "taskId": "s_1"}),
        (200, {"status": "SUCCESS", "taskId": "s_1", "receipts": [
            {"id": "r-1", "type": "clinic", "targetType": "RESOURCE", "action": "UPSERT", "status": "SUCCESS"}
        ]}),
        (200, RECORD),
    ],
    "partition": [(503, {}), (200, PARTITION)],
}[sys.argv[1]]

async def serve(reader, writer):
    for status, answer in ANSWERS:
        head = (await reader.readuntil(b"\\r\\n\\r\\n")).lower()
        if b"content-length: " in head:
            await reader.readexactly(int(head.split(b"content-length: ")[1].split()[0]))
        body = json.dumps(answer).encode()
        writer.write(b"HTTP/1.1 %d X\\r\\nContent-Length: %d\\r\\n\\r\\n" % (status, len(body)) + body)
    await writer.drain()
    writer.close()

def call(session):
    if sys.argv[1] != "partition":
        return session.upsert_resource("ehr", "clinic", "r-1", data={"a": 1})
    source = clinia.DataSource("ehr", (clinia.SourceCollection("clinics"),))
    return session.create_partition("clinics", modules=clinia.Modules(), source=source)

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = "http://127.0.0.1:%d" % server.sockets[0].getsockname()[1]
    async with server, clinia.Session(base_url=url, api_key="k") as session:
        before = set(sys.modules)
        await (await call(session))
        print(*sorted(set(sys.modules) - before))

asyncio.run(main())
"""


def loaded_by(call: str) -> set[str]:
    run = [sys.executable, "-c", LOADED_BY_A_CALL, call]
    done = subprocess.run(run, check=True, capture_output=True, text=True)
    return {name for name in done.stdout.split() if not name.startswith("encodings")}


@pytest.mark.parametrize("call", ["write", "task", "partition"])
def test_no_call_and_no_retry_loads_a_module_in_an_open_session(call: str) -> None:
    """The first of a kind would hold the loop up."""
    assert loaded_by(call) == set()
