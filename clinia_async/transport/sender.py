"""One logical call: attempts within a deadline and a budget, and the settling of a lost answer.

The first attempt has nothing wrapped around it; the machinery below starts with a failure.
"""

import asyncio
from typing import Generic, TypeVar, cast

from attrs import define

from clinia_async.calls import Call, Reconcilable, Request, RetrySafety
from clinia_async.calls.reconciliation import DIFFERENT_RECORD, Match, is_duplicate, read_back
from clinia_async.errors import Outcome, RequestError, WriteConflict, copy_for_raise
from clinia_async.transport import Transport
from clinia_async.transport.admission import Admission
from clinia_async.transport.retry import RetryBudget, RetryPolicy, Waits, is_throttled, may_be_repeated

R = TypeVar("R")
T = TypeVar("T")


@define(eq=False, repr=False)
class Delivery(Generic[R]):
    """An answer: `maybe_applied` if an earlier one was lost, `reconciled` if it was found by reading back.

    `attempts` is how many times the call was sent; what was read to settle it does not count.
    """

    answer: R
    maybe_applied: bool = False
    reconciled: bool = False
    attempts: int = 1


class Sender:
    def __init__(self, transport: Transport, policy: RetryPolicy, *, settle_within: float) -> None:
        self._transport = transport
        self._policy = policy
        self._settle_within = settle_within
        self._budget = RetryBudget()
        self.admission: Admission | None = None
        """The gate that every attempt passes while there is one."""

    async def send(
        self, call: Call[R], deadline: float, *, maybe_applied: bool = False, slowest: int | None = None
    ) -> Delivery[R]:
        """`deadline` is a time of the event loop's clock, for all attempts together.

        `maybe_applied` says that an answer to this very call was lost before. With `slowest` the deadline
        moves by the time that the body needs at so many bytes a second.
        """
        request = call.request()
        if slowest is not None and request.body is not None:
            deadline += len(request.body) / slowest
        try:
            return Delivery(await self.once(call, request, deadline), maybe_applied)
        except RequestError as error:
            failure = error
        return await self._again(call, request, failure, deadline, maybe_applied=maybe_applied)

    async def once(self, call: Call[R], request: Request, deadline: float) -> R:
        attempt = self._transport.attempt
        if self.admission is None:
            content = await attempt(request, deadline)
        else:
            content = await self.admission.send(attempt, request, deadline)
        answer = call.decode_response(content)
        self._budget.success()
        return answer

    async def read(self, call: Call[R], deadline: float) -> R:
        return (await self.send(call, deadline)).answer

    async def _again(
        self, call: Call[R], request: Request, failure: RequestError, deadline: float, *, maybe_applied: bool
    ) -> Delivery[R]:
        waits, attempts = Waits(self._policy), 1
        while True:
            deadline += failure.waited
            if maybe_applied and is_duplicate(failure, call):
                answer = await self._reconcile(call, deadline, attempts)
                return Delivery(answer, maybe_applied=True, reconciled=True, attempts=attempts)
            maybe_applied = maybe_applied or failure.outcome is Outcome.UNKNOWN
            is_last = attempts >= self._policy.attempts
            if is_last or not await self._may_go_on(call, failure, waits, deadline):
                raise _verdict(failure, attempts, maybe_applied=maybe_applied)
            attempts += 1
            try:
                return Delivery(await self.once(call, request, deadline), maybe_applied, attempts=attempts)
            except RequestError as error:
                failure = error

    async def _may_go_on(self, call: Call[R], failure: RequestError, waits: Waits, deadline: float) -> bool:
        """Waits for the moment of the next attempt, if there is to be one."""
        if not may_be_repeated(failure, keyed=call.retry_safety is not RetrySafety.ONCE):
            return False
        pause = waits.after(failure)
        # A gate holds every request back for as long as a hint says, and bounds by itself how many of
        # them are throttled. So neither the deadline nor the budget of a call pays for that again.
        is_paced = self.admission is not None and is_throttled(failure)
        if is_paced:
            pause -= failure.retry_after or 0.0
        if asyncio.get_running_loop().time() + pause >= deadline:
            return False
        if not is_paced and not self._budget.afford(failure):
            return False
        await asyncio.sleep(pause)
        return True

    async def _reconcile(self, call: Call[R], deadline: float, attempts: int) -> R:
        """The answer of an earlier attempt, after a later one met what may be its result."""
        if not hasattr(call, "reconciled"):
            return cast("R", None)  # a delete without a task: that there is nothing any more is its result
        write = cast("Reconcilable[R]", call)
        deadline = min(deadline, asyncio.get_running_loop().time() + self._settle_within)

        async def read(call: Call[T]) -> T:
            return await self.read(call, deadline)

        try:
            back = await read_back(write, read, deadline)
        except RequestError as error:
            raise _verdict(error, attempts, maybe_applied=True) from None
        if back.match is Match.SAME:
            return cast("R", back.answer)
        raise _verdict(back.missing or WriteConflict(DIFFERENT_RECORD), attempts, maybe_applied=True)


def _verdict(failure: RequestError, attempts: int, *, maybe_applied: bool) -> RequestError:
    """The last failure; but once an answer was lost, no later one proves that nothing happened."""
    if maybe_applied and failure.outcome is not Outcome.UNKNOWN:
        failure = copy_for_raise(failure)
        failure.outcome = Outcome.UNKNOWN
    failure.attempts = attempts
    return failure
