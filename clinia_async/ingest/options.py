"""The options of a job."""

from enum import StrEnum
from pathlib import Path
from typing import TypedDict

from attrs import evolve, frozen

from clinia_async.calls.batches import LARGEST_BUNDLE
from clinia_async.calls.conflicts import OnExisting
from clinia_async.errors import ConfigError
from clinia_async.errors.settings import Number, choice, optional_path_of, refuse_unknown_options
from clinia_async.ingest.records.chunk import ChunkLimits
from clinia_async.transport.adaptive_limit import ConcurrencyLimits


class Via(StrEnum):
    """How records are sent."""

    SINGLE = "single"
    """One request a record, many at once."""
    BULK = "bulk"
    """One request and one task a chunk; each record stands for itself."""
    BUNDLE = "bundle"
    """One request and one task a chunk; all records of a chunk are stored, or none."""


class OnUnknown(StrEnum):
    """What becomes of a write that may have arrived, and that a retry could store twice."""

    STOP = "stop"
    """It is reported as unknown, and not sent again: at most once."""
    RESEND = "resend"
    """It is sent again, and may then be there twice: at least once."""


class IngestionOptions(TypedDict, total=False):
    """The options of an `Ingestion` as a dictionary, for `PartitionConfig`; durations are in seconds."""

    via: Via | str
    on_existing: OnExisting | str
    on_unknown: OnUnknown | str
    workers: int | None
    chunk: ChunkLimits
    patience: float
    fence: float
    limits: ConcurrencyLimits
    may_have_arrived: bool


class JobOptions(IngestionOptions, total=False):
    """Those, and the ones that are each job's own."""

    journal: Path | str | None
    journal_is_copy: bool
    input_id: str | None
    service: str | None


def journal_of(journal: Path | str | None, *, is_copy: bool) -> Path | None:
    """Return the path of a job's journal.

    Raises:
        ConfigError: it is no path, or none is given that could be a copy.
    """
    if journal is None and is_copy:
        raise ConfigError("journal_is_copy must be left out where no journal is given")
    return optional_path_of("journal", journal)


MOST_WORKERS = 10_000
"""More would take memory and no more requests: `limits` says how many of those there are at once."""
MOST_PROCESSES = 1_000
_WORKERS = {Via.SINGLE: 32, Via.BULK: 4, Via.BUNDLE: 4}
_FRAME = 1000
"""Bytes that a bundle needs around its operations."""


@frozen(kw_only=True)
class Options:
    """The checked options of one job."""

    via: Via
    on_existing: OnExisting
    on_unknown: OnUnknown
    workers: int | None
    chunk: ChunkLimits
    patience: float
    fence: float
    limits: ConcurrencyLimits
    may_have_arrived: bool

    def __attrs_post_init__(self) -> None:
        Number(least=1, most=MOST_WORKERS, whole=True, optional=True).check("workers", self.workers)
        Number(least=0).check("patience", self.patience)
        Number(least=0).check("fence", self.fence)
        for name, value, kind in (
            ("chunk", self.chunk, ChunkLimits),
            ("limits", self.limits, ConcurrencyLimits),
        ):
            if not isinstance(value, kind):
                raise ConfigError(f"{name} must be of the class {kind.__name__}")

    @property
    def worker_count(self) -> int:
        return self.workers or _WORKERS[self.via]

    @property
    def chunk_limits(self) -> ChunkLimits:
        """How large the chunks of this way may be."""
        if self.via is Via.BUNDLE:
            return evolve(self.chunk, bytes=min(self.chunk.bytes, LARGEST_BUNDLE - _FRAME))
        return self.chunk


@refuse_unknown_options()
def checked_options(
    *,
    via: Via | str = Via.BULK,
    on_existing: OnExisting | str = OnExisting.COMPARE,
    on_unknown: OnUnknown | str = OnUnknown.STOP,
    workers: int | None = None,
    chunk: ChunkLimits = ChunkLimits(),  # noqa: B008  it is frozen
    patience: float = 60.0,
    fence: float = 60.0,
    limits: ConcurrencyLimits = ConcurrencyLimits(),  # noqa: B008  it is frozen
    may_have_arrived: bool = False,
) -> Options:
    """Return the options of a job.

    Raises:
        ConfigError: an option is outside its range.
        TypeError: there is no such option.
    """
    return Options(
        via=choice(Via, "via", via),
        on_existing=choice(OnExisting, "on_existing", on_existing),
        on_unknown=choice(OnUnknown, "on_unknown", on_unknown),
        workers=workers,
        chunk=chunk,
        patience=patience,
        fence=fence,
        limits=limits,
        may_have_arrived=may_have_arrived,
    )
