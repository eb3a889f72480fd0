"""Receipts: how a task shows each of its operations."""

from collections.abc import Iterable
from typing import NamedTuple

from clinia_async.emulator.bodies.operation import Operation
from clinia_async.emulator.bodies.patch import EDITS

Receipt = dict[str, object]
Execution = dict[str, object]
IN_REVIEW, SUCCESSFUL = "IN_REVIEW", "SUCCESSFUL"
"""Statuses of a pipeline execution."""


class OperationResult(NamedTuple):
    """How an operation ended, or that it is in review."""

    status: str
    error: dict[str, object] | None = None
    execution: Execution | None = None


def pending(operation: Operation, update_action: str, task_id: str, received_at: str) -> Receipt:
    """Return the receipt of an operation that is not executed yet."""
    return {
        "receivedAt": received_at,
        "taskId": task_id,
        "action": update_action if operation.action in EDITS else operation.action,
        "status": "PENDING",
        "targetType": operation.target,
        "id": operation.id,
        "type": operation.type,
    }


def apply_result(receipt: Receipt, result: OperationResult, stamp: str) -> None:
    receipt["status"] = result.status
    if result.status != "PENDING":
        receipt["completedAt"] = stamp
    if result.error is not None:
        receipt["error"] = result.error
    if result.execution is not None:
        receipt["pipelineExecution"] = result.execution


def task_status(statuses: Iterable[str]) -> str:
    """Return the status of a task from the statuses of its receipts."""
    match sorted(set(statuses)):
        case []:
            return "SUCCESS"
        case [only]:
            return only
        case several if "PENDING" in several:
            return "PENDING"
        case _:
            return "FAILURE"
