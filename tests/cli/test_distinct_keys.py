"""Repeated keys are counted exactly, in memory or beyond it."""

import pytest

from clinia_async import ConfigError, TargetType
from clinia_async.cli.distinct_keys import DistinctKeys


@pytest.mark.parametrize(("count", "repeats"), [(0, 0), (10, 3), (300_000, 1234)])
def test_each_key_is_counted_once(count: int, repeats: int) -> None:
    with DistinctKeys() as keys:
        for number in [*range(count), *range(repeats)]:
            keys.add((TargetType.RELATIONSHIP, "t", f"a.{number}"))
        assert keys.repeated() == repeats
        keys.add((TargetType.RELATIONSHIP, "t", "another"))
        assert keys.repeated() == repeats
        keys.add((TargetType.RESOURCE, "t", "another"))
        keys.add((TargetType.RELATIONSHIP, "u", "another"))
        assert keys.repeated() == repeats
        keys.add((TargetType.RELATIONSHIP, "u", "another"))
        assert keys.repeated() == repeats + 1


def test_a_full_disk_is_a_config_error() -> None:
    with DistinctKeys() as keys:
        keys._database.execute("PRAGMA max_page_count = 2")  # as SQLite reports a disk without room
        with pytest.raises(ConfigError, match="no room for temporary files"):
            _add(keys, 10_000)


def _add(keys: DistinctKeys, count: int) -> None:
    for number in range(count):
        keys.add((TargetType.RELATIONSHIP, "t", f"a.{number}"))
