"""Whatever a file holds: no traceback, no claim that a record is good which is not, and bounded memory."""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from clinia_async import BadRecord, InputError, Record, read_records
from tests.ingest.readers.mutations import SEEDS, Campaign, check, read
from tests.ingest.running import SOURCE


@pytest.mark.parametrize("name", SEEDS)
def test_no_damage_is_a_traceback_or_a_wrong_exit_code(name: str, tmp_path: Path) -> None:
    with asyncio.Runner() as runner:
        campaign = Campaign(random.Random(name), tmp_path, runner)
        for number in range(2):
            campaign.run(name, number)


@pytest.mark.campaign
@pytest.mark.parametrize("name", SEEDS)
def test_ten_thousand_damaged_files(name: str, tmp_path: Path) -> None:
    with asyncio.Runner() as runner:
        campaign = Campaign(random.Random(f"more of {name}"), tmp_path, runner)
        for number in range(-(-10_000 // len(SEEDS))):
            campaign.run(name, number, load=number == 0)


@pytest.mark.parametrize("name", [name for name in SEEDS if name.startswith(("x.", "y."))])
def test_no_file_that_is_cut_off_is_a_traceback(name: str, tmp_path: Path) -> None:
    content, options = SEEDS[name]
    path = tmp_path / name

    async def run() -> None:
        for length in range(0, len(content), max(1, len(content) // 25)):
            path.write_bytes(content[:length])
            await read(path, options)

    asyncio.run(run())
    path.write_bytes(content)
    with asyncio.Runner() as runner:
        assert check(path, options, runner, load=True).good


# Kinds of inputs that a suite of tests for parsers of JSON has: what must be taken, and what must be refused.
TAKEN = [
    "[]",
    "{}",
    '{"a":[]}',
    "[1e1]",
    "[-0]",
    "[123e65]",
    "[0e+1]",
    "[1E22]",
    '["\\u0060\\u012a"]',
    '["\\uD801\\udc37"]',
    '["\\"\\\\\\/\\b\\f\\n\\r\\t"]',
    '["\\u0000"]',
    '["\u20ac\U0001d11e"]',
    "[ 1\n,\t2 ]",
    '{"":0}',
    '{"\\u0000":1}',
    "[null,true,false]",
    '["\x7f"]',
    "[-123123e-10]",
    '["\u2028"]',
    "[" * 190 + "]" * 190,
]
REFUSED = [
    "[1,]",
    "[1 true]",
    "[,1]",
    "[1,,2]",
    '{"a":1,}',
    '{"a" 1}',
    "{a:1}",
    "{1:1}",
    '{"a":1}}',
    "[1",
    '["a',
    "[-]",
    "[+1]",
    "[01]",
    "[1.]",
    "[.5]",
    "[1e]",
    "[0x1]",
    "[NaN]",
    "[Infinity]",
    "[-Infinity]",
    '["\\x00"]',
    '["\\u00"]',
    '["\\ud800"]',
    '["\t"]',
    '["\n"]',
    "['a']",
    "[True]",
    "[nul]",
    "[1]x",
    "[1][2]",
    "",
    "[\u00a0]",
    '{"a":1,"a":2}',
    "[1e999]",
    "[" * 10_000,
    "[" * 300 + "]" * 300,
    "[\x0c]",
    '["\\a"]',
    '["\\uD834\\uDd"]',
    "*",
    "[*]",
    '{"a":/*x*/1}',
    "[1,\n// x\n2]",
    "<.>",
    "[\u2060]",
    '\\u000A""',
    '["asd]',
]


@pytest.mark.parametrize(
    "wrap", [lambda text: f'{{"type":"t","id":"aa","data":{{"x":{text}}}}}'], ids=["data"]
)
def test_json_is_taken_as_its_standard_says(wrap: Callable[[str], str], tmp_path: Path) -> None:
    path = tmp_path / "x.ndjson"
    good = [wrap(text).replace("\n", " ") for text in TAKEN]
    bad = [wrap(text).replace("\n", "\x0b") for text in REFUSED]
    path.write_bytes("\n".join([*good, *bad]).encode())

    async def run() -> list[type]:
        return [type(each) async for each in read_records(path, SOURCE)]

    assert asyncio.run(run()) == [Record] * len(good) + [BadRecord] * len(bad)


@pytest.mark.parametrize("kind", ["fhir-ndjson", "fhir-document", "json"])
def test_json_of_every_format_is_taken_as_its_standard_says(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "x"

    async def run(text: str) -> list[type]:
        record = f'{{"type":"t","id":"aa","data":{{"x":{text}}}}}'
        resource = f'{{"resourceType":"T","id":"aa","x":{text}}}'
        path.write_bytes((f"[{record}]" if kind == "json" else resource).encode())
        try:
            content = {} if kind == "json" else {"fhir": "resources"}
            found = read_records(path, SOURCE, format=kind, **content)
            return [type(each) async for each in found]
        except InputError:
            return [BadRecord]

    for text in TAKEN:
        taken = text.replace("\n", " ") if kind == "fhir-ndjson" else text
        assert asyncio.run(run(taken)) == [Record], text
    for text in REFUSED:
        assert BadRecord in asyncio.run(run(text)), text
