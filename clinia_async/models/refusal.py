"""What a caller passed is refused: what prints the locals of the traceback prints nothing of it."""

from collections.abc import Awaitable, Callable
from functools import wraps
from inspect import iscoroutinefunction
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C", bound=type)
E = TypeVar("E", bound=Exception)
F = TypeVar("F", bound=Callable[..., object])


class Refusal(ValueError):
    """What was passed is wrong, as its text says; nothing was sent. The base of such errors."""


def without_locals(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function raise what refuses its arguments from no frame that holds one of them.

    They may be a key, a record, or the whole environment. A function that sees to that itself is returned.
    """
    if getattr(function, "clears_own_locals", None) is function.__code__:
        return function

    if iscoroutinefunction(function):
        return _awaited_without_locals(function)  # type: ignore[return-value]  # a coroutine function as well

    @clears_own_locals
    @wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except Exception as error:  # noqa: BLE001  it is raised again
            failure = [bare(error)]
        del args, kwargs
        raise failure.pop()  # of which this frame, that it is raised from, keeps none

    return called


def _awaited_without_locals(function: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    @clears_own_locals
    @wraps(function)
    async def called(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await function(*args, **kwargs)
        except Exception as error:  # noqa: BLE001  it is raised again
            failure = [bare(error)]
        del args, kwargs
        raise failure.pop()  # of which this frame, that it is raised from, keeps none

    return called


def clears_own_locals(function: F) -> F:
    """Mark a function that clears its own locals: `without_locals` returns it as it is."""
    function.clears_own_locals = function.__code__  # type: ignore[attr-defined]  # what wraps it copies this
    return function


def bare(error: E) -> E:
    """Return a refusal without the frames that it came through, and without what it came from.

    Any other error is a fault, or of a wrong number of arguments, and returned as it is.
    """
    if not isinstance(error, Refusal):
        return error
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def made_without_locals(cls: C) -> C:
    """Let a class be made by an `__init__` that is as `without_locals` says."""
    cls.__init__ = without_locals(cls.__init__)  # type: ignore[misc]
    return cls
