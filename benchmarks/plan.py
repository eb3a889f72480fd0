"""How a command is to be run."""

from attrs import frozen

from benchmarks.stub import Stub


@frozen
class Plan:
    stub: Stub
    rounds: int | None = None
    quick: bool = False
    million: bool = False

    def times(self, full: int, quick: int) -> int:
        """How many rounds: as asked for, or as many as this takes."""
        return self.rounds or (quick if self.quick else full)

    def size(self, full: int, quick: int) -> int:
        return quick if self.quick else full
