"""Bytes and models: exact both ways, lenient to what is new, and silent about what is wrong."""

import json
import math
import string
import traceback
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, get_args, get_origin, get_type_hints

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clinia_async import (
    DecodeError,
    ErrorInfo,
    Identifier,
    InvalidWrite,
    Mdm,
    Meta,
    OtherSource,
    Partition,
    Period,
    RawJson,
    Receipt,
    Ref,
    Relationship,
    TaskId,
    TaskSnapshot,
    TaskStatus,
    models,
)
from clinia_async.models import SubmissionStatus, TaskSubmission
from clinia_async.serialization import converter, exact_json, strict_json, timestamps
from clinia_async.serialization.fast_decoders import FAST_DECODERS
from clinia_async.serialization.object_hooks import MISSING

CANARY = "CANARY-7f3a"

texts = st.text(alphabet=st.characters(exclude_categories=("Cs",)), max_size=20)
integers = st.one_of(
    st.integers(), st.integers(-(2**300), 2**300), st.sampled_from([2**63, 2**64, -(2**63) - 1, 10**400])
)
floats = st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), integers, floats, texts),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=12,
)
objects = st.dictionaries(texts, values, max_size=4)
zones = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
times = st.datetimes(
    min_value=datetime(2, 1, 1),  # noqa: DTZ001  zones are drawn beside
    max_value=datetime(9998, 1, 1),  # noqa: DTZ001  zones are drawn beside
    timezones=st.one_of(st.just(UTC), zones),
)
ids = (
    st.from_regex(r"\A[!-~]{1,60}\Z")
    .filter(lambda text: not set(text) & set("/\\?#") and text not in {".", ".."})
    .map(TaskId)
)


others = st.tuples(texts.filter(lambda text: text not in {"MDM", "DATA_SOURCE"}), objects).map(
    lambda pair: OtherSource(pair[0], {**pair[1], "type": pair[0]})
)
LEAVES: dict[Any, st.SearchStrategy[Any]] = {
    str: texts,
    int: integers,
    bool: st.booleans(),
    object: values,
    models.Json: objects,
    datetime: times,
    TaskId: ids,
    type(None): st.none(),
    OtherSource: others,
    models.OtherRecord: objects.map(lambda body: models.OtherRecord({**body, "type": 7})),
}


def of(type_: Any, levels: int = 4) -> st.SearchStrategy[Any]:  # noqa: PLR0911  one for each kind of type
    """Values of a type as the models are annotated; a model that holds itself ends after some levels."""
    if type_ in LEAVES:
        return LEAVES[type_]
    arguments = get_args(type_)
    if get_origin(type_) is Sequence:
        return st.lists(of(arguments[0], levels), max_size=2 if levels else 0).map(tuple)
    if get_origin(type_) is Mapping:
        return st.dictionaries(of(arguments[0]), of(arguments[1], levels), max_size=2 if levels else 0)
    if arguments:
        optional = type(None) in arguments  # null and an empty object are one
        return st.one_of(
            *(
                of(argument, levels).filter(lambda value: not (optional and is_blank(value)))
                for argument in arguments
            )
        )
    if isinstance(type_, type) and issubclass(type_, models.OpenEnum):
        return st.one_of(st.sampled_from(list(type_)), texts.filter(bool).map(type_))
    assert attrs.has(type_), type_
    if not levels:
        return st.nothing()
    hints = get_type_hints(type_)
    fields = {attribute.alias: of(hints[attribute.name], levels - 1) for attribute in attrs.fields(type_)}
    if "unknown_fields" in fields:
        fields["unknown_fields"] = st.sampled_from([None, {"newField": [{"deep": None}]}])
    return st.builds(type_, **fields)


def is_blank(value: object) -> bool:
    return attrs.has(type(value)) and not isinstance(value, TaskId) and converter.encode(value) == b"{}"


MODELS = [
    kind
    for kind in (getattr(models, name) for name in models.__all__)
    if isinstance(kind, type) and issubclass(kind, models.Value) and kind is not models.Value
]
STRATEGIES = {
    kind: of(kind)
    for kind in MODELS
    if kind not in {OtherSource, models.OtherRecord} and not getattr(kind, "__parameters__", ())
}


