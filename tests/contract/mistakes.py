"""Exchanges that break the contract, each with everything that is wrong with it."""

import json
from typing import Any

from attrs import evolve

from .contract import MOST
from .examples import (
    BK,
    BROWSE,
    BUNDLE,
    CAT,
    DEF,
    DEFINITION,
    ENDS,
    ERROR,
    FIRST,
    HITS,
    META,
    ONE_SOURCE,
    PARTITION,
    PG,
    PROFILE,
    PURGE,
    RELATIONSHIP,
    RES,
    RESOURCE,
    SEARCH,
    TYPED,
    R,
    S,
    accepted,
    exchange,
    persisted,
    receipt,
    relationship_operations,
    resource_operations,
    task,
)
from .exchange import Exchange


def altered(sample: Exchange | str, **changes: Any) -> Exchange:
    """An exchange with some parts changed; bodies may be given as values."""
    for name in ("request_body", "answer_body"):
        if name in changes and not isinstance(changes[name], bytes):
            changes[name] = json.dumps(changes[name]).encode()
    return evolve(FIRST[sample] if isinstance(sample, str) else sample, **changes)


def asking(sample: Exchange | str, request: Any) -> Exchange:
    return altered(sample, request_body=request)


def answering(sample: Exchange | str, answer: Any, **changes: Any) -> Exchange:
    return altered(sample, answer_body=answer, **changes)


def reading(*receipts: Any, status: str = "SUCCESS", asked: str = BK) -> Exchange:
    return exchange("GET", f"/sources/ehr/v1/tasks/{asked}?withReceipts=true", 200, task(status, *receipts))


def without(value: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: member for name, member in value.items() if name not in names}


QUEUED = exchange("POST", f"{RES}/practitioner", 202, accepted(), {"data": {}})
JUNK = {"Content-Type": "text/html"}
TWICE = [("Content-Type", "application/json"), ("content-type", "application/json")]
KEYLESS = {"Content-Type": "application/json"}

