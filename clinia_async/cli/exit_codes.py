"""Exit codes: what they mean, which error leads to which, and how errors are told."""

import asyncio
from collections.abc import Callable, Coroutine
from enum import IntEnum

import click

import clinia_async as clinia


class Exit(IntEnum):
    FINE = 0
    FAILED = 1
    USAGE = 2
    ACCESS = 3
    NETWORK = 4
    TASK = 5
    INTERRUPTED = 130
    TERMINATED = 143


_MEANINGS = {
    Exit.FINE: "fine: every record landed",
    Exit.FAILED: "some records did not land, or the service refused the request",
    Exit.USAGE: "wrong options or settings, or an input or a journal that cannot be used",
    Exit.ACCESS: "the service refused the key",
    Exit.NETWORK: "no good answer: given up, timed out, or the outcome is unknown",
    Exit.TASK: "the task failed, was cancelled, or its record was dropped",
    Exit.INTERRUPTED: "interrupted by SIGINT (Ctrl-C)",
    Exit.TERMINATED: "interrupted by SIGTERM",
}
EPILOG = "\b\nExit codes:\n" + "\n".join(f"  {code:>3}  {text}" for code, text in _MEANINGS.items())


def code_of(error: "clinia.CliniaError") -> Exit:
    """The first row that fits counts."""
    if isinstance(error, clinia.TaskPollError) and error.status in {401, 403}:
        return Exit.ACCESS
    if isinstance(error, clinia.ApiError) and _was_answered(error):
        return Exit.FAILED
    return next((code for kinds, code in _codes() if isinstance(error, kinds)), Exit.FAILED)


def _codes() -> tuple[tuple[tuple[type["clinia.CliniaError"], ...], Exit], ...]:
    # names of `clinia_async` load what they name, so the table is made when there is an error
    return (
        ((clinia.InputError, clinia.JournalError, clinia.ConfigError, clinia.InvalidWrite), Exit.USAGE),
        ((clinia.AccessRefused, clinia.Unauthenticated, clinia.PermissionDenied), Exit.ACCESS),
        ((clinia.WriteConflict,), Exit.FAILED),
        ((clinia.NetworkGivenUp, clinia.RequestError), Exit.NETWORK),
        ((clinia.TaskTimeout, clinia.TaskPollError), Exit.NETWORK),
        ((clinia.TaskError,), Exit.TASK),
    )


def _was_answered(error: "clinia.ApiError") -> bool:
    """Whether the service said no for good, and not because of the key or for the moment."""
    passing = error.status in {408, 425, 429}
    refused = isinstance(error, clinia.Unauthenticated | clinia.PermissionDenied)
    return error.outcome is clinia.Outcome.REJECTED and not (passing or refused)


def say(text: str) -> None:
    """One line on stderr."""
    click.echo("error: " + " ".join(text.split()), err=True)


def told(error: "clinia.CliniaError") -> Exit:
    """Tells the error, and how to go on where that is possible; its exit code."""
    text = str(error)
    if isinstance(error, clinia.TaskTimeout | clinia.TaskPollError):
        text += f"; {how_to_resume(error.token)}"
    say(text)
    return code_of(error)


def how_to_resume(token: str) -> str:
    return f"resume with: clinia-async task wait '{token}'"


def finish(work: Callable[[], Coroutine[object, object, int]]) -> int:
    """Runs what a command does, to its exit code."""
    try:
        return asyncio.run(work())
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except clinia.CliniaError as error:
        return told(error)
