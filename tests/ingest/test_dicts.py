"""Jobs take dicts as lines of NDJSON hold them, with the same checks."""

import json
from collections import UserDict
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from itertools import starmap
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from clinia_async import (
    CreateRelationship,
    CreateResource,
    Disposition,
    Ingestion,
    Record,
    Ref,
    UpsertResource,
    read_records,
)
from clinia_async.emulator import Emulator
from tests.ingest.running import BOTH_WAYS, SOURCE, ran, run, session_for, stored_data, write


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator() as emulator:
        yield emulator


def line(number: int, **more: Any) -> dict[str, Any]:
    ends = {
        "from": {"id": f"p{number}", "type": "practitioner"},
        "to": {"id": "org-1", "type": "organization"},
    }
    return {"type": "practises-at", **ends, "data": {"number": number}, **more}


def person(number: int, **more: Any) -> dict[str, Any]:
    return {"type": "practitioner", "id": f"prac-{number}", "data": {"number": number}, **more}


@pytest.mark.parametrize("via", BOTH_WAYS)
async def test_dicts_are_written_as_lines_are(emulator: Emulator, via: str) -> None:
    found = await run(emulator, [line(number) for number in range(700)], via=via)
    assert found.error is None
    assert found.reported == {Disposition.PERSISTED: 700}
    assert stored_data(emulator) == {f"p{number}.org-1": {"number": number} for number in range(700)}
    assert found.lines(found.outcomes[0].disposition) == list(range(1, 701))


@pytest.mark.parametrize("via", BOTH_WAYS)
async def test_dicts_of_all_kinds_and_other_items_may_be_mixed(emulator: Emulator, via: str) -> None:
    items = [
        person(1),
        {"action": "UPSERT", **person(2)},
        line(3),
        write("prac-4", "org-4"),
        {"action": "DELETE", "type": "practitioner", "id": "prac-1"},
        person(5, meta={"createdAt": datetime(2020, 1, 1, tzinfo=UTC)}),
    ]

    async def source() -> AsyncIterator[Any]:
        for item in items:
            yield item

    found = await run(emulator, source(), via=via)
    assert found.error is None
    assert found.reported == {Disposition.PERSISTED: 6}
    assert set(stored_data(emulator)) == {"p3.org-1", "prac-4.org-4"}


@pytest.mark.parametrize(
    ("bad", "path"),
    [
        ({}, "$.type"),
        ({"type": "practises-at"}, "$.from"),
        (line(1, data=[]), "$.data"),
        ({**line(1), "type": "bulk"}, "$.type"),
        (person(1) | {"type": "bulk"}, "$.type"),
        (line(1, date={}), "$"),
        (line(1, meta={"createdAt": "CANARY"}), "$.meta.createdAt"),
        (line(1, meta={"createdBy": "CANARY"}), "$.meta.createdBy"),
        (line(1, data={"x": float("nan")}), "$.data.x"),
        (line(1, data={"x": {1, 2}}), "$.data.x"),
        (line(1, data={"x": datetime(2020, 1, 1)}), "$.data.x"),  # noqa: DTZ001  naive on purpose
        ({**line(1), "from": {"id": "a.b", "type": "practitioner"}}, "$.from.id"),
        ({**line(1), "from": {"id": 7, "type": "practitioner"}}, "$.from.id"),
    ],
)
async def test_a_dict_that_is_wrong_costs_itself_alone(emulator: Emulator, bad: Any, path: str) -> None:
    found = await run(emulator, [line(1), bad, line(2)])
    assert found.error is None
    assert found.lines(Disposition.INVALID) == [2]
    (reason,) = [outcome.reason for outcome in found.outcomes if outcome.disposition is Disposition.INVALID]
    assert (reason or "").startswith(f"{path}: ")
    assert "CANARY" not in (reason or "")
    assert len(stored_data(emulator)) == 2


class Kind(StrEnum):
    PRACTISES_AT = "practises-at"
    PRACTITIONER = "practitioner"


class Text(str):  # noqa: SLOT000
    """A text that is more than a text."""


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth - 1):
        value = {"a": value}
    return value


