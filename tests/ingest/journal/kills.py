"""Kills a journaled job at random instants, again and again, until it ends; then looks at what is true.

    python -m tests.ingest.journal.kills --kills 3000 --seed 1 --via both --jobs 2

A job is the command itself, `clinia-async ingest FILE --journal J ...`, in a process that is forked for
each of its lives and killed with SIGKILL; the same command goes on where the former one was cut off. The
emulator that it talks to loses answers, refuses, and is killed and started again meanwhile. After a job
has ended the same command is given again, and killed again: it must tell the same and send nothing.

With `--processes N` the command has that many processes, and a kill ends the one that the others belong to,
one of the others, or all at once.

A life that ends with exit code 0 or 1 ends the job. With 4 (no good answer), or 1 and something told
`unknown`, the same command is given again, as its user would, until a run has nothing open or tells the
same as the one before. What was open may be settled later; nothing else may be told differently.
The same seed makes the same inputs and the same plan of kills; what a kill meets is the machine's affair.
"""

import argparse
import asyncio
import contextlib
import gc
import json
import os
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from attrs import define, field, frozen

import clinia_async.cli.commands.ingest
import clinia_async.cli.runs.ingest  # noqa: F401  what a child needs is there before the fork
from clinia_async.cli import main
from clinia_async.ingest.journal.folder import part_of
from clinia_async.ingest.readers.files import read_ndjson
from clinia_async.ingest.records import position_ranges as positions
from clinia_async.ingest.records.input_part import InputPart
from clinia_async.ingest.records.record import BadRecord, Record
from tests.ingest.journal.lives import Life, side_by_side
from tests.ingest.nemesis import KEY, Nemesis
from tests.ingest.truth import (
    POLICIES,
    SOURCE,
    Findings,
    Input,
    Line,
    LineKind,
    Reported,
    check,
    dead_letters_in,
    made,
)

LONGEST_LIFE = 60.0
MOST_LIVES = 400
_AGAIN = {4}


@frozen
class Plan:
    """One job, told by its seed."""

    seed: int
    via: str
    folder: Path
    processes: int = 1

    def random(self, what: str) -> Random:
        return Random(f"{self.seed}:{self.via}:{what}")


@define
class Score:
    jobs: int = 0
    lives: int = 0
    kills: int = 0
    emulator_kills: int = 0
    records: int = 0
    absorbed: int = 0
    blurred: int = 0
    given_up: int = 0
    unknown: int = 0
    lost: int = 0
    doubled: int = 0
    untrue: int = 0
    at: Counter[str] = field(factory=Counter)
    failed: list[str] = field(factory=list)

    def add(self, other: "Score") -> None:
        for name in self.__slots__:
            if name != "__weakref__":
                setattr(self, name, getattr(self, name) + getattr(other, name))

    def __str__(self) -> str:
        return (
            f"{self.jobs} jobs, {self.records} records, {self.lives} lives, {self.kills} kills of the job,"
            f" {self.emulator_kills} of the emulator; lost {self.lost}, doubled {self.doubled},"
            f" wrongly reported {self.untrue}; executions absorbed {self.absorbed}, told unknown and settled"
            f" later {self.unknown}, given up and gone on {self.given_up}, blurred {self.blurred}"
        )