BAD: list[tuple[Exchange, list[str]]] = [
    # ---- method, path, status
    (exchange("GET", "/nowhere", 200, {}), ["status 200: no operation has this method and path"]),
    (exchange("GET", "/nowhere", 302), ["status 302: no operation has this method and path"]),
    (exchange("GET", "/nowhere", 404, []), ["answer body: type"]),
    (exchange("GET", "/nowhere", 404), ["answer body: missing"]),
    (exchange("POST", f"{CAT}/sources", 204), ["status 204: no operation has this method and path"]),
    (altered("create_relationship", status=200), ["status 200: not listed for create_relationship"]),
    (altered("create_relationship", status=304), ["status 304: not listed for create_relationship"]),
    (altered("bulk_relationships", status=200), ["status 200: not listed for bulk_relationships"]),
    (altered("purge", status=201), ["status 201: not listed for purge"]),
    (altered("delete_relationship", status=204), ["status 204: not listed for delete_relationship"]),
    # ---- path parameters
    (
        altered("get_source", path=f"{CAT}/sources/_ehr", answer_body={"key": "ehr", "type": "registry"}),
        ["answer body /key: answer-is-of-path", "request path {sourceKey}: pattern"],
    ),
    (
        altered("list_relationship_definitions", path=DEF.replace("ehr", "e" * 63)),
        ["request path {sourceKey}: pattern"],
    ),
    (
        altered("list_relationship_definitions", path=DEF.replace("ehr", "ehr%0A")),
        ["request path {sourceKey}: pattern"],
    ),
    (
        altered("list_relationship_definitions", path=DEF.replace("ehr", "%C3%A9")),
        ["request path {sourceKey}: pattern"],
    ),
    (
        altered("list_relationship_definitions", path=DEF.replace("ehr", "a b")),
        ["request path: not percent-encoded", "request path {sourceKey}: pattern"],
    ),
    (altered("delete_relationship", path=f"{R}/works-at/prac-1"), ["request path {id}: pattern"]),
    (altered("delete_relationship", path=f"{R}/works-at/a.b.c"), ["request path {id}: pattern"]),
    (
        altered("get_relationship", path=f"{R}/works-at/prac-1", answer_body=RELATIONSHIP),
        ["answer body /id: answer-is-of-path", "request path {id}: pattern"],
    ),
    (altered("delete_resource", path=f"{RES}/practitioner/1"), ["request path {id}: pattern"]),
    (altered("delete_resource", path=f"{RES}/practitioner/{'x' * 94}"), ["request path {id}: pattern"]),
    (
        altered("delete_contained_resource", path=f"{RES}/practitioner/prac-1/office%zz"),
        ["request path: not percent-encoded"],
    ),
    # ---- query
    (altered("get_task", query="withReceipts=True"), ["request query withReceipts: type"]),
    (altered("get_task", query="withreceipts=true"), ["request query withreceipts: no such parameter"]),
    (altered("get_task", query="a%20b=1"), ["request query ?: no such parameter"]),
    (
        altered("get_task", query="withReceipts=false&withReceipts=false"),
        ["request query withReceipts: more than once"],
    ),
    (altered("get_task", query="%ff=1"), ["request query: not percent-encoded UTF-8"]),
    (altered("get_relationship", query="includes=a,b"), ["request query includes: pattern"]),
    (altered("list_partitions", query="page=-1"), ["request query page: minimum"]),
    (altered("list_partitions", query="perPage=ten"), ["request query perPage: type"]),
    (altered("create_relationship", query="sync=1"), ["request query sync: no such parameter"]),
    # ---- request headers and JSON
    (altered("get_task", request_headers={}), ["request headers: no X-Clinia-API-Key"]),
    (altered("get_task", request_headers={"x-clinia-api-key": ""}), ["request headers: no X-Clinia-API-Key"]),
    (altered("create_relationship", request_headers=KEYLESS), ["request headers: no X-Clinia-API-Key"]),
    (
        altered(
            "update_relationship",
            request_headers={"X-Clinia-API-Key": "k", "Content-Type": "application/json-patch+json"},
        ),
        ["request headers: Content-Type is not application/json"],
    ),
    (
        altered("create_resource", request_headers=[("x-clinia-api-key", "k"), *TWICE]),
        ["request headers: Content-Type is not application/json"],
    ),
    (altered("create_relationship", request_body=b""), ["request body: missing"]),
    (altered("delete_relationship", request_body=b"{}"), ["request body: there must be none"]),
    (altered("create_relationship", request_body=b"{"), ["request body: not JSON"]),
    (altered("create_relationship", request_body=b"\xef\xbb\xbf{}"), ["request body: not JSON"]),
    (altered("create_relationship", request_body=b'{"from":\xff}'), ["request body: not UTF-8"]),
    (altered("create_relationship", request_body="{}".encode("utf-16")), ["request body: not UTF-8"]),
    (altered("create_relationship", request_body=b'{"data":{"x":NaN}}'), ["request body: not JSON"]),
    (altered("create_relationship", request_body=b'{"data":{"x":1,"x":1}}'), ["request body: duplicate key"]),
    (altered("create_relationship", request_body=b"[" * 100_000), ["request body: nested too deeply"]),
    # ---- request bodies
    (asking("create_relationship", []), ["request body: type"]),
    (asking("create_relationship", without(ENDS, "to")), ["request body /to: required"]),
    (asking("create_relationship", ENDS | {"id": "prac-1.org-9"}), ["request body /id: no such property"]),
    (asking("create_relationship", ENDS | {"ex tra": 1}), ["request body /?: no such property"]),
    (asking("create_relationship", ENDS | {"data": []}), ["request body /data: type"]),
    (asking("create_relationship", ENDS | {"data": None}), ["request body /data: type"]),
    (asking("create_relationship", ENDS | {"to": {"id": "org-9"}}), ["request body /to/type: required"]),
    (
        asking("create_relationship", ENDS | {"meta": {"identifer": []}}),
        ["request body /meta/identifer: no such property"],
    ),
    (
        asking("create_relationship", ENDS | {"meta": {"createdAt": "now"}}),
        ["request body /meta/createdAt: format"],
    ),
    (
        asking("create_relationship", ENDS | {"meta": {"createdAt": "2025-05-13T14:03:21"}}),
        ["request body /meta/createdAt: format"],
    ),
    (
        asking("create_relationship", ENDS | {"meta": {"updatedAt": META["updatedAt"]}}),
        ["request body /meta/createdAt: required"],
    ),
    (
        asking(
            "create_relationship", ENDS | {"meta": {"identifier": [{"use": "source"}, {"system": "mdm"}]}}
        ),
        ["request body /meta/identifier/0/use: not", "request body /meta/identifier/1/system: not"],
    ),
    (asking("update_relationship", {"role": "nurse"}), ["request body: type"]),
    (asking("update_relationship", [{"op": "move", "path": "/a"}]), ["request body /0/op: enum"]),
    (
        asking("update_relationship", [{"op": "add", "path": "a", "value": 1}]),
        ["request body /0/path: pattern"],
    ),
    (asking("update_relationship", [{"path": "/a"}]), ["request body /0/op: required"]),
    (
        asking("update_relationship", [{"op": "add", "path": "/a", "from": "/b"}]),
        ["request body /0/from: no such property"],
    ),
    (asking("bulk_relationships", []), ["request body: type"]),
    (asking("bulk_relationships", relationship_operations()), ["request body: type"]),
    (
        asking("bulk_relationships", {"operations": [{"action": "PATCH", "patch": {}}]}),
        [
            "request body /operations/0/action: const",
            "request body /operations/0/create: required",
            "request body /operations/0/patch: no such property",
        ],
    ),
    (
        asking(
            "bulk_relationships",
            {"operations": [{"action": "UPSERT", "upsert": {"type": "w", **ENDS, "id": "a.b"}}]},
        ),
        ["request body /operations/0/upsert/id: no such property"],
    ),
    (
        asking("bulk_relationships", {"operations": [{"action": "CREATE", "upsert": {"type": "w", **ENDS}}]}),
        [
            "request body /operations/0/create: required",
            "request body /operations/0/upsert: no such property",
        ],
    ),
    (
        asking(
            "bulk_relationships",
            {
                "operations": [
                    {"action": "CREATE", "create": {"type": "w", **ENDS, "from": {"id": 7, "type": "t"}}}
                ]
            },
        ),
        ["request body /operations/0/create/from/id: type"],
    ),
    (
        asking("bulk_relationships", {"operations": [{"action": "DELETE", "delete": {"id": "a.b"}}]}),
        ["request body /operations/0/delete/type: required"],
    ),
    (
        asking("bulk_relationships", {"operations": [None] * 50}),
        [f"request body /operations/{n}: type" for n in range(MOST)],
    ),
    (asking(QUEUED, {"data": {}, "id": "x"}), ["request body /id: pattern"]),
    (asking(QUEUED, {"data": {}, "id": "@rootid"}), ["request body /id: pattern"]),
    (asking(QUEUED, {"id": "x1"}), ["request body /data: required"]),
    (
        asking("create_resource", {"data": {}, "contained": {"office": TYPED}}),
        ["request body /contained/office: type"],
    ),
    (asking("upsert_resource", {"data": {}, "id": "prac-1"}), ["request body /id: no such property"]),
    (asking("upsert_contained_resource", {"data": {}}), ["request body /type: required"]),
    (
        asking("bulk_resources", {"operations": [{"action": "UPSERT", "upsert": {"type": "p", "data": {}}}]}),
        ["request body /operations/0/upsert/id: required"],
    ),
    (
        asking("bundle", {"resourceOperations": resource_operations()}),
        ["request body /relationshipOperations: required"],
    ),
    (
        asking("purge", {"collectionType": "RELATIONSHIPS", "collectionKey": "works-at"}),
        [
            "answer body /purgeOperation/collectionType: answer-is-of-body",
            "request body /collectionType: enum",
        ],
    ),
    (asking("browse", without(BROWSE, "collectionKeys")), ["request body /collectionKeys: required"]),
    (asking("browse", BROWSE | {"params": {"perPage": 1001}}), ["request body /params/perPage: maximum"]),
    (asking("browse", BROWSE | {"perPage": 10}), ["request body /perPage: no such property"]),
    (
        asking("put_relationship_definition", DEFINITION | {"to": {"profileKey": "o", "cardinality": "0:*"}}),
        ["request body /to/cardinality: no such property"],
    ),
    (
        asking(
            "put_relationship_definition", DEFINITION | {"to": {"profileKey": "o", "includeCardinality": "*"}}
        ),
        ["request body /to/includeCardinality: enum"],
    ),
    (
        asking("put_relationship_definition", DEFINITION | {"key": "works-at"}),
        ["request body /key: no such property"],
    ),
    (asking("put_profile", PROFILE | {"type": "root"}), ["request body /type: enum"]),
    (
        asking("put_profile", PROFILE | {"properties": {"a": {"type": "string"}}}),
        ["request body /properties/a/type: enum"],
    ),
    (asking("put_collection", {"type": "resource"}), ["request body /type: enum"]),
    (asking("put_source", {"type": "registry", "key": "ehr"}), ["request body /key: no such property"]),
    (asking("put_partition", {"source": ONE_SOURCE}), ["request body /modules: required"]),
    (
        asking("put_partition", {"modules": {"search": "LEXICAL"}, "source": ONE_SOURCE}),
        ["request body /modules/search: enum"],
    ),
    (
        asking("put_partition", SEARCH | {"source": without(ONE_SOURCE, "key")}),
        ["request body /source/key: required"],
    ),
    (
        asking("put_partition", SEARCH | {"source": ONE_SOURCE} | {"status": "STATUS_STAGE"}),
        ["request body /status: no such property"],
    ),
    # ---- answer headers and bodies
    (altered("get_task", answer_headers={}), ["answer headers: Content-Type is not application/json"]),
    (altered("get_task", answer_headers=JUNK), ["answer headers: Content-Type is not application/json"]),
    (altered("get_task", answer_headers=TWICE), ["answer headers: Content-Type is not application/json"]),
    (altered("get_task", answer_body=b""), ["answer body: missing"]),
    (altered("get_task", answer_body=b"{}{}"), ["answer body: not JSON"]),
    (
        altered("get_task", answer_body=f'{{"taskId":"{S}","status":"X","status":"X"}}'.encode()),
        ["answer body: duplicate key"],
    ),
    (altered("delete_source", answer_body={}), ["answer body: there must be none"]),
    (answering("create_relationship", persisted()), ["answer body /relationship: required"]),
    (
        answering("create_relationship", persisted(relationship=without(RELATIONSHIP, "id"))),
        ["answer body /relationship/id: required"],
    ),
    (
        answering("create_relationship", persisted(relationship=RELATIONSHIP | {"meta": {"createdAt": 1}})),
        ["answer body /relationship/meta/createdAt: type"],
    ),
    (
        answering("create_relationship", persisted(relationship=RELATIONSHIP | {"data": None})),
        ["answer body /relationship/data: type"],
    ),
    (answering("create_relationship", {"status": "ACCEPTED"}, status=202), ["answer body /taskId: required"]),
    (
        answering("create_relationship", accepted(relationship=RELATIONSHIP), status=202),
        ["answer body /relationship: falseSchema"],
    ),
    (
        answering("create_relationship", accepted() | {"status": "DONE"}, status=202),
        ["answer body /status: enum"],
    ),
    (
        answering("get_relationship", {"relationship": RELATIONSHIP}),
        [f"answer body /{name}: required" for name in ("id", "type", "from", "to")],
    ),
    (answering("bulk_relationships", accepted(BK)), ["answer body /bulkId: required"]),
    (answering("purge", accepted(PG)), ["answer body /purgeOperation: required"]),
    (answering("get_purge", PURGE | {"deletedCount": 1.5}), ["answer body /deletedCount: type"]),
    (answering("get_purge", without(PURGE, "status")), ["answer body /status: required"]),
    (answering("get_task", {"taskId": S}), ["answer body /status: required"]),
    (reading(without(receipt(), "receivedAt")), ["answer body /receipts/0/receivedAt: required"]),
    (
        reading(receipt(error=None)),
        ["answer body /receipts/0/error: type", "answer body /receipts/0/error: error-means-failure"],
    ),
    (reading(receipt(completedAt="soon")), ["answer body /receipts/0/completedAt: format"]),
    (answering("browse", {"hits": HITS}), ["answer body /meta: required"]),
    (answering("list_partitions", [PARTITION]), ["answer body: type"]),
    (answering("get_partition", without(PARTITION, "status")), ["answer body /status: required"]),
    (exchange("POST", f"{R}/x", 409, ERROR | {"code": "409"}), ["answer body /code: type"]),
    (
        exchange("POST", f"{R}/x", 400, {"details": [{"details": [{"type": 1}]}]}),
        ["answer body /details/0/details/0/type: type"],
    ),
    (exchange("POST", f"{R}/x", 500, "broken"), ["answer body: type"]),
    # ---- ACCEPTED and PERSISTED
    (answering("create_relationship", persisted(), status=202), ["answer body /status: accepted-is-202"]),
    (
        answering("create_relationship", accepted(relationship=RELATIONSHIP)),
        ["answer body /status: accepted-is-202"],
    ),
    (answering("delete_relationship", accepted()), ["answer body /status: accepted-is-202"]),
    (answering("delete_resource", persisted(), status=202), ["answer body /status: accepted-is-202"]),
    (answering("upsert_resource", accepted(resource=RESOURCE)), ["answer body /status: accepted-is-202"]),
    (answering("bulk_relationships", {**persisted(), "bulkId": S}), ["answer body /status: accepted-is-202"]),
    (answering("bundle", persisted()), ["answer body /status: accepted-is-202"]),
    # ---- ids that are the same
    (answering("bulk_relationships", accepted(BK, bulkId=S)), ["answer body /bulkId: old-id-is-task-id"]),
    (answering("bulk_resources", accepted(BK, bulkId=BK[3:])), ["answer body /bulkId: old-id-is-task-id"]),
    (
        answering("purge", accepted(PG, purgeOperation=PURGE | {"taskId": S, "purgeId": S})),
        [f"answer body /purgeOperation/{name}: old-id-is-task-id" for name in ("taskId", "purgeId")],
    ),
    (answering("get_purge", PURGE | {"purgeId": S}), ["answer body /purgeId: old-id-is-task-id"]),
    # ---- ids of relationships
    (
        answering("get_relationship", RELATIONSHIP | {"id": "org-9.prac-1"}),
        ["answer body /id: relationship-id-is-from-dot-to", "answer body /id: answer-is-of-path"],
    ),
    (
        answering("create_relationship", persisted(relationship=RELATIONSHIP | {"id": "a.b"})),
        ["answer body /relationship/id: relationship-id-is-from-dot-to"],
    ),
    (
        answering(
            "browse",
            {"hits": [{"resource": RELATIONSHIP | {"id": "a.b"}}], "meta": {"cursor": "", "total": 1}},
        ),
        ["answer body /hits/0/resource/id: relationship-id-is-from-dot-to"],
    ),
    (
        answering("bundle", persisted(anything=[RELATIONSHIP | {"id": "a.b"}]), status=200),
        ["answer body /anything/0/id: relationship-id-is-from-dot-to"],
    ),
    # ---- the answer is of what was asked
    (
        answering("get_relationship", RELATIONSHIP | {"type": "leads"}),
        ["answer body /type: answer-is-of-path"],
    ),
    (
        answering("upsert_resource", persisted(resource=RESOURCE | {"id": "prac-2"})),
        ["answer body /resource/id: answer-is-of-path"],
    ),
    (
        answering("upsert_contained_resource", persisted(resource=RESOURCE | {"id": "o1"})),
        ["answer body /resource/id: answer-is-of-path"],
    ),
    (answering("get_source", {"key": "crm", "type": "registry"}), ["answer body /key: answer-is-of-path"]),
    (answering("get_partition", PARTITION | {"key": "p2"}), ["answer body /key: answer-is-of-path"]),
    (
        asking("create_relationship", ENDS | {"to": {"id": "org-9", "type": "clinic"}}),
        ["answer body /relationship/to/type: answer-is-of-body"],
    ),
    (
        asking("put_partition", SEARCH | {"source": ONE_SOURCE | {"key": "crm"}}),
        ["answer body /source/key: answer-is-of-body"],
    ),
    (
        answering("put_partition", PARTITION | {"status": "STATUS_STAGE"}),
        ["answer body /status: stage-names-status"],
    ),
    (altered("put_partition", query="stage=true"), ["answer body /status: stage-names-status"]),
    (asking("browse", BROWSE | {"params": {"perPage": 1}}), ["answer body /hits: page-within-per-page"]),
    (
        altered(
            "browse",
            request_body=BROWSE | {"params": {}},
            answer_body={"hits": [{}] * 101, "meta": {"cursor": "", "total": 1}},
        ),
        ["answer body /hits: page-within-per-page"],
    ),
    # ---- tasks and receipts
    (
        answering("get_task", {"taskId": BK, "status": "SUCCESS"}),
        ["answer body /taskId: task-is-the-one-asked-for"],
    ),
    (
        answering("get_purge", PURGE | {"taskId": S, "purgeId": S}),
        ["answer body /taskId: task-is-the-one-asked-for"],
    ),
    (altered("get_task", query="withReceipts=true"), ["answer body /receipts: receipts-only-when-asked-for"]),
    (
        answering("get_task", {"taskId": S, "status": "SUCCESS", "receipts": []}),
        ["answer body /receipts: receipts-only-when-asked-for"],
    ),
    (
        answering("get_relationship_bulk", {"status": "SUCCESS", "receipts": []}),
        ["answer body /receipts: receipts-only-when-asked-for"],
    ),
    (reading(receipt(taskId=S)), ["answer body /receipts/0/taskId: receipts-are-of-the-task"]),
    (
        reading(receipt("PENDING", completedAt=META["createdAt"]), status="PENDING"),
        ["answer body /receipts/0/completedAt: pending-is-not-completed"],
    ),
    (reading(receipt(error=ERROR)), ["answer body /receipts/0/error: error-means-failure"]),
    (
        reading(receipt("PENDING", error={}), status="PENDING"),
        ["answer body /receipts/0/error: error-means-failure"],
    ),
    (reading(receipt(id_="prac-1")), ["answer body /receipts/0/id: stored-relationship-has-two-ends"]),
    (reading(receipt(), receipt("FAILURE")), ["answer body /status: status-sums-up-receipts"]),
    (reading(receipt(), receipt("PENDING")), ["answer body /status: status-sums-up-receipts"]),
    (reading(receipt(), status="PENDING"), ["answer body /status: status-sums-up-receipts"]),
    (reading(receipt(), status="FAILURE"), ["answer body /status: status-sums-up-receipts"]),
    (reading(receipt("CANCELLED"), status="FAILURE"), ["answer body /status: status-sums-up-receipts"]),
    (
        reading(receipt(), receipt("CANCELLED"), status="CANCELLED"),
        ["answer body /status: status-sums-up-receipts"],
    ),
    # ---- requests that should have been refused
    (
        asking("bundle", BUNDLE | {"relationshipOperations": [relationship_operations()[1]] * 2}),
        ["request body /relationshipOperations/1/upsert: one-operation-a-record"],
    ),
    (
        asking(
            "bundle",
            BUNDLE
            | {
                "resourceOperations": [
                    {"action": "DELETE", "delete": {"id": "x1", "type": "t"}},
                    {"action": "UPSERT", "upsert": {"id": "x1", "type": "t", "data": {}}},
                ]
            },
        ),
        ["request body /resourceOperations/1/upsert: one-operation-a-record"],
    ),
    (
        asking(
            "bundle",
            BUNDLE
            | {
                "relationshipOperations": [
                    {"action": "DELETE", "delete": {"type": "w", **ENDS}},
                    {"action": "DELETE", "delete": {"type": "w", "id": "prac-1.org-9"}},
                ]
            },
        ),
        ["request body /relationshipOperations/1/delete: one-operation-a-record"],
    ),
    (
        asking(
            "bundle",
            BUNDLE
            | {
                "resourceOperations": [
                    {"action": "CREATE", "create": {"type": "t", "data": {"x": "x" * 600_000}}}
                ]
            },
        ),
        ["request body: bundle-within-500-kb"],
    ),
    (
        asking(
            "create_relationship",
            ENDS | {"meta": {"createdAt": META["updatedAt"], "updatedAt": META["createdAt"]}},
        ),
        ["request body /meta/updatedAt: updated-after-created"],
    ),
    (
        asking(
            "create_resource",
            {"data": {}, "meta": {"identifier": [{"value": "1"}, {"value": "1", "period": {}}]}},
        ),
        ["request body /meta/identifier: identifiers-differ"],
    ),
]
