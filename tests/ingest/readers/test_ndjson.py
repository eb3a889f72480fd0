"""One line: what is refused, where, and that the value is never told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinia_async import CreateRelationship
from clinia_async.serialization import exact_json, strict_json
from tests.ingest.reading import bad, good, read_line

CANARY = "CANARY-7731"
END = '{"id":"a","type":"x"}'


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
        (f'{{"type":"t","from":{END},"to":{END},"data":{{"x":{{"y":1,"y":2}}}}}}', "$", "an object with each key once"),
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
    found = good(f'{{"data":{raw},"type":"t","from":{END},"to":{END}}}')
    assert isinstance(found.write, CreateRelationship)
    assert raw.encode() in (found.write.request().body or b"")
    assert raw.encode() in found.operation()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@pytest.mark.campaign
@given(st.dictionaries(st.text(), JSON))
def test_members_are_parsed_and_kept_as_they_stand(value: dict[str, object]) -> None:
    text = exact_json.dumps(value).decode()
    found = strict_json.fields(f" {text}\n")
    assert {key: part for key, (part, _) in found.items()} == value
    assert {key: raw.value() for key, (_, raw) in found.items()} == value


@given(st.text())
def test_no_line_raises_anything(text: str) -> None:
    read_line(text.encode("utf-8", "surrogatepass"))
