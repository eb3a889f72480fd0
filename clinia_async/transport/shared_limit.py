"""One limit for many processes of a machine: the state of an `AdaptiveLimit`, and who holds what, in a file.

Each process holds a lock on a file of its own for as long as it lives, however it ends: what a dead one held
is free again. Requests of one kind take turns by process, and those of the background come after the others.
"""

import math
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from struct import Struct
from types import ModuleType

from attrs import define, field

from clinia_async.errors import ConfigError
from clinia_async.transport.adaptive_limit import AdaptiveLimit
from clinia_async.transport.forks import leave_in_forks
from clinia_async.transport.permits import LoadSignal, Permit

MEMBERS = 256
"""Processes that can share one limit."""
POLL = 0.005
"""Seconds between two reads of the file by a process that waits for the end of another one's request."""
_FRESH = 0.05
"""Seconds for which a process that waits keeps its turn when it is late to ask again."""
_REAP_EVERY = 0.5
_ACTIVE_FOR = 10.0
"""Seconds after its last request for which room is kept for a process that is not in the background."""
_USED = 0.94
"""The share of the rate that is used.

The service counts requests when they come. Of 40 a second, none is one too many while they take between 0 and
37 ms longer than others on their way, as on a busy machine; with 0.97 that was 5 ms.
"""
_LEFT_BY_BACKGROUND = 0.1
"""The share of the rate that the background leaves, while others are active."""

_MAGIC = b"clinia-1"
_STATE = Struct("=8sqqqddddddd")
_MEMBER = Struct("=??qqdddd")
_SIZE = _STATE.size + MEMBERS * _MEMBER.size


@define(eq=False)
class _Member:
    """What one process holds and waits for; times are those of the machine's monotonic clock."""

    is_there: bool = False
    background: bool = False
    in_flight: int = 0
    bytes: int = 0
    waits_since: float = math.inf
    waits_until: float = -math.inf
    """Until when it keeps its turn, unless it asks again."""
    active_until: float = -math.inf
    peak: float = 0.0
    """Requests in flight at most, of late."""

    def fields(self) -> tuple[object, ...]:
        return (
            self.is_there,
            self.background,
            self.in_flight,
            self.bytes,
            self.waits_since,
            self.waits_until,
            self.active_until,
            self.peak,
        )


