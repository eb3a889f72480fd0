"""A slice of the campaign of kills: as many as the ordinary suite has time for.

CI runs 300, `python -m tests.ingest.journal.kills --kills 300`; by hand it is thousands. It has real
processes and real time, so it runs in an interpreter of its own, where nothing has a thread or a loop.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import PATIENCE

pytestmark = pytest.mark.campaign

ROOT = Path(__file__).parents[3]


def test_a_job_that_is_killed_again_and_again_loses_nothing_and_reports_the_truth() -> None:
    command = [sys.executable, "-m", "tests.ingest.journal.kills", "--kills", "40", "--seed", "7"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    total = ran.stdout.splitlines()[-2]
    assert "lost 0, doubled 0, wrongly reported 0" in total
