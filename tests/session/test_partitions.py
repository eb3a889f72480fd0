"""Partitions of the catalog."""

import asyncio

import pytest

from clinia_async import (
    CollectionConnection,
    ConnectionEnd,
    CreatePartition,
    DataSource,
    FailedPrecondition,
    GetPartition,
    Mdm,
    Modules,
    NotFound,
    OtherSource,
    Outcome,
    Partition,
    PartitionStatus,
    ProtocolError,
    ReconciliationRules,
    ReconciliationType,
    RelationshipConnection,
    RetryPolicy,
    SearchModule,
    Session,
    SourceCollection,
    SourceMapping,
)
from clinia_async.emulator import Emulator, LostReply
from tests.factories import MODULES, PARTITION, create_partition, session_at
from tests.hostile import Hostile, answer

MAPPINGS = (SourceMapping("ehr", "clinic", {"name": "name.text", "address.city": "city"}),)
MDM = Mdm(
    ("ehr", "crm"),
    (
        CollectionConnection(
            "clinic",
            {"name": {"type": "symbol"}},
            MAPPINGS,
            ("@locatedAt.startDate",),
            ReconciliationRules(ReconciliationType.SYSTEM, {"name": "latest"}),
            {"hours": {}},
        ),
    ),
    (
        RelationshipConnection(
            ConnectionEnd("clinic", "staff"), ConnectionEnd("person", "worksAt"), "works-at", {}, MAPPINGS
        ),
    ),
)


@pytest.mark.parametrize("source", [PARTITION, MDM, DataSource("ehr", ())])
@pytest.mark.parametrize("search", SearchModule)
async def test_created_and_read_back(
    session: Session, source: DataSource | Mdm, search: SearchModule
) -> None:
    modules = Modules(search)
    made = await (await session.create_partition("clinics", modules=modules, source=source))
    assert made == Partition("clinics", modules, source, PartitionStatus.READY)
    assert await session.get_partition("clinics") == made


async def test_a_stage_can_be_changed(session: Session, emulator: Emulator) -> None:
    staged = await (await create_partition(session, stage=True))
    assert staged.status is PartitionStatus.STAGE
    ready = await (await session.create_partition("clinics", modules=MODULES, source=MDM))
    assert (ready.status, ready.source) == (PartitionStatus.READY, MDM)
    with pytest.raises(FailedPrecondition):
        await create_partition(session)
    assert emulator.partitions() == 1


async def test_a_lost_stage_is_sent_again(session: Session, emulator: Emulator) -> None:
    emulator.faults.add(LostReply(route="put_partition", times=1))
    made = await create_partition(session, stage=True)
    assert (await made).status is PartitionStatus.STAGE
    assert made.maybe_applied
    assert not made.reconciled


async def test_it_is_not_there(session: Session) -> None:
    with pytest.raises(NotFound):
        await session.get_partition("nobody")


async def test_a_source_of_tomorrow() -> None:
    source = {"type": "LAKE", "depth": 7}
    async with (
        Hostile([answer({"key": "clinics", "modules": {}, "source": source})]) as server,
        session_at(server) as session,
    ):
        found = await session.get_partition("clinics")
    assert found.source == OtherSource("LAKE", source)


async def test_the_answer_about_another_one_is_refused() -> None:
    other = {
        "key": "others",
        "modules": {},
        "source": {"type": "DATA_SOURCE", "key": "ehr", "collections": []},
    }
    async with Hostile(otherwise=answer(other)) as server, session_at(server) as session:
        with pytest.raises(ProtocolError):
            await create_partition(session)
        with pytest.raises(ProtocolError):
            await session.get_partition("clinics")


async def test_by_hand(session: Session) -> None:
    call = CreatePartition("clinics", MODULES, DataSource("ehr", (SourceCollection("a"),)))
    sent = await session.send(call)
    assert await session.send(GetPartition("clinics")) == sent
    await asyncio.sleep(0)


@pytest.mark.parametrize(
    "body", [{"status": "PERSISTED"}, {"status": "PERSISTED", "relationship": {"id": "a.b"}}, {}]
)
async def test_an_answer_without_a_partition_does_not_say_that_one_was_made(body: object) -> None:
    once = RetryPolicy(attempts=1)
    async with Hostile([answer(body)]) as server, session_at(server, retry=once) as session:
        with pytest.raises(ProtocolError) as caught:
            await create_partition(session)
    assert caught.value.outcome is Outcome.UNKNOWN
