"""The files of an input, each of which is read once."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from clinia_async.errors import ConfigError
from clinia_async.errors.settings import optional_path_of, path_of

Paths = Path | str | Sequence[Path | str] | None


def listed(path: Paths) -> Sequence[Path | None]:
    """Return the files, in order; None stands for standard input.

    Raises `ConfigError` for what is no path, and for a file that is named twice: records without ids would
    be stored twice. A link is the file that it leads to; a copy is another one.
    """
    paths = [optional_path_of("path", each) for each in (path if isinstance(path, list | tuple) else [path])]
    seen: set[object] = set()
    for each in paths:
        identity = _identity(each)
        if identity in seen:
            name = "standard input" if each is None else f"the file {each}"
            raise ConfigError(f"{name} is named twice, perhaps by a folder or a pattern; name it once")
        seen.add(identity)
    return paths


def listed_files(files: object) -> Sequence[Path]:
    """Return the files, as `listed` does, where standard input cannot be one of them.

    Raises:
        ConfigError: one of them is no path, or is named twice.
    """
    given = files if isinstance(files, list | tuple) else [files]
    return [path for path in listed([path_of("files", each) for each in given]) if path is not None]


def _identity(path: Path | None) -> object:
    """Return what is the same for all names of a file; of one that cannot be found, its name."""
    if path is not None:
        with suppress(OSError, ValueError):
            found = path.stat()
            return found.st_dev, found.st_ino
    return path


def is_regular_file(path: Path) -> bool:
    """Return whether there is a regular file at `path`, as far as its folder may be read."""
    with suppress(OSError):
        return path.is_file()
    return False
