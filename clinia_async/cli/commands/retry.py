"""`clinia-async retry`: send again what a run wrote to its dead-letter file."""

from pathlib import Path

import click

from clinia_async.cli.commands.ingest import ingest
from clinia_async.cli.exit_codes import EPILOG
from clinia_async.cli.param_types import EXISTING_FILE

_HELP = """Send the records in LETTERS, the dead-letter file of `ingest` or `validate`, once they are mended.

The "text" of a letter, or what stands beside "deadLetter", is the record as it was read: a line, a row as
columns and cells, or an entry of FHIR with what it refers to. Mend it there. Give the options of the run
that the letters are from: --columns, --action, --dots, --fhir, --decimal. Letters that need another one than
is given are not read, and the message names it. Options that say how a file is cut into rows and cells, or
which of them are read, are refused: all letters are sent. What does not land again is written to another
file, with the number of the line where it first stood.
"""


def _retry(failed_records: Path, **options: object) -> int:
    assert ingest.callback is not None
    code: int = ingest.callback(files=(failed_records,), format="dead-letters", **options)
    return code


retry = click.Command(
    "retry",
    callback=_retry,
    params=[
        click.Argument(["failed_records"], metavar="LETTERS", type=EXISTING_FILE),
        *(each for each in ingest.params if each.name not in {"files", "format"}),
    ],
    help=_HELP,
    epilog=EPILOG,
)
