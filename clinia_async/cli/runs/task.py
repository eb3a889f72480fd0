"""What `clinia-async task` does."""

import asyncio

from clinia_async.cli.connection_options import Connection
from clinia_async.cli.exit_codes import ExitCode, say
from clinia_async.cli.output import print_one
from clinia_async.cli.runs.writes import printable, result_of
from clinia_async.errors import ConfigError
from clinia_async.session.session import Session
from clinia_async.tasks.task import Task


async def get_task(
    connection: Connection, source: str | None, id_or_token: str, *, receipts: bool, output: str
) -> int:
    """Print the state of a task."""
    async with connection.session() as session:
        task = _handle(session, source, id_or_token)
        assert task.id is not None
        assert task.source_key is not None
        print_one(await session.get_task(task.source_key, task.id, with_receipts=receipts), output)
    return ExitCode.OK


async def wait_for_task(
    connection: Connection, source: str | None, id_or_token: str, *, timeout: float | None, output: str
) -> int:
    """Print each new state of a task on stderr, and its result at the end."""
    async with connection.session() as session:
        task = _handle(session, source, id_or_token)
        states = asyncio.create_task(_print_states(task))
        try:
            print_one(printable(await result_of(task, timeout=timeout)), output)
        finally:
            if not task.done():
                states.cancel()
            await asyncio.gather(states, return_exceptions=True)
    return ExitCode.OK


def _handle(session: Session, source: str | None, id_or_token: str) -> Task[object]:
    if not id_or_token.lstrip().startswith("{") and (source or session.default_source) is None:
        raise ConfigError("--source: a task id needs the source that it belongs to; a token names it")
    return session.task(id_or_token, source=source)


async def _print_states(task: Task[object]) -> None:
    async for snapshot in task.updates():
        say(snapshot.status)
