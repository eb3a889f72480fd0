"""Single creates over raw aiohttp: the floor that the others are held against."""

import json

import aiohttp

from benchmarks import workload
from benchmarks.ways.together import cost


async def create(url: str, count: int, in_flight: int) -> dict[str, float]:
    """Bytes out and bytes in over one `ClientSession`: no types, no retries, nothing checked."""
    target = f"{url}/sources/persisted/v1/relationships/{workload.TYPE}"
    content = json.dumps(workload.body(0), separators=(",", ":")).encode()
    async with aiohttp.ClientSession() as session:

        async def send(_: int) -> None:
            async with session.post(target, data=content) as answer:
                await answer.read()

        return await cost(send, count, in_flight)
