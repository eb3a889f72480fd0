"""Contenders measured in turn, each time in a fresh process, round after round."""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence

from attrs import field, frozen

from benchmarks.machine import note_speed

Sample = Mapping[str, float]
"""What one process measured of itself."""


@frozen
class Contender:
    """`way` is `module:function` under `benchmarks.ways`; `needs` the module that a peer has to have."""

    name: str
    way: str
    arguments: Mapping[str, object] = field(factory=dict)
    needs: str | None = None
    is_ours: bool = False

    @property
    def is_installed(self) -> bool:
        if self.needs is None:
            return True
        try:
            return importlib.util.find_spec(self.needs) is not None
        except ModuleNotFoundError:  # the package that it would be in
            return False


@frozen
class Results:
    samples: Mapping[str, Sequence[Sample]]
    missing: Sequence[str]
    """Peers that were not measured, and why."""

    def of(self, name: str, figure: str) -> list[float]:
        return [sample[figure] for sample in self.samples[name]]


class DidNotRun(Exception):
    """The last words of a process that should have measured something."""


def sample(contender: Contender, **arguments: object) -> Sample:
    """What the contender says of itself goes before what is said for all."""
    given = json.dumps({**arguments, **contender.arguments})
    command = [sys.executable, "-m", "benchmarks.worker", contender.way, given]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DidNotRun((done.stderr.strip().splitlines() or ["no word"])[-1])
    found: Sample = json.loads(done.stdout.splitlines()[-1])
    return found


def interleaved(contenders: Sequence[Contender], rounds: int, **more: object) -> Results:
    """Every contender once a round; each round begins with another one, so that none is always first."""
    missing = [f"{each.name}: {each.needs} is not installed" for each in contenders if not each.is_installed]
    running = [each for each in contenders if each.is_installed]
    samples: dict[str, list[Sample]] = {each.name: [] for each in running}
    for number in range(rounds):
        note_speed()
        for contender in list(_turned(running, number)):
            try:
                samples[contender.name].append(sample(contender, round=number, **more))
            except DidNotRun as reason:
                if contender.is_ours or contender is running[0]:
                    raise
                running.remove(contender)
                del samples[contender.name]
                missing.append(f"{contender.name}: it did not run ({reason})")
        print(f"  round {number + 1} of {rounds}", file=sys.stderr, flush=True)
    return Results(samples, missing)


def _turned(contenders: Sequence[Contender], by: int) -> Iterator[Contender]:
    start = by % len(contenders) if contenders else 0
    yield from contenders[start:]
    yield from contenders[:start]
