"""Jobs under random faults and random ends, and every claim of theirs held against what the emulator did.

    python -m tests.ingest.campaign --seeds 2000 --first 0

A seed tells everything: the input, the way, the faults, where each run is cut off and how.
"""

import argparse
import asyncio
import shutil
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from itertools import chain
from pathlib import Path
from random import Random

from attrs import define, field

from clinia_async import (
    ChunkLimits,
    CreateRelationship,
    CreateResource,
    DeleteRelationship,
    DeleteResource,
    Disposition,
    Ingestion,
    RecordOutcome,
    Ref,
    Session,
    UpsertRelationship,
    UpsertResource,
)
from clinia_async.calls import BatchWrite
from clinia_async.emulator import (
    Accepted,
    DroppedRequest,
    Emulator,
    LogNormal,
    LostReply,
    Mode,
    Persisted,
    TooManyRequests,
    TruncatedBody,
    Unavailable,
)
from clinia_async.ingest.journal import rows as journal_rows
from clinia_async.ingest.journal.journal import Journal
from clinia_async.ingest.journal.rows import JobIdentity
from tests.ingest.running import SOURCE, session_for
from tests.ingest.witness import Key, Sign, Witness, key_of, sign_of, witnessed
from tests.virtual_time import VirtualTimeLoop

D = Disposition
STORED = frozenset({D.PERSISTED, D.SUCCEEDED})
NOT_STORED = frozenset({D.FAILED, D.CANCELLED, D.REJECTED, D.INVALID, D.DROPPED, D.UNSENT})
WRITES = (
    "create_relationship",
    "delete_relationship",
    "bulk_relationships",
    "create_resource",
    "put_resource",
    "delete_resource",
    "bulk_resources",
    "bundle",
)
READS = ("get_relationship", "get_resource", "get_task")
MOST_RUNS = 6
_NEVER = 1_000_000.0
"""Virtual seconds; a job that is not done by then hangs."""


class Broken(AssertionError):
    """A claim of a job is not what the emulator did, or a promise was not kept."""


def check(holds: object, *what: object) -> None:
    if not holds:
        raise Broken(" ".join(map(str, what)))


@define
class Plan:
    """All that a seed tells."""

    seed: int
    random: Random = field(init=False)
    via: str = field(init=False)
    options: dict[str, object] = field(init=False)
    writes: list[BatchWrite] = field(init=False)
    before: list[BatchWrite] = field(init=False)
    trouble: float = field(init=False)
    only_creates: bool = field(init=False)
    mode: Mode = field(init=False)
    latency: LogNormal = field(init=False)
    journal: bool = field(init=False)

    def __attrs_post_init__(self) -> None:
        draw = self.random = Random(f"{self.seed}:plan")
        self.via = draw.choice(["single", "bulk", "bundle"])
        self.trouble = draw.choice([0.0, 0.02, 0.1, 0.25])
        self.only_creates = draw.random() < 0.3
        self.latency = LogNormal(draw.choice([0.05, 0.4, 2.0]), 0.8)
        self.mode = draw.choice([Persisted(), Accepted(self.latency)])
        self.journal = draw.random() < 0.85
        self.options = {
            "via": self.via,
            "on_existing": draw.choice(["compare", "compare", "keep", "fail"]),
            "on_unknown": draw.choice(["stop", "stop", "resend"]),
            "workers": draw.choice([1, 2, 3, 8]),
            "chunk": ChunkLimits(operations=draw.choice([1, 3, 10, 40]), linger=draw.choice([0.0, 0.5, 5.0])),
            "patience": 3000.0,
        }
        keys = draw.choice([3, 12, 60])
        self.before = [self._upsert(n) for n in range(keys) if draw.random() < draw.choice([0, 0.3])]
        self.writes = [self._write(n, keys) for n in range(draw.choice([4, 15, 40, 90]))]

    def _upsert(self, key: int) -> BatchWrite:
        data = {"v": self.random.randrange(3)}
        if key % 3 == 0:
            return UpsertResource(SOURCE, "patient", f"r-{key}", data=data)
        return UpsertRelationship(SOURCE, "near", Ref(f"a-{key}", "x"), Ref("b", "y"), data)

    def _write(self, number: int, keys: int) -> BatchWrite:
        draw = self.random
        key = draw.randrange(keys)
        action = "create" if self.only_creates else draw.choice(["create", "create", "upsert", "delete"])
        unmarked = draw.random() < 0.4
        data: dict[str, object] = {"v": draw.randrange(3)} if unmarked else {"v": 0, "mark": number}
        if draw.random() < 0.1:
            return CreateResource(SOURCE, "note", data={"mark": number})
        if key % 3 == 0:
            return _of_resource(action, f"r-{key}", data)
        ends = Ref(f"a-{key}", "x"), Ref("b", "y")
        if action == "upsert" and self.via == "single":
            action = "create"
        if action == "delete":
            return DeleteRelationship(SOURCE, "near", f"a-{key}.b")
        kind = CreateRelationship if action == "create" else UpsertRelationship
        return kind(SOURCE, "near", *ends, data)


