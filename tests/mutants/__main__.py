"""Take each defence away in a copy of the project, and run the tests that must fail then.

    python -m tests.mutants [--only NAME]

Exit code 1 if a mutant survives, if its text is not found exactly once, or if the tests fail without it.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.mutants.mutant import PACKAGE, TESTS, Mutant
from tests.mutants.table import MUTANTS

PARTS = (PACKAGE, TESTS, TESTS.parent / "pyproject.toml")
TIMEOUT = 600
_TESTS_FAILED = 1
"""The exit code of pytest: others say that it could not run, which kills nothing."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--only", metavar="NAME", choices=[mutant.name for mutant in MUTANTS])
    only = parser.parse_args().only
    chosen = [mutant for mutant in MUTANTS if only in {None, mutant.name}]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        _copy(root)
        if _run(sorted({test for mutant in chosen for test in mutant.tests}), root):
            print("the tests do not pass without a mutant")
            return 1
        killed = sum(_report(mutant, root) for mutant in chosen)
    print(f"{len(chosen)} mutants, {killed} killed, {len(chosen) - killed} not")
    return int(killed < len(chosen))


def _copy(root: Path) -> None:
    for part in PARTS:
        if part.is_dir():
            shutil.copytree(part, root / part.name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(part, root / part.name)


def _report(mutant: Mutant, root: Path) -> bool:
    began = time.monotonic()
    result = mutant.fault(root, root) or _result(mutant, root)
    print(f"{result:<9} {mutant.name} ({time.monotonic() - began:.1f} s)", flush=True)
    return result == "killed"


def _result(mutant: Mutant, root: Path) -> str:
    path = root / mutant.file
    unchanged = path.read_text()
    _write(path, unchanged.replace(mutant.old, mutant.new))
    try:
        code = _run(mutant.tests, root)
    finally:
        _write(path, unchanged)
    return {0: "survived", _TESTS_FAILED: "killed"}.get(code, f"pytest ended with {code}")


def _write(path: Path, text: str) -> None:
    path.write_text(text)
    for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*"):
        compiled.unlink()  # it would be taken for that of a text of the same second and size


def _run(tests: Sequence[str], root: Path) -> int:
    # the tests are copied too: pytest puts the folder of theirs before all others
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-m", "", "-p", "no:cacheprovider", *tests]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    try:
        done = subprocess.run(
            command, cwd=root, env=environment, capture_output=True, check=False, timeout=TIMEOUT
        )
    except subprocess.TimeoutExpired:
        return _TESTS_FAILED  # a test that never ends has failed too
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
