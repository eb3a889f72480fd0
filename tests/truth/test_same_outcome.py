"""The same write, the same answers, five ways of sending: the same statement."""

import asyncio
import contextlib
from collections.abc import Awaitable, Mapping, Sequence
from itertools import permutations
from typing import Any

import pytest
from attrs import frozen

from clinia_async import (
    CliniaError,
    CreateRelationship,
    CreateResource,
    DeleteRelationship,
    Disposition,
    Ingestion,
    JobStopped,
    OnExisting,
    Outcome,
    Ref,
    Session,
    UpsertResource,
)
from tests.exchanges import EHR, against, held, joined, receipt
from tests.hostile import accepted, answer, close, refusal, task

D = Disposition
ORG = Ref("org-9", "organization")
DATA, OTHER = {"a": 1}, {"a": 2}


@frozen
class Subject:
    """A write, the record that it leaves, and one that differs from it."""

    write: Any
    left: Any
    different: Any
    collection: str
    companion: Any
    """A write of another record, so that two can be sent together."""


def resource(kind: Any, id: str) -> Any:
    return kind(EHR, "practitioner", id, data=DATA)


SUBJECTS = {
    "create": Subject(
        CreateRelationship(
            EHR, "works-at", Ref("prac-1", "practitioner"), Ref("org-9", "organization"), DATA
        ),
        answer(joined(data=DATA)),
        answer(joined(data=OTHER)),
        "relationships",
        CreateRelationship(EHR, "works-at", Ref("other", "practitioner"), ORG, DATA),
    ),
    "upsert": Subject(
        resource(UpsertResource, "prac-1"),
        answer(held(data=DATA)),
        answer(held(data=OTHER)),
        "resources",
        resource(UpsertResource, "other"),
    ),
    "delete": Subject(
        DeleteRelationship(EHR, "works-at", "prac-1.org-9"),
        refusal(404, "NOT_FOUND"),
        answer(joined(data=DATA)),
        "relationships",
        None,
    ),
}

ENDS: Mapping[str, Mapping[str, Any]] = {
    "stored": {"status": "SUCCESS"},
    "approved": {"status": "SUCCESS", "review": "SUCCESSFUL"},
    "refused by a reviewer": {"status": "SUCCESS", "review": "REJECTED"},
    "reviewed, in a word not known": {"status": "SUCCESS", "review": "NEW_WORD"},
    "taken": {"status": "FAILURE", "error": "ALREADY_EXISTS"},
    "not found": {"status": "FAILURE", "error": "NOT_FOUND"},
    "internal": {"status": "FAILURE", "error": "INTERNAL"},
    "failed without a reason": {"status": "FAILURE"},
    "cancelled": {"status": "CANCELLED"},
}
FOUND = ("left", "different", "absent", "refused")


def script(subject: Subject, end: Mapping[str, Any], found: str, *, lost: bool, way: str) -> dict[str, Any]:
    write = subject.write
    more = {"pipelineExecution": {"id": "e", "status": end["review"]}} if "review" in end else {}
    mine = receipt(write.id, end["status"], str(write.action), error=end.get("error"), **more)
    receipts, status = [mine], end["status"]
    if way == "coalesced":
        receipts.append(receipt(subject.companion.id, action=str(write.action)))
        status = "SUCCESS" if status == "SUCCESS" else "FAILURE"
    id_ = {"alone": "s_1", "single job": "s_1", "bundle": "bd_1"}.get(way, "bk_1")
    reads = {
        "left": subject.left,
        "different": subject.different,
        "absent": refusal(404, "NOT_FOUND"),
        "refused": refusal(403, "PERMISSION_DENIED"),
    }
    return {
        "/tasks/": [task(status, id_, receipts=receipts)],
        "GET": [reads[found]],
        "/": [close, accepted(id_)] if lost else [accepted(id_)],
    }


async def statement(session: Session, subject: Subject, way: str) -> str:
    """What is said of the write: stored, not stored, or unknown."""
    if way == "coalesced" or not way.endswith(("bulk", "bundle", "job")):
        return await _statement_of_task(submitted(session, subject, way))
    (said,) = await statements(session, [subject.write], way)
    return said


