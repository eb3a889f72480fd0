"""Packages that load a name when it is first used. Type checkers read `__init__.pyi`."""

import sys
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from importlib import import_module
from types import ModuleType


def lazy_names(
    package: str, names_of: Mapping[str, str]
) -> tuple[list[str], Callable[[str], object], Callable[[], list[str]]]:
    """Return `__all__`, `__getattr__` and `__dir__` of a package, from the names that each module defines.

    A name is loaded once: the package then has it. `__getattr__` raises AttributeError for any other.
    """
    home_of = {name: module for module, names in names_of.items() for name in names.split()}
    all_ = sorted(home_of)

    def load(name: str) -> object:
        if name not in home_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value: object = getattr(import_module(f"{package}.{home_of[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    return all_, load, lambda: sorted({*vars(sys.modules[package]), *all_})


LOADS_AT_NEED: ContextVar[bool] = ContextVar("clinia_loads_at_need", default=False)
"""Whether `load_ahead` does nothing: where there is nothing else on the loop that would have to wait."""


def load_ahead(packages: Iterable[ModuleType], modules: Iterable[str]) -> None:
    """Load all names of such packages, and the modules, now, so that none is loaded while a request waits."""
    if LOADS_AT_NEED.get():
        return
    for package in packages:
        for name in package.__all__:
            getattr(package, name)
    for module in modules:
        import_module(module)
