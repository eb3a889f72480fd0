"""Every call of the API, and the good answers to it that stand on its page."""

import json
from collections.abc import Iterator
from typing import Any

from attrs import frozen

from clinia_async import (
    Collection,
    CollectionType,
    Contained,
    CreateRelationship,
    CreateResource,
    DataSource,
    DefinitionEnd,
    DeleteRelationship,
    DeleteResource,
    Modules,
    Patch,
    Profile,
    Ref,
    RelationshipDefinition,
    SourceCollection,
    TargetType,
    TaskId,
    UpsertResource,
    calls,
)
from tests.contract.examples import BK, GOOD, PG, S

E, R, P = "ehr", "works-at", "practitioner"
ANA, ORG = Ref("prac-1", P), Ref("org-9", "organization")
OFFICE = Contained("office", {"room": 4})
WRITE = CreateRelationship(E, R, ANA, ORG)
DEFINITION = RelationshipDefinition(DefinitionEnd(P, "worksAt"), DefinitionEnd("organization", "staff"))
PROFILE = Profile({"name": {"type": "humanname"}})

CALLS: dict[str, Any] = {
    "browse": calls.Browse(E, [P, R]),
    "bulk_relationships": calls.Bulk(E, [WRITE]),
    "bulk_resources": calls.Bulk(E, [CreateResource(E, P, "prac-1", data={})]),
    "bundle": calls.Bundle(E, [WRITE]),
    "create_contained_resource": calls.CreateContained(E, P, "prac-1", ["office"], OFFICE),
    "create_relationship": WRITE,
    "create_resource": CreateResource(E, P, "prac-1", data={}),
    "delete_contained_resource": calls.DeleteContained(E, P, "prac-1", ["office", "o1"]),
    "delete_partition": calls.DeletePartition("p1"),
    "delete_relationship": DeleteRelationship(E, R, "prac-1.org-9"),
    "delete_resource": DeleteResource(E, P, "prac-1"),
    "delete_source": calls.DeleteSource(E),
    "get_collection": calls.GetCollection(E, P),
    "get_partition": calls.GetPartition("p1"),
    "get_purge": calls.GetPurge(E, TaskId(PG)),
    "get_relationship": calls.GetRelationship(E, R, "prac-1.org-9"),
    "get_relationship_bulk": calls.GetBulkResult(E, TargetType.RELATIONSHIP, TaskId(BK)),
    "get_relationship_definition": calls.GetRelationshipDefinition(E, R),
    "get_resource": calls.GetResource(E, P, "prac-1"),
    "get_resource_bulk": calls.GetBulkResult(E, TargetType.RESOURCE, TaskId(BK)),
    "get_source": calls.GetSource(E),
    "get_task": calls.GetTask(E, TaskId(BK)),
    "list_partitions": calls.ListPartitions(),
    "list_relationship_definitions": calls.ListRelationshipDefinitions(E),
    "list_sources": calls.ListSources(),
    "purge": calls.Purge(E, "relationships", R),
    "put_collection": calls.PutCollection(E, P, Collection(CollectionType.RESOURCES)),
    "put_partition": calls.CreatePartition("p1", Modules(), DataSource(E, (SourceCollection(P),), (R,))),
    "put_profile": calls.PutProfile(E, P, PROFILE),
    "put_relationship_definition": calls.PutRelationshipDefinition(E, R, DEFINITION),
    "put_source": calls.CreateSource(E),
    "update_relationship": calls.UpdateRelationship(E, R, "prac-1.org-9", [Patch("replace", "/a", 1)]),
    "upsert_contained_resource": calls.UpsertContained(E, P, "prac-1", ["office", "o1"], OFFICE),
    "upsert_resource": UpsertResource(E, P, "prac-1", data={}),
}
"""A call for each operation of the contract."""


@frozen
class Documented:
    operation: str
    call: Any
    status: int
    answer: Any


def documented() -> Iterator[Documented]:
    """Yield every good answer of the examples that the call of its operation can be given."""
    for operation, sample in GOOD:
        if operation in CALLS and sample.good and sample.answer_body:
            answer = json.loads(sample.answer_body)
            if operation == "put_partition":
                body = {name: answer[name] for name in ("modules", "source")}
                call = calls.CreatePartition.from_definition("p1", body, stage=bool(sample.query))
                yield Documented(operation, call, sample.status, answer)
            elif operation == "get_task" and isinstance(answer, dict) and answer.get("taskId") in {S, PG}:
                yield Documented(operation, calls.GetTask(E, TaskId(answer["taskId"])), sample.status, answer)
            else:
                yield Documented(operation, CALLS[operation], sample.status, answer)
