"""No repr of a value shows a key, an id of a record, or health data: what may be shown is listed here."""

import importlib
import inspect
import pkgutil
import re
from typing import Any

import attrs
import pytest

import clinia_async
from clinia_async.models.value import EqualByFields

NOT_OURS_TO_SHOW = ("emulator", "testing")
"""What stands for the service: it has tests of its own."""
MAY_HOLD_TEXT = re.compile(r"\b(str|bytes|object|Mapping|dict|list|tuple|Sequence|Any)\b")

SETTINGS = {
    "api_key_env", "base_url", "base_urls", "collections", "columns", "constant", "dead_letters", "decimal",
    "delimiter", "encoding", "environment", "escape", "files", "journal", "journals", "map_id", "mapping",
    "null", "observers", "on_existing", "on_unknown", "output", "profile", "quote", "reports", "settings",
    "shared", "timezone", "variables", "via", "workspace",
}  # fmt: skip
DEFINITIONS = {
    "collection_key", "collection_keys", "contained", "description", "exclude", "include", "include_key",
    "kind", "profile_key", "profiles", "properties", "property_mappings", "relationship_type",
    "relationships", "rules", "source", "sources", "traversed_properties", "type", "unknown_fields",
    "_places", "fields", "mappings", "tree", "column",
}  # fmt: skip
"""What a workspace is made of, and which parts of it a file needs."""
SERVICE = {
    "catalog", "headers", "method", "query", "registry", "request_id", "route", "service", "task", "tasks",
    "pipeline_definition_id", "origin",
}  # fmt: skip
PLACES = {"file", "input", "input_id", "lines", "path", "positions", "ranges", "first_places", "expected"}
OUTCOMES = {
    "advice", "answers", "call", "counts", "disposition", "error", "failures", "findings", "good", "hits",
    "landed", "last_throttle", "partition", "passed_over", "pieces", "problem", "reason", "reasons",
    "receipts", "samples", "skipped", "skipped_references", "slowest", "stopped_by",
    "emulator_holds", "errors", "previous_attempt", "timeline", "unexpected_error", "unfinished",
    "waiting", "wrong",
}  # fmt: skip
"""Of values that show no data themselves."""
PARTS = {
    "_early", "_samples", "base", "binary", "container", "convert", "convert_binary", "digest",
    "home", "list_name", "open", "padding", "read", "rows_for", "schema", "step", "table", "types",
}  # fmt: skip
"""Functions, codecs, hashes and servers."""
SHOWN = SETTINGS | DEFINITIONS | SERVICE | PLACES | OUTCOMES | PARTS
BY_CLASS = {
    "Finding": {"name", "text"},
    "Page": {"data"},
    "PipelineExecution": {"id"},
    "Timeline": {"_lag"},
    "Unfinished": {"records"},
}
KEYS_OF_DEFINITIONS = re.compile(r"Source|Partition|Profile|Collection|Relationship|Definition|CatalogCall")
"""Whose `key` is a name that an engineer gave, not that of a record."""


def _classes() -> list[type]:
    found = {}
    for module in pkgutil.walk_packages(clinia_async.__path__, "clinia_async."):
        if module.name.split(".")[1] in NOT_OURS_TO_SHOW or module.name.endswith("__main__"):
            continue
        if "spark" in module.name:
            continue  # needs Spark, which is no dependency of the tests
        for value in vars(importlib.import_module(module.name)).values():
            if inspect.isclass(value) and attrs.has(value) and value.__module__ == module.name:
                found[value] = f"{module.name}.{value.__name__}"
    return sorted(found, key=lambda kind: found[kind])


def _shows_fields(kind: Any) -> bool:
    made_by_attrs = "attrs generated" in getattr(getattr(kind.__repr__, "__code__", None), "co_filename", "")
    return made_by_attrs or kind.__repr__ is EqualByFields.__repr__


def _unlisted(kind: Any) -> list[str]:
    allowed = SHOWN | BY_CLASS.get(kind.__name__, set())
    if KEYS_OF_DEFINITIONS.search(kind.__name__):
        allowed = allowed | {"key"}
    return [
        each.name
        for each in attrs.fields(kind)
        if each.repr is True and each.name not in allowed and MAY_HOLD_TEXT.search(str(each.type))
    ]


@pytest.mark.parametrize("kind", [kind for kind in _classes() if _shows_fields(kind)])
def test_a_repr_shows_no_text_that_is_not_listed(kind: Any) -> None:
    """A field that is new here is hidden by `repr=False`, or listed above if no data can be in it."""
    assert _unlisted(kind) == []


def test_a_field_that_is_not_listed_is_found() -> None:
    @attrs.frozen
    class Shows:
        payload: bytes
        patients: list[str]
        number: int
        hidden: str = attrs.field(repr=False)

    assert _shows_fields(Shows)
    assert _unlisted(Shows) == ["payload", "patients"]


def test_fields_are_hidden_one_by_one() -> None:
    """A class that is made equal by its fields shows them, whatever the class itself says of its repr."""

    @attrs.frozen(eq=False, repr=False)
    class Hides(EqualByFields):
        shown: int
        hidden: str = attrs.field(repr=False)

    assert repr(Hides(1, "canary")).endswith("Hides(shown=1)")
