"""The service under all measurements, in a process of its own: `stub.c`, compiled when it is started.

Without a C compiler it is a server in Python, which says so: it may then be what is measured.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen

_SOURCE = Path(__file__).with_name("stub.c")
COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
SLOW = (
    "No C compiler was found, so the server was one in Python: it costs as much as its clients. Ratios of"
    " CPU still hold, as only the client's CPU counts; delays and rates do not."
)


@frozen
class Stub:
    url: str
    warning: str | None = None


@contextmanager
def serving(seed: int = 1, compiler: str | None = COMPILER) -> Iterator[Stub]:
    with tempfile.TemporaryDirectory(prefix="clinia-async-stub-") as folder:
        command = [sys.executable, "-m", "benchmarks.slow_stub"]
        if compiler is not None:
            command = [_compiled(compiler, Path(folder))]
        process = subprocess.Popen(
            [*command, str(seed)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            port = int(process.stdout.readline())
            yield Stub(f"http://127.0.0.1:{port}", None if compiler else SLOW)
        finally:
            process.stdin.close()  # it lives as long as this is open
            process.wait(10)
            process.stdout.close()


def _compiled(compiler: str, folder: Path) -> str:
    program = str(folder / "stub")
    subprocess.run([compiler, "-O2", "-o", program, str(_SOURCE), "-lm"], check=True)
    return program
