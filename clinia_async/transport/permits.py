"""The permits of requests in flight, and what their ends say about the load of the service."""

from enum import Enum

from clinia_async import transport


class LoadSignal(Enum):
    """What the answer to a request says about the load of the service."""

    GOOD = "good"
    THROTTLED = "throttled"
    NEITHER = "neither"
    REFUSED = "refused"
    """The service refused the key: no further request is admitted."""


class Permit:
    """One request in flight: its bytes, when it was admitted, and after how many decreases of the limit."""

    def __init__(
        self, size: int, at: float, epoch: int, limit: "transport.AdaptiveLimit | None" = None
    ) -> None:
        self.size = size
        self.at = at
        self.epoch = epoch
        self.limit = limit

    def leave(self, signal: LoadSignal, now: float, *, retry_after: float | None = None) -> None:
        """Report the end of the request to the limit that admitted it."""
        if self.limit is not None:
            self.limit.leave(self, signal, now, retry_after=retry_after)


UNMETERED = Permit(0, 0.0, 0)
"""The permit of every request that no adaptive limit admitted."""
