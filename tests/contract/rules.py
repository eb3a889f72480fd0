"""Rules of the pages that tie one part of an exchange to another, which no JSON Schema can say.

A rule tells where it is broken. It sees whatever was sent, valid or not, and must take it.
"""

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from attrs import field, frozen

Pointer = tuple[str | int, ...]


@frozen
class Facts:
    operation: str
    status: int
    path: dict[str, str] = field(repr=False)
    query: dict[str, list[str]] = field(repr=False)
    request: Any = field(repr=False)
    """None if there is none, or if it is not JSON."""
    request_size: int
    answer: Any = field(repr=False)


Rule = Callable[[Facts], Iterator[Pointer]]

ANSWER: dict[str, Rule] = {}
"""Broken by the answer, in places of its body."""

REQUEST: dict[str, Rule] = {}
"""Broken by a request that was answered as if it were in order, in places of its body."""


def _of(rules: dict[str, Rule]) -> Callable[[Rule], Rule]:
    def add(rule: Rule) -> Rule:
        rules[rule.__name__.replace("_", "-")] = rule
        return rule

    return add


# ------------------------------------------------------------------------------- submissions


@_of(ANSWER)
def accepted_is_202(facts: Facts) -> Iterator[Pointer]:
    """ACCEPTED comes with 202 and with nothing else; PERSISTED with 200 or 201."""
    text = _at(facts.answer, ("status",))
    if text in ("ACCEPTED", "PERSISTED") and (text == "ACCEPTED") != (facts.status == 202):
        yield ("status",)


_TWINS: dict[str, tuple[Pointer, ...]] = {
    "bulk_relationships": (("bulkId",),),
    "bulk_resources": (("bulkId",),),
    "purge": (("purgeOperation", "taskId"), ("purgeOperation", "purgeId")),
    "get_purge": (("purgeId",),),
}


@_of(ANSWER)
def old_id_is_task_id(facts: Facts) -> Iterator[Pointer]:
    """`bulkId` and `purgeId` hold the same value as `taskId`."""
    task = _at(facts.answer, ("taskId",))
    for pointer in _TWINS.get(facts.operation, ()):
        if _differ(_at(facts.answer, pointer), task):
            yield pointer


# ----------------------------------------------------------------------------------- records

_NOT_RELATIONSHIPS = frozenset(
    {"contained", "data", "details", "highlighting", "meta", "properties", "receipts", "traversedProperties"}
)
"""Members that callers fill, or that hold no relationships: not looked into."""


@_of(ANSWER)
def relationship_id_is_from_dot_to(facts: Facts) -> Iterator[Pointer]:
    waiting: list[tuple[Pointer, Any]] = [((), facts.answer)]
    while waiting:
        pointer, value = waiting.pop()
        match value:
            case {"id": str(id_), "from": {"id": str(from_)}, "to": {"id": str(to)}}:
                if id_ != f"{from_}.{to}":
                    yield (*pointer, "id")
            case _:
                pass
        waiting += [((*pointer, step), member) for step, member in _members(value)]


_ASKED: dict[str, dict[str, Pointer]] = {
    "create_relationship": {"relationshipType": ("relationship", "type")},
    "update_relationship": {"relationshipType": ("relationship", "type"), "id": ("relationship", "id")},
    "get_relationship": {"relationshipType": ("type",), "id": ("id",)},
    "create_resource": {"resourceType": ("resource", "type")},
    "upsert_resource": {"resourceType": ("resource", "type"), "id": ("resource", "id")},
    "get_resource": {"resourceType": ("type",), "id": ("id",)},
    # The answer holds the root.
    "create_contained_resource": {"resourceType": ("resource", "type"), "id": ("resource", "id")},
    "upsert_contained_resource": {"resourceType": ("resource", "type"), "id": ("resource", "id")},
    "upsert_nested_contained_resource": {"resourceType": ("resource", "type"), "id": ("resource", "id")},
    "put_relationship_definition": {"relationshipDefinitionKey": ("key",)},
    "get_relationship_definition": {"relationshipDefinitionKey": ("key",)},
    "put_profile": {"profileKey": ("key",)},
    "put_collection": {"collectionKey": ("key",)},
    "get_collection": {"collectionKey": ("key",)},
    "put_source": {"sourceKey": ("key",)},
    "get_source": {"sourceKey": ("key",)},
    "put_partition": {"partitionKey": ("key",)},
    "get_partition": {"partitionKey": ("key",)},
}


@_of(ANSWER)
def answer_is_of_path(facts: Facts) -> Iterator[Pointer]:
    """Types, keys and ids of the path come back; an identifier in place of an id does not."""
    for name, pointer in _ASKED.get(facts.operation, {}).items():
        asked = facts.path.get(name, "")
        if facts.status < 300 and ":" not in asked and _differ(_at(facts.answer, pointer), asked):
            yield pointer


