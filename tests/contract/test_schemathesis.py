"""A short campaign; `python -m tests.contract.campaign --examples 2000` is a long one."""

import re
import sys

import pytest

from .campaign import Campaign, answered, report, serving
from .contract import Contract

pytestmark = pytest.mark.campaign

TOLERATED = re.compile(
    # Nothing says that the service refuses parameters it does not know.
    r"\w+: request query \*: no such parameter"
)
"""Requests that the document calls wrong and the emulator may take all the same."""


def test_emulator_keeps_the_contract(capsys: pytest.CaptureFixture[str]) -> None:
    """Every operation of the document whose route exists, twenty times."""
    contract = Contract.load()
    with serving() as emulator:
        names = answered(contract, emulator)
        campaign = Campaign(contract=contract, emulator=emulator)
        campaign.run(list(names), examples=20)
    missing = sorted(contract.operations.keys() - names.keys())
    if missing:
        with capsys.disabled():
            sys.stdout.write(f"\nno route in the emulator yet: {', '.join(missing)}\n")
    reached = {id_ for id_, _ in campaign.answers}
    assert reached == names.keys(), report(campaign, names)
    assert not campaign.faults, report(campaign, names)
    lenient = [f"{id_}: {fault}" for id_, fault in campaign.lenient]
    assert [fault for fault in lenient if not TOLERATED.fullmatch(fault)] == [], report(campaign, names)
