"""What answers, receipts and records prove: one table of cases, for every way of sending."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from attrs import evolve

from clinia_async import (
    Action,
    AlreadyExists,
    ApiError,
    ConnectionFailed,
    Contained,
    CreateContained,
    CreateRelationship,
    CreateResource,
    DeleteContained,
    DeletePartition,
    DeleteRelationship,
    DeleteResource,
    ErrorInfo,
    ErrorType,
    Evidence,
    FailedPrecondition,
    InvalidWrite,
    Meta,
    NotFound,
    Outcome,
    Patch,
    PatchOp,
    PipelineExecution,
    PipelineStatus,
    Receipt,
    Ref,
    Relationship,
    RequestTimeout,
    Resource,
    SessionClosed,
    TargetType,
    TaskStatus,
    UpdateRelationship,
    UpsertContained,
    UpsertRelationship,
    UpsertResource,
)
from clinia_async.calls.equality import is_older, same_json, same_meta
from clinia_async.calls.receipts import Proof, is_duplicate, is_key_taken, proof_of, receipt_for
from clinia_async.calls.reconciliation import Match, outcome_of, outcome_without_receipts, read_back

STORED, DROPPED, NOT_APPLIED = Proof.STORED, Proof.DROPPED, Proof.NOT_APPLIED
READ, NOTHING = Proof.READ_BACK_NEEDED, Proof.NOTHING
REF, ORG = Ref("prac-1", "practitioner"), Ref("org-9", "organization")


def receipt(
    status: str, error: str | None = None, review: str | None = None, action: str = "CREATE"
) -> Receipt:
    return Receipt(
        Action(action),
        TaskStatus(status),
        TargetType.RELATIONSHIP,
        "works-at",
        "prac-1.org-9",
        error=None if error is None else ErrorInfo(ErrorType(error)),
        pipeline_execution=None if review is None else PipelineExecution("e", "d", PipelineStatus(review)),
    )


@pytest.mark.parametrize(
    ("found", "proven", "after_a_lost_answer"),
    [
        (None, NOTHING, NOTHING),
        (receipt("PENDING"), NOTHING, NOTHING),
        (receipt("NEW_WORD"), NOTHING, NOTHING),
        (receipt("PENDING", review="IN_REVIEW"), NOTHING, NOTHING),
        (receipt("SUCCESS"), STORED, STORED),
        (receipt("SUCCESS", action="UPSERT"), STORED, STORED),
        (receipt("SUCCESS", action="DELETE"), STORED, STORED),
        (receipt("SUCCESS", action="UPDATE"), STORED, STORED),
        (receipt("SUCCESS", review="REJECTED"), DROPPED, NOTHING),
        (receipt("SUCCESS", review="rejected", action="UPSERT"), DROPPED, NOTHING),
        (receipt("SUCCESS", review="REJECTED", action="DELETE"), DROPPED, NOTHING),
        (receipt("SUCCESS", review="SUCCESSFUL"), READ, READ),
        (receipt("SUCCESS", review="NEW_WORD"), READ, READ),
        (receipt("FAILURE"), NOT_APPLIED, NOTHING),
        (receipt("FAILURE", "INTERNAL"), NOT_APPLIED, NOTHING),
        (receipt("FAILURE", "FAILED_PRECONDITION"), NOT_APPLIED, NOTHING),
        (receipt("FAILURE", "INVALID_ARGUMENT"), NOT_APPLIED, NOTHING),
        (receipt("FAILURE", "NEW_WORD"), NOT_APPLIED, NOTHING),
        (receipt("FAILURE", "ALREADY_EXISTS"), NOT_APPLIED, READ),
        (receipt("FAILURE", "NOT_FOUND"), NOT_APPLIED, NOTHING),
        (receipt("FAILURE", "NOT_FOUND", action="DELETE"), NOT_APPLIED, READ),
        (receipt("CANCELLED"), NOT_APPLIED, READ),
        (receipt("CANCELLED", action="UPSERT"), NOT_APPLIED, READ),
        (receipt("FAILURE", "INTERNAL", review="SUCCESSFUL"), NOT_APPLIED, NOTHING),
    ],
)
def test_what_a_receipt_proves(found: Receipt | None, proven: Proof, after_a_lost_answer: Proof) -> None:
    assert proof_of(found, maybe_applied=False) is proven
    assert proof_of(found, maybe_applied=True) is after_a_lost_answer


def test_an_execution_without_a_status_proves_nothing() -> None:
    found = receipt("SUCCESS", review="X")
    bare = Receipt(
        found.action,
        found.status,
        found.target_type,
        found.type,
        found.id,
        pipeline_execution=PipelineExecution(),
    )
    assert proof_of(bare, maybe_applied=False) is READ


@pytest.mark.parametrize(
    ("receipts", "expected"),
    [
        ([], (Outcome.UNKNOWN, Evidence.NONE)),
        ([receipt("FAILURE")], (Outcome.REJECTED, Evidence.RECEIPT)),
        ([receipt("FAILURE"), receipt("CANCELLED")], (Outcome.REJECTED, Evidence.RECEIPT)),
        ([receipt("FAILURE"), receipt("SUCCESS", review="REJECTED")], (Outcome.REJECTED, Evidence.RECEIPT)),
        ([receipt("FAILURE"), receipt("SUCCESS")], (Outcome.UNKNOWN, Evidence.NONE)),
        ([receipt("FAILURE"), receipt("PENDING")], (Outcome.UNKNOWN, Evidence.NONE)),
        ([receipt("FAILURE"), receipt("SUCCESS", review="NEW")], (Outcome.UNKNOWN, Evidence.NONE)),
    ],
)
def test_what_receipts_prove_together(receipts: list[Receipt], expected: tuple[Outcome, Evidence]) -> None:
    assert outcome_of(receipts, maybe_applied=False) == expected
    assert outcome_of(receipts, maybe_applied=True) == (Outcome.UNKNOWN, Evidence.NONE)


@pytest.mark.parametrize(
    ("status", "is_single", "expected"),
    [
        ("CANCELLED", False, (Outcome.REJECTED, Evidence.TASK)),
        ("CANCELLED", True, (Outcome.REJECTED, Evidence.TASK)),
        ("FAILURE", True, (Outcome.REJECTED, Evidence.TASK)),
        ("FAILURE", False, (Outcome.UNKNOWN, Evidence.NONE)),
        ("NEW_WORD", True, (Outcome.UNKNOWN, Evidence.NONE)),
    ],
)
def test_what_a_status_proves_without_receipts(
    status: str, is_single: bool, expected: tuple[Outcome, Evidence]
) -> None:
    status_ = TaskStatus(status)
    assert outcome_without_receipts(status_, maybe_applied=False, is_single=is_single) == expected
    after_a_lost_answer = outcome_without_receipts(status_, maybe_applied=True, is_single=is_single)
    assert after_a_lost_answer == (Outcome.UNKNOWN, Evidence.NONE)


CREATE = CreateRelationship("ehr", "works-at", REF, ORG, {"a": 1})


def test_receipts_of_one_write_that_contradict_each_other_are_no_receipt() -> None:
    succeeded, failed = receipt("SUCCESS"), receipt("FAILURE")
    assert receipt_for(CREATE, [succeeded, succeeded]) is succeeded
    assert receipt_for(CREATE, [succeeded, failed]) is None
    for other in (receipt("SUCCESS", review="REJECTED"), receipt("SUCCESS", review="SUCCESSFUL")):
        assert receipt_for(CREATE, [succeeded, other]) is None
        assert receipt_for(CREATE, [other, succeeded]) is None
    taken = receipt("FAILURE", "ALREADY_EXISTS")
    assert receipt_for(CREATE, [taken, taken]) is taken
    assert receipt_for(CREATE, [taken, receipt("FAILURE", "INTERNAL")]) is None


NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(("seconds", "same"), [(0, True), (0.0004, True), (0.002, False), (1, False)])
def test_times_are_the_same_to_the_millisecond(seconds: float, same: bool) -> None:
    found = Meta(created_at=NOON + timedelta(seconds=seconds))
    assert same_meta(Meta(created_at=NOON), found) is same
    assert not same_meta(Meta(updated_at=NOON), found)


@pytest.mark.parametrize(
    ("updated", "older"), [(None, False), (-60, True), (-1.5, True), (-0.5, False), (0, False), (60, False)]
)
def test_a_record_is_older_than_a_write_that_came_in_after_its_last_change(
    updated: float | None, older: bool
) -> None:
    meta = None if updated is None else Meta(updated_at=NOON + timedelta(seconds=updated))
    found = Relationship("prac-1.org-9", "works-at", REF, ORG, meta=meta)
    assert is_older(found, evolve(receipt("SUCCESS"), received_at=NOON)) is older
    assert not is_older(found, receipt("SUCCESS"))


@pytest.mark.parametrize(
    "change", [{"id": "prac-2.org-9"}, {"type": "knows"}, {"target_type": TargetType.RESOURCE}]
)
def test_a_receipt_of_another_record_is_no_receipt_of_a_write(change: dict[str, Any]) -> None:
    assert receipt_for(CREATE, [evolve(receipt("SUCCESS"), **change)]) is None


UPSERT = UpsertRelationship("ehr", "works-at", REF, ORG, {"a": 1})
DELETE = DeleteRelationship("ehr", "works-at", "prac-1.org-9")
UPDATE = UpdateRelationship("ehr", "works-at", "prac-1.org-9", [Patch(PatchOp.REPLACE, "/a", 1)])
PUT = UpsertResource("ehr", "patient", "p1", data={"a": 1})
POST = CreateResource("ehr", "patient", "p1", data={"a": 1})
POST_WITHOUT_ID = CreateResource("ehr", "patient", data={"a": 1})
REMOVE = DeleteResource("ehr", "patient", "p1")


def error(kind: type[ApiError], status: int = 409) -> ApiError:
    return kind("x", status=status, info=ErrorInfo(), outcome=Outcome.REJECTED)


@pytest.mark.parametrize(
    ("call", "twins", "others"),
    [
        (CREATE, [AlreadyExists], [NotFound, FailedPrecondition, ApiError]),
        (POST, [AlreadyExists], [NotFound, FailedPrecondition, ApiError]),
        (POST_WITHOUT_ID, [], [AlreadyExists, NotFound]),
        (PUT, [], [AlreadyExists, NotFound]),
        (UPSERT, [], [AlreadyExists, NotFound]),
        (UPDATE, [], [AlreadyExists, NotFound]),
        (DELETE, [NotFound], [AlreadyExists, ApiError]),
        (REMOVE, [NotFound], [AlreadyExists, ApiError]),
        (DeletePartition("clinics"), [NotFound], [AlreadyExists]),
    ],
)
def test_which_errors_a_repeated_call_meets(
    call: object, twins: Sequence[type[ApiError]], others: Sequence[type[ApiError]]
) -> None:
    assert all(is_duplicate(error(kind), call) for kind in twins)
    assert not any(is_duplicate(error(kind), call) for kind in others)
    assert not is_duplicate(RequestTimeout("late"), call)


def test_a_key_is_taken_by_type_and_not_by_status() -> None:
    assert is_key_taken(error(AlreadyExists, 400))
    assert is_key_taken(receipt("FAILURE", "ALREADY_EXISTS"))
    assert not is_key_taken(error(ApiError, 409))
    assert not is_key_taken(receipt("FAILURE"))


RECORD = Relationship("prac-1.org-9", "works-at", REF, ORG, {"a": 1})
OTHER = Relationship("prac-1.org-9", "works-at", REF, ORG, {"a": 2})
RESOURCE = Resource("p1", "patient", {"a": 1})
OLD = Resource("p1", "patient", {"a": 0})


class Reads:
    """Answers each read with the next of the script, the last one again and again."""

    def __init__(self, script: Sequence[object]) -> None:
        self.script = list(script)
        self.count = 0

    async def __call__(self, call: Any, /) -> Any:
        found = self.script[min(self.count, len(self.script) - 1)]
        self.count += 1
        if found is None:
            raise error(NotFound, 404)
        if isinstance(found, Exception):
            raise found
        return found


@pytest.mark.parametrize(
    ("write", "script", "match", "reads"),
    [
        (CREATE, [RECORD], Match.SAME, 1),
        (CREATE, [None, None, RECORD], Match.SAME, 3),
        (CREATE, [None], Match.ABSENT, 7),
        (CREATE, [OTHER], Match.DIFFERENT, 1),
        (CREATE, [None, OTHER, RECORD], Match.DIFFERENT, 2),
        (UPSERT, [OTHER, RECORD], Match.SAME, 2),
        (UPSERT, [OTHER], Match.DIFFERENT, 7),
        (UPSERT, [None], Match.ABSENT, 7),
        (UPDATE, [OTHER, RECORD], Match.SAME, 2),
        (UPDATE, [OTHER], Match.DIFFERENT, 7),
        (DELETE, [None], Match.SAME, 1),
        (DELETE, [RECORD, RECORD, None], Match.SAME, 3),
        (DELETE, [RECORD], Match.DIFFERENT, 7),
        (POST, [RESOURCE], Match.SAME, 1),
        (PUT, [OLD, RESOURCE], Match.SAME, 2),
        (REMOVE, [RESOURCE, None], Match.SAME, 2),
    ],
)
async def test_a_record_is_read_again_until_it_is_the_same(
    write: Any, script: list[Any], match: Match, reads: int
) -> None:
    read = Reads(script)
    back = await read_back(write, read, asyncio.get_running_loop().time() + 8)
    assert (back.match, read.count) == (match, reads)
    assert (back.answer is not None) == (match is Match.SAME)
    assert (back.missing is not None) == (match is Match.ABSENT)


async def test_a_read_that_fails_is_raised() -> None:
    with pytest.raises(ConnectionFailed):
        await read_back(
            CREATE, Reads([None, ConnectionFailed("gone")]), asyncio.get_running_loop().time() + 8
        )


@pytest.mark.parametrize(
    ("patches", "data", "shows"),
    [
        ([("replace", "/a", 1)], {"a": 1}, True),
        ([("replace", "/a", 1)], {"a": True}, False),
        ([("replace", "/a", 1)], {}, False),
        ([("add", "/a/b", {"c": 1})], {"a": {"b": {"c": 1}}}, True),
        ([("add", "/a~1b", 1)], {"a/b": 1}, True),
        ([("remove", "/a", None)], {"b": 1}, True),
        ([("remove", "/a", None)], {"a": None}, False),
        ([("replace", "/a", 1), ("replace", "/a", 2)], {"a": 2}, True),
        ([("replace", "/a/b", 1), ("remove", "/a", None)], {}, True),
        ([("replace", "/a", {"b": 1}), ("replace", "/a/b", 2)], {"a": {"b": 2}}, True),
        ([("replace", "/a/0", 1)], {"a": [1]}, True),
        ([("add", "/a/-", 1)], {"a": [1]}, False),
        ([("add", "/a/0", 1)], {"a": [1, 2]}, False),
        ([("remove", "/a/1", None)], {"a": [1]}, False),
    ],
)
def test_what_shows_an_update(patches: list[tuple[str, str, Any]], data: dict[str, Any], shows: bool) -> None:
    update = UpdateRelationship(
        "ehr", "works-at", "prac-1.org-9", [Patch(PatchOp(op), path, value) for op, path, value in patches]
    )
    found = Relationship("prac-1.org-9", "works-at", REF, ORG, data)
    assert (update.reconciled(found) is not None) is shows


INNER = Contained("office", {"a": 1}, "main")
HELD = Resource(
    "p1", "patient", {}, contained={"offices": [{"id": "main", "type": "office", "data": {"a": 1}}]}
)
OTHERS = Resource(
    "p1", "patient", {}, contained={"offices": [{"id": "x", "type": "office", "data": {"a": 1}}]}
)


@pytest.mark.parametrize(
    ("write", "found", "same"),
    [
        (UpsertContained("ehr", "patient", "p1", ["offices", "main"], INNER), HELD, True),
        (UpsertContained("ehr", "patient", "p1", ["offices", "main"], INNER), OTHERS, False),
        (UpsertContained("ehr", "patient", "p1", ["offices", "main"], INNER), None, False),
        (CreateContained("ehr", "patient", "p1", ["offices"], INNER), HELD, True),
        (CreateContained("ehr", "patient", "p1", ["offices"], INNER), OTHERS, False),
        (CreateContained("ehr", "patient", "p1", ["offices"], Contained("office", {"a": 1})), OTHERS, False),
        (DeleteContained("ehr", "patient", "p1", ["offices", "main"]), OTHERS, True),
        (DeleteContained("ehr", "patient", "p1", ["offices", "main"]), HELD, False),
        (DeleteContained("ehr", "patient", "p1", ["offices", "main"]), None, False),
    ],
)
def test_what_shows_a_write_of_a_contained_resource(write: Any, found: Any, same: bool) -> None:
    assert (write.reconciled(found) is not None) is same


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        (1, 1.0, True),
        (1, True, False),
        ([1], (1,), True),
        ({"a": None}, {}, False),
        ("1", 1, False),
        (0, False, False),
    ],
)
def test_equal_as_json(left: object, right: object, same: bool) -> None:
    assert same_json(left, right) is same


@pytest.mark.parametrize(
    ("raised", "evidence"),
    [
        (InvalidWrite("$", "no"), Evidence.NOT_SENT),
        (SessionClosed("closed"), Evidence.NOT_SENT),
        (ConnectionFailed("no", outcome=Outcome.NOT_SENT), Evidence.NOT_SENT),
        (ConnectionFailed("no"), Evidence.NONE),
        (error(NotFound, 404), Evidence.ENVELOPE),
        (ApiError("x", status=500, info=ErrorInfo()), Evidence.NONE),
    ],
)
def test_an_error_names_its_evidence(raised: Any, evidence: Evidence) -> None:
    assert raised.evidence is evidence
