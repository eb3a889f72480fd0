"""What is refused before a byte is sent: the place and the rule are told, the value never."""

import math
import unicodedata
from collections import OrderedDict
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta, timezone
from decimal import Decimal
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clinia_async import (
    Bulk,
    CreatePartition,
    CreateRelationship,
    CreateResource,
    DeleteResource,
    GetPartition,
    GetRelationship,
    GetTask,
    Identifier,
    InvalidWrite,
    Mdm,
    Meta,
    Outcome,
    Ref,
    RetrySafety,
    Session,
    SourceCollection,
    TaskId,
    UpsertRelationship,
    UpsertResource,
    escape_dots,
    unescape_dots,
)
from clinia_async.emulator import Emulator
from clinia_async.models.identifiers import is_end_id, is_key, is_record_id
from tests.factories import FROM, ID, MODULES, PARTITION, SOURCE, TO, TYPE, create, write

CANARY = "CANARY-7f3a"
BAD_KEYS = [
    "",
    "a" * 63,
    "_a",
    "a\n",
    "\na",
    "a\r\n",
    "é",
    "aé",
    "a٣",
    "aａ",
    "٣",
    "..",
    ".",
    "a/b",
    "a\\b",
    "%2e%2e",
    "a%2fb",
    "a?x",
    "a#f",
    "a\0",
    "\ud800",
    "a b",
    " a",
    "a ",
    "a.b",
    "a:b",
    "a@b",
    "a\u200b",
    "a\u202eb",
    "ａ",
    "a\u0301",
    "a+b",
    "a*",
    "a,b",
    "a;b",
    "a'b",
    'a"b',
    "a<b",
    "a\t",
    "a\x7f",
    "🙂",
]
NO_KEYS = [None, 7, b"ehr", ["ehr"], 1.5]
BAD_ENDS = [
    "",
    ".",
    "..",
    "a.b",
    "A00.1",
    "a\n",
    "a\r\nX: y",
    "a\0",
    "\ud800",
    "p1\udfff",
    "a\u200b",
    "a\u202e",
    "\ufeff",
    "a\u2028",
    "a\u2029",
    "a\x7f",
    "a\x85",
    "x" * 257,
    "x" * 10_000,
]


def says_nothing(error: InvalidWrite, value: object) -> bool:
    text = str(error) + repr(error) + str(error.args)
    return not isinstance(value, str) or len(value) < 4 or value not in text


@pytest.mark.parametrize("key", [*BAD_KEYS, *NO_KEYS])
async def test_invalid_keys_are_refused_before_sending(
    session: Session, emulator: Emulator, key: Any
) -> None:
    attempts: list[tuple[str, Any]] = [
        ("$.source", lambda: session.create_relationship(key, TYPE, from_=FROM, to=TO)),
        ("$.type", lambda: session.create_relationship(SOURCE, key, from_=FROM, to=TO)),
        ("$.from.type", lambda: session.create_relationship(SOURCE, TYPE, from_=Ref("a", key), to=TO)),
        ("$.to.type", lambda: session.create_relationship(SOURCE, TYPE, from_=FROM, to=Ref("a", key))),
        ("$.source", lambda: session.get_relationship(key, TYPE, ID)),
        ("$.type", lambda: session.get_relationship(SOURCE, key, ID)),
        ("$.source", lambda: session.get_task(key, "s_1")),
        ("$.key", lambda: session.get_partition(key)),
        ("$.key", lambda: session.create_partition(key, modules=MODULES, source=PARTITION)),
    ]
    for path, attempt in attempts:
        with pytest.raises(InvalidWrite) as caught:
            await attempt()
        # a Ref refuses by itself what is no string
        assert caught.value.path in {path} if isinstance(key, str) else {path, f"$.{path.split('.')[-1]}"}
        assert caught.value.outcome is Outcome.NOT_SENT
        assert says_nothing(caught.value, key)
    with pytest.raises(InvalidWrite):
        Bulk(key, [write()])
    assert not emulator.requests


