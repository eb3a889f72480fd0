"""The command line, in this process or in one of its own."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from tests.patience import PATIENCE

DATA = Path(__file__).parent.parent / "data"
DIRTY = DATA / "dirty-1k.ndjson"
MIXED = DATA / "mixed-1k.ndjson"


_PROGRESS = re.compile(r"[\d,]+ read, |reading the input once")


class Ran(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def messages(self) -> list[str]:
        """The lines on stderr without those of progress: how many of them there are is a matter of speed."""
        return [line for line in self.err.splitlines() if not _PROGRESS.match(line)]


Cli = Callable[..., Ran]

_started: list[subprocess.Popen[bytes]] = []
WARNINGS_ARE_ERRORS = ["-W", "error"]


def start(*arguments: str | Path, **options: Any) -> subprocess.Popen[bytes]:
    """A process whose output can be read, with nothing on its standard input unless it is given."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    command = [sys.executable, *WARNINGS_ARE_ERRORS, "-m", "clinia_async", *map(str, arguments)]
    process = subprocess.Popen(command, env=os.environ.copy(), **pipes)
    _started.append(process)
    return process


def end_all() -> None:
    """Whatever a test has left running, because it failed."""
    while _started:
        process = _started.pop()
        if process.poll() is None:
            process.kill()
            process.communicate()


def ended(process: subprocess.Popen[bytes], text: bytes | None = None) -> Ran:
    out, err = process.communicate(text, timeout=PATIENCE)
    return Ran(process.returncode, (out or b"").decode(), err.decode())


def line(from_: str, to: str = "org-1", **more: Any) -> str:
    ends = {"from": {"id": from_, "type": "practitioner"}, "to": {"id": to, "type": "organization"}}
    return json.dumps({"type": "practises-at", **ends, **more}) + "\n"


def read_line(process: subprocess.Popen[bytes]) -> str:
    """The next line that it writes to standard error."""
    assert process.stderr is not None
    return process.stderr.readline().decode()
