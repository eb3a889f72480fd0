"""What the owner of an emulator may ask of one that runs in another process."""

from collections import Counter
from collections.abc import Mapping

from aiohttp import web
from attrs import field, frozen

from clinia_async.emulator.access import answer
from clinia_async.emulator.bodies.operation import RELATIONSHIP, RESOURCE
from clinia_async.emulator.store.registry import Registry

from .faults import Faults

INSPECTION = "inspection"
"""The name of its route, which no fault strikes, nobody counts and no listener hears of."""

PATH = "/emulator"
"""Outside of the API's paths; there only if the emulator was told so."""


@frozen(kw_only=True)
class Inspection:
    registry: Registry
    faults: Faults
    requests: Mapping[str, int] = field(repr=False)

    async def show(self, _: web.Request) -> web.Response:
        """Counts only: the file that a registry is kept in is locked while it runs."""
        played = Counter[str]()
        for fault, times in self.faults.played.items():
            played[type(fault).__name__] += times
        counts = {
            "absorbed": self.registry.absorbed(),
            "relationships": self.registry.count(RELATIONSHIP),
            "resources": self.registry.count(RESOURCE),
            "tasks": self.registry.tasks(),
            "requests": self.requests,
            "faults": played,
        }
        return answer(counts)