def test_every_model_has_a_strategy() -> None:
    assert {Relationship, Partition, Receipt, TaskSnapshot, TaskSubmission, ErrorInfo, Mdm} <= set(STRATEGIES)


@pytest.mark.parametrize("kind", STRATEGIES)
@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_decode_reverses_encode(kind: type[Any], data: st.DataObject) -> None:
    value = data.draw(STRATEGIES[kind])
    text = converter.encode(value)
    assert converter.decode(text, kind) == value
    assert exactly(converter.decode(text, kind)) == exactly(value)
    decoded = json.loads(text)
    assert converter.decode(json.dumps(sprinkled(decoded)).encode(), kind) == value


def exactly(value: Any) -> Any:
    """With the types: 1 is not 1.0, nor true."""
    if attrs.has(type(value)):
        return (
            type(value),
            [
                exactly(getattr(value, attribute.name))
                for attribute in attrs.fields(type(value))
                if attribute.name != "unknown_fields"
            ],
        )
    if isinstance(value, dict):
        return {key: exactly(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [exactly(item) for item in value]
    if isinstance(value, datetime):
        return value
    return (type(value), value)


def sprinkled(value: Any) -> Any:
    """With a field that no model knows, at the top."""
    return {"aSurprise": [{"deep": None}], **value}


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Ref, {"id": "a", "type": "b"}),
        (ErrorInfo, {}),
        (Period, {}),
        (Identifier, {}),
        (Meta, {}),
        (
            Relationship,
            {"id": "a.b", "type": "t", "from": {"id": "a", "type": "t"}, "to": {"id": "b", "type": "t"}},
        ),
        (
            Receipt,
            {"action": "CREATE", "status": "SUCCESS", "targetType": "RELATIONSHIP", "type": "t", "id": "a.b"},
        ),
        (TaskSnapshot, {"status": "SUCCESS"}),
        (TaskSubmission, {"status": "PERSISTED"}),
        (Partition, {"key": "k", "modules": {}, "source": {"type": "MDM", "sources": [], "collections": []}}),
        (
            Partition,
            {
                "key": "k",
                "modules": {},
                "source": {"type": "DATA_SOURCE", "key": "k", "collections": ["a", {"key": "b"}]},
            },
        ),
    ],
)
def test_only_optional_fields_may_be_absent(kind: type[Any], text: dict[str, Any]) -> None:
    assert isinstance(converter.structure(text, kind), kind)
    for name in text:
        if (kind, name) == (Partition, "modules"):
            continue
        less = {key: value for key, value in text.items() if key != name}
        with pytest.raises(DecodeError) as caught:
            converter.structure(less, kind)
        assert caught.value.path == f"$.{name}"


def test_null_is_read_as_absent() -> None:
    text = b'{"status":"PERSISTED","taskId":null,"bulkId":null,"relationship":null}'
    assert converter.decode(text, TaskSubmission) == TaskSubmission(SubmissionStatus.PERSISTED)


def test_none_is_not_encoded() -> None:
    assert converter.encode(Meta()) == b"{}"
    assert converter.encode(Relationship("a.b", "t", Ref("a", "t"), Ref("b", "t"))) == (
        b'{"id":"a.b","type":"t","from":{"id":"a","type":"t"},"to":{"id":"b","type":"t"}}'
    )


def test_unknown_enum_values_are_kept() -> None:
    snapshot = converter.decode(b'{"status":"QUEUED"}', TaskSnapshot)
    assert isinstance(snapshot.status, TaskStatus)
    assert snapshot.status == "QUEUED"
    assert converter.encode(snapshot) == b'{"status":"QUEUED"}'


