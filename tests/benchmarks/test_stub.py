"""The service under the benchmarks, in C and in Python: it speaks each protocol, and both alike.

It is another process, which the jumping clock of the other tests would overtake: these run on a plain loop.
"""

import asyncio
import json
import socket
import time
from collections.abc import Callable, Coroutine, Iterator
from functools import wraps
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest

pytest.importorskip("benchmarks.stub", reason="the benchmarks are not beside the tests here")

import clinia_async as clinia
from benchmarks import slow_stub, workload
from benchmarks.stub import COMPILER, SLOW, Stub, serving
from benchmarks.ways.lags import due

SEED = 7
COMPILED = pytest.param(COMPILER, marks=pytest.mark.skipif(COMPILER is None, reason="no C compiler"), id="C")


@pytest.fixture(scope="module", params=[COMPILED, pytest.param(None, id="Python")])
def stub(request: pytest.FixtureRequest) -> Iterator[Stub]:
    with serving(SEED, request.param) as running:
        assert running.warning == (None if request.param else SLOW)
        yield running


def on_a_plain_loop(test: Callable[[Stub], Coroutine[object, object, None]]) -> Callable[[Stub], None]:
    @wraps(test)
    def run(stub: Stub) -> None:
        asyncio.run(test(stub))

    return run


def ask(stub: Stub, method: str, path: str, body: object = None) -> dict[str, object]:
    data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    with urlopen(Request(stub.url + path, data, method=method)) as answer:
        assert answer.headers["Content-Type"] == "application/json"
        found: dict[str, object] = json.load(answer)
        return found


@on_a_plain_loop
async def test_a_single_create_is_done_at_once_and_joins_what_was_sent(stub: Stub) -> None:
    doctor, clinic = clinia.Ref("a", "practitioner"), clinia.Ref("b", "organization")
    async with clinia.Session(base_url=stub.url, api_key="k") as session:
        task = await session.create_relationship("persisted", "works-at", from_=doctor, to=clinic)
        found = await task
    assert (found.id, found.type, found.from_, found.to) == ("a.b", "works-at", doctor, clinic)
    assert task.stats.polls == 0


@on_a_plain_loop
async def test_an_accepted_create_ends_and_is_read_back(stub: Stub) -> None:
    doctor, clinic = clinia.Ref("a", "practitioner"), clinia.Ref("b", "organization")
    async with clinia.Session(base_url=stub.url, api_key="k") as session:
        task = await session.create_relationship("instant", "works-at", from_=doctor, to=clinic)
        assert not task.done()
        assert (await task).id == "a.b"
        (receipt,) = await task.receipts()
    assert (receipt.id, receipt.type, receipt.status) == ("a.b", "works-at", clinia.TaskStatus.SUCCESS)
    assert due(str(task.id)) <= time.monotonic()


@on_a_plain_loop
async def test_a_task_that_never_ends_has_a_pending_receipt(stub: Stub) -> None:
    doctor, clinic = clinia.Ref("a", "practitioner"), clinia.Ref("b", "organization")
    async with clinia.Session(base_url=stub.url, api_key="k") as session:
        task = await session.create_relationship("never", "works-at", from_=doctor, to=clinic)
        snapshot = await task.refresh(receipts=True)
    assert snapshot.status == clinia.TaskStatus.PENDING
    assert [receipt.status for receipt in snapshot.receipts or ()] == [clinia.TaskStatus.PENDING]


@on_a_plain_loop
async def test_every_record_of_an_ingestion_lands(stub: Stub) -> None:
    writes = (
        clinia.CreateRelationship(
            "persisted",
            workload.TYPE,
            clinia.Ref(f"p-{number}", "practitioner"),
            clinia.Ref("org", "organization"),
            workload.DATA | {"note": 'a "quoted" }{ and a \\ in it'},
        )
        for number in range(25)
    )
    limits = clinia.ChunkLimits(operations=10)
    async with clinia.Session(base_url=stub.url, api_key="k") as session:
        report = await clinia.Ingestion(session, "persisted", writes, chunk=limits).run()
    assert report.landed == report.sent == 25


