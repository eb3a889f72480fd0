"""Regular expressions: every Python of the declared range reads them alike, and none is slow for any text."""

import ast
import importlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import clinia_async
from clinia_async.serialization import strict_json, timestamps

PACKAGE = Path(clinia_async.__file__).parent
_ENDS = (")*+", ")++", ")?+", "}+")


def texts(path: Path) -> Iterator[str]:
    """Yield the constants of a module, those of which longer texts are made too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
            yield node.value if isinstance(node.value, str) else node.value.decode("latin-1")


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_no_group_is_possessive(path: Path) -> None:
    # Python before 3.11.5 loses its place behind such a group whose last try fails halfway, without an
    # error: documents of FHIR lost all entries but the first. Of one character, as in `[0-9]*+`, it is right.
    assert [text for text in texts(path) if "(?>" in text or any(end in text for end in _ENDS)] == []


Node = tuple[Any, Any]
Chars = frozenset[int]
_ANYWHERE = {"search", "finditer", "findall", "sub", "subn", "split"}
_SETS = {"LITERAL", "NOT_LITERAL", "ANY", "IN"}
_BACKTRACKING = {"MAX_REPEAT", "MIN_REPEAT"}


def chars(node: Node) -> Chars:
    """Return which of the first 256 characters a node of one character stands for."""
    op, value = str(node[0]), node[1]
    if op == "IN":
        found = frozenset[int]().union(*(chars(each) for each in value if str(each[0]) != "NEGATE"))
        return frozenset(range(256)) - found if str(value[0][0]) == "NEGATE" else found
    if op == "CATEGORY":
        letter = {"SPACE": "s", "DIGIT": "d", "WORD": "w"}[str(value).rpartition("_")[2]]
        letter = letter.upper() if "_NOT_" in str(value) else letter
        return frozenset(each for each in range(256) if re.match(rf"\{letter}", chr(each), re.ASCII))
    if op == "RANGE":
        return frozenset(range(value[0], value[1] + 1))
    every = frozenset(range(256))
    return every if op == "ANY" else frozenset({value}) if op == "LITERAL" else every - {value}


def is_one(nodes: Any) -> bool:
    return len(nodes) == 1 and str(nodes[0][0]) in _SETS


def given_back(nodes: Iterable[Node], before: Chars = frozenset()) -> Chars:
    """Return what repeats at the end of `nodes` may give back, where `before` stands open in front of them.

    Raises `ValueError` where two repeats may share a run of characters, which is then tried in all ways.
    """
    for node in nodes:
        op, value = str(node[0]), node[1]
        if op in _SETS:
            before = frozenset()
        elif op == "SUBPATTERN":
            before = given_back(value[-1], before)
        elif op == "BRANCH":
            before = frozenset().union(*(given_back(each, before) for each in value[1]))
        elif op in _BACKTRACKING or op == "POSSESSIVE_REPEAT":
            least, most, inner = value
            is_long = most is re._constants.MAXREPEAT  # type: ignore[attr-defined]
            if op in _BACKTRACKING and is_long and is_one(inner):
                found = chars(inner[0])
                if found & before:
                    raise ValueError("two repeats may share a run of characters")
                before = found if least else found | before
            elif not is_one(inner):
                after = given_back([*inner, *inner] if is_long else inner, before)
                before = after if least else after | before
            elif least:
                before = frozenset()
    return before


def repeats(nodes: Iterable[Node]) -> Iterator[Chars]:
    """Yield what each repeat without an end, wherever it stands, may run over."""
    for node in nodes:
        op, value = str(node[0]), node[1]
        if op in _BACKTRACKING or op == "POSSESSIVE_REPEAT":
            if value[1] is re._constants.MAXREPEAT:  # type: ignore[attr-defined]
                yield from (chars(each) for each in value[2] if str(each[0]) in _SETS)
            yield from repeats(value[2])
        elif op in {"SUBPATTERN", "BRANCH"}:
            for inner in [value[-1]] if op == "SUBPATTERN" else value[1]:
                yield from repeats(inner)


def check(pattern: re.Pattern[Any], *, is_searched: bool) -> None:
    """Raise `ValueError` if a run of characters may be tried in many ways, or searched from many places."""
    nodes = list(re._parser.parse(pattern.pattern, pattern.flags & ~re.UNICODE))  # type: ignore[attr-defined]
    given_back(nodes)
    if not is_searched or r"\Z" in str(pattern.pattern):
        return  # what ends with the text, wherever it is tried, leaves nothing to search again
    for each in nodes[0][1][1] if str(nodes[0][0]) == "BRANCH" else [nodes]:
        branch = list(each)
        is_at_start = str(branch[0][0]) == "AT"
        first = branch[is_at_start]
        begins = chars(first) if str(first[0]) in _SETS else next(repeats([first]), frozenset(range(256)))
        begins = frozenset({ord("\n")}) if is_at_start else begins
        if any(begins & run for run in repeats(branch)):
            raise ValueError("its start may stand in a run that it passes over")


def patterns(path: Path) -> Iterator[tuple[str, re.Pattern[Any]]]:
    """Yield the patterns of a module by their names, those in tuples too."""
    name = ".".join(("clinia_async", *path.relative_to(PACKAGE).with_suffix("").parts))
    try:
        module = importlib.import_module(name.removesuffix(".__init__"))
    except ModuleNotFoundError:  # an engine that is not installed
        return
    pending = [*vars(module).items()]
    while pending:
        name, value = pending.pop()
        if isinstance(value, tuple | list):
            pending += [(name, each) for each in value]
        elif isinstance(value, re.Pattern):
            yield name, value
    yield from texts_of_patterns(path, module)


def texts_of_patterns(path: Path, module: ModuleType) -> Iterator[tuple[str, re.Pattern[Any]]]:
    """Yield what is compiled when it is first used, as in `re.fullmatch(_TEXT, text, re.ASCII)`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Call(ast.Attribute(ast.Name("re")), [ast.Name(text), _, *flags]) if text in vars(module):
                given = [eval(ast.unparse(each), vars(module)) for each in flags]
                yield "re", re.compile(getattr(module, text), *given)


def searched(path: Path) -> set[str]:
    """Return the names of what a module searches texts for."""
    nodes = (node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    calls = (node.func for node in nodes if isinstance(node, ast.Call))
    return {
        call.value.id
        for call in calls
        if isinstance(call, ast.Attribute) and isinstance(call.value, ast.Name) and call.attr in _ANYWHERE
    }


SOURCES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__main__.py")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_pattern_tries_a_run_of_characters_in_many_ways(path: Path) -> None:
    wrong = []
    for name, pattern in patterns(path):
        try:
            check(pattern, is_searched=name in searched(path))
        except ValueError as error:
            wrong.append(f"{name}: {error}")
    assert wrong == []


@pytest.mark.parametrize(
    "text",
    [
        r'\s*\[?\s*\{\s*"resourceType"',
        r"^\s*(\{|\[)",
        r'"[^"\\]*(?:\\.[^"\\]*)*"',
        r"\s+x",
        r"a*a*b",
        r"(a+)+b",
        r"xa*c?(a*|c)d",
    ],
)
def test_a_pattern_that_may_be_slow_is_found(text: str) -> None:
    with pytest.raises(ValueError, match="run"):
        check(re.compile(text, re.MULTILINE | re.DOTALL), is_searched=True)


def test_texts_of_patterns_are_checked_too() -> None:
    found = {pattern.pattern for path in SOURCES for name, pattern in patterns(path) if name == "re"}
    assert {timestamps._TIME, strict_json._BRACKET} <= found
