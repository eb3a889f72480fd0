"""What a benchmark concludes from its figures."""

import pytest

pytest.importorskip("benchmarks.quartiles", reason="the benchmarks are not beside the tests here")

from benchmarks.quartiles import AtLeast, AtMost, Quartiles, paired
from benchmarks.rounds import Contender, DidNotRun, Results, interleaved, sample
from benchmarks.tables import Comparison


def test_quartiles() -> None:
    assert Quartiles.of([4, 1, 3, 2, 5]) == Quartiles(2, 3, 4)
    assert Quartiles.of([7]) == Quartiles(7, 7, 7)
    assert str(Quartiles(0.5, 1, 1.25)) == "1.00 [0.50..1.25]"


def test_ratios_are_paired_inside_a_round() -> None:
    """A round that is ten times slower for both says the same as any other."""
    assert paired([100, 1000, 110], [50, 500, 55]) == Quartiles(2, 2, 2)
    with pytest.raises(ValueError, match="shorter"):
        paired([1, 2], [1])


@pytest.mark.parametrize(
    ("seen", "result"),
    [
        (Quartiles(1.0, 1.1, 1.2), "reached"),
        (Quartiles(0.9, 0.99, 1.2), "short"),
        (Quartiles(0.7, 0.85, 0.9), "short"),  # the upper quartile is at the fail figure, not below it
        (Quartiles(0.7, 0.8, 0.89), "FAIL"),
    ],
)
def test_at_least_fails_only_where_the_upper_quartile_does(seen: Quartiles, result: str) -> None:
    assert AtLeast(1.0, 0.9).result(seen) == result


@pytest.mark.parametrize(
    ("seen", "result"),
    [
        (Quartiles(1.0, 1.1, 1.9), "reached"),
        (Quartiles(1.15, 1.2, 1.3), "short"),
        (Quartiles(1.16, 1.2, 1.3), "FAIL"),
    ],
)
def test_at_most_fails_only_where_the_lower_quartile_does(seen: Quartiles, result: str) -> None:
    assert AtMost(1.15, 1.15).result(seen) == result


def test_without_a_fail_figure_nothing_fails() -> None:
    assert AtLeast(5.0).result(Quartiles(0.1, 0.1, 0.1)) == "short"
    assert AtMost(2.0).result(Quartiles(9, 9, 9)) == "short"


def _compared(*, ratio_of_cost: bool) -> Comparison:
    samples = {"raw": [{"us": 10.0}, {"us": 20.0}], "ours": [{"us": 20.0}, {"us": 40.0}]}
    goal = AtMost(1.5, 1.5) if ratio_of_cost else AtLeast(1.0, 0.9)
    return Comparison(
        "Creates",
        Results(samples, ["peer: it is not installed"]),
        "raw",
        "us",
        "us",
        {"ours": goal},
        ratio_of_cost=ratio_of_cost,
    )


def test_a_table_says_the_ratio_the_goal_and_what_failed() -> None:
    table = _compared(ratio_of_cost=False).table()
    assert table.rows[1] == ["ours", "30.0", "0.50 [0.50..0.50]", ">= 1, fails below 0.90", "FAIL"]
    assert table.failed == ["Creates: ours: 0.50 [0.50..0.50], goal >= 1, fails below 0.90"]
    assert "| ours | 30.0 | 0.50 [0.50..0.50] |" in table.markdown()
    assert "not measured: peer: it is not installed" in table.text()


def test_a_ratio_of_cost_is_the_other_way_round() -> None:
    table = _compared(ratio_of_cost=True).table()
    assert table.rows[1][2:] == ["2.00 [2.00..2.00]", "<= 1.5, fails above 1.5", "FAIL"]


HERE = Contender("here", "importing:program", {"code": "", "times": 1})


def test_a_peer_that_is_not_there_or_does_not_run_is_named_and_left_out() -> None:
    absent = Contender("absent", "single_raw:create", needs="no_such_package.inside")
    broken = Contender("broken", "importing:program", {"code": "raise SystemExit(3)", "times": 1})
    results = interleaved([HERE, absent, broken], 2)
    assert list(results.samples) == ["here"]
    assert len(results.of("here", "cpu_ms")) == 2
    assert results.missing[0] == "absent: no_such_package.inside is not installed"
    assert results.missing[1].startswith("broken: it did not run (")
    nobody = interleaved([absent], 2)
    assert (nobody.samples, nobody.missing) == ({}, results.missing[:1])


def test_ours_may_not_be_left_out() -> None:
    broken = Contender("ours", "importing:program", {"code": "raise SystemExit(3)"}, is_ours=True)
    with pytest.raises(DidNotRun):
        interleaved([HERE, broken], 1)


def test_what_a_contender_says_of_itself_goes_before_what_is_said_for_all() -> None:
    assert sample(HERE, code="raise SystemExit(3)")["cpu_ms"] > 0
