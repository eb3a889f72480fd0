"""Mutated input for everything that reads what comes from outside: only typed errors, and never slow.

    python -m tests.fuzz --count 1000000
    python -m tests.fuzz --count 1000 --target emulator

Each target is a function of bytes. It may raise nothing but what it says, and no input may cost more than 100 ms
of CPU. A seed and a number replay an input.
"""

import argparse
import asyncio
import json
import socket
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from math import isfinite
from pathlib import Path
from random import Random
from threading import Thread

from attrs import define, field, frozen

from clinia_async import CliniaError, ConfigError, TaskId
from clinia_async.emulator import Emulator
from clinia_async.ingest.journal.errors import JournalError
from clinia_async.ingest.journal.journal import Journal
from clinia_async.ingest.journal.rows import JobIdentity
from clinia_async.ingest.readers.ndjson import LineReader
from clinia_async.ingest.readers.ndjson_strict import Rules
from clinia_async.tasks.resume_token import parse_token
from clinia_async.transport.retry import parse_retry_after
from tests.documented import documented
from tests.patience import PATIENCE

LONGEST = 0.1
"""Seconds of CPU for one input."""

PIECES = [
    *(b'"', b"{", b"}", b"[", b"]", b":", b",", b"\\", b"\\u0000", b"\\ud800", b"null", b"NaN", b"1e999"),
    *(
        b"-0",
        b"9" * 400,
        b"\x00",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"\xed\xa0\x80",
        b"\xc3",
        b"[" * 600,
        b'{"a":' * 300,
    ),
    *(b"status", b"taskId", b"SUCCESS", b"receipts", b"\r\n", b"\n", b" " * 50, b"a.b", b"..", b"%2e", b"id"),
    *(b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"POST / HTTP/1.1\r\n", b"\xe2\x80\xa8"),
]


@frozen
class Target:
    """What is fuzzed: the inputs to begin with, what reads them, and how many times slower than the rest it is."""

    seeds: list[bytes]
    read: Callable[[bytes], object]
    cost: int = 1


@define
class Findings:
    runs: int = 0
    slowest: float = 0.0
    untyped: list[str] = field(factory=list)
    slow: list[str] = field(factory=list)


def mutate(random: Random, seeds: list[bytes]) -> bytes:
    """Return one of the seeds with some bytes or pieces changed, or two of them spliced."""
    text = bytearray(random.choice(seeds))
    for _ in range(random.choice((1, 1, 2, 3, 8))):
        at = random.randrange(len(text) + 1)
        match random.randrange(7):
            case 0 if text:
                text[at % len(text)] = random.randrange(256)
            case 1:
                text[at:at] = random.choice(PIECES)
            case 2:
                del text[at : at + random.choice((1, 2, 8, 64))]
            case 3:
                other = random.choice(seeds)
                text[at:] = other[random.randrange(len(other) + 1) :]
            case 4:
                text[at:at] = text[at : at + random.choice((1, 4, 32))] * random.choice((2, 3, 50))
            case 5 if text:
                text[at % len(text)] ^= 1 << random.randrange(8)
            case _:
                text = text[:at]
    return bytes(text[:100_000])


def replies() -> Target:
    """The decoders of every call's answer."""
    answers = [(one.call, json.dumps(one.answer).encode()) for one in documented()]
    turn = Random(0)

    def read(text: bytes) -> None:
        call, _ = turn.choice(answers)
        try:
            call.decode_response(text)
        except CliniaError:
            pass

    return Target([text for _, text in answers], read)


def ndjson() -> Target:
    """The reader of NDJSON: whatever stands in a line, an item comes out, alone and in a batch."""
    end = '{"id":"a","type":"x"}'
    seeds = [
        f'{{"type":"t","from":{end},"to":{end},"data":{{"n":1.10}}}}',
        f'{{"type":"t","from":{end},"to":{end},"action":"UPSERT","meta":{{"identifier":[]}}}}',
        '{"type":"t","id":"p-1","data":{"x":[1,2,{"y":"é"}]},"contained":{"p":[{"type":"t","data":{}}]}}',
        '{"action":"DELETE","type":"t","id":"a.b","operation":"DELETE"}',
        '{"deadLetter":{"line":7,"text":"{"}}',
    ]
    reader = LineReader(Rules("ehr"))

    def read(text: bytes) -> None:
        line = text.replace(b"\n", b" ")
        assert reader.read(1, line) is not None
        items = list(reader.read_all([1, 2], [line, seeds[0].encode()]))
        count = sum(len(each) if hasattr(each, "__len__") else 1 for each in items)
        assert count == 2, "a bad line costs itself"

    return Target([each.encode() for each in seeds], read)


def tokens() -> Target:
    def read(text: bytes) -> None:
        try:
            parse_token(text.decode("utf-8", "surrogateescape"))
        except ConfigError:
            pass

    seeds = ['{"v":1,"task":"s_1","source":"ehr"}', '{"v":1,"task":"bk_1","source":"e","maybeApplied":true}']
    return Target([each.encode() for each in seeds], read)


def task_ids() -> Target:
    def read(text: bytes) -> None:
        try:
            id_ = TaskId(text.decode("utf-8", "surrogateescape"))
        except ValueError:
            return
        assert id_.kind
        assert not set("/\\?#\r\n") & set(id_.value)

    return Target([b"s_2wil2vJ1k4QWqvlZzYJqI3lYbZM", b"bk_1", b"purge:9", b"zz_1", b"bare"], read)


