"""`clinia-async fhir`: what FHIR files need of a source."""

# ruff: noqa: PLC0415  the HTTP client is loaded when a command runs, and not for its help

from pathlib import Path

import click

from clinia_async.cli.connection_options import Connection, connection_options, source_option
from clinia_async.cli.exit_codes import EPILOG
from clinia_async.cli.groups import CommandGroup
from clinia_async.cli.input_files import files_argument, input_files
from clinia_async.cli.running import run_command


@click.group(cls=CommandGroup, epilog=EPILOG, no_args_is_help=False)
def fhir() -> None:
    """Make a source ready for the resources and the references of FHIR files."""


@fhir.command(epilog=EPILOG)
@files_argument
@click.option(
    "--format",
    type=click.Choice(["fhir", "fhir-ndjson", "fhir-document"]),
    default="fhir",
    show_default=True,
    help="What the files hold.",
)
@click.option("--fhir-base", metavar="URL", help="As for `ingest`.")
@click.option(
    "--apply",
    is_flag=True,
    help="Make them, and the source if there is none. Without it they are printed, and no service is asked.",
)
@source_option(required=False)
@connection_options
def definitions(
    *,
    connection: Connection,
    source: str | None,
    files: tuple[Path, ...],
    format: str,
    fhir_base: str | None,
    apply: bool,
) -> int:
    """Write the profiles and the relationship definitions that FILE... needs, as JSON.

    The properties of profiles are guessed from the values. With them `ingest --fhir both` loads the resources
    and then the relationships of the files, even where the source takes only what is defined.
    """
    from clinia_async.cli.runs.fhir import write_definitions

    paths = input_files(files)
    if paths is None:
        raise click.UsageError("FILE: standard input is not read here; name a file.")
    if apply and source is None:
        raise click.UsageError("--apply needs --source.")
    to = (connection, source) if apply and source is not None else None
    return run_command(lambda _: write_definitions(paths, format, fhir_base, to))
