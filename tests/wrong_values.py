"""Values that no argument is meant to be, and that a caller may give all the same."""

import enum
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

SECRET = "hba1c-9-4"
"""What stands for health data: no error may show it."""


@dataclass
class OfTheCaller:
    """A value of a class that only the caller knows; one of pydantic is like it."""

    id: str = SECRET


class Colour(enum.Enum):
    RED = SECRET


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


def _nested() -> object:
    value: object = {}
    for _ in range(3000):
        value = {"a": value}
    return value


def _endless() -> object:
    value: dict[str, object] = {}
    value["a"] = value
    return value


WRONG: dict[str, Callable[[], object]] = {
    "None": lambda: None,
    "True": lambda: True,
    "0": lambda: 0,
    "-1": lambda: -1,
    "1.5": lambda: 1.5,
    "nan": lambda: math.nan,
    "huge": lambda: 10**5000,
    "complex": lambda: 1j,
    "empty text": str,
    "text": lambda: f"{SECRET} ",
    "long": lambda: "x" * 5000,
    "lone surrogate": lambda: "a\ud800",
    "nul": lambda: "a\0",
    "bad json": lambda: f'{{"{SECRET}":',
    "bytes": SECRET.encode,
    "bad bytes": lambda: b"\xff",
    "path": lambda: Path("/no/such") / SECRET,
    "list": lambda: [SECRET],
    "list of None": lambda: [None],
    "list of dicts": lambda: [{}],
    "set": lambda: {SECRET},
    "generator": lambda: (each for each in [SECRET]),
    "empty dict": dict,
    "dict of a set": lambda: {"a": {SECRET}},
    "dict of bytes": lambda: {"a": SECRET.encode()},
    "dict of nan": lambda: {"a": math.nan},
    "dict of a surrogate": lambda: {"a": "\ud800"},
    "dict of a surrogate key": lambda: {"\ud800": SECRET},
    "dict of a huge number": lambda: {"a": 10**5000},
    "dict of a value of the caller": lambda: {"a": OfTheCaller()},
    "dict of a naive datetime": lambda: {"a": datetime(2020, 1, 1)},  # noqa: DTZ001
    "dict of numbers": lambda: {1: SECRET},
    "dict of None": lambda: {None: SECRET},
    "nested": _nested,
    "endless": _endless,
    "value of the caller": OfTheCaller,
    "enum": lambda: Colour.RED,
    "class": lambda: OfTheCaller,
    "function": lambda: len,
    "unprintable": Unprintable,
    "datetime": lambda: datetime(2020, 1, 1),  # noqa: DTZ001
    "date": lambda: date(2020, 1, 1),
    "timedelta": lambda: timedelta(1),
    "decimal": lambda: Decimal("nan"),
    "exception": lambda: ValueError(SECRET),
    "module": lambda: enum,
}
