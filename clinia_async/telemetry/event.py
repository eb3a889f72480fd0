"""What all events have in common."""

from typing import ClassVar

from attrs import frozen


@frozen(kw_only=True)
class Event:
    """Something that happened. `logger` is the logger it goes to, below `clinia_async`."""

    logger: ClassVar[str]
    level: ClassVar[int] = 10
    """A level of `logging`."""
