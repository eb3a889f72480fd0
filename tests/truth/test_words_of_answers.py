"""What an answer holds in place of a word of the API may quote a record: no error and no log shows it."""

import logging
from typing import Any

import pytest

from clinia_async import CliniaError
from clinia_async.models import ErrorType, TaskStatus
from tests.factories import FROM, ID, ONCE, SOURCE, TO, create, receipt, session_at, write
from tests.hostile import Hostile, accepted, answer, by_target, task
from tests.ingest import running

PERSON = "Ana CANARY, born 1980-02-29"
WORDS = {"status": PERSON, "action": PERSON, "targetType": PERSON}
BAD = receipt("FAILURE") | {"error": {"type": PERSON, "message": PERSON, "details": [{"type": PERSON}]}}
QUOTING: dict[str, Any] = {
    "type of an error": [task("FAILURE", receipts=[BAD])],
    "type of an error in a bulk": [task("FAILURE", "bk_1", receipts=[BAD])],
    "status of a task": [answer({"status": PERSON, "taskId": "s_1"}), task("FAILURE", receipts=[BAD])],
    "words of a receipt": [task("FAILURE", receipts=[BAD | WORDS])],
    "status of a review": [task("SUCCESS", receipts=[receipt("SUCCESS", pipelineExecution=WORDS)])],
}


@pytest.mark.parametrize("case", QUOTING)
async def test_no_error_and_no_log_quotes_what_stands_for_a_word(
    case: str, caplog: pytest.LogCaptureFixture
) -> None:
    is_bulk = case.endswith("bulk")
    script = by_target(
        {
            "/tasks/": QUOTING[case],
            "GET": [answer({"type": "NOT_FOUND"}, 404)],
            "": [accepted("bk_1" if is_bulk else "s_1")],
        }
    )
    caplog.set_level(logging.DEBUG, logger="clinia_async")
    shown = []
    async with Hostile(otherwise=script) as server, session_at(server, retry=ONCE) as session:
        made = await (session.bulk(SOURCE, [write()]) if is_bulk else create(session))
        with pytest.raises(CliniaError) as caught:
            await made
        shown += [str(caught.value), repr(caught.value), repr(made), repr(await made.wait())]
        shown += [repr(each) for each in getattr(caught.value, "failed_receipts", ())]
        found = await running.ran(
            session, [running.write(FROM.id, TO.id)], via="bulk" if is_bulk else "single", patience=1.0
        )
        shown += [f"{each.reason} {each!r}" for each in found.outcomes] + [str(found.report)]
    assert "CANARY" not in "\n".join([*shown, caplog.text])
    assert ID not in caplog.text


@pytest.mark.parametrize("value", ["SOMETHING_NEW", "SomethingNew", "", *ErrorType])
def test_a_word_is_shown_whether_it_is_known_or_not(value: str) -> None:
    assert ErrorType(value).shown == value
    assert repr(str(value)) in repr(ErrorType(value))


@pytest.mark.parametrize("value", [PERSON, "a b", "1980-02-29", "x" * 65, "é", "a\nb", "prac-1.org-9"])
def test_what_is_no_word_is_kept_and_not_shown(value: str) -> None:
    word = TaskStatus(value)
    assert (word, word.shown) == (value, "UNKNOWN")
    assert value not in repr(word)
