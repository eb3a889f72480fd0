"""What different ways to load one file leave at the emulator, and the command line as one of them."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.cli.served import Served

_TRIES = 5


def state(served: Served, source: str) -> set[tuple[str, str, str]]:
    """Return all that a source holds: type, id and data of each record."""
    return served.ask(
        lambda emulator: {
            (each.type, each.id, repr(each.data)) for each in emulator.stored() if each.source == source
        }
    )


def load(served: Served, path: Path, source: str, columns: str, *, processes: int, kills: int = 0) -> int:
    """Load a file or folder by the command line; `kills` times a process of the job is killed meanwhile.

    Return how many were killed.
    """
    journal = path.with_name(f"{source}.journal")
    command = [sys.executable, "-m", "clinia_async", "ingest", str(path), "--source", source]
    command += ["--base-url", served.url, "--columns", columns, "--processes", str(processes)]
    command += ["--journal", str(journal), "--dead-letters", str(journal.with_suffix(".ndjson"))]
    environment = {**os.environ, "CLINIA_API_KEY": served.key}
    killed = 0
    for _ in range(_TRIES):
        before = served.arrivals["bulk_relationships"]
        job = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        while killed < kills and job.poll() is None:
            if served.arrivals["bulk_relationships"] > before:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(next(_processes_of(job.pid), job.pid), signal.SIGKILL)
                killed += 1
                break
            time.sleep(0.01)
        if job.wait() == 0:
            return killed
    raise AssertionError("the job had no good end")


def _processes_of(pid: int) -> Iterator[int]:
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        yield from map(int, path.read_text().split())