@define
class Job:
    plan: Plan
    given: Input = field(init=False)
    policy: str = field(init=False)
    options: list[str] = field(init=False)
    nemesis: Nemesis = field(init=False)
    score: Score = field(factory=Score)
    findings: Findings = field(factory=Findings)
    _dice: Random = field(init=False)

    def __attrs_post_init__(self) -> None:
        random = self.plan.random("input")
        self.given = made(random, random.randrange(200, 400))
        self.policy = random.choice(POLICIES)
        self.options = ["--via", self.plan.via, "--on-existing", self.policy]
        if self.plan.via == "bulk":
            self.options += ["--workers", str(random.randrange(1, 5))]
            self.options += ["--chunk-operations", str(random.randrange(2, 20))]
        else:
            self.options += ["--workers", str(random.choice([4, 8, 16, 32]))]
        self.options += ["--patience", random.choice(["60", "60", "2", "0.3"])]
        if self.plan.processes > 1:
            self.options += ["--processes", str(self.plan.processes)]
        self._dice = self.plan.random("kills")
        self.nemesis = Nemesis(self.plan.folder, self.plan.random("nemesis"))

    @property
    def journal(self) -> Path:
        return self.plan.folder / "job.journal"

    def command(self) -> list[str]:
        paths = {"--journal": self.journal, "--dead-letters": self.plan.folder / "dead.ndjson"}
        places = [str(each) for pair in paths.items() for each in pair]
        address = ["--base-url", self.nemesis.url, "--source", SOURCE]
        return ["ingest", str(self.plan.folder / "in.ndjson"), *address, *places, *self.options, "--json"]

    def run(self) -> Score:
        folder = self.plan.folder
        folder.mkdir()
        self.given.write(folder / "in.ndjson")
        (folder / "command").write_text(" ".join(self.command()) + "\n")
        try:
            self.nemesis.start()
            report = self._to_its_end()
            again = self._once_more(report)
        finally:
            self.nemesis.close()
        self._decide(report, again)
        return self.score

    def _to_its_end(self) -> dict[str, Any] | None:
        before: dict[str, Any] | None = None
        while self.score.lives < MOST_LIVES:
            code = self._live(self._delay())
            if code in _AGAIN:
                self.score.given_up += 1
            elif code in {0, 1}:
                report = self._report()
                self.findings.untrue += _contradictions(before or report, report)
                if not _open(report) or (before and _open(report) == _open(before)):
                    return report
                self.score.unknown += _open(report)
                before = report
            elif code is not None:
                self.findings.untrue.append(f"exit code {code}")
                return None
        self.findings.untrue.append(f"no end after {MOST_LIVES} lives")
        return None

    def _delay(self) -> float:
        """Seconds until a life is cut: some before its first request, most in its midst."""
        spans = [(0, 0.06), (0.06, 0.4), (0.4, 1.0), (1.0, 8.0)]
        if self.plan.processes > 1:  # which have to start first
            spans = [(0, 0.8), (0.8, 2.0), (2.0, 4.0), (4.0, 20.0)]
        first, last = self._dice.choices(spans, (25, 50, 20, 5))[0]
        # a job that does not get on is given more and more time, on a machine that is slow too
        return self._dice.uniform(first, last) * (1 + self.score.lives / 50)

    def _once_more(self, report: dict[str, Any] | None) -> dict[str, Any] | None:
        """After its end: killed while it tells the same again, and at last left to tell it."""
        carried = self.nemesis.carried()
        for _ in range(self._dice.randrange(3)):
            self._live(self._dice.uniform(0, 0.15 if self.plan.processes == 1 else 1.5))
        while (code := self._live(LONGEST_LIFE)) in _AGAIN and self.score.lives < MOST_LIVES:
            self.score.given_up += 1  # it asks first whether there is a service, and the emulator was killed
        if self.nemesis.carried() != carried and report is not None and not _open(report):
            self.findings.untrue.append("a job that had ended sent something")
        if code not in {0, 1}:
            self.findings.untrue.append(f"exit code {code} after the end")
            return None
        return self._report()

    def _live(self, delay: float) -> int | None:
        """One life: its exit code, or None if it was killed."""
        (self.plan.folder / "job.out").unlink(missing_ok=True)
        life = Life.begin(self._command, self.plan.folder / "job")
        self.score.lives += 1
        end = time.monotonic() + delay
        while not life.wait(min(end, self.nemesis.next)) and time.monotonic() < end:
            self.nemesis.tick()
        self._kill(life)
        if not life.killed:
            return life.code
        if delay >= LONGEST_LIFE:
            self.findings.untrue.append(f"a life of {LONGEST_LIFE} s had no end")
        self.score.kills += 1
        self.score.at[self._standing()] += 1
        return None

    def _kill(self, life: Life) -> None:
        """Kill the process, and perhaps those that it has started; or one of those alone, and let it end."""
        others = [] if life.over or self.plan.processes == 1 else [*_children(life.pid)]
        whom = self._dice.choice(["first", "one", "all"])
        if others and whom == "one":
            _kill(self._dice.choice(others))
            self.score.kills += 1
            self.score.at["one of the processes"] += 1
            end = time.monotonic() + LONGEST_LIFE
            while not life.wait(min(end, self.nemesis.next)) and time.monotonic() < end:
                self.nemesis.tick()
            if not life.over:
                self.findings.untrue.append("a job whose process was killed had no end")
        life.kill()
        if whom == "all":
            for pid in others:
                _kill(pid)

    def _command(self) -> int:
        os.environ["CLINIA_API_KEY"] = KEY
        return main(self.command())

    def _report(self) -> dict[str, Any]:
        return dict(json.loads((self.plan.folder / "job.out").read_text()))

    @property
    def journals(self) -> list[Path]:
        count = self.plan.processes
        return [self.journal] if count == 1 else [part_of(self.journal, number) for number in range(count)]

    @contextlib.contextmanager
    def _copy(self, journal: Path) -> Iterator[sqlite3.Connection | None]:
        """A journal as it stands: to look at it does not change it."""
        copy = self.plan.folder / "copy"
        for ending in ("", "-wal"):
            left = Path(f"{journal}{ending}")
            target = Path(f"{copy}{ending}")
            target.unlink(missing_ok=True)
            if left.exists():
                shutil.copyfile(left, target)
        if not copy.exists():
            yield None
            return
        with contextlib.closing(sqlite3.connect(copy)) as database:
            yield database

    def _standing(self) -> str:
        """What the journal held at the moment of a kill."""
        states = set()
        for journal in self.journals:
            with self._copy(journal) as database:
                if database is None:
                    return "no journal"
                states |= {state for (state,) in database.execute("SELECT DISTINCT state FROM chunk")}
        open_ = states - {"SETTLED", "REJECTED"}
        return "+".join(sorted(open_)) or ("SETTLED" if states else "nothing planned")

    def _decide(self, report: dict[str, Any] | None, again: dict[str, Any] | None) -> None:
        stored = self.nemesis.reconciled()
        if report is not None and again is not None:
            self.findings.untrue += _contradictions(report, again)
        if again is not None:
            told = Reported(
                again, dead_letters_in(self.plan.folder / "dead.ndjson") if again["dead_letters"] else []
            )
            found = check(self.given, self.policy, told, stored)
            found.untrue[:0] = self.findings.untrue
            found.untrue += self._claimed_though_taken()
            self.findings = found
        self.findings.doubled += self.nemesis.stored_twice()
        self._count()

    def _claimed_though_taken(self) -> list[str]:
        """Equal duplicates that were told as stored by this job, although none of their answers was lost."""
        return [
            finding
            for number, journal in enumerate(self.journals)
            for finding in self._claimed_in(journal, asyncio.run(self._lines_of(number)))
        ]

    async def _lines_of(self, number: int) -> list[Line]:
        """The lines that one process reads."""
        part = InputPart(number, self.plan.processes)
        records = part.of(read_ndjson(self.plan.folder / "in.ndjson", SOURCE))
        found = [item.line async for item in records if isinstance(item, Record | BadRecord)]
        return [self.given.lines[line - 1] for line in found]

    def _claimed_in(self, journal: Path, lines: list[Line]) -> list[str]:
        with self._copy(journal) as database:
            assert database is not None
            rows = database.execute(
                "SELECT landed FROM chunk WHERE attempts < 2 AND NOT maybe_applied"
            ).fetchall()
        claimed = [
            position
            for (landed,) in rows
            for part in (landed or "").split(";")
            if part.startswith(("persisted=", "succeeded="))
            for first, last in positions.read(part.partition("=")[2])
            for position in range(first, last + 1)
        ]
        return [
            f"record {position} is told as stored, and its key was taken"
            for position in claimed
            if lines[position - 1].kind is not LineKind.FIRST
        ]

    def _count(self) -> None:
        score, findings = self.score, self.findings
        score.jobs, score.records = 1, self.given.records
        score.emulator_kills = self.nemesis.kills
        score.absorbed = self.nemesis.carried() - self.given.records
        score.blurred = findings.blurred
        score.lost, score.doubled, score.untrue = map(len, (findings.lost, findings.doubled, findings.untrue))
        if findings:
            score.failed.append(str(self.plan.folder))
            (self.plan.folder / "findings").write_text("\n".join(findings) + "\n")


