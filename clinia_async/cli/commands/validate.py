"""`clinia-async validate`: what `ingest` would refuse, without a service."""

# ruff: noqa: PLC0415  the library is loaded when the command runs, and not for its help

from pathlib import Path

import click

from clinia_async.cli.connection_options import profile_files, source_option
from clinia_async.cli.exit_codes import EPILOG
from clinia_async.cli.input_files import files_argument, input_files
from clinia_async.cli.input_options import INPUT_HELP, InputOptions, input_options
from clinia_async.cli.output import report_option
from clinia_async.cli.output_paths import check_apart, check_output_path
from clinia_async.cli.param_types import FILE_PATH
from clinia_async.cli.running import run_command

_HELP = f"""Check the records in FILE as `ingest` does, and send nothing.

{INPUT_HELP}
The report counts lines, blank ones, good and bad records with the reasons, and records whose key occurred
before. Such keys are no error; they are counted exactly, in a few MiB of memory and a temporary
file of about 20 MB per million records.
"""


@click.command(help=_HELP, epilog=EPILOG)
@files_argument
@source_option(required=False)
@input_options
@click.option(
    "--dead-letters",
    type=FILE_PATH,
    metavar="PATH",
    help="A file for the bad records. It is written, over an earlier one, only if there are any.",
)
@report_option
def validate(
    *,
    files: tuple[Path, ...],
    source: str | None,
    input_options: InputOptions,
    dead_letters: Path | None,
    output: str,
) -> int:
    from clinia_async.cli.runs.validate import ValidateRequest, validate_file

    paths = input_files(files)
    if dead_letters is not None:
        check_output_path(dead_letters, paths, "--dead-letters")
        check_apart([("CLINIA_PROFILE", profile_files()), ("--dead-letters", [dead_letters])])
    request = ValidateRequest(paths, source or "source", input_options, dead_letters, output)
    return run_command(lambda _: validate_file(request))
