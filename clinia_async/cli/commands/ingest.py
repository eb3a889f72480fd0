"""`clinia-async ingest`: the options, and the checks that need no service."""

# ruff: noqa: PLC0415  the HTTP client is loaded when the command runs, and not for its help

import gc
from importlib import import_module
from pathlib import Path

import click

import clinia_async as clinia
from clinia_async.cli.connection_options import (
    Connection,
    connection_options,
    profile_files,
    source_option,
)
from clinia_async.cli.exit_codes import EPILOG
from clinia_async.cli.input_files import STANDARD_INPUT, files_argument, input_files
from clinia_async.cli.input_options import INPUT_HELP, InputOptions, input_options
from clinia_async.cli.output import report_option
from clinia_async.cli.output_paths import (
    check_apart,
    check_journal_path,
    check_output_path,
    check_report_path,
    default_dead_letter_path,
    files_of_journal,
)
from clinia_async.cli.param_types import (
    ANY_PATH,
    FILE_PATH,
    MaxErrors,
    max_errors,
    positive_seconds,
    seconds,
)
from clinia_async.cli.running import run_command

_PATIENCE = 60.0

_HELP = f"""Send the records in FILE, and report the outcome of each.

{INPUT_HELP}
SIGINT (Ctrl-C) or SIGTERM stops it: requests in flight are completed within --grace, and the report is
printed. A second one stops it at once. With --journal the same command resumes where it was stopped, even
after a kill or a power failure: nothing is lost and nothing is stored twice. Without it, an equal record that
exists already counts as landed.
"""


@click.command(help=_HELP, epilog=EPILOG)
@files_argument
@source_option(required=True)
@input_options
@click.option(
    "--via",
    type=click.Choice(["single", "bulk", "bundle"]),
    default="bulk",
    show_default=True,
    help="One request a record, or many records a request: each for itself, or (bundle) all or none.",
)
@click.option(
    "--journal",
    type=ANY_PATH,
    metavar="PATH",
    help="A file in which the job keeps what it has sent and the outcomes, to resume from. It holds no record"
    " and no key. `clinia-async journal show` prints its state.",
)
@click.option(
    "--journal-is-copy",
    is_flag=True,
    help="Resume from a journal that was copied or restored from a backup. Only where no run has used the"
    " original since.",
)
@click.option(
    "--on-existing",
    type=click.Choice(["compare", "keep", "fail"]),
    default="compare",
    show_default=True,
    help="If a record that is to be created exists already: read it, and count an equal one as landed and a"
    " different one as failed (compare); leave it, and count the record as kept (keep); or count it as"
    " failed unread (fail).",
)
@click.option(
    "--on-unknown",
    type=click.Choice(["stop", "resend"]),
    default="stop",
    show_default=True,
    help="If a create without an id may or may not have been stored: report it as unknown, or send it again"
    " and perhaps store it twice. A record with an id is reconciled in either case.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1, max=10_000),
    metavar="N",
    help="Requests that each process prepares at once.  [default: 4 for bulk, 32 for single]",
)
@click.option(
    "--processes",
    type=click.IntRange(min=1, max=1_000),
    default=1,
    show_default=True,
    metavar="N",
    help="Processes that load FILE together; more than there are cores gain nothing. The records of one key"
    " go to one of them, in order. They share --rate and --in-flight. The journal is a folder then, and is"
    " resumed with the same N.",
)
@click.option(
    "--chunk-operations",
    type=click.IntRange(min=1),
    metavar="N",
    help="The most records in one bulk or bundle.  [default: 1000]",
)
@click.option(
    "--chunk-bytes",
    type=click.IntRange(min=1),
    metavar="N",
    help="The most bytes in one bulk.  [default: 8388608; a bundle holds 500000 at most]",
)
@click.option(
    "--in-flight",
    type=click.IntRange(min=1),
    metavar="N",
    help="The most requests in flight, polls of tasks included.  [default: 32]",
)
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    metavar="N",
    help="The most requests a second, spaced evenly.  [default: as many as the service takes]",
)
@click.option(
    "--linger",
    type=seconds,
    metavar="SECONDS",
    help="Send a chunk that is not full after so long, where the input is slow.  [default: 1.0]",
)
@click.option(
    "--dead-letters",
    type=FILE_PATH,
    metavar="PATH",
    help="The file for records that did not land, which `clinia-async retry` feeds back in. It is"
    " written, over an earlier one, only if there are any."
    "  [default: the name of FILE with .dead.ndjson, in the current folder]",
)
@click.option(
    "--patience",
    type=positive_seconds,
    metavar="SECONDS",
    help="Give up after so many seconds without one good answer, from the service or to the polls of a task;"
    " without it, polls are as patient as CLINIA_POLLING_PATIENCE says, and the retries of a request as"
    " CLINIA_RETRY_PATIENCE says.  [default: 60]",
)
@click.option(
    "--grace",
    type=seconds,
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long requests in flight may take after a first signal.",
)
@click.option(
    "--max-errors",
    type=max_errors,
    metavar="N|P%",
    help="Stop when more records than this have failed: a number, or a share of the records read, once there"
    " are a hundred.  [default: as many as there are]",
)
@click.option(
    "--report",
    "reports",
    type=FILE_PATH,
    multiple=True,
    metavar="PATH",
    help="Write the report to a file, however the job ends: a page if PATH ends in .html, else JSON. May be"
    " given twice.",
)
@click.option(
    "--emulator",
    is_flag=True,
    help="Send to an emulator that lasts as long as the run, and needs no account. With --journal it keeps"
    " its records beside the journal, in a file that ends in .emulator.",
)
@report_option
@connection_options
def ingest(
    *,
    connection: Connection,
    files: tuple[Path, ...],
    source: str,
    input_options: InputOptions,
    via: str,
    journal: Path | None,
    journal_is_copy: bool,
    on_existing: str,
    on_unknown: str,
    workers: int | None,
    processes: int,
    chunk_operations: int | None,
    chunk_bytes: int | None,
    in_flight: int | None,
    rate: float | None,
    linger: float | None,
    dead_letters: Path | None,
    patience: float | None,
    grace: float,
    max_errors: MaxErrors | None,
    reports: tuple[Path, ...],
    emulator: bool,
    output: str,
) -> int:
    gc.disable()  # while hundreds of modules are loaded there is nothing to collect
    try:
        import_module("clinia_async.session")  # before what loads it from deeper
        from clinia_async.cli.runs.ingest import IngestRequest, ingest_file
    finally:
        gc.enable()

    paths = input_files(files)
    _check_connection(connection, paths, emulator=emulator)
    chunk = _chunk(via, chunk_operations, chunk_bytes, linger)
    dead_letter_path = dead_letters or default_dead_letter_path(paths)
    check_output_path(dead_letter_path, paths, "--dead-letters")
    _check_processes(processes, connection, paths, input_options, journal)
    _check_reports(reports, paths)
    _check_apart(connection, paths, journal, _dead_letter_files(dead_letter_path, processes), reports)
    request = IngestRequest(
        files=paths,
        source=source,
        via=via,
        journal=journal,
        journal_is_copy=journal_is_copy,
        on_existing=on_existing,
        on_unknown=on_unknown,
        workers=workers,
        processes=processes,
        chunk=chunk,
        limits=_limits(in_flight, rate),
        input_options=input_options,
        dead_letters=dead_letter_path,
        patience=_PATIENCE if patience is None else patience,
        is_patience_given=patience is not None,
        grace=grace,
        max_errors=max_errors,
        reports=reports,
        connection=connection,
        emulator=emulator,
        output=output,
    )
    return run_command(lambda signals: ingest_file(request, signals))


