"""Public classes, functions and methods say what they do, what they raise and what their keywords mean."""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import FunctionType

import pytest
from attrs import frozen

import clinia_async
from clinia_async import CliniaError, Session
from clinia_async.calls.call import Call, Write
from clinia_async.calls.reconciliation import Reconcilable

CLASSES = {
    name: value for name in clinia_async.__all__ if inspect.isclass(value := getattr(clinia_async, name))
}
FUNCTIONS = {
    name: value for name in clinia_async.__all__ if inspect.isfunction(value := getattr(clinia_async, name))
}
INTERFACES = (Reconcilable, Write, Call)
"""What every call has: documented here once, for all of them."""
RAISE_NOTHING = {
    "Session.take_in_doubt": "takes from a list",
    "Session.wait": "a task that failed has ended, and is returned",
}
"""Methods of a session that raise nothing of this library, each with the reason."""


@frozen
class Documented:
    """A public function or method, with the docstrings that help shows for it."""

    name: str
    function: FunctionType
    owner: type | None = None

    @property
    def own(self) -> str:
        """The docstring, that of the method it overrides, or that of the interface it is of."""
        name = self.function.__name__
        bases = self.owner.__mro__ if self.owner else ()
        places = [*filter(is_ours, bases), *INTERFACES]
        texts = [self.function.__doc__, *(vars(each)[name].__doc__ for each in places if name in vars(each))]
        return next(filter(None, texts), "")

    @property
    def all(self) -> str:
        return "\n".join([self.own, *map(docstring, self.owner.__mro__ if self.owner else ())])

    def raised(self) -> set[str]:
        """Return the classes that the body raises by name."""
        tree = ast.parse(textwrap.dedent(inspect.getsource(self.function)))
        raises = (node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise))
        named = (exc.func if isinstance(exc, ast.Call) else exc for exc in raises)
        return {each.id for each in named if isinstance(each, ast.Name) and each.id[0].isupper()}

    def keywords(self) -> list[str]:
        parameters = inspect.signature(self.function).parameters.values()
        return [each.name for each in parameters if each.kind is each.KEYWORD_ONLY]


def is_ours(kind: type) -> bool:
    return kind.__module__.startswith("clinia_async")


@cache
def docstring(kind: type) -> str:
    """Return the docstring of a class and the names of its fields that have one below them."""
    if not is_ours(kind):
        return ""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(tree, ast.ClassDef)
    documented = [
        ast.unparse(field.target)
        for field, text in zip(tree.body, tree.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr)
    ]
    return "\n".join([ast.get_docstring(tree) or "", *documented])


def documented() -> Iterator[Documented]:
    for name, function in FUNCTIONS.items():
        yield Documented(name, inspect.unwrap(function))
    for name, kind in CLASSES.items():
        for base in filter(is_ours, kind.__mro__):
            yield from methods(name, kind, base)


def methods(name: str, kind: type, base: type) -> Iterator[Documented]:
    for attribute, member in vars(base).items():
        function = function_of(member)
        is_public = attribute == "__init__" or not attribute.startswith("_")
        is_used = function is function_of(inspect.getattr_static(kind, attribute))
        if function and is_public and is_used and function.__module__.startswith("clinia_async"):
            yield Documented(f"{name}.{attribute}", inspect.unwrap(function), kind)


def function_of(member: object) -> FunctionType | None:
    """Return the function of a method or property, and None for any other attribute."""
    if isinstance(member, property):
        member = member.fget
    if isinstance(member, classmethod | staticmethod):
        member = member.__func__
    return member if isinstance(member, FunctionType) else None


def is_property(each: Documented) -> bool:
    assert each.owner
    return isinstance(vars(each.owner).get(each.function.__name__), property)


PUBLIC = list(documented())


@pytest.mark.parametrize("name", CLASSES)
def test_every_public_class_has_a_docstring(name: str) -> None:
    assert vars(CLASSES[name]).get("__doc__")


def test_every_public_function_and_method_has_a_docstring() -> None:
    assert [each.name for each in PUBLIC if not each.own and each.function.__name__ != "__init__"] == []


def test_docstrings_name_what_the_body_raises() -> None:
    missing = {each.name: {kind for kind in each.raised() if kind not in each.all} for each in PUBLIC}
    assert {name: kinds for name, kinds in missing.items() if kinds} == {}


def test_methods_of_a_session_say_what_they_raise() -> None:
    methods = [each for each in PUBLIC if each.owner is Session and not is_property(each)]
    silent = {each.name for each in methods if "Raises:" not in (each.own or docstring(Session))}
    assert silent == set(RAISE_NOTHING)


def test_docstrings_name_every_keyword() -> None:
    missing = {
        each.name: [name for name in each.keywords() if not re.search(rf"\b{name}\b", each.all)]
        for each in PUBLIC
    }
    assert {name: keywords for name, keywords in missing.items() if keywords} == {}


# Functions that are not exported


@frozen
class Inner:
    """A function of any module whose name has no leading underscore, found without importing the module."""

    place: str
    name: str
    doc: str
    raised: frozenset[str]

    def says_what_it_raises(self) -> bool:
        return bool(re.search(r"\bRaises?\b", self.doc))


FOLDER = Path(clinia_async.__file__).parent
OF_ITS_OWN = "emulator"
"""Imports nothing of ours and raises its own errors, which are answers."""
INTERFACE_CLASSES = {"Call", "CallInterface", "Reconcilable", "Write"}
"""Classes that document a method for all those that have it."""


def inner_functions() -> Iterator[Inner]:
    for path in sorted(FOLDER.rglob("*.py")):
        place = path.relative_to(FOLDER)
        if place.parts[0] != OF_ITS_OWN:
            yield from functions_in(ast.parse(path.read_text(encoding="utf-8")), str(place))


def functions_in(node: ast.AST, place: str) -> Iterator[Inner]:
    for each in ast.iter_child_nodes(node):
        if isinstance(each, ast.ClassDef):
            yield from functions_in(each, f"{place} {each.name}")
        elif isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
            if not each.name.startswith("_"):
                yield Inner(place, each.name, ast.get_docstring(each) or "", frozenset(raised_in(each)))
        elif isinstance(each, ast.If | ast.Try):
            yield from functions_in(each, place)


def raised_in(node: ast.AST) -> Iterator[str]:
    """Yield the names of the classes that a function raises itself, and not one inside it."""
    for each in ast.iter_child_nodes(node):
        if isinstance(each, ast.Raise):
            made = each.exc.func if isinstance(each.exc, ast.Call) else each.exc
            yield getattr(made, "attr", getattr(made, "id", ""))
        if not isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            yield from raised_in(each)


def test_every_function_of_every_module_says_what_it_raises() -> None:
    functions = [*inner_functions()]
    documented = {
        each.name
        for each in functions
        if each.place.split()[-1] in INTERFACE_CLASSES and each.says_what_it_raises()
    }
    ours = {kind.__name__ for kind in subclasses(CliniaError)} | {"Unreadable"}
    raising = [each for each in functions if each.raised & ours]
    assert len(raising) > 60
    silent = [each for each in raising if not each.says_what_it_raises() and each.name not in documented]
    assert [f"{each.place}: {each.name}" for each in silent] == []


def subclasses(kind: type) -> Iterator[type]:
    yield kind
    for each in kind.__subclasses__():
        yield from subclasses(each)