@pytest.mark.parametrize(
    "identifier",
    [
        "",
        "a",
        "_ab",
        "a.b",
        "a b",
        "ab\n",
        "ab\r\nX: y",
        "ab\0",
        "ab/..",
        "\u0661\u0662",
        "\u00e9a",
        "x" * 94,
    ],
)
async def test_invalid_ids_of_new_resources_are_refused_before_sending(
    emulator: Emulator, session: Session, identifier: str
) -> None:
    for attempt in (session.create_resource, session.upsert_resource):
        with pytest.raises(InvalidWrite) as caught:
            await attempt(SOURCE, TYPE, id=identifier, data={})
        assert caught.value.path == "$.id"
        assert says_nothing(caught.value, identifier)
    assert not emulator.requests


@pytest.mark.parametrize("identifier", ["ab", "a_", "-b", "7-", "x" * 93])
async def test_ids_of_new_resources_reach_the_service(session: Session, identifier: str) -> None:
    assert (await (await session.create_resource(SOURCE, TYPE, id=identifier, data={}))).id == identifier


@pytest.mark.parametrize("identifier", BAD_ENDS)
async def test_invalid_end_ids_are_refused_before_sending(
    session: Session, emulator: Emulator, identifier: Any
) -> None:
    for path, ends in (("$.from.id", (Ref(identifier, "t"), TO)), ("$.to.id", (FROM, Ref(identifier, "t")))):
        with pytest.raises(InvalidWrite) as caught:
            await session.create_relationship(SOURCE, TYPE, from_=ends[0], to=ends[1])
        assert caught.value.path == path
        assert says_nothing(caught.value, identifier)
    assert not emulator.requests


@pytest.mark.parametrize(
    ("end", "path"),
    [
        (None, "$.from"),
        ("prac-1", "$.from"),
        (("a", "b"), "$.from"),
        ({"id": "a"}, "$.from.type"),
        ({"id": 7, "type": "b"}, "$.from.id"),
    ],
)
async def test_ends_that_are_neither_refs_nor_their_json_are_refused(
    session: Session, emulator: Emulator, end: Any, path: str
) -> None:
    with pytest.raises(InvalidWrite) as caught:
        await session.create_relationship(SOURCE, TYPE, from_=end, to=TO)
    assert caught.value.path == path
    assert not emulator.requests


@pytest.mark.parametrize(
    "identifier",
    ["", ".", "..", "a\n.b", "a\0.b", "\ud800.b", "a.b\u202e", "a.\u2028b", "x" * 10_000, *NO_KEYS],
)
async def test_record_ids_that_cannot_stand_in_a_path_are_refused(
    session: Session, emulator: Emulator, identifier: Any
) -> None:
    with pytest.raises(InvalidWrite) as caught:
        await session.get_relationship(SOURCE, TYPE, identifier)
    assert caught.value.path == "$.id"
    assert says_nothing(caught.value, identifier)
    assert not emulator.requests


async def test_a_relationship_of_a_record_with_itself_is_sent(session: Session) -> None:
    made = await session.create_relationship(SOURCE, TYPE, from_=FROM, to=FROM)
    assert (await made).id == f"{FROM.id}.{FROM.id}"


def cyclic() -> dict[str, Any]:
    value: dict[str, Any] = {}
    value["self"] = value
    return value


def deep(levels: int) -> Any:
    value: Any = CANARY
    for _ in range(levels):
        value = {"a": value}
    return value


class Unusual:
    def __repr__(self) -> str:
        return CANARY


class Text(str):
    __slots__ = ()


