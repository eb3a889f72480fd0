"""Creates as fast as they are answered: `python -m benchmarks.load URL KEY COUNT singles|bulks`.

Singles are sent 32 at a time; bulks, of 1,000 creates, 4 at a time, and their tasks are polled with receipts.

Says a line when it is warm, goes on at a line from its standard input, and says one more when it is done.
"""

import asyncio
import json
import sys

import aiohttp

from benchmarks import workload
from benchmarks.ways.together import together

BULK = 1000


async def main(url: str, key: str, count: int, of: str) -> None:
    headers = {"X-Clinia-API-Key": key, "Content-Type": "application/json"}
    async with aiohttp.ClientSession(f"{url}/sources/ehr/v1/", headers=headers) as session:

        async def single(number: int) -> None:
            content = json.dumps(workload.body(number), separators=(",", ":")).encode()
            async with session.post(f"relationships/{workload.TYPE}", data=content) as answer:
                assert answer.status == 201
                await answer.read()

        async def bulk(number: int) -> None:
            numbers = range(number * BULK, (number + 1) * BULK)
            records = [{"type": workload.TYPE, **workload.body(each)} for each in numbers]
            operations = [{"action": "CREATE", "create": each} for each in records]
            content = json.dumps({"operations": operations}, separators=(",", ":"))
            async with session.post("relationships/bulk", data=content.encode()) as answer:
                task = json.loads(await answer.read())["taskId"]
            await _end_of(session, task)

        send, warm, more, at_once = {
            "singles": (single, 300, count, 32),
            "bulks": (bulk, 2, count // BULK, 4),
        }[of]
        await together(send, range(warm), at_once)
        print("warm", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        await together(send, range(warm, warm + more), at_once)
        print("done", flush=True)


async def _end_of(session: aiohttp.ClientSession, task: str) -> None:
    while True:
        async with session.get(f"tasks/{task}?withReceipts=true") as answer:
            status = json.loads(await answer.read())["status"]
        if status == "SUCCESS":
            return
        assert status == "PENDING"
        await asyncio.sleep(0.01)


if __name__ == "__main__":
    url, key, count, of = sys.argv[1:]
    asyncio.run(main(url, key, int(count), of))
