"""What type checkers know of the common calls. A wrong call has an `ignore`, which must be needed."""

from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import assert_type

import clinia_async as clinia

DOCTOR = clinia.Ref("prac-1", "practitioner")
PATIENT: clinia.RefJson = {"id": "pat-1", "type": "patient"}
PARTITION: clinia.PartitionJson = {
    "modules": {"search": "STANDARD"},
    "source": {"type": "DATA_SOURCE", "key": "ehr", "collections": [], "relationships": []},
}


async def relationships(session: clinia.Session) -> None:
    write = session.create_relationship("ehr", "treats", from_=DOCTOR, to=PATIENT, data={"since": "2019"})
    assert_type(write, clinia.Submission[clinia.Relationship])
    task = await write
    assert_type(task, clinia.Task[clinia.Relationship])
    assert_type(await task, clinia.Relationship)
    assert_type(await task.result(timeout=3), clinia.Relationship)
    assert_type(await write.result(), clinia.Relationship)
    assert_type(task.evidence, clinia.Evidence)
    assert_type(task.existing, clinia.Existing | None)
    assert_type(task.token(), str)
    assert_type(await session.get_relationship("ehr", "treats", "prac-1.pat-1"), clinia.Relationship)
    assert_type(await session.delete_relationship("ehr", "treats", "a.b"), clinia.Task[None])
    assert_type(
        await session.update_relationship(
            "ehr", "treats", "a.b", [{"op": "add", "path": "/since", "value": "2020"}]
        ),
        clinia.Task[clinia.Relationship],
    )
    await session.create_relationship("ehr", "treats", body='{"from": {}}')
    await session.create_relationship("ehr", "treats", body=Path("body.json"))

    await session.create_relationship("ehr", "treats", from_="prac-1", to=DOCTOR)  # type: ignore[arg-type]
    await session.create_relationship("ehr", "treats", from_={"id": "a"}, to=DOCTOR)  # type: ignore[arg-type]
    await session.create_relationship("ehr", "treats", DOCTOR, DOCTOR)  # type: ignore[call-arg]
    await session.create_relationship("ehr", "treats", form=DOCTOR, to=DOCTOR)  # type: ignore[call-arg]
    await session.create_relationship("ehr")  # type: ignore[call-arg]
    await session.get_relationship("ehr", "treats", 7)  # type: ignore[arg-type]


async def get_or_create(session: clinia.Session) -> None:
    found = await session.ensure_relationship("ehr", "treats", from_=DOCTOR, to=PATIENT)
    assert_type(found, clinia.Ensured[clinia.Relationship])
    assert_type(found.record, clinia.Relationship)
    assert_type(found.created, bool)
    assert_type(
        await session.ensure_resource("ehr", "patient", "pat-1", data={}), clinia.Ensured[clinia.Resource]
    )
    assert_type(
        await session.ensure_partition("care", definition=PARTITION), clinia.Ensured[clinia.Partition]
    )
    await session.create_resource("ehr", "patient", id="a", data={}, on_existing="keep")
    await session.create_resource("ehr", "patient", id="a", data={}, on_existing=clinia.OnExisting.COMPARE)

    await session.ensure_resource("ehr", "patient", data={})  # type: ignore[call-arg]
    await session.create_resource("ehr", "patient", data={}, on_existing=True)  # type: ignore[arg-type]


async def one_source(session: clinia.Session) -> None:
    ehr = session.source("ehr")
    assert_type(ehr, clinia.SourceSession)
    assert_type(
        await ehr.create_relationship("treats", from_=DOCTOR, to=PATIENT), clinia.Task[clinia.Relationship]
    )
    assert_type(await ehr.get_resource("patient", "pat-1", timeout=3), clinia.Resource)
    assert_type(ehr.browse(["patient"]), AsyncIterator[clinia.Hit])
    assert_type(ehr.task("s_1"), clinia.Task[object])
    assert_type(
        await ehr.bulk([clinia.CreateRelationship("ehr", "treats", DOCTOR, PATIENT)]).result(),
        clinia.BatchResult,
    )

    await ehr.get_resource("ehr", "patient", "pat-1")  # type: ignore[call-arg, arg-type]
    await ehr.get_resource("patient", "pat-1", tmeout=3)  # type: ignore[call-arg]
    await ehr.get_resource("patient", 7)  # type: ignore[arg-type]
    ehr.list_sources()  # type: ignore[attr-defined]


