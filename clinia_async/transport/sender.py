"""One logical call: attempts within a deadline and a budget, and the reconciliation of a lost answer.

The first attempt has nothing wrapped around it; the machinery below starts with a failure.
"""

import asyncio
import re
from collections.abc import Mapping
from copy import copy
from typing import Generic, TypeVar, cast

from clinia_async.calls import Call, Reconcilable, Request, RetrySafety
from clinia_async.calls.call import R
from clinia_async.calls.error_answers import refuse_error_within
from clinia_async.calls.good_answers import refuse_promise
from clinia_async.calls.receipts import is_duplicate
from clinia_async.calls.reconciliation import (
    Match,
    conflict_of,
    read_back,
    statement_of_failure,
)
from clinia_async.errors import (
    GatewayError,
    Outcome,
    ProtocolError,
    RequestError,
    SessionClosed,
    copy_for_raise,
    reason_of,
)
from clinia_async.serialization.drift import Drift, counting_drift
from clinia_async.telemetry import Telemetry
from clinia_async.transport import Transport
from clinia_async.transport.limiter import Limiter
from clinia_async.transport.observed import ObservedTransport, emit_retry, emit_throttled
from clinia_async.transport.retry import (
    RetryBudget,
    RetryPolicy,
    RetryWaits,
    is_throttled,
    may_be_repeated,
)

T = TypeVar("T")


class Delivery(Generic[R]):
    """An answer: `maybe_applied` if an earlier one was lost, `reconciled` if it was found by reading back.

    `attempts` is how many times the call was sent; reads for the reconciliation do not count. `request_id`
    is what the last answer to it, good or bad, calls the request.
    """

    def __init__(
        self,
        answer: R,
        maybe_applied: bool = False,
        reconciled: bool = False,
        attempts: int = 1,
        request_id: str | None = None,
    ) -> None:
        self.answer = answer
        self.maybe_applied = maybe_applied
        self.reconciled = reconciled
        self.attempts = attempts
        self.request_id = request_id


