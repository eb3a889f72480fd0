"""The keys and payloads of records, compressed: what records of a pending task take in memory."""

import zlib
from collections.abc import Sequence
from itertools import chain
from typing import Self

from attrs import frozen

from clinia_async.models.tasks import Key

_LEVEL = 1
"""The fastest: records of one kind are so alike that a higher level saves little."""
_KEYS, _PAYLOADS = "\0", b"\0"
"""Separators: neither an id nor JSON can hold them."""
_UTF8, _PASS = "utf-8", "surrogatepass"
_FIELDS = 3
_MOST = 256 * 1024
"""Bytes of payloads: while they are compressed the event loop stands still, for a few milliseconds."""


@frozen(repr=False)
class PackedColumns:
    """Two columns of records, to be unpacked when they are asked for."""

    _keys: bytes
    _payloads: bytes

    @classmethod
    def of(cls, keys: Sequence[Key], payloads: Sequence[bytes]) -> Self | None:
        """Compress two columns; None for what would not come back as it was, or is large."""
        text, content = _KEYS.join(chain.from_iterable(keys)), _PAYLOADS.join(payloads)
        count = len(keys)
        if len(content) > _MOST:
            return None
        if text.count(_KEYS) != _FIELDS * count - 1 or content.count(_PAYLOADS) != count - 1:
            return None
        return cls(zlib.compress(text.encode(_UTF8, _PASS), _LEVEL), zlib.compress(content, _LEVEL))

    def __len__(self) -> int:
        """Bytes in memory."""
        return len(self._keys) + len(self._payloads)

    def keys(self) -> list[Key]:
        """Return the keys, made anew."""
        texts = zlib.decompress(self._keys).decode(_UTF8, _PASS).split(_KEYS)
        return [*zip(*(texts[field::_FIELDS] for field in range(_FIELDS)), strict=True)]

    def payloads(self) -> list[bytes]:
        """Return the payloads, made anew."""
        return zlib.decompress(self._payloads).split(_PAYLOADS)
