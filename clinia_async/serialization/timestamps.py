"""Timestamps in the form of RFC 3339."""

import re
from datetime import UTC, date, datetime

_TIME = r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)"

_SHORTEST = len("2025-05-13T14:03:21.1Z")
_WHOLE_SECONDS = len("2025-05-13T14:03:21Z")


def parse(text: object) -> datetime:
    """Parse a timestamp with any number of fraction digits; those below a microsecond are dropped.

    Raises:
        ValueError: it is none. The error has no text.
    """
    match = re.fullmatch(_TIME, text, re.ASCII) if isinstance(text, str) else None
    if match is None:
        raise ValueError
    day, time, fraction, zone = match.groups()
    micros = (fraction or "0")[:6].ljust(6, "0")  # finer than datetime holds: cut, as the rest of Python does
    return datetime.fromisoformat(f"{day}T{time}.{micros}{'+00:00' if zone in 'Zz' else zone}")


def parse_fast(text: object) -> datetime:
    """Parse a form that services write, `2025-05-13T14:03:21.123Z` or without a fraction.

    Raises:
        ValueError: it is any other form. The error has no text.
    """
    # Python reads more forms than RFC 3339 has, but none of the others has these marks in these places.
    if type(text) is not str or text[-1:] != "Z":
        raise ValueError
    marks = text[4:20:3]
    if (marks == "--T::." and len(text) >= _SHORTEST) or (marks == "--T::Z" and len(text) == _WHOLE_SECONDS):
        return datetime.fromisoformat(text)
    raise ValueError


def text_of(moment: datetime) -> str:
    """Format a time in UTC. `moment` needs a timezone."""
    text = moment.astimezone(UTC).isoformat(timespec="microseconds" if moment.microsecond else "seconds")
    return text.replace("+00:00", "Z")


def text_of_data(value: date) -> str:
    """Format a date, or a datetime with a timezone, that is part of a record's data: its offset is kept."""
    offset = value.utcoffset() if isinstance(value, datetime) else None
    if isinstance(value, datetime) and offset is not None and offset.total_seconds() % 60:
        return text_of(value)  # RFC 3339 has no seconds in an offset
    return value.isoformat().replace("+00:00", "Z")
