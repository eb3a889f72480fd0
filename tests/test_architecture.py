"""Import rules: a room imports only from rooms below its own, however and wherever it imports."""

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import clinia_async

PACKAGE = Path(clinia_async.__file__).parent

FLOORS = [
    {"models"},
    {"errors"},
    {"telemetry"},
    {"serialization"},
    {"calls"},
    {"transport", "tasks"},
    {"session"},
    {"ingest"},
    {"cli", "engines", "testing"},
    {"__main__"},
]
INGEST_FLOORS = [
    {"records"},
    {"outcomes"},
    {"journal", "readers", "senders"},
    {"options"},
    {"pipeline"},
    {"job"},
    {"partition", "file_job"},
    {"processes"},
]
ONLY_IN = {
    "opentelemetry": {"telemetry.otel"},
    "distributed": {"engines.on_dask"},
    "aiohttp": {"transport"},
    "cattrs": {"serialization"},
    "backoff": {"transport.retry"},
    "pytest": {"testing.plugin"},
    "sqlite3": {"ingest.journal", "ingest.readers.temporary_database", "cli.distinct_keys"},
}
SEPARATE = "emulator"
"""The emulator meets the library over HTTP alone, so that a wrong name cannot hide on both sides."""


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
        yield name, ast.parse(path.read_text(encoding="utf-8"))


TREES = dict(modules())


def imports(module: str) -> Iterator[str]:
    """Yield the full name of every module imported, in functions and behind conditions too."""
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = (node.module or "") if not node.level else _relative(module, node)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _relative(module: str, node: ast.ImportFrom) -> str:
    is_package = (PACKAGE / module.replace(".", "/")).is_dir()
    here = ["clinia_async", *module.split(".")]
    base = here[: len(here) - node.level + is_package]
    return ".".join([*base, node.module] if node.module else base)


def ours(module: str) -> set[str]:
    found = {name.removeprefix("clinia_async.") for name in imports(module)}
    return {name for name in found if name in TREES}


def room(module: str, depth: int = 0) -> str:
    return [*module.split("."), ""][depth]


def floor_of(floors: list[set[str]]) -> dict[str, int]:
    return {name: number for number, names in enumerate(floors) for name in names}


def upward(floors: list[set[str]], within: str = "") -> list[str]:
    """List the imports between two rooms that do not go to a lower floor."""
    depth, floor = bool(within), floor_of(floors)
    inside = [name for name in TREES if name.startswith(within and f"{within}.")]
    pairs = [
        (name, target)
        for name in inside
        for target in ours(name)
        if room(name) not in {"__init__", SEPARATE} and room(target) != SEPARATE
        if target.startswith(within) and room(target, depth) and room(target, depth) != room(name, depth)
    ]
    return [f"{a} imports {b}" for a, b in pairs if floor[room(b, depth)] >= floor[room(a, depth)]]


def test_every_module_has_a_floor() -> None:
    assert {room(name) for name in TREES} - {"__init__"} == set(floor_of(FLOORS)) | {SEPARATE}
    inside = {room(name, 1) for name in TREES if name.startswith("ingest.")}
    assert inside == set(floor_of(INGEST_FLOORS))


def test_imports_go_only_down() -> None:
    assert upward(FLOORS) == []
    assert upward(INGEST_FLOORS, "ingest") == []


def test_only_the_command_line_and_the_test_plugin_import_the_emulator() -> None:
    users = {room(name) for name in TREES if any(room(target) == SEPARATE for target in ours(name))}
    assert users == {SEPARATE, "cli", "testing"}


@pytest.mark.parametrize("module", sorted(name for name in TREES if room(name) == SEPARATE))
def test_the_emulator_imports_nothing_of_ours(module: str) -> None:
    for name in imports(module):
        assert room(name) != "clinia_async" or name.startswith("clinia_async.emulator"), name


def test_no_two_modules_import_each_other() -> None:
    graph = {
        # a package that re-exports the names of its own modules is no cycle
        name: {target for target in ours(name) if target != name and not name.startswith(f"{target}.")}
        for name in TREES
    }
    TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_library_is_imported_in_one_room(library: str) -> None:
    users = {
        name
        for name in TREES
        if room(name) != SEPARATE and any(room(target) == library for target in imports(name))
    }
    allowed = ONLY_IN[library]
    assert users
    assert [name for name in users if not any(f"{name}.".startswith(f"{home}.") for home in allowed)] == []


def test_any_is_for_serialization_alone() -> None:
    users = {
        name
        for name, tree in TREES.items()
        if any(isinstance(node, ast.Name) and node.id == "Any" for node in ast.walk(tree))
    }
    assert {room(name) for name in users} - {SEPARATE} <= {"serialization"}


def test_nothing_is_imported_for_types_only() -> None:
    for name, tree in TREES.items():
        assert "TYPE_CHECKING" not in ast.dump(tree), name


