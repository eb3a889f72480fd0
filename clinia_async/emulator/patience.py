"""Waiting a while for what another process is about to let go of."""

import asyncio
import errno
import sqlite3
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")
_PAUSE = 0.02


async def patiently(take: Callable[[], _T], patience: float) -> _T:
    """What `take` gives; for `patience` seconds a port in use or a locked file is tried again."""
    now = asyncio.get_running_loop().time
    end = now() + patience
    while True:
        try:
            return take()
        except (OSError, sqlite3.OperationalError) as error:
            if not _is_taken(error) or now() >= end:
                raise
        await asyncio.sleep(_PAUSE)


def _is_taken(error: OSError | sqlite3.OperationalError) -> bool:
    if isinstance(error, OSError):
        return error.errno == errno.EADDRINUSE
    return error.sqlite_errorcode == sqlite3.SQLITE_BUSY
