"""Each outcome names what proves it, and says nothing that the answers do not prove."""

from collections.abc import Mapping

import pytest
from aiohttp import web

from clinia_async import (
    ChunkLimits,
    CreateRelationship,
    Disposition,
    Evidence,
    InvalidWrite,
    NetworkGivenUp,
    RecordOutcome,
    Ref,
    Session,
    UpsertRelationship,
)
from clinia_async.emulator import Accepted, Constant, DroppedRequest, Emulator, LostReply, Persisted
from tests.ingest.running import SOURCE, Ran, ran, run, write, writes
from tests.ingest.scripted import ACCEPTED_BULK, Answer, against, error, receipt, task

D, E = Disposition, Evidence
WAYS = ("single", "bulk", "bundle")
ACCEPTED = Accepted(Constant(0.3))


def proofs(found: Ran) -> dict[int, tuple[Disposition, Evidence]]:
    return {each.line: (each.disposition, each.evidence) for each in found.outcomes}


# ------------------------------------------------------------------------------ what proves what


@pytest.mark.parametrize("via", WAYS)
@pytest.mark.parametrize(
    ("mode", "expected"),
    [(Persisted(), (D.PERSISTED, E.ENVELOPE)), (ACCEPTED, (D.SUCCEEDED, E.RECEIPT))],
)
async def test_what_is_stored_is_proven_by_the_answer_or_by_the_receipt(
    via: str, mode: Persisted | Accepted, expected: tuple[Disposition, Evidence]
) -> None:
    async with Emulator(default=mode, bundle=mode) as emulator:
        found = await run(emulator, writes(3), via=via)
    if via == "bulk":
        expected = D.SUCCEEDED, E.RECEIPT  # a bulk is always queued
    assert set(proofs(found).values()) == {expected}
    assert not any(each.maybe_applied or each.reconciled for each in found.outcomes)


@pytest.mark.parametrize("via", WAYS)
async def test_what_was_stored_by_an_attempt_whose_answer_was_lost_is_proven_by_reading_it(via: str) -> None:
    async with Emulator() as emulator:
        for route in ("create_relationship", "bulk_relationships", "bundle"):
            emulator.faults.add(LostReply(route=route, times=1))
        found = await run(emulator, writes(3), via=via, workers=1)
    first = [each for each in found.outcomes if each.maybe_applied]
    assert first
    assert {(each.disposition, each.evidence, each.reconciled) for each in first} == {
        (D.PERSISTED, E.READ_BACK, True)
    }


@pytest.mark.parametrize("via", ["single", "bulk"])
@pytest.mark.parametrize(
    ("policy", "different"),
    [("compare", (D.FAILED, E.READ_BACK)), ("keep", (D.KEPT, E.READ_BACK))],
)
async def test_what_is_there_already_is_proven_by_reading_it(
    via: str, policy: str, different: tuple[Disposition, Evidence]
) -> None:
    async with Emulator() as emulator:
        await run(emulator, [write("a", "x", n=1), write("a", "y", n=1)])
        found = await run(emulator, [write("a", "x", n=1), write("a", "y", n=2)], via=via, on_existing=policy)
    assert proofs(found) == {1: (D.EXISTING, E.READ_BACK), 2: different}


async def test_what_never_left_is_proven_by_that() -> None:
    async with Emulator() as emulator:
        emulator.faults.add(DroppedRequest(route="bulk_relationships"))
        url = emulator.url
    items = [*writes(3), write("a", "b", n=float("nan"))]
    async with Session(base_url=url, api_key="k") as session:
        found = await ran(session, items, patience=5)
    assert isinstance(found.error, NetworkGivenUp)
    assert set(proofs(found).values()) == {(D.UNSENT, E.NOT_SENT), (D.INVALID, E.NOT_SENT)}
    assert found.report.sent == 0


# ------------------------------------------------------------------------------ receipts


@pytest.mark.parametrize("via", ["bulk", "bundle"])
@pytest.mark.parametrize(
    "refusal",
    [error("NOT_FOUND", 404), error("INVALID_ARGUMENT", 400), error("FAILED_PRECONDITION", 412)],
    ids=str,
)
async def test_receipts_that_are_refused_are_asked_for_again_and_prove_nothing(
    via: str, refusal: Answer
) -> None:
    asked = 0

    def service(request: web.Request, _: bytes) -> Answer:
        nonlocal asked
        if request.method == "POST":
            return ACCEPTED_BULK
        if "withReceipts" in request.query_string:
            asked += 1
            return refusal
        return task("SUCCESS")

    found = await against(service, writes(3), via=via)
    assert asked > 3
    assert set(proofs(found).values()) <= {(D.UNKNOWN, E.NONE), (D.SUCCEEDED, E.TASK)}
    assert found.error is None


async def test_receipts_that_are_refused_for_a_while_are_relied_on_when_they_come() -> None:
    refusals = 5

    def service(request: web.Request, _: bytes) -> Answer:
        nonlocal refusals
        if request.method == "POST":
            return ACCEPTED_BULK
        if "withReceipts" not in request.query_string:
            return task("SUCCESS")
        refusals -= 1
        if refusals > 0:
            return error("NOT_FOUND", 404)
        return task("SUCCESS", [receipt(each, "SUCCESS") for each in writes(3)])

    found = await against(service, writes(3))
    assert set(proofs(found).values()) == {(D.SUCCEEDED, E.RECEIPT)}


