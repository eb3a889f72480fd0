"""The emulator: the Clinia registry and catalog over HTTP on loopback.

May import nothing of this package outside itself: HTTP is the only contract with the client, so that a wrong
name on the wire cannot hide on both sides. Code of the client never belongs here.
"""

from clinia_async.emulator.chaos import Faults
from clinia_async.emulator.dialect import Dialect
from clinia_async.emulator.emulator import Emulator
from clinia_async.emulator.errors import DataFileBusy, DataFileError
from clinia_async.emulator.exchange import Exchange, Failure, Listener, Plan, Received
from clinia_async.emulator.faults import (
    ByteOrderMark,
    DoubleExecution,
    DroppedRequest,
    EmptyResponse,
    ExecutedAs,
    Fault,
    LateExecution,
    LostReply,
    MalformedReceipts,
    ProxyResponse,
    Refusal,
    StaleRead,
    TooManyRequests,
    TruncatedBody,
    Unavailable,
)
from clinia_async.emulator.latency import (
    Accepted,
    Constant,
    Latency,
    LogNormal,
    Mixture,
    Mode,
    Persisted,
    Review,
)
from clinia_async.emulator.script import Script
from clinia_async.emulator.settings import Settings
from clinia_async.emulator.store.records import Stored

__all__ = [
    "Accepted",
    "ByteOrderMark",
    "Constant",
    "DataFileBusy",
    "DataFileError",
    "Dialect",
    "DoubleExecution",
    "DroppedRequest",
    "EmptyResponse",
    "Emulator",
    "Exchange",
    "ExecutedAs",
    "Failure",
    "Fault",
    "Faults",
    "LateExecution",
    "Latency",
    "Listener",
    "LogNormal",
    "LostReply",
    "MalformedReceipts",
    "Mixture",
    "Mode",
    "Persisted",
    "Plan",
    "ProxyResponse",
    "Received",
    "Refusal",
    "Review",
    "Script",
    "Settings",
    "StaleRead",
    "Stored",
    "TooManyRequests",
    "TruncatedBody",
    "Unavailable",
]
