"""What a request proves itself with: an API key, a bearer token, or headers that a function gives."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from inspect import isawaitable
from pathlib import Path
from traceback import walk_tb

from clinia_async.errors import ConfigError, CredentialsFailed
from clinia_async.models.identifiers import is_quoted, is_visible_ascii
from clinia_async.models.secret import Secret
from clinia_async.models.struct import Struct

CredentialHeaders = Mapping[str, str]
CredentialSource = Callable[[], CredentialHeaders | str | Awaitable[CredentialHeaders | str]]
"""Gives the headers of a credential, such as `{"Authorization": "Bearer ..."}`, or a bearer token alone."""

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)


class _Problem(Struct):
    """Why there are no headers, and whether asking again may help."""

    text: str
    is_transient: bool


_LATE = _Problem("gave nothing in time", is_transient=True)


class Credentials:
    """The headers of a credential. Those of a `source` are kept until the service refuses them."""

    def __init__(
        self,
        headers: CredentialHeaders | None = None,
        source: CredentialSource | None = None,
        reserved: Collection[str] = (),
    ) -> None:
        """Take fixed headers, or a source, which may give no header whose lower-case name is `reserved`."""
        self._headers = None if headers is None else _secret(headers)
        self._source = source
        self._reserved = reserved
        self._lock: asyncio.Lock | None = None

    @property
    def is_fixed(self) -> bool:
        """Whether asking again would give the same."""
        return self._source is None

    @property
    def known(self) -> Mapping[str, Secret] | None:
        """The headers, if there is no need to wait for them."""
        return self._headers

    async def get(self, deadline: float, refused: Mapping[str, Secret] | None = None) -> Mapping[str, Secret]:
        """Return the headers; those of a source anew, if the ones that it gave last are `refused`.

        `deadline` is a time of the event loop's clock.

        Raises:
            CredentialsFailed: the source failed, or gave no headers, or none in time. Its outcome is open.
        """
        self._lock = self._lock or asyncio.Lock()
        problem: _Problem | None = _LATE
        with suppress(TimeoutError):
            async with asyncio.timeout_at(deadline), self._lock:
                # many calls may be refused at the same time: the source is asked once
                is_known = self._headers is not None and self._headers is not refused
                problem = None if is_known else await self._ask()
        if problem is None and self._headers is not None:
            return self._headers
        problem = problem or _LATE
        failure = CredentialsFailed(f"the function for the credentials {problem.text}")
        failure.transient = problem.is_transient
        raise failure

    async def _ask(self) -> "_Problem | None":
        """Ask the source, and keep the headers that it gives; or return why there are none.

        No error of the source is raised, as its text may hold the credential.
        """
        assert self._source is not None
        try:
            given = self._source()
            problem = self._keep(await given if isawaitable(given) else given)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            return _Problem("was cancelled by somebody else", is_transient=True)
        except Exception as error:  # noqa: BLE001  whatever it is, it is foreign and may hold the credential
            *_, (frame, line) = walk_tb(error.__traceback__)
            where = f"{Path(frame.f_code.co_filename).name}, line {line}"
            return _Problem(f"raised {type(error).__name__} ({where})", is_transient=True)
        return None if problem is None else _Problem(problem, is_transient=False)

    def _keep(self, given: object) -> str | None:
        """Keep headers, or return what is wrong with them."""
        if isinstance(given, str):
            if not is_visible_ascii(given):
                return "gave a token that is no printable ASCII without spaces"
            given = {"Authorization": f"Bearer {given}"}
        if not isinstance(given, Mapping):
            return "must give a mapping of headers, or a bearer token as text"
        for name, value in given.items():
            if not _is_text(name) or not _HEADER_NAME.fullmatch(name):
                return "gave a header whose name HTTP does not allow"
            if name.lower() in self._reserved:
                return f"gave the header {name}, which the session sets itself"
            if not _is_value(value):
                return f"gave a value of the header {name} that is no printable ASCII"
        self._headers = _secret(given)
        return None

    def __repr__(self) -> str:
        return "Credentials(***)"


def credentials_of(
    api_key: str | Secret | None,
    token: str | Secret | None,
    source: CredentialSource | None,
    reserved: Collection[str] = (),
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
    return Credentials(source=source, reserved=reserved)


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
        if not _is_value(value):
            raise ConfigError(f"the value of the header {name} must be printable ASCII")
    return {name: Secret(value) for name, value in headers.items()}


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_value(value: object) -> bool:
    return isinstance(value, str) and value.isascii() and value.isprintable()


def _checked(secret: str | Secret, what: str) -> str:
    text: object = secret.reveal() if isinstance(secret, Secret) else secret
    if not is_visible_ascii(text):
        raise ConfigError(f"{what} must be printable ASCII without spaces")
    if is_quoted(text):
        raise ConfigError(f"{what} must not be in quotes: they are a part of it")
    return text
