"""What all events have in common."""

from typing import ClassVar

from attrs import frozen

from clinia_async.models.value import EqualByFields


@frozen(kw_only=True, eq=False, repr=False)
class Event(EqualByFields):
    """Something that happened. `logger` is the logger it goes to, below `clinia_async`."""

    logger: ClassVar[str]
    level: ClassVar[int] = 10
    """A level of `logging`."""
