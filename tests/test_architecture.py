"""The tower: a module imports only from floors below its own, however and wherever it imports."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import clinia_async

PACKAGE = Path(clinia_async.__file__).parent

FLOORS = [
    {"lazily"},
    {"secret", "keys"},
    {"task_id"},
    {"models"},
    {"receipts"},
    {"errors"},
    {"strict_json", "retry", "gate", "hurry", "durations", "addresses", "rfc3339", "interruptible", "waiter"},
    {"usual_receipts"},
    {"hot_answers", "deadlines"},
    {"codec", "watch", "timetable"},
    {"tasks", "pacing"},
    {"calls"},
    {"transport", "polling", "waiting", "submission", "settling", "paging", "bundling", "admission"},
    {"conclusions"},
    {"delivery", "one_of_many"},
    {"waiting_write"},
    {"coalescing"},
    {"engine"},
    {"calling"},
    {"registry_methods", "definition_methods", "catalog_methods"},
    {"session"},
    {"ingest"},
    {"cli"},
    {"__main__"},
]
FLOOR_OF = {name: number for number, names in enumerate(FLOORS) for name in names}
SEPARATE = {"emulator"}
"""The emulator meets the library over HTTP alone, so that a wrong name cannot hide on both sides."""


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
        yield name, ast.parse(path.read_text(encoding="utf-8"))


TREES = dict(modules())


def imports(module: str) -> Iterator[str]:
    """The full name of every module imported, in functions and behind conditions too."""
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


def room(module: str) -> str:
    return module.partition(".")[0]


def test_every_module_has_a_floor() -> None:
    assert {room(name) for name in TREES} - {"__init__"} == set(FLOOR_OF) | SEPARATE


@pytest.mark.parametrize("module", sorted(set(TREES) - {"__init__"}))
def test_imports_go_only_down(module: str) -> None:
    if room(module) in SEPARATE:
        return
    for target in ours(module):
        if room(target) in SEPARATE:
            assert room(module) in {"cli"}, f"{module} reaches for the emulator"
        elif room(target) != room(module):
            assert FLOOR_OF[room(target)] < FLOOR_OF[room(module)], f"{module} imports {target}"


@pytest.mark.parametrize("module", sorted(name for name in TREES if room(name) in SEPARATE))
def test_the_emulator_imports_nothing_of_ours(module: str) -> None:
    for name in imports(module):
        assert room(name) != "clinia_async" or name.startswith("clinia_async.emulator"), name


def test_no_two_modules_need_each_other() -> None:
    graph = {
        # a package that hands on the names of its own modules is no knot
        name: {target for target in ours(name) if target != name and not name.startswith(f"{target}.")}
        for name in TREES
    }
    TopologicalSorter(graph).prepare()


@pytest.mark.parametrize(
    ("library", "home"), [("aiohttp", {"transport"}), ("backoff", {"retry"}), ("cattrs", {"codec"})]
)
def test_a_library_has_one_door(library: str, home: set[str]) -> None:
    users = {room(name) for name in TREES if any(room(target) == library for target in imports(name))}
    assert users - SEPARATE == home


def test_any_is_for_the_codec_alone() -> None:
    users = {
        name
        for name, tree in TREES.items()
        if any(isinstance(node, ast.Name) and node.id == "Any" for node in ast.walk(tree))
    }
    assert {name for name in users if room(name) not in SEPARATE} <= {"codec"}


def test_nothing_is_imported_for_types_only() -> None:
    for name, tree in TREES.items():
        assert "TYPE_CHECKING" not in ast.dump(tree), name