@define(eq=False, repr=False)
class SharedLimit(AdaptiveLimit):
    """An `AdaptiveLimit` whose state is in a file; `throttles` are this process's own.

    Raises, when it is made:
        ConfigError: the file cannot be used, or as many processes share it as can.
    """

    path: Path = field(kw_only=True)
    background: bool = field(default=False, kw_only=True)
    _place: int = field(init=False)
    _state: int = field(init=False)
    _own: int = field(init=False)
    _memory: mmap.mmap = field(init=False)
    _members: list[_Member] = field(factory=list, init=False)
    _reap_at: float = field(default=-math.inf, init=False)
    _fcntl: ModuleType = field(init=False)
    _is_open: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        try:
            self._fcntl = import_module("fcntl")
            self._open()
        except ImportError:
            reason = "this system has no flock"
        except OSError as error:
            reason = error.strerror or type(error).__name__
        else:
            leave_in_forks(self, SharedLimit.leave_to_parent)
            return
        raise ConfigError(f"the file of a shared limit cannot be used: {reason}; name another")

    def admit(self, size: int, now: float) -> Permit | float:
        """Admit a request if it is this process's turn, or return when to ask again."""
        if not self._is_open:
            return math.inf
        with self._locked():
            if now >= self._reap_at:
                self._reap_at = now + _REAP_EVERY
                self._reap()
            own = self._members[self._place]
            at, last = self._turn(size, now, own), self._entered_at
            if at <= now:
                own.in_flight += 1
                own.bytes += size
                own.waits_since, own.waits_until = math.inf, -math.inf
                own.peak = max(own.peak if now < own.active_until else 0.0, own.in_flight)
                own.active_until = now + _ACTIVE_FOR
                permit = self.enter(size, now)
                self._entered_at = self._paced(last, now, own)
                return permit
            own.waits_since = min(own.waits_since, now) if now <= own.waits_until else now
            own.waits_until = at + _FRESH
            return at

    def leave(
        self, permit: Permit, signal: LoadSignal, now: float, *, retry_after: float | None = None
    ) -> None:
        """End a request that was admitted, and adapt the limit for all processes."""
        if not self._is_open:
            return
        with self._locked():
            own = self._members[self._place]
            own.in_flight -= 1
            own.bytes -= permit.size
            super().leave(permit, signal, now, retry_after=retry_after)

    def close(self) -> None:
        """Leave the file to the others. May be called again."""
        if self._is_open:
            with self._locked():
                self._members[self._place] = _Member()
                self._name(self._place).unlink(missing_ok=True)
            self.leave_to_parent()

    def leave_to_parent(self) -> None:
        """Give up what is open here, as in a fork of the process whose place it is.

        Else its place would not be free before the fork has ended, too.
        """
        if self._is_open:
            self._is_open = False
            self._memory.close()
            os.close(self._state)
            os.close(self._own)

    def _turn(self, size: int, now: float, own: _Member) -> float:
        """Return when a request may be sent, or when to ask again if that depends on other processes."""
        at = self.opens_at(size)
        if self.is_key_refused:
            return math.inf
        ahead = self._ahead(now, own)
        if at == math.inf or self.in_flight + 1 + ahead > self.limit:
            return now + POLL
        kept = self._kept(now) if own.background else 0.0
        in_background = sum(each.in_flight for each in self._members if each.background)
        if own.background and in_background + 1 > max(1.0, self.limit - kept):
            return now + POLL
        if self.limits.rate is None:
            return at
        if not own.background:
            # it need not wait for those that are spaced evenly: they wait longer instead
            return max(self._opens_at, self._entered_at + self._gap)
        spacing = self._spacing / (1 - _LEFT_BY_BACKGROUND if kept else 1.0)
        return max(self._opens_at, self._entered_at + max(self._gap, spacing)) + ahead * spacing

    @property
    def _spacing(self) -> float:
        return 0.0 if self.limits.rate is None else 1 / (self.limits.rate * _USED)

    def _paced(self, last: float, now: float, own: _Member) -> float:
        """Return from when on the next request is spaced, after one at `now` that followed one at `last`."""
        due = last + self._spacing
        if not own.background:
            return max(now, due)  # it may have come too soon: the next one of the background is later for it
        # what a process was late is made up for, by one request at most
        return min(now, max(due, now - self._spacing))

    def _ahead(self, now: float, own: _Member) -> int:
        """Return how many processes wait that come first."""
        ours = (own.background, own.waits_since if now <= own.waits_until else now, self._place)
        return sum(
            (each.background, each.waits_since, place) < ours
            for place, each in enumerate(self._members)
            if each is not own and each.waits_until >= now
        )

    def _kept(self, now: float) -> float:
        """Return for how many requests the background keeps room."""
        return sum(
            max(each.peak, 1.0) for each in self._members if not each.background and each.active_until > now
        )

    # ---------------------------------------------------------------- the file

    def _name(self, place: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{place}")

    def _open(self) -> None:
        self._state = _opened(self.path, os.O_CREAT)
        try:
            self._fcntl.flock(self._state, self._fcntl.LOCK_EX)
            if os.fstat(self._state).st_size == 0:
                os.ftruncate(self._state, _SIZE)
            self._memory = mmap.mmap(self._state, _SIZE)
            start = self._memory[: len(_MAGIC)]
            is_new = not any(start)  # or one was killed before it had written anything
            if not is_new and start != _MAGIC:
                raise ConfigError("the file of a shared limit is of another kind: name another")
            self._own = self._join(is_new=is_new)
            self._is_open = True
        except ValueError:  # the file is too short to be mapped
            raise ConfigError("the file of a shared limit is of another kind: name another") from None
        finally:
            if self._is_open:
                self._fcntl.flock(self._state, self._fcntl.LOCK_UN)
            else:
                os.close(self._state)

    def _join(self, *, is_new: bool) -> int:
        """Take the first free place; the first of all begins with a new state."""
        if not is_new:
            self._load()
            self._place = MEMBERS  # no place yet, so none is left out
            self._reap()
        if not any(each.is_there for each in self._members):
            self._members = []
            self._in_file_anew()
        free = (place for place, each in enumerate(self._members) if not each.is_there)
        self._place = next(free, len(self._members))
        if self._place >= MEMBERS:
            raise ConfigError(f"{MEMBERS} processes share the limit already: name another file")
        lock = _opened(self._name(self._place), os.O_CREAT)
        self._fcntl.flock(lock, self._fcntl.LOCK_EX | self._fcntl.LOCK_NB)
        del self._members[self._place : self._place + 1]
        self._members.insert(self._place, _Member(is_there=True, background=self.background))
        self._save()
        return lock

    def _in_file_anew(self) -> None:
        """Forget what processes that are gone have learned: it may be of another day."""
        self.limit, self._gap, self._proven = float(self.limits.start), 0.0, math.inf
        self._run = self._epoch = 0
        self._epoch_ends = self._opens_at = self._careful_until = self._entered_at = -math.inf

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._fcntl.flock(self._state, self._fcntl.LOCK_EX)
        try:
            self._load()
            yield
            self._save()
        finally:
            self._fcntl.flock(self._state, self._fcntl.LOCK_UN)

    def _load(self) -> None:
        _, count, self._run, self._epoch, limit, *times = _STATE.unpack_from(self._memory)
        self._gap, self._proven, self._epoch_ends, self._opens_at, *others = times
        self._careful_until, self._entered_at = others
        # a process may have been killed while it wrote, so it may be any number
        self.limit = max(float(self.limits.least), min(limit, float(self.limits.most)))
        end = _STATE.size + min(max(count, 0), MEMBERS) * _MEMBER.size
        self._members = [_Member(*each) for each in _MEMBER.iter_unpack(self._memory[_STATE.size : end])]
        self.in_flight = sum(each.in_flight for each in self._members)
        self.bytes_in_flight = sum(each.bytes for each in self._members)

    def _save(self) -> None:
        members = self._members
        content = b"".join(_MEMBER.pack(*each.fields()) for each in members)
        self._memory[_STATE.size : _STATE.size + len(content)] = content
        _STATE.pack_into(
            self._memory,
            0,
            _MAGIC,
            len(members),
            self._run,
            self._epoch,
            self.limit,
            self._gap,
            self._proven,
            self._epoch_ends,
            self._opens_at,
            self._careful_until,
            self._entered_at,
        )

    def _reap(self) -> None:
        """Free the places of processes that have ended without leaving."""
        for place, each in enumerate(self._members):
            if place != self._place and each.is_there and self._has_ended(place):
                self._members[place] = _Member()
                self.in_flight -= each.in_flight
                self.bytes_in_flight -= each.bytes

    def _has_ended(self, place: int) -> bool:
        try:
            lock = _opened(self._name(place), 0)
        except FileNotFoundError:
            return True
        try:
            self._fcntl.flock(lock, self._fcntl.LOCK_EX | self._fcntl.LOCK_NB)
            self._name(place).unlink(missing_ok=True)
        except BlockingIOError:
            return False
        finally:
            os.close(lock)
        return True


def _opened(path: Path, flags: int) -> int:
    return os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | flags, 0o600)
