"""A client with no knowledge of the API: HTTP as it is, without any code of the library."""

import json
from typing import Any, NamedTuple, Self

import aiohttp
from multidict import CIMultiDictProxy
from yarl import URL

from clinia_async.emulator import Emulator

RELATIONSHIPS = "/sources/ehr/v1/relationships"


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
            return Reply(response.status, await response.json(), response.headers)

    async def create(self, body: Any, type_: str = "practises-at") -> Reply:
        return await self.send("POST", f"{RELATIONSHIPS}/{type_}", body)

    async def read(self, id_: str, type_: str = "practises-at") -> Reply:
        return await self.send("GET", f"{RELATIONSHIPS}/{type_}/{id_}")

    async def bulk(self, *operations: Any) -> Reply:
        return await self.send("POST", f"{RELATIONSHIPS}/bulk", {"operations": operations})

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
