"""`clinia-async journal`: where a job with a journal is."""

# ruff: noqa: PLC0415  the library is loaded when the command runs, and not for its help

from pathlib import Path

import click

from clinia_async.cli.exit_codes import EPILOG
from clinia_async.cli.groups import CommandGroup
from clinia_async.cli.output import report_option
from clinia_async.cli.param_types import ExistingPath
from clinia_async.cli.running import run_command


@click.group(cls=CommandGroup, epilog=EPILOG, no_args_is_help=False)
def journal() -> None:
    """Read the journal of a job."""


@journal.command(epilog=EPILOG)
@click.argument("file", type=ExistingPath(dir_okay=True))
@report_option
def show(file: Path, output: str) -> int:
    """Print where the job with the journal FILE is, while it runs or after it has ended.

    The job is not disturbed, and need not run on. Counts are of records.
    """
    from clinia_async.cli.runs.journal import show_journal

    return run_command(lambda _: show_journal(file, output))
