"""Standard input whose reading can be interrupted.

A thread that reads from a pipe or a terminal blocks until data comes, and would keep the program from
ending. Here it waits for data or for the interruption, whichever comes first.
"""

import io
import os
import select
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_BLOCK = 256 * 1024


class _InterruptibleStdin(io.RawIOBase):
    """Reads `source`; raises `OSError` as soon as `stopped` can be read."""

    def __init__(self, source: int, stopped: int) -> None:
        self._source = source
        self._stopped = stopped

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._source  # how far a redirected file was read

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]  # 3.11 cannot name a buffer
        ready, _, _ = select.select([self._source, self._stopped], [], [])
        if self._stopped in ready:
            raise OSError("the reading of standard input was interrupted")
        return os.readv(self._source, [buffer])


@contextmanager
def interruptible_stdin() -> Iterator[Callable[[], None]]:
    """Replace `sys.stdin`; yield a function that ends all reading from it."""
    if sys.platform == "win32" or sys.stdin is None:
        yield lambda: None
        return
    before = sys.stdin
    stopped, stop = os.pipe()
    with os.fdopen(stopped, "rb"), os.fdopen(stop, "wb") as writer:
        raw = _InterruptibleStdin(before.fileno(), stopped)
        sys.stdin = io.TextIOWrapper(io.BufferedReader(raw, _BLOCK))
        try:
            yield writer.close
        finally:
            writer.close()
            sys.stdin = before
