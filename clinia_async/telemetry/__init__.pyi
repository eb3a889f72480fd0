__all__: list[str]

from clinia_async.telemetry.dispatch import Observer as Observer
from clinia_async.telemetry.dispatch import Telemetry as Telemetry
from clinia_async.telemetry.dispatch import log_as_environment_says as log_as_environment_says
from clinia_async.telemetry.dispatch import observers_of as observers_of
from clinia_async.telemetry.event import Event as Event
from clinia_async.telemetry.events import ChunkSent as ChunkSent
from clinia_async.telemetry.events import RecordFailed as RecordFailed
from clinia_async.telemetry.events import RequestEnded as RequestEnded
from clinia_async.telemetry.events import RetryScheduled as RetryScheduled
from clinia_async.telemetry.events import TaskAccepted as TaskAccepted
from clinia_async.telemetry.events import TaskEnded as TaskEnded
from clinia_async.telemetry.events import TaskPolled as TaskPolled
from clinia_async.telemetry.events import Throttled as Throttled
from clinia_async.telemetry.installed import open_telemetry as open_telemetry
