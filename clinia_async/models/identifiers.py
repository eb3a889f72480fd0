r"""The patterns of keys and ids, and a reversible way to carry ids that hold a dot.

`$` would let a trailing newline through and `\w` would take Arabic digits, so every pattern is
matched whole and in ASCII.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import TypeGuard

from clinia_async.models.refusal import without_locals
from clinia_async.models.value import codec

KEY_RULE = "1 to 62 ASCII letters, digits, `-` or `_`, not starting with `_`"
END_RULE = "1 to 256 characters, none of them a dot, a control or an invisible character"
RESERVED_TYPE = "bulk"
"""A key by its pattern; but records of this type would have the paths of the bulk endpoints."""
_KEY = re.compile(r"[a-zA-Z0-9-][\w-]{0,61}", re.ASCII)
_PLAIN_END = re.compile(r"[\w-]{1,256}", re.ASCII)
_LONGEST_END = 256
_LONGEST_ID = 2048


def is_key(text: object) -> bool:
    """Return whether `text` may name a source, partition, collection, profile or relationship definition."""
    return isinstance(text, str) and _is_key(text)


@lru_cache(maxsize=1024)  # the same few keys come with every write
def _is_key(text: str) -> bool:
    return _KEY.fullmatch(text) is not None


@lru_cache(maxsize=1024)
def are_keys(*texts: str) -> bool:
    """Return whether all pass `is_key` and none is reserved; cached, for keys that always come together."""
    return all(map(is_key, texts)) and RESERVED_TYPE not in texts


is_simple_relationship_id = re.compile(r"[\w-]{1,256}\.[\w-]{1,256}", re.ASCII).fullmatch
"""Match a text of two ids with a dot between, each of ASCII letters, digits, `-` and `_` only."""

_PLAIN = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"


def are_simple_relationship_ids(texts: Sequence[str]) -> bool:
    """Return whether each passes `is_simple_relationship_id` and is no longer than one end may be.

    Many at once cost a fraction of one by one.
    """
    if max(map(len, texts), default=0) > _LONGEST_END:
        return False
    joined = "\n".join(("", *texts, "")).encode(errors="replace")
    rest = joined.translate(None, _PLAIN)  # the dots and the line ends
    return rest == b"\n" + b".\n" * len(texts) and b"\n." not in joined and b".\n" not in joined


def is_end_id(text: object) -> bool:
    """Return whether `text` may be the id of one end of a relationship.

    A relationship's id is `{from}.{to}`, so an end that held a dot would make that id ambiguous.
    Ids that the service or another system made are wider than the pattern for new resources, so
    spaces, `#` and letters beyond ASCII pass; they are percent-encoded in a path.
    """
    if not isinstance(text, str):
        return False
    if _PLAIN_END.fullmatch(text):
        return True
    return 0 < len(text) <= _LONGEST_END and not any(map(_is_forbidden_in_end, text))


NEW_ID_RULE = "2 to 93 ASCII letters, digits, `-` or `_`, not starting with `_`"
_NEW_ID = re.compile(r"[a-zA-Z0-9-][\w-]{1,92}", re.ASCII)
_TOKEN = re.compile(r"@rootId\d*", re.ASCII)


def is_new_id(text: object) -> bool:
    """Return whether a resource may be created with the id `text`."""
    return isinstance(text, str) and _NEW_ID.fullmatch(text) is not None


def is_token(text: object) -> bool:
    """Return whether `text` is a token such as `@rootId1`, for which the service makes an id."""
    return isinstance(text, str) and _TOKEN.fullmatch(text) is not None


def is_record_id(text: object) -> bool:
    """Return whether `text` may be a record id in a path: an id, two with a dot between, or an identifier."""
    if not isinstance(text, str) or text in {".", ".."}:
        return False
    if not 0 < len(text) <= _LONGEST_ID:
        return False
    return (text.isascii() and text.isprintable()) or not any(map(_is_invisible, text))


def is_visible_ascii(text: object) -> TypeGuard[str]:
    """Return whether `text` is of printable ASCII characters, at least one, and no spaces."""
    return isinstance(text, str) and text != "" and text.isascii() and text.isprintable() and " " not in text


QUOTES = ('"', "'")


def is_quoted(text: str) -> bool:
    """Return whether `text` stands in quotes, as shells have it, that are no part of what is meant."""
    return len(text) > 1 and text[0] in QUOTES and text[-1] == text[0] and text[0] not in text[1:-1]


def _is_forbidden_in_end(character: str) -> bool:
    return character == "." or _is_invisible(character)


def _is_invisible(character: str) -> bool:
    # Cc control, Cf invisible format marks (bidi), Cs lone surrogates, Zl and Zp line separators
    return unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}


@without_locals
def escape_dots(identifier: str) -> str:
    """Escape the dots of an id: `A00.1` becomes `A00_2E1`.

    A dot is written `_2E` and an underscore `_5F`, so no two ids collide; `unescape_dots` reverses it.

    Raises:
        InvalidWrite: it is no text.
    """
    _check_text(identifier)
    return identifier.replace("_", "_5F").replace(".", "_2E")


@without_locals
def unescape_dots(identifier: str) -> str:
    """Reverse `escape_dots`. Raises `InvalidWrite` for what is no text."""
    _check_text(identifier)
    return identifier.replace("_2E", ".").replace("_5F", "_")


def _check_text(identifier: object) -> None:
    if not isinstance(identifier, str):
        codec().refuse("$.id", "must be text")
