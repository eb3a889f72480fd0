"""Pages of the emulator's own: counts for its owner in another process, and a window for a browser."""

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from aiohttp import web
from attrs import field, frozen
from orjson import dumps

from clinia_async.emulator.access import AccessPolicy
from clinia_async.emulator.bodies.operation import RELATIONSHIP, RESOURCE
from clinia_async.emulator.chaos import Faults
from clinia_async.emulator.exchange import Reply
from clinia_async.emulator.store.registry import Registry

Page = Callable[[web.BaseRequest], Reply]
"""Raises `ApiError` for a request that is not let in."""

COUNTS_PATH = "/emulator"
"""Outside of the API's paths."""

_HTML = Path(__file__).with_name("window.html")
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self';"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


@frozen(kw_only=True)
class Inspection:
    access: AccessPolicy
    registry: Registry
    faults: Faults
    requests: Mapping[str, int] = field(repr=False)

    def counts(self, request: web.BaseRequest) -> Reply:
        """Answer with counts only, to clients that have the key."""
        self.access.check(request)
        counts = {
            "duplicateCreates": self.registry.duplicate_creates(),
            "relationships": self.registry.count(RELATIONSHIP),
            "resources": self.registry.count(RESOURCE),
            "tasks": self.registry.tasks(),
            "requests": dict(self.requests),
            "faults": self._played(),
        }
        return Reply(status=200, body=dumps(counts))

    def window(self, token: str, *, contents: bool) -> dict[str, Page]:
        """Return the pages of the window by their paths, which nobody knows without the token."""
        return {
            f"/window/{token}": self._page,
            f"/window/{token}/state": lambda request: self._state(request, contents=contents),
        }

    def _page(self, request: web.BaseRequest) -> Reply:
        self.access.check_origin(request)
        return Reply(
            status=200, body=_HTML.read_bytes(), headers=_HEADERS, content_type="text/html; charset=utf-8"
        )

    def _state(self, request: web.BaseRequest, *, contents: bool) -> Reply:
        self.access.check_origin(request)
        state = {
            **self.registry.overview(contents=contents),
            "requests": dict(self.requests),
            "faults": self._played(),
        }
        return Reply(status=200, body=dumps(state), headers={"Cache-Control": "no-store"})

    def _played(self) -> dict[str, int]:
        played = Counter[str]()
        for fault, times in self.faults.played.items():
            played[type(fault).__name__] += times
        return dict(played)
