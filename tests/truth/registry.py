"""A registry that is written for this campaign alone, and remembers what it really did.

It shares no code with the client, and none with the emulator. It answers over real sockets on the jumping
clock, misbehaves by a seed, and keeps of each write whether it was carried out, and how often. A write is
recognised by the mark in its data, or by its key if it is a delete.
"""

import asyncio
import json
import re
from collections import Counter, defaultdict
from random import Random
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from attrs import define, field

Json = dict[str, Any]
Key = tuple[str, str, str]
"""Target, type and id."""

NOT_CARRIED_OUT = (
    *("refused-503", "refused-503-html", "refused-429", "refused-500", "refused-403", "dropped"),
    *("html-400", "html-403", "html-405", "html-502", "html-200", "redirect-307"),
    *("gateway-401", "gateway-403", "gateway-404", "gateway-409"),
)
"""Faults of a write that the registry does not carry out."""
CARRIED_OUT = (
    *("lost-reset", "lost-truncated", "lost-503", "lost-504-html", "lost-html-200", "lost-html-403"),
    *("lost-bad-json", "lost-stall", "lost-other-record", "late-lost", "slow", "redirect-302", "no-task-id"),
    *("lost-gateway-400", "lost-gateway-403", "lost-gateway-404", "lost-gateway-409", "lost-gateway-422"),
    *("lost-internal-400", "lost-internal-409"),
)
"""Faults of a write that the registry does carry out, at once or later."""
WRITE_FAULTS = NOT_CARRIED_OUT + CARRIED_OUT
POLL_FAULTS = (
    *("404-at-first", "503", "500", "429", "html-502", "html-403", "html-404", "html-302", "close", "stall"),
    *("truncated", "empty", "unknown-status", "other-task", "flips-back", "lower-case-status"),
    *("gateway-401", "gateway-404"),
)
RECEIPT_FAULTS = (
    *("refused-404", "refused-403", "refused-400", "refused-429", "null", "absent", "empty", "one-missing"),
    *("null-details", "text-details", "one-unreadable", "unknown-fields", "doubled", "shuffled"),
    *("stale-pending", "foreign", "contradicting", "contradicting-review", "one-pending"),
)
READ_FAULTS = (
    *("stale-404", "stale-old", "503", "403", "429", "html-200", "close", "other-record"),
    *("gateway-403", "gateway-404"),
)
END_FAULTS = (
    *("late", "twice", "cancelled", "failed-INTERNAL", "failed-FAILED_PRECONDITION"),
    *("failed-INVALID_ARGUMENT", "failed-", "deleted-after"),
)
REVIEWS = (
    *("approve/SUCCESSFUL", "approve/NEW_WORD", "reject/REJECTED", "reject/SUCCESSFUL", "reject/NEW_WORD"),
    "reject/",
)
TYPES = {
    404: "NOT_FOUND",
    403: "PERMISSION_DENIED",
    400: "INVALID_ARGUMENT",
    500: "INTERNAL",
    503: "INTERNAL",
}
KINDS = sorted(
    [f"write {each}" for each in WRITE_FAULTS]
    + [f"poll {each}" for each in POLL_FAULTS]
    + [f"receipts {each}" for each in RECEIPT_FAULTS]
    + [f"read {each}" for each in READ_FAULTS]
    + [f"end {each}" for each in END_FAULTS]
    + [f"review {each}" for each in REVIEWS]
)


@define(eq=False)
class Operation:
    """One write as the registry took it, from one request."""

    action: str
    key: Key
    body: Json
    mark: str
    status: str = "PENDING"
    error: str | None = None
    pipeline: str | None = None
    had_pipeline: bool = False
    was_applied: bool = False

    def receipt(self, task: str) -> Json:
        target, type_, id_ = self.key
        said: Json = {"receivedAt": "2024-01-01T00:00:00Z", "taskId": task, "action": self.action}
        said |= {"status": self.status, "targetType": target, "type": type_, "id": id_}
        if self.status != "PENDING":
            said["completedAt"] = "2024-01-01T00:00:01.5Z"
        if self.error is not None:
            said["error"] = {"code": 1, "type": self.error, "message": "no", "details": []}
        if self.had_pipeline:
            status = {} if not self.pipeline else {"status": self.pipeline}
            said["pipelineExecution"] = {"id": "pe", "pipelineDefinitionId": "d.1", **status}
        return said


@define(eq=False)
class TaskRow:
    id: str
    operations: list[Operation]
    is_atomic: bool
    accepted_at: float
    status: str = "PENDING"
    receipt_fault: str | None = None