@on_a_plain_loop
async def test_a_bulk_of_resources_has_a_receipt_for_each_operation(stub: Stub) -> None:
    writes = [
        clinia.UpsertResource("persisted", "patient", "p-1", data={"active": True}),
        clinia.DeleteResource("persisted", "patient", "p-2"),
    ]
    async with clinia.Session(base_url=stub.url, api_key="k") as session:
        result = await (await session.bulk("persisted", writes))
    assert not result.missing
    assert [result.of(write).action for write in writes] == ["UPSERT", "DELETE"]


@pytest.mark.parametrize("source", ["lognormal", "bimodal", "instant"])
def test_how_long_a_task_takes_depends_on_the_seed_and_the_record_alone(stub: Stub, source: str) -> None:
    for number in range(20):
        from_, to = workload.ends(number)
        expected = slow_stub.duration(source, f"CREATE\t{workload.TYPE}\t{from_}.{to}\n", SEED)
        path = f"/sources/{source}/v1/relationships/{workload.TYPE}"
        before = time.monotonic()
        task = ask(stub, "POST", path, workload.body(number))["taskId"]
        after = time.monotonic()
        assert before - 1e-5 <= due(str(task)) - expected <= after + 1e-5


def test_the_distributions_are_what_they_are_called() -> None:
    times = sorted(slow_stub.duration("lognormal", str(number), SEED) for number in range(4000))
    assert times[2000] == pytest.approx(0.4, rel=0.05)
    assert times[3365] == pytest.approx(0.4 * 2.2255, rel=0.08)  # one sigma above: e**0.8
    short = [slow_stub.duration("bimodal", str(number), SEED) < 1 for number in range(4000)]
    assert sum(short) / len(short) == pytest.approx(0.8, rel=0.03)


def test_elasticsearch_gets_an_item_an_operation(stub: Stub) -> None:
    lines = [
        {"index": {"_index": "i", "_id": "1"}},
        {"_id": "none of its business"},
        {"delete": {"_index": "i", "_id": "2"}},
        {"create": {"_index": "i", "_id": "3"}},
        {"a": 1},
    ]
    body = "".join(json.dumps(line) + "\n" for line in lines).encode()
    answer = ask(stub, "PUT", "/_bulk", body)
    items = [next(iter(item.items())) for item in answer["items"]]  # type: ignore[attr-defined]
    assert [(action, about["_id"]) for action, about in items] == [
        ("index", "1"),
        ("delete", "2"),
        ("create", "3"),
    ]
    assert answer["errors"] is False


def test_the_other_peers_get_their_acknowledgements(stub: Stub) -> None:
    requests = [{"action": "addObject", "body": {"x": [{"y": "]"}], "objectID": str(n)}} for n in range(3)]
    assert ask(stub, "POST", "/1/indexes/i/batch", {"requests": requests})["objectIDs"] == ["0", "1", "2"]
    assert ask(stub, "GET", "/1/indexes/i/task/1")["status"] == "published"
    assert ask(stub, "PUT", "/collections/c/points?wait=true", {})["status"] == "ok"
    assert ask(stub, "POST", "/v1/patients/p/ingestions/fhir/r4", {})["ingestionId"] == "i-1"


def test_requests_may_come_in_pieces_and_several_at_once(stub: Stub) -> None:
    path = "/sources/persisted/v1/relationships/works-at"
    ends = '{"from":{"id":"%s","type":"practitioner"}, "to" : {"id":"o","type":"organization"}}'
    whole = b""
    for name in ("one", "two", "three"):
        body = ends % name
        whole += f"POST {path} HTTP/1.1\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode()
    where = urlsplit(stub.url)
    with socket.create_connection((where.hostname, where.port)) as wire:
        for piece in (whole[:7], whole[7:120], whole[120:]):
            wire.sendall(piece)
        answers = b""
        while answers.count(b"PERSISTED") < 3 or not answers.endswith(b"}}}"):
            answers += wire.recv(65536)
    assert [answers.count(f'"id":"{name}.o"'.encode()) for name in ("one", "two", "three")] == [1, 1, 1]