@pytest.mark.parametrize("digits", range(13))
@pytest.mark.parametrize("zone", ["Z", "z", "+00:00", "-00:00", "+05:30", "-23:59"])
def test_timestamps_are_read_with_any_number_of_digits(digits: int, zone: str) -> None:
    fraction = f".{'123456789012'[:digits]}" if digits else ""
    meta = converter.decode(f'{{"createdAt":"2024-02-29T23:59:59{fraction}{zone}"}}'.encode(), Meta)
    expected = datetime(2024, 2, 29, 23, 59, 59, int("123456789012"[:digits][:6].ljust(6, "0")))  # noqa: DTZ001  naive on purpose
    offset = zone.replace("Z", "+00:00").replace("z", "+00:00")
    assert meta.created_at == datetime.fromisoformat(f"{expected.isoformat()}{offset}")
    assert converter.decode(converter.encode(meta), Meta) == meta


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2024-02-29",
        "2024-02-29T23:59:59",
        "2024-02-30T00:00:00Z",
        "2024-02-29 23:59:59Z",
        "2024-02-29T24:00:00Z",
        "2024-02-29T23:59:59+99:99",
        "2024-02-29T23:59:59.Z",
        "٢٠٢٤-02-29T23:59:59Z",
        "2024-02-29T23:59:59Z\n",
        "20240229T235959Z",
        "2024-W09-4T00:00:00Z",
        "+12024-02-29T23:59:59Z",
        "0000-01-01T00:00:00Z",
        "now",
    ],
)
def test_invalid_timestamps_are_refused(text: str) -> None:
    with pytest.raises(DecodeError) as caught:
        converter.structure({"createdAt": text}, Meta)
    assert (caught.value.path, caught.value.expected) == ("$.createdAt", "an RFC 3339 time")


@pytest.mark.parametrize("number", [1706000000, 1.5, True, [], {}])
def test_timestamps_that_are_numbers_are_refused(number: object) -> None:
    with pytest.raises(DecodeError):
        converter.structure({"createdAt": number}, Meta)


# The answers that come by the thousand

USUAL_TIME = "2025-05-13T14:03:21.123Z"
usual_times = st.one_of(
    st.just(USUAL_TIME), st.from_regex(r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.[0-9+:, .WZ-]{0,7}Z\Z")
)
usual_leaves = st.one_of(usual_times, st.sampled_from(["SUCCESS", "s_1", "UPSERT", "NOBODY_KNOWS"]), values)


def reported(make: Callable[[], object]) -> object:
    try:
        return exactly(make())
    except DecodeError as error:
        return error.path, error.expected


@pytest.mark.parametrize("kind", FAST_DECODERS)
@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_fast_decoders_equal_the_converter(kind: type[Any], data: st.DataObject) -> None:
    document = json.loads(converter.encode(data.draw(STRATEGIES[kind])))
    for place, key in list(all_places(document)):
        if key in {"createdAt", "updatedAt", "receivedAt", "completedAt"}:
            place[key] = data.draw(usual_times)
    for place, key in data.draw(st.lists(st.sampled_from(list(all_places(document)) or [({}, "")]))):
        place[key] = data.draw(usual_leaves)
    text = json.dumps(document).encode()
    expected = reported(lambda: converter.structure_answer(exact_json.loads(text), kind, ""))
    assert reported(lambda: converter.decode(text, kind)) == expected


@given(st.one_of(usual_times, texts, st.none(), st.integers()))
def test_parse_fast_equals_parse(text: object) -> None:
    try:
        found = timestamps.parse_fast(text)
    except ValueError:
        return
    assert found == timestamps.parse(text)


def test_documented_answers_need_no_converter() -> None:
    ends = {"from": {"id": "a", "type": "b"}, "to": {"id": "c", "type": "d"}}
    meta = {"createdAt": USUAL_TIME, "identifier": [{"system": "npi", "value": "1"}], "source": "ehr"}
    joint = {"id": "a.c", "type": "at", **ends, "data": {"a": 1}, "meta": meta}
    error = {"type": "ALREADY_EXISTS", "code": 409, "message": "taken", "details": [{"type": "INTERNAL"}]}
    receipt = {
        "action": "CREATE",
        "status": "FAILURE",
        "targetType": "RELATIONSHIP",
        "type": "at",
        "id": "a.c",
    }
    more = {"taskId": "bk_1", "receivedAt": USUAL_TIME, "completedAt": USUAL_TIME, "error": error}
    reviewed = {**receipt, "pipelineExecution": {"id": "1", "status": "IN_REVIEW"}}
    usual: Mapping[type[Any], object] = {
        Relationship: joint,
        models.Resource: {"id": "a", "type": "b", "data": {}, "meta": meta},
        TaskSubmission: {"status": "PERSISTED", "taskId": "s_1", "relationship": joint},
        TaskSnapshot: {"status": "FAILURE", "taskId": "bk_1", "receipts": [{**receipt, **more}, reviewed]},
    }
    assert usual.keys() == FAST_DECODERS.keys()
    for kind, document in usual.items():
        assert exactly(FAST_DECODERS[kind](document)) == exactly(converter.structure(document, kind))


# Wrong shapes


def faults(kind: type[Any], strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[type[Any], bytes]]:
    return strategy.map(lambda value: (kind, converter.encode(value)))


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.one_of(*(faults(kind, strategy) for kind, strategy in STRATEGIES.items())), st.data())
def test_any_shape_decodes_or_raises_decode_error(case: tuple[type[Any], bytes], data: st.DataObject) -> None:
    kind, text = case
    document = json.loads(text)
    places = list(all_places(document))
    if places:
        place, key = data.draw(st.sampled_from(places))
        place[key] = data.draw(
            st.one_of(values, st.just(CANARY), st.just([CANARY]), st.just({CANARY: CANARY}))
        )
    try:
        decoded = converter.decode(json.dumps(document).encode(), kind)
    except DecodeError as error:
        assert error.path.startswith("$")  # noqa: PT017  either end is fine
        assert error.expected  # noqa: PT017  either end is fine
        assert_silent(error)
    else:
        assert isinstance(decoded, kind)


