"""What the library does, as events: to observers, to `logging`, and to OpenTelemetry where it is installed.

May import models and errors. Events hold routes, kinds, counts and fingerprints: no body, no key and no id.
Nothing here can change what happens to a request.

Names are loaded when they are first used; `__init__.pyi` says to type checkers where each is defined.
"""

from clinia_async.models.lazy_loading import home_of, load

_HOME_OF = home_of(
    {
        "dispatch": "Observer Telemetry log_as_environment_says observers_of",
        "event": "Event",
        "events": (
            "ChunkSent RecordFailed RequestEnded RetryScheduled TaskAccepted TaskEnded TaskPolled Throttled"
        ),
        "installed": "open_telemetry",
    }
)

__all__ = sorted(_HOME_OF)  # noqa: PLE0605  the table above is the one list of the names


def __getattr__(name: str) -> object:
    return load(__name__, _HOME_OF, name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
