"""What every row of the fault matrix is played on, and what holds for all of them.

A row is a coroutine function with the number, the fault and what must follow from it. Whatever the row
itself asserts, the stage adds: the error is one of the library and says the outcome, no text and no local
variable of a library frame holds the key or the record, the session can be used afterwards, and nothing is
left behind.
"""

import asyncio
import pickle
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import pytest
from attrs import define, field, frozen

from clinia_async import (
    CliniaError,
    ConfigError,
    DataSource,
    InvalidWrite,
    Modules,
    Outcome,
    Ref,
    Session,
    SourceCollection,
)
from tests.factories import KEY, ONCE, SOURCE, TYPE, session_at, write
from tests.hostile import Behaviour, Hostile, nothing_left, persisted

PERSON = "CANARY-PERSON-91d0"
ID = f"{PERSON}.org-9"
TESTS = Path(__file__).parents[1]
T = TypeVar("T")

Play = Callable[["Stage"], Awaitable[None]]


@frozen
class Row:
    number: int
    fault: str
    play: Play


@frozen
class NotHere:
    """A row that cannot be tested in this suite, or a part of one, and why."""

    number: int
    fault: str
    reason: str


ROWS: dict[int, Row] = {}
NOT_HERE: list[NotHere] = []


def row(number: int, fault: str) -> Callable[[Play], Play]:
    """Make a function the test of that row of the matrix."""

    def add(play: Play) -> Play:
        assert number not in ROWS, number
        ROWS[number] = Row(number, fault, play)
        return play

    return add


def not_here(number: int, fault: str, reason: str) -> None:
    """Say which row, or which part of it, this suite cannot test."""
    NOT_HERE.append(NotHere(number, fault, reason))


async def create(session: Session, from_: str = PERSON, **more: Any) -> Any:
    """Create a relationship whose id and data hold the canary."""
    ends = {"from_": Ref(from_, "practitioner"), "to": Ref("org-9", "organization")}
    return await session.create_relationship(SOURCE, TYPE, **ends, **{"data": {"name": PERSON}, **more})


async def put_partition(session: Session) -> Any:
    source = DataSource(SOURCE, (SourceCollection("clinics"),), (TYPE,))
    return await session.create_partition("clinics", modules=Modules(), source=source)


async def bulk(session: Session) -> Any:
    return await session.bulk(SOURCE, [write(PERSON, data={"name": PERSON})])


async def poll(session: Session) -> Any:
    return await session.get_task(SOURCE, "s_1")


async def get(session: Session) -> Any:
    return await session.get_relationship(SOURCE, TYPE, ID)


CALLS: dict[str, Callable[[Session], Awaitable[Any]]] = {
    "C": create,
    "P": put_partition,
    "B": bulk,
    "T": poll,
    "G": get,
}
"""The letters of the matrix: create, partition, bulk, poll, get."""


def relationship(**more: Any) -> dict[str, Any]:
    """Return the record of `create`, as the service shows it."""
    ends = {
        "from": {"id": PERSON, "type": "practitioner"},
        "to": {"id": "org-9", "type": "organization"},
    }
    return {"id": ID, "type": TYPE, **ends, "data": {"name": PERSON}, **more}


def persisted_answer(**more: Any) -> dict[str, Any]:
    return {"status": "PERSISTED", "taskId": "s_1", "relationship": relationship(**more)}


@define
class Stage:
    folder: Path
    monkeypatch: pytest.MonkeyPatch
    shown: list[str] = field(factory=list)

    @asynccontextmanager
    async def against(
        self,
        *script: Behaviour,
        otherwise: Behaviour = nothing_left,
        server: Hostile | None = None,
        usable: bool = True,
        **options: Any,
    ) -> AsyncIterator[tuple[Session, Hostile]]:
        """A session before a server with a script; afterwards a create on the same session must do."""
        server = server or Hostile(list(script), otherwise=otherwise)  # type: ignore[arg-type]
        async with server, session_at(server, **{"retry": ONCE, **options}) as session:
            yield session, server
            self.shown += [repr(session), repr(session.in_doubt)]
            if usable:
                server.script.clear()
                server.otherwise, server.before_body, server.mute = persisted, False, False
                server.greeting = b""
                await asyncio.sleep(0.1)  # a connection that the server has closed is seen to be closed
                assert (await create(session, "afterwards")).done()

    async def fails(
        self, work: Awaitable[Any], kind: type[BaseException], outcome: Outcome = Outcome.UNKNOWN
    ) -> Any:
        """Return the error that `work` must raise: of this kind, with this outcome, and silent."""
        try:
            await work
        except CliniaError as error:
            assert isinstance(error, kind), type(error)
            assert error.outcome is outcome, (type(error), error.outcome)
            self.silent(error)
            return error
        raise AssertionError(f"nothing was raised, in place of {kind.__name__}")

    async def fails_at_all(
        self,
        calls: str,
        behaviour: Callable[[], Behaviour] | Behaviour,
        kind: type[BaseException],
        outcome: Outcome = Outcome.UNKNOWN,
        **options: Any,
    ) -> None:
        """Each of these calls fails so when it is answered so, after one request; the session stays good."""
        for letter in calls:
            async with self.against(behaviour, **options) as (session, server):  # type: ignore[arg-type]
                await self.fails(CALLS[letter](session), kind, outcome)
                assert len(server.requests) == 1, letter

    def silent(self, error: BaseException) -> None:
        """Neither texts nor locals of library frames hold the key or the record."""
        texts = [repr(error), str(error), repr(error.args), *traceback.format_exception(error)]
        texts.append(repr(pickle.loads(pickle.dumps(error))))
        if not isinstance(error, ConfigError | InvalidWrite):  # raised while the caller's own values are read
            for each in _chain(error):
                texts += _locals(each.__traceback__)
        assert_no_canary(texts)


def assert_no_canary(texts: list[str]) -> None:
    for text in texts:
        for canary in (KEY, PERSON):
            assert canary not in text, text[: text.index(canary)][-300:]


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for each in error.exceptions:
                yield from _chain(each)
        error = error.__cause__ or error.__context__


def _locals(trace: TracebackType | None) -> list[str]:
    """Show what a tool would that captures locals: those of every frame but the tests' own."""
    found = []
    while trace is not None:
        frame = trace.tb_frame
        if not Path(frame.f_code.co_filename).is_relative_to(TESTS):
            found += [
                f"{frame.f_code.co_name}.{name} = {_shown(value)}" for name, value in frame.f_locals.items()
            ]
        trace = trace.tb_next
    return found


def _shown(value: object) -> str:
    try:
        return repr(value)
    except Exception:  # noqa: BLE001  as `traceback` does
        return "<no repr>"
