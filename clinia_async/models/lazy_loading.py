"""Packages that load a name when it is first used. Type checkers read `__init__.pyi`."""

import sys
from collections.abc import Mapping
from importlib import import_module
from types import ModuleType


def home_of(homes: Mapping[str, str]) -> dict[str, str]:
    """The module of each name, from the names of each module."""
    return {name: module for module, names in homes.items() for name in names.split()}


def load_all(package: ModuleType) -> None:
    """Load all names of such a package now, so that none is loaded while a request waits."""
    for name in package.__all__:
        getattr(package, name)


def load(package: str, home_of: Mapping[str, str], name: str) -> object:
    """Return what a package calls `name`, for its `__getattr__`. It is loaded once: the package then has it.

    Raises:
        AttributeError: it has no such name.
    """
    if name not in home_of:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{package}.{home_of[name]}"), name)
    setattr(sys.modules[package], name, value)
    return value
