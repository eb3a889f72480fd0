"""What happens to the next requests of a route, in words."""

from typing import Self

from attrs import frozen

from clinia_async.emulator.chaos import Faults
from clinia_async.emulator.exchange import Failure, Plan
from clinia_async.emulator.faults import (
    DoubleExecution,
    DroppedRequest,
    ExecutedAs,
    Fault,
    LateExecution,
    LostReply,
    MalformedReceipts,
    ProxyResponse,
    ReceiptForm,
    Refusal,
    StaleRead,
    TooManyRequests,
    TruncatedBody,
    Unavailable,
)
from clinia_async.emulator.latency import Accepted, Constant, Mode, Persisted, Review
from clinia_async.emulator.validators import Number, Text


@frozen
class Script:
    """Steps for the next requests of one route: each step is used by one request, in order.

    Every method adds one step and returns the script, so that steps can be chained:
    `emulator.on("create_relationship").accept(polls=2).lose_reply().fail()`. A step that would change nothing
    at the route, such as `read_stale` of a write, is a `ValueError`.
    """

    _faults: Faults
    _route: str

    def succeed(self, times: int = 1) -> Self:
        """Answer as without a script, so many times.

        Raises:
            ValueError: `times` is no whole number of 1 or more.
        """
        Number(least=1, whole=True).check("times", times)
        for _ in range(times):
            self._faults.add_step(self._route, None)
        return self

    def persist(self) -> Self:
        """Execute the write at once."""
        return self._as(Persisted())

    def accept(self, *, polls: int | None = None, seconds: float = 0.0) -> Self:
        """Accept the write; it is executed after so many polls that saw it pending, or after seconds.

        Raises:
            ValueError: both are given, or one is out of its range.
        """
        return self._as(Accepted(Constant(seconds)), polls=polls)

    def fail(
        self,
        type: str = "FAILED_PRECONDITION",
        *,
        operation: int | None = None,
        polls: int | None = None,
        seconds: float = 0.0,
    ) -> Self:
        """Accept the write; its task ends in FAILURE with this error.

        Args:
            operation: the number of the failing operation of a bulk or bundle, counted from 1;
                without it, all fail. A request that has fewer operations is refused.

        Raises:
            ValueError: both `polls` and `seconds` are given, or an argument is out of its range.
        """
        Number(least=1, whole=True, optional=True).check("operation", operation)
        Text().check("type", type)
        failure = Failure(type, None if operation is None else operation - 1)
        return self._as(Accepted(Constant(seconds)), polls=polls, failure=failure)

    def refuse(self, type: str = "FAILED_PRECONDITION", status: int = 400) -> Self:
        """Answer with an error of the service; nothing is executed."""
        return self._add(Refusal(route=self._route, type=type, status=status))

    def hold_for_review(self) -> Self:
        """Accept the write; it waits until `Emulator.approve` or `Emulator.reject`."""
        return self._as(Review())

    def approve(self, *, seconds: float = 0.0) -> Self:
        """Accept the write; a reviewer approves it after seconds."""
        return self._as(Review(Constant(seconds), approved=True))

    def reject(self, *, seconds: float = 0.0) -> Self:
        """Accept the write; a reviewer rejects it after seconds, so that nothing is stored."""
        return self._as(Review(Constant(seconds), approved=False))

    def lose_reply(self) -> Self:
        """Execute the request; the connection ends without an answer."""
        return self._add(LostReply(route=self._route))

    def drop(self) -> Self:
        """Execute nothing; the connection ends without an answer."""
        return self._add(DroppedRequest(route=self._route))

    def truncate(self) -> Self:
        """Execute the request; its answer ends in the middle."""
        return self._add(TruncatedBody(route=self._route))

    def throttle(self, retry_after: float | str | None = None) -> Self:
        """Answer 429; nothing is executed."""
        return self._add(TooManyRequests(route=self._route, retry_after=retry_after))

    def unavailable(self, retry_after: float | str | None = None, *, executed: bool = False) -> Self:
        """Answer 503."""
        return self._add(Unavailable(route=self._route, retry_after=retry_after, executed=executed))

    def block(self, status: int = 403, *, executed: bool = False) -> Self:
        """Answer with the HTML page of a gateway or firewall."""
        return self._add(ProxyResponse(route=self._route, status=status, executed=executed))

    def execute_late(self, seconds: float = 2.0) -> Self:
        """End the connection without an answer, and execute the request after seconds."""
        return self._add(LateExecution(route=self._route, seconds=seconds))

    def execute_twice(self, seconds: float = 1.0, *, lost: bool = False) -> Self:
        """Execute the request now and again after seconds; with `lost`, without an answer."""
        return self._add(DoubleExecution(route=self._route, seconds=seconds, lost=lost))

    def read_stale(self, seconds: float = 2.0) -> Self:
        """Answer a read as of seconds ago."""
        return self._add(StaleRead(route=self._route, seconds=seconds))

    def alter_receipts(self, form: ReceiptForm = "null-details") -> Self:
        """Answer with receipts that are not as documented."""
        return self._add(MalformedReceipts(route=self._route, form=form))

    def _as(self, mode: Mode, *, polls: int | None = None, failure: Failure | None = None) -> Self:
        if polls is not None and isinstance(mode, Accepted) and mode.latency != Constant(0.0):
            raise ValueError("polls and seconds exclude each other: give one of them")
        plan = Plan(mode=mode, polls=polls, failure=failure)
        return self._add(ExecutedAs(route=self._route, plan=plan))

    def _add(self, step: Fault) -> Self:
        self._faults.add_step(self._route, step)
        return self
