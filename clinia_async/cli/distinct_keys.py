"""How many keys there are in an input of any size, exactly, and with little memory."""

import os
import tempfile
from contextlib import ExitStack
from hashlib import blake2b
from types import TracebackType
from typing import IO, Self

from clinia_async.errors import ConfigError
from clinia_async.models.batch_result import Key

_SHARES = 64
_IN_MEMORY = 64 * 1024
_DIGEST = 16


class DistinctKeys:
    """Counts keys by their digests, in 64 shares of which each is counted by itself.

    A share beyond 64 KiB goes to a temporary file: 16 bytes a key, and no key can be told from them.
    So 4 MiB of memory hold the first quarter of a million keys, and counting takes 1.5 MB for each
    further million. Two keys in 2**64 or so would have to be there to be taken for one.
    """

    def __init__(self) -> None:
        self.added = 0
        self._secret = os.urandom(32)
        self._open = ExitStack()
        self._shares: list[IO[bytes]] = [
            self._open.enter_context(tempfile.SpooledTemporaryFile(_IN_MEMORY))  # noqa: SIM115
            for _ in range(_SHARES)
        ]

    def add(self, key: Key) -> None:
        target, type_, id_ = key
        text = f"{target}\0{type_}\0{id_}".encode("utf-8", "surrogatepass")
        digest = blake2b(text, digest_size=_DIGEST, key=self._secret).digest()
        self.added += 1
        try:
            self._shares[digest[0] % _SHARES].write(digest)
        except OSError as error:
            reason = error.strerror
        else:
            return
        raise ConfigError(f"no room for temporary files: {reason}")

    def repeated(self) -> int:
        """How many of the keys added were there before."""
        return self.added - sum(map(_distinct, self._shares))

    def close(self) -> None:
        self._open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _distinct(share: IO[bytes]) -> int:
    share.seek(0)
    found = set(iter(lambda: share.read(_DIGEST), b""))
    share.seek(0, os.SEEK_END)
    return len(found)
