"""Values that must not be printed: the API key, and the ids of records about people."""

import os
from hashlib import blake2b
from typing import NoReturn

_SALT = os.urandom(16)


class Secret:
    """A text that cannot be printed, compared, copied or pickled; `reveal` returns it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the secret as text: for the header of a request, and not for logs."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret can be neither copied nor pickled, nor can a session, which holds one")


def fingerprint(identifier: object) -> str:
    """Return eight hex digits that identify a text within this process and do not reveal it.

    The hash is keyed with a random salt: an unkeyed hash of a medical record number is inverted in seconds.
    """
    text = str(identifier).encode("utf-8", "surrogatepass")
    return "#" + blake2b(text, key=_SALT, digest_size=4).hexdigest()


def trace_without_text(error: BaseException) -> str:
    """Return where an error was raised and its class: its text may quote a record or a key."""
    from traceback import format_tb  # noqa: PLC0415  for a fault alone

    return "".join(format_tb(error.__traceback__)) + type(error).__name__
