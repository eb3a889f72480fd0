"""The files that a command reads: names, patterns and folders, or standard input."""

import os
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from glob import has_magic, iglob
from pathlib import Path
from typing import NoReturn

import click

import clinia_async as clinia
from clinia_async.cli.param_types import ANY_PATH
from clinia_async.ingest.readers.containers import COMPRESSED

STANDARD_INPUT = Path("-")
_DEAD_LETTERS = ".dead.ndjson"
_READ = (".ndjson", ".jsonl", ".json", ".csv", ".tsv", ".parquet")

files_argument = click.argument("files", metavar="FILE...", nargs=-1, required=True, type=ANY_PATH)
"""The files of a command, before `input_files`."""


def input_files(named: Sequence[Path]) -> tuple[Path, ...] | None:
    """Return the files that are meant, in order; None for standard input.

    A folder stands for the files in it whose names say what they hold, in the order of their names, but not
    for dead letters. Raises `click.BadParameter`, also for a file that is meant twice.
    """
    if STANDARD_INPUT in named:
        if len(named) > 1:
            raise _bad("`-` is standard input, and cannot stand beside files")
        return None
    files = tuple(file for path in named for file in _meant(path))
    from clinia_async.ingest.readers.input_paths import listed  # noqa: PLC0415  loads the library

    try:
        listed(files)
    except clinia.ConfigError as error:
        reason = str(error)
    else:
        return files
    raise _bad(reason)


def input_size(files: tuple[Path, ...] | None, *, passes: int = 1) -> int | None:
    """Return how many bytes are read, as they are stored; None for a pipe.

    Standard input may be a file, too. `passes` is how often each file is read.
    """
    if files is not None:
        return passes * sum(file.stat().st_size for file in files)
    if sys.stdin is None:
        return None
    try:
        found = os.fstat(sys.stdin.fileno())
    except (OSError, ValueError):
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def _meant(path: Path) -> Iterable[Path]:
    try:
        return _found(path)
    except OSError as error:
        reason = f"{error.filename or path} cannot be read: {error.strerror}"
    raise _bad(reason)


def _found(path: Path) -> Iterable[Path]:
    if path.is_dir():
        found = sorted(_files_in(path))
        if not found:
            raise _bad(f"the folder {path} holds no file whose name says what is in it; name the files")
        return found
    if not path.exists() and has_magic(str(path)):
        found = sorted(_matching(path))
        if not found:
            raise _bad(f"the pattern {path} matches no file")
        return found
    if not path.exists():
        reason = "is a link to what does not exist" if path.is_symlink() else "does not exist"
        raise _bad(f"the file {path} {reason}")
    return [path]


def _matching(pattern: Path) -> Iterator[Path]:
    for path in (pattern, *pattern.parents[:-1]):
        for folder in _expanded(path.parent):
            if folder.is_dir():
                _check_open(folder, path.name)
    yield from _expanded(pattern)


def _check_open(folder: Path, name: str) -> None:
    """Raise `OSError` where the rights do not suffice to find `name`, or a pattern, in a folder."""
    if has_magic(name):
        os.scandir(folder).close()
    else:
        with suppress(FileNotFoundError, NotADirectoryError):
            (folder / name).stat()


def _expanded(pattern: Path) -> Iterator[Path]:
    return map(Path, iglob(str(pattern), recursive=True))  # noqa: PTH207  it may be absolute


def _files_in(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder, onerror=_raise):
        for path in (Path(parent, each) for each in names):
            name = path.name.lower()
            for ending in COMPRESSED:
                name = name.removesuffix(ending)
            if name.endswith(_READ) and not name.endswith(_DEAD_LETTERS) and path.is_file():
                yield path


def _raise(error: OSError) -> NoReturn:
    raise error  # a folder that cannot be read may hold records


def _bad(message: str) -> click.BadParameter:
    return click.BadParameter(f"{message}.", param_hint="'FILE...'")