def _of_resource(action: str, id: str, data: dict[str, object]) -> BatchWrite:
    if action == "delete":
        return DeleteResource(SOURCE, "patient", id)
    if action == "upsert":
        return UpsertResource(SOURCE, "patient", id, data=data)
    return CreateResource(SOURCE, "patient", id, data=data)


@define
class Tale:
    """What the runs of one job told, in all."""

    plan: Plan
    witness: Witness
    resent: int = 0
    reported: dict[int, RecordOutcome] = field(factory=dict)
    """By position, as the last run told it."""
    landed: dict[int, Disposition] = field(factory=dict)
    """As the journal says it."""
    log: list[str] = field(factory=list)

    def disposition(self, position: int) -> Disposition | None:
        if position in self.reported:
            return self.reported[position].disposition
        return self.landed.get(position)


async def played(seed: int, folder: Path) -> Tale:
    """Raises `Broken`."""
    plan, before = Plan(seed), asyncio.all_tasks()
    with witnessed() as witness:
        tale = Tale(plan, witness)
        try:
            async with asyncio.timeout(_NEVER):
                await _played(tale, folder)
        except Exception as error:
            error.add_note("\n".join([f"seed {seed}: {plan.via} {plan.options}", *tale.log]))
            raise
    await _check_leaks(before)
    return tale


async def _played(tale: Tale, folder: Path) -> None:
    plan, witness = tale.plan, tale.witness
    async with Emulator(seed=plan.seed, default=plan.mode, bulk=plan.latency, bundle=plan.mode) as emulator:
        await _fill(emulator, plan)
        witness.arrived.clear()
        witness.done.clear()
        await _run_to_the_end(emulator, tale, folder)
        await asyncio.sleep(600)  # what was accepted is done by then, and zombies too
        resources, relationships = emulator.stored_resources(), emulator.stored()
        state = {("RESOURCE", each.type, each.id): each.data for each in resources}
        state |= {("RELATIONSHIP", each.type, each.id): each.data for each in relationships}
        _check_claims(tale)
        _check_state(tale, state)


async def _fill(emulator: Emulator, plan: Plan) -> None:
    if not plan.before:
        return
    async with session_for(emulator) as session:
        await Ingestion(session, SOURCE, list(plan.before), via="bulk").run()


def _trouble(emulator: Emulator, plan: Plan) -> None:
    emulator.faults.clear()
    for route in (*WRITES, *READS) if plan.trouble else ():
        p = plan.trouble
        emulator.faults.add(LostReply(route=route, probability=p))
        emulator.faults.add(DroppedRequest(route=route, probability=p / 2))
        emulator.faults.add(TruncatedBody(route=route, probability=p / 2))
        emulator.faults.add(Unavailable(route=route, probability=p / 2, executed=True))
        emulator.faults.add(TooManyRequests(route=route, probability=p / 2, retry_after=1))


