"""A task is waited for in the event loop of its session alone: elsewhere nothing would wake who waits."""

import asyncio
import copy
import pickle
from collections.abc import Awaitable, Callable

import aiohttp
import pytest

import clinia_async as clinia
from clinia_async.emulator import Accepted, Constant, Emulator
from clinia_async.testing import EmulatorServer

ENDS = {"from_": clinia.Ref("prac-1", "practitioner"), "to": clinia.Ref("org-9", "organization")}
Handle = clinia.Task[clinia.Relationship]


async def _changes(session: clinia.Session, task: Handle) -> None:
    async for _ in task.updates():
        pass


async def _completed(session: clinia.Session, task: Handle) -> None:
    async for _ in session.as_completed([task]):
        pass


async def _ending(session: clinia.Session, task: Handle) -> None:
    await task.ending()


async def _awaited(session: clinia.Session, task: Handle) -> None:
    await task


WAYS: dict[str, Callable[[clinia.Session, Handle], Awaitable[object]]] = {
    "await": _awaited,
    "result": lambda _, task: task.result(),
    "result within": lambda _, task: task.result(timeout=60),
    "wait": lambda _, task: task.wait(),
    "updates": _changes,
    "ending": _ending,
    "refresh": lambda _, task: task.refresh(),
    "receipts": lambda _, task: task.receipts(),
    "session.wait": lambda session, task: session.wait([task]),
    "gather": lambda session, task: session.gather(task),
    "as_completed": _completed,
}


@pytest.mark.parametrize("way", WAYS)
def test_a_task_of_another_loop_is_refused_in_words(way: str) -> None:
    with EmulatorServer(Emulator(default=Accepted(Constant(0.0)))) as server:

        async def work() -> None:
            async with server.session() as session:
                task = await session.create_relationship("ehr", "works-at", **ENDS)  # type: ignore[arg-type]

                async def wait() -> None:
                    await WAYS[way](session, task)

                with pytest.raises(clinia.ConfigError, match="another event loop") as caught:
                    await asyncio.to_thread(asyncio.run, asyncio.wait_for(wait(), 30))
                assert caught.value.outcome is clinia.Outcome.UNKNOWN, "the write was accepted"
                assert task.stats.polls == 0
                assert (await task).id == "prac-1.org-9"  # nothing is left of that wait

        asyncio.run(work())


def test_an_http_session_of_another_loop_is_refused_in_words() -> None:
    async def make() -> aiohttp.ClientSession:
        return aiohttp.ClientSession()

    async def work(server: EmulatorServer) -> None:
        session = clinia.Session(api_key=server.key, base_url=server.url, http_session=borrowed)
        with pytest.raises(clinia.ConfigError, match="another event loop"):
            await session.get_source("ehr")

    with asyncio.Runner() as runner, EmulatorServer() as server:
        borrowed = runner.run(make())
        asyncio.run(work(server))
        runner.run(borrowed.close())


def test_a_task_says_how_it_is_handed_over() -> None:
    async def work(session: clinia.Session) -> None:
        task = await session.create_relationship("ehr", "works-at", **ENDS)  # type: ignore[arg-type]
        for way in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(TypeError, match=r"token\(\)"):
                way(task)

    with EmulatorServer() as server:
        server.run(work)