_SENT: dict[str, dict[Pointer, Pointer]] = {
    "create_relationship": {
        (end, name): ("relationship", end, name) for end in ("from", "to") for name in ("id", "type")
    },
    "create_resource": {("id",): ("resource", "id")},
    "purge": {(name,): ("purgeOperation", name) for name in ("collectionType", "collectionKey")},
    "put_source": {("type",): ("type",)},
    "put_partition": {("source", name): ("source", name) for name in ("type", "key")},
}


@_of(ANSWER)
def answer_is_of_body(facts: Facts) -> Iterator[Pointer]:
    """What names a record in the request names it in the answer; a token is replaced."""
    for sent, pointer in _SENT.get(facts.operation, {}).items():
        value = _at(facts.request, sent)
        if facts.status < 300 and value != "@rootId" and _differ(_at(facts.answer, pointer), value):
            yield pointer


@_of(ANSWER)
def stage_names_status(facts: Facts) -> Iterator[Pointer]:
    """A partition is staged if `stage` was true, and ready otherwise."""
    if facts.operation == "put_partition" and facts.status < 300:
        wanted = "STATUS_STAGE" if facts.query.get("stage") == ["true"] else "STATUS_READY"
        if _differ(_at(facts.answer, ("status",)), wanted):
            yield ("status",)


@_of(ANSWER)
def page_within_per_page(facts: Facts) -> Iterator[Pointer]:
    """100 without `perPage`, and after a cursor whatever its first request asked for."""
    hits = _at(facts.answer, ("hits",))
    if facts.operation != "browse" or not isinstance(hits, list):
        return
    default = 1000 if _at(facts.request, ("params", "cursor")) is not None else 100
    asked = _at(facts.request, ("params", "perPage"))
    if len(hits) > (asked if isinstance(asked, int) else default):
        yield ("hits",)


# ------------------------------------------------------------------------------------- tasks

_READS_OF_TASKS = frozenset({"get_task", "get_relationship_bulk", "get_resource_bulk"})


@_of(ANSWER)
def task_is_the_one_asked_for(facts: Facts) -> Iterator[Pointer]:
    """An id of the old forms may come back in the current one."""
    asked = facts.path.get("taskId" if facts.operation == "get_task" else "purgeId")
    if asked is None or facts.status >= 300:
        return
    bare = asked.removeprefix("purge:")
    forms = {asked, f"bk_{bare}", f"bd_{bare}", f"pg_{bare}"}
    id_ = _at(facts.answer, ("taskId",))
    if isinstance(id_, str) and id_ not in forms:
        yield ("taskId",)


@_of(ANSWER)
def receipts_only_when_asked_for(facts: Facts) -> Iterator[Pointer]:
    if facts.operation not in _READS_OF_TASKS or facts.status >= 300 or not isinstance(facts.answer, dict):
        return
    asked = facts.query.get("withReceipts") == ["true"]
    purge = facts.path.get("taskId", "").startswith(("pg_", "purge:"))  # may have none
    if asked != ("receipts" in facts.answer) and not (asked and purge):
        yield ("receipts",)


@_of(ANSWER)
def receipts_are_of_the_task(facts: Facts) -> Iterator[Pointer]:
    task = _at(facts.answer, ("taskId",))
    for index, receipt in _receipts(facts):
        if _differ(receipt.get("taskId"), task):
            yield ("receipts", index, "taskId")


@_of(ANSWER)
def pending_is_not_completed(facts: Facts) -> Iterator[Pointer]:
    for index, receipt in _receipts(facts):
        if receipt.get("status") == "PENDING" and "completedAt" in receipt:
            yield ("receipts", index, "completedAt")


@_of(ANSWER)
def error_means_failure(facts: Facts) -> Iterator[Pointer]:
    for index, receipt in _receipts(facts):
        if receipt.get("status") in ("PENDING", "SUCCESS") and "error" in receipt:
            yield ("receipts", index, "error")


@_of(ANSWER)
def stored_relationship_has_two_ends(facts: Facts) -> Iterator[Pointer]:
    """The id in the receipt of a relationship that was stored is `from.to`."""
    for index, receipt in _receipts(facts):
        stored = (receipt.get("targetType"), receipt.get("status")) == ("RELATIONSHIP", "SUCCESS")
        id_ = receipt.get("id")
        if stored and isinstance(id_, str) and not re.fullmatch(r"[^.]+\.[^.]+", id_):
            yield ("receipts", index, "id")


