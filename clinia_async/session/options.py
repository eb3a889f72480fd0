"""The settings of a session, and the environment variables that give them."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Self, TypeVar

from attrs import fields

from clinia_async.errors import ConfigError
from clinia_async.errors.settings import InstanceOf, Number
from clinia_async.models.identifiers import QUOTES, is_quoted
from clinia_async.models.struct import Struct
from clinia_async.tasks.poller import Polling
from clinia_async.telemetry import Observer
from clinia_async.transport import HttpSession, TransportOptions
from clinia_async.transport.retry import RetryPolicy

log = logging.getLogger("clinia_async.settings")

T = TypeVar("T")


class SessionOptions(Struct, kw_only=True):
    """The settings of a session that are no address and no credential; see `Session` for what each is."""

    timeout: float
    reconcile_timeout: float
    close_grace: float
    retry: RetryPolicy
    polling: Polling
    transport: TransportOptions
    coalesce: bool
    read_back: bool
    in_doubt_limit: int
    in_doubt_age: float
    http_session: HttpSession | None
    observers: Sequence[Observer]
    open_telemetry: bool | None

    def checked(self) -> Self:
        """Return these settings. Raises `ConfigError` for one that is wrong."""
        for name, rule in _RULES.items():
            rule.check(f"Session.{name}", getattr(self, name))
        return self

    def changed(self, **changes: object) -> Self:
        """Return these settings but for some. Raises `ConfigError` for one that is wrong."""
        return type(self)(**{**vars(self), **changes}).checked()


_SECONDS = Number(above=0)
_FLAG = InstanceOf(bool)
_RULES: Mapping[str, Number | InstanceOf] = {
    "timeout": _SECONDS,
    "reconcile_timeout": _SECONDS,
    "close_grace": Number(least=0),
    "retry": InstanceOf(RetryPolicy),
    "polling": InstanceOf(Polling),
    "transport": InstanceOf(TransportOptions),
    "coalesce": _FLAG,
    "read_back": _FLAG,
    "in_doubt_limit": Number(least=1, whole=True),
    "in_doubt_age": _SECONDS,
    "http_session": InstanceOf(HttpSession, optional=True),
    "open_telemetry": InstanceOf(bool, optional=True),
}


def _flag(text: str) -> bool:
    return {
        "1": True,
        "true": True,
        "yes": True,
        "on": True,
        "0": False,
        "false": False,
        "no": False,
        "off": False,
    }[text.lower()]


def _whole(text: str) -> int:
    return int(text) if text.isascii() and "_" not in text else int("no number")


def _number(text: str) -> float:
    return float(text) if text.isascii() and "_" not in text else float("no number")


Parse = Callable[[str], object]

_KINDS: Mapping[Parse, str] = {
    _flag: "one of 1, true, yes, on, 0, false, no, off",
    _whole: "a whole number",
    _number: "a number",
}

VARIABLES: Mapping[str, tuple[str, Parse]] = {
    "CLINIA_WORKSPACE": ("workspace", str),
    "CLINIA_BASE_URL": ("base_url", str),
    "CLINIA_API_KEY": ("api_key", str),
    "CLINIA_TOKEN": ("token", str),
    "CLINIA_SOURCE": ("source", str),
    "CLINIA_REGISTRY_HOST": ("registry_host", str),
    "CLINIA_CATALOG_HOST": ("catalog_host", str),
    "CLINIA_PROXY": ("proxy", str),
    "CLINIA_TIMEOUT": ("timeout", _number),
    "CLINIA_RECONCILE_TIMEOUT": ("reconcile_timeout", _number),
    "CLINIA_CLOSE_GRACE": ("close_grace", _number),
    "CLINIA_COALESCE": ("coalesce", _flag),
    "CLINIA_READ_BACK": ("read_back", _flag),
    "CLINIA_OPEN_TELEMETRY": ("open_telemetry", _flag),
    "CLINIA_IN_DOUBT_LIMIT": ("in_doubt_limit", _whole),
    "CLINIA_IN_DOUBT_AGE": ("in_doubt_age", _number),
    "CLINIA_RETRY_ATTEMPTS": ("retry.attempts", _whole),
    "CLINIA_RETRY_PATIENCE": ("retry.patience", _number),
    "CLINIA_RETRY_BASE": ("retry.base", _number),
    "CLINIA_RETRY_THROTTLED_BASE": ("retry.throttled_base", _number),
    "CLINIA_RETRY_CAP": ("retry.cap", _number),
    "CLINIA_RETRY_BUDGET": ("retry.budget", _number),
    "CLINIA_RETRY_EARNED": ("retry.earned", _number),
    "CLINIA_POLLING_IN_FLIGHT": ("polling.in_flight", _whole),
    "CLINIA_POLLING_PER_SECOND": ("polling.per_second", _number),
    "CLINIA_POLLING_GRACE": ("polling.grace", _number),
    "CLINIA_POLLING_PATIENCE": ("polling.patience", _number),
    "CLINIA_POLLING_JITTER": ("polling.jitter", _number),
    "CLINIA_TRANSPORT_CONNECT": ("transport.connect", _number),
    "CLINIA_TRANSPORT_ATTEMPT": ("transport.attempt", _number),
    "CLINIA_TRANSPORT_SLOWEST": ("transport.slowest", _whole),
    "CLINIA_TRANSPORT_CONNECTIONS": ("transport.connections", _whole),
    "CLINIA_TRANSPORT_LARGEST_ANSWER": ("transport.largest_answer", _whole),
}
"""Each environment variable, the setting that it gives, and how its text is read. Empty is as not set."""

NOT_FROM_ENVIRONMENT = frozenset({"credentials", "headers", "http_session", "observers", "polling.pace"})
"""Settings that no text can give."""

_GROUPS: Mapping[str, type] = {"retry": RetryPolicy, "polling": Polling, "transport": TransportOptions}
_EXCLUSIVE = ({"workspace", "base_url"}, {"api_key", "token", "credentials"})
_HOSTS = frozenset({"registry_host", "catalog_host"})
"""What a base URL stands for."""


PROFILE = "CLINIA_PROFILE"
_LARGEST_PROFILE = 64 * 1024


def with_profile(environment: Mapping[str, str]) -> Mapping[str, str]:
    """Return the environment, and beneath it the variables of the file that `CLINIA_PROFILE` names.

    What the environment says about the address or the credential replaces all that the file says about it.

    Raises:
        ConfigError: the file cannot be read, or has a line that is no variable of `VARIABLES`.
    """
    path = environment.get(PROFILE, "").strip()
    if not path:
        return environment
    profile = _read_profile(Path(path))
    for group in _EXCLUSIVE:
        names = {variable for variable, (setting, _) in VARIABLES.items() if setting in group}
        if any(environment.get(name, "").strip() for name in names):
            profile = {name: value for name, value in profile.items() if name not in names}
    if environment.get("CLINIA_BASE_URL", "").strip():
        hosts = {variable for variable, (setting, _) in VARIABLES.items() if setting in _HOSTS}
        profile = {name: value for name, value in profile.items() if name not in hosts}
    return profile | {name: value for name, value in environment.items() if value.strip()}


def _read_profile(path: Path) -> dict[str, str]:
    try:
        with path.open(encoding="utf-8-sig") as file:  # an editor may have put a mark at the start
            lines = file.read(_LARGEST_PROFILE).splitlines()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
    else:
        return _variables([(number, line) for number, line in enumerate(lines, 1) if _is_said(line)])
    raise ConfigError(f"the file that {PROFILE} names cannot be read: {reason}")


def _is_said(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _variables(lines: Iterable[tuple[int, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, line in lines:
        name, value = _variable(number, line)
        if name in found:
            raise ConfigError(f"line {number} of the file that {PROFILE} names gives {name} again: leave one")
        found[name] = value
    return found


def _variable(number: int, line: str) -> tuple[str, str]:
    """Return the name and the value of a line as a shell reads it, without `export` and quotes."""
    name, sign, value = line.strip().removeprefix("export ").partition("=")
    name, value = name.strip(), value.strip()
    if not sign or name not in VARIABLES:
        meant = _meant(name) if sign else None
        hint = f": did you mean {meant}?" if meant else ""
        raise ConfigError(
            f"line {number} of the file that {PROFILE} names must be NAME=VALUE of a setting{hint}"
        )
    if is_quoted(value):
        return name, value[1:-1]
    if value[:1] in QUOTES or " #" in value:
        raise ConfigError(
            f"line {number} of the file that {PROFILE} names must have nothing behind its value; "
            "put a comment on a line of its own, and a value with spaces in quotes"
        )
    return name, value


def with_environment(given: Mapping[str, object], environment: Mapping[str, str]) -> dict[str, object]:
    """Return `given`, and the settings of the environment that it says nothing about.

    Raises:
        ConfigError: a variable holds no text of its kind, or a number outside the range of its setting.
    """
    options = dict(given)
    _note_misspelt(environment)
    skipped = set(given).union(*(group for group in _EXCLUSIVE if group & set(given)))
    if "base_url" in given:
        skipped |= _HOSTS
    nested: dict[str, dict[str, object]] = {}
    for variable, (setting, parse) in VARIABLES.items():
        group, _, name = setting.rpartition(".")
        text = environment.get(variable, "").strip()
        if text and setting not in skipped and group not in skipped:
            value = _parsed(variable, parse, text)
            (nested.setdefault(group, {}) if group else options)[name] = value
    return options | {group: _GROUPS[group](**values) for group, values in nested.items()}


def group_of(environment: Mapping[str, str], kind: type[T]) -> T:
    """Return a group of settings, such as `Polling`, as the environment gives it.

    Raises:
        ConfigError: as `with_environment` does.
    """
    (group,) = (name for name, each in _GROUPS.items() if each is kind)
    variables = [name for name, (setting, _) in VARIABLES.items() if setting.startswith(f"{group}.")]
    given = {name: environment[name] for name in variables if name in environment}
    found = with_environment({}, given).get(group)
    return found if isinstance(found, kind) else kind()


def _note_misspelt(environment: Mapping[str, str]) -> None:
    """Log the variables that are perhaps meant as settings. Other programs may have `CLINIA_` ones, too."""
    for name in environment:
        if name.startswith("CLINIA_") and name not in VARIABLES and (meant := _meant(name)):
            log.warning("the environment variable %s is no setting: did you mean %s?", name, meant)


def _meant(name: str) -> str | None:
    from difflib import get_close_matches  # noqa: PLC0415  for an unknown variable alone

    return next(iter(get_close_matches(name, [*VARIABLES, PROFILE, "CLINIA_LOG"], n=1, cutoff=0.85)), None)


def _parsed(variable: str, parse: Parse, text: str) -> object:
    if is_quoted(text):  # such as an `--env-file` of a container passes on
        raise ConfigError(f"the environment variable {variable} must not be in quotes: they are a part of it")
    try:
        return parse(text)
    except (KeyError, ValueError):
        raise ConfigError(f"the environment variable {variable} must be {_KINDS[parse]}") from None


def settings_of_groups() -> set[str]:
    """Return the name of each setting that is part of another one, such as `retry.attempts`."""
    return {f"{group}.{each.name}" for group, kind in _GROUPS.items() for each in fields(kind)}
