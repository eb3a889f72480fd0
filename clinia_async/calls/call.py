"""What every call is: a frozen value that knows where it goes, what it carries and what it answers."""

from enum import StrEnum
from typing import ClassVar, Protocol, TypeVar
from urllib.parse import quote

from attrs import evolve, field, frozen

from clinia_async import codec
from clinia_async.errors import ApiError, ProtocolError
from clinia_async.models import SubmissionStatus, TaskSubmission

T = TypeVar("T")
R = TypeVar("R", covariant=True)


class Host(StrEnum):
    """Which of the two hosts of the reference pages a call goes to."""

    REGISTRY = "registry"
    CATALOG = "catalog"


class Repeat(StrEnum):
    """What sending a call twice may do."""

    IDEMPOTENT = "idempotent"
    """Nothing."""
    KEYED = "keyed"
    """The key of what it makes is known before sending, so a second attempt can only find it taken."""
    ONCE = "once"
    """A second record: never repeated unless the first attempt provably did not run."""


@frozen
class Request:
    """A call on its way: `path` is percent-encoded; `route` has names for values and is fit for logs."""

    method: str
    host: Host
    route: str
    path: str = field(repr=False)
    query: str = ""
    body: bytes | None = field(default=None, repr=False)


class Call(Protocol[R]):
    repeat: ClassVar[Repeat]

    def request(self) -> Request: ...

    def answer(self, body: bytes) -> R:
        """Raises `ProtocolError` for an answer that is not this call's."""
        ...


class Write(Call[TaskSubmission], Protocol):
    """A call that makes a task, or is done at once."""

    @property
    def source(self) -> str: ...


class Settled(Call[R], Protocol[R]):
    """A keyed call whose lost answer is settled by reading back what holds its key."""

    def is_taken(self, error: ApiError) -> bool:
        """Whether `error` says that the key is taken."""
        ...

    async def settle(self, read: "Read") -> R | None:
        """What the lost answer would have said; None if what holds the key is not what was sent."""
        ...


class Read(Protocol):
    async def __call__(self, call: Call[T], /) -> T: ...


def path_of(route: str, **values: str) -> str:
    """`route` with its names replaced; nothing in a value can add a segment or climb out of one."""
    return route.format(**{name: quote(value, safe="") for name, value in values.items()})


def submission_answer(body: bytes) -> TaskSubmission:
    """The answer to any write that makes a task."""
    submission = codec.decode(body, TaskSubmission)
    if submission.task_id is None and submission.bulk_id is not None:
        submission = evolve(submission, task_id=submission.bulk_id)
    if submission.status not in {SubmissionStatus.ACCEPTED, SubmissionStatus.PERSISTED}:
        raise ProtocolError("the answer is neither ACCEPTED nor PERSISTED")
    if submission.status == SubmissionStatus.ACCEPTED and submission.task_id is None:
        raise ProtocolError("the answer is ACCEPTED and has no task id")
    return submission
