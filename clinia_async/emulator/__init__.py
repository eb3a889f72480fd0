"""A registry in a box: the Clinia registry and catalog over HTTP on loopback.

It shares no code with the client: HTTP is the only contract between them, so a mistake in a
name on the wire cannot hide on both sides.
"""

from clinia_async.emulator.emulator import Emulator
from clinia_async.emulator.store.records import Stored

from .exchange import Exchange, Listener
from .faults import DroppedRequest, Fault, Faults, LostReply, TooManyRequests, TruncatedBody, Unavailable
from .latency import Accepted, Constant, Latency, LogNormal, Mixture, Mode, Persisted, Review
from .settings import Settings

__all__ = [
    "Accepted",
    "Constant",
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
