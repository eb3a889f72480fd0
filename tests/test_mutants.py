"""The table of mutants is in step with the code; `python -m tests.mutants` runs them."""

import pytest

from tests.mutants.mutant import Mutant
from tests.mutants.table import MUTANTS


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_finds_its_text_exactly_once_and_its_test_files(mutant: Mutant) -> None:
    assert mutant.fault() is None


def test_there_are_sixty_mutants_of_distinct_names_and_each_changes_something() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 60
    assert all(mutant.tests and mutant.old != mutant.new for mutant in MUTANTS)
