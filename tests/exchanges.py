"""Writes, answers and one way to send them, for the tests of the registry and the catalog."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from clinia_async import (
    Contained,
    CreateRelationship,
    CreateResource,
    DeleteRelationship,
    DeleteResource,
    Ref,
    Session,
    UpsertRelationship,
    UpsertResource,
)
from tests.contract.contract import Contract
from tests.contract.exchange import Exchange
from tests.factories import session_at
from tests.hostile import Behaviour, Hostile, Peer, Seen, by_target, head

CONTRACT = Contract.load()
EHR, WORKS_AT, PERSON = "ehr", "works-at", "practitioner"
ANA, ORG = Ref("prac-1", PERSON), Ref("org-9", "organization")
PAIR = "prac-1.org-9"
OFFICE = Contained("office", {"room": 4})
AT = "2025-05-13T14:03:21.123Z"

Send = Callable[[Session], Awaitable[Any]]


def held(id: str = "prac-1", data: Any = None, **more: Any) -> dict[str, Any]:
    """A resource as the service shows it."""
    return {"id": id, "type": PERSON, "data": data or {}, **more}


def joined(from_: str = "prac-1", to: str = "org-9", data: Any = None, **more: Any) -> dict[str, Any]:
    """A relationship as the service shows it."""
    ends = {"from": {"id": from_, "type": PERSON}, "to": {"id": to, "type": "organization"}}
    return {"id": f"{from_}.{to}", "type": WORKS_AT, **ends, "data": data or {}, **more}


def receipt(
    id: str, status: str = "SUCCESS", action: str = "CREATE", *, error: str | None = None, **more: Any
) -> dict[str, Any]:
    """Of a relationship if the id has a dot, of a resource otherwise."""
    about = ("RELATIONSHIP", WORKS_AT) if "." in id else ("RESOURCE", PERSON)
    said = {"error": {"code": 1, "type": error, "message": "no", "details": []}} if error else {}
    names = {"targetType": about[0], "type": about[1], "id": id}
    return {"action": action, "status": status, **names, **said, **more}


def taken(id: str) -> dict[str, Any]:
    return receipt(id, "FAILURE", error="ALREADY_EXISTS")


def new(id: str | None = "prac-1", data: Any = None, **more: Any) -> CreateResource:
    return CreateResource(EHR, PERSON, id, data=data or {}, **more)


def put(id: str = "prac-1", data: Any = None, **more: Any) -> UpsertResource:
    return UpsertResource(EHR, PERSON, id, data=data or {}, **more)


def drop(id: str = "prac-1") -> DeleteResource:
    return DeleteResource(EHR, PERSON, id)


def join(from_: str = "prac-1", to: str = "org-9", **more: Any) -> CreateRelationship:
    return CreateRelationship(EHR, WORKS_AT, Ref(from_, PERSON), Ref(to, "organization"), **more)


def rejoin(from_: str = "prac-1", to: str = "org-9", **more: Any) -> UpsertRelationship:
    return UpsertRelationship(EHR, WORKS_AT, Ref(from_, PERSON), Ref(to, "organization"), **more)


def part(id: str = PAIR) -> DeleteRelationship:
    return DeleteRelationship(EHR, WORKS_AT, id)


def replay(exchange: Exchange) -> Behaviour:
    """The answer of an exchange that was written by hand."""
    headers = {name.title(): value for name, value in exchange.answer_headers}

    async def behave(peer: Peer, _: Seen) -> None:
        peer.keep = True
        body = exchange.answer_body
        await peer.send(head(exchange.status, headers, length=len(body)) + body)

    return behave


def exchanged(seen: Seen, answered: Exchange) -> Exchange:
    """What was really sent, with that answer."""
    path, _, query = seen.target.partition("?")
    return Exchange(
        method=seen.method,
        path=path,
        query=query,
        status=answered.status,
        request_headers=seen.headers,
        request_body=seen.body,
        answer_headers=answered.answer_headers,
        answer_body=answered.answer_body,
    )


@asynccontextmanager
async def against(
    script: Mapping[str, Sequence[Behaviour]] | Sequence[Behaviour], **options: Any
) -> AsyncIterator[tuple[Session, Hostile]]:
    """A session before a server with a script: by part of the target or by method, or in order."""
    otherwise = by_target(dict(script)) if isinstance(script, Mapping) else None
    server = Hostile(otherwise=otherwise) if otherwise else Hostile(list(script))  # type: ignore[arg-type]
    async with server, session_at(server, **options) as session:
        yield session, server


def sent(server: Hostile, number: int = 0) -> Any:
    return json.loads(server.requests[number].body)
