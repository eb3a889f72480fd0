"""The file for records that did not land."""

import os
import sys
from pathlib import Path

import click

STANDARD_INPUT = Path("-")

_ENDINGS = (".gz", ".zst", ".zstd", ".ndjson", ".csv", ".parquet", ".json", ".fhir")


def default_dead_letter_path(file: Path) -> Path:
    """Return the name of `file` with `.dead.ndjson`, in the current folder."""
    name = "stdin" if file == STANDARD_INPUT else file.name
    for ending in _ENDINGS:
        name = name.removesuffix(ending) or name
    return Path(f"{name}.dead.ndjson")


def check_dead_letter_path(letters: Path, file: Path) -> None:
    """Raise `click.BadParameter` now, and not when the first record has failed to land."""
    if letters.is_symlink():
        raise click.BadParameter(
            "must not be a symbolic link; name the file itself.", param_hint="'--dead-letters'"
        )
    if not letters.parent.is_dir() or not os.access(letters.parent, os.W_OK):
        raise click.BadParameter(
            "its folder does not exist or cannot be written to; name a file elsewhere.",
            param_hint="'--dead-letters'",
        )
    if letters.exists() and _is_the_input(letters, file):
        raise click.BadParameter(
            "is the file that is being read; name another one.", param_hint="'--dead-letters'"
        )


def _is_the_input(letters: Path, file: Path) -> bool:
    if file != STANDARD_INPUT:
        return letters.samefile(file)
    return sys.stdin is not None and os.path.samestat(letters.stat(), os.fstat(sys.stdin.fileno()))
