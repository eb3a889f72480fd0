"""A process that forks while a session is open: the child ends in any way, and the parent goes on at once."""

import asyncio
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from tests.exchanges import joined
from tests.hostile import Hostile, answer

ROOT = Path(__file__).parents[2]

PARENT = """
import asyncio, os, sys
from clinia_async import Session

LOOPS = []

def end(how):
    selector = LOOPS[0]._selector
    if how == "raises":
        raise RuntimeError
    if how == "exits":
        sys.exit(0)
    if how == "forgets its files":
        for each in [*selector.get_map()]:
            selector.unregister(each)
    if how == "closes the selector":
        selector.close()
    os._exit(0)

async def main():
    how, url = sys.argv[1:]
    async with Session(base_url=url, api_key="k") as session:
        await session.get_relationship("ehr", "works-at", "prac-1.org-9")  # its connection is kept
        number = os.fork()
        if not number:
            end(how)
        await asyncio.to_thread(os.waitpid, number, 0)
        for _ in range(3):
            await session.get_relationship("ehr", "works-at", "prac-1.org-9")
        print("went on", flush=True)
        os._exit(0)

def made():
    LOOPS.append(asyncio.SelectorEventLoop())
    return LOOPS[0]

with asyncio.Runner(loop_factory=made) as runner:
    runner.run(main())
"""


@pytest.mark.parametrize(
    "how", ["raises", "exits", "forgets its files", "closes the selector", "ends at once"]
)
async def test_a_child_that_tears_down_its_copy_of_the_loop_leaves_the_parent_alone(how: str) -> None:
    async with Hostile(otherwise=answer(joined())) as server:
        command = [sys.executable, "-W", "ignore", "-c", PARENT, how, server.url]
        run = partial(subprocess.run, command, cwd=ROOT, capture_output=True, text=True, check=False)
        ran = await asyncio.to_thread(run, timeout=60)
        assert ran.stdout.endswith("went on\n"), ran.stderr[-2000:]
        assert server.count("GET") == 4, "no request of the parent had to be sent again"
