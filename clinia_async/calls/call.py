"""What every call is: a frozen value that knows where it goes, what it carries and what it answers."""

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Protocol, TypeVar, cast
from urllib.parse import quote

from attrs import define, evolve, field

from clinia_async.errors import ApiError, NotFound, ProtocolError
from clinia_async.models import Action, SubmissionStatus, TaskSubmission
from clinia_async.serialization import converter, exact_json

T = TypeVar("T")
R = TypeVar("R", covariant=True)

_ACCEPTED, _PERSISTED = SubmissionStatus.ACCEPTED, SubmissionStatus.PERSISTED


class Host(StrEnum):
    """Which of the two hosts of the reference pages a call goes to."""

    REGISTRY = "registry"
    CATALOG = "catalog"


class RetrySafety(StrEnum):
    """What sending a call twice may do."""

    IDEMPOTENT = "idempotent"
    """Nothing."""
    KEYED = "keyed"
    """The key of what it makes is known before sending, so a second attempt can only find it taken."""
    ONCE = "once"
    """A second record: never repeated unless the first attempt provably did not run."""


@define
class Request:
    """A call on its way: `path` is percent-encoded; `route` has names for values and is fit for logs."""

    method: str
    host: Host
    route: str
    path: str = field(repr=False)
    query: str = ""
    body: bytes | None = field(default=None, repr=False)
    ahead: bool = False
    """Goes ahead of those that wait for a connection, as a look at a task does."""


class Call(Protocol[R]):
    @property
    def retry_safety(self) -> RetrySafety: ...

    def request(self) -> Request: ...

    def decode_response(self, body: bytes) -> R:
        """Raises `ProtocolError` for an answer that is not this call's."""
        ...


class Reconcilable(Call[R], Protocol[R]):
    """A call whose lost answer can be settled by reading back what it was about."""

    def is_duplicate(self, error: ApiError) -> bool:
        """Whether `error` is what the second of two equal attempts meets when the first one landed."""
        ...

    async def reconcile(self, read: "Read") -> R | None:
        """What the lost answer would have said; None if what is there is not what was sent."""
        ...


class ImmediateDelete(Call[None], Protocol):
    """A delete that makes no task."""

    def is_already_deleted(self, error: ApiError) -> bool:
        """Whether `error` says that an earlier attempt, whose answer was lost, has landed."""
        ...


class Write(Call[TaskSubmission], Protocol[R]):
    """A call that makes a task, or is done at once."""

    @property
    def source(self) -> str: ...

    def result(self, submission: TaskSubmission) -> R:
        """The result that a PERSISTED submission brings; `answer` has checked that it is this write's."""
        ...


class Read(Protocol):
    async def __call__(self, call: Call[T], /) -> T: ...


_UNRESERVED = re.compile(r"[\w.~-]+", re.ASCII)


def path_of(route: str, **values: str) -> str:
    """`route` with its names replaced; nothing in a value can add a segment or climb out of one."""
    return route.format(**{name: segment(value) for name, value in values.items()})


def segment(value: str) -> str:
    """A value as one segment of a path."""
    return value if _UNRESERVED.fullmatch(value) else quote(value, safe="")


@lru_cache(maxsize=1024)
def collection_path(route: str, source: str, type: str) -> str:
    """`path_of` a route that names no record: there are few of those paths, and each is used many times."""
    return path_of(route, source=source, type=type)


def decode_submission(body: bytes, check: Callable[[TaskSubmission], object] | None = None) -> TaskSubmission:
    """The answer to any write that makes a task; `check` looks whether what is PERSISTED is what was sent."""
    submission = converter.decode(body, TaskSubmission)
    if submission.task_id is None and submission.bulk_id is not None:
        submission = evolve(submission, task_id=submission.bulk_id)
    if submission.status == _PERSISTED:
        if check is not None:
            check(submission)
    elif submission.status != _ACCEPTED:
        raise ProtocolError("the answer is neither ACCEPTED nor PERSISTED")
    elif submission.task_id is None:
        raise ProtocolError("the answer is ACCEPTED and has no task id")
    return submission


def require_record(record: T | None) -> T:
    """What a PERSISTED submission holds. Raises `ProtocolError` if it holds nothing."""
    if record is None:
        raise ProtocolError("the answer does not hold what was sent")
    return record


def operation_head(action: Action) -> bytes:
    """What stands before the payload of an operation; a brace follows it."""
    return f'{{"action":"{action}","{action.lower()}":'.encode()


def payload_of(action: Action, operation: bytes) -> dict[str, object]:
    """What an operation says of its record, as its reader will find it."""
    return cast("dict[str, dict[str, object]]", exact_json.loads(operation))[action.lower()]


def operation(action: Action, payload: Mapping[str, object]) -> bytes:
    """One operation of a bulk or a bundle: the payload stands under the name of the action."""
    return exact_json.dumps({"action": str(action), str(action).lower(): payload})


async def reconcile_delete(read: Read, get: Call[object]) -> TaskSubmission | None:
    """A delete has landed if there is nothing any more."""
    try:
        await read(get)
    except NotFound:
        return TaskSubmission(SubmissionStatus.PERSISTED)
    return None
