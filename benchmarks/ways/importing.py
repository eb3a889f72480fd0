"""What starting costs: CPU milliseconds of a fresh interpreter that does one thing and ends."""

import json
import os
import resource
import socket
import subprocess
import sys
from pathlib import Path

from benchmarks import workload

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


def ingest(times: int = 3) -> dict[str, float]:
    """The command line until its first connection arrives, which is never answered; the least of a few."""
    return {"cpu_ms": min(_until_connected() for _ in range(times)) * 1e3}


def _until_connected() -> float:
    with socket.create_server(("127.0.0.1", 0)) as server:
        command = [sys.executable, "-m", "clinia_async", "ingest", "-", "--source", "ehr", "--base-url"]
        command.append(f"http://127.0.0.1:{server.getsockname()[1]}")
        environment = {**_ENVIRONMENT, "CLINIA_API_KEY": "k"}
        line = json.dumps({"type": workload.TYPE, **workload.body(0)}).encode()
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
        ) as process:
            assert process.stdin is not None
            process.stdin.write(line)
            process.stdin.close()
            server.settimeout(60)
            connection, _ = server.accept()
            spent = _of_process(process.pid)
            process.kill()
            connection.close()
    return spent


def _of_process(number: int) -> float:
    """User and system CPU of a process that still runs, in seconds."""
    fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=_ENVIRONMENT
    )
    return done.stdout


def _of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
