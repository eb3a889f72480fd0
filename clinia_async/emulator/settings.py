"""Answers to what the API's pages leave open, and limits."""

from collections.abc import Iterable

from attrs import field, frozen, validators

_positive = validators.ge(1)


def _names(names: Iterable[str]) -> frozenset[str]:
    return frozenset(names)


@frozen(kw_only=True)
class Settings:
    already_exists: int = 409
    """HTTP status of ALREADY_EXISTS; the reference page prints 400 beside it."""

    immutable_partition: tuple[str, int] = ("FAILED_PRECONDITION", 400)
    """Error type and HTTP status of a PUT on a partition that is ready."""

    body_limit: int = field(default=1024**2, validator=_positive)
    """Bytes in the body of a single write."""

    bulk_limit: int = field(default=256 * 1024**2, validator=_positive)
    """Bytes in the body of a bulk, which is held in memory; the service takes 5 GB."""

    host_names: frozenset[str] = field(default=(), converter=_names)
    """More names a client may call the emulator by in its Host header, without the port."""
