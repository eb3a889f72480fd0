"""Builds the wheel and the source distribution twice, from two copies, and fails if a byte differs.

Usage: python .ci/reproducible.py FOLDER; the first build is left in FOLDER.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LEFT_OUT = shutil.ignore_patterns(".git", ".venv*", "__pycache__", "*.egg-info", ".*_cache", "dist", "site")


def build(source: Path, target: Path, umask: int) -> dict[str, str]:
    """Build from a copy that is made at `source`; return the digest of each file by its name."""
    shutil.copytree(ROOT, source, ignore=LEFT_OUT, copy_function=shutil.copyfile)
    command = [sys.executable, "-m", "build", "--outdir", str(target), str(source)]
    done = subprocess.run(  # noqa: S603  this build
        command, check=False, capture_output=True, text=True, umask=umask, env=environment()
    )
    if done.returncode != 0:
        sys.exit(done.stdout + done.stderr)
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(target.iterdir())}


def environment() -> dict[str, str]:
    """Return the environment without the time that would make any build reproducible."""
    return {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"}


def main(target: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        first = build(Path(scratch, "first"), target, 0o022)
        second = build(Path(scratch, "elsewhere", "second"), Path(scratch, "dist"), 0o077)
    if first != second or not {".whl", ".gz"} <= {Path(name).suffix for name in first}:
        sys.exit(f"two builds differ: {first} and {second}")
    for name, digest in first.items():
        print(f"{digest}  {name}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
