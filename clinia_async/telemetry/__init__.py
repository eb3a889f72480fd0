"""What the library does, as events: to observers, to `logging`, and to OpenTelemetry where it is installed.

May import models and errors. Events hold routes, kinds, counts and fingerprints: no body, no key and no id.
Nothing here can change what happens to a request.

Names are loaded when they are first used; `__init__.pyi` says to type checkers where each is defined.
"""

from clinia_async.models.lazy_loading import lazy_names

__all__, __getattr__, __dir__ = lazy_names(
    __name__,
    {
        "dispatch": "Observer Telemetry log_as_environment_says observers_of",
        "event": "Event",
        "events": (
            "ChunkSent RecordFailed RequestEnded RetryScheduled TaskAccepted TaskEnded TaskPolled Throttled"
        ),
        "installed": "open_telemetry",
    },
)