ROOM_OF_EVIDENCE = {
    "calls.conflicts",
    "calls.error_answers",
    "calls.receipts",
    "calls.reconciliation",
}
"""Where it is decided what an answer proves about a write."""
DEFINES_THE_WORDS = "errors"
CLAIMS = {
    "Outcome": {"REJECTED", "DONE", "UNKNOWN", "NOT_SENT"},
    "Evidence": {"ENVELOPE", "RECEIPT", "TASK", "READ_BACK", "STATUS"},
}
READS_WHAT_WAS_SAID = {"ingest.journal.tables": ["Evidence(evidence)"]}
"""Choices of an earlier run, which are written down and read."""
SAY_NO_MORE_THAN_IS_KNOWN = {"UNKNOWN", "NOT_SENT"}
"""Claims that need no answer: an error may be made with one, and nothing may be turned into one."""


def choices(tree: ast.Module) -> list[str]:
    """List the places that choose what is said of a write, or what proves it.

    To compare with an outcome or an evidence is no choice, nor is to hand on what the room of evidence says.
    """
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and _is_claim(node) and not _is_read(node, parents):
            parent = parents[node]
            if node.attr in SAY_NO_MORE_THAN_IS_KNOWN and isinstance(parent, ast.keyword | ast.Call):
                continue
            if node.attr in SAY_NO_MORE_THAN_IS_KNOWN and isinstance(parents[parent], ast.ClassDef):
                continue  # what a class of errors says from the start
            found.append(f"{node.lineno}: {ast.unparse(node)}")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CLAIMS:
            found.append(f"{node.lineno}: {ast.unparse(node)}")
        elif isinstance(getattr(node, "ctx", None), ast.Store) and getattr(node, "attr", "") in _STORED:
            found.append(f"{node.lineno}: {ast.unparse(parents[node])}")
    return found


_STORED = {"outcome", "_evidence"}


def _is_claim(node: ast.Attribute) -> bool:
    owner = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
    return node.attr in CLAIMS.get(owner, ())


def _is_read(node: ast.AST, parents: dict[ast.AST, ast.AST]) -> bool:
    """Whether a member stands in a comparison, a pattern, or as a key."""
    parent = parents[node]
    while isinstance(parent, ast.Set | ast.Tuple | ast.List):
        node, parent = parent, parents[parent]
    is_key = isinstance(parent, ast.Dict) and node in parent.keys
    return isinstance(parent, ast.Compare | ast.pattern) or is_key


@pytest.mark.parametrize(
    "module",
    sorted(
        name
        for name in TREES
        if name not in ROOM_OF_EVIDENCE and room(name) not in {DEFINES_THE_WORDS, SEPARATE}
    ),
)
def test_what_an_answer_proves_is_decided_in_one_room(module: str) -> None:
    found = [each.partition(": ")[2] for each in choices(TREES[module])]
    assert found == READS_WHAT_WAS_SAID.get(module, [])


@pytest.mark.parametrize(
    "choice",
    [
        "error.outcome = Outcome.REJECTED",
        "error.outcome = Outcome.UNKNOWN",
        "error.outcome = other.outcome",
        "error.outcome, error.evidence = statement",
        "refusal = kind(text, outcome=Outcome.REJECTED)",
        "refusal = kind(text, outcome=Outcome.UNKNOWN if maybe_applied else error.outcome)",
        "outcome = Outcome.NOT_SENT if never_left else Outcome.UNKNOWN",
        "task.evidence = clinia_async.Evidence.READ_BACK",
        "finding = Disposition.FAILED, reason, Evidence.RECEIPT",
        "found = Outcome('rejected')",
        "said = {404: Outcome.REJECTED}[status]",
    ],
)
def test_a_choice_outside_of_the_room_of_evidence_is_found(choice: str) -> None:
    assert choices(ast.parse(choice))


def test_the_room_of_evidence_is_where_choices_are_made() -> None:
    assert all(choices(TREES[name]) for name in ROOM_OF_EVIDENCE)


ENTRIES, BODY = 16, 40
NEVER = re.compile(r"\b(not|never|nothing|neither|no|only|belongs?)\b", re.IGNORECASE)
"""What the last part of a room's docstring says: what does not belong there, or belongs elsewhere."""


def test_the_top_of_the_package_can_be_read_at_a_glance() -> None:
    entries = {
        path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert len(entries) <= ENTRIES, sorted(entries)


def test_no_function_is_long() -> None:
    """A function's docstring does not count: it is as long as its parameters need."""
    long = [
        f"{name}:{node.lineno} {node.name}"
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _lines_of_code(node) > BODY
    ]
    assert long == []


def _lines_of_code(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    code = node.body[1:] if ast.get_docstring(node) is not None else node.body
    return code[-1].end_lineno - code[0].lineno + 1 if code else 0  # type: ignore[operator]


@pytest.mark.parametrize(
    "name", sorted(name for name in TREES if name and (PACKAGE / name.replace(".", "/")).is_dir())
)
def test_a_room_says_what_it_is_what_it_may_import_and_what_never_belongs_there(name: str) -> None:
    text = " ".join((ast.get_docstring(TREES[name]) or "").split())
    what, _, rules = text.partition("May import ")
    assert what.strip(), "what it is"
    assert rules, "what it may import"
    assert NEVER.search(rules.partition(". ")[2]), "what never belongs there"