def all_places(value: Any) -> Any:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield value, key
        yield from all_places(inner)


def assert_silent(error: BaseException) -> None:
    assert error.__cause__ is None
    assert error.__context__ is None
    shown = "".join(traceback.format_exception(error)) + repr(error) + repr(error.args)
    assert CANARY not in shown.replace(f".{CANARY}", "").replace(f"[{CANARY}]", "")


@pytest.mark.parametrize(
    ("kind", "text", "path", "expected"),
    [
        (Ref, {"id": 7, "type": "t"}, "$.id", "a string"),
        (Ref, {"id": None, "type": "t"}, "$.id", MISSING),
        (Ref, {"id": CANARY}, "$.type", MISSING),
        (Ref, [CANARY], "$", "an object"),
        (Ref, CANARY, "$", "an object"),
        (Relationship, {"id": "a", "type": "t", "from": CANARY, "to": {}}, "$.from", "an object"),
        (
            Relationship,
            {"id": "a", "type": "t", "from": {"id": CANARY}, "to": {}},
            "$.from.type",
            "a value, and it is missing or null",
        ),
        (
            Relationship,
            {
                "id": "a.b",
                "type": "t",
                "from": {"id": "a", "type": "t"},
                "to": {"id": "b", "type": "t"},
                "data": CANARY,
            },
            "$.data",
            "an object",
        ),
        (TaskSnapshot, {"status": 7}, "$.status", "a string"),
        (TaskSnapshot, {"status": "SUCCESS", "taskId": f"{CANARY}/"}, "$.taskId", "a task id"),
        (TaskSnapshot, {"status": "SUCCESS", "receipts": CANARY}, "$.receipts", "a list"),
        (TaskSnapshot, {"status": "SUCCESS", "receipts": {CANARY: 1}}, "$.receipts", "a list"),
        (
            TaskSnapshot,
            {
                "status": "SUCCESS",
                "receipts": [
                    {
                        "action": "CREATE",
                        "status": "SUCCESS",
                        "targetType": "X",
                        "type": "t",
                        "id": "i",
                        "receivedAt": CANARY,
                    }
                ],
            },
            "$.receipts[0].receivedAt",
            "an RFC 3339 time",
        ),
        (ErrorInfo, {"code": CANARY}, "$.code", "an integer"),
        (ErrorInfo, {"code": True}, "$.code", "an integer"),
        (ErrorInfo, {"code": 1.0}, "$.code", "an integer"),
        (
            ErrorInfo,
            {"details": [{"details": [{"code": CANARY}]}]},
            "$.details[0].details[0].code",
            "an integer",
        ),
        (Partition, {"key": "k", "modules": {}, "source": CANARY}, "$.source", "an object with a type"),
        (
            Partition,
            {"key": "k", "modules": {"search": 1}, "source": {"type": "X"}},
            "$.modules.search",
            "a string",
        ),
        (
            Partition,
            {"key": "k", "modules": {}, "source": {"type": "DATA_SOURCE", "key": "k", "collections": [7]}},
            "$.source.collections[0]",
            "an object",
        ),
    ],
)
def test_decode_errors_name_the_path_and_the_expected_type(
    kind: type[Any], text: Any, path: str, expected: str
) -> None:
    with pytest.raises(DecodeError) as caught:
        converter.structure(text, kind)
    assert (caught.value.path, caught.value.expected) == (path, expected)
    assert_silent(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b" ",
        b"{",
        b'{"id": CANARY-7f3a}',
        b'{"id": "CANARY-7f3a',
        b'{"id": NaN}',
        b'{"id": Infinity}',
        b'{"id": -Infinity}',
        b'{"id": 1e999}',
        b"\xef\xbb\xbf{}",
        '{"id":"CANARY-7f3a"}'.encode("utf-16"),
        '{"id":"CANARY-7f3a"}'.encode("utf-32"),
        b'{"id":"\xff"}',
        b'{"id":"\\ud800CANARY-7f3a"}',
        b'{"id":"\\ud800", "n": 123456789012345678901}',
        b'{"n": 123456789012345678901, "id": NaN}',
        b'{"n": 123456789012345678901, "id": 1e999}',
        b'{"n": ' + b"9" * 5000 + b"}",
        b'{"a":' * 100_000,
        b"[" * 100_000 + b"1234567890123456789",
        b'{"a":1}{"b":2}',
        b'{"a":1,}',
        b"{'a':1}",
        b"\0",
        b'{"id":"a\nb"}',
    ],
)
def test_invalid_json_raises_decode_error(text: bytes) -> None:
    with pytest.raises(DecodeError) as caught:
        converter.decode(text, Ref)
    assert_silent(caught.value)


