"""Each way to do the work runs, does all of it, and tells its figures. What they are is no matter here."""

from collections.abc import Iterator

import pytest

pytest.importorskip("benchmarks.rounds", reason="the benchmarks are not beside the tests here")

from benchmarks.measures import files
from benchmarks.measures.ndjson import ndjson
from benchmarks.rounds import Contender, sample
from benchmarks.stub import Stub, serving

pytestmark = pytest.mark.campaign
ONE_BY_ONE, MANY = {"cpu_us", "wall_us", "per_second"}, {"cpu_us", "per_second", "peak_mb"}
WAITED = {"looks", "p50_ms", "p90_ms", "p99_ms", "mean_ms", "cpu_us", "seconds", "peak_mb"}


@pytest.fixture(scope="module")
def stub() -> Iterator[Stub]:
    with serving() as running:
        yield running


@pytest.mark.parametrize(
    ("way", "given", "figures"),
    [
        ("single_raw:create", {"in_flight": 2}, ONE_BY_ONE),
        ("single:ours", {"in_flight": 2}, ONE_BY_ONE),
        ("bulk_raw:create", {}, MANY),
        ("bulk:typed", {}, MANY),
        ("bulk:dicts", {}, MANY),
        ("waiting:ours", {"source": "instant"}, WAITED),
        ("waiting:read_back", {"source": "instant"}, WAITED),
        ("waiting_paces:paced", {"source": "instant", "pace": "constant", "settings": [0.01]}, WAITED),
        ("waiting_paces:scheduled", {"source": "instant", "interval": 0.01}, WAITED),
        ("waiting:accepted", {"in_flight": 2, "how": "read back"}, ONE_BY_ONE),
        ("pending:ours", {"traced": True}, {"bytes"}),
        ("pending:callers", {"traced": False}, {"bytes"}),
    ],
)
def test_against_the_stub(stub: Stub, way: str, given: dict[str, object], figures: set[str]) -> None:
    found = sample(Contender("it", way, given), url=stub.url, count=20)
    assert set(found) == figures


def test_ours_denies_nothing_that_is_stored_after_a_lost_reply() -> None:
    found = sample(Contender("it", "lost_replies:ours"), count=100, seed=1)
    assert (found["false_errors"], found["false_successes"], found["doubles"]) == (0, 0, 0)
    assert found["right"] + found["unknown"] == 100


def test_a_file_goes_through_the_command_line(stub: Stub) -> None:
    with ndjson(20) as path:
        found = sample(Contender("it", "bulk:file", {"path": path}), url=stub.url, count=20)
    assert set(found) == MANY


@pytest.mark.parametrize(
    ("way", "given", "figures"),
    [
        ("one_by_one:gathered", {}, MANY),
        ("one_by_one:ingested", {}, MANY),
        ("one_by_one:ingested", {"journal": True}, MANY),
        ("one_by_one:resumed", {}, {"cpu_us"}),
    ],
)
def test_a_file_is_sent_a_request_a_record(
    stub: Stub, way: str, given: dict[str, object], figures: set[str]
) -> None:
    with ndjson(1200) as path:
        found = sample(Contender("it", way, {**given, "path": path}), url=stub.url, count=1200)
    assert set(found) == figures


@pytest.mark.parametrize("number", range(8))
def test_files_of_every_format_are_loaded(stub: Stub, number: int) -> None:
    with files.files(2000) as folder:
        contender = files._contenders(folder)[number]
        assert set(sample(contender, url=stub.url, count=2000)) == MANY


@pytest.mark.parametrize(
    ("way", "count"), [("emulating:bare", 20), ("emulating:emulator", 20), ("emulating:bulks", 2000)]
)
def test_a_server_under_load(way: str, count: int) -> None:
    assert set(sample(Contender("it", way), count=count)) == {"cpu_us", "per_cpu_second"}


@pytest.mark.parametrize("way", ["importing:statement", "importing:program"])
def test_a_fresh_interpreter(way: str) -> None:
    assert sample(Contender("it", way), code="import json", times=1)["cpu_ms"] > 0


def test_an_ingest_until_it_connects() -> None:
    assert sample(Contender("it", "importing:ingest"), times=1)["cpu_ms"] > 0
