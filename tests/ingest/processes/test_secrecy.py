"""Neither a key nor a record is in what the processes of a job say of each other."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from clinia_async import ProcessIngestion
from clinia_async.ingest.processes.frames import WorkerOrder
from clinia_async.ingest.records.input_part import InputPart
from tests.factories import SOURCE

CANARY = "canary-4711"


def broken_input(passed_over: object) -> Sequence[object]:
    raise ValueError(CANARY)


def test_an_order_shows_no_credential() -> None:
    part, letters = InputPart(0, 1), Path("dead.ndjson")
    order = WorkerOrder(part, SOURCE, broken_input, letters, {}, {"token": CANARY}, CANARY)  # type: ignore[arg-type]
    assert CANARY not in repr(order)


def test_an_error_of_a_process_is_reported_without_its_text(tmp_path: Path) -> None:
    job = ProcessIngestion(
        [tmp_path / "records.ndjson"],
        SOURCE,
        processes=1,
        dead_letters=tmp_path / "dead.ndjson",
        session={"base_url": "http://127.0.0.1:9", "api_key": "k"},
        open_input=broken_input,  # type: ignore[arg-type]
    )
    with pytest.raises(RuntimeError, match=r"broken_input\n.*\nValueError$") as caught:
        asyncio.run(job.run())  # in real time, as the process that it waits for is
    assert CANARY not in str(caught.value)