def retry_after() -> Target:
    def read(text: bytes) -> None:
        value, _, date = text.decode("latin-1").partition("|")
        seconds = parse_retry_after(value, date or None)
        assert seconds is None or (isfinite(seconds) and 0 <= seconds <= 3600)

    return Target(
        [b"5", b"0.5", b"-1", b"1e9", b"Sat, 28 Nov 2026 12:00:07 GMT|Sat, 28 Nov 2026 12:00:00 GMT"], read
    )


@contextmanager
def journals() -> Iterator[Target]:
    """Damaged journals: opened as they were written, or refused as journals."""
    identity = JobIdentity("ehr", "http://127.0.0.1:1", "bulk", None)

    async def opened(path: Path) -> None:
        journal = await Journal.open(path, identity)
        await journal.close()

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "j.db"
        asyncio.run(opened(path))
        with sqlite3.connect(path) as database:
            database.execute("PRAGMA journal_mode=DELETE")
        database.close()
        whole = path.read_bytes()

        def read(text: bytes) -> None:
            for each in Path(folder).iterdir():
                each.unlink()
            path.write_bytes(text)
            path.chmod(0o600)
            try:
                asyncio.run(opened(path))
            except JournalError:
                pass

        yield Target([whole], read, cost=500)


@contextmanager
def raw_http() -> Iterator[Target]:
    """Requests by hand to a running emulator: each is answered or hung up on, and it lives on."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever, daemon=True)
    thread.start()
    emulator = Emulator()
    asyncio.run_coroutine_threadsafe(emulator.__aenter__(), loop).result(PATIENCE)
    address = ("127.0.0.1", int(emulator.url.rpartition(":")[2]))
    head = f"Host: {address[0]}:{address[1]}\r\nX-Clinia-API-Key: {emulator.key}\r\nContent-Type: application/json\r\n"
    body = '{"from":{"id":"a","type":"x"},"to":{"id":"b","type":"y"}}'
    seeds = [
        f"POST /sources/ehr/v1/relationships/t HTTP/1.1\r\n{head}Content-Length: {len(body)}\r\n\r\n{body}",
        f"GET /sources/ehr/v1/tasks/s_1 HTTP/1.1\r\n{head}\r\n",
        f"POST /sources/ehr/v1/browse HTTP/1.1\r\n{head}Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n",
    ]

    def read(text: bytes) -> None:
        with socket.create_connection(address, timeout=PATIENCE) as connection:
            connection.sendall(text)
            connection.shutdown(socket.SHUT_WR)
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
        assert not answer or answer.startswith(b"HTTP/1."), answer[:20]
        assert b" 500 " not in answer.split(b"\r\n", 1)[0], "the emulator broke"

    try:
        yield Target([each.encode() for each in seeds], read, cost=200)
    finally:
        asyncio.run_coroutine_threadsafe(emulator.__aexit__(None, None, None), loop).result(PATIENCE)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE)
        loop.close()


PLAIN: dict[str, Callable[[], Target]] = {
    "reply": replies,
    "ndjson": ndjson,
    "token": tokens,
    "task-id": task_ids,
    "retry-after": retry_after,
}
MANAGED = {"journal": journals, "emulator": raw_http}
TARGETS = (*PLAIN, *MANAGED)


def fuzz(name: str, count: int, seed: int) -> Findings:
    """Run so many inputs, fewer of a target that is costly."""
    findings, random = Findings(), Random(f"{seed}:{name}")
    with ExitStack() as stack:
        target = PLAIN[name]() if name in PLAIN else stack.enter_context(MANAGED[name]())
        for number in range(max(count // target.cost, 20)):
            _run_one(findings, target, mutate(random, target.seeds), f"{name} seed {seed} number {number}")
    return findings


def _run_one(findings: Findings, target: Target, text: bytes, what: str) -> None:
    spent = time.process_time()
    try:
        target.read(text)
    except Exception as error:  # noqa: BLE001
        findings.untyped.append(f"{what}: {type(error).__name__}: {error} {text[:200]!r}")
    spent = time.process_time() - spent
    if spent > LONGEST:  # once more: a collection of garbage is not the input's doing
        again = time.process_time()
        try:
            target.read(text)
        except Exception:  # noqa: BLE001  said above
            pass
        spent = min(spent, time.process_time() - again)
        if spent > LONGEST:
            findings.slow.append(f"{what}: {spent:.3f} s {text[:80]!r}")
    findings.runs += 1
    findings.slowest = max(findings.slowest, spent)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="inputs of each cheap target")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--target", choices=TARGETS, action="append", help="all without it")
    given = parser.parse_args()
    bad = 0
    for name in given.target or TARGETS:
        found = fuzz(name, given.count, given.seed)
        for line in (found.untyped + found.slow)[:10]:
            print(line)
        bad += len(found.untyped) + len(found.slow)
        print(
            f"{name:<12}{found.runs:>12,} runs, {len(found.untyped)} untyped, {len(found.slow)} over 100 ms,"
            f" slowest {1000 * found.slowest:.1f} ms",
            flush=True,
        )
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
