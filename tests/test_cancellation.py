"""A slice of the cancels at every await: each kind of call and of job, in each way, at a few places."""

import pytest

from tests.cancellation import CALLS, JOBS, WAYS, cancel_everywhere, is_available

SLICE = [(f"{name} {answers}", 5) for name in CALLS for answers in ("accepted", "lost")]
SLICE += [(f"{name} accepted", 40) for name in JOBS]


@pytest.mark.parametrize(("name", "stride"), SLICE, ids=[name for name, _ in SLICE])
def test_a_cancel_comes_out_as_itself_and_what_is_stored_is_known(name: str, stride: int) -> None:
    number = [each for each, _ in SLICE].index(name)
    cancel_everywhere(name, WAYS[number % len(WAYS)], "jumping", first=number % stride, stride=stride)


@pytest.mark.parametrize("kind", ["uvloop", "eager"])
@pytest.mark.parametrize("name", ["create_and_wait accepted", "job bulk ndjson journal accepted"])
def test_on_other_loops(kind: str, name: str) -> None:
    if not is_available(kind):
        pytest.skip(f"this Python has no {kind}")
    cancel_everywhere(name, "scope", kind, first=3, stride=40)