def _open(report: dict[str, Any]) -> int:
    """How many records a report leaves to the next run."""
    return int(report["by_disposition"]["unknown"] + report["by_disposition"]["unsent"])


def _contradictions(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """What two reports of one job tell differently: what was open may be settled, all else stays."""
    settled = _open(before) - _open(after)
    landed = after["landed"] - before["landed"]
    moved = {
        name: after["by_disposition"][name] - count
        for name, count in before["by_disposition"].items()
        if name not in {"unknown", "unsent"}
    }
    found = [name for name in ("read", "blank") if before[name] != after[name]]
    if not 0 <= landed <= settled:
        found.append("landed")
    if settled < 0 or min(moved.values()) < 0 or sum(moved.values()) != settled:
        found.append("by_disposition")
    return [f"{name}: told {before[name]}, then {after[name]}" for name in found]


def _children(pid: int) -> Iterator[int]:
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            yield from map(int, path.read_text().split())


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def run_slot(slot: int, seed: int, vias: list[str], kills: int, folder: Path, *, processes: int) -> Score:
    """Jobs one after the other, until there were so many kills."""
    gc.freeze()
    total = Score()
    while total.kills < kills:
        number = total.jobs
        via = vias[(number + slot) % len(vias)]
        place = folder / f"{slot}-{number}-{via}"
        plan = Plan(seed * 1_000_003 + slot * 10_007 + number, via, place, processes)
        job = Job(plan)
        score = job.run()
        total.add(score)
        print(f"{plan.folder.name} --on-existing {job.policy}: {score}", flush=True)
        if job.findings:
            print("".join(f"    {each}\n" for each in list(job.findings)[:20]), end="", flush=True)
            print(f"    kept: {plan.folder}, see findings, command, job.err, emulator.err", flush=True)
        else:
            shutil.rmtree(plan.folder)
    return total


def run(kills: int, seed: int, via: str, slots: int, *, processes: int) -> Score:
    vias = ["single", "bulk"] if via == "both" else [via]
    folder = Path(tempfile.mkdtemp(prefix="kills-"))
    share = [kills // slots + (slot < kills % slots) for slot in range(slots)]
    started = time.monotonic()
    total = Score()
    works = [
        partial(run_slot, slot, seed, vias, kills, folder, processes=processes)
        for slot, kills in enumerate(share)
    ]
    for score in side_by_side(works, folder):
        total.add(score)
    minutes = (time.monotonic() - started) / 60
    print(f"seed {seed}, {minutes:.1f} minutes, {total.kills / minutes:.0f} kills a minute: {total}")
    print("kills by what the journal held:", ", ".join(f"{at}: {n}" for at, n in total.at.most_common()))
    if not total.failed:
        shutil.rmtree(folder)
    return total


def _main() -> int:
    parser = argparse.ArgumentParser("python -m tests.ingest.journal.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--via", choices=["single", "bulk", "both"], default="both")
    parser.add_argument("--jobs", type=int, default=2, help="how many jobs run at a time")
    parser.add_argument("--processes", type=int, default=1, help="of each job")
    given = parser.parse_args()
    return bool(run(given.kills, given.seed, given.via, given.jobs, processes=given.processes).failed)


if __name__ == "__main__":
    sys.exit(_main())