END = {"id": "org-1", "type": "organization"}
UNUSUAL = [
    line(7, data={"x": None, "y": [None, {"z": None}], "null": "null"}),
    line(7, data={"x": None, "y": float("nan")}),
    line(7, data={"x": [None, float("inf")]}),
    line(7, data={"x": (1, None)}),
    line(7, data={"x": True, "y": 1.0, "z": -0.0, "w": 2**63}),
    line(7, data={"x": 2**64}),
    line(7, data=None),
    line(7, data={}),
    line(7, data=nested(190)),
    line(7, data=nested(210)),
    line(7, data=nested(300)),
    line(7, data={"x": "\ud800"}),
    {name: value for name, value in line(7).items() if name != "data"},
    line(7) | {"type": Kind.PRACTISES_AT},
    line(7) | {"to": {**END, "id": UUID(int=7)}},
    line(7) | {"to": {**END, "type": Kind.PRACTITIONER}},
    line(7) | {"to": {**END, "type": None}},
    line(7) | {"to": {**END, "id": ""}},
    line(7) | {"to": {**END, "more": 1}},
    line(7) | {"to": [*END.items()]},
    line(7) | {"id": "p7.org-1"},
    line(7) | {"id": "p8.org-1"},
    line(7) | {"action": "UPSERT"},
    line(7) | {"action": Kind.PRACTITIONER},
    line(7) | {"operation": "CREATE", "action": "CREATE"},
    person(7) | {"id": UUID(int=7)},
    person(7) | {"type": Kind.PRACTITIONER},
    person(7, data={"x": None}),
    {"type": "practitioner", "id": "prac-7"},
]
WITHOUT_LINE = [
    line(7) | {"type": Text("practises-at")},
    line(7) | {"to": {**END, "id": Text("org-1")}},
    line(7, data={1: 2}),
    person(7) | {"id": Text("prac-7")},
]
"""What the standard library writes as JSON, and jobs refuse."""


@pytest.mark.parametrize("number", range(len(UNUSUAL + WITHOUT_LINE)))
async def test_a_dict_says_the_same_beside_others_and_as_a_line(number: int, tmp_path: Path) -> None:
    """A block of dicts is checked as a whole: what that finds must be what each finds by itself."""
    item = (UNUSUAL + WITHOUT_LINE)[number]

    async def loaded(source: Any) -> tuple[Disposition, str | None, object]:
        async with Emulator() as emulator:
            found = await run(emulator, source)
            assert found.error is None
            (outcome,) = [each for each in found.outcomes if each.line == 2]
            return outcome.disposition, outcome.reason, stored_data(emulator).get("p7.org-1")

    beside = await loaded([line(1), item, line(2)])
    # beside an item of another kind, dicts are read one by one
    alone = await loaded([write("prac-1", "org-1"), item])
    assert beside == alone
    try:
        text = json.dumps(item, default=str, allow_nan=False)
    except ValueError:
        text = None
    if text is None or number >= len(UNUSUAL):
        assert beside[0] is Disposition.INVALID
        return
    path = tmp_path / "lines"
    path.write_text("\n".join([json.dumps(line(1)), text, json.dumps(line(2))]))
    assert (await loaded(read_records(path, SOURCE)))[0] is beside[0]


async def test_dates_and_decimals_of_dicts_are_sent_exactly(emulator: Emulator) -> None:
    data = {"since": datetime(2020, 1, 1, tzinfo=UTC), "share": Decimal("0.10"), "large": 2**70}
    found = await run(emulator, [line(number, data=data) for number in range(3)])
    assert found.error is None
    (text,) = {record.text or record.payload() for record in (each.record for each in found.outcomes[:1])}
    assert b'"share":0.10' in text
    assert json.loads(text)["data"] == {"since": "2020-01-01T00:00:00Z", "share": 0.1, "large": 2**70}


async def test_a_job_of_dicts_is_continued_by_its_journal(emulator: Emulator, tmp_path: Any) -> None:
    items = [line(number) for number in range(40)]
    async with session_for(emulator) as session:
        first = await ran(session, items[:25], journal=tmp_path / "load.db")
        assert first.reported == {Disposition.PERSISTED: 25}
        job = Ingestion(session, SOURCE, items, journal=tmp_path / "load.db")
        async with job:
            again = [outcome async for outcome in job]
    assert len(again) == 15
    assert len(stored_data(emulator)) == 40


