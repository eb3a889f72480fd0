"""A slice of the fuzzing; `python -m tests.fuzz --count 1000000` is a long one."""

import pytest

from tests.fuzz import TARGETS, fuzz


@pytest.mark.parametrize("target", TARGETS)
def test_mutated_input_raises_nothing_untyped_and_is_never_slow(target: str) -> None:
    found = fuzz(target, 3_000, seed=1)
    assert found.untyped == []
    assert found.slow == []
    assert found.runs >= 20
