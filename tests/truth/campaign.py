"""Mixed calls and jobs under faults, reviews, late and double execution: is every statement true?

    python -m tests.truth --seeds 2000 --first 0

A seed decides everything. Each statement of the client (a result, an outcome, a disposition) is compared at
the end with what the registry of this campaign really did, also with what it did late.
"""

import argparse
import asyncio
import logging
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from random import seed as reseed
from typing import Any

from attrs import define, field

from clinia_async import (
    ChunkLimits,
    CliniaError,
    CreateRelationship,
    CreateResource,
    DeleteRelationship,
    DeleteResource,
    Disposition,
    Evidence,
    Ingestion,
    Outcome,
    Patch,
    PatchOp,
    Polling,
    RecordOutcome,
    Ref,
    Session,
    UpdateRelationship,
    UpsertRelationship,
    UpsertResource,
)
from tests.truth.registry import KINDS, Key, Registry
from tests.virtual_time import VirtualTimeLoop

SOURCE = "ehr"
D = Disposition
STORED = frozenset({D.PERSISTED, D.SUCCEEDED})
NOT_STORED = frozenset({D.FAILED, D.REJECTED, D.CANCELLED, D.DROPPED, D.INVALID, D.UNSENT})


@define(eq=False)
class Said:
    """What the client said of one write."""

    mark: str
    key: Key | None
    way: str
    claim: str
    """stored, not stored, done, unknown"""
    evidence: str
    detail: str
    record: Any = None


