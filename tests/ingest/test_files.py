"""The real files: what is wrong in them is found, what is right lands, and the counts are exact."""

import csv
import gzip
import json
from pathlib import Path

import pytest

from clinia_async import BadRecord, Disposition, InputError, Record, escape_dots, read_ndjson, unescape_dots
from clinia_async.emulator import Emulator
from clinia_async.ingest.records import Blank
from tests.ingest.running import BOTH_WAYS, SOURCE, run

DATA = Path(__file__).parent.parent / "data"

VERDICTS = {
    "json": ("$", "expected JSON"),
    "json NaN": ("$", "expected numbers that are finite"),
    "duplicate key": ("$", "expected each key once"),
    "not an object": ("$", "expected an object"),
    "missing from/to": ("$.from", "is required"),
    "missing to.type": ("$.to.type", "is required"),
    "empty id": (
        "$.from.id",
        "must be 1 to 256 characters, none of them a dot, a control or an invisible character",
    ),
    "id not a string": ("$.from.id", "must be a string"),
    "data not an object": ("$.data", "must be an object"),
}


def expected_table() -> dict[int, str]:
    with (DATA / "dirty-1k.expected.tsv").open(encoding="utf-8") as rows:
        return {int(number): verdict for number, verdict in csv.reader(rows, delimiter="\t")}


@pytest.mark.parametrize("via", BOTH_WAYS)
async def test_the_dirty_file_fails_exactly_where_its_table_says(via: str) -> None:
    table = expected_table()
    async with Emulator() as emulator:
        found = await run(emulator, read_ndjson(DATA / "dirty-1k.ndjson", SOURCE), via=via)
        held = emulator.relationships()
    wrong = {
        each.line: (each.record.path, each.record.reason)
        for each in found.outcomes
        if isinstance(each.record, BadRecord)
    }
    assert wrong == {
        line: VERDICTS[verdict] for line, verdict in table.items() if verdict not in {"ok", "blank"}
    }
    landed = [each.line for each in found.outcomes if each.disposition.has_landed]
    assert sorted(landed) == [line for line, verdict in table.items() if verdict == "ok"]
    assert found.report.blank == sum(verdict == "blank" for verdict in table.values())
    assert held == found.told[Disposition.PERSISTED]


async def test_ids_with_dots_are_refused_and_escaped_ones_land() -> None:
    path = DATA / "mixed-1k.ndjson"
    dotted = {each.line async for each in read_ndjson(path, SOURCE) if isinstance(each, BadRecord)}
    assert dotted
    async with Emulator() as emulator:
        records = read_ndjson(path, SOURCE, map_id=escape_dots)
        found = await run(emulator, records, on_existing="keep")
        ends = {tuple(map(unescape_dots, each.id.split("."))) for each in emulator.stored()}
    assert found.report.all_landed
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert ends == {(line["from"]["id"], line["to"]["id"]) for line in lines}
    assert dotted == {n for n, line in enumerate(lines, 1) if "." in line["from"]["id"] + line["to"]["id"]}


@pytest.mark.parametrize("packed", [False, True])
async def test_lines_are_cut_at_newlines_alone(tmp_path: Path, packed: bool) -> None:
    good = '{"type":"t","from":{"id":"%s","type":"a"},"to":{"id":"z","type":"b"},"data":{"x":"\u2028\x85"}}'
    text = "\ufeff" + good % 1 + "\r\n" + "  \r\n\n" + good % 2 + "\n" + "\ufeff" + good % 3 + "\n" + good % 4
    path = tmp_path / "lines"
    raw = text.encode()
    path.write_bytes(gzip.compress(raw[:50]) + gzip.compress(raw[50:]) if packed else raw)
    records = [each async for each in read_ndjson(path, SOURCE)]
    assert [type(each) for each in records] == [Record, Blank, Blank, Record, BadRecord, Record]
    assert [each.line for each in records] == [1, 2, 3, 4, 5, 6]


async def test_a_line_too_large_is_one_bad_record_and_its_neighbours_are_read(tmp_path: Path) -> None:
    good = b'{"type":"t","from":{"id":"1","type":"a"},"to":{"id":"z","type":"b"}}\n'
    path = tmp_path / "large"
    path.write_bytes(good + b'{"type":"' + b"x" * 3_000_000 + b'"}\n' + good)
    records = [each async for each in read_ndjson(path, SOURCE, largest_line=1_000_000)]
    assert [type(each) for each in records] == [Record, BadRecord, Record]
    assert isinstance(records[1], BadRecord)
    assert records[1].text is None
    assert records[1].reason == "the line is too large"


async def test_bytes_that_are_no_text_are_one_bad_record(tmp_path: Path) -> None:
    path = tmp_path / "bytes"
    path.write_bytes(b'{"type":"\xff"}\n\n{"type":"\xed\xa0\x80"}\n')
    records = [each async for each in read_ndjson(path, SOURCE)]
    assert [(each.path, each.reason) for each in records if isinstance(each, BadRecord)] == [
        ("$", "expected UTF-8"),
        ("$", "expected UTF-8"),
    ]


@pytest.mark.parametrize("content", [gzip.compress(b"x" * 9000)[:-9], gzip.compress(b"x")[:5] + b"rubbish"])
async def test_a_damaged_archive_is_an_error_of_the_input(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "damaged.gz"
    path.write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        _ = [each async for each in read_ndjson(path, SOURCE)]


@pytest.mark.parametrize("name", ["missing", "."])
async def test_what_is_no_file_is_an_error_of_the_input(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="regular file"):
        _ = [each async for each in read_ndjson(tmp_path / name, SOURCE)]
