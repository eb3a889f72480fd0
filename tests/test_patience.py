"""Whatever a test waits for by the real clock has one bound, which no slow machine reaches."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
_WAITS = {"result", "join", "wait", "run", "communicate", "urlopen", "create_connection", "HTTPConnection"}
"""Calls that block a thread, unless they are awaited."""


def bounds(text: str) -> Iterator[str]:
    """Yield the calls of a program that wait for a number of seconds by the real clock."""
    tree = ast.parse(text)
    awaited = {id(call) for node in ast.walk(tree) if isinstance(node, ast.Await) for call in ast.walk(node)}
    # what a lambda or a call is given is awaited by somebody else
    given = {
        id(call)
        for node in ast.walk(tree)
        if isinstance(node, ast.Lambda | ast.Call)
        for each in ([node.body] if isinstance(node, ast.Lambda) else node.args)
        for call in ast.walk(each)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or id(node) in awaited | given:
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name not in _WAITS:
            continue
        seconds = [each.value for each in node.keywords if each.arg == "timeout"]
        if name in {"result", "join", "wait"}:
            seconds += node.args[:1]
        for each in seconds:
            if isinstance(each, ast.Constant) and isinstance(each.value, int | float) and each.value:
                yield f"line {node.lineno}: {name} for {each.value} s"


@pytest.mark.parametrize("path", sorted(TESTS.rglob("*.py")), ids=lambda path: str(path.relative_to(TESTS)))
def test_no_test_waits_by_the_real_clock_for_less_than_a_slow_machine_needs(path: Path) -> None:
    assert [*bounds(path.read_text(encoding="utf-8"))] == [], "use PATIENCE of tests/patience.py"


@pytest.mark.parametrize(
    "text",
    [
        "thread.join(10)",
        "made.result(10).id",
        "subprocess.run([], timeout=60)",
        "x = process.wait(timeout=5.0)",
    ],
)
def test_such_waits_are_found(text: str) -> None:
    assert [*bounds(text)]
    assert not [*bounds(f"async def f():\n    await g({text})")]
