"""Exit codes: what they mean, which error leads to which, and how an error is printed."""

import os
import sys
from contextlib import suppress
from enum import IntEnum
from traceback import walk_tb

import click

import clinia_async as clinia


class ExitCode(IntEnum):
    OK = 0
    FAILED = 1
    USAGE = 2
    ACCESS = 3
    NETWORK = 4
    TASK = 5
    INTERRUPTED = 130
    OUTPUT_CLOSED = 141
    TERMINATED = 143


_MEANINGS = {
    ExitCode.OK: "done: every record landed",
    ExitCode.FAILED: "some records did not land, or may not have, or the service refused the request",
    ExitCode.USAGE: "wrong options or settings, or an input, a journal or an output that cannot be used",
    ExitCode.ACCESS: "the service refused the key",
    ExitCode.NETWORK: "no good answer: given up, timed out, or the outcome is unknown",
    ExitCode.TASK: "the task failed, was cancelled, or its record was dropped",
    ExitCode.INTERRUPTED: "interrupted by SIGINT (Ctrl-C)",
    ExitCode.OUTPUT_CLOSED: "what read the output has ended (`| head`)",
    ExitCode.TERMINATED: "interrupted by SIGTERM",
}
EPILOG = "\b\nExit codes:\n" + "\n".join(f"  {code:>3}  {text}" for code, text in _MEANINGS.items())


def exit_code_of(error: "clinia.CliniaError") -> ExitCode:
    """Return the exit code of the first row that fits."""
    if isinstance(error, clinia.TaskPollError) and error.status in {401, 403}:
        return ExitCode.ACCESS
    if isinstance(error, clinia.ApiError) and _is_final_rejection(error):
        return ExitCode.FAILED
    return next((code for kinds, code in _codes() if isinstance(error, kinds)), ExitCode.FAILED)


def _codes() -> tuple[tuple[tuple[type["clinia.CliniaError"], ...], ExitCode], ...]:
    # names of `clinia_async` load what they name, so the table is made when there is an error
    return (
        ((clinia.InputError, clinia.JournalError, clinia.ConfigError, clinia.InvalidWrite), ExitCode.USAGE),
        ((clinia.AccessRefused, clinia.Unauthenticated, clinia.PermissionDenied), ExitCode.ACCESS),
        ((clinia.WriteConflict,), ExitCode.FAILED),
        ((clinia.NetworkGivenUp, clinia.WorkerDied, clinia.RequestError), ExitCode.NETWORK),
        ((clinia.TaskTimeout, clinia.TaskPollError), ExitCode.NETWORK),
        ((clinia.TaskError, clinia.GatherError), ExitCode.TASK),
    )


def _is_final_rejection(error: "clinia.ApiError") -> bool:
    """Whether the service rejected the request itself, and not the key or the moment."""
    is_transient = error.status in {408, 425, 429}
    is_access = isinstance(error, clinia.Unauthenticated | clinia.PermissionDenied)
    return error.outcome is clinia.Outcome.REJECTED and not (is_transient or is_access)


_IN_CLI_WORDS = {
    "on_existing must be fail for a write that is no create with an id": "--on-existing needs --id: without"
    " one the service makes the id, and no record has it before",
    "journal_is_copy must be left out": "--journal-is-copy must be left out",
    "see escape_dots": "see --dots of ingest",
    "action=DELETE": "--action delete",
    "action=UPSERT": "--action upsert",
    "map_id=escape_dots": "--dots escape",
    "fhir=resources": "--fhir resources",
    "fhir=both": "--fhir both",
    "decimal=,": "--decimal ,",
    "base_url must": "--base-url must",
    "fhir_base must": "--fhir-base must",
    "workspace must": "--workspace must",
    "workspace or base_url": "--workspace or --base-url",
    "check the function that is given as credentials=...": "check the key: CLINIA_API_KEY or --api-key-file",
    "CLINIA_API_KEY or api_key=...": "CLINIA_API_KEY or --api-key-file",
    "proxy=... or CLINIA_PROXY": "CLINIA_PROXY",
    "timeout=... or CLINIA_TIMEOUT": "--timeout or CLINIA_TIMEOUT",
    ": retry=RetryPolicy(...)": "",
    ": headers=...": "",
    'or take it: on_existing="keep" or "compare"': "or take it: --on-existing keep or compare",
    "error.message and error.details say how, and may quote the record": "the service's text may quote the"
    " record, and is not printed",
    "read error.message and error.details, the service's own words, which may quote the record": "ask the"
    " service's support; its own text may quote the record, and is not printed",
    "read error.failed_receipts: they say which operations failed and why": "`task get --receipts` says which"
    " operations failed and why",
    "session.task(error.token)": "`task wait`",
}


def in_cli_words(text: str) -> str:
    """Return a text of the library with names of the command line in place of names of Python."""
    for name, words in _IN_CLI_WORDS.items():
        text = text.replace(name, words)
    return text


def say(text: str) -> None:
    """Print one line on stderr. Nobody may be there to read it: the work goes on."""
    with suppress(OSError, ValueError):
        click.echo(text, err=True)


def print_error(text: str) -> None:
    """Print an error in one line on stderr."""
    say("error: " + " ".join(in_cli_words(text).split()))


def report_error(error: "clinia.CliniaError") -> ExitCode:
    """Print the error, which says what to do about it; return its exit code."""
    print_error(str(error))
    return exit_code_of(error)


def report_os_error(error: OSError) -> ExitCode:
    """Print why standard output or a file cannot be used; return the exit code.

    Raises:
        OSError: `error` is about something else.
    """
    if not _is_of_output(error):
        if error.filename is None:
            raise error
        print_error(f"{error.filename}: {error.strerror}; check its name and rights")
        return ExitCode.USAGE
    leave_stdout()
    print_error(
        f"the output cannot be written: {error.strerror}; send it elsewhere. What the command has changed"
        " stays changed"
    )
    return ExitCode.USAGE


def _is_of_output(error: OSError) -> bool:
    return any(frame.f_code is click.echo.__code__ for frame, _ in walk_tb(error.__traceback__))


def leave_stdout() -> None:
    """Send what is still to be written nowhere: Python writes it when it ends, and would complain."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def resume_command(token: str) -> str:
    """Return the command that waits for a task again."""
    return f"resume with: clinia-async task wait '{token}'"
