"""Chaos of the emulator makes no statement of the library untrue: what it plays is what services meet."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

import clinia_async as clinia
from clinia_async.emulator import Dialect, Emulator

CALLS, TOGETHER = 60, 5

pytestmark = pytest.mark.off_contract
PROVED_ABSENT = {clinia.Outcome.NOT_SENT, clinia.Outcome.REJECTED}
LANDED = {clinia.Disposition.SUCCEEDED, clinia.Disposition.PERSISTED, clinia.Disposition.EXISTING}
NOT_LANDED = {clinia.Disposition.FAILED, clinia.Disposition.DROPPED, clinia.Disposition.UNSENT}


def _write(number: int) -> clinia.CreateRelationship:
    ends = clinia.Ref(f"p-{number}", "practitioner"), clinia.Ref("org-9", "organization")
    return clinia.CreateRelationship("ehr", "t", *ends, data={"n": number})


async def _outcome(session: clinia.Session, number: int) -> clinia.Outcome | None:
    """None for success."""
    try:
        await (await session.submit(_write(number)))
    except clinia.CliniaError as error:
        return error.outcome
    return None


async def _completed(emulator: Emulator) -> set[str]:
    """What is stored after everything that was executed late."""
    await asyncio.sleep(10)
    emulator.faults.clear()
    return {stored.id for stored in emulator.stored()}


@pytest.mark.parametrize("coalesce", [False, True])
@pytest.mark.parametrize("dialect", ["documented", "go"])
@pytest.mark.parametrize("seed", range(3))
async def test_single_writes_under_chaos(seed: int, dialect: Dialect, coalesce: bool) -> None:
    async with Emulator(chaos=seed, dialect=dialect) as emulator:
        async with clinia.Session(api_key=emulator.key, base_url=emulator.url, coalesce=coalesce) as session:
            outcomes = []
            for start in range(0, CALLS, TOGETHER):
                together = (_outcome(session, number) for number in range(start, start + TOGETHER))
                outcomes += await asyncio.gather(*together)
        stored = await _completed(emulator)
    said = {f"p-{number}.org-9": outcome for number, outcome in enumerate(outcomes)}
    assert {id_ for id_, outcome in said.items() if outcome is None} <= stored
    assert not {id_ for id_, outcome in said.items() if outcome in PROVED_ABSENT} & stored


async def _job(
    session: clinia.Session, writes: Sequence[clinia.CreateRelationship]
) -> AsyncIterator[clinia.RecordOutcome]:
    chunk = clinia.ChunkLimits(operations=20)
    async with clinia.Ingestion(session, "ehr", writes, chunk=chunk) as job:
        async for outcome in job:
            yield outcome


@pytest.mark.parametrize("dialect", ["documented", "go"])
@pytest.mark.parametrize("seed", range(3))
async def test_jobs_under_chaos(seed: int, dialect: Dialect) -> None:
    writes = [_write(number) for number in range(200)]
    async with Emulator(chaos=seed, dialect=dialect) as emulator:
        async with clinia.Session(api_key=emulator.key, base_url=emulator.url) as session:
            outcomes = [one async for one in _job(session, writes)]
        stored = await _completed(emulator)
    ids = {disposition: set[str]() for disposition in clinia.Disposition}
    for outcome in outcomes:
        write = outcome.record.write
        assert isinstance(write, clinia.CreateRelationship)
        ids[outcome.disposition].add(write.id)
    assert sum(map(len, ids.values())) == len(writes)
    assert set().union(*(ids[one] for one in LANDED)) <= stored
    assert not set().union(*(ids[one] for one in NOT_LANDED)) & stored
