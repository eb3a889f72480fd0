"""The entries of a list have the number and the path of their place, whatever stands beside them."""

import json
import re
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinia_async import BadRecord, Record
from clinia_async.ingest.readers.json_elements import Element, ElementScanner, Frame, places_of
from tests.ingest.reading import Item, read_file, reported

TEXTS = st.sampled_from(["", ",", '"', "],", "{", '\\",{', "é,"])
OTHERS = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner | st.just({"a": [1, {"b": ","}]}), max_size=3),
    max_leaves=4,
)
OBJECTS = st.sampled_from(["good", "bad"])
PLACES = st.lists(st.tuples(st.just("other"), OTHERS) | st.tuples(OBJECTS, st.none()), max_size=8)
INDENTS = st.sampled_from([None, 1])


def record(kind: str, place: int) -> object:
    return {"type": "t", "id": f"id-{place}" if kind == "good" else "?", "data": {"v": ["a,b", {}, 1]}}


def entry(kind: str, place: int) -> object:
    id_ = f"id-{place}" if kind == "good" else 5
    subject = {"reference": "Patient/p-1"}
    return {"resource": {"resourceType": "Observation", "id": id_, "subject": subject, "note": ["],{", {}]}}


async def read(text: str, name: str) -> Sequence[Item]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_text(text)
        return await read_file(path)


NAMES = st.lists(st.sampled_from([None, "u", "U"]), min_size=5, max_size=5)
SPACE = st.text(" \t\r\n", max_size=3) | st.just(" " * 1500)


def written(name: str, escapes: list[str | None]) -> str:
    """Return a string of JSON with some of its characters written as escapes."""
    forms = {None: "{0}", "u": "\\u{1:04x}", "U": "\\u{1:04X}"}
    pairs = zip(name, escapes, strict=True)
    return '"' + "".join(forms[escape].format(each, ord(each)) for each, escape in pairs) + '"'


@given(
    escapes=NAMES,
    before=SPACE,
    after=SPACE,
    size=st.integers(1, 4000),
    other=st.sampled_from(["a", 'x"', "\\"]),
)
def test_the_list_is_found_however_its_name_is_written(
    escapes: list[str | None], before: str, after: str, size: int, other: str
) -> None:
    key = f"{written('entry', escapes)}{before}:{after}"
    text = f'{{{json.dumps(other + "entry")}:[{{"no": 1}}],{key}[{{"yes": 1}}]}}'.encode()
    blocks = iter([text[start : start + size] for start in range(0, len(text), size)])
    found = [*ElementScanner(lambda: next(blocks, b""), b"entry", 10_000)]
    assert [each.text for each in found if isinstance(each, Element)] == [b'{"yes": 1}']


@given(places=PLACES, size=st.integers(1, 7), indent=INDENTS)
def test_an_element_knows_its_place_wherever_the_blocks_end(
    places: list[tuple[str, object]], size: int, indent: int | None
) -> None:
    values = [other if kind == "other" else record(kind, n) for n, (kind, other) in enumerate(places)]
    for list_name, document in ((None, values), (b"entry", {"a": [1, 2], "entry": values, "b": [{}, {}]})):
        text = json.dumps(document, indent=indent).encode()
        blocks = iter([text[start : start + size] for start in range(0, len(text), size)])
        found = [*ElementScanner(lambda blocks=blocks: next(blocks, b""), list_name, 10_000)]  # type: ignore[misc]
        elements = [each for each in found if isinstance(each, Element)]
        wanted = [n for n, value in enumerate(values) if isinstance(value, dict)]
        assert [each.index for each in elements] == wanted
        assert [json.loads(each.text or b"") for each in elements] == [values[n] for n in wanted]


@given(lists=st.lists(PLACES, min_size=1, max_size=3), indent=INDENTS)
async def test_records_of_lists_are_numbered_by_their_place(
    lists: list[list[tuple[str, object]]], indent: int | None
) -> None:
    documents = [
        [other if kind == "other" else record(kind, n) for n, (kind, other) in enumerate(places)]
        for places in lists
    ]
    found = await read("\n".join(json.dumps(each, indent=indent) for each in documents), "x.json")
    kinds = [kind for places in lists for kind, _ in places]
    assert sorted(each.line for each in found) == [*range(1, len(kinds) + 1)]
    assert {each.line for each in found if isinstance(each, Record)} == numbers_of(kinds, "good")
    texts = {each.line: each.text for each in found}
    for line, value in enumerate(chain.from_iterable(documents), 1):
        assert json.loads(texts[line] or b"") == value, "the letter holds the record as it was read"


@given(places=PLACES, indent=INDENTS)
async def test_entries_of_a_bundle_are_named_by_their_place(
    places: list[tuple[str, object]], indent: int | None
) -> None:
    entries = [other if kind == "other" else entry(kind, n) for n, (kind, other) in enumerate(places)]
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    found = await read(json.dumps(bundle, indent=indent), "x.fhir.json")
    good = [json.loads(each.text or b"")["from"]["id"] for each in found if isinstance(each, Record)]
    assert good == [f"id-{n}" for n, (kind, _) in enumerate(places) if kind == "good"]
    named = {int(re.findall(r"entry\[(\d+)\]", path)[0]): line for line, path, _ in reported(found)}
    assert named.keys() == {n for n, (kind, _) in enumerate(places) if kind != "good"}
    if indent:
        assert all(line == place + 1 for place, line in named.items())
        assert all(each.text for each in found if isinstance(each, BadRecord))


@pytest.mark.parametrize("between", [",", ",\n", " , "])
@pytest.mark.parametrize("size", [1000, 7])
def test_what_stands_around_elements_does_not_grow_with_them(between: str, size: int) -> None:
    """A list of any length is read, whose frame may be of few bytes."""
    count = 3000
    text = "[" + between.join(["{}"] * count + ["5"] + ["{}"] * count) + "]"
    blocks = iter([text[start : start + size].encode() for start in range(0, len(text), size)])
    found = [*ElementScanner(lambda: next(blocks, b""), None, 60 * len(text) // size + 200)]
    assert [each.index for each in found if isinstance(each, Element)] == [
        *range(count),
        *range(count + 1, 2 * count + 1),
    ]
    (frame,) = [each for each in found if isinstance(each, Frame)]
    assert places_of(json.loads(frame.text or b"")) == (2 * count + 1, {count: 5})


async def test_a_long_list_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    count = 60_000
    path.write_text("[" + ",".join('{"type":"t","id":"id","data":{}}' for _ in range(count)) + "]")
    assert [type(each) for each in await read_file(path)] == [Record] * count


def numbers_of(kinds: list[str], kind: str) -> set[int]:
    return {number for number, each in enumerate(kinds, 1) if each == kind}


@pytest.mark.parametrize(
    "text", ['[[{"type":"t","id":"id-1","data":{}}]]', '{"":[{"type":"t","id":"id-1","data":{}}]}']
)
async def test_what_stands_deeper_in_a_list_is_no_record(text: str) -> None:
    assert [type(each) for each in await read(text, "x.json")] == [BadRecord]


async def test_objects_one_after_another_are_numbered() -> None:
    one = '{"type":"t","id":"id-1","data":{}}'
    assert [each.line for each in await read(f"{one} {one}\n{one}", "x.json")] == [1, 2, 3]
