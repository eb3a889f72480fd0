"""Tasks, receipts and the service's errors."""

from collections.abc import Sequence
from datetime import datetime

from attrs import field, frozen

from clinia_async.models.open_enum import OpenEnum
from clinia_async.models.records import Relationship, Resource
from clinia_async.models.secret import fingerprint
from clinia_async.models.task_id import TaskId
from clinia_async.models.value import REQUIRED_IN_ANSWERS, Value, checked


class SubmissionStatus(OpenEnum):
    ACCEPTED = "ACCEPTED"
    """Captured; it runs in the background."""
    PERSISTED = "PERSISTED"
    """Done and stored."""


class TaskStatus(OpenEnum):
    """The state of a task, or of one operation in it."""

    PENDING = "PENDING"
    SUCCESS = "SUCCESS"
    """Every operation was stored, or dropped because a reviewer rejected it."""
    FAILURE = "FAILURE"
    """All operations ended and at least one failed or was cancelled; the others may be stored."""
    CANCELLED = "CANCELLED"
    """Every operation was cancelled by the service, because of a concurrent one."""

    @property
    def is_terminal(self) -> bool:
        """Whether it is final. An unknown status is not: the task is polled again."""
        return self in _TERMINAL


_TERMINAL = frozenset({TaskStatus.SUCCESS, TaskStatus.FAILURE, TaskStatus.CANCELLED})


class Action(OpenEnum):
    """What is done with a record."""

    CREATE = "CREATE"
    UPSERT = "UPSERT"
    DELETE = "DELETE"


class TargetType(OpenEnum):
    """What kind of record a write or a receipt is about."""

    RELATIONSHIP = "RELATIONSHIP"
    RESOURCE = "RESOURCE"
    OBJECT = "OBJECT"


class ErrorType(OpenEnum):
    """https://docs.clinia.com/explanation/errors"""

    ALREADY_EXISTS = "ALREADY_EXISTS"
    CONTENT_TOO_LARGE = "CONTENT_TOO_LARGE"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    INTERNAL = "INTERNAL"
    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    NOT_FOUND = "NOT_FOUND"
    OUT_OF_RANGE = "OUT_OF_RANGE"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    UNIMPLEMENTED = "UNIMPLEMENTED"


Key = tuple[str, str, str]
"""Target type, type and id of a record."""


@frozen(eq=False, repr=False, field_transformer=checked)
class ErrorInfo(Value):
    """An error as the service describes it; `message` and `details` may quote the record."""

    type: ErrorType | None = None
    code: int | None = None
    message: str | None = field(default=None, repr=False)
    details: Sequence["ErrorInfo"] = field(default=(), repr=False)


class PipelineStatus(OpenEnum):
    """How far a record has come in the pipeline of its source."""

    IN_REVIEW = "IN_REVIEW"
    """A person has to approve or to reject the record; that takes as long as it takes."""
    SUCCESSFUL = "SUCCESSFUL"
    REJECTED = "REJECTED"
    """A reviewer refused the write. The full list of words for that is not published."""

    @property
    def is_rejected(self) -> bool:
        """Whether this says that a reviewer refused the write."""
        return self.upper() in _REJECTED


_REJECTED = frozenset({"REJECTED", "REJECT", "DROPPED"})


@frozen(eq=False, repr=False, field_transformer=checked)
class PipelineExecution(Value):
    """The run of an ingestion pipeline on one operation."""

    id: str | None = None
    pipeline_definition_id: str | None = None
    status: PipelineStatus | None = None


@frozen(eq=False, repr=False, field_transformer=checked)
class Receipt(Value):
    """The result of one operation. Receipts carry no position: match them by target type, type and id.

    In an answer without them, `type` and `id` are empty.
    """

    action: Action
    status: TaskStatus
    target_type: TargetType
    type: str
    id: str = field(repr=fingerprint)
    task_id: TaskId | None = None
    received_at: datetime | None = None
    completed_at: datetime | None = None
    error: ErrorInfo | None = None
    pipeline_execution: PipelineExecution | None = None

    @property
    def claim(self) -> tuple[object, ...]:
        """What this says of its operation: two receipts of it that differ here contradict each other."""
        execution = self.pipeline_execution
        review = None if execution is None else (execution.status,)
        return self.status, review, None if self.error is None else (self.error.type,)

    @property
    def is_dropped(self) -> bool:
        """Whether this says that a reviewer refused the write, which the status calls SUCCESS."""
        execution = self.pipeline_execution
        return (
            self.status == TaskStatus.SUCCESS
            and execution is not None
            and execution.status is not None
            and execution.status.is_rejected
        )


@frozen(eq=False, repr=False, field_transformer=checked)
class TaskSnapshot(Value):
    """The state of a task in one answer; `receipts` is None unless they were asked for."""

    status: TaskStatus = field(metadata=REQUIRED_IN_ANSWERS)
    task_id: TaskId | None = None
    receipts: Sequence[Receipt] | None = None

    @property
    def in_review(self) -> bool:
        """Whether a receipt says that an operation waits for a person."""
        executions = [receipt.pipeline_execution for receipt in self.receipts or ()]
        return any(each is not None and each.status == PipelineStatus.IN_REVIEW for each in executions)


class CollectionType(OpenEnum):
    """What kind of records a collection holds."""

    RESOURCES = "resources"
    RELATIONSHIPS = "relationships"
    OBJECTS = "objects"


@frozen(eq=False, repr=False, field_transformer=checked)
class PurgeOperation(Value):
    """The state of a purge; `deleted_count` is known once it has succeeded. `purge_id` is deprecated."""

    task_id: TaskId = field(metadata=REQUIRED_IN_ANSWERS)
    collection_type: CollectionType
    collection_key: str
    status: TaskStatus = field(metadata=REQUIRED_IN_ANSWERS)
    purge_id: TaskId | None = None
    deleted_count: int | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


@frozen(eq=False, repr=False, field_transformer=checked)
class TaskSubmission(Value):
    """The answer to a write; the record comes with `PERSISTED` only. `bulk_id` is deprecated."""

    status: SubmissionStatus = field(metadata=REQUIRED_IN_ANSWERS)
    task_id: TaskId | None = None
    bulk_id: TaskId | None = None
    relationship: Relationship | None = None
    resource: Resource | None = None
    purge_operation: PurgeOperation | None = None