async def calls(session: clinia.Session, create: clinia.CreateRelationship) -> None:
    assert_type(await session.submit(create), clinia.Task[clinia.Relationship])
    assert_type(session.resume(create, "s_1"), clinia.Task[clinia.Relationship])
    assert_type(
        await session.submit(clinia.UpsertResource("ehr", "patient", "pat-1", data={})),
        clinia.Task[clinia.Resource],
    )
    assert_type(await session.submit(clinia.DeleteRelationship("ehr", "treats", "a.b")), clinia.Task[None])
    assert_type(await session.submit(clinia.Bulk("ehr", [create])), clinia.Task[clinia.BatchResult])
    assert_type(await session.send(clinia.GetRelationship("ehr", "treats", "a.b")), clinia.Relationship)
    assert_type(await session.send(clinia.GetSource("ehr")), clinia.Source)
    result = await session.bulk("ehr", [create]).result()
    assert_type(result.of(create), clinia.Receipt | None)

    await session.submit(clinia.UpsertRelationship("ehr", "treats", DOCTOR, DOCTOR))  # type: ignore[arg-type]
    await session.send(create.id)  # type: ignore[arg-type]


async def catalog(session: clinia.Session) -> None:
    assert_type(await session.create_partition("care", definition=PARTITION).result(), clinia.Partition)
    async for partition in session.list_partitions():
        assert_type(partition, clinia.Partition)
    assert_type(await session.get_source("ehr"), clinia.Source)
    await session.create_partition("care", definition={"modules": {"search": "STANDARD"}})  # type: ignore[arg-type]
    await session.create_partition(care={})  # type: ignore[call-arg]


async def many(session: clinia.Session, tasks: Sequence[clinia.Task[clinia.Resource]]) -> None:
    assert_type(await session.gather(*tasks), list[clinia.Resource])
    assert_type(
        await session.gather(*tasks, return_exceptions=True), list[clinia.Resource | clinia.CliniaError]
    )
    async for task in session.as_completed(tasks):
        assert_type(task, clinia.Task[clinia.Resource])
    done, pending = await session.wait(tasks, timeout=3)
    assert_type(done, set[clinia.Task[clinia.Resource]])
    assert_type(pending, set[clinia.Task[clinia.Resource]])


async def options(session: clinia.Session) -> None:
    assert_type(session.with_options(timeout=3, retry=clinia.RetryPolicy(attempts=1)), clinia.Session)
    assert_type(await session.request("GET", "/catalog/v1/sources", host="catalog"), object)
    assert_type(session.drift, Mapping[str, Mapping[str, int]])
    async with clinia.Session("acme", api_key="k", timeout=3.0) as opened:
        assert_type(opened, clinia.Session)
    async with clinia.Session.from_env(source="ehr") as opened:
        assert_type(opened, clinia.Session)

    clinia.Session("acme", api_key="k", tiemout=3)  # type: ignore[call-arg]
    clinia.Session("acme", api_key="k", timeout="3")  # type: ignore[arg-type]
    clinia.Session("acme", "k")  # type: ignore[call-arg]
    session.with_options(retry=3)  # type: ignore[arg-type]
    await session.request("GET", "/", host="elsewhere")  # type: ignore[arg-type]


async def a_job(session: clinia.Session, writes: Sequence[clinia.BatchWrite]) -> None:
    async with clinia.Ingestion(session, "ehr", writes, on_existing="keep") as job:
        async for outcome in job:
            assert_type(outcome, clinia.RecordOutcome)
            assert_type(outcome.disposition, clinia.Disposition)
    assert_type(job.report, clinia.Report)

    clinia.Ingestion(session, "ehr", writes, vai="bulk")  # type: ignore[call-arg]


async def errors(task: clinia.Task[clinia.Resource]) -> None:
    try:
        await task
    except clinia.AlreadyExists as error:
        assert_type(error.status, int)
        assert_type(error.outcome, clinia.Outcome)
    except clinia.TaskFailed as error:
        assert_type(error.failed_receipts, Sequence[clinia.Receipt])
        assert_type(error.token, str)
