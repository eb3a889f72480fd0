"""What a task tells of each of its operations."""

from collections.abc import Iterable
from typing import NamedTuple

from clinia_async.emulator.bodies.edits import EDITS
from clinia_async.emulator.bodies.operation import Operation

Receipt = dict[str, object]
Execution = dict[str, object]
IN_REVIEW, APPROVED = "IN_REVIEW", "SUCCESSFUL"
"""Statuses of a pipeline execution."""


class Verdict(NamedTuple):
    """How an operation ended, or that a reviewer has it now."""

    status: str
    error: dict[str, object] | None = None
    execution: Execution | None = None


def pending(operation: Operation, update_action: str) -> Receipt:
    """Of an operation whose time has yet to come."""
    return {
        "action": update_action if operation.action in EDITS else operation.action,
        "status": "PENDING",
        "targetType": operation.target,
        "id": operation.id,
        "type": operation.type,
    }


def judge(receipt: Receipt, verdict: Verdict, stamp: str) -> None:
    receipt["status"] = verdict.status
    if verdict.status != "PENDING":
        receipt["completedAt"] = stamp
    if verdict.error is not None:
        receipt["error"] = verdict.error
    if verdict.execution is not None:
        receipt["pipelineExecution"] = verdict.execution


def task_status(statuses: Iterable[str]) -> str:
    """The status of a task, from those of its receipts."""
    match sorted(set(statuses)):
        case []:
            return "SUCCESS"
        case [only]:
            return only
        case several if "PENDING" in several:
            return "PENDING"
        case _:
            return "FAILURE"
