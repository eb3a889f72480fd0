"""Counts of an emulator, for its owner in another process."""

from collections import Counter
from collections.abc import Mapping

from attrs import field, frozen

from clinia_async.emulator.bodies.operation import RELATIONSHIP, RESOURCE
from clinia_async.emulator.chaos import Faults
from clinia_async.emulator.exchange import Answer, Request
from clinia_async.emulator.routes import Route
from clinia_async.emulator.store.registry import Registry

ROUTE = Route("inspection", "GET", "/emulator", "")
"""Outside of the API's paths; there only if the emulator is set so."""


@frozen(kw_only=True)
class Inspection:
    registry: Registry
    faults: Faults
    requests: Mapping[str, int] = field(repr=False)

    def show(self, _: Request) -> Answer:
        """Answer with counts only: the file that a registry is kept in is locked while it runs."""
        played = Counter[str]()
        for fault, times in self.faults.played.items():
            played[type(fault).__name__] += times
        return Answer(
            {
                "duplicateCreates": self.registry.duplicate_creates(),
                "relationships": self.registry.count(RELATIONSHIP),
                "resources": self.registry.count(RESOURCE),
                "tasks": self.registry.tasks(),
                "requests": dict(self.requests),
                "faults": dict(played),
            }
        )