BAD_DATA: list[tuple[Any, str]] = [
    ({"x": math.nan}, "$.data.x"),
    ({"x": [1, {"y": math.inf}]}, "$.data.x[1].y"),
    ({"x": -math.inf, "text": "null"}, "$.data.x"),
    ({"x": b"CANARY-7f3a"}, "$.data.x"),
    ({"x": {CANARY}}, "$.data.x"),
    ({"x": Decimal("NaN")}, "$.data.x"),
    ({"x": [Decimal("-Infinity")]}, "$.data.x[0]"),
    ({"x": datetime(2020, 1, 1)}, "$.data.x"),  # noqa: DTZ001  naive on purpose
    ({"x": time(12, 0)}, "$.data.x"),
    ({"x": timedelta(1)}, "$.data.x"),
    ({"x": Unusual()}, "$.data.x"),
    ({"x": Text(CANARY)}, "$.data.x"),
    ({"x": complex(1, 2)}, "$.data.x"),
    ({"x": range(3)}, "$.data.x"),
    ({"x": f"{CANARY}\ud800"}, "$.data.x"),
    ({"x": [None, "\udfff"]}, "$.data.x[1]"),
    ({"\ud800": 1}, "$.data"),
    ({1: 2}, "$.data"),
    ({None: 2}, "$.data"),
    ({Text("a"): 2}, "$.data"),
    ({"x": {("a", "b"): 1}}, "$.data.x"),
    ({"x": 10**5000}, "$.data.x"),
    ({"x": -(10**5000)}, "$.data.x"),
    ([1], "$.data"),
    ("text", "$.data"),
    (7, "$.data"),
    (b"{}", "$.data"),
]


@pytest.mark.parametrize(("data", "path"), BAD_DATA)
async def test_data_that_json_cannot_carry_is_refused_with_its_path(
    session: Session, emulator: Emulator, data: Any, path: str
) -> None:
    with pytest.raises(InvalidWrite) as caught:
        await create(session, data=data)
    assert caught.value.path == path
    assert caught.value.outcome is Outcome.NOT_SENT
    assert CANARY not in str(caught.value) + repr(caught.value)
    with pytest.raises(InvalidWrite) as bulk:
        await session.bulk(SOURCE, [write("ok"), write("bad", data=data)])
    assert bulk.value.path in {path, path.replace("$", "$.operations[1]", 1)}
    assert not emulator.requests
    assert not session.in_doubt


@pytest.mark.parametrize(
    "data", [cyclic(), deep(1000), deep(100_000), {"x": [None, deep(1000)]}, {"big": 2**70, "x": deep(1000)}]
)
async def test_cyclic_or_deep_data_is_refused(session: Session, emulator: Emulator, data: Any) -> None:
    with pytest.raises(InvalidWrite) as caught:
        await create(session, data=data)
    assert caught.value.path.startswith("$.data")
    assert CANARY not in str(caught.value)
    assert not emulator.requests


@pytest.mark.parametrize(
    "data",
    [
        {"x": 2**63},
        {"x": 2**64},
        {"x": -(2**63)},
        {"x": -(2**63) - 1},
        {"x": 2**200},
        {"x": 10**4000},
        {"x": 0.1},
        {"x": 1e308},
        {"x": 5e-324},
        {"x": -0.0},
        {"x": 2**53 + 1},
        {"x": 1.0},
        {"x": None, "y": "null"},
        {"x": "é\u2028\0\x7f🙂"},
        {"": 1},
        {"a.b": {"/": []}},
        {"x": (1, (2,))},
        MappingProxyType({"x": MappingProxyType({})}),
        OrderedDict(x=1),
        {},
        deep(150),
        {"__proto__": {}},
    ],
)
async def test_data_arrives_exactly(session: Session, emulator: Emulator, data: Any) -> None:
    from clinia_async.serialization import exact_json

    made = await create(session, data=data)
    found = await made
    expected = exact_json.loads(exact_json.dumps(dict(data)))
    assert found.data == expected
    assert repr(exact_json.dumps(found.data)) == repr(exact_json.dumps(expected))
    if isinstance(data, dict) and isinstance(data.get("x"), int):
        assert found.data == data
        assert type(found.data["x"]) is int  # type: ignore[index]


