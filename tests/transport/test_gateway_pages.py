"""What a gateway, a proxy or a firewall says is never the service's word; the service's envelope is."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from clinia_async import (
    ApiError,
    CreateResource,
    Evidence,
    GatewayError,
    Outcome,
    RequestError,
    TaskPollError,
)
from tests.factories import ONCE, SOURCE, create, receipt, session_at
from tests.hostile import Hostile, accepted, answer, by_target, persisted, reply, task

STATUSES = (400, 401, 402, 403, 404, 405, 406, 408, 409, 410, 412, 415, 421, 422, 423, 425, 426, 428, 451)
STATUSES_OF_SERVERS = (499, 500, 501, 502, 503, 504, 520, 599)
BY_STATUS = (411, 413, 414, 429, 431)
"""Statuses that say in themselves that the request was not carried out, whoever says them."""

HTML = b"<html><head><title>403 Forbidden</title></head><body><hr><center>nginx</center></body></html>"
JSON, TEXT, PAGE, PROBLEM = "application/json", "text/plain", "text/html", "application/problem+json"
REASON = "PERMISSION_DENIED: the API key is not valid"

Document = Callable[[int], Any]
GATEWAYS: dict[str, Document] = {
    "AWS API gateway": lambda s: {"message": "Forbidden"},
    "AWS API gateway, v1": lambda s: {"Message": "User is not authorized to access this resource"},
    "AWS with its usual template": lambda s: {"message": "Forbidden", "type": "ACCESS_DENIED"},
    "AWS with a template and a code": lambda s: {"message": "no", "type": "WAF_FILTERED", "code": s},
    "AWS, another media type": lambda s: {"message": "no", "type": "UNSUPPORTED_MEDIA_TYPE"},
    "AWS JSON protocol": lambda s: {"__type": "AccessDeniedException", "message": "no"},
    "Azure management": lambda s: {"statusCode": s, "message": "Access denied due to invalid key"},
    "Azure": lambda s: {"error": {"code": "AuthorizationFailed", "message": "no"}},
    "Google ESP": lambda s: {"code": s, "message": REASON},
    "Google ESP with details": lambda s: {"code": s, "message": REASON, "details": []},
    "Google ESP with an @type": lambda s: {
        "code": s,
        "message": REASON,
        "details": [{"@type": "type.googleapis.com/google.rpc.DebugInfo", "detail": "service_control"}],
    },
    "Google APIs": lambda s: {"error": {"code": s, "message": REASON, "status": "PERMISSION_DENIED"}},
    "gRPC in JSON": lambda s: {"code": 7, "message": "RBAC: access denied", "details": []},
    "Kong": lambda s: {"message": "Unauthorized", "request_id": "1f"},
    "Kong, old": lambda s: {"message": "no Route matched with those values"},
    "Apigee": lambda s: {"fault": {"faultstring": "no", "detail": {"errorcode": "oauth.v2.InvalidApiKey"}}},
    "Cloudflare": lambda s: {"success": False, "errors": [{"code": 10000, "message": "no"}], "result": None},
    "Cloudflare problem": lambda s: {
        "type": "https://cf.example/1015",
        "title": "no",
        "status": s,
        "code": s,
    },
    "Spring": lambda s: {"timestamp": "2024-01-01", "status": s, "error": "Forbidden", "path": "/x"},
    "Spring with a message": lambda s: {"timestamp": 1, "status": s, "error": "FORBIDDEN", "message": "no"},
    "a look-alike with a code and a type": lambda s: {
        "timestamp": 1,
        "status": s,
        "code": s,
        "message": "no",
        "type": "FORBIDDEN",
    },
    "ORY": lambda s: {"error": {"code": s, "status": "Forbidden", "reason": "no", "message": "no"}},
    "WSO2": lambda s: {"code": "900901", "message": "Invalid Credentials", "description": "no"},
    "Gravitee": lambda s: {"message": "Unauthorized", "http_status_code": s},
    "APISIX": lambda s: {"error_msg": "404 Route Not Found"},
    "Tyk": lambda s: {"error": "Access to this API has been disallowed"},
    "Imperva": lambda s: {"errorCode": "15", "description": "Access denied", "incidentId": "1"},
    "a problem of RFC 9457": lambda s: {"type": "about:blank", "title": "no", "status": s},
    "a type in small letters": lambda s: {"code": s, "message": "no", "type": "not_found", "details": []},
    "a type with a space": lambda s: {"code": s, "message": "no", "type": "NOT FOUND", "details": []},
    "a type that is a list": lambda s: {"code": s, "message": "no", "type": ["NOT_FOUND"], "details": []},
    "a type that is null": lambda s: {"code": s, "message": "no", "type": None, "details": []},
    "a type that is empty": lambda s: {"code": s, "message": "no", "type": "", "details": []},
    "a new type with another code": lambda s: {"code": 7, "message": "no", "type": "NEW", "details": []},
    "a new type with a code in text": lambda s: {
        "code": str(s),
        "message": "no",
        "type": "NEW",
        "details": [],
    },
    "a problem of a type of ours": lambda s: {"type": "NOT_FOUND", "title": "no", "status": s, "code": s},
    "Spring with a type of ours": lambda s: {"status": s, "error": "Not Found", "type": "NOT_FOUND"},
    "a new type without a message": lambda s: {"code": s, "type": "NEW", "details": []},
    "a new type alone": lambda s: {"type": "NEW"},
    "the envelope, wrapped": lambda s: {"error": {"code": s, "message": "no", "type": "NOT_FOUND"}},
    "the envelope, in a list": lambda s: [{"code": s, "message": "no", "type": "NOT_FOUND", "details": []}],
    "a text": lambda s: "NOT_FOUND",
    "null": lambda s: None,
}
RAW: dict[str, tuple[bytes, str]] = {
    "nginx": (HTML, PAGE),
    "nginx that says that it is JSON": (HTML, JSON),
    "Envoy": (b"upstream connect error or disconnect/reset before headers. reset reason: overflow", TEXT),
    "Envoy RBAC": (b"RBAC: access denied", TEXT),
    "Traefik": (b"Forbidden", TEXT),
    "nothing at all": (b"", JSON),
    "a word of ours": (b"NOT_FOUND", TEXT),
    "JSON cut short": (b'{"code":403,"message":"no","type":"PERMISSION_DENIED","details":[', JSON),
    "a type given twice": (b'{"type":"NOT_FOUND","message":"no","type":"NOT_FOUND"}', JSON),
    "two envelopes": (b'{"type":"NOT_FOUND"}{"type":"NOT_FOUND"}', JSON),
}
PAGES: dict[str, Callable[[int], tuple[bytes, str]]] = {
    **{name: lambda s, make=make: (json.dumps(make(s)).encode(), JSON) for name, make in GATEWAYS.items()},
    **{name: lambda s, page=page: page for name, page in RAW.items()},
}


@pytest.mark.parametrize("name", PAGES)
async def test_a_page_of_a_gateway_rejects_no_write(name: str) -> None:
    async with Hostile() as server, session_at(server, retry=ONCE) as session:
        for status in STATUSES + STATUSES_OF_SERVERS + BY_STATUS:
            body, kind = PAGES[name](status)
            for shown in (kind, PAGE, f"{kind}; charset=utf-8"):
                server.then(reply(status, body, kind=shown))
                with pytest.raises(ApiError) as caught:
                    await create(session)
                error = caught.value
                if status in BY_STATUS:
                    assert (error.outcome, error.evidence) == (Outcome.REJECTED, Evidence.STATUS), status
                else:
                    assert isinstance(error, GatewayError), status
                    assert (error.outcome, error.evidence) == (Outcome.UNKNOWN, Evidence.NONE), status
                assert (error.type, error.message) == (None, None)


@pytest.mark.parametrize("status", [*BY_STATUS, 307, 308])
@pytest.mark.parametrize("said", ["ACCEPTED", "PERSISTED"])
async def test_a_status_of_a_gateway_rejects_nothing_that_has_a_task(status: int, said: str) -> None:
    """A gateway that counts answers may let the body through under a status of its own."""
    write = CreateResource(SOURCE, "practitioner", data={})  # the service makes its id: not to be sent twice
    taken = answer({"taskId": "s_1", "status": said}, status)
    async with Hostile(otherwise=taken) as server, session_at(server) as session:
        with pytest.raises(RequestError) as caught:
            await session.submit(write)
        assert (caught.value.outcome, caught.value.evidence) == (Outcome.UNKNOWN, Evidence.NONE)
        assert len(server.requests) == 1


@pytest.mark.parametrize("name", ["AWS API gateway", "Google ESP", "nginx", "Kong", "a new type alone"])
@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
async def test_a_page_of_a_gateway_ends_no_wait(name: str, status: int) -> None:
    body, kind = PAGES[name](status)
    ended = task("SUCCESS", receipts=[receipt("SUCCESS")])
    script = by_target(
        {
            "/tasks/": [reply(status, body, kind=kind), reply(status, body, kind=kind), ended],
            "POST": [accepted()],
        }
    )
    async with Hostile(otherwise=script) as server, session_at(server, read_back=False) as session:
        await (await create(session))
        assert server.count("GET", "/tasks/") == 3


ENVELOPES: dict[str, Document] = {
    "documented": lambda s: {"code": s, "message": "no", "type": "INVALID_ARGUMENT", "details": []},
    "written by Go": lambda s: {"code": s, "message": "no", "type": "INVALID_ARGUMENT", "details": None},
    "of the sister product": lambda s: {"code": s, "type": "PAYMENT_REQUIRED", "message": "no"},
    "a documented type alone": lambda s: {"type": "NOT_FOUND"},
    "a documented type and an odd code": lambda s: {"type": "OUT_OF_RANGE", "code": "x", "message": 7},
    "a new type": lambda s: {"code": s, "message": "no", "type": "SOMETHING_NEW", "details": []},
    "a new type, written by Go": lambda s: {"code": s, "message": "", "type": "NEW", "details": None},
    "with more": lambda s: {
        "type": "NOT_FOUND",
        "code": s,
        "message": "no",
        "requestId": "1",
        "x": {"y": []},
    },
    "with nested errors": lambda s: {
        "code": s,
        "message": "no",
        "type": "INVALID_ARGUMENT",
        "details": [{"code": 1, "message": "no", "type": "X", "details": [{"a": 1}]}],
    },
}


@pytest.mark.parametrize("kind", [JSON, f"{JSON}; charset=utf-8", TEXT, PAGE, ""])
@pytest.mark.parametrize("name", ENVELOPES)
async def test_the_envelope_of_the_service_is_its_word(name: str, kind: str) -> None:
    async with Hostile() as server, session_at(server, retry=ONCE) as session:
        for status in STATUSES + STATUSES_OF_SERVERS + BY_STATUS:
            server.then(reply(status, json.dumps(ENVELOPES[name](status)).encode(), kind=kind))
            with pytest.raises(ApiError) as caught:
                await create(session)
            error = caught.value
            assert not isinstance(error, GatewayError), status
            assert error.type is not None
            is_refused = (status < 500 and status not in {408, 499}) or status == 501
            expected = (
                (Outcome.REJECTED, Evidence.ENVELOPE) if is_refused else (Outcome.UNKNOWN, Evidence.NONE)
            )
            assert (error.outcome, error.evidence) == expected, status


@pytest.mark.parametrize("status", [400, 403, 404, 409, 422, 501])
async def test_a_failure_of_the_service_rejects_nothing_whatever_the_status(status: int) -> None:
    envelope = {"code": status, "message": "no", "type": "INTERNAL", "details": []}
    async with Hostile([answer(envelope, status)]) as server, session_at(server, retry=ONCE) as session:
        with pytest.raises(ApiError) as caught:
            await create(session)
        assert caught.value.outcome is Outcome.UNKNOWN


async def test_a_document_of_another_media_type_is_not_the_envelope() -> None:
    envelope = json.dumps(ENVELOPES["documented"](400)).encode()
    async with (
        Hostile([reply(400, envelope, kind=PROBLEM)]) as server,
        session_at(server, retry=ONCE) as session,
    ):
        with pytest.raises(GatewayError):
            await create(session)


async def test_a_service_that_knows_no_task_ends_the_wait() -> None:
    script = by_target({"/tasks/": [reply(403, b'{"type":"PERMISSION_DENIED"}')], "POST": [accepted()]})
    async with Hostile(otherwise=script) as server, session_at(server) as session:
        with pytest.raises(TaskPollError):
            await (await create(session))


async def test_pages_of_a_gateway_leave_the_session_usable() -> None:
    pages = [reply(403, *PAGES[name](403)[:1], kind=PAGES[name](403)[1]) for name in PAGES]
    async with Hostile([*pages], otherwise=persisted) as server, session_at(server, retry=ONCE) as session:
        for _ in pages:
            with pytest.raises(GatewayError):
                await create(session)
        assert (await create(session)).done()


MIDWAY: dict[str, Document] = {
    "of gRPC": lambda s: {"code": s, "message": "no", "type": "DEADLINE_EXCEEDED", "details": []},
    "unknown": lambda s: {"code": s, "message": "no", "type": "UNKNOWN", "details": None},
    "cancelled": lambda s: {"code": s, "message": "no", "type": "CANCELLED", "details": []},
    "by its code": lambda s: {"code": 500, "message": "no", "type": "INVALID_ARGUMENT", "details": []},
    "by a detail": lambda s: {
        "code": s,
        "message": "no",
        "type": "FAILED_PRECONDITION",
        "details": [{"code": s, "type": "NOT_FOUND"}, {"type": "X", "details": [{"type": "INTERNAL"}]}],
    },
}


@pytest.mark.parametrize("status", [400, 404, 409, 412, 422, 424])
@pytest.mark.parametrize("name", MIDWAY)
async def test_a_failure_midway_rejects_nothing_wherever_the_envelope_says_it(name: str, status: int) -> None:
    envelope = answer(MIDWAY[name](status), status)
    async with Hostile([envelope]) as server, session_at(server, retry=ONCE) as session:
        with pytest.raises(ApiError) as caught:
            await create(session)
        assert not isinstance(caught.value, GatewayError)
        assert (caught.value.outcome, caught.value.evidence) == (Outcome.UNKNOWN, Evidence.NONE)
