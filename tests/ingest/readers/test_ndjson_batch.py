"""Reading many lines at once gives what strict reading gives of each."""

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from clinia_async import Action, BadRecord, Record, escape_dots
from clinia_async.ingest.readers import ndjson
from clinia_async.ingest.readers.ndjson import LineReader
from clinia_async.ingest.readers.ndjson_strict import Rules
from clinia_async.ingest.records.record_batch import RecordBatch
from clinia_async.serialization import strict_json
from tests.ingest.reading import Item
from tests.ingest.running import SOURCE

END = '{"id":"a","type":"x"}'
RULES = [
    Rules(SOURCE, action, map_id)
    for action in Action
    for map_id in (None, escape_dots, lambda text: text * 2)
]

# Texts of JSON and of what is nearly JSON, as they stand in a line: escapes, odd numbers and all.
GAPS = st.sampled_from([*[""] * 20, " ", "\t", "\r"])


def words(text: str) -> list[str]:
    return text.split()


STRINGS = st.sampled_from(
    [
        *words(r"a b.c a_b é \u00e9 \u0022 \" \\ \\u0022 \ud800 \ud83d\ude00 \u0000 {[ type \u0074ype"),
        *words("CREATE UPSERT a.a @rootId"),
        *["", "\x7f", "\u2028", "x" * 300],
    ]
).map(lambda text: f'"{text}"')
NUMBERS = st.sampled_from(
    [
        *words("0 -0 1 1.10 1e5 1E400 -1e400 1e-400 1.7976931348623159e308 1.7976931348623157e308 5e-324"),
        *words("01 +1 .5 1. NaN Infinity -Infinity 1e 0x1"),
        *["9" * 18, "9" * 19, "9" * 20, "9" * 400, "9" * 5000, "0." + "1" * 5000],
    ]
)
KEYS = st.sampled_from(
    words(r"type from to data meta id action operation contained deadLetter x \u0074ype \u0066rom d\u0061ta")
).map(lambda text: f'"{text}"')


def _object(members: list[tuple[str, str, str, str]]) -> str:
    return "{" + ",".join(f"{before}{key}{gap}:{value}" for before, key, gap, value in members) + "}"