@define(eq=False)
class Run:
    random: Random
    registry: Registry
    said: list[Said] = field(factory=list)
    number: int = 0

    # ------------------------------------------------------------------ writes

    def write(self, actions: str = "CUDPN", *, target: str | None = None) -> Any:
        """A write of a record of its own: create, upsert, delete, patch, or a create without an id."""
        random, self.number = self.random, self.number + 1
        mark, type_ = f"w{self.number}", f"t{random.randrange(4)}"
        action = random.choice(actions)
        target = target or random.choice(["RESOURCE", "RELATIONSHIP"])
        if action == "P" or (action == "U" and target == "RELATIONSHIP" and "P" in actions):
            action, target = "P", "RELATIONSHIP"
        if action == "N":
            return CreateResource(SOURCE, type_, data={"mark": mark})
        exists = random.random() < {"C": 0.15, "U": 0.5, "D": 0.85, "P": 0.9}[action]
        id_ = f"p{self.number}" if target == "RESOURCE" else f"a{self.number}.b"
        if exists:
            self._add(target, type_, id_)
        if target == "RESOURCE":
            return self._resource(action, type_, id_, mark)
        return self._relationship(action, type_, id_, mark)

    def _add(self, target: str, type_: str, id_: str) -> None:
        ends = {}
        if target == "RELATIONSHIP":
            from_, to = id_.split(".")
            ends = {"from": {"id": from_, "type": "x"}, "to": {"id": to, "type": "y"}}
        record = {"id": id_, "type": type_, **ends, "data": {"mark": "old", "kept": 1}}
        self.registry.records[target, type_, id_] = record

    def _resource(self, action: str, type_: str, id_: str, mark: str) -> Any:
        if action == "C":
            return CreateResource(SOURCE, type_, id_, data={"mark": mark})
        if action == "U":
            return UpsertResource(SOURCE, type_, id_, data={"mark": mark})
        return DeleteResource(SOURCE, type_, id_)

    def _relationship(self, action: str, type_: str, id_: str, mark: str) -> Any:
        from_, to = (Ref(id_.split(".", maxsplit=1)[0], "x"), Ref("b", "y"))
        if action == "C":
            return CreateRelationship(SOURCE, type_, from_, to, {"mark": mark})
        if action == "U":
            return UpsertRelationship(SOURCE, type_, from_, to, {"mark": mark})
        if action == "P":
            return UpdateRelationship(SOURCE, type_, id_, [Patch(PatchOp.REPLACE, "/mark", mark)])
        return DeleteRelationship(SOURCE, type_, id_)

    # ------------------------------------------------------------------ statements

    def note(
        self,
        write: Any,
        way: str,
        claim: str,
        *,
        evidence: object,
        detail: str = "result",
        record: Any = None,
    ) -> None:
        self.said.append(Said(mark_of(write), key_of(write), way, claim, str(evidence), detail, record))

    def failed(self, writes: Sequence[Any], way: str, error: CliniaError) -> None:
        """What an error says of all the writes of its request."""
        claims = {Outcome.NOT_SENT: "not stored", Outcome.REJECTED: "not stored", Outcome.DONE: "done"}
        claim = claims.get(error.outcome, "unknown")
        for write in writes:
            self.note(
                write, way, claim, evidence=error.evidence, detail=f"{type(error).__name__} {error.outcome}"
            )

    async def single(self, session: Session) -> None:
        write = self.write()
        try:
            task = await session.submit(write, read_back=self.random.choice([None, False]))
            if self.random.random() < 0.2 and task.id is not None:
                await self._resumed(session, write, task.token())
                return
            record = await task
        except CliniaError as error:
            self.failed([write], "single", error)
        else:
            self.note(write, "single", "stored", evidence=task.evidence, record=record)

    async def _resumed(self, session: Session, write: Any, token: str) -> None:
        task = session.task(token)
        try:
            record = await task
        except CliniaError as error:
            self.failed([write], "resumed", error)
        else:
            is_record = hasattr(record, "data")
            self.note(
                write, "resumed", "stored", evidence=task.evidence, record=record if is_record else None
            )

    async def together(self, session: Session) -> None:
        """A few callers at once, whose writes may be coalesced."""
        target = self.random.choice(["RESOURCE", "RELATIONSHIP"])
        await asyncio.gather(*(self._one(session, self.write("C", target=target)) for _ in range(3)))

    async def _one(self, session: Session, write: Any) -> None:
        try:
            task = await session.submit(write)
            record = await task
        except CliniaError as error:
            self.failed([write], "together", error)
        else:
            self.note(write, "together", "stored", evidence=task.evidence, record=record)

    async def bulk(self, session: Session) -> None:
        target = self.random.choice(["RESOURCE", "RELATIONSHIP"])
        actions = "CUDN" if target == "RESOURCE" and self.random.random() < 0.3 else "CUD"
        writes = [self.write(actions, target=target) for _ in range(self.random.randint(1, 5))]
        await self._batch(writes, "bulk", lambda: session.bulk(SOURCE, writes))

    async def bundle(self, session: Session) -> None:
        writes = [self.write("CUD") for _ in range(self.random.randint(1, 4))]
        await self._batch(writes, "bundle", lambda: session.bundle(SOURCE, writes))

    async def _batch(self, writes: list[Any], way: str, send: Callable[[], Awaitable[Any]]) -> None:
        try:
            task = await send()
            await task
        except CliniaError as error:
            self.failed(writes, way, error)
        else:
            for write in writes:
                self.note(write, way, "stored", evidence=task.evidence)

    async def job(self, session: Session) -> None:
        via = self.random.choice(["bulk", "single", "bundle"])
        actions = "CD" if via == "single" else "CUD"
        writes = [self.write(actions) for _ in range(self.random.randint(1, 8))]
        limits = ChunkLimits(operations=self.random.choice([2, 3, 100]))
        outcomes: dict[int, RecordOutcome] = {}
        workers = self.random.choice([1, 2, 32])
        job = Ingestion(session, SOURCE, writes, via=via, chunk=limits, patience=60.0, workers=workers)
        try:
            async with job:
                async for outcome in job:
                    outcomes[outcome.line] = outcome
        except CliniaError:
            pass  # the job was stopped; what it said of its records stands
        for number, write in enumerate(writes, 1):
            found = outcomes.get(number)
            if found is not None:
                self._of_job(write, f"job via {via}", found)

    def _of_job(self, write: Any, way: str, found: RecordOutcome) -> None:
        claim = "unknown"
        if found.disposition in STORED:
            claim = "stored"
        elif found.disposition in NOT_STORED:
            claim = "not stored"
        elif found.disposition is D.EXISTING:
            claim = "existing"
        evidence = getattr(found, "evidence", Evidence.RECEIPT)
        self.note(write, way, claim, evidence=evidence, detail=f"{found.disposition} {found.reason}")

    # ------------------------------------------------------------------ the comparison

    def untrue_statements(self) -> list[str]:
        """Every statement that is untrue, and every write that was lost or doubled."""
        wrong = []
        for said in self.said:
            problem = self._problem(said)
            if problem is not None:
                wrong.append(f"{said.way} {said.mark}: said {said.claim} ({said.detail}), but {problem}")
        for mark, keys in self.registry.made.items():
            if len(keys) > 1:
                wrong.append(f"{mark} was made {len(keys)} times")
        return wrong

    def _problem(self, said: Said) -> str | None:
        applied = self.registry.applied[said.mark]
        if said.claim in {"stored", "done"} and not applied and not self._is_excused(said):
            return "it was never carried out"
        if said.claim == "not stored" and applied:
            return "it was carried out"
        if "not sent" in said.detail and self.registry.received[said.mark]:
            return "it was received"
        if said.claim != "unknown" and said.evidence == "NONE":
            return "nothing proves it"
        if said.record is not None and said.record.data.get("mark") != said.mark:
            return None if said.way == "resumed" else "the result is another record"
        return None

    def _is_excused(self, said: Said) -> bool:
        """Whether the statement goes no further than what the service said itself.

        A record that is gone is what a delete claims. DONE by the status of the task claims no more than
        that; and without its content, a resumed write is known by the documented word of its pipeline only.
        """
        if said.mark.startswith("DELETE") and said.claim == "stored":
            return said.key not in self.registry.records
        mine = [
            (row, each)
            for row in self.registry.tasks.values()
            for each in row.operations
            if each.mark == said.mark
        ]
        if said.claim == "done" and said.evidence == "TASK":
            return any(row.status == "SUCCESS" for row, _ in mine)
        return said.way == "resumed" and any(each.pipeline == "SUCCESSFUL" for _, each in mine)


