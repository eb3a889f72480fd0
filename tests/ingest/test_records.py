"""One line: what is refused, where, and that the value is never told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinia_async import BadRecord, Record, strict_json
from clinia_async.ingest.lines import Line, _Cutter
from clinia_async.ingest.records import parse
from tests.ingest.running import SOURCE

CANARY = "CANARY-7731"
END = '{"id":"a","type":"x"}'


def line(text: str | bytes) -> Line:
    return Line(1, text if isinstance(text, bytes) else text.encode())


def bad(text: str | bytes) -> BadRecord:
    found = parse(line(text), SOURCE)
    assert isinstance(found, BadRecord), found
    return found


@pytest.mark.parametrize(
    ("text", "path", "reason"),
    [
        (f'{{"type":"t","from":{END},"to":{END},"x":"{CANARY}"}}', "$", "nothing but"),
        (f'{{"type":"{CANARY} ","from":{END},"to":{END}}}', "$.type", "ASCII letters"),
        (f'{{"type":"té","from":{END},"to":{END}}}', "$.type", "ASCII letters"),
        (f'{{"type":"t\\n","from":{END},"to":{END}}}', "$.type", "ASCII letters"),
        (f'{{"type":"_t","from":{END},"to":{END}}}', "$.type", "ASCII letters"),
        (f'{{"type":"{"t" * 63}","from":{END},"to":{END}}}', "$.type", "ASCII letters"),
        (f'{{"type":1,"from":{END},"to":{END}}}', "$.type", "a string"),
        (f'{{"type":"t","from":"{CANARY}","to":{END}}}', "$.from", "an object"),
        (f'{{"type":"t","from":{{"id":"{CANARY}.1","type":"x"}},"to":{END}}}', "$.from.id", "escape_dots"),
        (f'{{"type":"t","from":{{"id":"{CANARY}\\u0000","type":"x"}},"to":{END}}}', "$.from.id", "control"),
        (f'{{"type":"t","from":{{"id":"{CANARY}\\u202e","type":"x"}},"to":{END}}}', "$.from.id", "invisible"),
        (f'{{"type":"t","from":{{"id":"{"x" * 257}","type":"x"}},"to":{END}}}', "$.from.id", "256"),
        (f'{{"type":"t","from":{{"id":"a","type":"x","y":1}},"to":{END}}}', "$.from", "id and type"),
        (f'{{"type":"t","from":{END},"to":{{"id":"a","type":"{CANARY}!"}}}}', "$.to.type", "ASCII letters"),
        (f'{{"type":"t","from":{END},"to":{END},"data":null}}', "$.data", "an object"),
        (f'{{"type":"t","from":{END},"to":{END},"data":{{"x":"\\ud800"}}}}', "$", "lone surrogates"),
        (f'{{"type":"t","from":{END},"to":{END},"data":{{"x":1e999}}}}', "$", "a double"),
        (f'{{"type":"t","from":{END},"to":{END},"data":{{"x":-Infinity}}}}', "$", "finite"),
        (f'{{"type":"t","from":{END},"to":{END},"data":{{"x":{{"y":1,"y":2}}}}}}', "$", "each key once"),
        (f'{{"type":"t","from":{END},"to":{END},"data":{"[" * 300}{"]" * 300}}}', "$", "nesting"),
        (f'{{"type":"t","from":{END},"to":{END},"meta":{{"createdAt":"{CANARY}"}}}}', "$.meta.createdAt", "RFC 3339"),
        (f'{{"type":"t","from":{END},"to":{END},"meta":{{"updatedAt":"2020-01-01T00:00:00Z"}}}}', "$.meta.updatedAt", "createdAt"),
        (f'{{"type":"t","from":{END},"to":{END},"meta":{{"createdAt":"2999-01-01T00:00:00Z"}}}}', "$.meta.createdAt", "future"),
        (f'{{"type":"t","from":{END},"to":{END}}} {CANARY}', "$", "one JSON value"),
        (f'{{"type":"t","from":{END},"to":{END}', "$", "JSON"),
        (f'"{CANARY}"', "$", "an object"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_by_place_and_rule_and_never_quoted(text: str, path: str, reason: str) -> None:
    found = bad(text)
    assert found.path == path
    assert reason in found.reason
    assert CANARY not in repr(found) + str(found.reason) + found.path


@pytest.mark.parametrize(
    "raw", ['{"n":1.10}', '{"n": 1E5}', '{ "n" : 123456789012345678901234567890 }', '{"n":-0.0}']
)
def test_data_goes_out_in_its_own_bytes(raw: str) -> None:
    found = parse(line(f'{{"data":{raw},"type":"t","from":{END},"to":{END}}}'), SOURCE)
    assert isinstance(found, Record)
    body = found.write.request().body
    assert body is not None
    assert raw.encode() in body
    assert raw.encode() in found.write.operation()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), JSON))
def test_members_are_parsed_and_kept_as_they_stand(value: dict[str, object]) -> None:
    text = strict_json.dumps(value).decode()
    found = strict_json.members(f" {text}\n")
    assert {key: part for key, (part, _) in found.items()} == value
    assert {key: raw.value() for key, (_, raw) in found.items()} == value


@given(st.text())
def test_no_line_raises_anything(text: str) -> None:
    parse(line(text.encode("utf-8", "surrogatepass")), SOURCE)


@given(st.binary(), st.lists(st.integers(0, 50)), st.integers(1, 40))
def test_lines_are_the_same_however_the_blocks_fall(content: bytes, cuts: list[int], largest: int) -> None:
    cutter = _Cutter(largest)
    found: list[Line] = []
    rest = content
    for size in cuts:
        block, rest = rest[:size], rest[size:]
        found += cutter.cut(block)
    found += cutter.cut(rest)
    found += cutter.rest()
    expected = content.split(b"\n")
    if not expected[-1]:
        expected.pop()
    assert [each.number for each in found] == list(range(1, len(expected) + 1))
    for each, text in zip(found, expected, strict=True):
        if len(text) > largest:
            assert each.text is None
        else:
            assert each.text == text.removesuffix(b"\r").removeprefix(
                b"\xef\xbb\xbf" if each.number == 1 else b""
            )
