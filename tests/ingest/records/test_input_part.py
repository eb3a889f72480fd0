"""Shares of an input: each item is in one of them, and all records of a key in the same, in their order."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import pytest

from clinia_async import BadRecord, Blank, ConfigError, Record, read_ndjson, read_records
from clinia_async.ingest.records.input_part import InputPart, SeenInput
from tests.cli.program import line

LINES = [
    *(line(f"prac-{number % 60}", data={"n": number}) for number in range(300)),
    "\n",
    '{"type": 1}\n',
    *('{"type": "patient", "data": {"n": %d}}\n' % number for number in range(20)),  # noqa: UP031  braces
    *('{"type": "patient", "id": "pat-%d", "data": {}}\n' % (number % 7) for number in range(20)),  # noqa: UP031
    line("prac-1", action="DELETE"),
]


@pytest.mark.parametrize("count", [1, 2, 3, 8])
async def test_each_item_is_in_one_share_and_each_key_too(count: int, tmp_path: Path) -> None:
    path = tmp_path / "in.ndjson"
    path.write_text("".join(LINES))
    found: list[int] = []
    shares: defaultdict[object, set[int]] = defaultdict(set)
    for number in range(count):
        items = [item async for item in InputPart(number, count).of(read_ndjson(path, "s"))]
        lines = [item.line for item in items]
        assert lines == sorted(lines)
        found += lines
        for item in items:
            assert isinstance(item, Record | BadRecord | Blank)
            if isinstance(item, Record) and item.key is not None:
                shares[item.key].add(number)
    assert sorted(found) == [*range(1, len(LINES) + 1)]
    assert len(shares) == 67
    assert all(len(numbers) == 1 for numbers in shares.values())


async def test_the_same_record_is_in_the_same_share_whatever_the_format(tmp_path: Path) -> None:
    (tmp_path / "in.ndjson").write_text("".join(map(line, map("prac-{}".format, range(50)))))
    rows = "".join(f"practises-at,prac-{number},practitioner,org-1,organization\n" for number in range(50))
    (tmp_path / "in.csv").write_text("type,from.id,from.type,to.id,to.type\n" + rows)
    keys = [
        [item.key async for item in InputPart(1, 2).of(read_records(tmp_path / name, "s"))]  # type: ignore[union-attr]
        for name in ("in.ndjson", "in.csv")
    ]
    assert keys[0] == keys[1] != []


def test_a_share_is_one_of_some() -> None:
    with pytest.raises(ConfigError):
        InputPart(0, 0)


CHANGES = {
    "a line more": [*LINES, line("prac-new")],
    "a part of a line more": [*LINES, line("prac-new")[:20]],
    "a line less": LINES[:-1],
    "a line that is not whole yet": [*LINES[:-1], LINES[-1][:20]],
    "another file": [line(f"other-{number}") for number in range(len(LINES))],
    "one other id": [line("prac-new"), *LINES[1:]],
    "a blank line": ["\n", *LINES],
    "nothing": [],
}


def seen(path: Path, lines: Sequence[str], number: int) -> SeenInput:
    path.write_text("".join(lines))
    found = SeenInput()

    async def read() -> None:
        [item async for item in InputPart(number, 2).of(read_ndjson(path, "s"), found)]

    asyncio.run(read())
    return found


@pytest.mark.parametrize("change", CHANGES)
def test_the_digest_differs_for_inputs_whose_shares_do_not_fit(change: str, tmp_path: Path) -> None:
    path = tmp_path / "in.ndjson"
    before = [seen(path, LINES, number).digest() for number in (0, 1)]
    after = seen(path, CHANGES[change], 1).digest()
    assert before[0] == before[1] is not None
    assert after not in (None, before[0])


async def test_an_input_that_was_left_has_no_digest(tmp_path: Path) -> None:
    path, found = tmp_path / "in.ndjson", SeenInput()
    path.write_text("".join(LINES))
    stream = InputPart(0, 2).of(read_ndjson(path, "s"), found)
    await anext(stream)
    await stream.aclose()
    assert found.digest() is None
