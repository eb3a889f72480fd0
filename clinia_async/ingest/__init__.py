"""Ingestion: many records, one outcome each, and a report that is true on every exit."""

from clinia_async.ingest.chunks import ChunkLimits
from clinia_async.ingest.dead_letters import DeadLetters
from clinia_async.ingest.existing import OnExisting
from clinia_async.ingest.formats.archives import InputError
from clinia_async.ingest.formats.columns import ColumnMapping
from clinia_async.ingest.formats.reading import InputFormat, identity_of, read_ndjson, read_records
from clinia_async.ingest.job import Ingestion
from clinia_async.ingest.journal_file import JournalBusy, JournalError, JournalMismatch
from clinia_async.ingest.options import IngestionOptions, OnUnknown, Via
from clinia_async.ingest.outcomes import Disposition, RecordOutcome
from clinia_async.ingest.partitioned import (
    PartitionConfig,
    PartitionReceipt,
    RowFailure,
    ingest_partition,
)
from clinia_async.ingest.record_stream import RecordStream
from clinia_async.ingest.records import BadRecord, Blank, Record
from clinia_async.ingest.report import Report
from clinia_async.ingest.service import AccessRefused, JobStopped, NetworkGivenUp

__all__ = [
    "AccessRefused",
    "BadRecord",
    "Blank",
    "ChunkLimits",
    "ColumnMapping",
    "DeadLetters",
    "Disposition",
    "Ingestion",
    "IngestionOptions",
    "InputError",
    "InputFormat",
    "JobStopped",
    "JournalBusy",
    "JournalError",
    "JournalMismatch",
    "NetworkGivenUp",
    "OnExisting",
    "OnUnknown",
    "PartitionConfig",
    "PartitionReceipt",
    "Record",
    "RecordOutcome",
    "RecordStream",
    "Report",
    "RowFailure",
    "Via",
    "identity_of",
    "ingest_partition",
    "read_ndjson",
    "read_records",
]
