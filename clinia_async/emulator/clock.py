"""One sense of time: durations on the loop's clock, stamps that keep in step with it."""

import asyncio
from datetime import UTC, datetime, timedelta


class Clock:
    def __init__(self) -> None:
        self.now = asyncio.get_running_loop().time
        self._start = datetime.now(UTC) - timedelta(seconds=self.now())

    def wall(self) -> datetime:
        """Never behind the machine's clock, nor behind a loop whose clock jumps.

        The loop's clock stands still while a laptop sleeps, the other one while a test jumps;
        a client may stamp its metadata from either, and must not be told it is in the future.
        """
        return max(datetime.now(UTC), self._start + timedelta(seconds=self.now()))

    def stamp(self, moment: float | None = None) -> str:
        """RFC 3339 for a moment of the loop's clock, by default this one."""
        wall = self.wall()
        if moment is not None:
            wall -= timedelta(seconds=self.now() - moment)
        return wall.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