async def statements(session: Session, writes: Sequence[Any], way: str) -> set[str]:
    """What is said of writes that are sent together."""
    if not way.endswith("job"):
        batch = session.bulk if way == "bulk" else session.bundle
        return {await _statement_of_task(batch(EHR, writes))}
    via = {"bulk job": "bulk", "single job": "single", "bundle job": "bundle"}[way]
    outcomes = []
    with contextlib.suppress(JobStopped):  # a key that is refused while reading stops the job
        async with Ingestion(session, EHR, writes, via=via, on_existing=OnExisting.FAIL) as job:
            async for each in job:
                outcomes.append(each.disposition)  # noqa: PERF401 - those before it stopped count
    assert len(outcomes) == len(writes)
    known = {D.PERSISTED: "stored", D.SUCCEEDED: "stored", D.UNKNOWN: "unknown"}
    return {known.get(each, "not stored") for each in outcomes}


async def _statement_of_task(submitting: Awaitable[Any]) -> str:
    try:
        await (await submitting)
    except CliniaError as error:
        known = {Outcome.REJECTED: "not stored", Outcome.NOT_SENT: "not stored", Outcome.DONE: "stored"}
        return known.get(error.outcome, "unknown")
    return "stored"


async def submitted(session: Session, subject: Subject, way: str) -> Any:
    if way == "coalesced":
        mine, _ = await asyncio.gather(
            session.submit(subject.write), session.submit(subject.companion), return_exceptions=True
        )
        if isinstance(mine, BaseException):
            raise mine
        return mine
    return await session.submit(subject.write)


@pytest.mark.parametrize("lost", [False, True], ids=["once", "after a lost answer"])
@pytest.mark.parametrize("found", FOUND)
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("name", SUBJECTS)
async def test_every_way_of_sending_says_the_same(name: str, end: str, found: str, lost: bool) -> None:
    subject = SUBJECTS[name]
    ways = ["alone", "bulk", "bundle", "bulk job", "bundle job"]
    ways += [] if name == "upsert" else ["single job"]
    ways += [] if subject.companion is None else ["coalesced"]
    said = {}
    for way in ways:
        rules = script(subject, ENDS[end], found, lost=lost, way=way)
        async with against(rules, coalesce=way == "coalesced") as (session, _):
            said[way] = await statement(session, subject, way)
    assert len(set(said.values())) == 1, said


@pytest.mark.parametrize(
    "refused", [refusal(403, "PERMISSION_DENIED"), answer({"code": 403, "message": "no"}, 403)]
)
@pytest.mark.parametrize("name", SUBJECTS)
async def test_a_task_that_succeeded_does_not_prove_to_a_job_what_is_stored(name: str, refused: Any) -> None:
    """Without its receipt: a reviewer may have refused the write, and the record cannot be read."""
    subject = SUBJECTS[name]
    ways = {"bulk job": "bk_1", "bundle job": "bd_1", "single job": "s_1"}
    for way, id_ in ways.items():
        if name == "upsert" and way == "single job":
            continue
        rules = {
            "/tasks/": [task("SUCCESS", id_)],
            "GET": [refused],
            "/": [accepted(id_)],
        }
        async with against(rules) as (session, _):
            assert await statement(session, subject, way) == "unknown"


OTHER_ACTION = {"CREATE": "DELETE", "UPSERT": "DELETE", "DELETE": "CREATE"}
FAILED = {"status": "FAILURE", "error": {"code": 1, "type": "INTERNAL", "message": "no", "details": []}}


def misleading(write: Any) -> Mapping[str, tuple[str, list[Any]]]:
    """The status of a task and its receipts, none of which proves what became of `write`."""
    done = receipt(write.id, action=str(write.action))
    bad = {**done, **FAILED}
    for_another = {"action": OTHER_ACTION[str(write.action)]}
    elsewhere = receipt("q-1.org-9" if "." in write.id else "q-1", action=str(write.action))
    return {
        "another action succeeded": ("SUCCESS", [done | for_another]),
        "another action failed": ("FAILURE", [bad | for_another]),
        "another action was cancelled": ("CANCELLED", [done | for_another | {"status": "CANCELLED"}]),
        "another task succeeded": ("SUCCESS", [done | {"taskId": "s_9"}]),
        "another task failed": ("FAILURE", [bad | {"taskId": "bk_9"}]),
        "another record succeeded": ("SUCCESS", [elsewhere]),
        "another record failed": ("FAILURE", [elsewhere | FAILED]),
        "another kind of record succeeded": ("SUCCESS", [done | {"targetType": "OBJECT"}]),
        "a success with an error": ("SUCCESS", [done | {"error": FAILED["error"]}]),
        "a failure in a success": ("SUCCESS", [bad]),
        "a cancelled one in a success": ("SUCCESS", [done | {"status": "CANCELLED"}]),
        "a success in a failure": ("FAILURE", [done]),
        "a success in a cancelled task": ("CANCELLED", [done]),
        "a success and a success with an error": ("SUCCESS", [done, done | {"error": FAILED["error"]}]),
    }


