"""Everything that this library raises.

    CliniaError                     every error says its `outcome`
    ├── ConfigError                 (ValueError) a setting is wrong
    ├── InvalidWrite                (ValueError) refused before anything was sent
    ├── SessionClosed               (RuntimeError)
    ├── RequestError
    │   ├── ConnectionFailed        (ConnectionError)
    │   ├── RequestTimeout          (TimeoutError)
    │   ├── RedirectRefused
    │   ├── ProtocolError           an answer that is not the service's
    │   │   └── DecodeError         (ValueError) names the path and the expected type
    │   ├── WriteConflict           another record holds the key of a write whose answer was lost
    │   └── ApiError                an answer with an error status: one class per documented `type`
    │       ├── GatewayError        of a proxy or firewall on the way, not of the service
    │       ├── AlreadyExists, ContentTooLarge, FailedPrecondition, Internal, InvalidArgument, NotFound,
    │       └── OutOfRange, PermissionDenied, Unauthenticated, Unimplemented
    ├── GatherError                 (ExceptionGroup) more than one of the gathered tasks failed
    └── TaskError                   carries `id`, `kind`, `state` and `token`
        ├── TaskFailed              `failed_receipts`
        ├── TaskCancelled           by the service: never `asyncio.CancelledError`
        ├── TaskDropped             a reviewer refused the write
        ├── TaskUnconfirmed         the task succeeded; nothing proves that the write was carried out
        ├── TaskTimeout             (TimeoutError) we stopped waiting; the task goes on
        └── TaskPollError           the task can no longer be polled

May import models. When an error is raised does not belong here. No text here holds a key, an id or a
piece of a record: routes, types, statuses and counts only.
"""

from collections.abc import Sequence
from enum import StrEnum
from http import HTTPStatus
from typing import ClassVar, TypeVar

from clinia_async import models
from clinia_async.models import ErrorInfo, ErrorType, Receipt, TaskStatus
from clinia_async.models.open_enum import OpenEnum
from clinia_async.models.refusal import Refusal as _Refusal
from clinia_async.models.task_id import TaskId, TaskKind


class Outcome(StrEnum):
    """What may have happened to the write. Whatever is not proven is `UNKNOWN`."""

    NOT_SENT = "not sent"
    """No byte of the request left."""
    REJECTED = "rejected"
    """A well-formed answer says that it was not carried out."""
    UNKNOWN = "unknown"
    """It may or may not have been carried out."""
    DONE = "done"
    """The write landed; what followed failed."""


class Evidence(OpenEnum):
    """What proves an outcome. More values may follow."""

    ENVELOPE = "ENVELOPE"
    """The service's own answer to the request: PERSISTED, or an error in its envelope."""
    RECEIPT = "RECEIPT"
    """The receipt of this very operation."""
    TASK = "TASK"
    """The status of the whole task, where no receipt could be read."""
    READ_BACK = "READ_BACK"
    """The record was read and compared with what was sent."""
    STATUS = "STATUS"
    """An HTTP status that says in itself that the request was not carried out."""
    NOT_SENT = "NOT_SENT"
    """No byte of the request left."""
    NONE = "NONE"
    """Nothing: the outcome is unknown."""


class CliniaError(Exception):
    """The base of everything that this library raises.

    `outcome` says what may have happened to the write. `request_id` is the id under which the service, or
    what is before it, logged the request that failed, where its answer had one (`X-Request-Id` and the like);
    for a `TaskError`, the request that made the task, or the last poll where that is what failed.
    `advice` says what to do about it, and is a part of the text where the text does not say it already.
    """

    outcome: Outcome = Outcome.UNKNOWN
    request_id: str | None = None
    advice: str = ""
    _evidence: Evidence | None = None

    @property
    def evidence(self) -> Evidence:
        """What proves `outcome`; `Evidence.NONE` for an outcome that is unknown."""
        if self.outcome is Outcome.UNKNOWN:
            return Evidence.NONE
        if self._evidence is not None:
            return self._evidence
        return Evidence.NOT_SENT if self.outcome is Outcome.NOT_SENT else Evidence.STATUS

    @evidence.setter
    def evidence(self, evidence: Evidence) -> None:
        self._evidence = evidence

    def __str__(self) -> str:
        text = "; ".join(filter(None, [super().__str__(), self.advice, self._consequence]))
        return text if self.request_id is None else f"{text} (request id {self.request_id})"

    @property
    def _consequence(self) -> str:
        """What the outcome asks for, where the class alone does not say it."""
        return ""

    def __reduce__(self) -> tuple[object, ...]:
        # Errors have keyword arguments, which pickle and copy would not pass: state goes along instead.
        return _rebuild, (type(self), self.args, self.__dict__)


