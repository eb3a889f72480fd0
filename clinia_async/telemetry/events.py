"""The events of a session and of a job. Durations are in seconds; routes have names in place of values."""

from typing import ClassVar

from attrs import frozen

from clinia_async.errors import Outcome
from clinia_async.models import TaskStatus
from clinia_async.models.task_id import TaskKind
from clinia_async.telemetry.event import Event


@frozen(kw_only=True, eq=False, repr=False)
class RequestEnded(Event):
    """One attempt at one request ended. `status` is None where no answer came."""

    logger: ClassVar[str] = "requests"

    method: str
    route: str
    attempt: int
    seconds: float
    status: int | None = None
    error: str | None = None
    """The class of the error, if the attempt failed."""
    outcome: Outcome | None = None
    request_id: str | None = None
    """The id that the answer gives for the request, if it has one."""


@frozen(kw_only=True, eq=False, repr=False)
class RetryScheduled(Event):
    """An attempt failed, and the request is sent again after `pause` seconds."""

    logger: ClassVar[str] = "requests"
    level: ClassVar[int] = 20

    method: str
    route: str
    attempt: int
    error: str
    pause: float
    request_id: str | None = None
    """That of the answer to the attempt that failed, if there was one."""


@frozen(kw_only=True, eq=False, repr=False)
class Throttled(Event):
    """The service said 429 or 503. `retry_after` is its Retry-After, if there was one."""

    logger: ClassVar[str] = "requests"
    level: ClassVar[int] = 30

    method: str
    route: str
    status: int
    retry_after: float | None
    request_id: str | None = None


@frozen(kw_only=True, eq=False, repr=False)
class TaskAccepted(Event):
    """A write was queued. `task` is a fingerprint of the task's id, and `request_id` that of the answer."""

    logger: ClassVar[str] = "tasks"

    kind: TaskKind
    source: str
    task: str
    request_id: str | None = None


@frozen(kw_only=True, eq=False, repr=False)
class TaskPolled(Event):
    """A task was asked for its status. `status` is None where the poll failed with `error`."""

    logger: ClassVar[str] = "tasks"

    kind: TaskKind
    source: str
    task: str
    polls: int
    status: TaskStatus | None = None
    error: str | None = None


@frozen(kw_only=True, eq=False, repr=False)
class TaskEnded(Event):
    """A task was seen to have ended, `seconds` after it was accepted or picked up."""

    logger: ClassVar[str] = "tasks"

    kind: TaskKind
    source: str
    task: str
    polls: int
    seconds: float
    status: TaskStatus


@frozen(kw_only=True, eq=False, repr=False)
class ChunkSent(Event):
    """A chunk of a job was taken by the service. `task` is a fingerprint; None where it has no task."""

    logger: ClassVar[str] = "ingest"

    records: int
    attempts: int
    task: str | None = None
    request_id: str | None = None


@frozen(kw_only=True, eq=False, repr=False)
class RecordFailed(Event):
    """A record of a job did not land. `reason` names a rule or a type of error, never a value."""

    logger: ClassVar[str] = "ingest"

    file: str | None = None
    """The file of the record where several are read."""
    line: int
    disposition: str
    reason: str | None