async def _run_to_the_end(emulator: Emulator, tale: Tale, folder: Path) -> None:
    draw = tale.plan.random
    journal = folder / "journal-0" if tale.plan.journal else None
    for run in range(draw.randrange(MOST_RUNS) if journal else draw.randrange(2)):
        _trouble(emulator, tale.plan)
        end = draw.choice(ENDS)
        tale.log.append(f"run {run}: {end.__name__}")
        following = await end(emulator, tale, journal)
        if journal is None:
            return  # without a journal there is no second run
        journal = following or journal
        if draw.random() < 0.3:
            await asyncio.sleep(draw.choice([0.1, 5.0, 100.0]))
    if draw.random() < 0.5:
        emulator.faults.clear()
    else:
        _trouble(emulator, tale.plan)
    tale.log.append("last run")
    error = await Run(emulator, tale, journal).whole()
    check(error is None, "the last run raised", repr(error))
    check(set(tale.reported) | set(tale.landed) == set(range(1, len(tale.plan.writes) + 1)), "records untold")
    _check_unsent(tale)


def _check_unsent(tale: Tale) -> None:
    """Unsent at the end is only what follows an unknown write of its record: it is left to the next run."""
    told = [(tale.plan.writes[position - 1], each.disposition) for position, each in tale.reported.items()]
    unknown = {key_of(write) for write, disposition in told if disposition is D.UNKNOWN and write.id}
    for write, disposition in told:
        if disposition is D.UNSENT:
            check(write.id is not None and key_of(write) in unknown, "unsent at the end")


@define(eq=False)
class Run:
    emulator: Emulator
    tale: Tale
    journal: Path | None
    outcomes: list[RecordOutcome] = field(factory=list)
    options: dict[str, object] = field(factory=dict)
    job: Ingestion = field(init=False)
    items: object = None

    def begin(self, session: Session) -> Ingestion:
        items = self.items or list(self.tale.plan.writes)
        options = {**self.tale.plan.options, **self.options}
        self.job = Ingestion(
            session, SOURCE, items, journal=self.journal, journal_is_copy=self.journal is not None, **options
        )  # type: ignore[arg-type]
        return self.job

    async def drain(self) -> None:
        async with self.job as job:
            async for outcome in job:
                self.outcomes.append(outcome)

    async def whole(self) -> Exception | None:
        error: Exception | None = None
        async with session_for(self.emulator) as session:
            self.begin(session)
            try:
                await self.drain()
            except Exception as caught:  # noqa: BLE001
                error = caught
        await self.over()
        return error

    async def over(self) -> None:
        """After the run: its account must balance, and what it told is kept and held against the truth."""
        for outcome in self.rest():
            self.outcomes.append(outcome)
        report = self.job.report
        told_before = report.reported_before - sum(outcome.reported_before for outcome in self.outcomes)
        check(report.completed == report.read, "read", report.read, "settled", report.completed)
        check(report.completed == len(self.outcomes) + told_before, "outcomes", len(self.outcomes), report)
        positions = [outcome.record.position for outcome in self.outcomes]
        check(len(set(positions)) == len(positions), "told twice")
        check(report.sent <= len(self.tale.plan.writes), "more sent than there are")
        self.tale.resent += report.resent
        self.tale.reported = {each.record.position: each for each in self.outcomes}
        self.tale.landed = await _landed(self.tale, self.journal, self.emulator)
        _check_reported(self.tale)
        for each in self.outcomes:
            if each.disposition in STORED and not each.reported_before and not each.attempts:
                check(self.journal, "stored by no request")

    def rest(self) -> list[RecordOutcome]:
        """What was told and not taken."""
        stream = self.job._outcomes
        rest = [*stream._current, *chain.from_iterable(stream._waiting)]
        stream._waiting.clear()
        return rest


