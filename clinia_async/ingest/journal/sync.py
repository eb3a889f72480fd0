"""What was written survives a loss of power."""

import os
from contextlib import suppress
from importlib import import_module
from pathlib import Path


def sync(path: Path) -> None:
    """Return when the disk holds the content of a file, or the names in a folder. Raises `OSError`."""
    handle = os.open(path, os.O_RDONLY)
    try:
        flush(handle)
    finally:
        os.close(handle)


def flush(descriptor: int) -> None:
    """Return when the disk holds what was written to an open file. Raises `OSError`."""
    with suppress(ImportError, AttributeError):
        # on macOS `fsync` leaves it in the cache of the disk; this system call exists there alone
        fcntl = import_module("fcntl")
        command = fcntl.F_FULLFSYNC
        with suppress(OSError):  # a file system that does not have it is flushed by the next line
            fcntl.fcntl(descriptor, command)
            return
    os.fsync(descriptor)