def _objects(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(st.tuples(GAPS, KEYS, GAPS, values), max_size=5).map(_object)


TEXTS = st.recursive(
    STRINGS | NUMBERS | st.sampled_from(["null", "true", "{}", "[]", END]),
    lambda inner: _objects(inner) | st.lists(inner, max_size=3).map(lambda items: f"[{','.join(items)}]"),
    max_leaves=8,
)
ENDS = st.tuples(STRINGS, STRINGS).map(lambda pair: f'{{"id":{pair[0]},"type":{pair[1]}}}')
FINE = {
    "type": st.just('"t"'),
    "from": st.sampled_from([END, END.replace("a", "b.c"), END.replace(":", " : ")]),
    "to": st.sampled_from([END, END.replace("a", "é"), END.replace("a", r"\u00e9")]),
    "data": st.lists(
        st.sampled_from([*words(r'1 1.10 1e5 "é" "\u00e9" "\u0022" "\"" [1] {}'), "9" * 20, "[1, 2]"])
    ).map(lambda values: "{" + ",".join(f'"{place}":{value}' for place, value in enumerate(values)) + "}"),
    "id": st.sampled_from(['"a.a"', '"pat-1"']),
    "action": st.sampled_from(['"CREATE"', '"UPSERT"', '"DELETE"']),
    "operation": st.sampled_from(['"CREATE"', '"UPSERT"', '"DELETE"']),
    "meta": st.sampled_from(["{}", '{"createdAt":"2020-01-01T00:00:00Z"}']),
    "contained": st.sampled_from(["{}", '{"p":[{"type":"t","data":{"n":1.10}}]}']),
    "deadLetter": st.sampled_from(["{}", '{"text":"{"}']),
}
ODD = {
    "from": ENDS,
    "to": ENDS,
    "data": _objects(TEXTS),
    "meta": st.sampled_from(['{"x":1}', "null"]),
    "id": st.sampled_from(["null", "1"]),
    "action": st.sampled_from(['"create"', "null", "[]"]),
    "contained": st.sampled_from(['{"p":[1]}', "[]"]),
}
SHAPES = [["type", "from", "to", "data"], ["type", "from", "to"], ["type", "id", "data"], ["type", "data"]]


@st.composite
def lines(draw: st.DrawFn) -> str:
    """Lines that are mostly fine, each with some of what may be wrong."""

    def seldom() -> bool:
        return draw(st.integers(0, 7)) == 5

    names = draw(st.sampled_from(SHAPES))
    if draw(st.booleans()):
        names = [
            *names,
            draw(st.sampled_from(words("action operation id meta contained deadLetter"))),
        ]
    if seldom():
        names = names + draw(st.lists(st.sampled_from(list(FINE)), max_size=2))
    members = [
        (draw(GAPS), f'"{name}"', draw(GAPS), draw(ODD.get(name, TEXTS) if seldom() else FINE[name]))
        for name in names
    ]
    if seldom():
        members.append((draw(GAPS), draw(KEYS), draw(GAPS), draw(TEXTS)))
    if draw(st.booleans()):
        members = draw(st.permutations(members))
    ending = draw(st.sampled_from([" ", "\r", "\r\n", "x", ",", "}", "\x0c"])) if seldom() else ""
    return draw(GAPS) + _object(members) + ending


def same(one: Item, other: Item) -> None:
    assert type(one) is type(other)
    if isinstance(one, BadRecord) and isinstance(other, BadRecord):
        assert (one.path, one.reason, one.text) == (other.path, other.reason, other.text)
    if isinstance(one, Record) and isinstance(other, Record):
        assert (one.key, one.target, one.action) == (other.key, other.target, other.action)
        assert (one.retry_safety, one.source, one.line) == (other.retry_safety, other.source, other.line)
        assert one.write == other.write
        # value for value; numbers as they are written
        read = json.JSONDecoder(parse_float=str, parse_int=str).decode
        assert read(one.operation().decode()) == read(other.operation().decode())


PLAIN_LINE = f'{{"type":"t","from":{END},"to":{END},"data":{{}}}}'


def check(text: bytes, rules: Rules) -> None:
    reader = LineReader(rules)
    same(reader.read(1, text), reader.read_strictly(1, text))


@pytest.mark.campaign
@settings(max_examples=500, deadline=None)
@given(lines(), st.sampled_from(RULES))
@example(f'{{"type":"t","from":{END},"to":{END},"data":{{"x":1,"x":2}}}}', RULES[0])
@example(f'{{"type":"t","from":{END},"to":{END},"data":{{"x":"\\u0022","y":1,"y":2}}}}', RULES[0])
@example(f'{{"type":"t","from":{END},"to":{END},"data":{{"x":"\\u0022\\u0022","y":1,"y":2}}}}', RULES[0])
@example(f'{{"type":"t","from":{END},"to":{END},"data":{{"x":1e400}}}}', RULES[0])
@example(f'{{"type":"t","from":{END},"to":{END},"data":{{"x":1.7976931348623159e308}}}}', RULES[0])
@example(f'{{"type":"t","from":{END},"to":{END},"data":{{"x":{"[" * 198}{"]" * 198}}}}}', RULES[0])
@example(f'{{"type":"t","from":{END},"to":{END},"data":{{"x":{"[" * 300}{"]" * 300}}}}}', RULES[0])
def test_any_line_gives_what_strict_reading_gives(text: str, rules: Rules) -> None:
    check(text.encode("utf-8", "surrogatepass"), rules)


@pytest.mark.campaign
@settings(max_examples=250, deadline=None)
@given(st.lists(lines(), min_size=1, max_size=4), st.integers(0, 3), st.sampled_from(RULES))
@example([f'{{"type":"t","from":{END},"to":{END},"data":{{"x":[[{{}}', "{}]]}}"], 1, RULES[0])
@example([PLAIN_LINE, f"{PLAIN_LINE},7,{PLAIN_LINE}"], 1, RULES[0])
@example(
    [f"{PLAIN_LINE},7,{PLAIN_LINE}", PLAIN_LINE[:-1].replace("{}", '{"x":[1').rstrip("}"), "2]}}"],
    0,
    RULES[0],
)
@example([PLAIN_LINE.replace('"t"', '"a.b"')], 1, RULES[0])
@example([PLAIN_LINE.replace('"id":"a"', r'"id":"a.b\nc"')], 1, RULES[0])
@example([PLAIN_LINE.replace('"x"}', '"x","y":1}')], 1, RULES[0])
@example([PLAIN_LINE.replace('"data"', '"more"')], 1, RULES[0])
@example(
    [PLAIN_LINE.replace('"data":{}', '"data":{"n":1,"n":2}'), PLAIN_LINE.replace("{}", '{"n":"1"}')],
    1,
    RULES[0],
)
def test_a_batch_gives_what_each_line_gives_alone(texts: list[str], plain: int, rules: Rules) -> None:
    raw = [text.encode("utf-8", "surrogatepass") for text in [PLAIN_LINE] * plain + texts]
    reader = LineReader(rules)
    found = [
        record
        for each in reader.read_all(range(5, 5 + len(raw)), raw)
        for record in (each if isinstance(each, RecordBatch) else [each])
    ]
    assert len(found) == len(raw)
    for number, (one, text) in enumerate(zip(found, raw, strict=True), 5):
        same(one, reader.read(number, text))


def test_plain_lines_are_one_batch() -> None:
    (found,) = LineReader(Rules(SOURCE)).read_all(range(1, 200), [PLAIN_LINE.encode()] * 3)
    assert isinstance(found, RecordBatch)
    (odd,) = LineReader(Rules(SOURCE, map_id=escape_dots)).read_all(
        range(1, 200), [PLAIN_LINE.replace('"a"', '"é #1"').encode()] * 3
    )
    assert isinstance(odd, RecordBatch)


DAMAGE = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=3)


