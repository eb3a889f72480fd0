"""What an emulator is given is what its annotations say, or it is refused: it would play something else."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import attrs
import pytest

import clinia_async.emulator as public
from clinia_async.emulator import (
    Accepted,
    Constant,
    Emulator,
    Fault,
    Latency,
    LogNormal,
    Plan,
    Review,
    Settings,
)
from tests.wrong_values import WRONG

GIVEN: dict[str, Any] = {"route": "bundle", "plan": Plan(mode=Accepted()), "mode": Accepted()}
CLASSES: list[type] = [
    Settings,
    Emulator,
    Constant,
    LogNormal,
    Accepted,
    Review,
    Plan,
    *(
        each
        for each in (getattr(public, name) for name in public.__all__)
        if isinstance(each, type) and issubclass(each, Fault) and each is not Fault
    ),
]
AT_ADD = frozenset({"route"})
"""Fields that are checked when the fault is added."""


def _fields() -> Iterator[tuple[type, "attrs.Attribute[Any]"]]:
    for kind in CLASSES:
        for each in attrs.fields(kind):
            if each.init and each.name not in AT_ADD:
                yield kind, each


def _is_of(value: object, hint: Any) -> bool:
    """Whether a value is what an annotation says; a bool is no number, and text is not a set of letters."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in {Union, UnionType}:
        return any(_is_of(value, each) for each in arguments)
    if origin is Literal:
        return value in arguments
    if hint in {int, float}:
        return isinstance(value, int | hint) and not isinstance(value, bool)
    if origin in {tuple, dict, frozenset}:
        return not isinstance(value, str) and all(isinstance(each, str) for each in value)  # type: ignore[attr-defined]  # what it was made of
    return isinstance(value, {Path: str | Path, Latency: Constant}.get(hint, hint))


@pytest.mark.parametrize(
    ("kind", "of"), list(_fields()), ids=lambda each: getattr(each, "__name__", None) or each.name
)
def test_a_wrong_value_of_a_field_is_refused(kind: Callable[..., object], of: "attrs.Attribute[Any]") -> None:
    needed = {
        each.name: GIVEN.get(each.name, 1.0)
        for each in attrs.fields(kind)  # type: ignore[arg-type]  # one of attrs
        if each.init and each.default is attrs.NOTHING
    }
    hint = get_type_hints(kind)[of.name]
    name = of.alias or of.name
    for label, make in WRONG.items():
        value = make()
        try:
            kind(**{**needed, name: value})
        except (ValueError, TypeError):
            continue
        assert _is_of(value, hint), f"{name} takes {label}"


def test_modes_are_checked_by_type() -> None:
    for modes in ({"treats": "accepted"}, {"treats": Accepted}, {"": Accepted()}, {1: Accepted()}):
        with pytest.raises(ValueError, match="modes"):
            Emulator(modes=modes)  # type: ignore[arg-type]


async def test_a_mode_that_is_set_is_checked(emulator: Emulator) -> None:
    for name, wrong in {"default": Accepted, "bundle": "accepted", "bulk": 0.05, "purge": None}.items():
        with pytest.raises(ValueError, match=name):
            setattr(emulator, name, wrong)
    assert emulator.bulk == Constant(0.05)


def test_a_text_is_no_list_of_hosts() -> None:
    with pytest.raises(ValueError, match="host_names"):
        Settings(host_names="registry.example")  # type: ignore[arg-type]
