"""Objects of named fields."""

from copy import copy
from typing import Generic, TypeVar

import pytest

import clinia_async
from clinia_async import calls, models
from clinia_async.models.struct import Struct

R = TypeVar("R")


class Answered(Struct, Generic[R]):
    answer: R
    attempts: int = 1
    request_id: str | None = None


@pytest.mark.parametrize(
    "found",
    [
        Answered("a", 2, "r"),
        Answered(answer="a", attempts=2, request_id="r"),
        Answered("a", 2, request_id="r"),
    ],
)
def test_fields_are_given_by_position_or_by_name(found: Answered[str]) -> None:
    assert (found.answer, found.attempts, found.request_id) == ("a", 2, "r")


def test_a_field_that_is_not_given_has_its_default() -> None:
    found = Answered("a")
    assert (found.attempts, found.request_id) == (1, None)
    assert vars(copy(found)) == vars(found)


def test_a_repr_shows_no_field() -> None:
    assert "secret" not in repr(Answered("secret"))


def test_callers_are_given_no_struct() -> None:
    """They compare, print and copy what they are given, and `help` has to show its fields."""
    public = [getattr(package, name) for package in (clinia_async, calls, models) for name in package.__all__]
    assert [kind for kind in public if isinstance(kind, type) and issubclass(kind, Struct)] == []
