"""Which record a FHIR resource is: its type and its id, and for those of other servers the server too.

An id is unique on one server only, so the address of a resource is the base URL of its server with
`Type/id`. One server is home: its ids stay as they are. The id of a resource of any other server is made
of `id@base`, each character of which but ASCII letters, digits and `-` is written as `_` and the two
hexadecimal digits of each of its UTF-8 bytes: `1` at `http://b.example/fhir` is
`1_40http_3A_2F_2Fb_2Eexample_2Ffhir`. `fhir_address` gives both back.
"""

import re
from urllib.parse import unquote

from attrs import define

from clinia_async.errors import ConfigError, InvalidWrite
from clinia_async.models.refusal import without_locals

Identity = tuple[str, str]
"""The type and the id of a record."""

_ADDRESS = re.compile(r"(?:((?i:https?)://[^?#\s]+)/)?([A-Z][A-Za-z]{0,63})/([^/?#]+)(?:/_history/[^/?#]+)?")
_BASE = re.compile(r"(?i:https?)://[^/?#\s][^?#\s]*")
_PORTS = {"http": ":80", "https": ":443"}
_OWN = re.compile(r"[^A-Za-z0-9-]")
_ENCODED = re.compile(r"[A-Za-z0-9_-]+")
_AT_A_BASE = re.compile(r"_40(?=https?_3A_2F_2F[A-Za-z0-9_-])")


@define
class Servers:
    """Distinguishes the ids of one input by their server.

    Home is what was given; else the base of the first `fullUrl`, or of the first absolute reference if no
    relative one stood before it.
    """

    home: str | None = None
    _knows_relative: bool = False

    def see_base(self, base: str | None) -> None:
        """Take `base`, which a `fullUrl` names, for home if none is known."""
        if base is not None and self.home is None:
            self.home = base

    def see_reference(self, base: str | None) -> None:
        """Take `base`, which an absolute reference names, for home where nothing speaks against it."""
        if base is None:
            self._knows_relative = True
        elif self.home is None and not self._knows_relative:
            self.home = base

    def record_id(self, base: str | None, id_: str) -> str:
        """Return the id of the record for `id_` at the server `base`; None is home."""
        if base is None or base == self.home:
            return id_.replace("_", "_5F") if _foreign_parts(id_) else id_
        return _OWN.sub(_as_hex, f"{id_}@{base}")


def parse_address(text: str) -> tuple[str | None, str, str] | None:
    """Split `Type/id`, with or without a base before and a version behind it; None if it is none."""
    match = _ADDRESS.fullmatch(text)
    return None if match is None else (normal_base(match[1]), match[2], match[3])


def normal_base(base: str | None) -> str | None:
    """Return a base URL with scheme and host in lower case, without the usual port or a slash at its end."""
    if base is None:
        return None
    scheme, _, rest = base.partition("://")
    scheme = scheme.lower()
    host, slash, path = rest.partition("/")
    host = host.lower().removesuffix(_PORTS.get(scheme, "/"))
    return f"{scheme}://{host}{slash}{path}".rstrip("/")


def home_base(base: object) -> str | None:
    """Return the base URL of the server that somebody says is home, as `normal_base` does.

    Raises:
        ConfigError: it is no such URL: no id of the input would be one of home.
    """
    if base is None:
        return None
    if not isinstance(base, str) or not _BASE.fullmatch(base):
        raise ConfigError(
            "fhir_base must be the base URL of a server, such as https://example.org/fhir, without a query"
        )
    return normal_base(base)


@without_locals
def fhir_address(record_id: str) -> tuple[str | None, str]:
    """Return the base URL of the server and the FHIR id that a record's id was made of.

    The base is None for an id of the home server.

    Raises:
        InvalidWrite: it is no text.
    """
    if not isinstance(record_id, str):
        raise InvalidWrite("$.id", "must be text")
    parts = _foreign_parts(record_id)
    if parts is None:
        return None, record_id
    id_, base = (unquote(part.replace("_", "%")) for part in parts)
    return base, id_


def _foreign_parts(record_id: str) -> tuple[str, str] | None:
    """Return the id and the base, both encoded, of which `record_id` is made; None if it is of home."""
    id_, *base = _AT_A_BASE.split(record_id, maxsplit=1)
    return (id_, base[0]) if id_ and base and _ENCODED.fullmatch(record_id) else None


def _as_hex(match: re.Match[str]) -> str:
    return "".join(f"_{byte:02X}" for byte in match[0].encode())
