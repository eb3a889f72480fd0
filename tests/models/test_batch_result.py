"""Receipts are matched by what they are for, never by their place."""

from typing import Any

import pytest

from clinia_async import Outcome, ProtocolError, TaskCancelled, TaskFailed
from clinia_async.errors import CliniaError
from tests.factories import SOURCE, receipt, session_at, taken, write
from tests.hostile import Hostile, accepted, by_target, close, refusal, task

A, B = "a.org-9", "b.org-9"


async def concluded(status: str, receipts: list[Any] | None, *, lost: bool = False) -> Any:
    script: dict[str, Any] = {
        "withReceipts": [task(status, "bk_1", receipts)],
        "/tasks/": [task(status, "bk_1")],
        "POST": [close, accepted("bk_1")] if lost else [accepted("bk_1")],
        "GET": [refusal(404, "NOT_FOUND")],
    }
    async with Hostile(otherwise=by_target(script)) as server, session_at(server) as session:
        bulk = await session.bulk(SOURCE, [write("a"), write("b")])
        return await bulk


@pytest.mark.parametrize("order", [(A, B), (B, A)])
async def test_receipts_match_in_any_order(order: tuple[str, str]) -> None:
    result = await concluded("SUCCESS", [receipt("SUCCESS", one) for one in order])
    assert tuple(entry.id for entry in result.receipts) == order


@pytest.mark.parametrize(
    "receipts",
    [
        None,
        [],
        [receipt("SUCCESS", A)],
        [receipt("SUCCESS", A), receipt("SUCCESS", A)],
        [receipt("SUCCESS", A), receipt("SUCCESS", "somebody.else")],
        [receipt("SUCCESS", A), {**receipt("SUCCESS", B), "targetType": "RESOURCE"}],
        [receipt("SUCCESS", A), {**receipt("SUCCESS", B), "type": "works-at"}],
        [receipt("SUCCESS", A), receipt("SUCCESS", B), taken(B)],
    ],
)
@pytest.mark.parametrize("status", ["SUCCESS", "FAILURE"])
async def test_missing_receipts_leave_the_outcome_unknown(status: str, receipts: list[Any] | None) -> None:
    with pytest.raises((ProtocolError, TaskFailed)) as caught:
        await concluded(status, receipts)
    assert caught.value.outcome is (
        Outcome.UNKNOWN if receipts is not None or status == "FAILURE" else Outcome.DONE
    )


@pytest.mark.parametrize("more", [[receipt("SUCCESS", A)], [receipt("SUCCESS", "somebody.else")]])
async def test_unexpected_receipts_are_ignored(more: list[Any]) -> None:
    result = await concluded("SUCCESS", [receipt("SUCCESS", A), receipt("SUCCESS", B), *more])
    assert len(result.receipts) == 3


@pytest.mark.parametrize("bad", [taken(B), receipt("CANCELLED", B), receipt("PENDING", B), receipt("ODD", B)])
@pytest.mark.parametrize("status", ["SUCCESS", "FAILURE"])
async def test_an_operation_with_a_failed_receipt_is_not_stored(status: str, bad: Any) -> None:
    with pytest.raises(TaskFailed) as caught:
        await concluded(status, [receipt("SUCCESS", A), bad])
    assert [entry.id for entry in caught.value.failed_receipts] == [B]
    assert caught.value.outcome is Outcome.UNKNOWN


@pytest.mark.parametrize(("status", "kind"), [("FAILURE", TaskFailed), ("CANCELLED", TaskCancelled)])
async def test_a_task_whose_receipts_all_failed_is_rejected(status: str, kind: type[CliniaError]) -> None:
    entry = "CANCELLED" if status == "CANCELLED" else "FAILURE"
    with pytest.raises(kind) as caught:
        await concluded(status, [receipt(entry, A), receipt(entry, B)])
    assert caught.value.outcome is Outcome.REJECTED
    with pytest.raises(kind) as caught:
        await concluded(status, [receipt(entry, A), receipt(entry, B)], lost=True)
    assert caught.value.outcome is Outcome.UNKNOWN


@pytest.mark.parametrize("status", ["PENDING", "SOMETHING_NEW"])
async def test_a_pending_receipt_is_not_a_failure(status: str) -> None:
    with pytest.raises(TaskFailed) as caught:
        await concluded("FAILURE", [receipt(status, A), receipt(status, B)])
    assert caught.value.outcome is Outcome.UNKNOWN


@pytest.mark.parametrize(
    "error",
    ["ALREADY_EXISTS", "INTERNAL", "INVALID_ARGUMENT", "NOT_FOUND", "SOMETHING_NEW", None],
)
async def test_error_types_are_kept(error: str | None) -> None:
    details = {"error": {"type": error, "code": 1}} if error else {}
    with pytest.raises(TaskFailed) as caught:
        await concluded("FAILURE", [receipt("SUCCESS", A), receipt("FAILURE", B, **details)])
    (failed,) = caught.value.failed_receipts
    assert (failed.error and failed.error.type) == error
    assert error is None or error in str(caught.value)
