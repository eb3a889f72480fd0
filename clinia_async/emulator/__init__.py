"""The emulator: the Clinia registry and catalog over HTTP on loopback.

May import nothing of this package outside itself: HTTP is the only contract with the client, so that a wrong
name on the wire cannot hide on both sides. Code of the client never belongs here.
"""

from clinia_async.emulator.emulator import Emulator
from clinia_async.emulator.store.records import Stored

from .errors import DataFileBusy, DataFileError
from .exchange import Exchange, Listener
from .faults import DroppedRequest, Fault, Faults, LostReply, TooManyRequests, TruncatedBody, Unavailable
from .latency import Accepted, Constant, Latency, LogNormal, Mixture, Mode, Persisted, Review
from .settings import Settings

__all__ = [
    "Accepted",
    "Constant",
    "DataFileBusy",
    "DataFileError",
    "DroppedRequest",
    "Emulator",
    "Exchange",
    "Fault",
    "Faults",
    "Latency",
    "Listener",
    "LogNormal",
    "LostReply",
    "Mixture",
    "Mode",
    "Persisted",
    "Review",
    "Settings",
    "Stored",
    "TooManyRequests",
    "TruncatedBody",
    "Unavailable",
]
