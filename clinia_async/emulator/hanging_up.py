"""The end of a server with all its connections, so that none is left open when its event loop ends."""

import asyncio
from contextlib import suppress
from socket import socket

from aiohttp import web

_TURNS_TO_ARRIVE = 2
"""Turns of the loop after which aiohttp can close what was accepted, beside the one that it waits itself.

asyncio makes a transport of it in the next turn, and half of one, never closed, if its server is closed by
then. aiohttp waits for a request in a task, which takes a turn more to start.
"""


async def hang_up(runner: web.AppRunner, listener: socket) -> None:
    """Takes no more connections, and lets requests under way end within the runner's timeout."""
    with suppress(NotImplementedError):  # Windows
        asyncio.get_running_loop().remove_reader(listener)
    for _ in range(_TURNS_TO_ARRIVE):
        await asyncio.sleep(0)
    known = [connection.transport for connection in runner.server.connections] if runner.server else []
    await runner.cleanup()
    for transport in known:
        if transport is not None:
            transport.abort()  # a client that does not take the rest of its answer would hold it open
