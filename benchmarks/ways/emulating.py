"""The emulator as a server under load, and the least that any such server does.

The load comes from a process of its own (`benchmarks.load`), so the CPU counted here is the server's.
"""

import asyncio
import json
import sqlite3
import sys
import time

from aiohttp import web

from clinia_async.emulator import Emulator


async def emulator(count: int) -> dict[str, float]:
    async with Emulator() as registry:
        figures = await _under_load(registry.url, registry.key, count)
        assert registry.relationships() >= count
        return figures


async def bulks(count: int) -> dict[str, float]:
    async with Emulator() as registry:
        figures = await _under_load(registry.url, registry.key, count, "bulks")
        assert registry.relationships() >= count
        return figures


async def bare(count: int) -> dict[str, float]:
    """A bare `aiohttp.web` handler that parses the body and inserts one row, under the emulator's pragmas."""
    database = sqlite3.connect(":memory:", isolation_level=None)
    for pragma in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = NORMAL"):
        database.execute(f"PRAGMA {pragma}")
    database.execute(
        "CREATE TABLE records (type TEXT, id TEXT, data TEXT, PRIMARY KEY (type, id)) WITHOUT ROWID"
    )

    async def create(request: web.Request) -> web.Response:
        body = json.loads(await request.read())
        id_, type_ = f"{body['from']['id']}.{body['to']['id']}", request.match_info["type"]
        row = (type_, id_, json.dumps(body["data"]))
        database.execute("INSERT INTO records VALUES (?, ?, ?)", row)
        return web.json_response({"status": "PERSISTED", "relationship": {"id": id_, **body}}, status=201)

    app = web.Application()
    app.router.add_post("/sources/{source}/v1/relationships/{type}", create)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        return await _under_load(f"http://{host}:{port}", "k", count)
    finally:
        await runner.cleanup()
        database.close()


async def _under_load(url: str, key: str, count: int, of: str = "singles") -> dict[str, float]:
    load = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.load",
        url,
        key,
        str(count),
        of,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert load.stdin is not None
    assert load.stdout is not None
    await load.stdout.readline()  # it is warm
    started = time.process_time()
    load.stdin.write(b"\n")
    await load.stdout.readline()  # it is done
    spent = time.process_time() - started
    assert await load.wait() == 0
    return {"cpu_us": spent / count * 1e6, "per_cpu_second": count / spent}
