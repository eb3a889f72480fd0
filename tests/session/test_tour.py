"""Every call, by the client, to the emulator: the two meet over the wire alone, and the contract looks on."""

import pytest

from clinia_async import (
    BundleBuilder,
    Cardinality,
    Collection,
    CollectionType,
    Contained,
    CreateRelationship,
    DataSource,
    DefinitionEnd,
    DeleteResource,
    Modules,
    NotFound,
    Patch,
    PatchOp,
    Profile,
    Ref,
    RelationshipDefinition,
    Session,
    SourceCollection,
    TargetType,
    TaskStatus,
    UpsertRelationship,
    UpsertResource,
)
from clinia_async.emulator import Accepted, Constant, Emulator, Persisted
from clinia_async.models import CollectionProfile

SOURCE = "ehr"
DOCTOR, PATIENT = Ref("prac-1", "practitioner"), Ref("pat-1", "patient")


@pytest.fixture(params=[Persisted(), Accepted(Constant(2.0))], autouse=True)
def mode(request: pytest.FixtureRequest, emulator: Emulator) -> None:
    emulator.default = emulator.bundle = request.param


async def test_what_a_source_is_made_of(session: Session) -> None:
    await (await session.create_source(SOURCE))
    assert (await session.get_source(SOURCE)).key == SOURCE
    assert [source.key async for source in session.list_sources()] == [SOURCE]
    profile = Profile({"name": {"type": "symbol"}}, description="somebody")
    assert (await (await session.put_profile(SOURCE, "patient", profile))).properties == profile.properties
    ends = (DefinitionEnd(key, f"{key}s", Cardinality.ANY) for key in ("practitioner", "patient"))
    definition = RelationshipDefinition(*ends, properties={"since": {"type": "date"}})
    await (await session.put_relationship_definition(SOURCE, "treats", definition))
    found = await session.get_relationship_definition(SOURCE, "treats")
    assert (found.key, found.from_, found.to) == ("treats", definition.from_, definition.to)
    assert [each.key async for each in session.list_relationship_definitions(SOURCE)] == ["treats"]
    collection = Collection(CollectionType.RESOURCES, CollectionProfile({"name": {"type": "symbol"}}))
    await (await session.put_collection(SOURCE, "clinic", collection))
    assert (await session.get_collection(SOURCE, "clinic")).type == CollectionType.RESOURCES


async def test_partitions_and_the_end_of_a_source(session: Session) -> None:
    await (await session.create_source(SOURCE))
    for number in range(45):
        feed = DataSource(SOURCE, [SourceCollection("patient")])
        await (await session.create_partition(f"p-{number:02}", modules=Modules(), source=feed))
    listed = [partition.key async for partition in session.list_partitions(per_page=10)]
    assert sorted(listed) == [f"p-{number:02}" for number in range(45)]
    await (await session.delete_partition("p-00"))
    with pytest.raises(NotFound):
        await session.get_partition("p-00")
    await (await session.delete_source(SOURCE))
    assert (await session.get_partition("p-01")).status == "STATUS_STALE"


async def test_relationships_come_change_and_go(session: Session) -> None:
    made = await (
        await session.create_relationship(SOURCE, "treats", from_=DOCTOR, to=PATIENT, data={"n": 1})
    )
    patches = [Patch(PatchOp.ADD, "/m", [2**70]), Patch(PatchOp.REMOVE, "/n")]
    changed = await (await session.update_relationship(SOURCE, "treats", made.id, patches))
    assert changed.data == {"m": [2**70]}
    assert (await session.get_relationship(SOURCE, "treats", made.id)).data == changed.data
    assert await (await session.delete_relationship(SOURCE, "treats", made.id)) is None
    with pytest.raises(NotFound):
        await session.get_relationship(SOURCE, "treats", made.id)


async def test_resources_come_change_and_go(session: Session) -> None:
    made = await (await session.create_resource(SOURCE, "clinic", data={"name": "a"}))
    await (await session.upsert_resource(SOURCE, "clinic", made.id, data={"name": "b"}))
    assert (await session.get_resource(SOURCE, "clinic", made.id)).data == {"name": "b"}
    office = Contained("office", {"floor": 1})
    root = await (await session.create_contained(SOURCE, "clinic", made.id, ["offices"], office))
    assert root.id == made.id
    root = await (await session.upsert_contained(SOURCE, "clinic", made.id, ["offices", "main"], office))
    await (
        await session.upsert_contained(SOURCE, "clinic", made.id, ["offices", "main", "desks", "one"], office)
    )
    root = await (await session.delete_contained(SOURCE, "clinic", made.id, ["offices", "main"]))
    assert root.contained is not None
    assert await (await session.delete_resource(SOURCE, "clinic", made.id)) is None
    with pytest.raises(NotFound):
        await session.get_resource(SOURCE, "clinic", made.id)


async def test_bulks_keep_their_order_and_report_each(session: Session, emulator: Emulator) -> None:
    people = [UpsertResource(SOURCE, "patient", f"pat-{n}", data={"n": n}) for n in range(5)]
    gone = DeleteResource(SOURCE, "patient", "pat-3")
    resources = await session.bulk(SOURCE, [*people, gone])
    result = await resources
    assert [result.of(write).action for write in (people[3], gone)] == ["UPSERT", "DELETE"]  # type: ignore[union-attr]
    links = [
        CreateRelationship(SOURCE, "treats", DOCTOR, PATIENT, {"n": 1}),
        UpsertRelationship(SOURCE, "treats", DOCTOR, PATIENT, {"n": 2}),
    ]
    relationships = await session.bulk(SOURCE, links)
    await relationships
    assert (await session.get_relationship(SOURCE, "treats", links[0].id)).data == {"n": 2}
    for target, task in ((TargetType.RESOURCE, resources), (TargetType.RELATIONSHIP, relationships)):
        snapshot = await session.get_bulk_result(SOURCE, target, task.known_id, with_receipts=True)
        assert snapshot.status == TaskStatus.SUCCESS
        assert snapshot.receipts == await task.receipts()
    assert emulator.resources() == 4


async def test_a_bundle_a_browse_and_a_purge(session: Session) -> None:
    builder = BundleBuilder(SOURCE)
    doctor = builder.create("practitioner", data={"name": "d"})
    link = builder.relate("treats", from_=doctor, to=builder.create("patient", data={"name": "p"}))
    assert not (await (await session.bundle(SOURCE, builder))).failed
    (hit,) = [hit async for hit in session.browse(SOURCE, ["treats"])]
    assert "@rootId" in link.id
    assert "@rootId" not in hit.record.id
    task = await session.purge(SOURCE, "resources", "patient")
    assert (await task).deleted_count == 1
    assert (await session.get_purge(SOURCE, task.known_id)).status == TaskStatus.SUCCESS
    assert (await session.get_task(SOURCE, task.known_id)).status == TaskStatus.SUCCESS
    assert [hit async for hit in session.browse(SOURCE, ["treats", "patient"])] == []
