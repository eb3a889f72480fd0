"""Records that go one by one share what is written down; each has an outcome of its own."""

import asyncio
import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from aiohttp import web

from clinia_async import (
    ConcurrencyLimits,
    CreateRelationship,
    CreateResource,
    Disposition,
    Evidence,
    Ingestion,
)
from clinia_async.emulator import Emulator, Persisted
from clinia_async.ingest.pipeline.single_worker import MOST
from tests.ingest.running import SOURCE, run, session_for, writes
from tests.ingest.scripted import Answer, against, error

D = Disposition
COUNT = 3 * MOST + 1


def record_of(write: CreateRelationship) -> dict[str, object]:
    ends = {name: {"id": ref.id, "type": ref.type} for name, ref in (("from", write.from_), ("to", write.to))}
    return {"id": write.id, "type": write.type, **ends, "data": write.data}


class Service:
    """Stores what comes, but does as `answers` says the first time that one of certain records comes."""

    def __init__(
        self, items: Sequence[CreateRelationship], answers: dict[int, Callable[[int], Answer | None]]
    ):
        self.by_id = {each.id: number for number, each in enumerate(items)}
        self.items = items
        self.answers = answers
        self.posts: Counter[int] = Counter()

    def __call__(self, request: web.Request, body: bytes) -> Answer | None:
        if "/tasks/" in request.path:
            return 200, {"taskId": request.path.rsplit("/", 1)[1], "status": "SUCCESS"}
        if request.method == "GET":
            return 200, record_of(self.items[self.by_id[request.path.rsplit("/", 1)[1]]])
        sent = json.loads(body)
        number = self.by_id[f"{sent['from']['id']}.{sent['to']['id']}"]
        self.posts[number] += 1
        if number in self.answers and self.posts[number] == 1:
            return self.answers[number](number)
        return 200, {"status": "PERSISTED", "relationship": record_of(self.items[number])}


def rows_of(journal: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(journal)) as connection:
        return connection.execute("SELECT state, positions FROM chunk ORDER BY id").fetchall()


async def test_records_that_are_stored_at_once_share_a_row_of_the_journal(tmp_path: Path) -> None:
    items = writes(COUNT)
    service = Service(items, {})
    found = await against(service, items, via="single", workers=1, journal=tmp_path / "j")
    assert found.report.landed == found.report.sent == COUNT
    assert set(service.posts.values()) == {1}
    assert {(each.disposition, each.evidence, each.attempts) for each in found.outcomes} == {
        (D.PERSISTED, Evidence.ENVELOPE, 1)
    }
    assert len(rows_of(tmp_path / "j")) == -(-COUNT // MOST)
    assert all(slow.requests == slow.records for slow in found.report.slowest)


ANSWERS: dict[str, tuple[Callable[[int], Answer | None], D, Evidence, int]] = {
    "refused": (lambda _: error("INVALID_ARGUMENT", 400), D.REJECTED, Evidence.ENVELOPE, 1),
    "lost": (lambda _: None, D.PERSISTED, Evidence.ENVELOPE, 2),
    "accepted": (
        lambda number: (202, {"taskId": f"s_{number}", "status": "ACCEPTED"}),
        D.SUCCEEDED,
        Evidence.READ_BACK,
        1,
    ),
    "there already": (lambda _: error("ALREADY_EXISTS", 409), D.EXISTING, Evidence.READ_BACK, 1),
}


@pytest.mark.parametrize("has_journal", [True, False])
@pytest.mark.parametrize("place", [0, 1, MOST - 1, MOST, COUNT - 1])
@pytest.mark.parametrize("kind", ANSWERS)
async def test_a_record_whose_answer_does_not_say_all_has_its_own_outcome(
    kind: str, place: int, has_journal: bool, tmp_path: Path
) -> None:
    answer, disposition, evidence, attempts = ANSWERS[kind]
    items = writes(COUNT)
    service = Service(items, {place: answer})
    options = {
        "via": "single",
        "workers": 1,
        "journal": tmp_path / "j" if has_journal else None,
        "service": "x",
    }
    found = await against(service, items, **options)
    by_place = {each.line - 1: each for each in found.outcomes}
    assert found.report.sent == COUNT
    assert by_place[place].disposition is disposition
    assert by_place[place].evidence is evidence
    assert by_place[place].attempts == attempts
    others = [by_place[number] for number in range(COUNT) if number != place]
    assert {(each.disposition, each.evidence, each.attempts) for each in others} == {
        (D.PERSISTED, Evidence.ENVELOPE, 1)
    }
    assert all(service.posts[number] == 1 for number in range(COUNT) if number != place)
    if has_journal:
        posts = service.posts.total()
        again = await against(service, items, **options)
        assert service.posts.total() == posts, "what has an outcome is not sent again"
        assert again.report.by_disposition == found.report.by_disposition


async def test_creates_whose_id_the_service_makes_go_alone(tmp_path: Path) -> None:
    """Of two that share a row a kill would leave both unknown: neither could be sent again."""
    items = [CreateResource(SOURCE, "patient", None, data={"n": number}) for number in range(MOST)]
    async with Emulator(default=Persisted()) as emulator:
        found = await run(emulator, items, via="single", workers=1, journal=tmp_path / "j")
    assert found.report.landed == MOST
    assert len(rows_of(tmp_path / "j")) == MOST


@pytest.mark.parametrize("end", ["stop", "cancel"])
async def test_what_a_run_has_not_sent_when_the_job_ends_is_unsent(end: str, tmp_path: Path) -> None:
    """And what it has stored by then is stored, whatever is in flight."""
    options = {"via": "single", "workers": 1, "journal": tmp_path / "j"}
    async with Emulator(default=Persisted()) as emulator:
        async with session_for(emulator) as session:
            limits = ConcurrencyLimits(rate=10)
            job = Ingestion(session, SOURCE, writes(COUNT), limits=limits, **options)  # type: ignore[arg-type]
            running = asyncio.create_task(job.run())
            await asyncio.sleep(0.25)
            assert job.report.sent == 4
            if end == "stop":
                job.stop()
            else:
                running.cancel()
            await asyncio.wait([running])
        counts = job.report.by_disposition
        assert (counts[D.PERSISTED], counts[D.UNKNOWN]) == ((4, 0) if end == "stop" else (3, 1))
        assert counts[D.UNSENT] == COUNT - 4
        assert job.report.sent == 4
        again = await run(emulator, writes(COUNT), **options)
        assert again.report.landed == COUNT
        assert emulator.relationships() == COUNT