@settings(max_examples=300, deadline=None)
@given(
    lines(), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=3), st.sampled_from(RULES)
)
def test_damaged_lines_give_what_strict_reading_gives(
    text: str, damage: list[tuple[int, int]], rules: Rules
) -> None:
    raw = bytearray(text.encode("utf-8", "surrogatepass"))
    for place, byte in damage:
        if place < len(raw):
            raw[place] = byte
    check(bytes(raw), rules)


PLAIN = f'{{"type":"t","from":{END},"to":{{"id":"b","type":"y"}},"data":{{"n":1}}}}'


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        (PLAIN, Rules(SOURCE)),
        (PLAIN.replace(":", ": "), Rules(SOURCE)),
        (PLAIN.replace('"n":1', '"n":1.10,"é":"\\u00e9\\n\\"x\\""'), Rules(SOURCE, Action.UPSERT)),
        (PLAIN, Rules(SOURCE, map_id=escape_dots)),
        (PLAIN.replace('"a"', '"a.1"'), Rules(SOURCE, map_id=escape_dots)),
        (PLAIN.replace("{", '{"operation":"UPSERT","id":"a.b",', 1), Rules(SOURCE)),
        (PLAIN.replace(',"data":{"n":1}', ""), Rules(SOURCE, Action.DELETE)),
        ('{"type":"patient","id":"p-1","data":{}}', Rules(SOURCE)),
        ('{"action":"UPSERT","type":"patient","id":"p-1","data":{}}', Rules(SOURCE)),
        ('{"type": "patient", "id": "p-1", "data": {"n": 1.10}}', Rules(SOURCE, Action.UPSERT)),
        ('{"type":"patient","data":{"n":1}}', Rules(SOURCE)),
        (' {"data": {"n": 1.10, "\u00e9": 1E5}, "type": "patient"}\r', Rules(SOURCE)),
        ('{"type":"patient","data":{"n":1},"action":"CREATE"}', Rules(SOURCE, Action.UPSERT)),
        ('{"operation":"CREATE","type":"patient","data":{}}', Rules(SOURCE, map_id=escape_dots)),
    ],
)
def test_plain_lines_are_not_read_strictly(text: str, rules: Rules, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LineReader, "read_strictly", lambda *_: pytest.fail("the line was read strictly"))
    found = LineReader(rules).read(1, text.encode())
    assert isinstance(found, Record)
    monkeypatch.undo()
    check(text.encode(), rules)


