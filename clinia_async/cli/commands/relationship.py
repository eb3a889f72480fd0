"""`clinia-async relationship`: one relationship, created or read."""

# ruff: noqa: PLC0415  the HTTP client is loaded when a command runs, and not for its help

import asyncio

import click

import clinia_async as clinia
from clinia_async.cli.connection_options import Connection, connection_options, source_option
from clinia_async.cli.exit_codes import EPILOG, ExitCode, resume_command, run_command
from clinia_async.cli.param_types import json_or_file, type_and_id


@click.group(epilog=EPILOG, no_args_is_help=False)
def relationship() -> None:
    """Create a relationship, or read one."""


@relationship.command(epilog=EPILOG)
@click.argument("type")
@click.option(
    "--from", "from_", type=type_and_id, metavar="TYPE/ID", required=True, help="The end where it starts."
)
@click.option("--to", type=type_and_id, metavar="TYPE/ID", required=True, help="The end where it leads.")
@click.option(
    "--data",
    type=json_or_file,
    metavar="JSON|@FILE",
    help="A JSON object. A file keeps it out of the shell's history.",
)
@click.option(
    "--wait/--no-wait",
    default=True,
    show_default=True,
    help="Wait for its task and print the relationship; or print the token of the task at once, for"
    " `task wait`, or `persisted` where nothing is left to wait for.",
)
@source_option(required=True)
@connection_options
def create(
    *,
    connection: Connection,
    source: str,
    type: str,
    from_: tuple[str, str],
    to: tuple[str, str],
    data: bytes | None,
    wait: bool,
) -> int:
    """Create a relationship of TYPE between two ends."""

    async def work() -> int:
        write = clinia.CreateRelationship(source, type, _ref(from_), _ref(to), _object(data))
        async with connection.session() as session:
            task = await session.submit(write)
            if wait:
                _show(await _result(task))
            else:
                click.echo("persisted" if task.done() else task.token())
        return ExitCode.OK

    return run_command(work)


@relationship.command(epilog=EPILOG)
@click.argument("type")
@click.argument("id")
@source_option(required=True)
@connection_options
def get(connection: Connection, source: str, type: str, id: str) -> int:
    """Print the relationship of TYPE whose ID is `{from.id}.{to.id}`, or `{system}:{value}:{use}`."""

    async def work() -> int:
        async with connection.session() as session:
            _show(await session.get_relationship(source, type, id))
        return ExitCode.OK

    return run_command(work)


def _ref(end: tuple[str, str]) -> "clinia.Ref":
    type_, id_ = end
    return clinia.Ref(id_, type_)


def _object(text: bytes | None) -> "clinia.RawJson | None":
    """The text itself, once it is known to be one JSON object: no digit of it changes on the way."""
    from clinia_async.serialization import strict_json

    if text is None:
        return None
    try:
        strict_json.fields(text.decode())
    except (clinia.DecodeError, UnicodeDecodeError) as error:
        expected = error.expected if isinstance(error, clinia.DecodeError) else "UTF-8"
    else:
        return clinia.RawJson(text)
    raise clinia.InvalidWrite("$.data", f"expected {expected}")


async def _result(task: "clinia.Task[clinia.Relationship]") -> "clinia.Relationship":
    try:
        return await task
    except asyncio.CancelledError:
        click.echo(f"the task goes on; {resume_command(task.token())}", err=True)
        raise


def _show(relationship: "clinia.Relationship") -> None:
    from clinia_async.serialization import converter

    click.echo(converter.encode(relationship))
