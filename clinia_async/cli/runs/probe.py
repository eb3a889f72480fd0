"""Requests of the doctor: sent once, over connections of a session, so that each answer is seen as it is."""

import json
from collections.abc import Mapping

from attrs import define, field, frozen

from clinia_async.calls import Request
from clinia_async.errors import RequestError, RequestTimeout, reason_of
from clinia_async.session.reachability import Probed, probe
from clinia_async.session.session import Session
from clinia_async.telemetry import Event, RequestEnded

_TIMEOUT = 5.0
MOST_REQUESTS = 30


@frozen
class Answer:
    """What came back for one GET. `problem` says in words why nothing did."""

    problem: str | None = None
    found: Probed = field(default=Probed(0, {}, b"", 0.0, 0.0, 0.0))

    @property
    def status(self) -> int:
        return self.found.status

    @property
    def headers(self) -> Mapping[str, str]:
        """With lower-case names."""
        return self.found.headers

    @property
    def document(self) -> object:
        """The body, if it is JSON, else None."""
        try:
            return json.loads(self.found.body)
        except (ValueError, RecursionError):
            return None


@define
class Prober:
    """Sends GETs, each once and within 5 seconds. Counts requests, those of other sessions too."""

    requests: int = 0

    @property
    def left(self) -> int:
        """How many requests may still be sent."""
        return MOST_REQUESTS - self.requests

    def count(self, event: Event) -> None:
        """Count a request of a session that this is an observer of."""
        self.requests += isinstance(event, RequestEnded)

    async def get(self, session: Session, request: Request) -> Answer:
        """Send a request over a connection of its own, and return what came of it."""
        if self.left <= 0:
            return Answer(f"not asked: {MOST_REQUESTS} requests were sent")
        self.requests += 1
        try:
            return Answer(found=await probe(session, request, within=_TIMEOUT))
        except RequestTimeout as error:
            return Answer(f"{reason_of(error)} ({_TIMEOUT:.0f} s)")
        except RequestError as error:
            return Answer(reason_of(error))