def _is_there(journal: Path) -> bool:
    return journal.exists()


async def _landed(tale: Tale, journal: Path | None, emulator: Emulator) -> dict[int, Disposition]:
    if journal is None or not _is_there(journal):
        return {}
    identity = JobIdentity(SOURCE, emulator.url, tale.plan.options["via"], None)  # type: ignore[arg-type]
    opened = await Journal.open(journal, identity, may_be_copy=True)
    try:
        found = {}
        for position in range(1, len(tale.plan.writes) + 1):
            if (disposition := opened.history.landed_as(position)) is not None:
                found[position] = disposition
        return found
    finally:
        await opened.close()


# How a run may end


async def to_its_end(emulator: Emulator, tale: Tale, journal: Path | None) -> None:
    error = await Run(emulator, tale, journal).whole()
    check(error is None, "a whole run raised", repr(error))


async def left(emulator: Emulator, tale: Tale, journal: Path | None) -> None:
    run, count = Run(emulator, tale, journal), tale.plan.random.randrange(1, 40)
    async with session_for(emulator) as session:
        async with run.begin(session) as job:
            async for outcome in job:
                run.outcomes.append(outcome)
                if len(run.outcomes) >= count:
                    break
        await session.aclose(grace=0)
    await run.over()


async def asked_to_stop(emulator: Emulator, tale: Tale, journal: Path | None) -> None:
    run, count = Run(emulator, tale, journal), tale.plan.random.randrange(1, 40)
    async with session_for(emulator) as session, run.begin(session) as job:
        async for outcome in job:
            run.outcomes.append(outcome)
            if len(run.outcomes) >= count:
                job.stop()
    await run.over()


async def cancelled(emulator: Emulator, tale: Tale, journal: Path | None) -> None:
    """By its caller, at some moment."""
    run = Run(emulator, tale, journal)
    async with session_for(emulator) as session:
        run.begin(session)
        caller = asyncio.ensure_future(run.drain())
        await asyncio.wait([caller], timeout=tale.plan.random.choice([0.0, 0.01, 0.3, 1.0, 3.0, 10.0]))
        caller.cancel()
        await asyncio.wait([caller])
    await run.over()


async def cancelled_at_an_arrival(emulator: Emulator, tale: Tale, journal: Path | None) -> None:
    await _at_an_arrival(emulator, tale, journal, killed=False)


async def killed(emulator: Emulator, tale: Tale, journal: Path | None) -> Path | None:
    """The journal as it was at that moment goes on; what the run did to it afterwards never was."""
    return await _at_an_arrival(emulator, tale, journal, killed=True)


async def _at_an_arrival(
    emulator: Emulator, tale: Tale, journal: Path | None, *, killed: bool
) -> Path | None:
    run, draw = Run(emulator, tale, journal), tale.plan.random
    left_over, copy = draw.randrange(1, 12), None
    async with session_for(emulator) as session:
        run.begin(session)
        caller = asyncio.ensure_future(run.drain())

        def end() -> None:
            nonlocal left_over, copy
            left_over -= 1
            if left_over == 0:
                if journal is not None and killed:
                    copy = _copied(journal)
                    _silence(emulator)  # who was killed sends nothing more
                caller.cancel()

        tale.witness.on_arrival.append(end)
        await asyncio.wait([caller])
        tale.witness.on_arrival.remove(end)
        await session.aclose(grace=0)
    emulator.faults.clear()
    if copy is None:
        await run.over()
    else:
        tale.resent += run.job.report.resent
    return copy


def _silence(emulator: Emulator) -> None:
    emulator.faults.clear()
    for route in (*WRITES, *READS):
        emulator.faults.add(DroppedRequest(route=route))


