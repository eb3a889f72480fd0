"""The emulator's time: durations on the loop's clock, and timestamps that never go back."""

import asyncio
from datetime import UTC, datetime
from time import time


class Clock:
    """A wall clock that runs with the loop's clock.

    The loop's clock never goes back, and the difference between both only grows: so of two moments
    the later one never has the earlier timestamp, even if the machine's clock is set back. It grows
    because the loop's clock stands still while a laptop sleeps, and a client may take its metadata
    from the machine's clock, which must not be refused as lying in the future.
    """

    def __init__(self, earliest: str | None = None) -> None:
        """`earliest` is the latest timestamp of an earlier run, which this one does not go behind."""
        self.now = asyncio.get_running_loop().time
        start = time() if earliest is None else max(time(), datetime.fromisoformat(earliest).timestamp())
        self._ahead = start - self.now()
        self._second, self._text = 0, ""

    def wall(self) -> datetime:
        return datetime.fromtimestamp(self._wall(self.now()), UTC)

    def stamp(self, moment: float | None = None) -> str:
        """Return the RFC 3339 timestamp of a moment of the loop's clock, by default of this one."""
        wall = self._wall(self.now() if moment is None else moment)
        second, milliseconds = divmod(int(wall * 1000), 1000)
        if second != self._second:
            self._second = second
            self._text = datetime.fromtimestamp(second, UTC).replace(tzinfo=None).isoformat()
        return f"{self._text}.{milliseconds:03d}Z"

    def _wall(self, moment: float) -> float:
        self._ahead = max(self._ahead, time() - self.now())
        return moment + self._ahead