async def test_a_block_without_records_is_none(emulator: Emulator, tmp_path: Path) -> None:
    """As readers give where a part of a document holds none."""
    path = tmp_path / "bundle.fhir.json"
    entries = [{"resource": {"resourceType": "Patient", "id": "p1"}}]
    path.write_text(json.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries}))
    found = await run(emulator, read_records(path, SOURCE, fhir="both"))
    assert found.error is None
    assert found.reported == {Disposition.PERSISTED: 1}


def refilled(kind: str, count: int) -> Iterator[Any]:
    """Items that share what they hold: each is filled again for the next one, as cheap sources do."""
    if kind.startswith("record of "):
        yield from starmap(Record, enumerate(refilled(kind.removeprefix("record of "), count), 1))
        return
    data: dict[str, Any] = {"number": 0, "nested": [{"number": 0}]}
    ends = {"from": {"id": "", "type": "practitioner"}, "to": {"id": "org-1", "type": "organization"}}
    whole = {"type": "practises-at", **ends, "data": data}
    for number in range(count):
        data["number"] = data["nested"][0]["number"] = number
        ends["from"]["id"] = f"p{number}"
        if kind == "dict":
            yield whole
        elif kind == "mapping":
            yield UserDict(whole)
        elif kind == "nested dict":
            yield {**whole, "from": {"id": f"p{number}", "type": "practitioner"}}
        elif kind == "relationship":
            ends_of_it = Ref(f"p{number}", "practitioner"), Ref("org-1", "organization")
            yield CreateRelationship(SOURCE, "practises-at", *ends_of_it, data)
        else:
            make = CreateResource if kind == "create" else UpsertResource
            id_ = {"given_id": f"p{number}"} if kind == "create" else {"id": f"p{number}"}
            yield make(source=SOURCE, type="practitioner", data=data, **id_)
    data.clear()


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("via", ["single", "bulk", "bundle"])
@pytest.mark.parametrize(
    "kind",
    [
        *("dict", "mapping", "nested dict", "relationship", "create", "upsert"),
        *("record of relationship", "record of create", "record of upsert"),
    ],
)
async def test_a_source_may_fill_the_same_objects_again(
    emulator: Emulator, kind: str, via: str, is_async: bool
) -> None:
    async def asynchronous() -> AsyncIterator[Any]:
        for item in refilled(kind, 20):
            yield item

    found = await run(emulator, asynchronous() if is_async else refilled(kind, 20), via=via)
    assert found.error is None
    assert found.reported == {Disposition.PERSISTED: 20}
    stored = [*emulator.stored(), *emulator.stored_resources()]
    assert {each.id.removesuffix(".org-1"): each.data for each in stored} == {
        f"p{number}": {"number": number, "nested": [{"number": number}]} for number in range(20)
    }


async def test_a_record_that_cannot_be_encoded_is_named_by_its_own_line(emulator: Emulator) -> None:
    data: dict[str, Any] = {"a": object()}

    def source() -> Iterator[Record]:
        yield Record(7, UpsertResource(SOURCE, "practitioner", "p1", data=data))
        data["a"] = "could be sent, and is not what was given"

    found = await run(emulator, source())
    (outcome,) = found.outcomes
    assert (outcome.record.line, outcome.disposition.has_landed) == (7, False)
    assert not [*emulator.stored_resources()]


@pytest.mark.parametrize("via", ["single", "bulk", "bundle"])
async def test_every_digit_of_a_decimal_is_sent(via: str) -> None:
    number = Decimal("0.12345678901234567890123")
    items = [
        write("p1", "org-1", number=number),
        line(2, data={"number": number}),
        CreateResource(source=SOURCE, type="practitioner", given_id="p3", data={"number": number}),
    ]
    async with Emulator(recording=True) as emulator:
        for item in items:
            await run(emulator, [item], via=via)
        sent = [request.body or b"" for request in emulator.received if request.method == "POST"]
    assert [body.count(b"0.12345678901234567890123") for body in sent] == [1, 1, 1]