def _copied(journal: Path) -> Path:
    """As a killed process would leave it."""
    stem, _, number = journal.name.rpartition("-")
    copy = journal.with_name(f"{stem}-{int(number) + 1}")
    for ending in ("", "-wal"):
        source = journal.with_name(journal.name + ending)
        if source.exists():
            shutil.copy(source, copy.with_name(copy.name + ending))
    return copy


async def given_up(emulator: Emulator, tale: Tale, journal: Path | None) -> None:
    """The service goes away in the middle, in one of several ways."""
    draw = tale.plan.random
    run = Run(emulator, tale, journal, options={"patience": 5.0})
    left_over, executed = draw.randrange(1, 8), draw.random() < 0.5

    def go() -> None:
        nonlocal left_over
        left_over -= 1
        if left_over == 0:
            for route in (*WRITES, *READS):
                emulator.faults.add(Unavailable(route=route, executed=executed))

    tale.witness.on_arrival.append(go)
    # waits for tasks go by the patience of the session, which is counted in minutes
    await run.whole()
    tale.witness.on_arrival.remove(go)


async def broken_source(emulator: Emulator, tale: Tale, journal: Path | None) -> None:
    writes, end = tale.plan.writes, tale.plan.random.randrange(len(tale.plan.writes))

    async def broken() -> AsyncIterator[BatchWrite]:
        for number, each in enumerate(writes):
            if number == end:
                raise LookupError("the source broke")
            await asyncio.sleep(0.01)
            yield each

    error = await Run(emulator, tale, journal, items=broken()).whole()
    check(isinstance(error, LookupError), "the source broke, and what was raised is", repr(error))


async def broken_journal(emulator: Emulator, tale: Tale, journal: Path | None) -> None:
    """From some write on the disk fails."""
    if journal is None:
        return
    run, left_over = Run(emulator, tale, journal), tale.plan.random.randrange(0, 12)
    plain = Journal.write

    async def failing(self: Journal, *changes: journal_rows.Change) -> None:
        nonlocal left_over
        left_over -= 1
        await plain(self, *changes, *([journal_rows.Put("nowhere", ())] if left_over < 0 else []))

    Journal.write = failing  # type: ignore[method-assign]
    try:
        await run.whole()
    finally:
        Journal.write = plain  # type: ignore[method-assign]


ENDS = (
    to_its_end,
    left,
    asked_to_stop,
    cancelled,
    cancelled_at_an_arrival,
    killed,
    killed,
    killed,
    given_up,
    broken_source,
    broken_journal,
)


# What must be true


def _signs(plan: Plan) -> dict[Sign, list[int]]:
    found: defaultdict[Sign, list[int]] = defaultdict(list)
    for position, write in enumerate(plan.writes, 1):
        found[sign_of(write)].append(position)
    return found


def _check_reported(tale: Tale) -> None:
    """After every run: what is told as unsent has never arrived, what is told as stored was."""
    for sign, positions in _signs(tale.plan).items():
        told = [tale.disposition(position) for position in positions]
        if told == [D.UNSENT] * len(told):
            check(not tale.witness.came(sign), "unsent, and it arrived:", sign, positions)
        if set(told) <= NOT_STORED:
            check(not tale.witness.times(sign), "told as not stored, and it was:", sign, told, positions)
        if set(told) & STORED and not _was_there(tale, sign):
            raise Broken("told as stored, and never was:", sign, told, positions)


def _was_there(tale: Tale, sign: Sign) -> bool:
    """Whether the state that a write asks for was ever there."""
    if tale.witness.times(sign):
        return True
    target, type_, id_, action, data = sign
    befores = {key_of(write): write for write in tale.plan.before}
    if action == "DELETE":
        return (target, type_, id_) not in befores or tale.witness.times((target, type_, id_, "DELETE", ""))
    if not id_:
        return False
    alike = [(target, type_, id_, other, data) for other in ("CREATE", "UPSERT")]
    before = befores.get((target, type_, id_))
    return any(map(tale.witness.times, alike)) or (before is not None and sign_of(before)[4] == data)


