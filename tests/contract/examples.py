"""Exchanges in order, written by hand after the pages: at least one for every operation."""

import json
from typing import Any

from .exchange import Exchange

JSON = {"Content-Type": "application/json"}
KEY = {"X-Clinia-API-Key": "key"}
S, BK, BD, PG = (f"{prefix}_2wil2vJ1k4QWqvlZzYJqI3lYbZM" for prefix in ("s", "bk", "bd", "pg"))
AT, LATER = "2025-05-13T14:03:21.123Z", "2025-05-13T14:03:22.1234Z"

R = "/sources/ehr/v1/relationships"
RES = "/sources/ehr/v1/resources"
DEF = "/sources/ehr/v1/relationship-definitions"
COL = "/sources/ehr/v1/collections"
CAT = "/catalog/v1"


def exchange(method: str, target: str, status: int, answer: Any = None, request: Any = None) -> Exchange:
    path, _, query = target.partition("?")
    return Exchange(
        method=method,
        path=path,
        query=query,
        status=status,
        request_headers=KEY if request is None else KEY | JSON,
        request_body=b"" if request is None else json.dumps(request).encode(),
        answer_headers={} if answer is None else JSON,
        answer_body=b"" if answer is None else json.dumps(answer).encode(),
    )


ENDS: dict[str, Any] = {
    "from": {"id": "prac-1", "type": "practitioner"},
    "to": {"id": "org-9", "type": "organization"},
}
META = {
    "createdAt": AT,
    "updatedAt": LATER,
    "identifier": [
        {"system": "urn:npi", "value": "1588664007", "use": "official", "period": {"start": "2020"}},
        {"system": "urn:npi", "value": "1588664007", "use": "usual"},
    ],
}
RELATIONSHIP = {"id": "prac-1.org-9", "type": "works-at", **ENDS, "data": {"role": "nurse"}, "meta": META}
RESOURCE = {"id": "prac-1", "type": "practitioner", "data": {"name": "Ana"}, "meta": META}
DEFINITION = {
    "from": {"profileKey": "practitioner", "includeKey": "worksAt", "includeCardinality": "0:*"},
    "to": {"profileKey": "organization", "includeKey": "staff", "includeCardinality": "0:*"},
    "description": "Where they work",
    "properties": {"role": {"type": "code", "rules": [{"required": True}]}},
}
PROFILE = {
    "type": "ROOT",
    "properties": {"name": {"type": "humanname"}},
    "contained": {"office": {"types": ["o"]}},
}
COLLECTION = {"type": "resources", "profile": {"properties": {"name": {"type": "humanname"}}}}
SEARCH = {"modules": {"search": "STANDARD"}}
ONE_SOURCE = {
    "type": "DATA_SOURCE",
    "key": "ehr",
    "collections": [{"key": "practitioner"}, "organization"],
    "relationships": ["works-at"],
}
MDM = {
    "type": "MDM",
    "sources": ["ehr", "crm"],
    "collections": [
        {
            "key": "person",
            "properties": {"name": {"type": "humanname"}},
            "mappings": [{"source": "ehr", "type": "practitioner", "propertyMappings": {"name": "name"}}],
            "traversedProperties": ["@worksAt.startDate"],
            "reconciliationRules": {"type": "SYSTEM", "rules": []},
            "contained": {},
        }
    ],
    "relationships": [
        {
            "from": {"profileKey": "person", "includeKey": "worksAt"},
            "to": {"profileKey": "organization", "includeKey": "staff"},
            "relationshipType": "works-at",
            "properties": {},
            "mappings": [],
        }
    ],
}
PARTITION = {"key": "p1", "status": "STATUS_READY", **SEARCH, "source": ONE_SOURCE}
PAGE = {"numPages": 1, "page": 0, "perPage": 20, "total": 1}
ERROR = {"code": 409, "message": "taken", "type": "ALREADY_EXISTS", "details": [{"type": "NEW_TYPE"}]}
PURGE = {
    "taskId": PG,
    "purgeId": PG,
    "collectionType": "relationships",
    "collectionKey": "works-at",
    "status": "PENDING",
    "createdAt": AT,
}