_E = TypeVar("_E", bound=CliniaError)


def _rebuild(kind: type[_E], args: tuple[object, ...], state: dict[str, object]) -> _E:
    error = kind.__new__(kind, *args)
    error.args = args  # which those that are OSErrors too would set in __init__ only
    error.__dict__.update(state)
    if "__notes__" in state:
        error.__notes__ = list(error.__notes__)
    return error


def reason_of(error: BaseException) -> str:
    """Return what happened, without what to do about it; for other errors their text, or else their class."""
    if isinstance(error, CliniaError) and error.args:
        return str(error.args[0])
    return str(error) or type(error).__name__


def copy_for_raise(error: _E) -> _E:
    """A copy to raise: one exception raised to many waiters would gather all their tracebacks."""
    copied = _rebuild(type(error), error.args, error.__dict__)
    copied.__cause__ = error.__cause__
    return copied


class ConfigError(CliniaError, _Refusal):
    """A setting or an argument is wrong; nothing was sent."""

    outcome = Outcome.NOT_SENT


class InvalidWrite(CliniaError, _Refusal):
    """A write that the service could only refuse, caught before anything was sent.

    `path` says where in the write, such as `$.from.id`; the value itself is never quoted.
    """

    outcome = Outcome.NOT_SENT

    def __init__(self, path: str, rule: str) -> None:
        super().__init__(f"{path}: {rule}")
        self.path = path
        self.rule = rule


class SessionClosed(CliniaError, RuntimeError):
    """The session was closed; `token` resumes the task that was being waited for, if there was one."""

    def __init__(
        self, message: str, *, outcome: Outcome = Outcome.NOT_SENT, token: str | None = None
    ) -> None:
        super().__init__(message)
        self.outcome = outcome
        self.token = token

    @property
    def _consequence(self) -> str:
        if self.token is not None:
            return "resume the task in another session with session.task(error.token)"
        return _READ_FIRST if self.outcome is Outcome.UNKNOWN else "open another one"


class RequestError(CliniaError):
    """A request that brought no answer to rely on.

    `retry_after` is what the service asks to wait, in seconds; `attempts` is how many times it was sent;
    `waited` is how many seconds the last attempt waited for the session's limit of concurrency before.
    """

    attempts: int = 1
    waited: float = 0.0
    record: object = None
    """The record as it was sent, where the write was carried out and reading the record failed."""
    is_read: bool = False
    """Whether it is about a request that changes nothing, which can be sent again whatever the outcome."""

    def __init__(
        self, message: str, *, outcome: Outcome = Outcome.UNKNOWN, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.outcome = outcome
        self.retry_after = retry_after

    @property
    def is_transient(self) -> bool:
        """Whether the same request may succeed later."""
        return False

    @property
    def _consequence(self) -> str:
        if self.outcome is Outcome.DONE:
            return "the write was carried out: do not send it again"
        return _READ_FIRST if self.outcome is Outcome.UNKNOWN and not self.is_read else ""


class ConnectionFailed(RequestError, ConnectionError):
    """`transient` is False where trying again cannot help, such as a bad certificate."""

    advice = "check the network and try again"

    def __init__(self, message: str, *, outcome: Outcome = Outcome.UNKNOWN, transient: bool = True) -> None:
        super().__init__(message, outcome=outcome)
        self.transient = transient

    @property
    def is_transient(self) -> bool:
        return self.transient


class CredentialsFailed(RequestError):
    """The function that gives the credentials failed, or gave none that can be sent, or none in time.

    `transient` is False where what it gave cannot be sent.
    """

    advice = "check the function that is given as credentials=..."
    transient: bool = True

    @property
    def is_transient(self) -> bool:
        return self.transient


class RequestTimeout(RequestError, TimeoutError):
    """No complete answer came within the time of an attempt or of the call."""

    advice = "try again later, or allow more time: timeout=... or CLINIA_TIMEOUT"

    @property
    def is_transient(self) -> bool:
        return True


class RedirectRefused(RequestError):
    """A redirect is never followed: it would carry the key and the record to another place."""

    advice = "check workspace or base_url: it must be the address of the service itself"


class ProtocolError(RequestError):
    """An answer that does not follow the contract of the service.

    `transient` is False where sending again cannot help, as the answer could not be found out about either.
    """

    advice = "check that workspace or base_url leads to the service itself, and update clinia-async"
    transient: bool = True

    @property
    def is_transient(self) -> bool:
        return self.transient


class DecodeError(ProtocolError, ValueError):
    """`path` and `expected` say where the answer is not what it should be; its values are never quoted."""

    def __init__(self, path: str, expected: str) -> None:
        super().__init__(f"{path}: expected {expected}")
        self.path = path
        self.expected = expected


class WriteConflict(RequestError):
    """The key of a write is taken by a record that differs from it, after an answer to it was lost.

    The outcome is UNKNOWN: the write may have landed and been changed since, or never have landed.
    """

    advice = "compare the record that is there with what was sent, and decide which is right"

    @property
    def _consequence(self) -> str:
        return ""


_READ_FIRST = "it may have been carried out: read the record before you send it again"
_LATER = "the service or what is before it failed: try again later"
CHECK_KEY = "check the key: CLINIA_API_KEY or api_key=..., and that it belongs to this workspace"
_ADVICE = {
    405: "check workspace or base_url: the address does not take this request",
    407: "check the user name and password of the proxy: proxy=... or CLINIA_PROXY",
    408: "try again later",
    415: "check that nothing on the way changes the headers of the request, and update clinia-async",
    425: "try again later",
    429: "send less at once, or retry for longer: retry=RetryPolicy(...)",
    431: "send fewer headers: headers=...",
    502: _LATER,
    503: "try again later, or retry for longer: retry=RetryPolicy(...)",
    504: _LATER,
}
"""What to do about an HTTP status, where that is more than the class of the error says."""
TRANSIENT_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504, *range(520, 531)})
"""HTTP statuses after which the same request may succeed later."""


