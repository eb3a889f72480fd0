"""What `stub.c` does, in Python, for machines without a C compiler: `python -m benchmarks.slow_stub SEED`."""

import asyncio
import json
import math
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

STAMP = "2026-01-01T00:00:00.000Z"
_WORD = 2**64 - 1
_DATA = {
    "role": "family-medicine",
    "since": "2019-04-01",
    "primary": True,
    "fte": 0.9,
    "visits": 1,
    "site": "Clinique Plateau",
}
Json = dict[str, Any]
Answer = tuple[str, Json]


def _mixed(x: int) -> int:
    """splitmix64"""
    x = (x + 0x9E3779B97F4A7C15) & _WORD
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & _WORD
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & _WORD
    return x ^ (x >> 31)


def _share(x: int) -> float:
    return ((x >> 11) + 0.5) / 2**53


def duration(source: str, key: str, seed: int) -> float:
    """Seconds, from the seed and the key alone."""
    h = 0xCBF29CE484222325
    for byte in key.encode():
        h = (h ^ byte) * 0x100000001B3 & _WORD
    h = _mixed(h ^ _mixed(seed))
    u, v = _share(h), _share(_mixed(h))
    match source:
        case "lognormal":
            return 0.4 * math.exp(0.8 * math.sqrt(-2 * math.log(u)) * math.cos(2 * math.pi * v))
        case "bimodal":
            return (0.15 if u < 0.8 else 3.0) * (0.9 + 0.2 * v)
        case "never":
            return 1e6
        case _ if source.startswith("takes-"):
            return int(source.removeprefix("takes-")) / 1000
        case _:
            return 0.0


class Registry:
    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._numbered = 0
        self._receipts: dict[str, list[Json]] = {}

    def answer(self, method: str, target: str, body: bytes) -> Answer:
        url = urlsplit(target)
        _, source, _, collection, *rest = url.path.strip("/").split("/")
        match (method, collection, rest):
            case (_, "tasks", [task]) | (_, _, ["bulk", task]):
                return self._poll(task, with_receipts="withReceipts=true" in url.query)
            case ("POST", _, ["bulk"]):
                return self._bulk(source, collection, json.loads(body))
            case ("POST", _, [type_]):
                return self._create(source, type_, json.loads(body))
            case (_, _, [type_, id_]):
                return "200 OK", _read_back(type_, id_)
            case _:
                return "404 Not Found", {"code": 404, "type": "NOT_FOUND", "message": "no such page"}

    def _create(self, source: str, type_: str, body: Json) -> Answer:
        if "from" not in body or "to" not in body:
            return "400 Bad Request", {"code": 400, "type": "INVALID_ARGUMENT", "message": "no ends"}
        if source == "persisted":
            record = _relationship(type_, body)
            self._numbered += 1
            task = f"s_{self._numbered}-0"
            return "201 Created", {"taskId": task, "status": "PERSISTED", "relationship": record}
        receipt = _receipt("CREATE", type_, _id(body), "RELATIONSHIP")
        task = self._task("s_", source, [receipt])
        return "202 Accepted", {"taskId": task, "status": "ACCEPTED"}

    def _bulk(self, source: str, collection: str, body: Json) -> Answer:
        target = "RESOURCE" if collection == "resources" else "RELATIONSHIP"
        receipts = []
        for operation in body["operations"]:
            write = operation[operation["action"].lower()]
            receipts.append(_receipt(operation["action"], write["type"], _id(write), target))
        task = self._task("bk_", source, receipts)
        return "202 Accepted", {"taskId": task, "status": "ACCEPTED", "bulkId": task}

    def _task(self, prefix: str, source: str, receipts: list[Json]) -> str:
        self._numbered += 1
        key = "".join(f"{each['action']}\t{each['type']}\t{each['id']}\n" for each in receipts)
        due = time.monotonic_ns() // 1000 + int(1e6 * duration(source, key, self._seed))
        task = f"{prefix}{self._numbered}-{due}"
        self._receipts[task] = receipts
        return task

    def _poll(self, task: str, *, with_receipts: bool) -> Answer:
        _, _, due = task.partition("-")
        if not due:
            return "404 Not Found", {"code": 404, "type": "NOT_FOUND", "message": "no such task"}
        is_done = int(due) <= time.monotonic_ns() // 1000
        end = {"status": "SUCCESS", "completedAt": STAMP} if is_done else {"status": "PENDING"}
        seen: Json = {"taskId": task, "status": end["status"]}
        if with_receipts:
            seen["receipts"] = [{"taskId": task, **end, **each} for each in self._receipts.get(task, [])]
        return "200 OK", seen


