"""One limit for several processes: one budget, in turn, the background last, and nothing held by the dead."""

import math
import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from clinia_async import ConcurrencyLimits, ConfigError
from clinia_async.transport.permits import LoadSignal, Permit
from clinia_async.transport.shared_limit import SharedLimit

ROOT = Path(__file__).parents[2]

GOOD, THROTTLED = LoadSignal.GOOD, LoadSignal.THROTTLED


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "limit"


def member(path: Path, *, background: bool = True, **limits: float) -> SharedLimit:
    given = {"start": 4, "most": 4, **limits}
    return SharedLimit(ConcurrencyLimits(**given), path=path, background=background)  # type: ignore[arg-type]


def enter(limit: SharedLimit, now: float) -> Permit:
    permit = limit.admit(100, now)
    assert isinstance(permit, Permit)
    return permit


def wait(limit: SharedLimit, now: float) -> float:
    at = limit.admit(100, now)
    assert not isinstance(at, Permit)
    return at


def test_what_one_holds_the_others_cannot(path: Path) -> None:
    one, two = member(path), member(path)
    permits = [enter(one, 0.0) for _ in range(3)]
    enter(two, 0.0)
    assert wait(two, 0.0) > 0.0
    assert (two.in_flight, two.bytes_in_flight) == (4, 400)
    permits[0].leave(GOOD, 0.1)
    enter(two, 0.1)
    one.close()
    two.close()
    assert not [*path.parent.glob("limit.*")]


def test_processes_take_turns(path: Path) -> None:
    limits = [member(path, start=1, most=1) for _ in range(3)]
    permit, now = enter(limits[0], 0.0), 0.0
    served = []
    for each in limits:
        wait(each, now)
    for _ in range(9):
        permit.leave(GOOD, now)
        now += 0.01
        for number in (2, 1, 0):  # whoever asks first
            found = limits[number].admit(100, now)
            if isinstance(found, Permit):
                permit = found
                served.append(number)
                wait(limits[number], now)
                break
    assert served == [0, 1, 2] * 3
    for each in limits:
        each.close()


def test_one_that_no_longer_asks_loses_its_turn(path: Path) -> None:
    one, two = member(path, start=1, most=1), member(path, start=1, most=1)
    permit = enter(one, 0.0)
    wait(two, 0.0)
    permit.leave(GOOD, 0.0)
    assert wait(one, 0.01) > 0.01
    enter(one, 1.0)
    one.close()
    two.close()


def test_a_rate_is_that_of_all_together(path: Path) -> None:
    limits = [member(path, rate=40.0, start=32, most=32) for _ in range(8)]
    due, times = [0.0] * 8, []
    for step in range(4000):
        now = step * 0.001
        for number, each in enumerate(limits):
            if due[number] <= now:
                found = each.admit(100, now)
                if isinstance(found, Permit):
                    times.append((now, number))
                    found.leave(GOOD, now)
                else:
                    due[number] = found
    for chance in map(Random, range(8)):
        arrivals = sorted(at + chance.uniform(0, 0.035) for at, _ in times)  # as on a busy machine
        seconds = [after - before for before, after in zip(arrivals, arrivals[40:], strict=False)]
        assert min(seconds) > 1.0, "no second has more than 40"
    assert len(times) >= 0.92 * 40 * 4
    counts = [sum(by == number for _, by in times) for number in range(8)]
    assert max(counts) - min(counts) <= 1
    for each in limits:
        each.close()


def test_the_background_comes_last_and_leaves_room(path: Path) -> None:
    job, service = member(path), member(path, background=False)
    permit = enter(service, 0.0)
    permit.leave(GOOD, 0.0)
    for _ in range(3):
        enter(job, 0.0)
    assert wait(job, 0.0) > 0.0  # the service was active, and would have to wait otherwise
    enter(service, 0.1)
    assert wait(job, 60.0) > 60.0  # all four are taken
    job.close()
    service.close()


def test_a_service_does_not_wait_for_the_rate_and_the_background_pays(path: Path) -> None:
    job, service = member(path, rate=10.0), member(path, background=False, rate=10.0)
    enter(job, 0.0)
    enter(job, 0.0)  # one is for what it may have been late
    alone = wait(job, 0.01)
    enter(service, 0.02)
    assert wait(job, 0.03) - alone >= 0.1
    job.close()
    service.close()


def test_a_throttle_is_learned_by_all(path: Path) -> None:
    one, two = member(path), member(path)
    enter(one, 0.0).leave(THROTTLED, 0.0, retry_after=2.0)
    assert wait(two, 0.1) >= 2.0
    assert two.limit == 1.0
    assert (one.throttles, two.throttles) == (1, 0)
    one.close()
    two.close()


def test_what_a_killed_process_held_is_free_again(path: Path) -> None:
    killed, one = member(path, start=1, most=1), member(path, start=1, most=1)
    enter(killed, 0.0)
    assert wait(one, 0.1) > 0.1
    os.close(killed._own)  # as the system does at the end of a process
    assert wait(one, 0.2) > 0.2  # it is not looked for at every request
    enter(one, 1.0)
    one.close()
    os.close(killed._state)


def test_nothing_is_kept_for_the_first_of_another_day(path: Path) -> None:
    one = member(path)
    enter(one, 1000.0).leave(THROTTLED, 1000.0, retry_after=1000.0)
    one.close()
    two = member(path)
    enter(two, 1.0)
    two.close()


def test_numbers_that_were_cut_off_do_no_harm(path: Path) -> None:
    one = member(path)
    one.limit = math.nan
    one._save()
    enter(one, 0.0)
    assert 1.0 <= one.limit <= 4.0
    one.close()


def test_a_file_that_was_made_and_never_written_is_begun_anew(path: Path) -> None:
    member(path).close()
    path.write_bytes(bytes(path.stat().st_size))
    one = member(path)
    enter(one, 0.0)
    one.close()


@pytest.mark.parametrize("content", [b"x", b"x" * 100_000])
def test_another_file_is_refused(content: bytes, path: Path) -> None:
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="of another kind"):
        member(path)
    assert path.read_bytes() == content


def test_a_file_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        member(tmp_path / "missing" / "limit")


def test_after_the_end_nothing_is_admitted(path: Path) -> None:
    one = member(path)
    permit = enter(one, 0.0)
    one.close()
    one.close()
    permit.leave(GOOD, 0.0)
    assert one.admit(1, 0.0) == math.inf


PARENT = """
import os, signal, sys
from pathlib import Path
from clinia_async import ConcurrencyLimits
from clinia_async.transport.shared_limit import SharedLimit

limit = SharedLimit(ConcurrencyLimits(start=1, most=1), path=Path(sys.argv[1]))
limit.admit(100, 0.0)
if os.fork():
    signal.pause()
limit.close()  # the copy alone
assert limit.admit(100, 0.0) == float("inf")
print("closed", flush=True)
sys.stdin.read()  # it outlives the parent
"""


def test_a_fork_neither_gives_up_a_place_nor_keeps_it(path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", PARENT, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        try:
            assert parent.stdout is not None
            assert parent.stdout.readline() == b"closed\n"
            one = member(path, start=1, most=1)
            assert wait(one, 0.0) > 0.0
        finally:
            parent.kill()
            parent.wait()
        enter(one, 1.0)
        one.close()
