"""The files that a command writes, checked before it starts."""

import os
import stat
import sys
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

import click

_COMPRESSED = (".gz", ".zst", ".zstd", ".bz2", ".xz", ".zip")
_ENDINGS = (*_COMPRESSED, ".ndjson", ".jsonl", ".csv", ".tsv", ".parquet", ".json", ".fhir")

_LETTERS = ".dead"

HTML = frozenset({".html", ".htm"})
"""Endings of a report that is a page."""

_NO_FOLDER = "its folder does not exist or cannot be written to; name a file elsewhere."

Files = tuple[Path, ...] | None
"""The files that are read; None for standard input."""


_OF_JOURNAL = ("", "-wal", "-shm", "-journal", "-count")
_OF_EMULATOR = tuple(f".emulator{ending}" for ending in ("", "-wal", "-shm", "-journal"))


def files_of_journal(journal: Path) -> Iterator[Path]:
    """Yield the files that a journal takes, or the folder, with those of an emulator beside it."""
    for ending in (*_OF_JOURNAL, *_OF_EMULATOR):
        yield journal.with_name(journal.name + ending)


def check_apart(named: Iterable[tuple[str, Iterable[Path]]]) -> None:
    """Raise `click.BadParameter` for an option that names a file which another one reads or writes.

    Each would replace what the other has written. `named` are the options with their files; what is in a
    folder that one of them writes to is its own, too.
    """
    taken: dict[object, str] = {}
    for option, files in named:
        for place in [place for file in files for place in _places_of(file)]:
            inside = (place, *place.parents) if isinstance(place, Path) else (place,)
            other = next((taken[each] for each in inside if each in taken), None)
            if other is not None:
                reason = "is named twice" if other == option else f"is, or belongs to, the file of {other}"
                raise click.BadParameter(f"{reason}; name another one.", param_hint=f"'{option}'")
            taken[place] = option


def _places_of(file: Path) -> Iterator[Path | tuple[int, int]]:
    """Yield what is one for all names of a file. What is no file, such as a terminal, may have many users."""
    try:
        found = file.stat() if os.path.lexists(file) else None
        if found is not None and stat.S_ISREG(found.st_mode):
            yield found.st_dev, found.st_ino
    except OSError:  # it is in a folder that cannot be looked into, and refused for that
        return
    if found is None or stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode):
        yield Path(os.path.realpath(file.parent), file.name)


def default_dead_letter_path(files: Files) -> Path:
    """Return the name of the first file with `.dead.ndjson`, in the current folder."""
    name = "stdin" if files is None else files[0].name
    for ending in _ENDINGS:
        name = name.removesuffix(ending) or name
    if name.endswith(_LETTERS):
        name = name.removesuffix(_LETTERS) + ".retry"
    return Path(f"{name}.dead.ndjson")


def check_output_path(path: Path, files: Files, option: str) -> None:
    """Raise `click.BadParameter` if `option` names a file that cannot be written, or the input itself."""
    try:
        problem = _problem_of(path, files, option)
    except OSError:
        problem = _NO_FOLDER
    if problem is not None:
        raise click.BadParameter(problem, param_hint=f"'{option}'")


def _problem_of(path: Path, files: Files, option: str) -> str | None:
    is_device = path.exists() and not path.is_file()
    if path.is_symlink():
        return "must not be a symbolic link; name the file itself."
    if not is_device and not _is_usable(path):
        return _NO_FOLDER
    if is_device and option == "--dead-letters":
        return "must be a regular file; name another one."
    if path.exists() and _is_an_input(path, files):
        return "is the file that is being read; name another one."
    return None


def check_journal_path(path: Path) -> None:
    """Raise `click.BadParameter` if a journal cannot be kept at `path`."""
    if not _is_usable(path):
        raise click.BadParameter(_NO_FOLDER, param_hint="'--journal'")


def _is_usable(path: Path) -> bool:
    """Return whether the folder of `path` can be read and written to."""
    try:
        path.is_file()  # an error where its folder is closed
        return path.parent.is_dir() and os.access(path.parent, os.W_OK | os.X_OK)
    except OSError:
        return False


def check_report_path(path: Path, files: Files) -> None:
    """Raise `click.BadParameter` if a report cannot be written to `path`."""
    check_output_path(path, files, "--report")
    if path.suffix.lower() in HTML and find_spec("matplotlib") is None:
        raise click.BadParameter(
            "an HTML report needs its extra: pip install 'clinia-async[report]'; or name a .json file.",
            param_hint="'--report'",
        )


def _is_an_input(path: Path, files: Files) -> bool:
    if files is not None:
        return any(file.exists() and path.samefile(file) for file in files)
    return sys.stdin is not None and os.path.samestat(path.stat(), os.fstat(sys.stdin.fileno()))