NOW = datetime(2024, 5, 1, tzinfo=UTC)
BAD_META: list[tuple[Any, str]] = [
    (Meta(created_at=datetime(2020, 1, 1)), "$.meta.createdAt"),  # noqa: DTZ001  naive on purpose
    (Meta(created_at=datetime(2020, 1, 1, tzinfo=UTC), updated_at=datetime(2020, 1, 1)), "$.meta.updatedAt"),  # noqa: DTZ001  naive on purpose
    (Meta(created_at=datetime(9000, 1, 1, tzinfo=UTC)), "$.meta.createdAt"),
    (Meta(created_at=datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))), "$.meta.createdAt"),
    (Meta(created_at=datetime(9999, 12, 31, 23, tzinfo=timezone(-timedelta(hours=14)))), "$.meta.createdAt"),
    (Meta(updated_at=NOW), "$.meta.updatedAt"),
    (Meta(created_at=NOW, updated_at=NOW - timedelta(seconds=1)), "$.meta.updatedAt"),
    (Meta(identifier=(Identifier(use="source"),)), "$.meta.identifier"),
    (Meta(identifier=(Identifier(system="mdm"),)), "$.meta.identifier"),
    (Meta(identifier=(Identifier(value=CANARY), Identifier(value=CANARY, id="2"))), "$.meta.identifier"),
    ({"createdAt": CANARY}, "$.meta.createdAt"),
    ({"identifier": [{"value": CANARY}, "text"]}, "$.meta.identifier[1]"),
    ("text", "$.meta"),
]


@pytest.mark.parametrize(("meta", "path"), BAD_META)
async def test_metadata_against_the_import_rules_is_refused(
    session: Session, emulator: Emulator, meta: Any, path: str
) -> None:
    with pytest.raises(InvalidWrite) as caught:
        await create(session, meta=meta)
    assert caught.value.path == path
    assert CANARY not in str(caught.value)
    assert not emulator.requests


async def test_lone_surrogates_in_metadata_are_refused(session: Session, emulator: Emulator) -> None:
    with pytest.raises(InvalidWrite) as caught:
        await create(session, meta=Meta(identifier=(Identifier(value=f"{CANARY}\ud800"),)))
    assert CANARY not in str(caught.value)
    assert not emulator.requests


async def test_metadata_is_sent_and_read_back(session: Session) -> None:
    meta = Meta(
        created_at=NOW,
        updated_at=NOW + timedelta(microseconds=5),
        identifier=(Identifier(system="s", value="v", use="u"),),
    )
    found = await (await create(session, meta=meta))
    assert found.meta is not None
    assert found.meta.created_at == NOW
    assert found.meta.identifier == meta.identifier
    assert found.meta.source == SOURCE


def no_writes() -> Iterator[CreateRelationship]:
    yield from ()


@pytest.mark.parametrize(
    ("writes", "path"),
    [
        ([], "$.operations"),
        (no_writes(), "$.operations"),
        (None, "$.operations"),
        (7, "$.operations"),
        ([write("a"), "text"], "$.operations[1]"),
        ("text", "$.operations"),
        ({"a": write("a")}, "$.operations"),
        ({write("a")}, "$.operations"),
        ([write("a"), write("b"), write("a", data={"x": 1})], "$.operations[2]"),
        ([CreateRelationship("other", TYPE, FROM, TO)], "$.operations[0]"),
    ],
)
async def test_invalid_bulks_are_refused_with_the_path_of_the_operation(
    session: Session, emulator: Emulator, writes: Any, path: str
) -> None:
    with pytest.raises(InvalidWrite) as caught:
        await session.bulk(SOURCE, writes)
    assert caught.value.path == path
    assert not emulator.requests


async def test_a_bulk_keeps_a_copy_of_its_writes(session: Session, emulator: Emulator) -> None:
    writes = [write("a"), write("b")]
    call = Bulk(SOURCE, iter(writes))  # type: ignore[arg-type]
    own = list(writes)
    bulk = Bulk(SOURCE, own)
    own.clear()
    assert list(call.writes) == list(bulk.writes) == writes
    await (await session.submit(bulk))
    assert emulator.relationships() == 2


