"""How a job runs."""

from enum import StrEnum
from typing import TypedDict

from attrs import evolve, field, frozen

from clinia_async.calls.batches import LARGEST_BUNDLE
from clinia_async.errors import ConfigError
from clinia_async.ingest.records.chunk import ChunkLimits
from clinia_async.ingest.senders.conflicts import OnExisting
from clinia_async.transport.adaptive_limit import ConcurrencyLimits


class Via(StrEnum):
    SINGLE = "single"
    """One request a record, many at once."""
    BULK = "bulk"
    """One request and one task a chunk; each record stands for itself."""
    BUNDLE = "bundle"
    """One request and one task a chunk; all records of a chunk are stored, or none."""


class OnUnknown(StrEnum):
    """What becomes of a write that may have arrived, and that a repeat could double."""

    STOP = "stop"
    """It is told as unknown, and not sent again: at most once."""
    RESEND = "resend"
    """It is sent again, and may then be there twice: at least once."""


class IngestionOptions(TypedDict, total=False):
    """The options of an `Ingestion`; durations are in seconds."""

    via: Via | str
    on_existing: OnExisting | str
    on_unknown: OnUnknown | str
    workers: int | None
    chunk: ChunkLimits
    patience: float
    fence: float
    limits: ConcurrencyLimits
    may_have_arrived: bool


_WORKERS = {Via.SINGLE: 32, Via.BULK: 4, Via.BUNDLE: 4}
_FRAME = 1000
"""Bytes that a bundle needs around its operations."""


@frozen(kw_only=True)
class Options:
    via: Via = field(default=Via.BULK, converter=Via)
    on_existing: OnExisting = field(default=OnExisting.COMPARE, converter=OnExisting)
    on_unknown: OnUnknown = field(default=OnUnknown.STOP, converter=OnUnknown)
    workers: int | None = field(default=None)
    chunk: ChunkLimits = field(factory=ChunkLimits)
    patience: float = 60.0
    fence: float = 60.0
    limits: ConcurrencyLimits = field(factory=ConcurrencyLimits)
    may_have_arrived: bool = False

    @workers.validator
    def _some(self, _: object, workers: int | None) -> None:
        if workers is not None and workers < 1:
            raise ConfigError("workers must be at least 1")

    @property
    def worker_count(self) -> int:
        return self.workers or _WORKERS[self.via]

    @property
    def chunk_limits(self) -> ChunkLimits:
        """How large the chunks of this way may be."""
        if self.via is Via.SINGLE:
            return evolve(self.chunk, operations=1)
        if self.via is Via.BUNDLE:
            return evolve(self.chunk, bytes=min(self.chunk.bytes, LARGEST_BUNDLE - _FRAME))
        return self.chunk
