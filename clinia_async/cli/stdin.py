"""Standard input that can be let go of.

A thread that reads from a pipe or a terminal is stuck until something comes, and would keep the
program from ending. Here it waits for the input and for the word to stop, whichever comes first.
"""

import io
import os
import select
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_BLOCK = 256 * 1024


class _InterruptibleStdin(io.RawIOBase):
    """Reads `source`; once `stopped` can be read, every read fails."""

    def __init__(self, source: int, stopped: int) -> None:
        self._source = source
        self._stopped = stopped

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]  # 3.11 cannot name a buffer
        ready, _, _ = select.select([self._source, self._stopped], [], [])
        if self._stopped in ready:
            raise OSError("standard input was let go of")
        return os.readv(self._source, [buffer])


@contextmanager
def interruptible_stdin() -> Iterator[Callable[[], None]]:
    """Replaces `sys.stdin`, and gives the function that ends all reading from it."""
    if sys.platform == "win32" or sys.stdin is None:
        yield lambda: None
        return
    before = sys.stdin
    stopped, stop = os.pipe()
    with os.fdopen(stopped, "rb"), os.fdopen(stop, "wb") as word:
        raw = _InterruptibleStdin(before.fileno(), stopped)
        sys.stdin = io.TextIOWrapper(io.BufferedReader(raw, _BLOCK))
        try:
            yield word.close
        finally:
            word.close()
            sys.stdin = before
