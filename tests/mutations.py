"""Every field of every documented answer, changed in every way: no change may alter an outcome that it is no part of.

    python -m tests.mutations

A field is null, absent, an empty text, an unknown text, a number, a flag, a list or an object. Each changed
answer is decoded by the call that asks for it, and compared with the answer unchanged: the status, the task, the
record and what each receipt proves. Only the fields that say this themselves may alter it, and even then nothing
but an error of the library is raised.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from attrs import define, field, frozen

from clinia_async import CliniaError
from tests.documented import Documented, documented

ABSENT = object()
KINDS: dict[str, Any] = {
    "null": None,
    "absent": ABSENT,
    "empty": "",
    "unknown": "SOMETHING-NEW",
    "number": 7,
    "list": ["text"],
    "object": {"new": {"deep": None}},
    "flag": True,
}
NOTHING = {"null", "absent"}
"""Two ways to say the same: the field is not there."""

SAYS = {
    *(
        "status",
        "taskId",
        "bulkId",
        "purgeId",
        "id",
        "type",
        "from",
        "to",
        "key",
        "targetType",
        "hitType",
        "data",
        "profileKey",
        "includeKey",
        "properties",
    ),
    *("resource", "relationship", "hits", "receipts", "purgeOperation", "collectionType", "collectionKey"),
    *("error", "pipelineExecution", "source", "sources", "collections", "relationships", "relationshipType"),
}
"""Fields that say themselves what became of a write, which record it is, or what the result is made of."""

Place = tuple[str | int, ...]


@frozen
class Mutation:
    operation: str
    status: int
    place: Place
    kind: str

    def __str__(self) -> str:
        return f"{self.operation} {self.status} {'/'.join(map(str, self.place))} {self.kind}"


@define
class Result:
    """How many mutations were made, which changed an outcome, and what each field that may did."""

    made: int = 0
    changed: list[str] = field(factory=list)
    escaped: list[str] = field(factory=list)
    refused: Counter[str] = field(factory=Counter)


def places(value: Any, place: Place = ()) -> Iterator[Place]:
    """Yield the place of each member of each object and of each entry of each list."""
    members: Any = ()
    if isinstance(value, dict):
        members = value.items()
    elif isinstance(value, list):
        members = enumerate(value)
    for step, inner in members:
        yield (*place, step)
        yield from places(inner, (*place, step))


def mutated(answer: Any, place: Place, new: Any) -> Any:
    """Return the answer with something else, or with nothing, at one place."""
    answer = deepcopy(answer)
    inner = answer
    for step in place[:-1]:
        inner = inner[step]
    if new is ABSENT:
        del inner[place[-1]]
    else:
        inner[place[-1]] = new
    return answer


def essence(answer: Any) -> Any:
    """Return what a decoded answer says of a write: by attribute, and of receipts one by one."""
    if isinstance(answer, tuple | list):
        return [essence(each) for each in answer]
    found: dict[str, Any] = {"is": type(answer).__name__}
    for name in ("status", "task_id", "id", "type", "key"):
        if (value := getattr(answer, name, None)) is not None:
            found[name] = str(value)
    if (record := getattr(answer, "record", None)) is not None:
        found["record"] = essence(record)
    for name in ("receipts", "entries", "hits"):
        if (values := getattr(answer, name, None)) is not None:
            found[name] = [essence(each) for each in values]
    if (error := getattr(answer, "error", None)) is not None:
        found["error"] = str(getattr(error, "type", None))
    return found


def says(one: Documented, answer: Any) -> Any:
    return essence(one.call.decode_response(json.dumps(answer).encode()))


def campaign() -> Result:
    result = Result()
    for one in documented():
        unchanged = says(one, one.answer)
        for place in places(one.answer):
            for kind, new in KINDS.items():
                result.made += 1
                _try(
                    result,
                    one,
                    Mutation(one.operation, one.status, place, kind),
                    mutated(one.answer, place, new),
                    unchanged,
                )
    return result


def _try(result: Result, one: Documented, mutation: Mutation, answer: Any, unchanged: Any) -> None:
    try:
        seen = says(one, answer)
    except CliniaError as error:
        seen = type(error).__name__
    except Exception as error:  # noqa: BLE001
        result.escaped.append(f"{mutation}: {type(error).__name__}")
        return
    if seen == unchanged:
        return
    if may_alter(mutation):
        result.refused["/".join("*" if isinstance(step, int) else step for step in mutation.place)] += 1
    else:
        result.changed.append(f"{mutation}: {seen}")


def may_alter(mutation: Mutation) -> bool:
    """Whether what the answer says is said at this place: by a field of `SAYS`, or by an entry of a list."""
    last, lists = mutation.place[-1], mutation.operation == "browse" or mutation.operation.startswith("list_")
    if lists and mutation.place[0] == "meta":
        return last in {"meta", "cursor", "page", "numPages"}  # they say whether another page follows
    return isinstance(last, int) or last in SAYS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutations", description=__doc__)
    parser.add_argument(
        "--verbose", action="store_true", help="name the fields that may alter an outcome, and do"
    )
    given = parser.parse_args()
    result = campaign()
    for line in (*result.changed, *result.escaped):
        print(line)
    if given.verbose:
        print(*(f"{count:>5} {place}" for place, count in result.refused.most_common()), sep="\n")
    print(f"{result.made} mutations, {len(result.changed)} changed outcomes, {len(result.escaped)} untyped")
    return bool(result.changed or result.escaped)


if __name__ == "__main__":
    sys.exit(main())