@pytest.mark.parametrize("levels", [50, 150, 300, 450, 511, 512, 2000])
def test_any_depth_decodes_or_raises_decode_error(levels: int) -> None:
    try:
        converter.decode(b'{"details":[' * levels + b"{}" + b"]}" * levels, ErrorInfo)
    except DecodeError as error:
        assert error.__context__ is None  # noqa: PT017  either end is fine


# Integers, floats, text


@given(objects)
def test_loads_reverses_dumps(value: dict[str, Any]) -> None:
    text = exact_json.dumps(value)
    assert exactly(exact_json.loads(text)) == exactly(value)
    assert exactly(json.loads(text)) == exactly(value)
    raw = strict_json.fields(text.decode())
    assert exactly({key: parsed for key, (parsed, _) in raw.items()}) == exactly(value)
    for key, (parsed, kept) in raw.items():
        assert exactly(kept.value()) == exactly(parsed) == exactly(value[key])


@pytest.mark.parametrize(
    "number",
    [
        0,
        -0.0,
        2**53 + 1,
        2**63 - 1,
        2**63,
        2**64 - 1,
        2**64,
        -(2**63),
        -(2**63) - 1,
        10**308,
        10**309,
        10**4000,
        5e-324,
        1.7976931348623157e308,
        0.1,
    ],
)
def test_numbers_keep_their_value_and_type(number: float) -> None:
    text = exact_json.dumps({"n": number})
    assert exactly(exact_json.loads(text)) == exactly({"n": number})
    assert (
        math.copysign(1, exact_json.loads(text)["n"]) == math.copysign(1, number)
        if abs(number) < 1e308
        else True
    )  # type: ignore[index]


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("extra", [{}, {"n": None}, {"big": 2**70}, {"text": "null"}])
def test_numbers_that_are_not_finite_are_refused(number: float, extra: Mapping[str, Any]) -> None:
    with pytest.raises(InvalidWrite) as caught:
        exact_json.dumps({"x": [{"y": number}], **extra})
    assert caught.value.path == "$.x[0].y"


