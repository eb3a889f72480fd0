"""Single creates as fast as they are answered, 32 at a time: `python -m benchmarks.load URL KEY COUNT`.

Says a line when it is warm, goes on at a line from its standard input, and says one more when it is done.
"""

import asyncio
import json
import sys

import aiohttp

from benchmarks import workload
from benchmarks.ways.together import together

_WARM_UP = 300


async def main(url: str, key: str, count: int) -> None:
    headers = {"X-Clinia-API-Key": key, "Content-Type": "application/json"}
    target = f"{url}/sources/ehr/v1/relationships/{workload.TYPE}"
    async with aiohttp.ClientSession(headers=headers) as session:

        async def send(number: int) -> None:
            content = json.dumps(workload.body(number), separators=(",", ":")).encode()
            async with session.post(target, data=content) as answer:
                assert answer.status == 201
                await answer.read()

        await together(send, range(_WARM_UP), 32)
        print("warm", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        await together(send, range(_WARM_UP, _WARM_UP + count), 32)
        print("done", flush=True)


if __name__ == "__main__":
    url, key, count = sys.argv[1:]
    asyncio.run(main(url, key, int(count)))
