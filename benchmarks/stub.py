"""A service that costs next to nothing: one prepared answer to all. `python -m benchmarks.stub`."""

import asyncio
import json

RELATIONSHIP = {
    "id": "prac-1.org-9",
    "type": "practises-at",
    "from": {"id": "prac-1", "type": "practitioner"},
    "to": {"id": "org-9", "type": "organization"},
    "data": {"role": "family-medicine", "since": "2019-04-01", "primary": True, "fte": 0.9},
    "meta": {"createdAt": "2026-01-01T00:00:00.000Z", "source": "ehr"},
}
BODY = json.dumps({"taskId": "s_1", "status": "PERSISTED", "relationship": RELATIONSHIP}).encode()
ANSWER = b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
    len(BODY),
    BODY,
)


class Stub(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.rest = b""

    def data_received(self, data: bytes) -> None:
        self.rest += data
        while (end := self.rest.find(b"\r\n\r\n")) >= 0:
            head = self.rest[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self.rest) < end + 4 + length:
                return
            self.rest = self.rest[end + 4 + length :]
            self.transport.write(ANSWER)  # type: ignore[attr-defined]


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Stub, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
