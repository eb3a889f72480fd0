"""An emulator that fails in every way it knows, and is itself killed and started again."""

import asyncio
import json
import os
import socket
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

from attrs import define, field

from clinia_async.emulator import (
    Accepted,
    Constant,
    DroppedRequest,
    Emulator,
    Latency,
    LogNormal,
    LostReply,
    Persisted,
    TooManyRequests,
    TruncatedBody,
    Unavailable,
)
from clinia_async.emulator.bodies.operation import Operation
from clinia_async.emulator.handlers.submissions import Submissions
from tests.ingest.journal.lives import Life
from tests.ingest.truth import TYPES
from tests.patience import PATIENCE

KEY = "a-key-of-the-campaign"
_WRITES = ("create_relationship", "bulk_relationships")
_LOOKS = ("get_relationship", "get_task")
_BETWEEN_KILLS = 1.0


def faulty(emulator: Emulator) -> None:
    """Just below the tenth of repeats that a session can afford for long: beyond it, it mostly waits."""
    for route in (*_WRITES, *_LOOKS):
        for fault in (
            LostReply(route=route, probability=0.03),
            DroppedRequest(route=route, probability=0.02),
            TruncatedBody(route=route, probability=0.02),
            TooManyRequests(route=route, probability=0.005, retry_after=0),
            TooManyRequests(route=route, probability=0.001, retry_after=1),
            Unavailable(route=route, probability=0.004),
            Unavailable(route=route, probability=0.004, executed=True),
        ):
            emulator.faults.add(fault)


def modes() -> tuple[dict[str, Persisted | Accepted], Latency]:
    """How each type is stored, and how long a bulk takes: in milliseconds, so that many states are met."""
    waits = [Persisted(), Accepted(Constant(0.005)), Accepted(LogNormal(0.02, 1.0))]
    return dict(zip(TYPES, waits, strict=True)), LogNormal(0.01, 1.0)


def free_port() -> int:
    """Below those that the system hands out: nobody else gets it while the emulator is down."""
    random = Random()
    while True:
        port = random.randrange(15_000, 30_000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if probe.connect_ex(("127.0.0.1", port)):
                return port


@define
class Nemesis:
    """An emulator in a process of its own, with its state in a file. Whoever begins it closes it."""

    folder: Path
    random: Random
    port: int = field(factory=free_port)
    kills: int = 0
    starts: int = 0
    _life: Life | None = None
    _next: float = 0.0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def data(self) -> Path:
        return self.folder / "emulator.db"

    @property
    def next(self) -> float:
        """The moment at which `tick` has something to do."""
        return self._next

    def tick(self) -> None:
        """Kills it, or starts it again, if the moment has come."""
        now = time.monotonic()
        if now < self._next:
            return
        if self._life is None:
            self.start()
        else:
            assert not self._life.over, f"the emulator ended by itself, see {self.folder}/emulator.err"
            self._life.kill()
            self.kills += 1
            # most outages are short; some last longer than the least patient job is ready to wait
            first, last = self.random.choices([(0.0, 0.15), (0.3, 1.0)], (5, 1))[0]
            self._life, self._next = None, now + self.random.uniform(first, last)

    def start(self) -> None:
        seed = self.random.randrange(2**32)
        self._life = Life.begin(lambda: asyncio.run(self._serve(seed)), self.folder / "emulator")
        self.starts += 1
        self._next = time.monotonic() + self.random.expovariate(1 / _BETWEEN_KILLS)

    def close(self) -> None:
        if self._life is not None:
            self._life.kill()
            self._life = None

    def carried(self) -> int:
        """How many operations have come to the registry, in all its lives."""
        checkpoints = self.folder / "carried"
        return sum(int(each) for each in checkpoints.read_bytes().split()) if checkpoints.exists() else 0

    def reconciled(self) -> dict[tuple[str, str], object]:
        """What is stored once everything that was accepted is done. It must be closed."""
        found = self.folder / "stored.json"
        life = Life.begin(lambda: self._reconcile(found), self.folder / "settled")
        life.wait(time.monotonic() + PATIENCE)
        life.kill()
        assert life.code == 0, f"what is stored cannot be read, see {self.folder}/settled.err"
        return {(type_, id_): data for type_, id_, data in json.loads(found.read_text())}

    def stored_twice(self) -> list[str]:
        """Keys that more than one operation says it has stored."""
        seen: set[object] = set()
        twice = []
        with sqlite3.connect(self.data) as database:
            rows = database.execute("SELECT receipts FROM tasks").fetchall()
        database.close()
        for (receipts,) in rows:
            for each in json.loads(receipts):
                key = each["type"], each["id"]
                if each["status"] == "SUCCESS" and key in seen:
                    twice.append(f"{key} was stored twice")
                seen |= {key} if each["status"] == "SUCCESS" else set()
        return twice

    async def _serve(self, seed: int) -> int:
        _count(self.folder / "carried")
        each, bulk = modes()
        emulator = Emulator(data=self.data, port=self.port, key=KEY, seed=seed, modes=each, bulk=bulk)
        faulty(emulator)
        await emulator.start()
        await asyncio.sleep(3600)
        return 0

    def _reconcile(self, found: Path) -> int:
        found.write_text(json.dumps(asyncio.run(self._stored())))
        return 0

    async def _stored(self) -> list[list[object]]:
        async with Emulator(data=self.data, key=KEY) as emulator:
            before = None
            # nothing says how much is pending: it is done when a while changes nothing
            while (now := [[each.type, each.id, each.data] for each in emulator.stored()]) != before:
                before = now
                await asyncio.sleep(0.3)
        return now


def _count(checkpoints: Path) -> None:
    """Writes down each operation that comes to the registry: what is written survives a SIGKILL."""
    handle = os.open(checkpoints, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def counted(of: Callable[..., object], several: bool) -> Callable[..., object]:
        def submit(
            self: Submissions, source: str, operations: Operation | list[Operation], plan: object
        ) -> object:
            os.write(handle, b"%d\n" % (len(operations) if several else 1))
            return of(self, source, operations, plan)

        return submit

    Submissions.single = counted(Submissions.single, False)  # type: ignore[method-assign,assignment]
    Submissions.bulk = counted(Submissions.bulk, True)  # type: ignore[method-assign,assignment]
