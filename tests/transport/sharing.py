"""Processes that share one limit, against a server that refuses more than so many requests a second.

    python -m tests.transport.sharing --processes 8 --rate 40 --seconds 15

The server counts the requests of every window of a second, and answers 429 to those beyond the rate. Then one
service sends a request now and then, alone and beside a job of as many processes, in turn. All processes have
started before the first of them sends: the start of an interpreter takes the cores, not the limit.
"""

import argparse
import asyncio
import contextlib
import json
import sys
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from random import Random

from aiohttp import web
from attrs import define, field

from clinia_async import ConcurrencyLimits, NotFound, Session

_ANSWER = 0.01
"""Seconds that the server takes."""
_LOOPS = 4
"""Requests that each process would have in flight at once."""
_READY = "ready"


@define
class Server:
    """Refuses what is more than `rate` requests within any second."""

    rate: float
    arrivals: list[tuple[float, bool]] = field(factory=list)
    _window: deque[float] = field(factory=deque)

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """Return 404 for a request that is admitted, which says that the service keeps up."""
        now = time.monotonic()
        while self._window and self._window[0] <= now - 1:
            self._window.popleft()
        is_admitted = len(self._window) < self.rate
        self.arrivals.append((now, is_admitted))
        if not is_admitted:
            return web.json_response({"code": 429, "type": "RESOURCE_EXHAUSTED", "message": ""}, status=429)
        self._window.append(now)
        await asyncio.sleep(_ANSWER)
        return web.json_response({"code": 404, "type": "NOT_FOUND", "message": "none"}, status=404)

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Yield the URL."""
        runner = web.ServerRunner(web.Server(self.answer))
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        try:
            yield f"http://{host}:{port}"
        finally:
            await runner.cleanup()


async def send(url: str, limit: Path, rate: float, seconds: float, *, is_service: bool) -> list[float]:
    """Send until the time is over; return how long each request took."""
    took: list[float] = []
    limits = ConcurrencyLimits(rate=rate, shared=limit)
    random = Random()
    async with Session(base_url=url, api_key="k") as session:
        with session.limit_concurrency(limits, background=not is_service):
            print(_READY, flush=True)
            await asyncio.to_thread(sys.stdin.readline)
            until = time.monotonic() + seconds

            async def loop() -> None:
                while time.monotonic() < until:
                    if is_service:
                        await asyncio.sleep(random.expovariate(rate * 0.08))
                    began = time.monotonic()
                    with contextlib.suppress(NotFound):
                        await session.get_relationship("s", "t", "a.b")
                    took.append(time.monotonic() - began)

            await asyncio.gather(*(loop() for _ in range(1 if is_service else _LOOPS)))
    return took


async def _processes(
    url: str, folder: Path, rate: float, seconds: float, roles: Sequence[str]
) -> list[list[float]]:
    command = [sys.executable, "-m", "tests.transport.sharing", "--client", url]
    command += ["--limit", str(folder / "limit"), "--rate", str(rate), "--seconds", str(seconds)]
    pipe = asyncio.subprocess.PIPE
    started = [
        await asyncio.create_subprocess_exec(*command, "--role", role, stdin=pipe, stdout=pipe)
        for role in roles
    ]
    for each in started:
        assert each.stdout is not None
        assert await each.stdout.readline() == f"{_READY}\n".encode()
    answers = await asyncio.gather(*(each.communicate(b"\n") for each in started))
    return [json.loads(out) for out, _ in answers]


async def _budget(count: int, rate: float, seconds: float, folder: Path) -> None:
    server = Server(rate)
    async with server.serving() as url:
        await _processes(url, folder, rate, seconds, ["job"] * count)
    first, last = server.arrivals[0][0], server.arrivals[-1][0]
    late = [is_admitted for at, is_admitted in server.arrivals if at > first + 1]
    used = sum(late) / (rate * (last - first - 1))
    print(f"{count} processes, {rate:g} a second, {last - first:.0f} s: ", end="")
    print(f"{late.count(False)} refused after the first second, {used:.1%} of the rate used")


async def _beside(count: int, rate: float, seconds: float, folder: Path) -> None:
    took: dict[str, list[float]] = {"alone": [], "beside": []}
    for _ in range(3):
        for name, roles in (("alone", ["service"]), ("beside", ["service", *["job"] * count])):
            server = Server(rate)
            async with server.serving() as url:
                found = await _processes(url, folder, rate, seconds, roles)
            took[name] += found[0]
            refused = sum(not is_admitted for _, is_admitted in server.arrivals)
            print(f"  service {name}: {len(found[0])} requests, {refused} of all refused")
    for name, each in took.items():
        each.sort()
        middle, high = each[len(each) // 2], each[min(len(each) - 1, int(len(each) * 0.99))]
        print(f"service {name}: p50 {middle * 1e3:.1f} ms, p99 {high * 1e3:.1f} ms of {len(each)} requests")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser("python -m tests.transport.sharing", description=__doc__)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--rate", type=float, default=40.0)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--client", help=argparse.SUPPRESS)
    parser.add_argument("--limit", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--role", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.client is not None:
        is_service = given.role == "service"
        took = asyncio.run(send(given.client, given.limit, given.rate, given.seconds, is_service=is_service))
        print(json.dumps(took))
        return
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_budget(given.processes, given.rate, given.seconds, Path(folder)))
        asyncio.run(_beside(given.processes, given.rate, given.seconds, Path(folder)))


if __name__ == "__main__":
    main()
