"""The campaign of mutations, and the same of the receipts that a job reads."""

from pathlib import Path
from typing import Any

import pytest

from clinia_async import Disposition
from tests.ingest.running import writes
from tests.matrix.answer_rows import IDS, job, receipt_of
from tests.matrix.stage import Stage
from tests.mutations import KINDS, campaign, mutated, places

pytestmark = pytest.mark.off_contract
RECEIPT = receipt_of(
    IDS[1], receivedAt="2025-05-13T14:03:21Z", completedAt="2025-05-13T14:03:22Z", taskId="bk_1"
)
FAILED = RECEIPT | {
    "status": "FAILURE",
    "error": {"code": 400, "message": "no", "type": "INVALID_ARGUMENT", "details": [{"type": "X"}]},
}


def test_no_field_alters_an_outcome_that_it_is_no_part_of() -> None:
    result = campaign()
    assert result.changed == []
    assert result.escaped == []
    assert result.made > 5_000


@pytest.mark.parametrize("receipt", [RECEIPT, FAILED], ids=["stored", "failed"])
async def test_an_unreadable_receipt_costs_its_own_record(
    receipt: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(tmp_path, monkeypatch)
    assert len(writes(3)) == 3
    for place in places(receipt):
        for new in KINDS.values():
            receipts = [receipt_of(IDS[0]), mutated(receipt, place, new), receipt_of(IDS[2])]
            found, server = await job(stage, "SUCCESS" if receipt is RECEIPT else "FAILURE", receipts)
            reported = {each.line: each.disposition for each in found.outcomes}
            assert reported[1] == reported[3] == Disposition.SUCCEEDED, place
            if receipt is FAILED:
                assert not reported[2].has_landed, place
            assert server.count("POST") <= 4, place
