"""Whether a look at a bulk pays off as soon as it is accepted."""

from attrs import define


@define(eq=False, repr=False)
class EarlyPollBackoff:
    """A look at once spares a fast service's callers the wait for the first planned one.

    While such looks find nothing they are taken ever more seldom.
    """

    in_vain: int = 0
    skipping: int = 0

    def is_of_use(self) -> bool:
        self.skipping -= 1
        return self.skipping < 0

    def found(self, *, ended: bool) -> None:
        self.in_vain = 0 if ended else min(self.in_vain + 1, 6)
        self.skipping = 2**self.in_vain - 1