@pytest.mark.parametrize("lost", [False, True], ids=["once", "after a lost answer"])
@pytest.mark.parametrize("stored", [False, True], ids=["not stored", "stored"])
@pytest.mark.parametrize("case", misleading(SUBJECTS["create"].write))
@pytest.mark.parametrize("name", SUBJECTS)
async def test_what_receipts_do_not_prove_is_not_said(name: str, case: str, stored: bool, lost: bool) -> None:
    """Either may be true behind such receipts, so neither is said, unless the record itself is seen."""
    subject = SUBJECTS[name]
    status, receipts = misleading(subject.write)[case]
    ways = ["alone", "bulk", "bundle", "bulk job", "bundle job"]
    ways += [] if name == "upsert" else ["single job"]
    ways += [] if subject.companion is None else ["coalesced"]
    for way in ways:
        rules = script(subject, {"status": status}, "left" if stored else "different", lost=lost, way=way)
        id_ = {"alone": "s_1", "single job": "s_1", "bundle": "bd_1"}.get(way, "bk_1")
        companion = (
            [] if way != "coalesced" else [receipt(subject.companion.id, action=receipts[0]["action"])]
        )
        rules["/tasks/"] = [task(status, id_, receipts=[*receipts, *companion])]
        async with against(rules, coalesce=way == "coalesced") as (session, _):
            said = await statement(session, subject, way)
        assert said in {"unknown", "stored" if stored else "not stored"}, way
        assert said != "not stored", f"{way}: no receipt says so"


@pytest.mark.parametrize("way", ["bulk", "bundle", "bulk job", "bundle job", "alone", "single job"])
@pytest.mark.parametrize(
    "change",
    [
        {"type": "organization"},
        {"targetType": "RELATIONSHIP"},
        {"action": "DELETE"},
        {"taskId": "bk_9"},
        {"error": FAILED["error"]},
    ],
)
async def test_a_receipt_of_something_else_proves_no_create_whose_id_the_service_makes(
    change: dict[str, Any], way: str
) -> None:
    write = CreateResource(EHR, "practitioner", data=DATA)
    subject = Subject(write, None, None, "resources", None)
    id_ = {"alone": "s_1", "single job": "s_1", "bundle": "bd_1"}.get(way, "bk_1")
    rules = {
        "/tasks/": [task("SUCCESS", id_, receipts=[receipt("made-1") | change])],
        "GET": [refusal(404, "NOT_FOUND")],
        "/": [accepted(id_)],
    }
    async with against(rules) as (session, _):
        assert await statement(session, subject, way) == "unknown"


MADE_IDS = {
    "none": [],
    "one of two": [1],
    "one of two, twice": [1, 1],
    "one each": [1, 2],
    "one each, one twice": [1, 2, 2],
    "one too many": [1, 2, 3],
}


@pytest.mark.parametrize("way", ["bulk", "bundle", "bulk job", "bundle job"])
@pytest.mark.parametrize("status", ["SUCCESS", "FAILURE"])
@pytest.mark.parametrize("case", MADE_IDS)
async def test_creates_whose_ids_the_service_makes_need_a_receipt_each(
    case: str, status: str, way: str
) -> None:
    """Their receipts cannot be told apart: one too many may be of another write."""
    writes = [CreateResource(EHR, "practitioner", data=DATA), CreateResource(EHR, "practitioner", data=OTHER)]
    id_ = "bd_1" if way.startswith("bundle") else "bk_1"
    error = "INTERNAL" if status == "FAILURE" else None
    receipts = [receipt(f"made-{number}", status, error=error) for number in MADE_IDS[case]]
    rules = {
        "/tasks/": [task(status, id_, receipts=receipts)],
        "GET": [refusal(404, "NOT_FOUND")],
        "/": [accepted(id_)],
    }
    async with against(rules) as (session, _):
        said = await statements(session, writes, way)
    proven = {"SUCCESS": "stored", "FAILURE": "not stored"}[status]
    is_one_each = case.startswith("one each")
    assert said == {proven if is_one_each else "unknown"}


