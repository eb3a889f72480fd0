"""Data is never changed, and JSON that would not survive is refused."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clinia_async.emulator import Emulator
from clinia_async.emulator.bodies.strict_json import decode, encode
from clinia_async.emulator.errors import ApiError
from tests.emulator.raw import RELATIONSHIPS, Raw, write

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NUMBERS = st.one_of(
    st.integers(),
    st.integers(-(10**60), 10**60),
    st.floats(allow_nan=False, allow_infinity=False),
)
DATA = st.dictionaries(
    TEXT,
    st.recursive(
        st.none() | st.booleans() | NUMBERS | TEXT,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
        max_leaves=12,
    ),
    max_size=5,
)


@given(st.lists(DATA, min_size=1, max_size=20))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_data_comes_back_exactly(documents: list[dict[str, object]]) -> None:
    async with Emulator() as emulator, Raw(emulator) as raw:
        for number, data in enumerate(documents):
            ascii_only = bool(number % 2)
            text = json.dumps(write(from_=f"p-{number:02}", data=data), ensure_ascii=ascii_only)
            created = await raw.send("POST", f"{RELATIONSHIPS}/t", text=text)
            assert created.status == 201
            read = await raw.read(f"p-{number:02}.org-9", "t")
            for record in (created.body["relationship"], read.body):
                assert json.dumps(record["data"]) == json.dumps(data)
        assert [json.dumps(stored.data) for stored in emulator.stored()] == [json.dumps(d) for d in documents]


@pytest.mark.parametrize(
    "number",
    ["-0", "-0.0", "1.10", "1e400", "1E+2", "9" * 4000, "0.1000000000000000055511151231257827", "1e-999"],
)
async def test_numbers_travel_as_text(raw: Raw, number: str) -> None:
    body = json.dumps(write(data={"x": "HERE"})).replace('"HERE"', number)
    assert (await raw.send("POST", f"{RELATIONSHIPS}/t", text=body)).status == 201
    url = f"{raw.emulator.url}{RELATIONSHIPS}/t/prac-1.org-9"
    async with raw.http.get(url, headers={"X-Clinia-API-Key": raw.emulator.key}) as response:
        assert f'"data":{{"x":{number}}}' in await response.text()


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1,"b":[1.5,-0.0,true,null]}',
        '{"a":1e400}',
        '{"a":-0}',
        '{"a":1.10}',
        '{"a":1E2}',
        '{"a": 1}',
        '{"a":18446744073709551616}',
        '{"a":123456789012345678901.5}',
        '{"a":"\\u00e9"}',
        '{"a":"é/\\u2028"}',
    ],
)
def test_whatever_way_it_is_written_its_numbers_stay(text: str) -> None:
    stored = encode(decode(text.encode()))
    assert json.loads(stored, parse_int=str, parse_float=str) == json.loads(
        text, parse_int=str, parse_float=str
    )


@pytest.mark.parametrize(
    "text", ['{"a":1,"a":1}', '{"a":{"b":1,"b":2}}', "[NaN]", "[" * 2000, '"\\ud800"', "1.", ""]
)
def test_json_that_would_not_survive(text: str) -> None:
    with pytest.raises(ApiError):
        decode(text.encode())


@pytest.mark.parametrize("bulk", [False, True])
@pytest.mark.parametrize(
    "value",
    [
        "NaN",
        "Infinity",
        "-Infinity",
        '{"a":1,"a":1}',
        '[{"b":{"a":1,"\\u0061":2}}]',
        r'"\ud800"',
        r'"\uDFFF\uD800"',
        r'{"\udead": 1}',
        '"\x01"',
        "01",
        "1.",
        "'a'",
        "[1,]",
        "",
        "1 2",
        "[" * 100_000,
    ],
)
async def test_what_is_not_strict_json_is_refused_whole(
    raw: Raw, emulator: Emulator, value: str, bulk: bool
) -> None:
    single = json.dumps(write(data={"x": "HERE"})).replace('"HERE"', value)
    text = f'{{"operations":[{{"action":"CREATE","create":{single}}}]}}' if bulk else single
    reply = await raw.send("POST", f"{RELATIONSHIPS}/{'bulk' if bulk else 't'}", text=text)
    assert (reply.status, reply.kind) == (400, "INVALID_ARGUMENT")
    assert "strict JSON" in reply.body["message"]
    assert emulator.relationships() == 0


@pytest.mark.parametrize(
    "text", [b"", b"\xff", b'{"\xed\xa0\x80":1}', b"\xef\xbb\xbf{}", "{}".encode("utf-16")]
)
async def test_bodies_are_utf_8(raw: Raw, text: bytes) -> None:
    reply = await raw.send("POST", f"{RELATIONSHIPS}/t", text=text)
    assert (reply.status, reply.kind) == (400, "INVALID_ARGUMENT")


async def test_an_escaped_pair_and_an_escaped_backslash_are_no_surrogates(raw: Raw) -> None:
    body = json.dumps(write(data={"x": "HERE"})).replace("HERE", r"\ud83d\ude00 \\ud800")
    created = await raw.send("POST", f"{RELATIONSHIPS}/t", text=body)
    assert created.body["relationship"]["data"] == {"x": "😀 \\ud800"}


async def test_data_nested_too_deeply_is_refused(raw: Raw) -> None:
    fine, deep = json.loads("[" * 200 + "]" * 200), json.loads("[" * 400 + "]" * 400)
    assert (await raw.create(write("fine", data={"x": fine}))).status == 201
    reply = await raw.create(write("deep", data={"x": deep}))
    assert (reply.status, reply.kind) == (400, "INVALID_ARGUMENT")
    assert (await raw.read("fine.org-9")).body["data"] == {"x": fine}
