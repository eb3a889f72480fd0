"""The interface of all calls: a frozen value with its request, its retry safety and its response decoder."""

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Protocol, TypeVar, cast
from urllib.parse import quote

from attrs import define, evolve, field

from clinia_async.calls.good_answers import refuse_failure_beside
from clinia_async.errors import InvalidWrite, ProtocolError
from clinia_async.models import Action, SubmissionStatus, TaskSubmission
from clinia_async.models.value import EqualByFields
from clinia_async.serialization import converter, exact_json

T = TypeVar("T")
R = TypeVar("R")
"""The result of a call. One for all modules: `Task[R]` and its like are made once, and then known."""
R_co = TypeVar("R_co", covariant=True)

_ACCEPTED, _PERSISTED = SubmissionStatus.ACCEPTED, SubmissionStatus.PERSISTED


class Host(StrEnum):
    """Which of the two hosts of the reference pages a call goes to."""

    REGISTRY = "registry"
    CATALOG = "catalog"


class RetrySafety(StrEnum):
    """What may happen if a call is sent twice."""

    IDEMPOTENT = "idempotent"
    """Nothing more than once: it may be sent again."""
    KEYED = "keyed"
    """The key of the record is known before sending, so a second attempt can only be answered "exists"."""
    ONCE = "once"
    """A second record: never sent again unless the first attempt provably did not run."""


Repeat = RetrySafety
"""The earlier name of `RetrySafety`."""


@define(eq=False, repr=False)
class Request(EqualByFields):
    """The HTTP request of a call: `path` is percent-encoded; `route` has names for values, fit for logs."""

    method: str
    host: Host
    route: str
    path: str = field(repr=False)
    query: str = ""
    body: bytes | None = field(default=None, repr=False)
    is_poll: bool = False
    """Whether it polls a task, and so goes before the other requests that wait for a connection."""
    headers: Mapping[str, str] | None = field(default=None, repr=False)
    """More headers, such as those that carry a trace on."""
    resends: int = 0
    """How many attempts were made before this one."""
    request_id: str | None = None
    """The id that the last answer to it names it by."""
    is_read: bool = False
    """Whether it changes nothing, where its method does not say so."""
    is_in_parts: bool = False
    """Whether it is carried out part by part, so that it may be refused after a part of it."""
    makes_no_task: bool = False
    """Whether nothing says later how it ended, so that an answer that only promises it proves nothing."""
    is_raw: bool = False
    """Whether its caller gets the answer as it is, which may then be JSON of any kind."""


class Call(Protocol[R_co]):
    """One request of the API whose response decodes to `R_co`.

    Classes give what is a property here, where it is the same for all, without an annotation: for pyright a
    `ClassVar` is none.
    """

    @property
    def retry_safety(self) -> RetrySafety:
        """What may happen if the call is sent twice."""
        ...

    def request(self) -> Request:
        """Return the HTTP request, without credentials.

        Raises:
            InvalidWrite: the content cannot be sent as JSON.
        """
        ...

    def decode_response(self, body: bytes) -> R_co:
        """Decode the body of a successful response.

        Raises:
            ProtocolError: the body cannot be read, or answers another request.
        """
        ...


class Write(Call[TaskSubmission], Protocol[R_co]):
    """A call that is carried out at once (PERSISTED) or makes a task (ACCEPTED)."""

    @property
    def source(self) -> str: ...

    def result(self, submission: TaskSubmission) -> R_co:
        """Return the result in a PERSISTED submission, which `decode_response` has checked."""
        ...


class Read(Protocol):
    """Sends a call that only reads, with retries, and returns its decoded response."""

    async def __call__(self, call: Call[T], /) -> T: ...


def check_call(call: object) -> None:
    """Raise `InvalidWrite` for what is no call of the API."""
    if not _has(call, ("request", "decode_response")):
        raise InvalidWrite("$", "must be a call of the API, such as GetSource(...)")


def check_write(write: object) -> None:
    """Raise `InvalidWrite` for what is no write that may make a task."""
    if not _has(write, ("request", "decode_response", "source", "result")):
        raise InvalidWrite(
            "$", "must be a write of the registry, such as CreateRelationship(...); `send` takes other calls"
        )


def _has(value: object, names: tuple[str, ...]) -> bool:
    kind: type = type(value)
    if _class_has(kind, names):
        return True
    return not isinstance(value, type) and all(hasattr(value, name) for name in names)


@lru_cache(maxsize=64)  # every write is asked, and there are few classes of them
def _class_has(kind: type, names: tuple[str, ...]) -> bool:
    return all(hasattr(kind, name) for name in names)


_UNRESERVED = re.compile(r"[\w.~-]+", re.ASCII)


def path_of(route: str, **values: str) -> str:
    """Fill in a route. Values are percent-encoded, so none can add or leave a path segment."""
    return route.format(**{name: segment(value) for name, value in values.items()})


def segment(value: str) -> str:
    """Percent-encode a value as one segment of a path."""
    return value if _UNRESERVED.fullmatch(value) else quote(value, safe="")


@lru_cache(maxsize=1024)
def collection_path(route: str, source: str, type: str) -> str:
    """`path_of` for a route without a record id, cached: there are few such paths, each used many times.

    Raises:
        InvalidWrite: the path is that of the bulk endpoint, which would take the record for something else.
    """
    if type == "bulk":
        raise InvalidWrite("$.type", "must not be `bulk` in a request of its own: send it by bulk or bundle")
    return path_of(route, source=source, type=type)


def decode_submission(body: bytes, check: Callable[[TaskSubmission], object] | None = None) -> TaskSubmission:
    """Decode the response to a write; `check` verifies that what is PERSISTED is what was sent.

    Raises:
        ProtocolError: the status is unknown, an ACCEPTED answer has no task id, a PERSISTED one says that
            something was not carried out, or `check` refused it.
    """
    submission = converter.decode(body, TaskSubmission)
    if submission.task_id is None and submission.bulk_id is not None:
        submission = evolve(submission, task_id=submission.bulk_id)
    if submission.status == _PERSISTED:
        refuse_failure_beside(submission.unknown_fields)
        if check is not None:
            check(submission)
    elif submission.status != _ACCEPTED:
        raise ProtocolError("the answer is neither ACCEPTED nor PERSISTED")
    elif submission.task_id is None:
        raise ProtocolError("the answer is ACCEPTED and has no task id")
    return submission


def require_record(record: T | None) -> T:
    """Return the record of a PERSISTED submission.

    Raises:
        ProtocolError: the submission holds no record.
    """
    if record is None:
        raise ProtocolError("the answer does not hold what was sent")
    return record


def operation_head(action: Action) -> bytes:
    """Return the JSON of an operation before its payload; a closing brace must follow the payload."""
    return f'{{"action":"{action}","{action.lower()}":'.encode()


def payload_of(action: Action, operation: bytes) -> dict[str, object]:
    """Parse an encoded operation and return its payload."""
    return cast("dict[str, dict[str, object]]", exact_json.loads(operation))[action.lower()]


def operation(action: Action, payload: Mapping[str, object]) -> bytes:
    """Encode one operation of a bulk or a bundle: the payload stands under the name of the action."""
    return exact_json.dumps({"action": str(action), str(action).lower(): payload})
