"""What the library does, as events: to observers, to `logging`, and to OpenTelemetry where it is installed.

May import models and errors. Events hold routes, kinds, counts and fingerprints: no body, no key and no id.
Nothing here can change what happens to a request.
"""

from clinia_async.telemetry.dispatch import (
    Observer,
    Telemetry,
    log_as_environment_says,
    observers_of,
)
from clinia_async.telemetry.events import (
    ChunkSent,
    Event,
    RecordFailed,
    RequestEnded,
    RetryScheduled,
    TaskAccepted,
    TaskEnded,
    TaskPolled,
    Throttled,
)
from clinia_async.telemetry.installed import open_telemetry

__all__ = [
    "ChunkSent",
    "Event",
    "Observer",
    "RecordFailed",
    "RequestEnded",
    "RetryScheduled",
    "TaskAccepted",
    "TaskEnded",
    "TaskPolled",
    "Telemetry",
    "Throttled",
    "log_as_environment_says",
    "observers_of",
    "open_telemetry",
]
