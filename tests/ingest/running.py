"""A job against an emulator, and all that can be asked of it afterwards."""

from collections import Counter
from collections.abc import AsyncIterable, Iterable, Sequence

from attrs import frozen

from clinia_async import CreateRelationship, Disposition, Ingestion, RecordOutcome, Ref, Report, Session
from clinia_async.emulator import Emulator
from clinia_async.ingest.pipeline.input_reader import Item

SOURCE = "ehr-prod"
BOTH_WAYS = ("single", "bulk")


def write(from_: str, to: str, **data: object) -> CreateRelationship:
    return CreateRelationship(
        SOURCE, "practises-at", Ref(from_, "practitioner"), Ref(to, "organization"), data or None
    )


def writes(count: int) -> list[CreateRelationship]:
    return [write(f"prac-{number}", f"org-{number % 7}", number=number) for number in range(count)]


def either_way(disposition: Disposition) -> Disposition:
    """PERSISTED for what was stored by a task, too."""
    return Disposition.PERSISTED if disposition is Disposition.SUCCEEDED else disposition


@frozen
class Ran:
    report: Report
    outcomes: Sequence[RecordOutcome]
    error: BaseException | None = None

    @property
    def reported(self) -> Counter[Disposition]:
        """Records by what became of them, whether they were stored at once or by a task."""
        counts: Counter[Disposition] = Counter()
        for disposition, count in self.report.by_disposition.items():
            counts[either_way(disposition)] += count
        return counts

    def lines(self, disposition: Disposition) -> list[int]:
        return sorted(each.line for each in self.outcomes if each.disposition is disposition)


def session_for(emulator: Emulator, **options: object) -> Session:
    return Session(base_url=emulator.url, api_key=emulator.key, **options)  # type: ignore[arg-type]


async def ran(session: Session, items: Iterable[Item] | AsyncIterable[Item], **options: object) -> Ran:
    outcomes: list[RecordOutcome] = []
    job = Ingestion(session, SOURCE, items, **options)  # type: ignore[arg-type]
    error: BaseException | None = None
    try:
        async with job:
            async for outcome in job:
                outcomes.append(outcome)  # noqa: PERF401  those that came before an error count too
    except Exception as caught:  # noqa: BLE001
        error = caught
    found = Ran(job.report, outcomes, error)
    check_accounts(found)
    return found


def check_accounts(found: Ran) -> None:
    """True of every job, however it ended: each record that was read has exactly one outcome."""
    assert found.report.completed == found.report.read
    assert len({id(outcome.record) for outcome in found.outcomes}) == len(found.outcomes)
    told_before = found.report.reported_before - sum(outcome.reported_before for outcome in found.outcomes)
    assert found.report.completed == len(found.outcomes) + told_before


async def run(emulator: Emulator, items: Iterable[Item] | AsyncIterable[Item], **options: object) -> Ran:
    async with session_for(emulator) as session:
        return await ran(session, items, **options)


def stored_data(emulator: Emulator) -> dict[str, object]:
    return {each.id: each.data for each in emulator.stored()}
