"""The spans and metrics of the real SDK of OpenTelemetry."""

import asyncio

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from clinia_async import AlreadyExists, ChunkLimits, CreateRelationship, Ingestion, Ref, Session
from clinia_async.emulator import Accepted, Constant, Emulator, LostReply
from tests.factories import FROM, SOURCE, TO, TYPE, session_at

CANARY = "canary-4711"


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """What a provider of the program gets, which no other test has."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    return exporter


async def create(session: Session) -> None:
    await (await session.create_relationship(SOURCE, TYPE, from_=FROM, to=TO, data={"note": CANARY}))


def tree(exporter: InMemorySpanExporter) -> dict[str, list[ReadableSpan]]:
    """The finished spans by the name of their parent."""
    finished = exporter.get_finished_spans()
    names = {span.context.span_id: span.name for span in finished}
    found: dict[str, list[ReadableSpan]] = {}
    for span in finished:
        parent = "" if span.parent is None else names[span.parent.span_id]
        found.setdefault(parent, []).append(span)
    return found


async def test_a_retried_write_that_is_queued_makes_one_tree(spans: InMemorySpanExporter) -> None:
    async with Emulator(default=Accepted(Constant(0.2)), recording=True) as emulator:
        emulator.faults.add(LostReply(route="create_relationship", times=1))
        async with session_at(emulator) as session:
            with trace.get_tracer("the program").start_as_current_span("admit"):
                await create(session)
            sent = [one for one in emulator.received if one.route == "create_relationship"]
    found = tree(spans)
    assert [span.name for span in found[""]].count("admit") == 1
    assert {"create_relationship", "wait"} <= {span.name for span in found["admit"]}
    attempts = found["create_relationship"]
    assert [span.name for span in attempts] == ["POST /sources/{source}/v1/relationships/{type}"] * 2
    lost, answered = attempts
    assert lost.status.status_code is StatusCode.ERROR
    assert (lost.attributes or {})["clinia.outcome"] == "unknown"
    assert (answered.attributes or {})["http.response.status_code"] == 202
    assert (answered.attributes or {})["http.request.resend_count"] == 1
    assert (answered.attributes or {})["http.request.method"] == "POST"
    assert any(span.name == "poll" for spans_ in found.values() for span in spans_)
    traces = [dict(one.headers)["traceparent"].split("-")[2] for one in sent]
    assert traces == [f"{span.context.span_id:016x}" for span in attempts]


async def test_headers_of_a_view_go_along_with_those_of_the_trace(spans: InMemorySpanExporter) -> None:
    async with Emulator(recording=True) as emulator, session_at(emulator) as session:
        await create(session.with_options(headers={"X-Request-Id": "r-1"}))
        (sent,) = emulator.received
    headers = {name.lower(): value for name, value in dict(sent.headers).items()}
    assert headers["x-request-id"] == "r-1"
    assert "traceparent" in headers
    assert "r-1" not in "".join(span.to_json() for span in spans.get_finished_spans())


async def test_spans_hold_no_record_no_key_and_no_id(spans: InMemorySpanExporter) -> None:
    async with Emulator() as emulator, session_at(emulator) as session:
        await create(session)
        with pytest.raises(AlreadyExists):
            await create(session)
        key = emulator.key
    text = "\n".join(span.to_json() for span in spans.get_finished_spans())
    assert "create_relationship" in text
    for secret in (CANARY, key, FROM.id, TO.id):
        assert secret not in text


async def test_nothing_is_traced_where_that_is_not_wanted(spans: InMemorySpanExporter) -> None:
    async with Emulator() as emulator, session_at(emulator, open_telemetry=False) as session:
        await create(session)
    assert spans.get_finished_spans() == ()


async def test_a_job_is_a_span_with_a_span_for_each_chunk(spans: InMemorySpanExporter) -> None:
    writes = [CreateRelationship(SOURCE, TYPE, Ref(f"p-{n}", "x"), TO) for n in range(10)]
    async with Emulator() as emulator, session_at(emulator) as session:
        await Ingestion(session, SOURCE, writes, chunk=ChunkLimits(operations=5)).run()
    found = tree(spans)
    assert [span.name for span in found["ingest"]].count("chunk") == 2
    assert {"bulk"} <= {span.name for span in found["chunk"]}


async def test_a_poll_is_a_span_below_the_wait_for_its_own_task(spans: InMemorySpanExporter) -> None:
    async def call(name: str) -> None:
        with trace.get_tracer("the program").start_as_current_span(name):
            task = await session.create_relationship(SOURCE, TYPE, from_=Ref(name, "x"), to=TO)
            await task

    async with Emulator(default=Accepted(Constant(0.5))) as emulator, session_at(emulator) as session:
        await asyncio.gather(call("anna"), call("ben"), call("cleo"))
    found = tree(spans)
    polls = [span for span in found["wait"] if span.name == "poll"]
    assert len({span.context.trace_id for span in polls}) == 3
    assert [span.name for parent in found for span in found[parent]].count("poll") == len(polls)
