"""Types of arguments and options. An error never quotes the text: it may be about a person."""

import math
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import click

JSON_METAVAR = "JSON|@FILE|-"
_WHOLE = 100


class ExistingPath(click.Path):
    """The path of what is there. Whether it can be read is said by what opens it, with the reason.

    click would check that itself, in other words, and say of what it may not reach that it does not exist.
    """

    def __init__(self, *, dir_okay: bool = False, allow_dash: bool = False, path_type: type = Path) -> None:
        super().__init__(readable=False, dir_okay=dir_okay, allow_dash=allow_dash, path_type=path_type)

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        """Return the path. Raises `click.BadParameter` if nothing is there."""
        path = super().convert(value, param, ctx)
        if self.allow_dash and str(path) == "-":
            return path
        try:
            Path(value).stat()
        except (FileNotFoundError, NotADirectoryError):
            reason = "does not exist"
        except OSError as error:
            reason = f"cannot be reached: {error.strerror}"
        else:
            return path
        raise click.BadParameter(f"the file {value!s} {reason}.", ctx=ctx, param=param)


ANY_PATH = click.Path(readable=False, path_type=Path)
FILE_PATH = click.Path(readable=False, dir_okay=False, path_type=Path)
"""What may be made yet; whether it can be is said by what opens it."""
EXISTING_FILE = ExistingPath()
EXISTING_FILE_OR_STANDARD_INPUT = ExistingPath(allow_dash=True)


def seconds(text: str | float) -> float:
    """A finite number of seconds, 0 or more."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < 0:
        raise click.BadParameter("must be a finite number of seconds, and not negative.")
    return value


def positive_seconds(text: str | float) -> float:
    """A finite number of seconds, more than 0."""
    value = seconds(text)
    if value == 0:
        raise click.BadParameter("must be more than 0 seconds.")
    return value


def type_and_id(text: str) -> tuple[str, str]:
    """The type and the id of one end of a relationship, separated by the first slash."""
    type_, slash, id_ = text.partition("/")
    if not slash:
        raise click.BadParameter("must be TYPE/ID, such as practitioner/prac-1.")
    return type_, id_


def json_value(text: str) -> bytes:
    """JSON in place, or of a file (`@FILE`, or `FILE` if that does not begin as JSON), or of stdin (`-`)."""
    if text.lstrip().startswith(("{", "[")):
        return text.encode("utf-8", "surrogateescape")
    try:
        if text == "-":
            return sys.stdin.buffer.read()
        return Path(text.removeprefix("@")).read_bytes()
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else "unknown reason"
    except (AttributeError, ValueError):  # no standard input; a null character in a name
        reason = "no such file"
    raise click.BadParameter(
        f"must be JSON, @FILE or - for standard input; as a file it cannot be read: {reason}."
    )


@dataclass(frozen=True)
class MaxErrors:
    """How many records may fail: a number, or a share of the records read, once there are a hundred."""

    text: str
    number: float = math.inf
    share: float = math.inf

    def is_exceeded(self, errors: int, read: int) -> bool:
        """Whether `errors` among `read` records are more than allowed."""
        return errors > self.number or (read >= _WHOLE and errors > self.share * read)

    def __str__(self) -> str:
        return self.text


def max_errors(text: str) -> MaxErrors:
    """A number of records, such as `20`, or a share of them, such as `5%`."""
    if not re.fullmatch(r"\d{1,12}|\d{1,2}(\.\d{1,6})?%|100%", text, re.ASCII):
        raise click.BadParameter("must be a number of records, such as 20, or a share of them, such as 5%.")
    if text.endswith("%"):
        return MaxErrors(text, share=float(text[:-1]) / _WHOLE)
    return MaxErrors(text, number=int(text))