def accepted(id_: str = S, **more: Any) -> dict[str, Any]:
    return {"taskId": id_, "status": "ACCEPTED", **more}


def persisted(**more: Any) -> dict[str, Any]:
    return {"taskId": S, "status": "PERSISTED", **more}


def receipt(status: str = "SUCCESS", id_: str = "prac-1.org-9", **more: Any) -> dict[str, Any]:
    done = {} if status == "PENDING" else {"completedAt": LATER}
    failed = {"error": ERROR} if status == "FAILURE" else {}
    return {
        "receivedAt": AT,
        "taskId": BK,
        "action": "CREATE",
        "status": status,
        "targetType": "RELATIONSHIP",
        "id": id_,
        "type": "works-at",
        **done,
        **failed,
        **more,
    }


def task(status: str, *receipts: dict[str, Any]) -> dict[str, Any]:
    return {"status": status, "taskId": BK, "receipts": list(receipts)}


def relationship_operations() -> list[dict[str, Any]]:
    other = ENDS | {"to": {"id": "org-8", "type": "organization"}}
    return [
        {"action": "CREATE", "create": {"type": "works-at", **ENDS, "meta": META, "data": {}}},
        {"action": "UPSERT", "upsert": {"type": "works-at", **other}},
        {"action": "DELETE", "delete": {"type": "works-at", "id": "prac-1.org-7"}},
        {"action": "DELETE", "delete": {"type": "leads", **ENDS}},
    ]


def resource_operations() -> list[dict[str, Any]]:
    contained = {"office": [{"id": "o-1", "type": "office", "data": {}}]}
    return [
        {"action": "CREATE", "create": {"id": "@rootId1", "type": "practitioner", "data": {}, "meta": META}},
        {"action": "CREATE", "create": {"type": "practitioner", "data": {}}},
        {"action": "CREATE", "create": {"type": "practitioner", "data": {}}},
        {
            "action": "UPSERT",
            "upsert": {"id": "prac-2", "type": "practitioner", "data": {}, "contained": contained},
        },
        {"action": "DELETE", "delete": {"id": "prac-3", "type": "practitioner"}},
    ]


BUNDLE = {"resourceOperations": resource_operations(), "relationshipOperations": relationship_operations()}
BROWSE: dict[str, Any] = {
    "collectionKeys": ["practitioner", "works-at"],
    "params": {"perPage": 2, "filter": {}, "properties": {"include": ["name"]}, "sort": []},
}
HITS = [
    {"hitType": "RESOURCE", "score": 1.5, "resource": RESOURCE},
    {"hitType": "RELATIONSHIP", "score": 1, "resource": RELATIONSHIP},
]
TYPED = {"type": "office", "data": {"room": 4}}

