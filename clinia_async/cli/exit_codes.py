"""Exit codes: what they mean, which error leads to which, and how errors are told."""

import asyncio
from collections.abc import Callable, Coroutine
from enum import IntEnum

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
    TERMINATED = 143


_MEANINGS = {
    ExitCode.OK: "fine: every record landed",
    ExitCode.FAILED: "some records did not land, or the service refused the request",
    ExitCode.USAGE: "wrong options or settings, or an input or a journal that cannot be used",
    ExitCode.ACCESS: "the service refused the key",
    ExitCode.NETWORK: "no good answer: given up, timed out, or the outcome is unknown",
    ExitCode.TASK: "the task failed, was cancelled, or its record was dropped",
    ExitCode.INTERRUPTED: "interrupted by SIGINT (Ctrl-C)",
    ExitCode.TERMINATED: "interrupted by SIGTERM",
}
EPILOG = "\b\nExit codes:\n" + "\n".join(f"  {code:>3}  {text}" for code, text in _MEANINGS.items())


def exit_code_of(error: "clinia.CliniaError") -> ExitCode:
    """The first row that fits counts."""
    if isinstance(error, clinia.TaskPollError) and error.status in {401, 403}:
        return ExitCode.ACCESS
    if isinstance(error, clinia.ApiError) and _was_answered(error):
        return ExitCode.FAILED
    return next((code for kinds, code in _codes() if isinstance(error, kinds)), ExitCode.FAILED)


def _codes() -> tuple[tuple[tuple[type["clinia.CliniaError"], ...], ExitCode], ...]:
    # names of `clinia_async` load what they name, so the table is made when there is an error
    return (
        ((clinia.InputError, clinia.JournalError, clinia.ConfigError, clinia.InvalidWrite), ExitCode.USAGE),
        ((clinia.AccessRefused, clinia.Unauthenticated, clinia.PermissionDenied), ExitCode.ACCESS),
        ((clinia.WriteConflict,), ExitCode.FAILED),
        ((clinia.NetworkGivenUp, clinia.RequestError), ExitCode.NETWORK),
        ((clinia.TaskTimeout, clinia.TaskPollError), ExitCode.NETWORK),
        ((clinia.TaskError,), ExitCode.TASK),
    )


def _was_answered(error: "clinia.ApiError") -> bool:
    """Whether the service said no for good, and not because of the key or for the moment."""
    passing = error.status in {408, 425, 429}
    refused = isinstance(error, clinia.Unauthenticated | clinia.PermissionDenied)
    return error.outcome is clinia.Outcome.REJECTED and not (passing or refused)


def print_error(text: str) -> None:
    """One line on stderr."""
    click.echo("error: " + " ".join(text.split()), err=True)


def report_error(error: "clinia.CliniaError") -> ExitCode:
    """Tells the error, and how to go on where that is possible; its exit code."""
    text = str(error)
    if isinstance(error, clinia.TaskTimeout | clinia.TaskPollError):
        text += f"; {resume_command(error.token)}"
    print_error(text)
    return exit_code_of(error)


def resume_command(token: str) -> str:
    return f"resume with: clinia-async task wait '{token}'"


def run_command(work: Callable[[], Coroutine[object, object, int]]) -> int:
    """Runs what a command does, to its exit code."""
    try:
        return asyncio.run(work())
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except clinia.CliniaError as error:
        return report_error(error)
