"""Whatever a file holds: no traceback, no claim that a record is good which is not, and bounded memory."""

import asyncio
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from clinia_async import BadRecord, InputError, Record, identity_of, read_records
from clinia_async.ingest.readers import compression, files
from clinia_async.ingest.readers.parquet_reader import _Table
from tests.ingest.readers.mutations import SEEDS, Campaign, check, read
from tests.ingest.reading import read_file, reported
from tests.ingest.running import SOURCE

T = TypeVar("T")
LINES = b'{"type":"t","id":"aa","data":{}}\n' * 2


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


def grown(path: Path, content: bytes) -> None:
    path.write_bytes(content + b"\n")


def cut_off(path: Path, content: bytes) -> None:
    """At the end of a line, where no record is damaged."""
    path.write_bytes(content[: content.rstrip().rfind(b"\n") + 1])


def rewritten(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))  # whatever the clock of the file system


def replaced(path: Path, content: bytes) -> None:
    path.with_name("new").write_bytes(content + b"\n")
    path.with_name("new").replace(path)


def read_by_others(path: Path, content: bytes) -> None:
    os.utime(path, ns=(0, path.stat().st_mtime_ns))
    path.chmod(0o600)


CHANGES = {grown: True, cut_off: True, rewritten: True, replaced: False, read_by_others: False}
"""What happens to a file, and whether what was read of it is of no one time."""


@pytest.fixture(params=CHANGES, ids=lambda change: change.__name__)
def change(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, bytes], bool]:
    """Have a file changed once its first block was read; return whether that is an error."""

    def expect(path: Path, content: bytes) -> bool:
        left = [request.param]

        def after(block: T) -> T:
            if left:
                left.pop()(path, content)
            return block

        is_table = path.suffix == ".parquet"
        readers = (
            [(_Table, "columns")] if is_table else [(compression, "read_block"), (files, "_digest_block")]
        )
        for owner, name in readers:
            read = getattr(owner, name)
            monkeypatch.setattr(owner, name, lambda *args, read=read: after(read(*args)))
        return CHANGES[request.param]

    return expect


FILES = [name for name in SEEDS if name.startswith(("x.", "y."))]


@pytest.mark.parametrize("name", FILES)
async def test_a_file_that_is_written_to_while_it_is_read_is_no_whole_input(
    name: str, change: Callable[[Path, bytes], bool], tmp_path: Path
) -> None:
    """As one that another program still writes. Its end would be missing, and the job end well."""
    content, options = SEEDS[name]
    path = tmp_path / name
    path.write_bytes(content)
    unharmed = await read_file(path, **options)
    if change(path, content):
        with pytest.raises(InputError):
            await read_file(path, **options)
    else:
        assert reported(await read_file(path, **options)) == reported(unharmed)


async def test_a_file_that_is_written_to_while_it_is_read_has_no_digest(
    change: Callable[[Path, bytes], bool], tmp_path: Path
) -> None:
    path = tmp_path / "x.ndjson"
    path.write_bytes(LINES)
    before = await identity_of(path)
    if change(path, LINES):
        with pytest.raises(InputError, match="written to while it was read"):
            await identity_of(path)
    else:
        assert await identity_of(path) == before


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
