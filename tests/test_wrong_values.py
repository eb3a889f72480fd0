"""Every parameter of every public class and function, with values that it is not meant for.

A session's methods have a test of their own in `tests/session`.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import Any, is_typeddict

import pytest

import clinia_async as clinia
from clinia_async import CliniaError
from clinia_async.models.refusal import without_locals
from tests.captured_locals import OURS, frames_of, held_in
from tests.wrong_values import SECRET, WRONG

REF = clinia.Ref("a", "p")
WRITE = clinia.CreateRelationship("ehr", "t", REF, clinia.Ref("b", "q"))
ID = clinia.TaskId("s_1")
CONTAINED = clinia.Contained("x", {}, "n")
END = clinia.DefinitionEnd("p", "k")
MODULES = clinia.Modules(clinia.SearchModule.STANDARD)
SOURCE = clinia.DataSource("ehr", [])
PLACE = {"source": "ehr", "type": "t", "id": "aa", "place": ["names"]}
ENDS = {"source": "ehr", "type": "t", "from_": REF, "to": clinia.Ref("b", "q")}
ARGUMENTS: Mapping[str, Mapping[str, object]] = {
    "Browse": {"source": "ehr", "collection_keys": ["p"]},
    "Bulk": {"source": "ehr", "writes": [WRITE]},
    "BundleBuilder": {"source": "ehr"},
    "Bundle": {"source": "ehr", "writes": [WRITE]},
    "ChunkLimits": {},
    "ColumnMapping": {"fields": {"type": "t"}},
    "ConcurrencyLimits": {},
    "Contained": {"type": "x", "data": {}},
    "CreateContained": {**PLACE, "contained": CONTAINED},
    "CreatePartition": {"key": "k", "modules": MODULES, "source": SOURCE},
    "CreateRelationship": ENDS,
    "CreateResource": {"source": "ehr", "type": "t", "data": {}},
    "CreateSource": {"key": "k"},
    "DeadLetters": {"path": "x.ndjson"},
    "DeleteContained": PLACE,
    "DeletePartition": {"key": "k"},
    "DeleteRelationship": {"source": "ehr", "type": "t", "id": "a.b"},
    "DeleteResource": {"source": "ehr", "type": "t", "id": "aa"},
    "DeleteSource": {"key": "k"},
    "GetBulkResult": {"source": "ehr", "target": clinia.TargetType.RESOURCE, "bulk": ID},
    "GetCollection": {"source": "ehr", "key": "k"},
    "GetPartition": {"key": "k"},
    "GetPurge": {"source": "ehr", "purge": ID},
    "GetRelationship": {"source": "ehr", "type": "t", "id": "a.b"},
    "GetRelationshipDefinition": {"source": "ehr", "key": "k"},
    "GetResource": {"source": "ehr", "type": "t", "id": "aa"},
    "GetSource": {"key": "k"},
    "GetTask": {"source": "ehr", "task": ID},
    "Identifier": {},
    "LearnedPace": {},
    "ListPartitions": {},
    "ListRelationshipDefinitions": {"source": "ehr"},
    "ListSources": {},
    "Meta": {},
    "PartitionConfig": {"source": "ehr"},
    "Patch": {"op": clinia.PatchOp.REPLACE, "path": "/a", "value": 1},
    "Period": {},
    "Polling": {},
    "PutProfile": {"source": "ehr", "key": "k", "profile": clinia.Profile({})},
    "Purge": {"source": "ehr", "collection_type": "RESOURCE", "collection_key": "p"},
    "PutCollection": {
        "source": "ehr", "key": "k", "collection": clinia.Collection(clinia.CollectionType("RESOURCE"))
    },
    "PutRelationshipDefinition": {
        "source": "ehr", "key": "k", "definition": clinia.RelationshipDefinition(END, END)
    },
    "Ref": {"id": "a", "type": "b"},
    "RetryPolicy": {},
    "Session": {"workspace": "acme", "api_key": "k"},
    "ShareOfAge": {},
    "TableOptions": {},
    "TaskId": {"value": "s_1"},
    "TransportOptions": {},
    "UpdateRelationship": {"source": "ehr", "type": "t", "id": "a.b", "patches": []},
    "UpsertContained": {**PLACE, "contained": CONTAINED},
    "UpsertRelationship": ENDS,
    "UpsertResource": {"source": "ehr", "type": "t", "id": "aa", "data": {}},
    "escape_dots": {"identifier": "a.b"},
    "fhir_address": {"record_id": "a"},
    "read_ndjson": {"path": "x.ndjson", "source": "ehr"},
    "read_records": {"path": "x.ndjson", "source": "ehr"},
    "unescape_dots": {"identifier": "a"},
}  # fmt: skip
"""What each can be called with, besides its defaults."""

OF_THE_LIBRARY = {
    "BadRecord", "BatchResult", "Blank", "Ensured", "FhirDefinitions", "InDoubt", "PartitionReceipt",
    "Record", "RecordOutcome", "RecordStream", "Report", "RowFailure", "SourceSession", "Submission", "Task",
    "TaskStats",
}  # fmt: skip
"""What the library makes, and callers do not."""
ELSEWHERE = {"Ingestion", "ProcessIngestion", "fhir_definitions", "identity_of", "ingest_partition", "rows"}
"""What reads or sends, which tests of ingestion call with what is wrong."""
TAKES_ANYTHING = {"RawJson", "Secret"}


def is_protocol(made: object) -> bool:
    return bool(getattr(made, "_is_protocol", False))


def public() -> Iterator[tuple[str, Any]]:
    """Yield the public classes and functions, each by its present name."""
    for name in clinia.__all__:
        made = getattr(clinia, name)
        if not inspect.isclass(made) and not inspect.isfunction(made):
            continue
        is_kind = inspect.isclass(made) and (issubclass(made, BaseException | Enum) or is_typeddict(made))
        if not is_kind and not is_protocol(made) and made.__name__ == name:
            yield name, made


def is_value(made: object) -> bool:
    return inspect.isclass(made) and issubclass(made, clinia.Value)


def test_the_table_has_every_public_name() -> None:
    known = {*ARGUMENTS, *OF_THE_LIBRARY, *ELSEWHERE, *TAKES_ANYTHING}
    assert {name for name, made in public() if not is_value(made)} <= known
    assert known <= set(clinia.__all__)


def shown_by(error: CliniaError) -> list[str]:
    """Where an error shows health data: its text, or locals of frames of its traceback."""
    said = [str(error)] if SECRET in f"{error} {error!r}" else []
    return said + held_in(frames_of(error), SECRET, within=OURS)


@pytest.mark.parametrize(("name", "made"), [(name, made) for name, made in public() if name not in ELSEWHERE])
def test_a_wrong_value_is_refused_in_words(name: str, made: Any) -> None:
    if name not in ARGUMENTS and not is_value(made):
        return
    usual = ARGUMENTS.get(name, {})
    wrong: list[str] = []
    for parameter in inspect.signature(made).parameters:
        for what, make in WRONG.items():
            try:
                made(**{**usual, parameter: make()})
            except CliniaError as error:
                wrong += [f"{name}({parameter}={what}): {each}" for each in shown_by(error)]
            except TypeError as error:
                # of a parameter that has no default, and of an option that there is not
                if "missing" not in str(error) and "has no option" not in str(error):
                    wrong.append(f"{name}({parameter}={what}): {error}")
            except Exception as error:  # noqa: BLE001
                if name == "TaskId" and isinstance(error, ValueError):
                    continue  # as it says
                wrong.append(f"{name}({parameter}={what}): {type(error).__name__}: {error}")
    assert not wrong


def test_a_job_is_not_begun_with_a_wrong_option() -> None:
    for name in ("source", "action", "map_id"):
        with pytest.raises(CliniaError, match="must be"):
            clinia.read_records("x.ndjson", **{"source": "ehr", name: 5})


class OfTheSystem:
    """A path of a class of its own, such as those of cloud storage and of older tools."""

    def __fspath__(self) -> str:
        return "x.ndjson"


def test_what_serves_as_well_is_taken() -> None:
    for path in (OfTheSystem(), PurePath("x.ndjson"), "x.ndjson"):
        assert clinia.ConcurrencyLimits(shared=path).shared == Path("x.ndjson")  # type: ignore[arg-type]
        config = clinia.PartitionConfig(
            source="ehr",
            journals=path,  # type: ignore[arg-type]
            options=MappingProxyType({"workers": 2}),  # type: ignore[arg-type]
        )
        assert config.journals == Path("x.ndjson")


UNENCODABLE = {"a": {SECRET}}
"""A dict that a write takes, and that no JSON can carry."""


@pytest.mark.parametrize(
    "refused",
    [
        lambda: clinia.CreateRelationship("ehr", "t", REF, REF, UNENCODABLE).request(),
        lambda: clinia.CreateRelationship("ehr", "t", REF, REF, UNENCODABLE).operation(),
        lambda: clinia.CreateRelationship("ehr", "t", REF, REF, UNENCODABLE).to_line(),
        lambda: clinia.CreateResource("ehr", "t", data=UNENCODABLE).request(),
        lambda: clinia.UpsertResource("ehr", "t", "aa", data=UNENCODABLE).operation(),
        lambda: clinia.Browse("ehr", ["p"], filter=UNENCODABLE).request(),
        lambda: clinia.Contained("x", UNENCODABLE, "n").to_json(),
        lambda: clinia.Ref.from_dict({"id": SECRET, "type": 1}),
        lambda: clinia.Ref.from_json(f'{{"id":"{SECRET}"'),
        lambda: clinia.CreateRelationship.from_body("ehr", "t", {"from": SECRET, "to": SECRET}),
    ],
)
def test_no_traceback_of_what_cannot_be_sent_holds_it(refused: Callable[[], object]) -> None:
    with pytest.raises(CliniaError) as caught:
        refused()
    assert held_in(frames_of(caught.value), SECRET, within=OURS) == []


def test_what_the_caller_was_handling_stays_the_context_of_a_refusal() -> None:
    of_the_caller = KeyError("of the caller")
    with pytest.raises(clinia.InvalidWrite) as caught:  # noqa: PT012
        try:
            raise of_the_caller
        except KeyError:
            clinia.CreateSource(5)  # type: ignore[arg-type]
    assert caught.value.__context__ is of_the_caller


@without_locals
def refused_because_of_another(value: str) -> None:
    try:
        raise KeyError(value)
    except KeyError as error:
        raise clinia.InvalidWrite("$", "must be another") from error


def test_what_it_came_from_is_not_kept() -> None:
    with pytest.raises(clinia.InvalidWrite) as caught:
        refused_because_of_another(SECRET)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
