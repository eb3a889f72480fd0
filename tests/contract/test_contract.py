import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from attrs import evolve
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from openapi_spec_validator import OpenAPIV31SpecValidator

from . import rules
from .contract import Contract
from .document import read
from .examples import (
    CAT,
    ENDS,
    FIRST,
    GOOD,
    RES,
    R,
    exchange,
    receipt,
    relationship_operations,
)
from .exchange import Exchange
from .mistakes import BAD, altered, answering, asking, reading

contract = Contract.load()


# ------------------------------------------------------------------------------ the document


def test_document_is_openapi_3_1() -> None:
    assert list(OpenAPIV31SpecValidator(read()).iter_errors()) == []


@pytest.mark.parametrize(
    "operation",
    sorted(contract.operations.values(), key=lambda each: each.id),
    ids=lambda operation: operation.id,
)
def test_operation(operation: Any) -> None:
    written = read()["paths"][operation.path][operation.method.lower()]
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", operation.id)
    assert operation.mark in {"documented", "inferred", "unknown"}
    assert "externalDocs" in written or "description" in written, "neither a page nor the lack of one"
    assert {"4XX", "5XX"} < operation.answers.keys()
    assert set(operation.path_parameters) == set(operation.template.names)


def test_operation_ids_differ() -> None:
    written = [
        operation["operationId"]
        for item in read()["paths"].values()
        for method, operation in item.items()
        if method != "parameters"
    ]
    assert sorted(written) == sorted(contract.operations)


def test_every_component_is_used() -> None:
    text = json.dumps(read())
    for kind in ("schemas", "responses", "parameters"):
        for name in read()["components"][kind]:
            assert f'"#/components/{kind}/{name}"' in text, name


# ------------------------------------------------------------------------------ in order


@pytest.mark.parametrize(("id_", "sample"), GOOD, ids=[f"{id_}-{one.status}" for id_, one in GOOD])
def test_good(id_: str, sample: Exchange) -> None:
    operation = contract.operation(sample)
    assert operation is not None
    assert operation.id == id_
    assert contract.check(sample) == []


def test_every_operation_has_a_good_exchange() -> None:
    assert {id_ for id_, sample in GOOD if 200 <= sample.status < 300} == contract.operations.keys()


@pytest.mark.parametrize(
    ("method", "path", "id_"),
    [
        ("POST", f"{R}/bulk", "bulk_relationships"),
        ("POST", f"{R}/%62ulk", "bulk_relationships"),
        ("POST", f"{R}/bulky", "create_relationship"),
        ("GET", f"{R}/bulk/x", "get_relationship_bulk"),
        ("GET", f"{R}/x/bulk", "get_relationship"),
        # A type called bulk is out of reach where the bulk has the path, and only there.
        ("PATCH", f"{R}/bulk/a.b", "update_relationship"),
        ("PUT", f"{RES}/bulk/x1", "upsert_resource"),
        ("PUT", f"{RES}/t/a1/k/b1", "upsert_contained_resource"),
        ("PUT", f"{RES}/t/a1/k/b1/k2/c1", "upsert_nested_contained_resource"),
        ("PUT", f"{RES}/t/a1/k%2Fb1", "upsert_nested_contained_resource"),
        ("POST", f"{RES}/t/a1/k/b1/k2", "create_contained_resource"),
        ("DELETE", f"{RES}/t/a1/k/b1", "delete_contained_resource"),
        ("GET", f"{CAT}/sources", "list_sources"),
        ("GET", f"{CAT}/sources/", None),
        ("GET", f"{CAT}//sources", None),
        ("GET", f"{CAT}/sources/%ff", None),
        ("GET", CAT, None),
        ("GET", "", None),
        ("GET", "*", None),
        ("get", f"{CAT}/sources", None),
        ("HEAD", f"{CAT}/sources", None),
        ("PUT", f"{R}/x/a.b", None),
        ("GET", f"{R}/x/a.b/c", None),
    ],
)
def test_most_specific_path_wins(method: str, path: str, id_: str | None) -> None:
    operation = contract.operation(exchange(method, path, 200))
    assert (operation and operation.id) == id_


# ---------------------------------------------------------------------------- out of order


@pytest.mark.parametrize(
    ("sample", "faults"), BAD, ids=[f"{n}-{faults[0].replace('/', '.')}" for n, (_, faults) in enumerate(BAD)]
)
def test_bad(sample: Exchange, faults: list[str]) -> None:
    assert sorted(contract.check(sample)) == sorted(faults)


def test_every_rule_is_broken_by_an_exchange() -> None:
    broken = {fault.rpartition(": ")[2] for _, faults in BAD for fault in faults}
    assert rules.ANSWER.keys() | rules.REQUEST.keys() <= broken


def test_refused_request_is_not_checked() -> None:
    wrong = exchange("POST", f"{R}/_?what=1", 400, {"type": "INVALID_ARGUMENT"}, {"from": 1})
    assert contract.check(evolve(wrong, request_body=b"{", request_headers={})) == []
    assert contract.check(evolve(wrong, status=500)) == []


