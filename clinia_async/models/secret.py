"""What must never be printed: the key, and the ids of people's records."""

import os
from hashlib import blake2b
from typing import NoReturn

_SALT = os.urandom(16)


class Secret:
    """A value that reaches the wire and nothing else: it cannot be printed, compared, copied or pickled."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret can be neither copied nor pickled")


def fingerprint(identifier: object) -> str:
    """Eight hex digits that tell two ids apart within this process and say nothing about them.

    Keyed with a random salt: a plain hash of a medical record number is undone in seconds.
    """
    text = str(identifier).encode("utf-8", "surrogatepass")
    return "#" + blake2b(text, key=_SALT, digest_size=4).hexdigest()
