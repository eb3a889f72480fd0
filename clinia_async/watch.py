"""What is known of one task id, and whoever waits for it to change."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence

from attrs import define

from clinia_async.errors import CliniaError, ConfigError, ProtocolError, fresh
from clinia_async.keys import is_key
from clinia_async.models import Receipt, TaskSnapshot, TaskStatus
from clinia_async.task_id import TaskId, TaskKind


@define
class TaskStats:
    """Times are seconds on the event loop's clock."""

    submitted_at: float
    """When it was accepted; for a task picked up by its id or token, when it was picked up."""
    resumed: bool = False
    polls: int = 0
    seen_pending_at: float | None = None
    done_at: float | None = None

    @property
    def detection_gap(self) -> float | None:
        """How long the task may have been done before we noticed: at most this many seconds."""
        if self.done_at is None:
            return None
        since = self.submitted_at if self.seen_pending_at is None else self.seen_pending_at
        return self.done_at - since


class Watch:
    """What is known of one task id, shared by all its handles. Terminal is final."""

    __slots__ = (
        "__weakref__",
        "_begin",
        "_changed",
        "_ended",
        "_look",
        "_read",
        "id",
        "kept",
        "snapshot",
        "source",
        "stats",
        "wants_receipts",
    )

    def __init__(
        self,
        id: TaskId | None,
        source: str | None,
        *,
        look: Callable[["Watch", bool], Awaitable[TaskSnapshot]],
        read: Callable[["Watch"], Awaitable[TaskSnapshot]],
        begin: Callable[["Watch"], None],
        snapshot: TaskSnapshot,
        stats: TaskStats,
    ) -> None:
        self.id = id
        self.source = source
        self.snapshot = snapshot
        self.stats = stats
        self.kept: Sequence[Receipt] | None = None
        self.wants_receipts = False
        self._look = look
        self._read = read
        self._begin = begin
        # in the order in which they came; a thousand may wait for one bulk, and each is taken out
        self._changed: dict[asyncio.Future[None], None] = {}
        self._ended: dict[asyncio.Future[None], None] = {}

    @property
    def kind(self) -> TaskKind:
        """What was done without an id is a single write."""
        return TaskKind.SINGLE if self.id is None else self.id.kind

    @property
    def known_id(self) -> TaskId:
        """The id of a task that has one; a write that was done at once is never watched or resumed."""
        if self.id is None:
            raise ConfigError("this write was done at once and has no task to watch or resume")
        return self.id

    @property
    def waited_for(self) -> bool:
        return bool(self._changed or self._ended)

    @property
    def followed(self) -> bool:
        """Whether somebody wants each change, or the receipts with the end; a purge has none."""
        return (bool(self._changed) or self.wants_receipts) and self.kind is not TaskKind.PURGE

    async def ended(self) -> TaskSnapshot:
        while not self.snapshot.status.is_terminal:
            await self._one_of(self._ended)
        return self.snapshot

    async def changed(self) -> None:
        await self._one_of(self._changed)

    def ending(self) -> asyncio.Future[None]:
        """A future of the caller's own that resolves when the task ends; cancelling it stops the wait."""
        future = self._waiter(self._ended)
        if self.snapshot.status.is_terminal:
            self._wake(self._ended)
        return future

    async def look(self, *, receipts: bool) -> TaskSnapshot:
        """One GET, whatever is known already."""
        if self.id is None:
            return self.snapshot
        snapshot = await self._look(self, receipts)
        self.observe(snapshot)
        return snapshot

    async def receipts(self) -> Sequence[Receipt]:
        if self.kept is None and self.id is not None:
            snapshot = await self._read(self)
            if snapshot.receipts is None:
                raise ProtocolError("the receipts that were asked for are not in the answer")
            if self.snapshot.status.is_terminal and not snapshot.status.is_terminal:
                raise ProtocolError("the receipts are from before the end of the task")
            self.observe(snapshot)
            return snapshot.receipts
        return self.kept or ()

    def observe(self, snapshot: TaskSnapshot) -> None:
        now = asyncio.get_running_loop().time()
        if snapshot.status.is_terminal:
            self.stats.done_at = self.stats.done_at or now
            if snapshot.receipts is not None and self.kept is None:
                self.kept = snapshot.receipts
        else:
            self.stats.seen_pending_at = now
        if self.snapshot.status.is_terminal:
            return
        before, self.snapshot = self.snapshot, snapshot
        if differ(before, snapshot):
            self._wake(self._changed)
        if snapshot.status.is_terminal:
            self._wake(self._ended)

    def lose(self, error: CliniaError) -> None:
        """Ends every wait with `error`. The task itself goes on, and may be waited for again."""
        for future in (*self._changed, *self._ended):
            if not future.done():
                future.set_exception(fresh(error))

    async def _one_of(self, waiters: dict[asyncio.Future[None], None]) -> None:
        await self._waiter(waiters)

    def _waiter(self, waiters: dict[asyncio.Future[None], None]) -> asyncio.Future[None]:
        future = asyncio.get_running_loop().create_future()
        waiters[future] = None
        future.add_done_callback(waiters.__delitem__)
        if not self.snapshot.status.is_terminal:
            self._begin(self)
        return future

    @staticmethod
    def _wake(waiters: dict[asyncio.Future[None], None]) -> None:
        for future in waiters:
            if not future.done():
                future.set_result(None)


def token_of(id: TaskId, source: str | None) -> str:
    return json.dumps({"v": 1, "source": source, "task": str(id)}, separators=(",", ":"))


def parse_token(token: str) -> tuple[TaskId, str]:
    """The task id and the source key in a token. Raises `ConfigError` for text that is none."""
    try:
        members = json.loads(token)
        if members["v"] == 1 and is_key(members["source"]):
            return TaskId(members["task"]), members["source"]
    except (KeyError, RecursionError, TypeError, ValueError):
        pass
    raise ConfigError("this is not a token of a task that this version can read")


def differ(before: TaskSnapshot, after: TaskSnapshot) -> bool:
    """A look that did not ask for receipts does not take back what another one saw of them."""
    if before.status != after.status:
        return True
    return after.receipts is not None and _states(before) != _states(after)


def _states(snapshot: TaskSnapshot) -> set[object]:
    """What the receipts tell beyond that an operation is pending, which the task says already."""
    return {
        (receipt.target_type, receipt.type, receipt.id, receipt.status, receipt.pipeline_execution)
        for receipt in snapshot.receipts or ()
        if receipt.status != TaskStatus.PENDING or receipt.pipeline_execution is not None
    }