def test_records_of_a_bulk_may_be_left_out() -> None:
    operations = [*relationship_operations(), {"action": "CREATE", "create": {"type": "_", **ENDS}}]
    wrong = asking("bulk_relationships", {"operations": operations})
    assert contract.check(wrong) == ["request body /operations/4/create/type: pattern"]
    assert contract.check(wrong, records=False) == []
    many = asking("bulk_relationships", {"operations": [None] * 50, "atomic": True})
    assert contract.check(many, records=False) == ["request body /atomic: no such property"]
    wrong = asking("bulk_relationships", {"operations": {}})
    assert contract.check(wrong, records=False) == ["request body /operations: type"]


def test_parameters_of_a_content_type_do_not_matter() -> None:
    typed = {"content-type": "Application/JSON ; charset=utf-8"}
    assert contract.check(altered("get_task", answer_headers=typed)) == []


def test_faults_show_no_values() -> None:
    """Texts that stand where values and unknown names do are in no fault."""
    secret = "Ana María"
    body = {"from": secret, "to": {secret: secret}, "data": secret, secret: {}, "meta": {"createdAt": secret}}
    for sample in (
        asking("create_relationship", body),
        answering("create_relationship", {"status": secret, "taskId": [secret], "relationship": body}),
        altered("get_task", query="withReceipts=Ana%20Mar%C3%ADa&Ana%20Mar%C3%ADa=1"),
        altered("delete_relationship", path=f"{R}/Ana%20Mar%C3%ADa/Ana"),
        altered("get_task", answer_headers={"content-type": secret}),
    ):
        faults = contract.check(sample)
        assert faults
        assert not [fault for fault in faults if "Ana" in fault]


def test_repr_shows_no_bodies() -> None:
    assert "nurse" not in repr(FIRST["create_relationship"])


# -------------------------------------------------------------------------- whatever is sent

NAMES = sorted(
    {
        "id",
        "from",
        "to",
        "type",
        "data",
        "meta",
        "status",
        "taskId",
        "receipts",
        "hits",
        "operations",
        "action",
    }
    | {"create", "upsert", "identifier", "createdAt", "updatedAt", "details", "params", "perPage", "@rootId"}
)
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(), max_size=8)
    | st.sampled_from(
        ["CREATE", "SUCCESS", "PENDING", "PERSISTED", "2025-05-13T14:03:21Z", "\ud800", "@rootId"]
    )
)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)
samples = [sample for _, sample in GOOD]


def places(value: Any, pointer: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    pairs: Any = ()
    if isinstance(value, dict):
        pairs = value.items()
    elif isinstance(value, list):
        pairs = enumerate(value)
    return [pointer, *(place for step, member in pairs for place in places(member, (*pointer, step)))]


def put(value: Any, pointer: tuple[Any, ...], new: Any) -> Any:
    """The value with something else in one place."""
    if not pointer:
        return new
    copy = value.copy()
    copy[pointer[0]] = put(value[pointer[0]], pointer[1:], new)
    return copy


@st.composite
def mutated(draw: Callable[..., Any], body: bytes) -> bytes:
    """A body with something else in one or two places, or with bytes that are not JSON."""
    if not body or draw(st.integers(0, 9)) == 0:
        return bytes(draw(st.binary(max_size=40)))
    value = json.loads(body)
    for _ in range(draw(st.integers(1, 2))):
        value = put(value, draw(st.sampled_from(places(value))), draw(values))
    return json.dumps(value, allow_nan=True).encode()


@st.composite
def exchanges(draw: Callable[..., Any]) -> Exchange:
    sample: Exchange = draw(st.sampled_from(samples))
    headers = st.sampled_from(
        [sample.request_headers, sample.answer_headers, (), (("content-type", "\udcff"),)]
    )
    return evolve(
        sample,
        method=draw(st.sampled_from([sample.method, "GET", "PUT", "\u00e9"])),
        path=draw(
            st.just(sample.path) | st.text(max_size=9) | st.text("/%2fFgé.~", max_size=20).map("/".__add__)
        ),
        query=draw(st.just(sample.query) | st.text(max_size=9) | st.text("&=%f2;+a", max_size=9)),
        status=draw(st.just(sample.status) | st.integers(-1, 1000)),
        request_headers=draw(headers),
        answer_headers=draw(headers),
        request_body=draw(st.just(sample.request_body) | mutated(sample.request_body)),
        answer_body=draw(st.just(sample.answer_body) | mutated(sample.answer_body)),
    )


@pytest.mark.campaign
@settings(max_examples=400, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(exchanges())
@example(altered("get_task", answer_body=b'{"details":' * 900 + b"1" + b"}" * 900))
@example(altered("get_task", answer_body=b'{"status":' + b"9" * 5000 + b"}", status=400))
@example(altered("get_task", answer_body=b'{"status":1e999,"taskId":"\\ud800"}'))
@example(altered("create_relationship", request_body=b'{"from":{"id":"\\ud800","type":"\\udfff"},"to":1}'))
@example(exchange("GET", "/x", 400, json.loads('{"details":[' * 400 + "]}" * 400)))
def test_check_never_raises(sample: Exchange) -> None:
    faults = contract.check(sample)
    assert all(isinstance(fault, str) for fault in faults)
    assert set(contract.check(sample, records=False)) <= set(faults)
    contract.operation(sample)


def test_a_bulk_of_ten_thousand_receipts_is_checked() -> None:
    many = [receipt() for _ in range(10_000)]
    assert contract.check(reading(*many)) == []
