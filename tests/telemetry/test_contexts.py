"""What a session does for several callers is done in the context of none of them."""

import asyncio
from contextvars import ContextVar

import pytest

from clinia_async import Session
from clinia_async.emulator import Accepted, Constant, Emulator, Persisted
from clinia_async.telemetry import TaskPolled
from clinia_async.telemetry.event import Event
from tests.factories import create, session_at

CALLERS = ("anna", "ben", "cleo")
caller: ContextVar[str | None] = ContextVar("caller", default=None)


async def _call(session: Session, name: str) -> None:
    caller.set(name)
    await (await create(session, name))


async def _all_call(session: Session) -> None:
    async with asyncio.TaskGroup() as group:
        for name in CALLERS:
            group.create_task(_call(session, name))


@pytest.mark.parametrize("mode", [Persisted(), Accepted(Constant(0.5))])
@pytest.mark.parametrize("coalesce", [False, True])
async def test_no_event_is_seen_in_the_context_of_another_caller(
    coalesce: bool, mode: Persisted | Accepted
) -> None:
    seen: dict[str, set[str | None]] = {}

    def observe(event: Event) -> None:
        of = getattr(event, "task", None)
        if isinstance(event, TaskPolled) or coalesce:
            seen.setdefault(f"{type(event).__name__} {of}", set()).add(caller.get())

    async with (
        Emulator(default=mode, bulk=Constant(0.5)) as emulator,
        session_at(emulator, observers=[observe], coalesce=coalesce) as session,
    ):
        await _all_call(session)
    assert {name for names in seen.values() for name in names} <= {None}
    assert seen or (isinstance(mode, Persisted) and not coalesce)
