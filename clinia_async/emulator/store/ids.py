"""Ids of the service's form: 27 letters and digits, decided by the seed."""

import re
from functools import lru_cache
from hashlib import blake2b
from itertools import count
from string import ascii_letters, digits

_DIGITS = digits + ascii_letters
_ANY_BYTE = (_DIGITS * 5)[:256].encode()
_LENGTH = 27
_NUMBER_LENGTH = 7
_TASK = re.compile(r"(?:[a-z]+_|purge:)?([0-9A-Za-z]{7})[0-9A-Za-z]{20}", re.ASCII)


class Ids:
    """Tasks have numbers; their ids begin with them, so that a task is found without an index."""

    def __init__(self, seed: int, last: int) -> None:
        self._seed = seed
        self._last = last
        self._records = count()

    @property
    def last(self) -> int:
        """Return the number of the latest task."""
        return self._last

    def reset(self) -> None:
        self._last = 0
        self._records = count()

    def task(self, prefix: str) -> tuple[int, str]:
        """Return a new number, and the id of its task."""
        self._last += 1
        rest = self._digest(f"{self._last}", _LENGTH - _NUMBER_LENGTH)
        return self._last, f"{prefix}{_base62(self._last)}{rest}"

    def record(self) -> str:
        """Return a new id. It is new after a restart too, for every stored record has used up a number."""
        return self._digest(f"{self._last}:{next(self._records)}", _LENGTH)

    def execution(self, number: int, index: int) -> str:
        """Return the id of the pipeline execution of an operation."""
        return self._digest(f"{number}:{index}:execution", _LENGTH)

    def _digest(self, what: str, length: int) -> str:
        digest = blake2b(f"{self._seed}:{what}".encode(), digest_size=length).digest()
        return digest.translate(_ANY_BYTE).decode()


def number_of(id_: str) -> int:
    """Return the number that a task's id begins with, or 0, which no task has, for any other text."""
    if not (ours := _TASK.fullmatch(id_)):
        return 0
    return sum(_DIGITS.index(figure) * 62**place for place, figure in enumerate(reversed(ours[1])))


def names(id_: str, asked: str) -> bool:
    """Return whether a task is meant by an id, or by the deprecated form of its id."""
    prefix, _, bare = id_.partition("_")
    old = {"bk": bare, "bd": bare, "pg": f"purge:{bare}"}
    return asked in (id_, old.get(prefix))


def _base62(number: int) -> str:
    upper, figure = divmod(number, 62)
    return f"{_upper(upper)}{_DIGITS[figure]}"


@lru_cache(1)
def _upper(number: int) -> str:
    """Return all digits but the last, which alone differs from one number to the next."""
    figures = ""
    while number:
        number, figure = divmod(number, 62)
        figures = _DIGITS[figure] + figures
    return figures.rjust(_NUMBER_LENGTH - 1, "0")
