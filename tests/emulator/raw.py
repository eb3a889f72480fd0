"""A client with no knowledge of the API: HTTP as it is, without any code of the library."""

import json
from typing import Any, NamedTuple, Self

import aiohttp
from multidict import CIMultiDictProxy
from yarl import URL

from clinia_async.emulator import Emulator

SOURCE = "/sources/ehr/v1"
RELATIONSHIPS = f"{SOURCE}/relationships"
RESOURCES = f"{SOURCE}/resources"


class Reply(NamedTuple):
    status: int
    body: Any
    headers: CIMultiDictProxy[str]

    @property
    def kind(self) -> str:
        return self.body["type"]


class Raw:
    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator

    async def __aenter__(self) -> Self:
        self.http = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.close()

    async def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        text: str | bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Reply:
        """`path` goes out as it is, already encoded; headers given as "" are left out."""
        if body is not None:
            text = json.dumps(body)
        sent = {"X-Clinia-API-Key": self.emulator.key} | (headers or {})
        if text is not None:
            sent.setdefault("Content-Type", "application/json")
        skipped = [name for name, value in sent.items() if not value]
        url = URL(self.emulator.url + path, encoded=True)
        async with self.http.request(
            method,
            url,
            data=text,
            headers={name: value for name, value in sent.items() if value},
            skip_auto_headers=skipped,
            allow_redirects=False,
        ) as response:
            body = await response.json() if response.status != 204 else None
            return Reply(response.status, body, response.headers)

    async def create(self, body: Any, type_: str = "practises-at") -> Reply:
        return await self.send("POST", f"{RELATIONSHIPS}/{type_}", body)

    async def read(self, id_: str, type_: str = "practises-at") -> Reply:
        return await self.send("GET", f"{RELATIONSHIPS}/{type_}/{id_}")

    async def bulk(self, *operations: Any) -> Reply:
        return await self.send("POST", f"{RELATIONSHIPS}/bulk", {"operations": operations})

    async def put(self, id_: str, data: Any = None, type_: str = "practitioner", **more: Any) -> Reply:
        """Upsert a resource."""
        return await self.send("PUT", f"{RESOURCES}/{type_}/{id_}", {"data": data or {}, **more})

    async def resource(self, id_: str, type_: str = "practitioner") -> Reply:
        return await self.send("GET", f"{RESOURCES}/{type_}/{id_}")

    async def bulk_resources(self, *operations: Any) -> Reply:
        return await self.send("POST", f"{RESOURCES}/bulk", {"operations": operations})

    async def bundle(self, resources: Any = (), relationships: Any = ()) -> Reply:
        body = {"resourceOperations": list(resources), "relationshipOperations": list(relationships)}
        return await self.send("POST", f"{SOURCE}/bundle", body)

    async def task(self, id_: str, query: str = "?withReceipts=true") -> Reply:
        return await self.send("GET", f"/sources/ehr/v1/tasks/{id_}{query}")


def write(from_: str = "prac-1", to: str = "org-9", **more: Any) -> dict[str, Any]:
    """The body of a create."""
    return {
        "from": {"id": from_, "type": "practitioner"},
        "to": {"id": to, "type": "organization"},
        **more,
    }


def operation(action: str, from_: str = "prac-1", to: str = "org-9", **more: Any) -> dict[str, Any]:
    """One operation of a bulk."""
    return {"action": action, action.lower(): {"type": "practises-at", **write(from_, to, **more)}}


def resource(action: str, id_: str | None = "prac-1", data: Any = None, **more: Any) -> dict[str, Any]:
    """One operation on a resource in a bulk or bundle."""
    payload: dict[str, Any] = {"type": "practitioner"} | ({} if id_ is None else {"id": id_}) | more
    if action != "DELETE":
        payload["data"] = data or {}
    return {"action": action, action.lower(): payload}


def error(receipt: dict[str, Any]) -> str | None:
    """The type of a receipt's error, if it has one."""
    return receipt.get("error", {}).get("type")
