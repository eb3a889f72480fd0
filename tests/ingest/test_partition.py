"""One partition as an engine runs it: rows in, a receipt out, in a loop and a session of its own."""

import json
import pickle
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from clinia_async import (
    ChunkLimits,
    CliniaError,
    ColumnMapping,
    ConfigError,
    CreateRelationship,
    Disposition,
    NetworkGivenUp,
    PartitionConfig,
    Ref,
    ingest_partition,
)
from clinia_async.emulator import LostReply
from tests.cli.served import Served
from tests.ingest.running import BOTH_WAYS, SOURCE

KEY = "KEY_OF_THE_WORKER"


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    with Served() as served:
        monkeypatch.setenv(KEY, served.key)
        yield served


def config(served: Served, **more: object) -> PartitionConfig:
    given = {"source": SOURCE, "base_url": served.url, "api_key_env": KEY, **more}
    return pickle.loads(pickle.dumps(PartitionConfig(**given)))  # type: ignore[arg-type,no-any-return]


def row(number: int, **data: object) -> dict[str, object]:
    return {
        "type": "practises-at",
        "from": {"id": f"prac-{number}", "type": "practitioner"},
        "to": {"id": "org-1", "type": "organization"},
        "data": data,
    }


@pytest.mark.parametrize("via", BOTH_WAYS)
def test_rows_of_any_kind_land_and_the_receipt_can_be_pickled(via: str, served: Served) -> None:
    write = CreateRelationship(SOURCE, "t", Ref("a", "x"), Ref("b", "y"))
    rows = [row(1), json.dumps(row(2)), json.dumps(row(3)).encode(), write, row(1)]
    receipt = ingest_partition(rows, config=config(served, options={"via": via}), partition=7)
    again = pickle.loads(pickle.dumps(receipt))
    assert again == receipt
    assert (receipt.partition, receipt.attempt, receipt.rows, receipt.all_landed) == (7, 0, 5, True)
    assert receipt.counts[Disposition.EXISTING] == 1
    assert served.holds() == 4


def test_bad_rows_are_in_the_receipt_and_nothing_of_them_is(served: Served) -> None:
    canary = "canary-value"
    rows = [row(1), {**row(2), "more": canary}, row(3, n=float("nan")), f'{{"type": "{canary}', "", row(4)]
    receipt = ingest_partition(rows, config=config(served), partition="p-1")
    assert {each.row: each.disposition for each in receipt.failures} == dict.fromkeys(
        [2, 3, 4, 5], Disposition.INVALID
    )
    assert not receipt.all_landed
    assert receipt.counts[Disposition.INVALID] == 4
    assert canary not in repr(receipt)
    assert served.holds() == 2


CYCLE: dict[str, object] = {}
CYCLE["data"] = CYCLE
NO_ROWS = [
    7,
    1.5,
    None,
    [1],
    (1,),
    {1},
    object(),
    CreateRelationship,
    (each for each in ()),
    '{"a": "\ud800"}',
    {1: 2},
    {**row(9), "more": b"x"},
    CYCLE,
    bytearray(b"{}"),
    memoryview(b"{"),
    b"\xff",
    b"",
    "{}\n{}",
]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_what_is_no_row_costs_itself_wherever_it_stands(place: int, served: Served) -> None:
    rows: list[object] = [row(1), row(2)]
    rows[place:place] = NO_ROWS
    receipt = ingest_partition(rows, config=config(served), partition=1)  # type: ignore[arg-type]
    assert receipt.rows == len(rows)
    assert receipt.counts[Disposition.INVALID] == len(NO_ROWS)
    assert [each.row for each in receipt.failures] == [*range(place + 1, place + 1 + len(NO_ROWS))]
    assert served.holds() == 2


def test_failures_are_listed_up_to_a_bound_and_counted_in_full(served: Served) -> None:
    receipt = ingest_partition([{}] * 50, config=config(served, most_failures=10), partition=0)
    assert len(receipt.failures) == 10
    assert receipt.counts == {Disposition.INVALID: 50}


def test_a_second_attempt_knows_what_the_first_one_sent_as_its_own(served: Served) -> None:
    settings = config(served, options={"on_existing": "fail"})
    rows = [row(number) for number in range(20)]
    ingest_partition(rows, config=settings, partition=1)
    again = ingest_partition(rows, config=settings, partition=1, attempt=1)
    assert again.counts == {Disposition.PERSISTED: 20}
    assert again.reconciled == 20
    first = ingest_partition(rows, config=settings, partition=1, attempt=0)
    assert first.counts == {Disposition.FAILED: 20}, "what others have stored is a conflict at first"


def test_what_ends_a_job_is_raised_and_the_next_attempt_goes_on(served: Served, tmp_path: Path) -> None:
    options = {"patience": 0.1, "chunk": ChunkLimits(operations=5), "workers": 1}
    settings = config(served, journals=tmp_path, options=options)
    rows = [row(number) for number in range(20)]
    fault = served.ask(lambda it: it.faults.add(LostReply(route="bulk_relationships")))
    with pytest.raises(NetworkGivenUp) as raised:
        ingest_partition(rows, config=settings, partition=3)
    assert isinstance(pickle.loads(pickle.dumps(raised.value)), CliniaError)
    served.ask(lambda it: it.faults.clear())
    assert fault
    receipt = ingest_partition(rows, config=settings, partition=3, attempt=1)
    assert receipt.all_landed
    assert served.holds() == 20


@pytest.mark.parametrize(
    "rows",
    [[row(1)], [json.dumps(row(1)).encode()], [json.dumps(row(1))], ({}, row(1))],
    ids=["dicts", "lines", "texts", "a tuple"],
)
@pytest.mark.parametrize(
    "more",
    [{"columns": ColumnMapping.parse("type==patient,id=pid")}, {"timezone": "Europe/Paris"}],
    ids=["columns", "timezone"],
)
def test_what_is_for_arrow_alone_is_refused_for_other_rows(
    rows: Iterable[Any], more: dict[str, object], served: Served
) -> None:
    with pytest.raises(ConfigError, match="columns and timezone are for"):
        ingest_partition(rows, config=config(served, **more), partition=1)
    assert not served.holds()


def test_a_partition_without_a_row_may_have_what_is_for_arrow(served: Served) -> None:
    """An engine gives every partition the same configuration, and some of them nothing else."""
    assert ingest_partition([], config=config(served, timezone="Europe/Paris"), partition=1).all_landed


def test_wrong_settings_are_reported_before_anything_is_sent(served: Served, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="NO_SUCH_KEY"):
        ingest_partition([row(1)], config=config(served, api_key_env="NO_SUCH_KEY"), partition=1)
    with pytest.raises(ConfigError, match="must be named"):
        ingest_partition([row(1)], config=config(served, journals=tmp_path), partition="../x")
    assert not served.holds()
    assert served.key not in repr(config(served))
