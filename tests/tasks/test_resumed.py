"""What is said of a task of which only the id is known: no more than its own receipts prove."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from clinia_async import Polling, TaskCancelled, TaskDropped, TaskFailed, TaskPollError, TaskUnconfirmed
from clinia_async.errors import CliniaError, Evidence, Outcome, ProtocolError
from tests.factories import ID, ONCE, SOURCE, record, session_at
from tests.factories import receipt as receipt_of
from tests.hostile import Behaviour, Hostile, answer, by_target, refusal, task

SINGLE, OTHERS = "s_1", ("bk_1", "bd_1", "xx_1", "bare")
IDS = (SINGLE, *OTHERS)
UNREADABLE = 7
PENDING = receipt_of("PENDING")
FAILED = receipt_of("FAILURE", error={"code": 1, "type": "INTERNAL", "message": "no", "details": []})
STORED = receipt_of("SUCCESS")
OF_ANOTHER = receipt_of("SUCCESS", taskId="s_2")


def reviewed(status: str) -> Mapping[str, Any]:
    return receipt_of("SUCCESS", pipelineExecution={"id": "e", "pipelineDefinitionId": "p", "status": status})


async def end_of(id_: str, poll: Behaviour) -> tuple[object, Outcome | None, Evidence]:
    """What the wait for a resumed task ends with."""
    behaviours = {"/tasks/": [poll], "/relationships/": [answer(record())]}
    polling = Polling(grace=1, patience=5)
    async with (
        Hostile(otherwise=by_target(behaviours)) as server,
        session_at(server, retry=ONCE, polling=polling) as session,
    ):
        handle = session.task(id_, source=SOURCE)
        try:
            await handle
        except CliniaError as error:
            return type(error), error.outcome, error.evidence
        return None, None, handle.evidence


UNKNOWN = (Outcome.UNKNOWN, Evidence.NONE)


@pytest.mark.parametrize("id_", IDS)
@pytest.mark.parametrize(
    ("status", "receipts", "expected"),
    [
        ("SUCCESS", [STORED], (None, None, Evidence.RECEIPT)),
        ("SUCCESS", [OF_ANOTHER], (TaskUnconfirmed, *UNKNOWN)),
        ("SUCCESS", [], (ProtocolError, Outcome.DONE, Evidence.TASK)),
        ("SUCCESS", [reviewed("SOMETHING_NEW")], (TaskUnconfirmed, *UNKNOWN)),
        ("SUCCESS", [PENDING], (TaskFailed, *UNKNOWN)),
        ("SUCCESS", [FAILED], (TaskFailed, *UNKNOWN)),
        ("SUCCESS", [STORED, FAILED], (TaskFailed, *UNKNOWN)),
        ("FAILURE", [STORED], (TaskFailed, *UNKNOWN)),
        ("FAILURE", [OF_ANOTHER], (TaskFailed, *UNKNOWN)),
        ("FAILURE", [], (TaskFailed, *UNKNOWN)),
        ("CANCELLED", [receipt_of("CANCELLED")], (TaskCancelled, Outcome.REJECTED, Evidence.RECEIPT)),
        ("CANCELLED", [STORED], (TaskFailed, *UNKNOWN)),
    ],
)
async def test_of_every_kind_the_same(
    id_: str, status: str, receipts: Sequence[object], expected: tuple[object, ...]
) -> None:
    assert await end_of(id_, task(status, id_, receipts)) == expected


@pytest.mark.parametrize("id_", IDS)
@pytest.mark.parametrize(
    ("status", "receipts", "kind", "evidence"),
    [
        ("SUCCESS", [reviewed("REJECTED")], TaskDropped, Evidence.RECEIPT),
        ("FAILURE", [FAILED], TaskFailed, Evidence.RECEIPT),
    ],
)
async def test_a_refusal_is_one_of_all_operations_only_where_there_is_one(
    id_: str, status: str, receipts: Sequence[object], kind: object, evidence: Evidence
) -> None:
    """How many operations a bulk had is not known here, so receipts may be missing."""
    proven = (Outcome.REJECTED, evidence) if id_ == SINGLE else UNKNOWN
    assert await end_of(id_, task(status, id_, receipts)) == (kind, *proven)


@pytest.mark.parametrize("id_", OTHERS)
async def test_a_receipt_that_cannot_be_read_may_be_of_an_operation_that_was_dropped(id_: str) -> None:
    assert await end_of(id_, task("SUCCESS", id_, [STORED, UNREADABLE])) == (TaskUnconfirmed, *UNKNOWN)


@pytest.mark.parametrize("id_", [*IDS, "pg_1"])
@pytest.mark.parametrize("poll", [refusal(404), task("SUCCESS", "s_other", [STORED])])
async def test_a_task_that_is_unknown_or_another_proves_nothing(id_: str, poll: Behaviour) -> None:
    behaviours = {"/purge/": [poll], "/tasks/": [poll]}
    assert await end_of(id_, by_target(behaviours)) == (TaskPollError, *UNKNOWN)


def test_the_record_of_the_receipts_is_the_one_that_is_read() -> None:
    assert STORED["id"] == record()["id"] == ID


@pytest.mark.parametrize("times", [1, 2, 3])
async def test_a_receipt_that_comes_again_is_one(times: int) -> None:
    """An approved delete is confirmed by the record, which is there still."""
    approved = {**reviewed("SUCCESSFUL"), "action": "DELETE"}
    assert await end_of(SINGLE, task("SUCCESS", SINGLE, [approved] * times)) == (TaskUnconfirmed, *UNKNOWN)
