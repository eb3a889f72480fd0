"""Processes that are forked to be killed: what they need is imported once, before the first of them.

Whoever forks has no thread and no event loop of its own, so a child begins as clean as a new interpreter.
"""

import ctypes
import os
import pickle
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self, TypeVar

from attrs import define

T = TypeVar("T")

_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG
FAULT = 70
"""The exit code of a child whose work raised what nobody caught."""


@define
class Life:
    """A forked process; whoever made it ends it, with `kill` or by waiting for its end."""

    pid: int
    _handle: int
    code: int | None = None
    killed: bool = False

    @classmethod
    def begin(cls, work: Callable[[], int], output: Path | None = None) -> Self:
        """Runs `work` in a new process. What it prints is added to `output`.out and .err."""
        pid = os.fork()
        if pid == 0:
            _work(work, output)
        return cls(pid, os.pidfd_open(pid))

    @property
    def over(self) -> bool:
        return self.code is not None

    def wait(self, until: float) -> bool:
        """Whether it has ended by the moment `until` of the monotonic clock."""
        if not self.over:
            poll = select.poll()
            poll.register(self._handle, select.POLLIN)
            seconds = min(max(0.0, until - time.monotonic()), 3600.0)
            if poll.poll(seconds * 1000):
                self._reap()
        return self.over

    def kill(self) -> None:
        """SIGKILL, unless it has ended: returns when it is gone, and everything it had open is closed."""
        if not self.over:
            os.kill(self.pid, signal.SIGKILL)
            self._reap()

    def _reap(self) -> None:
        _, status = os.waitpid(self.pid, 0)
        os.close(self._handle)
        self.killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        self.code = os.waitstatus_to_exitcode(status)


def _work(work: Callable[[], int], output: Path | None) -> None:
    code = FAULT
    try:
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
        if output is not None:
            _redirect(output)
        code = work()
    except BaseException:  # noqa: BLE001  nothing may get back into what the parent was doing
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _redirect(output: Path) -> None:
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, ending in ((1, ".out"), (2, ".err")):
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        os.dup2(os.open(output.with_suffix(ending), flags, 0o600), number)


def side_by_side(works: Sequence[Callable[[], T]], folder: Path) -> list[T]:
    """Runs each in a process of its own; what they give comes back in their order."""

    def reported(work: Callable[[], T], place: int) -> int:
        (folder / f"{place}.result").write_bytes(pickle.dumps(work()))
        return 0

    lives = [
        Life.begin(lambda work=work, place=place: reported(work, place))  # type: ignore[misc]
        for place, work in enumerate(works)
    ]
    found: list[T] = []
    for place, life in enumerate(lives):
        life.wait(float("inf"))
        assert life.code == 0, f"a process ended with {life.code}"
        found.append(pickle.loads((folder / f"{place}.result").read_bytes()))
    return found
