"""When a write is executed: at once, or after a latency drawn from a seeded distribution."""

import math
from random import Random
from typing import Protocol, TypeVar, runtime_checkable

from attrs import Attribute, field, frozen

from clinia_async.emulator.validators import InstanceOf, Number

T = TypeVar("T")

_duration = Number(least=0)


@runtime_checkable
class Latency(Protocol):
    def draw(self, random: Random, /) -> float:
        """Return seconds of the event loop's clock."""
        ...


def check_latency(_: object, attribute: "Attribute[T]", value: T) -> None:
    """Raise `ValueError` for what is no latency, such as a number of seconds."""
    _check_latency(attribute.name, value)


def _check_latency(name: str, value: object) -> None:
    if isinstance(value, type) or not isinstance(value, Latency):
        rule = "must be a latency, such as Constant(0.05)"
        raise ValueError(f"{name} {rule}, not {type(value).__name__}")  # noqa: TRY004  as every wrong value


@frozen
class Constant:
    seconds: float = field(validator=_duration)

    def draw(self, _: Random, /) -> float:
        return self.seconds


@frozen
class LogNormal:
    """Log-normal by median in seconds: most are near it, few take far longer, by `sigma`."""

    median: float = field(validator=_duration)
    sigma: float = field(validator=_duration)

    def draw(self, random: Random, /) -> float:
        return self.median * math.exp(random.gauss(0.0, self.sigma))


@frozen
class Mixture:
    """One of several latencies, drawn by weight: `Mixture(((0.8, Constant(0.15)), (0.2, Constant(3))))`."""

    parts: tuple[tuple[float, Latency], ...] = field()

    @parts.validator
    def _check(self, _: object, parts: tuple[tuple[float, Latency], ...]) -> None:
        for weight, latency in parts:
            _duration.check("each of the weights", weight)
            _check_latency("each of the parts", latency)
        if not sum(weight for weight, _ in parts) > 0:
            raise ValueError("a mixture needs weights that are not negative and not all zero")

    def draw(self, random: Random, /) -> float:
        weights = [weight for weight, _ in self.parts]
        (chosen,) = random.choices([latency for _, latency in self.parts], weights)
        return chosen.draw(random)


@frozen
class Persisted:
    """The write is executed before it is answered: 201 or 200, with the record in the answer."""


@frozen
class Accepted:
    """The write is answered 202 and executed later, as behind a collection with a pipeline.

    Whether the record exists is checked twice. If it does when a create arrives, the answer is
    ALREADY_EXISTS and there is no task; if it was created in between, the task ends in FAILURE
    and its receipt says ALREADY_EXISTS. The same goes for NOT_FOUND and a change or a delete.

    While an accepted write to a record is pending, nothing is said about that record at arrival:
    the next write to it is accepted, and cancelled when its time comes, unless the setting
    `conflicts` says otherwise. So a create that is sent again because its answer was lost ends in
    CANCELLED, although the first one did create the record.
    """

    latency: Latency = field(default=Constant(0.2), validator=check_latency)


@frozen
class Review:
    """The write is accepted, goes through its pipeline, and then waits for a person.

    After the latency it is in review until `Emulator.approve` or `Emulator.reject` is called for its
    task. Either way its receipt says SUCCESS; only what was approved is stored.
    """

    latency: Latency = field(default=Constant(0.0), validator=check_latency)
    approved: bool | None = field(default=None, validator=InstanceOf(bool, optional=True))
    """The decision that a reviewer makes right after the latency; without it, the write waits."""


Mode = Persisted | Accepted | Review

is_mode = InstanceOf(Persisted, Accepted, Review)
"""A validator of fields that hold a mode."""


def from_text(text: str) -> Latency:
    """Parse a latency: `0.05` seconds, or log-normal by median and sigma such as `0.05~0.8`.

    Raises:
        ValueError: the text is no latency."""
    median, *sigma = text.split("~")
    try:
        return LogNormal(float(median), float(*sigma)) if sigma else Constant(float(median))
    except (TypeError, ValueError):
        pass
    raise ValueError("a latency is SECONDS or MEDIAN~SIGMA, finite and not negative")
