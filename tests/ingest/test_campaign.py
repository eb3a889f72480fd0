"""A slice of the campaign; what it once found and is mended is among it."""

from pathlib import Path

import pytest

from tests.ingest.campaign import played

FOUND = (0, 5, 6, 7, 14, 16, 23, 27, 32, 33, 41)
"""Seeds that told of a fault: a lost bundle, waiting workers, a forgotten fence, uncounted repeats."""


@pytest.mark.campaign
@pytest.mark.parametrize("seed", [*FOUND, *range(100, 130)])
async def test_every_claim_of_a_job_is_what_the_emulator_did(seed: int, tmp_path: Path) -> None:
    await played(seed, tmp_path)