SPACED = json.dumps({**json.loads(PLAIN), "data": {"n": 1, "é": [1.0, {}]}})


@pytest.mark.parametrize("text", [PLAIN, SPACED, PLAIN.replace(',"data":{"n":1}', ""), f" {PLAIN}\r"])
@pytest.mark.parametrize("action", [Action.CREATE, Action.UPSERT])
def test_the_write_of_a_plain_line_is_made_without_reading_it_strictly(
    text: str, action: Action, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = LineReader(Rules(SOURCE, action)).read(1, text.encode())
    assert isinstance(record, Record)
    expected = ndjson.read_strictly(text.encode(), Rules(SOURCE, action)).write
    monkeypatch.setattr(ndjson, "read_strictly", lambda *_: pytest.fail("the line was read strictly"))
    assert record.write == expected
    assert type(record.write) is type(expected)


@pytest.mark.parametrize("extra", ['"action":"UPSERT",', '"operation":"CREATE","id":"a.b",', ""])
def test_lines_with_an_action_and_resources_are_batches(extra: str) -> None:
    relationships = [PLAIN.replace("{", "{" + extra, 1).encode()] * 3
    resources = [('{"type":"p","id":"p-1","data":{},' + extra).rstrip(",").encode() + b"}"] * 3
    resources = [text.replace(b'"id":"a.b"', b"").replace(b",}", b"}") for text in resources]
    found = [*LineReader(Rules(SOURCE)).read_all(range(1, 200), [*relationships, *resources])]
    assert [type(each) for each in found] == [RecordBatch, RecordBatch]
    assert [[*each.lines] for each in found if isinstance(each, RecordBatch)] == [[1, 2, 3], [4, 5, 6]]


def test_resources_with_and_without_an_id_are_batches_of_their_own() -> None:
    with_id, without = b'{"type":"p","id":"p-1","data":{}}', b'{"type": "p", "data": {"n": 1.10}}'
    found = [*LineReader(Rules(SOURCE)).read_all(range(1, 200), [with_id, without, without, with_id])]
    batches = [each for each in found if isinstance(each, RecordBatch)]
    assert [[*each.lines] for each in batches] == [[1], [2, 3], [4]]
    assert [each.kind.retry_safety for each in batches] == ["keyed", "once", "keyed"]
    assert batches[1].keys == [None, None]
    assert batches[1].payloads == [without, without]


def test_a_bad_line_in_a_batch_costs_itself() -> None:
    raw = [PLAIN_LINE.encode()] * 128
    raw[77] = b"{"
    found = [*LineReader(Rules(SOURCE)).read_all(range(1, 200), raw)]
    assert sum(len(each) for each in found if isinstance(each, RecordBatch)) == 127
    assert [each.line for each in found if isinstance(each, BadRecord)] == [78]


def test_a_plain_line_is_sent_byte_for_byte() -> None:
    text = PLAIN.replace('"n":1', '"n": 1.10, "e" : 1E5').encode()
    found = LineReader(Rules(SOURCE)).read(1, b" " + text + b"\r")
    assert isinstance(found, Record)
    assert found.operation() == b'{"action":"CREATE","create":' + text + b"}"


@given(st.binary(max_size=60))
def test_what_is_faithful_is_what_strict_reading_takes(text: bytes) -> None:
    import orjson

    try:
        value = orjson.loads(text)
    except ValueError:
        return
    if isinstance(value, dict) and strict_json.faithful(text, value) is not None:
        assert {name: part for name, (part, _) in strict_json.fields(text.decode()).items()} == value