def _check_claims(tale: Tale) -> None:
    """At the end of all runs."""
    _check_reported(tale)
    doubled = 0
    for sign in _signs(tale.plan):
        if not sign[2]:
            times = tale.witness.times(sign)
            doubled += times > 1
            if tale.plan.options["on_unknown"] == "stop":
                check(times <= 1, "a second record was made:", sign)
    check(doubled <= tale.resent, doubled, "second records, told were", tale.resent)
    _check_cancelled(tale)
    if not tale.plan.journal:
        return
    for position, write in enumerate(tale.plan.writes, 1):
        told = tale.disposition(position)
        if tale.plan.options["on_unknown"] == "resend" and write.id is None:
            check(told in STORED or told is D.UNKNOWN, "a create without an id is", told)


def _check_cancelled(tale: Tale) -> None:
    """No two writes of one key fly together, but for a create behind another whose answer was lost."""
    before: dict[Key, BatchWrite] = {}
    for position, write in enumerate(tale.plan.writes, 1):
        if write.id is None:
            continue
        if tale.disposition(position) is D.CANCELLED and tale.plan.via != "bundle":
            other = before.get(key_of(write))
            creates = other is not None and {str(other.action), str(write.action)} == {"CREATE"}
            check(creates, "two writes of one key flew together:", position)
        before[key_of(write)] = write


def _check_state(tale: Tale, state: dict[Key, object]) -> None:
    """Every record is as the last write of it left it, in the order of the input."""
    possible: dict[Key, list[object]] = defaultdict(lambda: [None])
    for write in tale.plan.before:
        possible[key_of(write)] = [write.data]  # type: ignore[union-attr]
    trace: defaultdict[Key, list[object]] = defaultdict(list)
    for position, write in enumerate(tale.plan.writes, 1):
        if write.id is None:
            continue
        told = tale.disposition(position)
        effect = getattr(write, "data", None)
        trace[key_of(write)].append((position, str(write.action), effect, str(told)))
        if told in STORED:
            possible[key_of(write)] = [effect]
        elif told is D.UNKNOWN:
            possible[key_of(write)].append(effect)
    for key, states in possible.items():
        ran = [(each.action, each.data) for each in tale.witness.history().get(key, ())]
        check(
            state.get(key) in states, key, "is", state.get(key), "not", states, "\n ", trace[key], "\n ", ran
        )


async def _check_leaks(before: set[asyncio.Task[object]]) -> None:
    for _ in range(3):
        await asyncio.sleep(0)
    left_over = asyncio.all_tasks() - before
    check(not left_over, "tasks are left:", left_over)
    threads = [each.name for each in threading.enumerate() if each.name.startswith("clinia")]
    check(not threads, "threads are left:", threads)


def run_seed(seed: int) -> Tale:
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(played(seed, Path(folder)))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--verbose", action="store_true")
    chosen = parser.parse_args(arguments)
    warnings.simplefilter("error")
    broken, started = [], time.monotonic()
    told: Counter[str] = Counter()
    for seed in range(chosen.first, chosen.first + chosen.seeds):
        try:
            tale = run_seed(seed)
        except Exception as error:  # noqa: BLE001
            broken.append(seed)
            text = "".join(traceback.format_exception(error)) if chosen.verbose else ""
            notes = " | ".join(getattr(error, "__notes__", ())).replace("\n", "; ")
            print(f"{text}seed {seed}: {type(error).__name__}: {error}\n   {notes}", flush=True)
        else:
            if seed % 100 == 99:
                print(f"up to {seed}: {len(broken)} broken", flush=True)
            told.update(str(tale.disposition(n)) for n in range(1, len(tale.plan.writes) + 1))
    print(f"{chosen.seeds} seeds, {len(broken)} broken, {time.monotonic() - started:.0f} s: {broken}")
    print(dict(told))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
