"""What the methods of a session are made with."""

from collections.abc import Coroutine
from inspect import isfunction

from clinia_async.calls import Call, Write
from clinia_async.calls.call import R
from clinia_async.calls.conflicts import OnExisting
from clinia_async.models.refusal import without_locals
from clinia_async.models.task_id import TaskId
from clinia_async.session.submissions import Submission
from clinia_async.tasks.task import Task


class CallInterface:
    """The two ways to make a call of the API.

    Every method takes a `timeout` in seconds for its call with all retries; None takes the session's.
    """

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for name, method in tuple(vars(cls).items()):
            if isfunction(method) and not name.startswith("_"):
                setattr(cls, name, without_locals(method))

    def submit(
        self,
        write: Write[R],
        *,
        timeout: float | None = None,
        maybe_applied: bool = False,
        read_back: bool | None = None,
        on_existing: OnExisting | str = OnExisting.FAIL,
    ) -> Submission[R]:
        """Send a write that was made as a value, and return its task.

        Args:
            timeout: seconds for the call with all its retries; None takes the session's.
            maybe_applied: this very write was sent before and its answer was lost. A key that is then found
                taken is reconciled by reading it back, instead of raising `AlreadyExists`.
            read_back: False takes the record as it was sent for the result of a queued write that its receipt
                proves, and saves a request; None does as the session's `read_back` says.
            on_existing: what becomes of a create whose key another record holds. `fail` raises; `compare`
                returns an equal record and raises for a different one; `keep` returns what is there. The
                task's `existing` says which it was. Other than `fail`, the write is sent by itself.

        Raises:
            ConfigError: `on_existing` is none of these, or the write is no create whose key is known.
            RequestError: no good answer came; its `outcome` says what may have happened.
            SessionClosed: the session is closed.
        """
        raise NotImplementedError

    def send(self, call: Call[R], *, timeout: float | None = None) -> Coroutine[object, object, R]:
        """Send any call and return its decoded answer: for a write that is the submission, not a task.

        Raises:
            RequestError: no good answer came; its `outcome` says what may have happened.
            SessionClosed: the session is closed.
        """
        raise NotImplementedError

    def task(self, id_or_token: TaskId | str, *, source: str | None = None) -> Task[object]:
        """Return a handle of a task that was submitted elsewhere; nothing is sent until it is awaited.

        An id needs its source, here or in the session. The result is the record that a single write
        made, the purge of a purge, and the receipts (`BatchResult`) for any other task.

        Raises:
            ConfigError: the text is no id and no token, or the source is missing.
            SessionClosed: the session is closed.
        """
        raise NotImplementedError

    def _perform(
        self, call: Call[R], timeout: float | None, on_existing: OnExisting | str = OnExisting.FAIL
    ) -> Submission[R]:
        """Send a write that the service answers at once and without a task."""
        raise NotImplementedError
