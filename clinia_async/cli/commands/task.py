"""`clinia-async task`: read the state of a task, or wait for its end."""

# ruff: noqa: PLC0415  the HTTP client is loaded when a command runs, and not for its help

import click

from clinia_async.cli.connection_options import (
    Connection,
    connection_options,
    connection_options_without_timeout,
    source_option,
)
from clinia_async.cli.exit_codes import EPILOG
from clinia_async.cli.groups import CommandGroup
from clinia_async.cli.output import output_option
from clinia_async.cli.param_types import positive_seconds
from clinia_async.cli.running import run_command


@click.group(cls=CommandGroup, epilog=EPILOG, no_args_is_help=False)
def task() -> None:
    """Read the state of a task, or wait for it: by its token, or by its id and its source."""


@task.command(epilog=EPILOG)
@click.argument("id_or_token")
@click.option("--receipts", is_flag=True, help="Ask for the receipts of its operations too.")
@output_option
@source_option(required=False)
@connection_options
def get(*, connection: Connection, source: str | None, id_or_token: str, receipts: bool, output: str) -> int:
    """Print the state of a task, whatever it is: one request."""
    from clinia_async.cli.runs.task import get_task

    return run_command(lambda _: get_task(connection, source, id_or_token, receipts=receipts, output=output))


@task.command(epilog=EPILOG)
@click.argument("id_or_token")
@click.option(
    "--timeout",
    "within",
    type=positive_seconds,
    metavar="SECONDS",
    help="How long to wait; the task itself goes on.  [default: as long as it takes]",
)
@output_option
@source_option(required=False)
@connection_options_without_timeout
def wait(
    *, connection: Connection, source: str | None, id_or_token: str, within: float | None, output: str
) -> int:
    """Wait for a task and print its result: the record that it made, or its receipts."""
    from clinia_async.cli.runs.task import wait_for_task

    return run_command(
        lambda _: wait_for_task(connection, source, id_or_token, timeout=within, output=output)
    )
