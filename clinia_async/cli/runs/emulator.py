"""The work of `clinia-async emulator`, from its start to a signal."""

import asyncio
import errno
import shlex
import signal
from collections.abc import Callable
from contextlib import suppress

import click

from clinia_async.cli.exit_codes import ExitCode, print_error, say
from clinia_async.emulator import Emulator


async def serve(make: Callable[[], Emulator], *, print_key: bool) -> int:
    """Serve until SIGINT or SIGTERM. Print the key only if it was not given."""
    try:
        emulator = make()
        await emulator.start()
    except (OSError, ValueError) as error:
        is_taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        advice = "; give another --port, or 0 for one that is free" if is_taken else ""
        print_error(f"the emulator cannot start: {error}{advice}")
        return ExitCode.USAGE
    try:
        over = _signalled()
        _export("CLINIA_BASE_URL", emulator.url)
        if print_key:
            _export("CLINIA_API_KEY", emulator.key)
        if emulator.window != "off":
            say(f"window: {emulator.window_url}")
        await over.wait()
    finally:
        await emulator.close()
    return ExitCode.OK


def _export(name: str, value: str) -> None:
    """One line for a shell."""
    click.echo(f"export {name}={shlex.quote(value)}")


def _signalled() -> asyncio.Event:
    over = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):  # Windows: Ctrl-C cancels
            asyncio.get_running_loop().add_signal_handler(number, over.set)
    return over