class Sender:
    """Sends the calls of a session: the limit on all of them, retries, and reconciliation."""

    def __init__(
        self,
        transport: Transport,
        policy: RetryPolicy,
        telemetry: Telemetry,
        *,
        reconcile_timeout: float,
        drift: Drift,
    ) -> None:
        self._transport = transport
        self._telemetry = telemetry
        self._observed = ObservedTransport(transport, telemetry)
        self._policy = policy
        self._reconcile_timeout = reconcile_timeout
        self._drift = drift
        self._headers: Mapping[str, str] | None = None
        self._budget = RetryBudget.of(policy)
        self.limiter = Limiter(transport.connections)
        RetryWaits(policy)  # loads what the first retry needs now, and not in the middle of a call

    def with_options(self, policy: RetryPolicy, headers: Mapping[str, str]) -> "Sender":
        """Return a sender with another policy and more headers.

        It shares the connections and the limits of this one.
        """
        sender = copy(self)
        if headers:
            sender._headers = {**(self._headers or {}), **headers}
        sender._policy = policy
        if (policy.budget, policy.earned) != (self._policy.budget, self._policy.earned):
            sender._budget = RetryBudget.of(policy)
        return sender

    async def send(
        self, call: Call[R], deadline: float, *, maybe_applied: bool = False, slowest: int | None = None
    ) -> Delivery[R]:
        """Send `call`, again where that is safe and of use, and return its answer.

        Args:
            deadline: a time of the event loop's clock, for all attempts together.
            maybe_applied: an answer to this very call was lost before.
            slowest: bytes a second; the deadline moves by the time that the body needs at that rate.

        Raises:
            RequestError: no attempt brought a good answer; its `outcome` says what may have happened.
            SessionClosed: the borrowed session was closed; its `outcome` says the same.
        """
        request = call.request()
        if slowest is not None and request.body is not None:
            deadline += len(request.body) / slowest
        if self._telemetry.tracer is not None:
            with self._telemetry.span(operation_name(call), clinia__source=getattr(call, "source", None)):
                return await self._send(call, request, deadline, maybe_applied=maybe_applied)
        return await self._send(call, request, deadline, maybe_applied=maybe_applied)

    async def _send(
        self, call: Call[R], request: Request, deadline: float, *, maybe_applied: bool
    ) -> Delivery[R]:
        try:
            answer = await self.once(call, request, deadline)
            return Delivery(answer, maybe_applied, request_id=request.request_id)
        except RequestError as error:
            failure = error
        except SessionClosed as error:
            raise _closed(error, maybe_applied=maybe_applied) from None
        return await self._again(call, request, failure, deadline, maybe_applied=maybe_applied)

    async def once(self, call: Call[R], request: Request, deadline: float) -> R:
        """Make one attempt; a good answer sets `request.request_id`. Raises `RequestError`."""
        attempt = self._observed.attempt if self._telemetry.active else self._transport.attempt
        if self._headers is not None:
            request.headers = self._headers
        counting_drift.set(self._drift)
        response = await self.limiter.send(attempt, request, deadline)
        request.request_id = response.request_id
        try:
            refuse_promise(response.status, makes_no_task=request.makes_no_task)
            if request.method != "GET" and not request.is_raw:
                refuse_error_within(response.body)
            answer = call.decode_response(response.body)
        except ProtocolError as error:
            failure = copy_for_raise(error)  # without the frames that hold the body
            failure.args = (f"{request.method} {request.route}: {reason_of(error)}",)
        else:
            self._budget.success()
            return answer
        failure.request_id = request.request_id
        # where it cannot be found out what was done, sending it again may do it again
        failure.transient = request.method != "POST" or hasattr(call, "reconciled")
        raise failure

    async def read(self, call: Call[R], deadline: float) -> R:
        """Send `call` as `send` does and return the decoded answer alone."""
        return (await self.send(call, deadline)).answer

    async def _again(
        self, call: Call[R], request: Request, failure: RequestError, deadline: float, *, maybe_applied: bool
    ) -> Delivery[R]:
        clock = self.limiter.patience_clock
        waits, attempts, failed_at = RetryWaits(self._policy), 1, clock.moment()
        blocks = 0
        while True:
            blocks += isinstance(failure, GatewayError) and failure.is_block
            deadline += failure.waited
            if maybe_applied and is_duplicate(failure, call):
                return await self._reconcile(call, failure, deadline, attempts)
            maybe_applied = maybe_applied or failure.outcome is Outcome.UNKNOWN
            if is_throttled(failure):
                emit_throttled(self._telemetry, request, failure)
            is_last = not self._policy.allows(attempts, failing_for=clock.since(failed_at))
            pause = None if is_last else self._pause_before_retry(call, failure, waits, deadline)
            if pause is None:
                final = _final_error(failure, attempts, maybe_applied=maybe_applied)
                final.is_read = request.method == "GET" or request.is_read
                if isinstance(final, GatewayError):
                    final.is_final = attempts == blocks > 1
                raise final
            emit_retry(self._telemetry, request, failure, pause)
            await asyncio.sleep(pause)
            attempts += 1
            request.resends += 1
            try:
                answer = await self.once(call, request, deadline)
                return Delivery(answer, maybe_applied, attempts=attempts, request_id=request.request_id)
            except RequestError as error:
                failure = error
            except SessionClosed as error:
                raise _closed(error, maybe_applied=maybe_applied) from None

    def _pause_before_retry(
        self, call: Call[R], failure: RequestError, waits: RetryWaits, deadline: float
    ) -> float | None:
        """Return the seconds until the next attempt; None if there is to be none."""
        if not may_be_repeated(failure, keyed=call.retry_safety is not RetrySafety.ONCE):
            return None
        pause = waits.after(failure)
        # An adaptive limit holds every request back for as long as a Retry-After says, and bounds by
        # itself how many are throttled: neither the deadline nor the budget of a call pays for that again.
        is_paced = self.limiter.adaptive is not None and is_throttled(failure)
        if is_paced:
            pause -= failure.retry_after or 0.0
        if _now() + pause >= deadline:
            return None
        is_free = is_paced or (is_throttled(failure) and failure.retry_after)
        return pause if is_free or self._budget.afford(failure) else None

    async def _reconcile(
        self, call: Call[R], failure: RequestError, deadline: float, attempts: int
    ) -> Delivery[R]:
        """The answer of an earlier attempt, after a later one met what may be its result."""
        delivery = Delivery(
            cast("R", None),
            maybe_applied=True,
            reconciled=True,
            attempts=attempts,
            request_id=failure.request_id,
        )
        if not hasattr(call, "reconciled"):
            return delivery  # a delete without a task: that there is nothing any more is its result
        write = cast("Reconcilable[R]", call)
        deadline = min(deadline, _now() + self._reconcile_timeout)

        async def read(call: Call[T]) -> T:
            return await self.read(call, deadline)

        try:
            back = await read_back(write, read, deadline)
        except RequestError as error:
            raise _final_error(error, attempts, maybe_applied=True) from None
        except SessionClosed as error:
            raise _closed(error, maybe_applied=True) from None
        if back.match is Match.SAME:
            delivery.answer = cast("R", back.answer)
            return delivery
        missing = back.missing or conflict_of(write)
        missing.request_id = missing.request_id or failure.request_id
        raise _final_error(missing, attempts, maybe_applied=True)


def _final_error(failure: RequestError, attempts: int, *, maybe_applied: bool) -> RequestError:
    """Return the last failure, which says what all attempts together prove."""
    failure = statement_of_failure(failure, maybe_applied=maybe_applied).on(failure)
    failure.attempts = attempts
    return failure


def _closed(error: SessionClosed, *, maybe_applied: bool) -> SessionClosed:
    return statement_of_failure(error, maybe_applied=maybe_applied).on(error)


def operation_name(call: object) -> str:
    """Return the name of a call as its method has it, such as `create_relationship`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(call).__name__.removeprefix("Encoded")).lower()


def _now() -> float:
    return asyncio.get_running_loop().time()
