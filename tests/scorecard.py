"""Every campaign in one table: what it claims, how much was run, and whether it held.

python -m tests.scorecard            as much as by hand, for hours
python -m tests.scorecard --quick    CI's slice
"""

import argparse
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from attrs import frozen


@frozen
class Campaign:
    """A claim, the command that tries to refute it, and how much of it is run: by hand, and by CI."""

    claim: str
    command: tuple[str, ...]
    whole: tuple[str, ...]
    slice: tuple[str, ...] | None
    """None where CI's run of the suite has all of it."""

    def arguments(self, *, quick: bool) -> list[str]:
        return [*self.command, *((self.slice or ()) if quick else self.whole)]


CAMPAIGNS = [
    Campaign("every row of the fault matrix", ("pytest", "-q", "-m", "", "tests/matrix"), (), None),
    Campaign(
        "0 untrue, 0 lost, 0 doubled against a scripted registry",
        ("tests.truth", "--seeds"),
        ("100000",),
        ("2000",),
    ),
    Campaign("0 outcomes changed by a field of an answer", ("tests.mutations",), (), ()),
    Campaign("only typed errors, nothing over 100 ms", ("tests.fuzz", "--count"), ("2000000",), ("20000",)),
    Campaign(
        "a cancel at any await loses nothing and leaves nothing",
        ("tests.cancellation", "--stride"),
        ("1",),
        ("40",),
    ),
    Campaign("memory, descriptors, tasks and threads are flat", ("tests.soak", "--minutes"), ("30",), ("1",)),
    Campaign("0 lost, 0 doubled by kills", ("tests.ingest.journal.kills", "--kills"), ("3000",), ("150",)),
    Campaign("0 lost by power losses", ("tests.ingest.journal.power_loss", "--trials"), ("1000",), ("50",)),
]


def run(campaign: Campaign, *, quick: bool) -> bool:
    """Run one campaign in an interpreter of its own, print its row, and its output where it failed."""
    arguments = campaign.arguments(quick=quick)
    begun = time.monotonic()
    done = subprocess.run([sys.executable, "-m", *arguments], capture_output=True, text=True, check=False)
    held = "held" if done.returncode == 0 else "FAILED"
    row = f"{held:<8}{time.monotonic() - begun:>7.0f} s  {campaign.claim}  ({' '.join(arguments)})"
    if done.returncode:
        row += "\n" + (done.stdout + done.stderr)[-4000:]
    elif lines := done.stdout.strip().splitlines():
        row += f"\n{'':<18}{lines[-1][:140]}"
    print(row, flush=True)
    return done.returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.scorecard", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="as much of each as CI runs")
    parser.add_argument("--at-once", type=int, default=2, metavar="N", help="campaigns at once (2)")
    chosen = parser.parse_args()
    begun = time.monotonic()
    campaigns = [each for each in CAMPAIGNS if not chosen.quick or each.slice is not None]
    with ThreadPoolExecutor(chosen.at_once) as threads:
        held = [*threads.map(partial(run, quick=chosen.quick), campaigns)]
    print(f"{sum(held)} of {len(held)} held in {time.monotonic() - begun:.0f} s")
    return not all(held)


if __name__ == "__main__":
    sys.exit(main())