@_of(ANSWER)
def status_sums_up_receipts(facts: Facts) -> Iterator[Pointer]:
    """SUCCESS and CANCELLED if all are; PENDING while one is; FAILURE otherwise."""
    seen = {str(receipt.get("status")) for _, receipt in _receipts(facts)}
    status = str(_at(facts.answer, ("status",)))
    if seen and {status, *seen} <= _STATUSES and not _sums_up(status, seen):
        yield ("status",)


_STATUSES = frozenset({"PENDING", "SUCCESS", "FAILURE", "CANCELLED"})


def _sums_up(status: str, seen: set[str]) -> bool:
    if status == "FAILURE":
        return "PENDING" not in seen and seen not in ({"SUCCESS"}, {"CANCELLED"})
    return "PENDING" in seen if status == "PENDING" else seen == {status}


def _receipts(facts: Facts) -> Iterator[tuple[int, dict[str, Any]]]:
    receipts = _at(facts.answer, ("receipts",)) if facts.operation in _READS_OF_TASKS else None
    for index, receipt in enumerate(receipts if isinstance(receipts, list) else ()):
        if isinstance(receipt, dict):
            yield index, receipt


# ---------------------------------------------------------------------------------- requests

BUNDLE_LIMIT = 500 * 1024
"""The pages say 500 KB, and not of which kind."""


@_of(REQUEST)
def bundle_within_500_kb(facts: Facts) -> Iterator[Pointer]:
    if facts.operation == "bundle" and facts.request_size > BUNDLE_LIMIT:
        yield ()


@_of(REQUEST)
def one_operation_a_record(facts: Facts) -> Iterator[Pointer]:
    """A bundle names no resource and no relationship twice."""
    seen = set()
    for pointer, payload in _payloads(facts.request) if facts.operation == "bundle" else ():
        record = (pointer[0], str(_at(payload, ("type",))), _named(payload))
        if record in seen:
            yield pointer
        if record[2] is not None:
            seen.add(record)


def _named(payload: Any) -> str | None:
    """The id of the record that a payload is about, if it says."""
    if (id_ := _at(payload, ("id",))) is not None:
        return str(id_)
    from_, to = (_at(payload, (end, "id")) for end in ("from", "to"))
    return None if from_ is None or to is None else f"{from_}.{to}"


@_of(REQUEST)
def updated_after_created(facts: Facts) -> Iterator[Pointer]:
    for pointer, meta in _metas(facts):
        created, updated = (_instant(meta.get(name)) for name in ("createdAt", "updatedAt"))
        if created and updated and updated < created:
            yield (*pointer, "updatedAt")


@_of(REQUEST)
def identifiers_differ(facts: Facts) -> Iterator[Pointer]:
    """In the combination of system, use and value."""
    for pointer, meta in _metas(facts):
        entries = meta.get("identifier")
        if not isinstance(entries, list):
            continue
        texts = [
            tuple(repr(entry.get(name)) for name in ("system", "use", "value"))
            for entry in entries
            if isinstance(entry, dict)
        ]
        if len(set(texts)) != len(texts):
            yield (*pointer, "identifier")


def _metas(facts: Facts) -> Iterator[tuple[Pointer, dict[str, Any]]]:
    for pointer, payload in [((), facts.request), *_payloads(facts.request)]:
        meta = _at(payload, ("meta",))
        if isinstance(meta, dict):
            yield (*pointer, "meta"), meta


def _payloads(request: Any) -> Iterator[tuple[Pointer, Any]]:
    """Of the operations of a bulk or a bundle."""
    if not isinstance(request, dict):
        return
    for name in ("operations", "resourceOperations", "relationshipOperations"):
        operations = request.get(name)
        for index, operation in enumerate(operations if isinstance(operations, list) else ()):
            action = str(_at(operation, ("action",))).lower()
            if (payload := _at(operation, (action,))) is not None:
                yield (name, index, action), payload


# ------------------------------------------------------------------------------------ values


def _members(value: Any) -> Iterator[tuple[str | int, Any]]:
    """Of an array or an object: those that have members themselves."""
    match value:
        case dict():
            pairs: Any = ((name, member) for name, member in value.items() if name not in _NOT_RELATIONSHIPS)
        case list():
            pairs = enumerate(value)
        case _:
            pairs = ()
    return ((step, member) for step, member in pairs if isinstance(member, (dict, list)))


def _at(value: Any, pointer: Pointer) -> Any:
    for step in pointer:
        if not isinstance(value, dict) or step not in value:
            return None
        value = value[step]
    return value


def _differ(one: object, other: object) -> bool:
    """Whether there are two texts, and not the same."""
    return isinstance(one, str) and isinstance(other, str) and one != other


def _instant(text: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text.upper()) if isinstance(text, str) else None
    except ValueError:
        return None
    return moment if moment and moment.tzinfo else None
