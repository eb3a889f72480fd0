"""Names and texts are the field's: no word of this project's former private language names anything."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import clinia_async
from tests.cli.test_help import COMMANDS

ROOT = Path(__file__).parent.parent
PACKAGE = Path(clinia_async.__file__).parent
FOLDERS = [PACKAGE, ROOT / "tests", ROOT / "benchmarks"]

WORDS = {
    *("absorbed", "admission", "airport", "board", "bunch", "bunches", "carrier", "conclusions", "crew"),
    *("delivered", "depart", "departure", "door", "doubt", "doubtful", "dread", "filling", "former"),
    *("gate", "guard", "hints", "hurry", "inn", "intake", "joint", "judge", "keeper", "lane"),
    *("ledger", "letters", "look", "looks", "looked", "mood", "moods", "odd", "oddity"),
    *("passage", "quiet", "recall", "retold", "runway", "settle", "settled", "settlement"),
    *("settles", "settling", "spoil", "strand", "stretch", "strike", "strikes", "tell", "tells", "tendency"),
    *("timetable", "told", "verdict", "verdicts", "watch", "watches"),
}
"""Words that are no part of a name."""

NAMES = {
    *("OfRecord", "OfPurge", "OfDeletion", "OneOfMany", "SentBulk", "LateKeys", "_Works", "_Joins"),
    *("fresh", "law", "lose", "passing", "is_passing", "wire", "Wire", "PatientSession", "Law"),
    *(
        "retry_hint",
        "one_of_many",
        "waiting_write",
        "say_stored",
        "in_the_dark",
        "keys_in_flight",
        "hanging_up",
    ),
}
"""Whole names of classes and functions that are not used."""

MODULES = {
    *("apart", "checking", "checks", "comparison", "durations", "encoding", "ends", "entries", "existing"),
    *("exits", "input", "line", "places", "quiet", "serving", "tokens", "waiter", "waiting"),
}
"""Names of modules that are not used."""

ALLOWED = {
    "in_doubt": "the public name of a session's writes whose answer never came",
    "InDoubt": "its class",
    "DeadLetters": "the field's word for records that could not be delivered",
    "dead_letters": "the same",
    "look_up": "what is done with a name",
}


def parts(name: str) -> list[str]:
    """Split a name at its underscores and capitals, in lower case."""
    return [each.lower() for each in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]


def named(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield the names of classes, functions and parameters, with their lines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node.lineno
        if isinstance(node, ast.arg):
            yield node.arg, node.lineno


def leftovers(folder: Path) -> list[str]:
    found = []
    for path in sorted(folder.rglob("*.py")):
        where = path.relative_to(folder.parent)
        if (path.stem in MODULES and folder == PACKAGE) or is_wrong(path.stem):
            found.append(f"{where}: the module")
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found += [f"{where}:{line}: {name}" for name, line in named(tree) if is_wrong(name)]
    return found


def is_wrong(name: str) -> bool:
    if name in ALLOWED:
        return False
    without = re.sub(r"dead_letters?|DeadLetters?|in_doubt|InDoubt", "", name)
    return name in NAMES or bool(WORDS & set(parts(without)))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_no_private_word_names_anything(folder: Path) -> None:
    assert leftovers(folder) == []


PRIVATE = re.compile(
    r"\b(looks?|looked|tells?|told|repeat(s|ed|ing|able)?|members?|doubt(s|ful)?|whoever|settle[sd]?|settling)\b",
    re.IGNORECASE,
)
"""Private senses: poll is not look, report not tell, retry not repeat, fields are not members."""
EVERYDAY = re.compile(r"\blook(s|ed)? up\b", re.IGNORECASE)
"""What is done with a word, a name or a reference."""
CODE = re.compile(r"`[^`\n]+`")
"""Names are the business of the tests above."""
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def private(text: str) -> list[str]:
    """Return the lines in which a private word stands."""
    return [line for line in text.splitlines() if PRIVATE.search(EVERYDAY.sub("", CODE.sub("", line)))]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_private_word_is_in_a_document(path: Path) -> None:
    assert private(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_no_private_word_is_in_the_help_of_a_command(path: tuple[str, ...]) -> None:
    assert private(COMMANDS[path].get_help(click.Context(COMMANDS[path]))) == []


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_no_private_word_is_in_a_docstring(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert private("\n".join(docstrings(tree))) == []


def docstrings(tree: ast.Module) -> Iterator[str]:
    """Yield the strings that stand alone: of modules, classes and functions, and below fields."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield str(node.value.value)
