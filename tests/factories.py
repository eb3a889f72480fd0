"""What most tests send, and how they reach a server."""

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from clinia_async import (
    Action,
    CreateRelationship,
    DataSource,
    Modules,
    Polling,
    Ref,
    Relationship,
    RetryPolicy,
    Session,
    SourceCollection,
    Task,
)
from clinia_async.emulator import Emulator
from tests.hostile import Hostile

KEY = "k-3x4mpl3-of-a-k3y"
SOURCE, TYPE = "ehr", "practises-at"
FROM, TO = Ref("prac-1", "practitioner"), Ref("org-9", "organization")
ID = f"{FROM.id}.{TO.id}"
PARTITION = DataSource("ehr", (SourceCollection("clinics"),), ("practises-at",))
MODULES = Modules()
ONCE = RetryPolicy(attempts=1)
SMOOTH = Polling(jitter=0.0)
STEADY = Polling(pace=lambda _, age: 0.3, jitter=0.0)
"""For who counts looks and stops in between: none of them is under way at a whole second before the third."""


DEFAULTS: dict[str, Any] = {}
"""Options of every session here that is not given them."""


def session_at(server: Emulator | Hostile, **options: Any) -> Session:
    key = server.key if isinstance(server, Emulator) else KEY
    return Session(api_key=key, base_url=server.url, **(DEFAULTS | options))


async def create(
    session: Session, from_: str = FROM.id, to: str = TO.id, data: Any = None, **more: Any
) -> Task[Relationship]:
    ends = {"from_": Ref(from_, FROM.type), "to": Ref(to, TO.type)}
    return await session.create_relationship(SOURCE, TYPE, **ends, data=data, **more)


def write(from_: str = FROM.id, to: str = TO.id, **more: Any) -> CreateRelationship:
    return CreateRelationship(SOURCE, TYPE, Ref(from_, FROM.type), Ref(to, TO.type), **more)


async def create_partition(session: Session, key: str = "clinics", **more: Any) -> Any:
    return await session.create_partition(key, modules=MODULES, source=PARTITION, **more)


def receipt(status: str, id: str = ID, **more: Any) -> Mapping[str, Any]:
    return {
        "action": str(Action.CREATE),
        "status": status,
        "targetType": "RELATIONSHIP",
        "type": TYPE,
        "id": id,
        **more,
    }


def taken(id: str = ID) -> Mapping[str, Any]:
    error = {"code": 409, "type": "ALREADY_EXISTS", "message": "taken", "details": []}
    return receipt("FAILURE", id, error=error)


def record(data: object = None, **more: Any) -> Mapping[str, Any]:
    """A relationship as the service shows it."""
    ends = {"from": {"id": FROM.id, "type": FROM.type}, "to": {"id": TO.id, "type": TO.type}}
    return {"id": ID, "type": TYPE, **ends, "data": data or {}, **more}


@contextmanager
def refusing_socket() -> Iterator[socket.socket]:
    """A port that refuses connections and that nobody else can take: bound, and not listening."""
    with socket.socket() as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", 0))
        yield bound


def url_of(bound: socket.socket) -> str:
    return f"http://127.0.0.1:{bound.getsockname()[1]}"
