"""Checks of settings: a wrong one is refused when it is made, by class, name and range."""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from enum import StrEnum
from functools import wraps
from inspect import iscoroutinefunction, unwrap
from pathlib import Path
from typing import ParamSpec, Protocol, TypeVar
from warnings import warn

from clinia_async.errors import ConfigError
from clinia_async.models.refusal import Refusal, without_locals
from clinia_async.models.struct import Struct

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
C = TypeVar("C", bound=type)
E = TypeVar("E", bound=StrEnum)


class UnknownOption(TypeError, Refusal):
    """An option was given that there is not."""


class _Attribute(Protocol):
    @property
    def name(self) -> str: ...


class Number(Struct, kw_only=True):
    """A range of finite numbers, as a validator of an attrs field; `optional` takes None too."""

    least: float = -math.inf
    above: float = -math.inf
    most: float = math.inf
    below: float = math.inf
    whole: bool = False
    optional: bool = False

    def __call__(self, instance: object, attribute: _Attribute, value: T) -> None:
        self.check(_name(instance, attribute), value)

    def check(self, name: str, value: object) -> None:
        """Raise `ConfigError`, which says `name` and the range, for a `value` outside of it."""
        if (value is None and self.optional) or self._holds(value):
            return
        kind = "a whole number" if self.whole else "a finite number"
        bounds = [
            f"of {self.least:g} or more" if self.least > -math.inf else "",
            f"greater than {self.above:g}" if self.above > -math.inf else "",
            f"of at most {self.most:g}" if self.most < math.inf else "",
            f"less than {self.below:g}" if self.below < math.inf else "",
        ]
        rule = " and ".join(filter(None, bounds))
        raise ConfigError(f"{name} must be {kind} {rule}".rstrip() + " or None" * self.optional)

    def _holds(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int if self.whole else int | float):
            return False
        return is_finite(value) and self.least <= value <= self.most and self.above < value < self.below


def is_finite(value: float) -> bool:
    """Return whether a number is finite, and one that a float can hold."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def check_class(name: str, value: object, kind: type) -> None:
    """Raise `ConfigError`, which says `name` and the class, for a `value` of another one."""
    if not isinstance(value, kind):
        raise ConfigError(f"{name} must be of the class {kind.__name__}, not {type(value).__name__}")


class InstanceOf:
    """A class, as a validator of an attrs field; `optional` takes None too."""

    def __init__(self, kind: type, *, optional: bool = False) -> None:
        self._kind = kind
        self._optional = optional

    def __call__(self, instance: object, attribute: _Attribute, value: T) -> None:
        self.check(_name(instance, attribute), value)

    def check(self, name: str, value: object) -> None:
        """Raise `ConfigError`, which says `name` and the class, for any other `value`."""
        if isinstance(value, self._kind) or (value is None and self._optional):
            return
        what = f"of the class {self._kind.__name__}" + " or None" * self._optional
        raise ConfigError(f"{name} must be {what}, not {type(value).__name__}")


def check_named(name: str, value: object) -> None:
    """Raise `ConfigError`, which says `name`, for what is no mapping of options by their names."""
    if not isinstance(value, Mapping) or not all(isinstance(each, str) for each in value):
        raise ConfigError(f"{name} must be a mapping of options by their names")


def check_call_options(
    *, timeout: object = None, read_back: object = None, maybe_applied: object = False
) -> None:
    """Raise `ConfigError` for options of one call that are neither None nor of their type."""
    is_number = isinstance(timeout, int | float) and not isinstance(timeout, bool)
    if timeout is not None and not (is_number and (is_finite(timeout) or timeout in {math.inf, -math.inf})):  # type: ignore[arg-type]  # a number
        raise ConfigError("timeout must be a number of seconds, or None")
    if read_back is not None and not isinstance(read_back, bool):
        raise ConfigError("read_back must be True, False or None")
    if not isinstance(maybe_applied, bool):
        raise ConfigError("maybe_applied must be True or False")


def is_async(function: object) -> bool:
    """Return whether a call of `function` gives a coroutine, which no setting awaits."""
    return iscoroutinefunction(function) or iscoroutinefunction(getattr(type(function), "__call__", None))  # noqa: B004


def path_of(name: str, value: object) -> Path:
    """Return a path that is given as text or as `os.PathLike`. Raises `ConfigError`, which says `name`."""
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if isinstance(text, str) and text and "\0" not in text:
        with suppress(UnicodeError):
            os.fsencode(text)
            return Path(text)
    raise ConfigError(f"{name} must be the path of a file, not {type(value).__name__}")


def optional_path_of(name: str, value: object) -> Path | None:
    """Return `path_of` the value, or None for None. Raises `ConfigError`."""
    return None if value is None else path_of(name, value)


def choice(kind: type[E], name: str, value: str) -> E:
    """Return the value of an enum of options. Raises `ConfigError` for any other text."""
    if isinstance(value, str):
        try:
            return kind(value)
        except ValueError:
            pass
    raise ConfigError(f"{name} must be one of {', '.join(kind)}")


def _name(instance: object, attribute: _Attribute) -> str:
    return f"{type(instance).__name__}.{attribute.name}"


def refuse_unknown_options(**renamed: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a function refuse an unknown option with a `TypeError` that names the one that may be meant.

    `renamed` gives the present name of each former one, which is taken with a `DeprecationWarning`.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        code = unwrap(function).__code__
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        known = [name for name in names if name not in {"self", "cls"}]
        owner = function.__qualname__.removesuffix(".__init__")

        @wraps(function)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            _rename_options(owner, known, renamed, kwargs)
            return function(*args, **kwargs)

        return without_locals(checked)

    return decorate


def _rename_options(
    owner: str, known: Sequence[str], renamed: Mapping[str, str], given: dict[str, object]
) -> None:
    """Put the present names in the place of former ones. Raises `TypeError` for an unknown name."""
    for name in tuple(given):
        if name in renamed:
            warn(f"{owner}: {name!r} is now {renamed[name]!r}", DeprecationWarning, stacklevel=4)
            given[renamed[name]] = given.pop(name)
        elif name not in known:
            from difflib import get_close_matches  # noqa: PLC0415  for an error alone

            close = get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"the options are {', '.join(known)}"
            given.clear()  # the key may be among them
            raise UnknownOption(f"{owner} has no option {name!r}: {hint}")


def named_options(cls: C) -> C:
    """Let a class of settings refuse an unknown one, as `refuse_unknown_options` does."""
    cls.__init__ = refuse_unknown_options()(cls.__init__)  # type: ignore[misc]
    return cls
