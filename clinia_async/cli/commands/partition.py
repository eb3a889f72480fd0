"""`clinia-async partition`: a partition of the catalog, created or read."""

# ruff: noqa: PLC0415  the HTTP client is loaded when a command runs, and not for its help

from collections.abc import Mapping
from pathlib import Path

import click

import clinia_async as clinia
from clinia_async.cli.connection_options import Connection, connection_options
from clinia_async.cli.exit_codes import EPILOG, ExitCode, run_command
from clinia_async.cli.param_types import EXISTING_FILE


@click.group(epilog=EPILOG, no_args_is_help=False)
def partition() -> None:
    """Create a partition, or read one."""


@partition.command(epilog=EPILOG)
@click.argument("key")
@click.option(
    "--definition",
    type=EXISTING_FILE,
    required=True,
    metavar="FILE",
    help="A JSON object with `modules` and `source`, as in the reference of the API. Anything that would"
    " be lost on the way is refused.",
)
@click.option("--stage", is_flag=True, help="Make a mutable partition to try, in place of an immutable one.")
@connection_options
def create(connection: Connection, key: str, definition: Path, stage: bool) -> int:
    """Create the partition KEY: immutable at once, unless it is staged."""
    text = definition.read_bytes()

    async def work() -> int:
        modules, source = _defined(text)
        async with connection.session() as session:
            task = await session.create_partition(key, modules=modules, source=source, stage=stage)
            _show(await task)
        return ExitCode.OK

    return run_command(work)


@partition.command(epilog=EPILOG)
@click.argument("key")
@connection_options
def get(connection: Connection, key: str) -> int:
    """Print the partition KEY."""

    async def work() -> int:
        async with connection.session() as session:
            _show(await session.get_partition(key))
        return ExitCode.OK

    return run_command(work)


def _defined(text: bytes) -> "tuple[clinia.Modules, clinia.DataSource | clinia.Mdm]":
    """What is in a definition. An immutable partition is no place for a slip of the pen to be passed over."""
    from clinia_async.serialization import converter, exact_json, strict_json

    try:
        document = {name: value for name, (value, _) in strict_json.fields(text.decode()).items()}
        read = converter.structure({"key": "", **document}, clinia.Partition)
    except UnicodeDecodeError:
        raise clinia.InvalidWrite("$", "must be UTF-8") from None
    except clinia.DecodeError as error:
        raise clinia.InvalidWrite(error.path, f"must be {error.expected}") from None
    if isinstance(read.source, clinia.OtherSource):
        raise clinia.InvalidWrite("$.source.type", "must be DATA_SOURCE or MDM")
    kept = exact_json.loads(converter.encode({"modules": read.modules, "source": read.source}))
    _refuse_what_is_lost(document, kept, "$")
    return read.modules, read.source


def _refuse_what_is_lost(given: object, kept: object, path: str) -> None:
    if isinstance(given, Mapping) and isinstance(kept, Mapping):
        if not given.keys() <= kept.keys():
            raise clinia.InvalidWrite(path, "has a member that is unknown, or null")
        for name, value in given.items():
            _refuse_what_is_lost(value, kept[name], f"{path}.{name}")
    elif isinstance(given, list) and isinstance(kept, list):
        for place, (value, counterpart) in enumerate(zip(given, kept, strict=True)):
            _refuse_what_is_lost(value, counterpart, f"{path}[{place}]")


def _show(partition: "clinia.Partition") -> None:
    from clinia_async.serialization import converter

    click.echo(converter.encode(partition))
