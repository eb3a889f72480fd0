"""From an event to the observers, the log and OpenTelemetry."""

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from contextvars import Context
from functools import partial
from typing import Protocol

from attrs import fields

from clinia_async.errors import ConfigError
from clinia_async.errors.settings import is_async
from clinia_async.models.open_enum import OpenEnum
from clinia_async.telemetry.event import Event

Observer = Callable[[Event], object]
"""Called with each event, in the event loop. It must not block; what it raises is logged once and ignored."""

ROOT = logging.getLogger("clinia_async")
ROOT.addHandler(logging.NullHandler())
_LOGGERS = {name: ROOT.getChild(name) for name in ("requests", "tasks", "ingest")}
_OF_REQUESTS = (_LOGGERS["requests"], _LOGGERS["tasks"])
"""Those of events of single requests and tasks; a program may set the level of one of them alone."""
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class Span(Protocol):
    """A stretch of work under way."""

    def headers(self) -> dict[str, str]:
        """Return the headers that carry the trace on with a request."""
        ...

    def note(self, **attributes: object) -> None:
        """Set attributes."""
        ...

    def end(self, error: BaseException | None = None) -> None: ...


class Tracer(Protocol):
    """Makes spans; see `otel`."""

    def start(self, name: str, **attributes: object) -> Span:
        """Start a span below the current one. Two underscores in the name of an attribute stand for a dot."""
        ...

    def current(self, span: Span) -> AbstractContextManager[object]:
        """Make `span` the parent of what starts inside the block."""
        ...

    def record(self, event: Event) -> None:
        """Count an event in the metrics."""
        ...


class Telemetry:
    """Hands the events of a session to observers, to `logging` and to OpenTelemetry."""

    def __init__(self, observers: Sequence[Observer] = ()) -> None:
        self.observers = observers
        self.tracer: Tracer | None = None
        self._has_failed = False

    @property
    def active(self) -> bool:
        """Whether events of single requests go anywhere. False costs two queries of loggers."""
        return bool(self.observers) or self.tracer is not None or any(map(_logs_all, _OF_REQUESTS))

    def emit(self, event: Event) -> None:
        """Hand an event on. Raises nothing but what ends the event loop."""
        if _LOGGERS[event.logger].isEnabledFor(event.level):
            self._safely(_log, event)
        if self.tracer is not None:
            self._safely(self.tracer.record, event)
        for observer in self.observers:
            self._safely(observer, event)

    def _safely(self, observer: Observer, event: Event) -> None:
        try:
            observer(event)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001  whatever it does, the work goes on
            if not self._has_failed:
                self._has_failed = True
                with suppress(Exception):  # it may be the log that fails
                    ROOT.error(
                        "an observer or a handler of the log failed with %s; further failures are not logged",
                        type(error).__name__,
                    )

    @contextmanager
    def span(self, name: str, within: Context | None = None, **attributes: object) -> Iterator[Span | None]:
        """A span around the block, and the parent of those that start in it; None without a tracer.

        Its own parent is the current span, or that of the context `within`.
        """
        if self.tracer is None:
            yield None
            return
        start = partial(self.tracer.start, name, **attributes)
        span = start() if within is None else within.run(start)
        try:
            with self.tracer.current(span):
                yield span
        except BaseException as error:
            span.end(error)
            raise
        span.end()


def _logs_all(logger: logging.Logger) -> bool:
    return logger.isEnabledFor(logging.DEBUG)


def _log(event: Event) -> None:
    _LOGGERS[event.logger].log(event.level, "%s %s", type(event).__name__, _text_of(event))


def _text_of(event: Event) -> str:
    """The fields of an event that are set, as `name=value`."""
    pairs = ((field.name, getattr(event, field.name)) for field in fields(type(event)))
    return " ".join(f"{name}={_short(value)}" for name, value in pairs if value is not None)


def _short(value: object) -> str:
    if isinstance(value, OpenEnum):
        return value.shown
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def log_as_environment_says() -> None:
    """Send the log to stderr, or to the program's own handlers, if `CLINIA_LOG` names a level.

    May be called again.

    Raises:
        ConfigError: `CLINIA_LOG` is no level.
    """
    name = os.environ.get("CLINIA_LOG", "")
    if not name:
        return
    if name.lower() not in _LEVELS:
        raise ConfigError(f"CLINIA_LOG must be one of {', '.join(_LEVELS)}")
    ROOT.setLevel(_LEVELS[name.lower()])
    if not any(isinstance(handler, logging.StreamHandler) for handler in ROOT.handlers):
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
        handler.addFilter(lambda _: not logging.root.handlers)  # which get the records, too
        ROOT.addHandler(handler)


def observers_of(observers: object) -> Sequence[Observer]:
    """Return `observers` as a tuple. Raises `ConfigError` unless each can be called, and is not async."""
    given = tuple(observers) if isinstance(observers, Iterable) else (observers,)
    if not all(map(callable, given)):
        raise ConfigError("Session.observers must be functions that take an event")
    if any(map(is_async, given)):
        raise ConfigError("Session.observers must be plain functions: nothing awaits an async one")
    return given
