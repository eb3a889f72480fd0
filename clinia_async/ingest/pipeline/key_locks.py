"""Two writes of one key never fly together: the service cancels concurrent operations on one record.

Nor does one fly while an earlier one, whose answer was lost, may still be carried out and undo it.
"""

from collections import deque
from collections.abc import Sequence

from clinia_async.ingest.records.record import Record
from clinia_async.models import Action
from clinia_async.models.batch_result import Key


class KeyLocks:
    """Who comes second waits behind the first, in the order of the input. At most `limit` records wait.

    A record whose id the service makes has no key, and waits for nobody.
    """

    def __init__(self, limit: int = 10_000) -> None:
        self._waiting: dict[Key, deque[Record] | None] = {}
        self._held: set[Key] = set()
        self._parked = 0
        self._limit = limit
        self.is_crowded = False

    def claim(self, record: Record) -> bool:
        """Whether the record may fly now; if not, it will come out of `release` in its turn."""
        key = record.key
        if key is None:
            return True
        waiting = self._waiting
        if key not in waiting:
            waiting[key] = None
            return True
        queue = waiting[key]
        if queue is None:
            queue = waiting[key] = deque()
        queue.append(record)
        if key not in self._held:
            self._park(1)
        return False

    def claim_all(self, keys: Sequence[Key | None]) -> list[int]:
        """`claim` for many at once: the places of those that may not fly now, and are yet to be parked."""
        waiting = self._waiting
        if not keys or keys[0] is None:
            return []
        fresh: dict[Key, deque[Record] | None] = dict.fromkeys(keys)  # type: ignore[arg-type]  # none is None
        if len(fresh) == len(keys) and waiting.keys().isdisjoint(fresh):
            waiting.update(fresh)
            return []
        taken = []
        for place, key in enumerate(keys):
            if key in waiting:
                taken.append(place)
            else:
                waiting[key] = None  # type: ignore[index]
        return taken

    def hold(self, record: Record) -> None:
        """Whatever waits for its key waits for ever, and so does whatever comes."""
        if record.key is not None:
            self._held.add(record.key)
            self._park(-len(self._waiting[record.key] or ()))

    def release(self, record: Record) -> Record | None:
        """`record` is settled: the next record of its key, which now holds the claim, if there is one."""
        key = record.key
        if key is None:
            return None
        queue = self._waiting.pop(key)
        if not queue:
            return None
        self._waiting[key] = queue
        self._park(-1)
        return queue.popleft()

    def release_all(self, keys: Sequence[Key | None]) -> list[Record]:
        """`release` of them all: the records that now hold a claim."""
        held = keys if None not in keys else [*filter(None, keys)]
        queues = [*map(self._waiting.pop, held)]  # type: ignore[arg-type]
        if not any(queues):
            return []
        followed = []
        for key, queue in zip(held, queues, strict=True):
            if queue:
                self._waiting[key] = queue  # type: ignore[index]
                self._park(-1)
                followed.append(queue.popleft())
        return followed

    def _park(self, count: int) -> None:
        self._parked += count
        self.is_crowded = self._parked >= self._limit

    def parked(self) -> list[Record]:
        return [record for queue in self._waiting.values() for record in queue or ()]


class KeyFences:
    """Keys of writes that may be carried out late, for `fence` seconds after they were settled.

    One create can undo no other; but what is neither must wait behind all that may be late.
    """

    def __init__(self, fence: float) -> None:
        self._fence = fence
        self._until: dict[Key, tuple[float, bool]] = {}
        """In the order of time, with whether all that may be late are creates."""

    def __bool__(self) -> bool:
        return bool(self._until)

    def add(self, key: Key, action: Action, now: float) -> None:
        while self._until and self._until[oldest := next(iter(self._until))][0] <= now:
            del self._until[oldest]
        _, creates = self._until.pop(key, (0.0, True))
        self._until[key] = now + self._fence, creates and action is Action.CREATE

    def until(self, record: Record, now: float) -> float | None:
        """When `record` may fly; None for now."""
        if record.key is None or record.key not in self._until:
            return None
        until, creates = self._until[record.key]
        return None if until <= now or (creates and record.action is Action.CREATE) else until

    def waited(self, record: Record, now: float) -> None:
        """`record` was sent by a former run, so whatever it had to wait for was past."""
        if record.key is not None and self.until(record, now) is not None:
            del self._until[record.key]