@define(eq=False)
class Answer:
    status: int
    body: bytes
    kind: str = "application/json"
    headers: dict[str, str] = field(factory=dict)
    cut: int | None = None
    """Bytes of the body after which the connection ends."""
    reset: bool = False


def document(status: int, value: object) -> Answer:
    return Answer(status, json.dumps(value).encode())


def envelope(status: int, type_: str | None = None) -> Answer:
    type_ = type_ or TYPES.get(status, "X")
    return document(status, {"code": status, "type": type_, "message": "no", "details": []})


def gateway(status: int, random: Random) -> Answer:
    """JSON of a gateway that has fields in common with the service's envelope."""
    said: Json = {"code": status, "message": "no"}
    more: list[Json] = [
        {},
        {"details": []},
        {"type": "ACCESS_DENIED"},
        {"type": "about:blank", "details": None},
    ]
    return document(status, said | random.choice(more))


def page(status: int) -> Answer:
    return Answer(
        status, b"<html>an intermediary</html>", "text/html", {"Location": "https://login.example/"}
    )


@define(eq=False)
class Registry:
    """Everything that happens is drawn from `random`; `calm` is the share of requests without a fault."""

    random: Random
    calm: float = 0.7
    records: dict[Key, Json] = field(factory=dict)
    older: dict[Key, tuple[Json | None, int]] = field(factory=dict)
    """By record, an older state and how many reads a stale replica still shows it."""
    tasks: dict[str, TaskRow] = field(factory=dict)
    applied: Counter[str] = field(factory=Counter)
    """How many requests carried out the write of a mark; one that the registry runs twice counts once."""
    received: Counter[str] = field(factory=Counter)
    dropped: Counter[str] = field(factory=Counter)
    made: defaultdict[str, set[Key]] = field(factory=lambda: defaultdict(set))
    """The records that the creates of a mark made."""
    seen: Counter[str] = field(factory=Counter)
    """Faults that were played, by kind."""
    modes: dict[str, str] = field(factory=dict)
    url: str = ""
    _number: int = 0
    _server: asyncio.Server | None = None
    _running: set[asyncio.Task[None]] = field(factory=set)

    # ------------------------------------------------------------------ the wire

    async def __aenter__(self) -> "Registry":
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in tuple(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._server.wait_closed()

    def spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        current = asyncio.current_task()
        assert current is not None
        self._running.add(current)
        try:
            while await self._serve(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._running.discard(current)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.split("\r\n")
        method, target, _ = first.split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        answer = await self._answer(method, target, body)
        if answer is None:
            return False
        said = {"Content-Type": answer.kind, "Content-Length": len(answer.body), **answer.headers}
        lines = [f"HTTP/1.1 {answer.status} X", *(f"{name}: {value}" for name, value in said.items()), "", ""]
        writer.write(
            "\r\n".join(lines).encode() + (answer.body if answer.cut is None else answer.body[: answer.cut])
        )
        await writer.drain()
        return answer.cut is None

    async def _answer(self, method: str, target: str, body: bytes) -> Answer | None:
        parts = urlsplit(target)
        segments = [unquote(part) for part in parts.path.split("/") if part]
        if method == "GET" and segments[3] == "tasks":
            return await self._poll(segments[4], with_receipts="withReceipts" in parse_qs(parts.query))
        if method == "GET":
            return await self._read((segments[3][:-1].upper(), segments[4], segments[5]))
        return await self._write(method, segments[3:], json.loads(body) if body else {})

    def _fault(self, area: str, kinds: tuple[str, ...]) -> str | None:
        if self.random.random() < self.calm:
            return None
        kind = self.random.choice(kinds)
        self.seen[f"{area} {kind}"] += 1
        return kind

    # ------------------------------------------------------------------ writes

    async def _write(self, method: str, segments: list[str], body: Any) -> Answer | None:
        operations, is_atomic, is_single = self._operations(method, segments, body)
        fault = self._fault("write", WRITE_FAULTS)
        if fault in NOT_CARRIED_OUT:
            return self._refused(fault)
        for operation in operations:
            self.received[operation.mark] += 1
        if fault == "late-lost":  # its request waits in some queue, long after its sender has given up
            self.spawn(self._later(self.random.uniform(5, 60), operations, is_atomic=is_atomic))
            return None
        drawn = self.random.choice(["persisted", "accepted", "review"])
        mode = self.modes.setdefault(operations[0].key[1], drawn)
        if is_single and mode == "persisted":
            answer = self._persist(operations[0])
        else:
            answer = self._accept_task(operations, mode, is_atomic=is_atomic, is_single=is_single)
        if fault == "slow":
            await asyncio.sleep(self.random.uniform(0.5, 3))
        elif fault == "lost-stall":
            await asyncio.sleep(1000)
        return self._spoilt(fault, answer)

    def _refused(self, fault: str) -> Answer | None:
        if fault == "dropped":
            return None
        if fault.startswith("gateway"):
            return gateway(int(fault[-3:]), self.random)
        if "html" in fault or "redirect" in fault:
            return page(int(re.findall(r"\d+", fault)[0]))
        answer = envelope(int(fault[-3:]))
        if answer.status == 429:
            answer.headers["Retry-After"] = str(self.random.randint(0, 2))
        return answer

    def _spoilt(self, fault: str | None, answer: Answer) -> Answer | None:
        if fault in {"lost-reset", "lost-stall"}:
            return None
        if fault in {"lost-504-html", "lost-html-200", "lost-html-403", "redirect-302"}:
            return page(int(re.findall(r"\d+", fault)[0]))
        kind, _, status = (fault or "").rpartition("-")
        if kind == "lost-gateway":
            return gateway(int(status), self.random)
        if fault == "lost-503" or kind == "lost-internal":
            return envelope(int(status), "INTERNAL")
        return self._garbled(fault, answer)

    def _garbled(self, fault: str | None, answer: Answer) -> Answer | None:
        if fault == "no-task-id":
            return document(202, {"status": "ACCEPTED"})
        if fault == "lost-truncated":
            answer.cut = self.random.randrange(len(answer.body))
        elif fault == "lost-bad-json":
            answer.body = answer.body[:-1] + b",}"
        elif fault == "lost-other-record":
            text = re.sub(rb'"id": "[^"]*"', b'"id": "other.record"', answer.body)
            return Answer(answer.status, text) if text != answer.body else None
        return answer

    async def _later(self, seconds: float, operations: list[Operation], *, is_atomic: bool) -> None:
        await asyncio.sleep(seconds)
        self._run(operations, is_atomic=is_atomic)

    def _operations(self, method: str, segments: list[str], body: Any) -> tuple[list[Operation], bool, bool]:
        if segments[0] == "bundle":
            both = [("RESOURCE", "resourceOperations"), ("RELATIONSHIP", "relationshipOperations")]
            found = [self._entry(target, each) for target, name in both for each in body.get(name, [])]
            return found, True, False
        target = segments[0][:-1].upper()
        if segments[1] == "bulk":
            return [self._entry(target, each) for each in body["operations"]], False, False
        action = {"POST": "CREATE", "PUT": "UPSERT", "PATCH": "UPDATE", "DELETE": "DELETE"}[method]
        type_, id_ = segments[1], segments[2] if len(segments) > 2 else None
        payload = {"patches": body} if action == "UPDATE" else body
        return [self._operation(action, target, type_, {"id": id_, **payload})], False, True

    def _entry(self, target: str, entry: Json) -> Operation:
        payload = entry[entry["action"].lower()]
        return self._operation(entry["action"], target, payload["type"], payload)

    def _operation(self, action: str, target: str, type_: str, body: Json) -> Operation:
        if target == "RELATIONSHIP" and "from" in body:
            id_ = f"{body['from']['id']}.{body['to']['id']}"
        else:
            id_ = body.get("id") or self._next("made")
        key = (target, type_, id_)
        mark = (body.get("data") or {}).get("mark")
        if action == "UPDATE":
            mark = next(patch["value"] for patch in body["patches"] if patch["path"] == "/mark")
        return Operation(action, key, body, mark or f"{action} {key}")

    def _next(self, prefix: str) -> str:
        self._number += 1
        return f"{prefix}{self._number}"

    def _persist(self, operation: Operation) -> Answer:
        error = self._apply(operation, self._state_after(operation))
        if error is not None:
            return envelope({"ALREADY_EXISTS": 409, "NOT_FOUND": 404}[error], error)
        name = operation.key[0].lower()
        record = {} if operation.action == "DELETE" else {name: self.records[operation.key]}
        return document(
            201 if operation.action == "CREATE" else 200, {"taskId": "s_0", "status": "PERSISTED", **record}
        )

    # ------------------------------------------------------------------ tasks

    def _accept_task(
        self, operations: list[Operation], mode: str, *, is_atomic: bool, is_single: bool
    ) -> Answer:
        prefix = "s_" if is_single else "bd_" if is_atomic else "bk_"
        now = asyncio.get_running_loop().time()
        row = TaskRow(self._next(prefix), operations, is_atomic, now)
        self.tasks[row.id] = row
        self.spawn(self._execute(row, mode))
        more = {"bulkId": row.id} if prefix == "bk_" else {}
        return document(202, {"taskId": row.id, "status": "ACCEPTED", **more})

    async def _execute(self, row: TaskRow, mode: str) -> None:
        await asyncio.sleep(self.random.choice([0.0, 0.0, 0.05, 0.4, 2.0]))
        fault = self._fault("end", END_FAULTS) or ""
        if fault == "late":
            await asyncio.sleep(self.random.uniform(5, 40))
        if mode == "review":
            await asyncio.sleep(self.random.uniform(0.1, 5))
        for operation in row.operations:
            if mode == "review":
                self._review(operation)
            else:
                self._doom(operation, fault)
        self._run(row.operations, is_atomic=row.is_atomic)
        if fault == "twice":
            self._run_again(row.operations)
        statuses = {operation.status for operation in row.operations}
        row.status = statuses.pop() if len(statuses) == 1 else "FAILURE"
        if fault == "deleted-after":
            for operation in row.operations:
                self.records.pop(operation.key, None)
                self.older.pop(operation.key, None)

    def _doom(self, operation: Operation, fault: str) -> None:
        if fault == "cancelled":
            operation.status = "CANCELLED"
        elif fault.startswith("failed") and self.random.random() < 0.6:
            operation.status = "FAILURE"
            operation.error = fault.removeprefix("failed-") or None

    def _run_again(self, operations: list[Operation]) -> None:
        """The registry's own queue gives a task out twice: what exists is not made again."""
        for operation in operations:
            if operation.was_applied and operation.action == "UPSERT":
                again = Operation(operation.action, operation.key, operation.body, operation.mark)
                self._apply(again, self._state_after(again), counts=False)

    def _review(self, operation: Operation) -> None:
        kind = self.random.choice(REVIEWS) if self.random.random() > self.calm / 2 else "approve/SUCCESSFUL"
        self.seen[f"review {kind}"] += 1
        decision, operation.pipeline = kind.split("/")
        operation.had_pipeline = True
        if decision == "reject":
            operation.status = "SUCCESS"
            self.dropped[operation.mark] += 1

    def _run(self, operations: list[Operation], *, is_atomic: bool) -> None:
        """Carry out what is still pending. Of a bundle all or nothing."""
        todo = [each for each in operations if each.status == "PENDING"]
        if is_atomic and (len(todo) < len(operations) or any(map(self._error_of, todo))):
            for operation in todo:
                error = self._error_of(operation)
                operation.status = "FAILURE" if error else "CANCELLED"
                operation.error = error
            return
        for operation in todo:
            operation.error = self._apply(operation, self._state_after(operation))
            operation.status = "FAILURE" if operation.error else "SUCCESS"

    def _error_of(self, operation: Operation) -> str | None:
        exists = operation.key in self.records
        if operation.action == "CREATE" and exists:
            return "ALREADY_EXISTS"
        return "NOT_FOUND" if operation.action in {"UPDATE", "DELETE"} and not exists else None

    def _state_after(self, operation: Operation) -> Json | None:
        if operation.action == "DELETE":
            return None
        if operation.action == "UPDATE":
            before = self.records.get(operation.key, {})
            changes = {patch["path"][1:]: patch["value"] for patch in operation.body["patches"]}
            return {**before, "data": {**before.get("data", {}), **changes}}
        _, type_, id_ = operation.key
        ends = {name: operation.body[name] for name in ("from", "to") if name in operation.body}
        return {
            "id": id_,
            "type": type_,
            **ends,
            "data": operation.body.get("data") or {},
            "meta": {"source": "ehr"},
        }

    def _apply(self, operation: Operation, state: Json | None, *, counts: bool = True) -> str | None:
        error = self._error_of(operation)
        if error is not None:
            return error
        before = self.records.get(operation.key)
        kind = self._fault("read", READ_FAULTS)
        if kind == "stale-old" or (kind == "stale-404" and before is None):
            self.older[operation.key] = (before, self.random.randint(1, 3))
        if state is None:
            del self.records[operation.key]
        else:
            self.records[operation.key] = state
        operation.was_applied = True
        if counts:
            self.applied[operation.mark] += 1
            if operation.action == "CREATE":
                self.made[operation.mark].add(operation.key)
        return None

    # ------------------------------------------------------------------ reads

    async def _read(self, key: Key) -> Answer | None:
        fault = self._fault("read", READ_FAULTS) or ""
        if fault == "close":
            return None
        if fault.isdecimal():
            return envelope(int(fault))
        if fault == "html-200":
            return page(200)
        if fault.startswith("gateway"):
            return gateway(int(fault[-3:]), self.random)
        if fault == "other-record":
            return document(200, {"id": "other.record", "type": key[1], "data": {}})
        found = self.records.get(key)
        if key in self.older:
            found, left = self.older.pop(key)
            if left > 1:
                self.older[key] = (found, left - 1)
        return envelope(404) if found is None else document(200, found)

    async def _poll(self, id_: str, *, with_receipts: bool) -> Answer | None:
        row = self.tasks.get(id_)
        if row is None:
            return envelope(404)
        fault = self._fault("poll", POLL_FAULTS) or ""
        young = asyncio.get_running_loop().time() - row.accepted_at < 5
        if fault == "stall":
            await asyncio.sleep(1000)
        if fault in {"close", "stall"}:
            return None
        if fault.isdecimal() or (fault == "404-at-first" and young):
            return envelope(int(fault[:3]))
        if fault.startswith("html"):
            return page(int(fault[-3:]))
        if fault.startswith("gateway"):
            return gateway(int(fault[-3:]), self.random)
        return (
            Answer(200, b"") if fault == "empty" else self._snapshot(row, fault, with_receipts=with_receipts)
        )

    def _snapshot(self, row: TaskRow, fault: str, *, with_receipts: bool) -> Answer:
        words = {
            "flips-back": "PENDING",
            "unknown-status": "NEW_WORD",
            "lower-case-status": row.status.lower(),
        }
        status = words.get(fault, row.status)
        said: Json = {"taskId": "s_999999" if fault == "other-task" else row.id, "status": status}
        answer = document(200, said)
        if with_receipts:
            receipts = [operation.receipt(row.id) for operation in row.operations]
            if status in {"PENDING", "NEW_WORD", "pending"}:
                receipts = list(map(pending, receipts))
            if row.receipt_fault is None and row.status != "PENDING":
                row.receipt_fault = self._fault("receipts", RECEIPT_FAULTS) or "none"
            answer = self._with_receipts(said, receipts, row)
        if fault == "truncated":
            answer.cut = self.random.randrange(len(answer.body))
        return answer

    def _with_receipts(self, said: Json, receipts: list[Json], row: TaskRow) -> Answer:
        fault = row.receipt_fault or "none"
        if fault.startswith("refused"):
            return envelope(int(fault[-3:]))
        if fault == "absent":
            return document(200, said)
        if fault == "null":
            return document(200, {**said, "receipts": None})
        if fault == "stale-pending":
            row.receipt_fault = "none"
            return document(200, {**said, "status": "PENDING", "receipts": list(map(pending, receipts))})
        return document(200, {**said, "receipts": self._unusual_receipts(fault, receipts)})

    def _contradiction(self, fault: str, one: Json) -> Json:
        """A second receipt of the same operation that says something else."""
        plain = pending(one)
        if fault == "contradicting-review":
            return plain | {"status": "SUCCESS", "pipelineExecution": {"id": "pe", "status": "REJECTED"}}
        if one["status"] == "SUCCESS":
            return plain | {"status": "FAILURE", "error": {"code": 1, "type": "INTERNAL", "message": "no"}}
        return plain | {"status": "SUCCESS"}

    def _unusual_receipts(self, fault: str, receipts: list[Json]) -> list[Json]:
        one = self.random.choice(receipts)
        if fault in {"empty", "one-missing"}:
            return [] if fault == "empty" else [each for each in receipts if each is not one]
        if fault == "doubled":
            return [*receipts, dict(one)]
        if fault == "foreign":
            return [*receipts, {**one, "id": "foreign.record", "status": "FAILURE"}]
        if fault.startswith("contradicting"):
            receipts = [*receipts, self._contradiction(fault, one)]
        if fault == "one-pending":
            receipts = [pending(each) if each is one else each for each in receipts]
        if fault == "shuffled" or fault.startswith("contradicting"):
            return self.random.sample(receipts, len(receipts))
        return self._rewritten(fault, receipts, one)

    def _rewritten(self, fault: str, receipts: list[Json], one: Json) -> list[Json]:
        if fault == "one-unreadable":
            one["receivedAt"] = one["status"] = 7
        for receipt in receipts:
            if fault == "unknown-fields":
                receipt["position"] = {"a": [1]}
            elif fault.endswith("details") and "error" in receipt:
                receipt["error"]["details"] = None if fault == "null-details" else "<array>"
        return receipts


def pending(receipt: Json) -> Json:
    """The receipt as it was before the end."""
    later = {"error", "completedAt", "pipelineExecution"}
    return {name: value for name, value in receipt.items() if name not in later} | {"status": "PENDING"}
