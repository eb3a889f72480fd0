"""One way to send creates, in a process of its own: prints its CPU microseconds a create.

python -m benchmarks.single ours|raw PORT COUNT IN_FLIGHT
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable

import aiohttp

import clinia_async as clinia

DATA = {"role": "family-medicine", "since": "2019-04-01", "primary": True, "fte": 0.9}
ENDS = {"from": {"id": "prac-1", "type": "practitioner"}, "to": {"id": "org-9", "type": "organization"}}
Send = Callable[[], Awaitable[object]]


async def together(send: Send, count: int, in_flight: int) -> float:
    """CPU seconds of this process for `count` calls, of which `in_flight` are under way at any time."""
    left = iter(range(count))

    async def work() -> None:
        for _ in left:
            await send()

    started = time.process_time()
    await asyncio.gather(*(work() for _ in range(in_flight)))
    return time.process_time() - started


async def ours(port: int, count: int, in_flight: int) -> float:
    practitioner, clinic = clinia.Ref("prac-1", "practitioner"), clinia.Ref("org-9", "organization")
    async with clinia.Session(base_url=f"http://127.0.0.1:{port}", api_key="k") as session:

        async def send() -> None:
            task = await session.create_relationship(
                "ehr", "practises-at", from_=practitioner, to=clinic, data=DATA
            )
            assert (await task).from_ == practitioner

        await together(send, 500, in_flight)
        return await together(send, count, in_flight)


async def raw(port: int, count: int, in_flight: int) -> float:
    """Bytes out and bytes in over one ClientSession: no types, no retries, nothing checked."""
    url, body = (
        f"http://127.0.0.1:{port}/sources/ehr/v1/relationships/practises-at",
        json.dumps(ENDS | {"data": DATA}),
    )
    async with aiohttp.ClientSession() as session:

        async def send() -> None:
            async with session.post(url, data=body.encode()) as answer:
                assert await answer.read()

        await together(send, 500, in_flight)
        return await together(send, count, in_flight)


if __name__ == "__main__":
    way, port, count, in_flight = sys.argv[1], *map(int, sys.argv[2:5])
    seconds = asyncio.run({"ours": ours, "raw": raw}[way](port, count, in_flight))
    print(seconds / count * 1e6)
