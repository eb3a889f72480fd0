"""One sense of time: durations on the loop's clock, stamps that keep in step with it."""

import asyncio
from datetime import UTC, datetime
from time import time


class Clock:
    def __init__(self) -> None:
        self.now = asyncio.get_running_loop().time
        self._start = time() - self.now()
        self._second, self._text = 0, ""

    def wall(self) -> datetime:
        return datetime.fromtimestamp(self._wall(), UTC)

    def stamp(self, moment: float | None = None) -> str:
        """RFC 3339 for a moment of the loop's clock, by default this one."""
        wall = self._wall()
        if moment is not None:
            wall -= self.now() - moment
        second, milliseconds = divmod(int(wall * 1000), 1000)
        if second != self._second:
            self._second = second
            self._text = datetime.fromtimestamp(second, UTC).replace(tzinfo=None).isoformat()
        return f"{self._text}.{milliseconds:03d}Z"

    def _wall(self) -> float:
        """Never behind the machine's clock, nor behind a loop whose clock jumps.

        The loop's clock stands still while a laptop sleeps, the other one while a test jumps;
        a client may stamp its metadata from either, and must not be told it is in the future.
        """
        return max(time(), self._start + self.now())
