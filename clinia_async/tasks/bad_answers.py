"""Polls of a task that brought no status: how long they have lasted, and when to poll again."""

from clinia_async.models.struct import Struct

_LONGEST_PAUSE = 15.0


class BadAnswerStreak(Struct):
    """Consecutive polls of one task that brought no status, up to the last of them.

    `at` is on the poller's patience clock, and `began` on the event loop's. `lasted` are the seconds that
    count against the patience: those that follow an answer with a Retry-After do not.
    """

    count: int
    at: float
    lasted: float
    has_asked_to_wait: bool
    began: float

    @classmethod
    def after(
        cls, before: "BadAnswerStreak | None", at: float, *, now: float, has_asked_to_wait: bool
    ) -> "BadAnswerStreak":
        """Return the streak with one more bad answer, at `at` and, on the event loop's clock, `now`."""
        if before is None:
            return cls(1, at, 0.0, has_asked_to_wait, now)
        silence = 0.0 if before.has_asked_to_wait else at - before.at
        return cls(before.count + 1, at, before.lasted + silence, has_asked_to_wait, before.began)

    def pause(self, planned: float) -> float:
        """Seconds until the next poll: longer with each bad answer, in proportion to the planned pause.

        So the end of a short task is noticed soon after an outage, however long that was.
        """
        backoff = 0.25 * float(2 ** min(self.count, 10))
        return max(planned, min(backoff, 4 * planned, _LONGEST_PAUSE))
