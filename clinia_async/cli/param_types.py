"""Kinds of arguments. What they refuse is never quoted: it may be about a person."""

import math
from pathlib import Path

import click


def seconds(text: str | float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < 0:
        raise click.BadParameter("must be a finite number of seconds, and not negative.")
    return value


def positive_seconds(text: str | float) -> float:
    value = seconds(text)
    if value == 0:
        raise click.BadParameter("must be more than 0 seconds.")
    return value


def type_and_id(text: str) -> tuple[str, str]:
    """The type and the id of one end of a relationship. The first slash parts them."""
    type_, slash, id_ = text.partition("/")
    if not slash:
        raise click.BadParameter("must be TYPE/ID.")
    return type_, id_


def json_or_file(text: str) -> bytes:
    """The text itself, or after an `@` what is in the file of that name."""
    if not text.startswith("@"):
        return text.encode("utf-8", "surrogateescape")
    try:
        return Path(text[1:]).read_bytes()
    except (OSError, ValueError) as error:
        unreadable = type(error).__name__
    raise click.BadParameter(f"the file cannot be read: {unreadable}.")


EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
EXISTING_FILE_OR_STANDARD_INPUT = click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)
