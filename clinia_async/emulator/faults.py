"""Faults between a client and the registry, on purpose.

A fault decides whether and how a request is executed, and what the client sees instead of its answer.
It applies only to requests that were let in, so a wrong key uses none up.
"""

from abc import abstractmethod
from collections.abc import Callable
from random import Random
from typing import Literal

from attrs import Attribute, evolve, field, frozen
from orjson import dumps, loads

from clinia_async.emulator.errors import ApiError
from clinia_async.emulator.exchange import Plan, Reply, Request
from clinia_async.emulator.server import refusal
from clinia_async.emulator.validators import STATUS, InstanceOf, Number, OneOf, Text

Change = Callable[[object], object]
"""Changes the document of an answer."""

_SHARE = Number(least=0, most=1)
_SECONDS = Number(least=0)
_FLAG = InstanceOf(bool)


def _is_retry_after(_: object, attribute: "Attribute[float | str | None]", value: float | str | None) -> None:
    if not isinstance(value, str):
        Number(least=0, optional=True)(None, attribute, value)
    elif not (value.isascii() and value.isprintable()):
        raise ValueError(f"{attribute.name} must be a text that a header can hold")


@frozen(kw_only=True)
class Attempt:
    """A request that a fault applies to."""

    request: Request
    random: Random
    """Decided by the seed and by the content of the request."""

    execute: Callable[[Request, Change | None], Reply]
    """Execute the request, and return its answer, changed if a change is given."""

    execute_later: Callable[[Request, float], None]
    """Execute the request after some seconds of the loop's clock."""


@frozen(kw_only=True, eq=False)
class Fault:
    route: str
    """The name of the route it applies to, such as `create_relationship`."""

    times: int | None = field(default=None, validator=Number(least=1, whole=True, optional=True))
    """How often it applies before it is used up; None for no end."""

    probability: float = field(default=1.0, validator=_SHARE)
    executed: bool = field(default=False, init=False)
    """Whether the request is executed before the client sees the fault."""

    @abstractmethod
    def play(self, attempt: Attempt) -> Reply | None:
        """Return what the client sees; None ends the connection without a byte."""


@frozen(kw_only=True, eq=False)
class DroppedRequest(Fault):
    """The connection ends, and nothing was executed."""

    def play(self, attempt: Attempt) -> Reply | None:
        return None


@frozen(kw_only=True, eq=False)
class LostReply(Fault):
    """The connection ends without a byte of answer, yet the request was executed."""

    executed: bool = field(default=True, init=False)

    def play(self, attempt: Attempt) -> Reply | None:
        attempt.execute(attempt.request, None)
        return None


@frozen(kw_only=True, eq=False)
class TruncatedBody(Fault):
    """The request was executed; its answer promises more bytes than it brings, then ends."""

    executed: bool = field(default=True, init=False)

    def play(self, attempt: Attempt) -> Reply | None:
        return evolve(attempt.execute(attempt.request, None), complete=False)


@frozen(kw_only=True, eq=False)
class TooManyRequests(Fault):
    """429, and nothing was executed."""

    retry_after: float | str | None = field(default=None, validator=_is_retry_after)
    """Seconds or an HTTP date; a string is sent as it is, nonsense included."""

    def play(self, attempt: Attempt) -> Reply | None:
        return _later(429, "too many requests", self.retry_after)


@frozen(kw_only=True, eq=False)
class Unavailable(Fault):
    """503, before or after the request was executed."""

    retry_after: float | str | None = field(default=None, validator=_is_retry_after)
    executed: bool = field(default=False, validator=_FLAG)

    def play(self, attempt: Attempt) -> Reply | None:
        if self.executed:
            attempt.execute(attempt.request, None)
        return _later(503, "unavailable", self.retry_after)


Content = Literal["html", "json"]


@frozen(kw_only=True, eq=False)
class ProxyResponse(Fault):
    """The answer of a gateway, firewall or load balancer between client and service."""

    status: int = field(default=502, validator=STATUS)
    content: Content = field(default="html", validator=OneOf(Content))
    """A page for people, or JSON that is not the service's envelope."""

    location: str | None = field(default=None, validator=Text(optional=True))
    """Where a redirect leads."""

    executed: bool = field(default=False, validator=_FLAG)

    def play(self, attempt: Attempt) -> Reply | None:
        if self.executed:
            attempt.execute(attempt.request, None)
        headers = {} if self.location is None else {"Location": self.location}
        if self.content == "json":
            return Reply(status=self.status, body=_PROXY_JSON, headers=headers)
        body = _PROXY_PAGE % (self.status, self.status)
        return Reply(status=self.status, body=body, headers=headers, content_type="text/html")


_PROXY_PAGE = b"<html><head><title>%d</title></head><body><h1>%d</h1>The request was blocked.</body></html>\n"
_PROXY_JSON = dumps({"error": "upstream", "request": "blocked"})


@frozen(kw_only=True, eq=False)
class EmptyResponse(Fault):
    """204 without a body; the request was executed."""

    executed: bool = field(default=True, init=False)

    def play(self, attempt: Attempt) -> Reply | None:
        reply = attempt.execute(attempt.request, None)
        return reply if reply.status >= 300 else Reply(status=204, content_type=None)