def mark_of(write: Any) -> str:
    if isinstance(write, UpdateRelationship):
        return str(write.patches[0].value)
    if isinstance(write, DeleteRelationship | DeleteResource):
        return f"DELETE {key_of(write)}"
    return str(write.data["mark"])


def key_of(write: Any) -> Key | None:
    return None if write.id is None else (str(write.target), write.type, write.id)


async def play(seed: int) -> tuple[Run, list[str]]:
    random = Random(seed)
    calm = random.choice([0.3, 0.6, 0.85, 0.97])
    async with Registry(random, calm) as registry:
        run = Run(random, registry)
        session = Session(
            base_url=registry.url,
            api_key="key",
            timeout=random.choice([3.0, 20.0]),
            polling=Polling(patience=100.0),
            coalesce=random.random() < 0.5,
            read_back=random.random() < 0.7,
        )
        async with session:
            kinds = [run.single, run.single, run.together, run.bulk, run.bundle, run.job]
            chosen = [random.choice(kinds) for _ in range(random.randint(2, 5))]
            async with asyncio.timeout(50_000):
                await asyncio.gather(*(kind(session) for kind in chosen))
        await asyncio.sleep(200)  # what is late is carried out by now
        return run, run.untrue_statements()


def run_seed(seed: int) -> tuple[Run, list[str]]:
    reseed(seed)  # the client's own jitter, too
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(play(seed))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--verbose", action="store_true")
    chosen = parser.parse_args(arguments)
    warnings.simplefilter("error")
    logging.getLogger("clinia_async").setLevel(logging.ERROR)
    broken, started = [], time.monotonic()
    claims: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    done = 0
    for seed in range(chosen.first, chosen.first + chosen.seeds):
        try:
            run, wrong = run_seed(seed)
        except KeyboardInterrupt:
            break
        except Exception as error:  # noqa: BLE001  whatever it is, the seed is told
            wrong = (
                traceback.format_exception(error) if chosen.verbose else [f"{type(error).__name__}: {error}"]
            )
        else:
            claims.update(said.claim for said in run.said)
            faults.update(run.registry.seen)
        if wrong:
            broken.append(seed)
            print(f"seed {seed}: " + "\n    ".join(wrong), flush=True)
        done += 1
    print(f"{done} seeds, {len(broken)} broken, {time.monotonic() - started:.0f} s: {broken[:50]}")
    print(f"statements: {dict(claims)}; kinds of faults played: {len(faults)} of {len(KINDS)}")
    return 1 if broken else 0
