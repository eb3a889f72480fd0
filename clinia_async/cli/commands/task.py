"""`clinia-async task`: how a task stands, and how it ends."""

# ruff: noqa: PLC0415  the HTTP client is loaded when a command runs, and not for its help

import asyncio

import click

import clinia_async as clinia
from clinia_async.cli.connection_options import (
    Connection,
    connection_options,
    connection_options_without_timeout,
    source_option,
)
from clinia_async.cli.exit_codes import EPILOG, ExitCode, run_command
from clinia_async.cli.param_types import positive_seconds


@click.group(epilog=EPILOG, no_args_is_help=False)
def task() -> None:
    """Look at a task, or wait for it: by its token, or by its id and its source."""


@task.command(epilog=EPILOG)
@click.argument("id_or_token")
@click.option("--receipts", is_flag=True, help="Ask for the receipts of its operations too.")
@source_option(required=False)
@connection_options
def get(connection: Connection, source: str | None, id_or_token: str, receipts: bool) -> int:
    """Print how a task stands, whatever that is."""

    async def work() -> int:
        async with connection.session() as session:
            found = session.task(id_or_token, source=source)
            assert found.id is not None
            assert found.source_key is not None
            _show(await session.get_task(found.source_key, found.id, with_receipts=receipts))
        return ExitCode.OK

    return run_command(work)


@task.command(epilog=EPILOG)
@click.argument("id_or_token")
@click.option(
    "--timeout",
    "within",
    type=positive_seconds,
    metavar="SECONDS",
    help="How long to wait; the task itself goes on.  [default: as long as it takes]",
)
@source_option(required=False)
@connection_options_without_timeout
def wait(connection: Connection, source: str | None, id_or_token: str, within: float | None) -> int:
    """Wait for a task and print its result: the relationship that it made, or its receipts."""

    async def work() -> int:
        async with connection.session() as session:
            _show(await _result(session.task(id_or_token, source=source), within))
        return ExitCode.OK

    return run_command(work)


async def _result(task: "clinia.Task[object]", within: float | None) -> object:
    telling = asyncio.create_task(_tell(task))
    try:
        return await task.result(timeout=within)
    finally:
        if not task.done():
            telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)


async def _tell(task: "clinia.Task[object]") -> None:
    async for snapshot in task.updates():
        click.echo(snapshot.status, err=True)


def _show(value: object) -> None:
    from clinia_async.serialization import converter

    click.echo(converter.encode(value))
