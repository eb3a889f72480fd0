"""Where a workspace lives, and what may be a base URL. A key must never reach any other place."""

import re
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from clinia_async.errors import ConfigError
from clinia_async.models.identifiers import is_visible_ascii
from clinia_async.models.struct import Struct

REGISTRY_HOST = "{workspace}.clinia.cloud"
CATALOG_HOST = "api.{workspace}.clinia.cloud"

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_HOST = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9.-]{0,251}[a-zA-Z0-9])?(?::\d{1,5})?", re.ASCII)


class Addresses(Struct):
    """The two origins, without a trailing slash."""

    registry: str
    catalog: str

    @classmethod
    def of(
        cls, workspace: str | None, base_url: str | None, registry_host: str, catalog_host: str
    ) -> "Addresses":
        """Return the addresses of a workspace, or of a base URL that stands for both.

        Raises:
            ConfigError: neither is given, or one that is no name of a workspace and no safe URL; or hosts are
                given beside a base URL, which would replace them.
        """
        if base_url is not None:
            if (registry_host, catalog_host) != (REGISTRY_HOST, CATALOG_HOST):
                raise ConfigError(
                    "base_url stands for both hosts: leave out registry_host and catalog_host"
                    " (CLINIA_REGISTRY_HOST, CLINIA_CATALOG_HOST), or the base URL"
                )
            return cls.of_base_url(base_url)
        if workspace is None:
            raise ConfigError("give a workspace or a base_url, or set CLINIA_WORKSPACE or CLINIA_BASE_URL")
        return cls.of_workspace(workspace, registry_host, catalog_host)

    @classmethod
    def of_workspace(cls, workspace: str, registry_host: str, catalog_host: str) -> "Addresses":
        """Return the hosts of a workspace, given by its label or one of its hosts. Raises `ConfigError`."""
        workspace = _workspace_of_host(workspace)
        if not _is(_LABEL, workspace):
            raise ConfigError(
                "workspace must be one DNS label (lower-case ASCII letters, digits and `-`), or one of the"
                " workspace's hosts, such as acme.clinia.cloud"
            )
        return cls(_origin(registry_host, workspace), _origin(catalog_host, workspace))

    @classmethod
    def of_base_url(cls, base_url: str) -> "Addresses":
        url = _checked_url(base_url).rstrip("/")
        return cls(url, url)


def _workspace_of_host(workspace: str) -> str:
    """Return the label in {ws}.clinia.cloud, api.{ws}.clinia.cloud or {ws}.w.clinia.cloud, else the text."""
    text: object = workspace
    host = text.removeprefix("https://").removesuffix("/") if isinstance(text, str) else ""
    label = host.removesuffix(".clinia.cloud")
    if label == host:
        return workspace
    label = label.removesuffix(".w").removeprefix("api.")
    return label if _is(_LABEL, label) else workspace


def _origin(template: str, workspace: str) -> str:
    text: object = template
    if not isinstance(text, str):
        raise ConfigError("registry_host and catalog_host must be text")
    host = template.replace("{workspace}", workspace)
    if not _is(_HOST, host):
        raise ConfigError("a host setting must be a host name, with `{workspace}` where the workspace goes")
    return f"https://{host}"


def _is(pattern: re.Pattern[str], text: object) -> bool:
    return isinstance(text, str) and pattern.fullmatch(text) is not None


def _checked_url(base_url: str) -> str:
    if not is_visible_ascii(base_url) or "\\" in base_url:
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


def checked_proxy(proxy: str) -> str:
    """Return the URL of a proxy, which may hold a user and a password. Raises `ConfigError`."""
    parts = _split(proxy, "proxy") if is_visible_ascii(proxy) else None
    if parts is None or parts.scheme not in {"http", "https"} or not _has_host(parts):
        raise ConfigError("proxy must be an http or https URL with a host")
    return proxy


def _split(url: str, name: str = "base_url") -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:  # brackets that hold no IPv6 address
        raise ConfigError(f"{name} must be a URL with a host") from None


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