def test_naive_timestamps_are_refused() -> None:
    with pytest.raises(InvalidWrite):
        converter.encode({"x": Meta(), "t": object()})


def test_nesting_beyond_the_limit_is_refused() -> None:
    value: Any = 1
    for _ in range(exact_json.DEEPEST):
        value = [value]
    exact_json.dumps(value)
    for _ in range(2000):
        value = [value]
    with pytest.raises(InvalidWrite):
        exact_json.dumps(value)


# Input that somebody wrote


def test_fields_keep_their_bytes() -> None:
    found = strict_json.fields(
        ' { "a" : 1.0e2 ,\t"b":{ "x" : [ 1,2 ] }, "c\\u00e9":"\\u00e9",\n'
        '"d":12345678901234567890123, "":null } '
    )
    assert {key: raw.text for key, (_, raw) in found.items()} == {
        "a": b"1.0e2",
        "b": b'{ "x" : [ 1,2 ] }',
        "cé": b'"\\u00e9"',
        "d": b"12345678901234567890123",
        "": b"null",
    }
    assert strict_json.fields(" {\t} ") == {}
    assert converter.encode({"data": found["b"][1]}) == b'{"data":{ "x" : [ 1,2 ] }}'


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "{",
        "}",
        "[1]",
        '"x"',
        "1",
        "null",
        "{} x",
        "{}{}",
        '{"a":1,}',
        '{"a":1 "b":2}',
        '{"a" 1}',
        "{a:1}",
        "{1:2}",
        "{,}",
        '{"a":}',
        '{"a":1',
        '{"a":1,',
        '{"a":1,"a":2}',
        '{"a":{"b":1,"b":2}}',
        '{"a":[{"b":1,"b":1}]}',
        '{"a":1,"\\u0061":2}',
        '{"a":NaN}',
        '{"a":[Infinity]}',
        '{"a":-Infinity}',
        '{"a":1e400}',
        '{"a":[-1e400]}',
        '{"a":"\\ud800"}',
        '{"\\udfff":1}',
        '{"a":"\ud800"}',
        '{"\ud800":1}',
        '{"a":{"\ud800":1}}',
        "\ufeff{}",
        '{"a":"\n"}',
        '{"a":01}',
        '{"a":+1}',
        '{"a":.5}',
        '{"a":0x1}',
        "{'a':1}",
        '{"a":True}',
        '{"a":' * 1000 + "1" + "}" * 1000,
        '{"a":' * 201 + "1" + "}" * 201,
        '{"a":' + "[" * 100_000,
        '{"a":' + "9" * 5000 + "}",
        '{"a":1}\0',
        "\x0b{}",
        "\u00a0{}",
    ],
)
def test_fields_are_read_strictly(text: str) -> None:
    with pytest.raises(DecodeError) as caught:
        strict_json.fields(text)
    assert caught.value.__context__ is None
    assert caught.value.path == "$"


@given(st.text(alphabet=string.printable, max_size=40))
def test_fields_agree_with_the_standard_library(text: str) -> None:
    try:
        expected = json.loads(text)
    except ValueError:
        expected = None
    try:
        found = {key: parsed for key, (parsed, _) in strict_json.fields(text).items()}
    except DecodeError:
        return
    assert found == expected


def test_the_repr_of_raw_json_holds_no_data() -> None:
    raw = RawJson(b'{"x":"CANARY-7f3a"}')
    assert CANARY not in repr(raw) + str(raw)
    assert raw.value() == {"x": CANARY}


def test_every_field_has_a_wire_name() -> None:
    for kind in STRATEGIES:
        assert set(get_type_hints(kind)) >= {attribute.name for attribute in attrs.fields(kind)}
