"""Runs what a command does in an event loop. Only a command that runs loads asyncio; help does not."""

import asyncio
from collections.abc import Callable, Coroutine

import clinia_async as clinia
from clinia_async.cli.exit_codes import ExitCode, leave_stdout, report_error
from clinia_async.cli.signals import Signals


def run_command(work: Callable[[Signals], Coroutine[object, object, int]]) -> int:
    """Run what a command does; return the exit code.

    `work` is given the signals and may take steps of its own for them; else the first one cancels it.
    """
    try:
        return asyncio.run(_run(work))
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        leave_stdout()
        return ExitCode.OUTPUT_CLOSED
    except clinia.CliniaError as error:
        return report_error(error)


async def _run(work: Callable[[Signals], Coroutine[object, object, int]]) -> int:
    with Signals() as signals:
        running = asyncio.ensure_future(work(signals))
        with signals.steps(running.cancel):
            await asyncio.wait([running])
    if running.cancelled() and signals.first is not None:
        return 128 + signals.first
    return running.result()
