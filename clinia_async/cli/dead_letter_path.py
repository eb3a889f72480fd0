"""The file for records that did not land."""

import os
import sys
from pathlib import Path

import click

_COMPRESSED = (".gz", ".zst", ".zstd", ".bz2", ".xz", ".zip")
_ENDINGS = (*_COMPRESSED, ".ndjson", ".jsonl", ".csv", ".tsv", ".parquet", ".json", ".fhir")


def default_dead_letter_path(files: tuple[Path, ...] | None) -> Path:
    """Return the name of the first file with `.dead.ndjson`, in the current folder; None is stdin."""
    name = "stdin" if files is None else files[0].name
    for ending in _ENDINGS:
        name = name.removesuffix(ending) or name
    return Path(f"{name}.dead.ndjson")


def check_dead_letter_path(letters: Path, files: tuple[Path, ...] | None) -> None:
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
    if letters.exists() and _is_the_input(letters, files):
        raise click.BadParameter(
            "is the file that is being read; name another one.", param_hint="'--dead-letters'"
        )


def _is_the_input(letters: Path, files: tuple[Path, ...] | None) -> bool:
    if files is not None:
        return any(file.exists() and letters.samefile(file) for file in files)
    return sys.stdin is not None and os.path.samestat(letters.stat(), os.fstat(sys.stdin.fileno()))
