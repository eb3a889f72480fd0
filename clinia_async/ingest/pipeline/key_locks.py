"""Locks and fences of keys: two writes of one record are never in flight together.

The service cancels concurrent operations on one record. Nor does a write go out while an earlier one, whose
answer was lost, may still be carried out and undo it.
"""

from collections import deque
from collections.abc import Iterable, Sequence

from clinia_async.ingest.records.record import Record
from clinia_async.ingest.records.record_batch import RecordBatch
from clinia_async.models import Action
from clinia_async.models.batch_result import Key


class KeyLocks:
    """One holder for each key; later records of the key wait in the order of the input.

    At most about `limit` records wait, see `is_crowded`. A record whose id the service makes has no key, and
    waits for nobody.
    """

    def __init__(self, limit: int = 10_000) -> None:
        self._waiting: dict[Key, deque[Record] | None] = {}
        """By key, for each that is held: the records that wait for it."""
        self._blocked: set[Key] = set()
        self._waiting_count = 0
        self._limit = limit
        self.is_crowded = False

    def acquire(self, batch: RecordBatch) -> list[int]:
        """Lock the keys of a batch; return the places of records that have to wait.

        `release` gives those back in their turn.
        """
        keys, waiting = batch.keys, self._waiting
        if not keys or keys[0] is None:
            return []
        distinct: dict[Key, deque[Record] | None] = dict.fromkeys(keys)  # type: ignore[arg-type]  # none is None
        if len(distinct) == len(keys) and waiting.keys().isdisjoint(distinct):
            waiting.update(distinct)
            return []
        return [place for place, key in enumerate(keys) if key and not self._acquire(key, batch, place)]

    def _acquire(self, key: Key, batch: RecordBatch, place: int) -> bool:
        if key not in self._waiting:
            self._waiting[key] = None
            return True
        queue = self._waiting[key]
        if queue is None:
            queue = self._waiting[key] = deque()
        queue.append(batch.record(place))
        if key not in self._blocked:
            self._count_waiting(1)
        return False

    def block(self, keys: Iterable[Key | None]) -> None:
        """Never release these keys in this run: what waits for them, and what comes, waits to its end."""
        for key in filter(None, keys):
            self._blocked.add(key)
            self._count_waiting(-len(self._waiting[key] or ()))

    def release(self, keys: Sequence[Key | None]) -> list[Record]:
        """Unlock keys; return the records that waited first for them, which hold them now."""
        held = keys if None not in keys else [*filter(None, keys)]
        queues = [*map(self._waiting.pop, held)]  # type: ignore[arg-type]
        if not any(queues):
            return []
        followers = []
        for key, queue in zip(held, queues, strict=True):
            if queue:
                self._waiting[key] = queue  # type: ignore[index]
                self._count_waiting(-1)
                followers.append(queue.popleft())
        return followers

    @property
    def has_followers(self) -> bool:
        """Whether records wait for a key that may still be released."""
        return self._waiting_count > 0

    def waiting(self) -> list[Record]:
        """The records that wait for a key."""
        return [record for queue in self._waiting.values() for record in queue or ()]

    def _count_waiting(self, count: int) -> None:
        self._waiting_count += count
        self.is_crowded = self._waiting_count >= self._limit


class KeyFences:
    """Keys of writes that may be carried out late, for `seconds` after their outcome was reported.

    A create cannot undo another create; every other write waits behind all that may be late.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until: dict[Key, tuple[float, bool]] = {}
        """In the order of time, with whether all that may be late are creates."""

    def __bool__(self) -> bool:
        return bool(self._until)

    def add(self, writes: Iterable[tuple[Key | None, Action]], now: float) -> None:
        """Fence the keys of these writes."""
        while self._until and self._until[oldest := next(iter(self._until))][0] <= now:
            del self._until[oldest]
        for key, action in writes:
            if key is not None:
                _, only_creates = self._until.pop(key, (0.0, True))
                self._until[key] = now + self._seconds, only_creates and action is Action.CREATE

    def opens_at(self, record: Record, now: float) -> float | None:
        """Return when `record` may be sent; None for now."""
        if record.key is None or record.key not in self._until:
            return None
        until, only_creates = self._until[record.key]
        return None if until <= now or (only_creates and record.action is Action.CREATE) else until

    def lift(self, record: Record, now: float) -> None:
        """Drop what `record` would wait for: a previous run sent it, so its wait was over by then."""
        if record.key is not None and self.opens_at(record, now) is not None:
            del self._until[record.key]
