"""Runs the commands of the README in a clone, exactly as they stand there.

python tests/readme_commands.py FOLDER
"""

import re
import subprocess
import sys
from pathlib import Path

FACTS = (
    "read            100,000",
    "existing          7,970",
    "kept                 42",
    "the emulator holds 91,988 relationships",
)
RESUMED = "100,000 reported by previous runs of the job"
STORED = {"bulk": "succeeded        91,988", "single": "persisted        91,988"}


def commands(readme: str) -> list[str]:
    return re.findall(r"```sh\n(.+?)\n```", readme, re.DOTALL)


def main(folder: Path) -> None:
    ingest, test = commands((folder / "README.md").read_text(encoding="utf-8"))
    for via, stored in STORED.items():
        for file in folder.glob("load.db*"):
            file.unlink()  # of the job before
        ran = subprocess.run(
            ["bash", "-c", f"{ingest} --via {via}"], cwd=folder, check=True, stdout=subprocess.PIPE, text=True
        )
        print(ran.stdout, flush=True)
        assert all(fact in ran.stdout for fact in (stored, *FACTS)), "the report is not what it should be"
        again = subprocess.run(
            ["bash", "-c", f"{ingest} --via {via}"], cwd=folder, check=True, stdout=subprocess.PIPE, text=True
        )
        assert all(fact in again.stdout for fact in (RESUMED, stored, *FACTS)), "it was not resumed"
    subprocess.run(["bash", "-c", test], cwd=folder, check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