class ApiError(RequestError):
    """An answer of the service that is an error.

    https://docs.clinia.com/explanation/errors

    `status` is the HTTP status, and `info` the body of the answer.
    `message` and `details` are the service's own words, which may quote the record: they are
    attributes, and no part of the text of this error.
    """

    advice = "read error.message and error.details, the service's own words, which may quote the record"
    by_type: ClassVar[dict[ErrorType, type["ApiError"]]] = {}

    def __init_subclass__(cls, type: ErrorType | None = None) -> None:
        if type is not None:
            ApiError.by_type[type] = cls

    def __init__(
        self,
        text: str,
        *,
        status: int,
        info: ErrorInfo,
        outcome: Outcome = Outcome.UNKNOWN,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(text, outcome=outcome, retry_after=retry_after)
        self._evidence = Evidence.ENVELOPE
        self.status = status
        self.info = info
        if status in _ADVICE:
            self.advice = _ADVICE[status]
        elif status >= HTTPStatus.INTERNAL_SERVER_ERROR and type(self) in {ApiError, GatewayError}:
            self.advice = _LATER

    @property
    def is_transient(self) -> bool:
        return self.status in TRANSIENT_STATUSES

    @property
    def type(self) -> ErrorType | None:
        """The documented kind of the error; None where the answer has none."""

        return self.info.type

    @property
    def message(self) -> str | None:
        """The service's own text. It may quote the record: do not log it."""

        return self.info.message

    @property
    def details(self) -> Sequence[ErrorInfo]:
        """The service's own details, such as one for each wrong field. They may quote the record."""

        return self.info.details


class GatewayError(ApiError):
    """An answer with an error status that is not in the service's own format.

    A proxy, a firewall or a load balancer sent it. It proves nothing about the request, but for the few
    statuses that say in themselves that it went no further (429 is one), and may be another the next time.
    """

    advice = "check workspace or base_url, and what is on the way to it: proxy=... or CLINIA_PROXY"
    is_final: bool = False
    """Every attempt at the request met one, so that it is the request that is not let through."""

    @property
    def is_block(self) -> bool:
        """Whether its status says that the request is not let through, rather than not now."""
        return self.status not in TRANSIENT_STATUSES

    @property
    def is_transient(self) -> bool:
        return super().is_transient or (self.outcome is Outcome.UNKNOWN and not self.is_final)


class AlreadyExists(ApiError, type=ErrorType.ALREADY_EXISTS):
    """The key is taken: a record with it exists."""

    advice = 'read the record that is there, or take it: on_existing="keep" or "compare"'


class ContentTooLarge(ApiError, type=ErrorType.CONTENT_TOO_LARGE):
    """The body is larger than the service accepts: send fewer operations at once."""

    advice = "send fewer operations in one request, or a smaller record"


class FailedPrecondition(ApiError, type=ErrorType.FAILED_PRECONDITION):
    """The state of the service does not allow it, such as a definition that is missing."""

    advice = (
        "check that the source, its definitions and what it refers to are there, and that the key is free"
    )


class Internal(ApiError, type=ErrorType.INTERNAL):
    """The service failed; whether it carried out a write is not known."""

    advice = _LATER


class InvalidArgument(ApiError, type=ErrorType.INVALID_ARGUMENT):
    """The service refused the content; `details` names the fields."""

    advice = "correct the content: error.message and error.details say how, and may quote the record"


class NotFound(ApiError, type=ErrorType.NOT_FOUND):
    """There is no such record, task or definition."""

    advice = "it is not there: check the id, the type, the source and the workspace"


class OutOfRange(ApiError, type=ErrorType.OUT_OF_RANGE):
    """A value is outside the range that the service accepts."""

    advice = "correct the content: error.message and error.details say how, and may quote the record"


class PermissionDenied(ApiError, type=ErrorType.PERMISSION_DENIED):
    """The key is valid and may not do this."""

    advice = "the key may not do this: ask for a key that may, or check the workspace and the source"


class Unauthenticated(ApiError, type=ErrorType.UNAUTHENTICATED):
    """The key is missing, wrong or expired."""

    advice = CHECK_KEY


class Unimplemented(ApiError, type=ErrorType.UNIMPLEMENTED):
    """The service does not offer this."""

    advice = "the service does not offer this: check workspace or base_url, or do without it"


class TaskError(CliniaError):
    """`token` picks the task up again, in this process or another: `session.task(error.token)`.

    `id` is that of the task, and `state` its last known status.
    """

    def __init__(
        self, message: str, *, id: TaskId, state: TaskStatus, token: str, outcome: Outcome = Outcome.UNKNOWN
    ) -> None:
        super().__init__(message)
        self.id = id
        self.state = state
        self.token = token
        self.outcome = outcome

    @property
    def kind(self) -> TaskKind:
        """The kind of the task, such as a bulk or a purge."""

        return self.id.kind

    @property
    def _consequence(self) -> str:
        has_ended = isinstance(self, TaskFailed | TaskCancelled | TaskDropped)
        return _READ_FIRST if has_ended and self.outcome is Outcome.UNKNOWN else ""


class TaskFailed(TaskError):
    """At least one operation failed or was cancelled. The others may be stored: FAILURE undoes nothing.

    `failed_receipts` are the operations that were not stored.
    """

    advice = "read error.failed_receipts: they say which operations failed and why"
    failed_receipts: Sequence[Receipt] = ()
    result: "models.BatchResult | None" = None
    """What became of each operation, if this was a bulk or a bundle whose writes are known here."""


class TaskCancelled(TaskError):
    """The service cancelled every operation, because of a concurrent one on the same record."""

    advice = "avoid two writes of one record at once"

    @property
    def _consequence(self) -> str:
        return "send it again" if self.outcome is Outcome.REJECTED else super()._consequence


class TaskDropped(TaskError):
    """The task ended well and its receipt says that a reviewer refused the write.

    `failed_receipts` are the operations that were not carried out. The outcome is UNKNOWN if an answer to
    the write was lost before: an earlier attempt may have been carried out.
    """

    advice = "ask the reviewer, and correct the record before you send it again"
    failed_receipts: Sequence[Receipt] = ()
    result: "models.BatchResult | None" = None
    """What became of each operation, if this was a bulk or a bundle whose writes are known here."""


class TaskUnconfirmed(TaskError):
    """The task ended well, and nothing proves whether the write was carried out or a reviewer refused it.

    Its receipt says neither, and the record that is there is not what was sent, or there is none. Awaiting
    the task again reads the record again.
    """

    advice = "read the record, or await the task again later"
    result: "models.BatchResult | None" = None
    """What became of each operation, if this was a bulk or a bundle whose writes are known here."""


class TaskTimeout(TaskError, TimeoutError):
    """We stopped waiting. There is no way to stop the task itself, so it may still complete."""

    advice = "resume the wait with session.task(error.token)"


class TaskPollError(TaskError):
    """The service no longer says how the task stands; what became of it is not known.

    `status` is the HTTP status of the answer that ended the wait, if there was one.
    """

    advice = "resume the wait with session.task(error.token), or read the record"
    status: int | None = None


class GatherError(CliniaError, ExceptionGroup[CliniaError]):
    """More than one of the tasks of `Session.gather` failed; `exceptions` holds every failure, in order.

    `outcome` is that of the failures if they agree, else UNKNOWN.
    """

    advice = "read its exceptions: each says what became of one task"

    def __init__(self, message: str, exceptions: Sequence[CliniaError]) -> None:
        super().__init__(message, exceptions)
        outcomes = {error.outcome for error in exceptions}
        self.outcome = outcomes.pop() if len(outcomes) == 1 else Outcome.UNKNOWN
        self._evidence = exceptions[0].evidence
