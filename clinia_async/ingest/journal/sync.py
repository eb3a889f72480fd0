"""What was written survives a loss of power."""

import os
from pathlib import Path


def sync(path: Path) -> None:
    """Return when the disk holds the content of a file, or the names in a folder. Raises `OSError`."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
