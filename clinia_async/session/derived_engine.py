"""An engine with other settings, over the connections of a session's own."""

import asyncio
from collections.abc import Mapping

from clinia_async.session.engine import Components, Engine
from clinia_async.session.options import SessionOptions
from clinia_async.tasks.task_state import StateReader


class DerivedEngine(Engine):
    """Shares everything with `parent` but the settings, and the polling of the tasks that it submits."""

    def __init__(self, parent: Engine, options: SessionOptions, headers: Mapping[str, str]) -> None:
        super().__init__(parent.addresses, parent.identity, options)
        self._parent = parent
        self._headers = headers
        self.telemetry, self.drift, self.submissions = parent.telemetry, parent.drift, parent.submissions

    @property
    def closed(self) -> bool:
        return super().closed or self._parent.closed

    def open(self, *, maybe_applied: bool = False) -> Components:
        self._parent.open(maybe_applied=maybe_applied)
        return super().open(maybe_applied=maybe_applied)

    def _build(self, loop: asyncio.AbstractEventLoop) -> Components:
        shared = self._parent.open()
        sender = shared.sender.with_options(self._options.retry, self._headers)
        poller = self._make_poller(sender)
        reader = StateReader(self._poll, self._read_receipts, poller.start, self.telemetry)
        self._parent.pollers.add(poller)
        return Components(loop, shared.transport, sender, poller, reader)

    async def _close(self, grace: float) -> None:
        if self._running is not None and not self._has_lost_its_loop:
            await self._running.poller.closed()

    def _works_in(self, task: "asyncio.Task[object]") -> bool:
        return self._running is not None and self._running.poller.works_in(task)
