"""Bulk creates, every receipt read and matched, an outcome a record: against raw aiohttp, json and dicts."""

from collections.abc import Mapping

from benchmarks.measures.ndjson import ndjson
from benchmarks.plan import Plan
from benchmarks.quartiles import AtLeast, Goal
from benchmarks.rounds import Contender, interleaved
from benchmarks.tables import Comparison, Table

RAW = Contender("raw aiohttp, json, dicts", "bulk_raw:create")
TYPED = Contender("clinia_async, typed", "bulk:typed", is_ours=True)
DICTS = Contender("clinia_async, dicts", "bulk:dicts", is_ours=True)
FILE = Contender("clinia_async, command line, NDJSON", "bulk:file", is_ours=True)
PEERS = (
    Contender("elasticsearch async_bulk", "bulk_elasticsearch:bulk", needs="elasticsearch"),
    Contender("elasticsearch async_streaming_bulk", "bulk_elasticsearch:streaming", needs="elasticsearch"),
    Contender("qdrant-client upsert", "bulk_qdrant:upsert", needs="qdrant_client"),
    Contender("algoliasearch save_objects", "bulk_algolia:save_objects", needs="algoliasearch"),
)
GOALS: Mapping[str, Goal] = {TYPED.name: AtLeast(1.1, 0.7), DICTS.name: AtLeast(1.4), FILE.name: AtLeast(1.7)}
NOTES = (
    "chunks of 1,000; 4 in flight, but elasticsearch and algolia send one after the other",
    "elasticsearch tells an outcome a record, as we do; qdrant and algolia acknowledge a chunk",
)


def measure(plan: Plan) -> list[Table]:
    return _measured(plan, [RAW, TYPED, DICTS, FILE, *PEERS])


def checked(plan: Plan) -> list[Table]:
    return _measured(plan, [RAW, TYPED])


def _measured(plan: Plan, contenders: list[Contender]) -> list[Table]:
    count = 20_000  # in the slice, too: of fewer, what happens once in a process is too large a part
    with ndjson(count) as path:
        placed = [at_file(each, path) for each in contenders]
        results = interleaved(placed, plan.times(9, 7), url=plan.stub.url, count=count)
    more = [("records a second", "per_second", ",.0f"), ("peak MB", "peak_mb", ".0f")]
    title = f"Bulk creates, {count:,} records"
    comparison = Comparison(title, results, RAW.name, "cpu_us", "CPU us a record", GOALS, more=more)
    return [comparison.table(NOTES)]


def at_file(contender: Contender, path: str) -> Contender:
    """A contender that reads a file, with its path; any other as it is."""
    if contender.way != FILE.way:
        return contender
    return Contender(contender.name, contender.way, {"path": path}, is_ours=True)