@pytest.mark.parametrize("type_", ["INTERNAL", "FAILED_PRECONDITION", "INVALID_ARGUMENT", "NOT_FOUND"])
@pytest.mark.parametrize("via", ["bulk", "bundle"])
async def test_a_failure_after_a_lost_answer_is_no_proof_that_nothing_was_stored(
    via: str, type_: str
) -> None:
    posts = 0

    def service(request: web.Request, _: bytes) -> Answer | None:
        nonlocal posts
        if request.method == "POST":
            posts += 1
            return None if posts == 1 else ACCEPTED_BULK
        if "/tasks/" in request.path:
            failed = {"error": {"type": type_, "details": []}}
            return task("FAILURE", [receipt(each, "FAILURE", **failed) for each in writes(3)])
        return error("NOT_FOUND", 404)

    found = await against(service, writes(3), via=via, workers=1)
    assert posts == 2
    assert set(proofs(found).values()) == {(D.UNKNOWN, E.NONE)}
    assert all(each.maybe_applied for each in found.outcomes)


@pytest.mark.parametrize("via", ["single", "bulk"])
@pytest.mark.parametrize("there", [None, {"n": "changed by others"}])
async def test_a_record_that_was_deleted_or_changed_since_is_unknown(
    via: str, there: dict[str, object] | None
) -> None:
    """The first attempt stored it and its answer was lost; the second finds the key taken."""
    item, posts = write("a", "b", n=1), 0

    def service(request: web.Request, _: bytes) -> Answer | None:
        nonlocal posts
        if request.method == "POST":
            posts += 1
            if posts == 1:
                return None
            return ACCEPTED_BULK if via == "bulk" else error("ALREADY_EXISTS", 409)
        if "/tasks/" in request.path:
            return task("FAILURE", [receipt(item, "FAILURE", error={"type": "ALREADY_EXISTS"})])
        if there is None:
            return error("NOT_FOUND", 404)
        ends = {"from": {"id": "a", "type": "practitioner"}, "to": {"id": "b", "type": "organization"}}
        return 200, {"id": item.id, "type": item.type, **ends, "data": there}

    found = await against(service, [item], via=via)
    assert proofs(found) == {1: (D.UNKNOWN, E.NONE)}
    assert found.outcomes[0].maybe_applied


REVIEWS = [
    ({"status": "REJECTED"}, {"n": 0}, (D.DROPPED, E.RECEIPT)),
    ({"status": "SUCCESSFUL"}, {"n": 1}, (D.SUCCEEDED, E.READ_BACK)),
    ({"status": "SUCCESSFUL"}, {"n": 0}, (D.UNKNOWN, E.NONE)),
    ({"status": "UNHEARD_OF"}, {"n": 0}, (D.UNKNOWN, E.NONE)),
    ({}, {"n": 0}, (D.SUCCEEDED, E.RECEIPT)),
]


@pytest.mark.parametrize(("execution", "there", "expected"), REVIEWS)
async def test_a_review_of_a_change_is_read_and_what_is_there_compared(
    execution: Mapping[str, object], there: Mapping[str, object], expected: tuple[Disposition, Evidence]
) -> None:
    ends = Ref("a", "practitioner"), Ref("b", "organization")
    item = UpsertRelationship(SOURCE, "practises-at", *ends, {"n": 1})

    def service(request: web.Request, _: bytes) -> Answer:
        if request.method == "POST":
            return ACCEPTED_BULK
        if "/tasks/" in request.path:
            return task("SUCCESS", [receipt(item, "SUCCESS", pipelineExecution=execution)])
        shown = {"from": {"id": "a", "type": "practitioner"}, "to": {"id": "b", "type": "organization"}}
        return 200, {"id": "a.b", "type": item.type, **shown, "data": there}

    found = await against(service, [item])
    assert proofs(found) == {1: expected}


async def test_an_unusual_receipt_costs_its_own_record_and_no_other() -> None:
    items = writes(200)

    def service(request: web.Request, _: bytes) -> Answer:
        if request.method == "POST":
            return ACCEPTED_BULK
        receipts = [receipt(each, "SUCCESS") for each in items]
        failed = {"type": "FAILED_PRECONDITION", "code": 412, "details": None}
        receipts[7] = receipt(items[7], "FAILURE", error=failed)
        return task("FAILURE", receipts)

    found = await against(service, items, chunk=ChunkLimits(operations=200))
    assert proofs(found)[8] == (D.FAILED, E.RECEIPT)
    assert found.report.by_disposition == {D.SUCCEEDED: 199, D.FAILED: 1}


# ------------------------------------------------------------------------------ a type that cannot go alone


def test_a_type_that_is_named_as_the_bulk_endpoint_is_refused_when_it_is_made() -> None:
    with pytest.raises(InvalidWrite, match="`bulk`") as caught:
        CreateRelationship(SOURCE, "bulk", Ref("a", "x"), Ref("b", "y"))
    assert (caught.value.path, caught.value.evidence) == ("$.type", E.NOT_SENT)


def test_an_outcome_without_a_proof_says_so() -> None:
    assert RecordOutcome(write("a", "b"), D.UNKNOWN).evidence is E.NONE  # type: ignore[arg-type]
