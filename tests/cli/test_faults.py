"""A fault of the program itself is printed so that it can be found, and quotes nothing of the input."""

import subprocess
import sys
from pathlib import Path

CANARY = "canary-4711"
BROKEN = """
import sys
from clinia_async import cli
from clinia_async.cli.runs import validate

async def broken(*_):
    text = open(sys.argv[2]).read()
    try:
        raise KeyError(text)
    except KeyError:
        raise ValueError(text)

validate._read = broken
sys.argv[:] = ["clinia-async", "validate", sys.argv[1], "--source", "s"]
sys.exit(cli.main())
"""


def test_a_fault_is_printed_without_its_text(tmp_path: Path) -> None:
    (tmp_path / "x.ndjson").write_text(CANARY)
    command = [sys.executable, "-c", BROKEN, str(tmp_path / "x.ndjson")]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert ran.stderr.startswith("Traceback, without its text:\n")
    assert ran.stderr.endswith("\nValueError\n")
    assert "broken" in ran.stderr
    assert CANARY not in ran.stdout + ran.stderr
