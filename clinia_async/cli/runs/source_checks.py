"""Checks before a job starts: that its source is a key, and that the host of the service can be reached."""

import asyncio
import os
import socket
from urllib.parse import urlsplit

from clinia_async.calls.validation import check_key
from clinia_async.errors import ConfigError, InvalidWrite
from clinia_async.ingest import NetworkGivenUp

_ATTEMPTS, _TIMEOUT, _PAUSE = 3, 3.0, 0.5
_PORTS = {"https": 443, "http": 80}


def check_source(source: str) -> None:
    """Raise `ConfigError` if `source` cannot be the key of a source."""
    try:
        check_key(source, "$.source")
    except InvalidWrite as error:
        rule = error.rule
    else:
        return
    raise ConfigError(f"--source: {rule}")


async def check_reachable(origin: str) -> None:
    """Connect to the host of `origin`, or to the proxy that stands before it, and close the connection.

    Raises `NetworkGivenUp` with the host and the reason in words after three attempts.
    """
    url = urlsplit(os.environ.get("CLINIA_PROXY", "").strip() or origin)
    host, port = url.hostname or "", url.port or _PORTS[url.scheme]
    reason = ""
    for attempt in range(_ATTEMPTS):
        if attempt:
            await asyncio.sleep(_PAUSE)
        try:
            async with asyncio.timeout(_TIMEOUT):
                _, writer = await asyncio.open_connection(host, port)
        except TimeoutError:
            reason = f"no connection within {_TIMEOUT:.0f} s"
        except OSError as error:
            reason = _in_words(error)
        else:
            writer.close()
            return
    raise NetworkGivenUp(f"{host}:{port} cannot be reached: {reason}; nothing was sent")


def _in_words(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return "its name does not resolve"
    return os.strerror(error.errno).lower() if error.errno else "no connection"