@frozen(kw_only=True, eq=False)
class ByteOrderMark(Fault):
    """A byte order mark stands before the JSON; the request was executed."""

    executed: bool = field(default=True, init=False)

    def play(self, attempt: Attempt) -> Reply | None:
        reply = attempt.execute(attempt.request, None)
        return evolve(reply, body=b"\xef\xbb\xbf" + reply.body) if reply.body else reply


@frozen(kw_only=True, eq=False)
class LateExecution(Fault):
    """The connection ends without a byte of answer, and the request is executed seconds later."""

    seconds: float = field(default=2.0, validator=_SECONDS)

    def play(self, attempt: Attempt) -> Reply | None:
        attempt.execute_later(attempt.request, self.seconds)
        return None


@frozen(kw_only=True, eq=False)
class DoubleExecution(Fault):
    """The request is executed, and again seconds later; its answer may be lost."""

    seconds: float = field(default=1.0, validator=_SECONDS)
    lost: bool = field(default=False, validator=_FLAG)
    executed: bool = field(default=True, init=False)

    def play(self, attempt: Attempt) -> Reply | None:
        reply = attempt.execute(attempt.request, None)
        attempt.execute_later(attempt.request, self.seconds)
        return None if self.lost else reply


@frozen(kw_only=True, eq=False)
class StaleRead(Fault):
    """A replica answers a read of a record or of a task as it was seconds ago.

    The emulator remembers earlier states from the moment on at which the first such fault is added.
    """

    seconds: float = field(default=2.0, validator=_SECONDS)
    executed: bool = field(default=True, init=False)

    def play(self, attempt: Attempt) -> Reply | None:
        return attempt.execute(evolve(attempt.request, lag=self.seconds), None)


ReceiptForm = Literal[
    "null-details",
    "no-details",
    "text-details",
    "no-id",
    "no-type",
    "unknown-status",
    "empty-completed-at",
    "missing",
    "null-list",
]
RECEIPT_FORMS: tuple[ReceiptForm, ...] = (
    "null-details",
    "no-details",
    "text-details",
    "no-id",
    "no-type",
    "unknown-status",
    "empty-completed-at",
    "missing",
    "null-list",
)


@frozen(kw_only=True, eq=False)
class MalformedReceipts(Fault):
    """Receipts of a task are not as documented, in one of several forms."""

    form: ReceiptForm = field(default="null-details", validator=OneOf(ReceiptForm))
    share: float = field(default=1.0, validator=_SHARE)
    """Of the receipts that are malformed, drawn by the seed; the others stay as they are."""

    executed: bool = field(default=True, init=False)

    def play(self, attempt: Attempt) -> Reply | None:
        return attempt.execute(attempt.request, lambda document: self._changed(document, attempt.random))

    def _changed(self, document: object, random: Random) -> object:
        if not isinstance(document, dict) or "receipts" not in document:
            return document
        document = {**document, "receipts": loads(dumps(document["receipts"]))}
        if self.form == "null-list":
            return {**document, "receipts": None}
        receipts = [(receipt, random.random() < self.share) for receipt in document["receipts"]]
        if self.form == "missing":
            return {
                **document,
                "receipts": [receipt for receipt, is_malformed in receipts if not is_malformed],
            }
        return {
            **document,
            "receipts": [self._malformed(one) if is_malformed else one for one, is_malformed in receipts],
        }

    def _malformed(self, receipt: dict[str, object]) -> dict[str, object]:
        match self.form:
            case "no-id" | "no-type":
                return {name: value for name, value in receipt.items() if name != self.form[3:]}
            case "unknown-status":
                return {**receipt, "status": "FINALIZING"}
            case "empty-completed-at":
                return {**receipt, "completedAt": ""}
            case _:
                error = receipt.get("error")
                if not isinstance(error, dict):
                    return receipt
                rest = {name: value for name, value in error.items() if name != "details"}
                if self.form != "no-details":
                    rest["details"] = None if self.form == "null-details" else "<array>"
                return {**receipt, "error": rest}


@frozen(kw_only=True, eq=False)
class ExecutedAs(Fault):
    """The write is executed in another way than the emulator is set to: no fault of the wire."""

    plan: Plan = field(validator=InstanceOf(Plan))
    executed: bool = field(default=True, init=False)

    def play(self, attempt: Attempt) -> Reply | None:
        return attempt.execute(evolve(attempt.request, plan=self.plan), None)


@frozen(kw_only=True, eq=False)
class Refusal(Fault):
    """An error of the service, in its envelope; nothing was executed."""

    type: str = field(default="FAILED_PRECONDITION", validator=Text())
    status: int = field(default=400, validator=STATUS)
    message: str = field(default="refused, as the emulator is set", validator=Text())

    def play(self, attempt: Attempt) -> Reply | None:
        return refusal(ApiError(self.type, self.message, code=self.status))


def _later(code: int, message: str, retry_after: float | str | None) -> Reply:
    reply = refusal(ApiError(None, message, code=code))
    return reply if retry_after is None else evolve(reply, headers={"Retry-After": str(retry_after)})
