"""The fault matrix: 126 rows, each a test whose id is the row's number."""

import asyncio
import logging
import sys
from pathlib import Path

import pytest

from tests.matrix import (  # noqa: F401  each fills the table
    answer_rows,
    input_rows,
    process_rows,
    transport_rows,
)
from tests.matrix.stage import NOT_HERE, ROWS, Stage, assert_no_canary

pytestmark = pytest.mark.off_contract
LAST = 126
LONG = {28, 29, 66, 74, *range(101, 111), 115, 118, 119, 121, 126}
"""Rows of many steps or of processes of their own."""
NUMBERS = [pytest.param(row, marks=pytest.mark.campaign) if row in LONG else row for row in sorted(ROWS)]


@pytest.mark.parametrize("number", NUMBERS)
async def test_row(
    number: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    asyncio.get_running_loop().set_debug(True)
    stage = Stage(tmp_path, monkeypatch)
    await ROWS[number].play(stage)
    assert_no_canary([caplog.text, *capfd.readouterr(), *stage.shown])


def test_every_row_is_tested_or_says_why_not(capsys: pytest.CaptureFixture[str]) -> None:
    told = {each.number for each in NOT_HERE}
    assert sorted(ROWS.keys() | told) == list(range(1, LAST + 1))
    assert all(each.reason for each in NOT_HERE)
    with capsys.disabled():
        for each in sorted(NOT_HERE, key=lambda one: one.number):
            part = " (in part)" if each.number in ROWS else ""
            sys.stdout.write(f"\nrow {each.number}{part}, {each.fault}: not tested here: {each.reason}")