def _check_reports(reports: tuple[Path, ...], paths: tuple[Path, ...] | None) -> None:
    for report in reports:
        check_report_path(report, paths)


def _check_apart(
    connection: Connection,
    paths: tuple[Path, ...] | None,
    journal: Path | None,
    dead_letters: list[Path],
    reports: tuple[Path, ...],
) -> None:
    check_apart(
        [
            ("FILE", paths or ()),
            ("--api-key-file", connection.key_files),
            ("CLINIA_PROFILE", profile_files()),
            ("--journal", () if journal is None else files_of_journal(journal)),
            ("--dead-letters", dead_letters),
            *(("--report", [report]) for report in reports),
        ]
    )


def _dead_letter_files(path: Path, processes: int) -> list[Path]:
    """Return the files of dead letters: each of several processes has one of its own, too."""
    parts = range(processes if processes > 1 else 0)
    return [path, *(path.with_name(f"{path.name}.part-{number}") for number in parts)]


def _check_connection(connection: Connection, paths: tuple[Path, ...] | None, *, emulator: bool) -> None:
    if emulator and connection.names_a_service:
        raise click.UsageError(
            "--emulator excludes --workspace, --base-url and --api-key-file: leave them out, or leave it out."
        )
    if paths is None and connection.api_key_file == STANDARD_INPUT:
        raise click.UsageError(
            "FILE and --api-key-file cannot both be standard input: name a file for one of them."
        )


def _check_processes(
    processes: int,
    connection: Connection,
    paths: tuple[Path, ...] | None,
    input_options: InputOptions,
    journal: Path | None,
) -> None:
    if journal is not None:
        check_journal_path(journal)
    if processes == 1:
        if journal is not None and journal.is_dir():
            raise click.BadParameter(
                "is a folder, perhaps the journal of several processes: give --processes as before.",
                param_hint="'--journal'",
            )
        return
    if paths is None:
        raise click.UsageError("--processes cannot share standard input: name a file.")
    if connection.api_key_file == STANDARD_INPUT:
        raise click.UsageError("--processes needs the key from the environment or a file.")
    if input_options.fhir == "both":
        raise click.UsageError(
            "--processes does not go with --fhir both: load --fhir resources first, then --fhir references."
        )


def _chunk(via: str, operations: int | None, size: int | None, linger: float | None) -> "clinia.ChunkLimits":
    if via == "single" and (operations or size or linger is not None):
        raise click.UsageError(
            "--chunk-operations, --chunk-bytes and --linger do not go with --via single: leave them out."
        )
    default = clinia.ChunkLimits()
    return clinia.ChunkLimits(
        operations or default.operations, size or default.bytes, default.linger if linger is None else linger
    )


def _limits(in_flight: int | None, rate: float | None) -> "clinia.ConcurrencyLimits":
    default = clinia.ConcurrencyLimits()
    most = in_flight or default.most
    return clinia.ConcurrencyLimits(start=min(default.start, most), most=most, rate=rate)
