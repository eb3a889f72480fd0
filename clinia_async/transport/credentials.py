"""What a request proves itself with: an API key, a bearer token, or headers that a function gives."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from inspect import isawaitable

from clinia_async.errors import ConfigError
from clinia_async.models.secret import Secret

CredentialHeaders = Mapping[str, str]
CredentialSource = Callable[[], CredentialHeaders | str | Awaitable[CredentialHeaders | str]]
"""Gives the headers of a credential, such as `{"Authorization": "Bearer ..."}`, or a bearer token alone."""

_KEY = re.compile(r"[\x21-\x7e]+", re.ASCII)
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_HEADER_VALUE = re.compile(r"[\x20-\x7e]*", re.ASCII)


class Credentials:
    """The headers of a credential. Those of a `source` are kept until the service refuses them."""

    def __init__(
        self, headers: CredentialHeaders | None = None, source: CredentialSource | None = None
    ) -> None:
        self._headers = None if headers is None else _secret(headers)
        self._source = source
        self._lock: asyncio.Lock | None = None

    @property
    def is_fixed(self) -> bool:
        """Whether asking again would give the same."""
        return self._source is None

    @property
    def known(self) -> Mapping[str, Secret] | None:
        """The headers, if there is no need to wait for them."""
        return self._headers

    async def get(self, refused: Mapping[str, Secret] | None = None) -> Mapping[str, Secret]:
        """Return the headers; those of a source anew, if the ones that it gave last are `refused`.

        Raises:
            ConfigError: the source gave no headers.
        """
        self._lock = self._lock or asyncio.Lock()
        async with self._lock:  # many calls may be refused at the same time: the source is asked once
            if self._headers is None or (self._source is not None and self._headers is refused):
                self._headers = _secret(await self._ask())
            return self._headers

    async def _ask(self) -> CredentialHeaders:
        assert self._source is not None
        given = self._source()
        headers = await given if isawaitable(given) else given
        if isinstance(headers, str):
            headers = {"Authorization": f"Bearer {headers}"}
        if not isinstance(headers, Mapping):
            raise ConfigError("credentials must give a mapping of headers, or a bearer token as text")
        return headers

    def __repr__(self) -> str:
        return "Credentials(***)"


def credentials_of(
    api_key: str | Secret | None, token: str | Secret | None, source: CredentialSource | None
) -> Credentials:
    """Return the one credential that is given.

    Raises:
        ConfigError: none is given, or more than one, or one that no header can hold.
    """
    given = [
        name for name, value in (("api_key", api_key), ("token", token), ("credentials", source)) if value
    ]
    if len(given) > 1:
        raise ConfigError(f"{' and '.join(given)} exclude each other: give one credential")
    if api_key:
        return Credentials({"X-Clinia-API-Key": _checked(api_key, "the API key")})
    if token:
        return Credentials({"Authorization": f"Bearer {_checked(token, 'the token')}"})
    if not source:
        raise ConfigError(
            "a credential is needed: pass api_key, token or credentials, or set CLINIA_API_KEY or"
            " CLINIA_TOKEN and use Session.from_env()"
        )
    if not callable(source):
        raise ConfigError("credentials must be a function that gives headers")
    return Credentials(source=source)


def checked_headers(headers: Mapping[str, str], reserved: frozenset[str]) -> dict[str, str]:
    """Return extra headers of every request.

    Raises:
        ConfigError: a name or a value is no text that a header can hold, or the name is `reserved`.
    """
    given: object = headers
    if not isinstance(given, Mapping):
        raise ConfigError("Session.headers must be a mapping of names to values")
    for name in headers:
        if not _is_text(name) or not _HEADER_NAME.fullmatch(name):
            raise ConfigError("Session.headers has a name that HTTP does not allow")
        if name.lower() in reserved:
            raise ConfigError(f"Session.headers cannot set {name}: the session sets it itself")
    _secret(headers)
    return dict(headers)


def _secret(headers: CredentialHeaders) -> dict[str, Secret]:
    for name, value in headers.items():
        if not _is_text(value) or not _HEADER_VALUE.fullmatch(value):
            raise ConfigError(f"the value of the header {name} must be printable ASCII")
    return {name: Secret(value) for name, value in headers.items()}


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _checked(secret: str | Secret, what: str) -> str:
    text: object = secret.reveal() if isinstance(secret, Secret) else secret
    if not isinstance(text, str) or not _KEY.fullmatch(text):
        raise ConfigError(f"{what} must be printable ASCII without spaces")
    return text