async def test_a_receipt_of_another_action_is_none_of_those_that_made_ids_need() -> None:
    receipts = [receipt("made-1"), receipt("made-2", action="DELETE")]
    writes = [CreateResource(EHR, "practitioner", data=DATA), CreateResource(EHR, "practitioner", data=OTHER)]
    for way, id_ in {"bulk": "bk_1", "bundle": "bd_1", "bulk job": "bk_1", "bundle job": "bd_1"}.items():
        rules = {
            "/tasks/": [task("SUCCESS", id_, receipts=receipts)],
            "GET": [refusal(404, "NOT_FOUND")],
            "/": [accepted(id_)],
        }
        async with against(rules) as (session, _):
            assert await statements(session, writes, way) == {"unknown"}, way


@pytest.mark.parametrize("way", ["alone", "single job", "bulk", "bundle", "bulk job", "bundle job"])
@pytest.mark.parametrize("name", SUBJECTS)
@pytest.mark.parametrize(
    "ends",
    [
        ("FAILURE", "SUCCESS"),
        ("CANCELLED", "SUCCESS"),
        ("FAILURE", "PENDING", "SUCCESS"),
        ("CANCELLED", "PENDING", "SUCCESS"),
        ("CANCELLED", "FAILURE"),
        ("SUCCESS", "FAILURE"),
        ("SUCCESS", "CANCELLED"),
    ],
)
async def test_a_task_that_is_said_to_have_ended_twice_is_not_believed(
    ends: tuple[str, ...], name: str, way: str
) -> None:
    """No receipt comes with it, and the record may be stored."""
    if name == "upsert" and way == "single job":
        pytest.skip("no call of its own")
    subject = SUBJECTS[name]
    id_ = {"alone": "s_1", "single job": "s_1", "bundle": "bd_1", "bundle job": "bd_1"}.get(way, "bk_1")
    rules = {
        "/tasks/": [task(end, id_) for end in ends],
        "GET": [refusal(403, "PERMISSION_DENIED")],
        "/": [accepted(id_)],
    }
    async with against(rules) as (session, _):
        assert await statement(session, subject, way) == "unknown"


@pytest.mark.parametrize(
    "way", ["alone", "single job", "bulk", "bundle", "bulk job", "bundle job", "coalesced"]
)
@pytest.mark.parametrize("ends", list(permutations(["SUCCESS", "FAILURE", "CANCELLED"], 2)))
async def test_no_receipt_of_a_task_that_ended_twice_proves_a_failure(
    ends: tuple[str, str], way: str
) -> None:
    """The receipt comes with the second end. The record may be stored, and cannot be read."""
    subject = SUBJECTS["create"]
    mine = receipt(subject.write.id, "FAILURE", error="INTERNAL")
    others = [receipt(subject.companion.id)] if way == "coalesced" else []
    id_ = {"alone": "s_1", "single job": "s_1", "bundle": "bd_1", "bundle job": "bd_1"}.get(way, "bk_1")
    rules = {
        "/tasks/": [task(ends[0], id_), task(ends[1], id_, receipts=[mine, *others])],
        "GET": [refusal(403, "PERMISSION_DENIED")],
        "/": [accepted(id_)],
    }
    async with against(rules, coalesce=way == "coalesced") as (session, _):
        assert await statement(session, subject, way) == "unknown"


@pytest.mark.parametrize(
    "way", ["alone", "single job", "bulk", "bundle", "bulk job", "bundle job", "coalesced"]
)
@pytest.mark.parametrize("denial", ["FAILURE", "CANCELLED"])
@pytest.mark.parametrize("ends", list(permutations(["SUCCESS", "FAILURE", "CANCELLED"], 2)))
async def test_a_receipt_that_another_one_denies_proves_nothing_of_a_task_that_ended_twice(
    ends: tuple[str, str], denial: str, way: str
) -> None:
    """What denies it proves nothing there, and may yet not be left out before both are compared."""
    subject = SUBJECTS["create"]
    both = [receipt(subject.write.id), receipt(subject.write.id, denial, error="INTERNAL")]
    others = [receipt(subject.companion.id)] if way == "coalesced" else []
    id_ = {"alone": "s_1", "single job": "s_1", "bundle": "bd_1", "bundle job": "bd_1"}.get(way, "bk_1")
    rules = {
        "/tasks/": [task(ends[0], id_), task(ends[1], id_, receipts=[*both, *others])],
        "GET": [refusal(403, "PERMISSION_DENIED")],
        "/": [accepted(id_)],
    }
    async with against(rules, coalesce=way == "coalesced") as (session, _):
        assert await statement(session, subject, way) == "unknown"