def _id(write: Mapping[str, Any]) -> str:
    return f"{write['from']['id']}.{write['to']['id']}" if "from" in write else str(write["id"])


def _receipt(action: str, type_: str, id_: str, target: str) -> Json:
    return {"action": action, "targetType": target, "type": type_, "id": id_, "receivedAt": STAMP}


def _relationship(type_: str, body: Json) -> Json:
    """The ends are those that were sent, for a client may check them; the data is always the same."""
    joins = {"from": body["from"], "to": body["to"], "data": _DATA}
    return {"id": _id(body), "type": type_, **joins, "meta": {"createdAt": STAMP, "source": "ehr"}}


def _read_back(type_: str, id_: str) -> Json:
    from_, _, to = id_.partition(".")
    ends = {"from": {"id": from_, "type": "practitioner"}, "to": {"id": to, "type": "organization"}}
    return _relationship(type_, ends)


def _elasticsearch(body: bytes) -> Answer:
    return "200 OK", {"took": 1, "errors": False, "items": list(_items(iter(body.splitlines())))}


def _items(lines: Iterator[bytes]) -> Iterator[Json]:
    for line in lines:
        ((action, about),) = json.loads(line).items()
        if action != "delete":
            next(lines, None)
        yield {action: {"_index": "i", "_id": about["_id"], "result": "created", "status": 201}}


def _algolia(body: bytes) -> Answer:
    ids = [each["body"]["objectID"] for each in json.loads(body)["requests"]]
    return "200 OK", {"taskID": 1, "objectIDs": ids}


_CONTEXT_ENGINE: Json = {
    "ingestionId": "i-1",
    "source": "fhir/r4",
    "mimeType": "application/fhir+json",
    "receivedAt": STAMP,
    "status": "pending",
    "staged": {"facts": 1, "events": 0, "narratives": 0, "messages": 0},
    "intake": [],
    "startedAt": None,
    "completedAt": None,
    "failure": None,
}
_QDRANT: Json = {"result": {"operation_id": 1, "status": "completed"}, "status": "ok", "time": 0.0001}


def _served(registry: Registry, method: str, target: str, body: bytes) -> Answer:
    match urlsplit(target).path.strip("/").split("/"):
        case ["sources", _, _, _, *_]:
            answer = registry.answer(method, target, body)
        case ["_bulk"] | [_, "_bulk"]:
            answer = _elasticsearch(body)
        case ["collections", *_]:
            answer = "200 OK", _QDRANT
        case ["1", _, _, "batch"]:
            answer = _algolia(body)
        case ["1", *_]:
            answer = "200 OK", {"status": "published", "pendingTask": False}
        case ["v1", "patients", *_]:
            answer = "201 Created", _CONTEXT_ENGINE
        case _:
            answer = "404 Not Found", {"code": 404, "type": "NOT_FOUND", "message": "no such page"}
    return answer


class _Wire(asyncio.Protocol):
    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._rest += data
        while (end := self._rest.find(b"\r\n\r\n")) >= 0:
            first, *lines = self._rest[:end].decode("latin-1").split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(":") for line in lines)}
            size = end + 4 + int(headers.get("content-length", 0))
            if len(self._rest) < size:
                return
            body, self._rest = self._rest[end + 4 : size], self._rest[size:]
            method, target, _ = first.split(" ", 2)
            self._send(*_served(self._registry, method, target, body))

    def _send(self, status: str, answer: Json) -> None:
        body = json.dumps(answer, separators=(",", ":")).encode()
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nX-Elastic-Product: Elasticsearch\r\n"
        self._transport.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)


async def main() -> None:
    loop = asyncio.get_running_loop()
    registry = Registry(int(sys.argv[1]))
    server = await loop.create_server(lambda: _Wire(registry), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    ended = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), ended.set)  # as long as its standard input
    await ended.wait()


if __name__ == "__main__":
    asyncio.run(main())
