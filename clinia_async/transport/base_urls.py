"""Where a workspace lives, and what may be a base URL. A key must never reach any other place."""

import re
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from attrs import frozen

from clinia_async.errors import ConfigError

REGISTRY_HOST = "{workspace}.clinia.cloud"
CATALOG_HOST = "api.{workspace}.clinia.cloud"

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_HOST = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9.-]{0,251}[a-zA-Z0-9])?(?::\d{1,5})?", re.ASCII)
_PLAIN_URL = re.compile(r"[\x21-\x7e]+", re.ASCII)


@frozen
class Addresses:
    """The two origins, without a trailing slash."""

    registry: str
    catalog: str

    @classmethod
    def of_workspace(cls, workspace: str, registry_host: str, catalog_host: str) -> "Addresses":
        if not _is(_LABEL, workspace):
            raise ConfigError("workspace must be one DNS label: lower-case ASCII letters, digits and `-`")
        return cls(_origin(registry_host, workspace), _origin(catalog_host, workspace))

    @classmethod
    def of_base_url(cls, base_url: str) -> "Addresses":
        url = _checked_url(base_url).rstrip("/")
        return cls(url, url)


def _origin(template: str, workspace: str) -> str:
    host = template.replace("{workspace}", workspace)
    if not _is(_HOST, host):
        raise ConfigError("a host setting must be a host name, with `{workspace}` where the workspace goes")
    return f"https://{host}"


def _is(pattern: re.Pattern[str], text: object) -> bool:
    return isinstance(text, str) and pattern.fullmatch(text) is not None


def _checked_url(base_url: str) -> str:
    if not _is(_PLAIN_URL, base_url) or "\\" in base_url:
        raise ConfigError("base_url must be printable ASCII without spaces")
    parts = _split(base_url)
    if parts.scheme not in {"https", "http"} or not _has_host(parts):
        raise ConfigError("base_url must be an https URL with a host")
    if parts.username is not None or parts.password is not None:
        raise ConfigError("base_url must not hold a user name or password")
    if "?" in base_url or "#" in base_url:
        raise ConfigError("base_url must have neither a query nor a fragment")
    if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
        raise ConfigError("base_url must be https; plain http is for this machine alone")
    return base_url


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:  # brackets that hold no IPv6 address
        raise ConfigError("base_url must be an https URL with a host") from None


def _has_host(parts: SplitResult) -> bool:
    try:
        return bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