@pytest.mark.parametrize(
    ("source", "path"),
    [
        (None, "$.source"),
        ("ehr", "$.source"),
        ({"type": "DATA_SOURCE"}, "$.source.key"),
        ({"type": "MDM", "sources": "ehr", "collections": []}, "$.source.sources"),
        (PARTITION.__class__("../x", PARTITION.collections), "$.source.key"),
        (PARTITION.__class__("ehr", (SourceCollection("_x"),)), "$.source.collections[0].key"),
        (PARTITION.__class__("ehr", PARTITION.collections, ("a", "b/c")), "$.source.relationships[1]"),
        (Mdm(("ok", "no no"), ()), "$.source.sources[1]"),
    ],
)
async def test_invalid_partitions_are_refused_with_their_path(
    session: Session, emulator: Emulator, source: Any, path: str
) -> None:
    with pytest.raises(InvalidWrite) as caught:
        await session.create_partition("clinics", modules=MODULES, source=source)
    assert caught.value.path == path
    assert not emulator.requests


@pytest.mark.parametrize("modules", [None, "STANDARD", [], 7])
async def test_modules_of_another_class_are_refused(
    session: Session, emulator: Emulator, modules: Any
) -> None:
    with pytest.raises(InvalidWrite) as caught:
        await session.create_partition("clinics", modules=modules, source=PARTITION)
    assert caught.value.path == "$.modules"
    assert not emulator.requests


@given(st.text())
def test_is_key_follows_the_documented_pattern(text: str) -> None:
    allowed = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
    assert is_key(text) is (0 < len(text) <= 62 and set(text) <= allowed and not text.startswith("_"))


@given(st.text(alphabet=st.characters(), min_size=1, max_size=20))
def test_every_valid_end_id_makes_one_path_segment(text: str) -> None:
    if not is_end_id(text):
        return
    call = CreateRelationship(SOURCE, TYPE, Ref(text, "t"), TO)
    assert is_record_id(call.id)
    path = call.readback().request().path
    assert path.count("/") == 6
    assert unquote(path.rsplit("/", 1)[1]) == call.id == f"{text}.{TO.id}"


@given(st.text())
@example("A00_2E1")  # an id that looks as if it was escaped
@example("a_5Fb")
@example("_.")
def test_unescape_dots_reverses_escape_dots(text: str) -> None:
    escaped = escape_dots(text)
    assert "." not in escaped
    assert unescape_dots(escaped) == text


def test_the_error_for_a_dot_in_an_end_names_escape_dots() -> None:
    with pytest.raises(InvalidWrite, match="escape_dots"):
        write("A00.1")
    assert write(escape_dots("A00.1")).id == "A00_2E1.org-9"


def test_a_type_whose_path_is_a_bulk_endpoint_is_refused() -> None:
    for make in (
        lambda: CreateRelationship(SOURCE, "bulk", FROM, TO),
        lambda: UpsertRelationship(SOURCE, "bulk", FROM, TO),
        lambda: GetRelationship(SOURCE, "bulk", ID),
        lambda: CreateResource(SOURCE, "bulk", "a1", data={}),
        lambda: UpsertResource(SOURCE, "bulk", "a1", data={}),
        lambda: DeleteResource(SOURCE, "bulk", "a1"),
    ):
        with pytest.raises(InvalidWrite, match="bulk endpoint") as caught:
            make()
        assert caught.value.path == "$.type"
    assert CreateRelationship("bulk", TYPE, Ref("a", "bulk"), Ref("b", "bulk")).id == "a.b"


def test_retry_safety_of_calls() -> None:
    assert all(call.retry_safety is RetrySafety.KEYED for call in (CreateRelationship, CreatePartition))
    assert Bulk(SOURCE, [write("a")]).retry_safety is RetrySafety.KEYED
    assert all(
        call.retry_safety is RetrySafety.IDEMPOTENT for call in (GetRelationship, GetPartition, GetTask)
    )


def test_calls_compare_by_value() -> None:
    assert write("a") == write("a")
    assert GetTask(SOURCE, TaskId("s_1")) == GetTask(SOURCE, TaskId("s_1"))
    assert GetPartition("a").request() == GetPartition("a").request()


def test_a_record_id_holds_no_invisible_character() -> None:
    for code in range(0x3000):
        is_visible = unicodedata.category(chr(code)) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}
        assert is_record_id(f"a{chr(code)}b") is is_visible
