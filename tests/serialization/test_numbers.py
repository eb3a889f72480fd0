"""No digit of a number is lost between an answer and what is sent back, however many it has."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clinia_async import DecodeError, InvalidWrite, UpsertResource, calls
from clinia_async.calls.equality import same_json
from clinia_async.serialization import exact_json, strict_json
from tests.factories import session_at
from tests.hostile import Hostile, reply

DIGITS = st.text("0123456789", min_size=1, max_size=40)
WHOLE = st.one_of(st.just("0"), DIGITS.map(lambda text: text.lstrip("0") or "0"))
NUMBERS = st.builds(
    lambda sign, whole, fraction, power: f"{sign}{whole}{fraction}{power}",
    st.sampled_from(["", "-"]),
    WHOLE,
    st.one_of(st.just(""), DIGITS.map(lambda text: f".{text}")),
    st.one_of(
        st.just(""),
        st.builds(
            lambda sign, power: f"e{sign}{power}", st.sampled_from(["", "+", "-"]), st.integers(0, 200)
        ),
    ),
)
"""JSON numbers as RFC 8259 writes them, within the range of a double."""
SPACE = st.sampled_from(["", " ", "\n", "\t "])


def exactly(text: bytes | str) -> Any:
    """Parse JSON with every number as it is written; the second reader of these tests."""
    return json.loads(text, parse_float=Decimal, parse_int=Decimal)


@pytest.mark.parametrize("loads", [exact_json.loads, strict_json.loads_strictly])
@given(st.lists(NUMBERS, min_size=1, max_size=5), SPACE)
@example(["9007199254740993.0"], "")
@example(["0.12345678901234567890123"], "")
@example(["9007199254740993e0"], "")
@example(["0.1", "12345678901234567e1", "0.3"], " ")
def test_every_number_is_read_and_written_with_its_value(loads: Any, numbers: list[str], space: str) -> None:
    listed = f",{space}".join(numbers)
    fields = ",".join(f'"{index}"{space}:{space}{text}{space}' for index, text in enumerate(numbers))
    for text in (f"[{listed}]", f"{{{fields}}}", *numbers):
        assert exactly(exact_json.dumps(loads(text.encode()))) == exactly(text)


ANY_POWER = st.builds(
    lambda sign, whole, fraction, power: f"{sign}{whole}{fraction}e{power}",
    st.sampled_from(["", "-"]),
    WHOLE,
    st.one_of(st.just(""), DIGITS.map(lambda text: f".{text}")),
    st.builds(lambda sign, power: sign + power, st.sampled_from(["", "+", "-"]), st.text("09", min_size=1)),
)
"""JSON numbers, however far they are from any double."""


@pytest.mark.parametrize("loads", [exact_json.loads, strict_json.loads_strictly])
@given(ANY_POWER)
@example("1e-0999999999999999999999999999999999999999999999999999")
@example("0e9999999999999999999999")
@example("1.5e-999999999999999999999")
def test_a_number_of_any_power_is_read_as_its_double_or_refused(loads: Any, number: str) -> None:
    try:
        found = loads(f'{{"x":{number}}}'.encode())["x"]
    except DecodeError:
        return
    assert float(found) == float(number)


@given(st.one_of(st.decimals(allow_nan=True, allow_infinity=True), st.just(Decimal("sNaN"))))
@example(Decimal("1e999999999999"))
@example(Decimal("-1e-999999999999"))
def test_a_decimal_is_written_with_every_digit_or_refused(number: Decimal) -> None:
    if number.is_finite() and abs(float(number)) < float("inf"):
        assert exactly(exact_json.dumps({"x": number}))["x"] == number
    else:
        with pytest.raises(InvalidWrite, match="finite number"):
            exact_json.dumps({"x": number})


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_what_a_double_is_written_as_is_read_as_that_double(number: float) -> None:
    """Whoever computes 0.1 + 0.2 has a float, and gets a float back."""
    for text in (repr(number), f"[{number!r}]"):
        found = exact_json.loads(text.encode())
        each = found[0] if isinstance(found, list) else found
        assert (type(each), each) == (float, number)


@pytest.mark.parametrize(
    "text", ["urn:oid:2.16.840.1.113883.4.1", "1.2.840.10008.1.2.1.99.345", "2020-01-01T00:00:00.123456789Z"]
)
def test_dots_and_digits_in_a_text_are_no_number(text: str) -> None:
    document = json.dumps({"system": text, "n": 1.5}).encode()
    assert not exact_json.has_long_numbers(document)
    assert exact_json.loads(document) == {"system": text, "n": 1.5}


SENT = '{"x":0.12345678901234567890123,"y":[9007199254740993.0],"z":1.5,"n":123456789012345678901234567890}'


async def test_a_record_that_was_read_is_sent_back_with_every_digit() -> None:
    record = f'{{"id":"a1","type":"p","data":{SENT}}}'
    stored = f'{{"status":"PERSISTED","taskId":"s_1","resource":{record}}}'
    async with (
        Hostile([reply(200, record.encode()), reply(200, stored.encode())]) as server,
        session_at(server) as session,
    ):
        read = await session.get_resource("ehr", "p", "a1")
        assert read.data["z"].__class__ is float
        result = await session.upsert_resource("ehr", "p", "a1", data=read.data).result()
        assert exactly(server.requests[1].body)["data"] == exactly(SENT)
        assert exactly(result.to_json())["data"] == exactly(SENT)


SAME = [
    ("0.12345678901234567890123", "0.12345678901234568", True),  # a service may keep doubles
    ("0.1000000000000000055511151231257827", "0.1", True),
    ("9007199254740993.0", "9007199254740993", True),
    ("9007199254740993.0", "9007199254740994", False),
    ("0.12345678901234567890123", "0.1234567890123", False),
    ("0.12345678901234567890123", "true", False),
    ("0.12345678901234567890123", '"0.12345678901234567890123"', False),
    ("0.12345678901234567890123", "null", False),
]


@pytest.mark.parametrize(("sent", "found", "same"), SAME)
def test_fractions_are_compared_as_doubles(sent: str, found: str, same: bool) -> None:
    one, other = exact_json.loads(sent.encode()), exact_json.loads(found.encode())
    assert same_json(one, other) is same_json(other, one) is same


def test_a_write_of_such_numbers_is_equal_to_what_a_service_of_doubles_has_stored() -> None:
    write = UpsertResource("ehr", "p", "a1", data={"x": Decimal("0.12345678901234567890123")})
    found = calls.GetResource("ehr", "p", "a1").decode_response(
        b'{"id":"a1","type":"p","data":{"x":0.12345678901234568}}'
    )
    assert write.equals(found)
