"""Creates whose ids the service makes: receipts carry no position, so they cannot be told apart."""

from collections.abc import Sequence

import pytest

from clinia_async import CreateResource, Disposition, Session
from clinia_async.ingest.senders.bulk_sender import AMBIGUOUS, NO_RECEIPT
from tests.hostile import Behaviour, Hostile, accepted, task
from tests.ingest.running import SOURCE, Ran, ran


def receipt(number: int, status: str, type_: str = "note") -> dict[str, object]:
    error = {"error": {"type": "INTERNAL"}} if status == "FAILURE" else {}
    about = {"targetType": "RESOURCE", "type": type_, "id": f"made-{number}"}
    return {"action": "CREATE", "status": status, **about, **error}


def answers(status: str, receipts: Sequence[object]) -> list[Behaviour]:
    ended = task(status, "bk_1", receipts)
    return [accepted("bk_1"), *[ended] * 3]


async def run_against(status: str, receipts: Sequence[object]) -> Ran:
    items = [CreateResource(SOURCE, "note", data={"n": number}) for number in range(3)]
    async with Hostile(script=answers(status, receipts)) as server:  # type: ignore[arg-type]
        async with Session(base_url=server.url, api_key="k") as session:
            found = await ran(session, items, via="bulk")
        assert server.count("POST") == 1, "what may be there is not sent again"
    return found


S, F = "SUCCESS", "FAILURE"


@pytest.mark.parametrize(
    ("status", "receipts", "reported", "reason"),
    [
        (S, [receipt(n, S) for n in range(3)], Disposition.SUCCEEDED, None),
        (F, [receipt(0, S), receipt(1, F), receipt(2, S)], Disposition.UNKNOWN, AMBIGUOUS),
        (F, [receipt(n, F) for n in range(3)], Disposition.FAILED, "INTERNAL"),
        (S, [receipt(0, S), receipt(1, S)], Disposition.UNKNOWN, NO_RECEIPT),
        (S, [receipt(n, S) for n in range(4)], Disposition.UNKNOWN, NO_RECEIPT),
        (S, [receipt(0, S), receipt(0, S), receipt(1, S)], Disposition.UNKNOWN, NO_RECEIPT),
        (S, [receipt(n, S, "other") for n in range(3)], Disposition.UNKNOWN, NO_RECEIPT),
        (S, [], Disposition.UNKNOWN, NO_RECEIPT),
    ],
)
async def test_what_their_receipts_do_not_prove_is_not_claimed(
    status: str, receipts: Sequence[object], reported: Disposition, reason: str | None
) -> None:
    found = await run_against(status, receipts)
    assert {(each.disposition, each.reason, each.attempts) for each in found.outcomes} == {
        (reported, reason, 1)
    }
    assert len(found.outcomes) == 3
