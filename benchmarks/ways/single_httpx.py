"""Single creates over httpx: bytes out, bytes in."""

import json

import httpx

from benchmarks import workload
from benchmarks.ways.together import cost


async def create(url: str, count: int, in_flight: int) -> dict[str, float]:
    target = f"{url}/sources/persisted/v1/relationships/{workload.TYPE}"
    content = json.dumps(workload.body(0), separators=(",", ":")).encode()
    async with httpx.AsyncClient() as client:

        async def send(_: int) -> None:
            answer = await client.post(target, content=content)
            assert answer.content

        return await cost(send, count, in_flight)