GOOD: list[tuple[str, Exchange]] = [
    (
        "create_relationship",
        exchange("POST", f"{R}/works-at", 201, persisted(relationship=RELATIONSHIP), ENDS | {"meta": META}),
    ),
    ("create_relationship", exchange("POST", f"{R}/works-at", 202, accepted(), ENDS)),
    ("create_relationship", exchange("POST", f"{R}/works-at", 409, ERROR, ENDS)),
    ("create_relationship", exchange("POST", f"{R}/works-at", 503, {})),
    (
        "get_relationship",
        exchange("GET", f"{R}/works-at/prac-1.org-9?includes=a&includes=b", 200, RELATIONSHIP),
    ),
    ("get_relationship", exchange("GET", f"{R}/works-at/urn%3Aa%2Fb%3A123%3Ause", 200, RELATIONSHIP)),
    ("get_relationship", exchange("GET", f"{R}/works%2Dat/prac-1.org-9", 200, RELATIONSHIP)),
    (
        "update_relationship",
        exchange(
            "PATCH",
            f"{R}/works-at/prac-1.org-9",
            200,
            {"status": "PERSISTED", "relationship": RELATIONSHIP},
            [{"op": "replace", "path": "/role", "value": None}, {"op": "remove", "path": "/since"}],
        ),
    ),
    ("update_relationship", exchange("PATCH", f"{R}/works-at/prac-1.org-9", 202, accepted(), [])),
    ("delete_relationship", exchange("DELETE", f"{R}/works-at/prac-1.org-9", 200, persisted())),
    ("delete_relationship", exchange("DELETE", f"{R}/works-at/prac-1.org-9", 202, accepted())),
    (
        "bulk_relationships",
        exchange(
            "POST", f"{R}/bulk", 202, accepted(BK, bulkId=BK), {"operations": relationship_operations()}
        ),
    ),
    ("get_relationship_bulk", exchange("GET", f"{R}/bulk/{BK}", 200, {"status": "SUCCESS"})),
    (
        "get_relationship_bulk",
        exchange("GET", f"{R}/bulk/{BK}?withReceipts=true", 200, {"status": "PENDING", "receipts": []}),
    ),
    (
        "create_resource",
        exchange(
            "POST",
            f"{RES}/practitioner",
            201,
            persisted(resource=RESOURCE),
            {"id": "@rootId", "data": {}, "contained": {"office": [TYPED]}},
        ),
    ),
    ("create_resource", exchange("POST", f"{RES}/practitioner", 202, accepted(), {"data": {}})),
    ("get_resource", exchange("GET", f"{RES}/practitioner/prac-1", 200, RESOURCE)),
    ("get_resource", exchange("GET", f"{RES}/practitioner/clinia:123:use", 200, RESOURCE)),
    (
        "upsert_resource",
        exchange("PUT", f"{RES}/practitioner/prac-1", 201, persisted(resource=RESOURCE), {"data": {}}),
    ),
    (
        "upsert_resource",
        exchange("PUT", f"{RES}/practitioner/prac-1", 200, persisted(resource=RESOURCE), {"data": {}}),
    ),
    ("delete_resource", exchange("DELETE", f"{RES}/practitioner/prac-1", 200, persisted())),
    (
        "create_contained_resource",
        exchange("POST", f"{RES}/practitioner/prac-1/office", 201, persisted(resource=RESOURCE), TYPED),
    ),
    (
        "upsert_contained_resource",
        exchange("PUT", f"{RES}/practitioner/prac-1/office/o1", 200, persisted(resource=RESOURCE), TYPED),
    ),
    (
        "upsert_nested_contained_resource",
        exchange("PUT", f"{RES}/practitioner/prac-1/office/o1/desk/d1", 202, accepted(), TYPED),
    ),
    (
        "delete_contained_resource",
        exchange("DELETE", f"{RES}/practitioner/prac-1/office/o1", 200, persisted()),
    ),
    (
        "bulk_resources",
        exchange("POST", f"{RES}/bulk", 202, accepted(BK, bulkId=BK), {"operations": resource_operations()}),
    ),
    ("get_resource_bulk", exchange("GET", f"{RES}/bulk/{BK}?withReceipts=false", 200, {"status": "FAILURE"})),
    ("bundle", exchange("POST", "/sources/ehr/v1/bundle", 202, accepted(BD), BUNDLE)),
    ("bundle", exchange("POST", "/sources/ehr/v1/bundle", 201, persisted(operations=[]), BUNDLE)),
    (
        "purge",
        exchange(
            "POST",
            "/sources/ehr/v1/purge",
            202,
            accepted(PG, purgeOperation=PURGE),
            {"collectionType": "relationships", "collectionKey": "works-at"},
        ),
    ),
    (
        "get_purge",
        exchange("GET", f"/sources/ehr/v1/purge/{PG}", 200, PURGE | {"status": "SUCCESS", "deletedCount": 7}),
    ),
    ("get_purge", exchange("GET", "/sources/ehr/v1/purge/purge%3A2wil2vJ1k4QWqvlZzYJqI3lYbZM", 200, PURGE)),
    ("get_task", exchange("GET", f"/sources/ehr/v1/tasks/{S}", 200, {"status": "PENDING", "taskId": S})),
    ("get_task", exchange("GET", f"/sources/ehr/v1/tasks/{BK[3:]}", 200, {"status": "NEW", "taskId": BK})),
    (
        "get_task",
        exchange("GET", f"/sources/ehr/v1/tasks/{PG}?withReceipts=true", 200, {"status": "X", "taskId": PG}),
    ),
    (
        "get_task",
        exchange(
            "GET",
            f"/sources/ehr/v1/tasks/{BK}?withReceipts=true",
            200,
            task(
                "FAILURE",
                receipt(),
                receipt("CANCELLED", error=ERROR),
                receipt("FAILURE", "not an id"),
                receipt(pipelineExecution={"id": "e", "pipelineDefinitionId": "p.1", "status": "SUCCESSFUL"}),
                receipt(id_="prac-1", targetType="RESOURCE", type="practitioner"),
            ),
        ),
    ),
    (
        "get_task",
        exchange(
            "GET",
            f"/sources/ehr/v1/tasks/{BK}?withReceipts=true",
            200,
            task("PENDING", receipt(), receipt("PENDING", pipelineExecution={"status": "IN_REVIEW"})),
        ),
    ),
    (
        "get_task",
        exchange(
            "GET",
            f"/sources/ehr/v1/tasks/{BK}?withReceipts=true",
            200,
            task("CANCELLED", receipt("CANCELLED")),
        ),
    ),
    (
        "browse",
        exchange(
            "POST", "/sources/ehr/v1/browse", 200, {"hits": HITS, "meta": {"cursor": "c", "total": 2}}, BROWSE
        ),
    ),
    ("browse", exchange("POST", "/sources/ehr/v1/browse", 404, {"type": "NOT_FOUND"}, BROWSE)),
    ("list_relationship_definitions", exchange("GET", DEF, 200, [DEFINITION])),
    ("list_relationship_definitions", exchange("GET", DEF, 200, {"data": [DEFINITION], "meta": PAGE})),
    (
        "put_relationship_definition",
        exchange("PUT", f"{DEF}/works-at", 201, DEFINITION | {"key": "works-at"}, DEFINITION),
    ),
    ("get_relationship_definition", exchange("GET", f"{DEF}/works-at", 200, DEFINITION)),
    (
        "put_profile",
        exchange(
            "PUT", "/sources/ehr/v1/profiles/practitioner", 200, PROFILE | {"key": "practitioner"}, PROFILE
        ),
    ),
    (
        "put_collection",
        exchange("PUT", f"{COL}/practitioner", 201, COLLECTION | {"key": "practitioner"}, COLLECTION),
    ),
    ("get_collection", exchange("GET", f"{COL}/practitioner", 200, COLLECTION | {"pipeline": {"steps": []}})),
    ("list_sources", exchange("GET", f"{CAT}/sources", 200, {"data": [{"key": "ehr", "type": "registry"}]})),
    (
        "put_source",
        exchange("PUT", f"{CAT}/sources/ehr", 201, {"key": "ehr", "type": "registry"}, {"type": "registry"}),
    ),
    ("get_source", exchange("GET", f"{CAT}/sources/ehr", 200, {"key": "ehr", "type": "registry"})),
    ("delete_source", exchange("DELETE", f"{CAT}/sources/ehr", 204)),
    ("delete_source", exchange("DELETE", f"{CAT}/sources/ehr", 200)),
    (
        "list_partitions",
        exchange("GET", f"{CAT}/partitions?page=0&perPage=20", 200, {"meta": PAGE, "data": [PARTITION]}),
    ),
    (
        "put_partition",
        exchange("PUT", f"{CAT}/partitions/p1", 201, PARTITION, SEARCH | {"source": ONE_SOURCE}),
    ),
    (
        "put_partition",
        exchange(
            "PUT",
            f"{CAT}/partitions/p1?stage=true",
            200,
            PARTITION | {"status": "STATUS_STAGE", "source": MDM},
            SEARCH | {"source": MDM},
        ),
    ),
    ("get_partition", exchange("GET", f"{CAT}/partitions/p1", 200, PARTITION | {"status": "STATUS_STALE"})),
    ("delete_partition", exchange("DELETE", f"{CAT}/partitions/p1", 200, {})),
]

FIRST: dict[str, Exchange] = dict(reversed(GOOD))
"""The first exchange of each operation."""
