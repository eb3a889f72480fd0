"""What starting costs: CPU milliseconds of a fresh interpreter that does one thing and ends."""

import os
import resource
import subprocess
import sys

_TIMED = """
import time
started = time.process_time()
{}
print(time.process_time() - started)
"""

_ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""Bytecode is kept, as pip keeps it at an installation: else this library alone were compiled every time."""


def statement(code: str, times: int = 3) -> dict[str, float]:
    """`code` alone, without the start of the interpreter around it; the least of a few."""
    return {"cpu_ms": min(float(_run(_TIMED.format(code))) for _ in range(times)) * 1e3}


def program(code: str, times: int = 3) -> dict[str, float]:
    """The whole process, as its user pays for it; the least of a few."""
    spent = []
    for _ in range(times):
        before = _of_children()
        _run(code)
        spent.append(_of_children() - before)
    return {"cpu_ms": min(spent) * 1e3}


def _run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=_ENVIRONMENT
    )
    return done.stdout


def _of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
