"""Ingestion: many records, one outcome each, and a report that is true on every exit."""

from clinia_async.ingest.archives import InputError
from clinia_async.ingest.bulk import ChunkLimits
from clinia_async.ingest.columns import ColumnMapping
from clinia_async.ingest.dead_letters import DeadLetters
from clinia_async.ingest.existing import OnExisting
from clinia_async.ingest.job import Ingestion, Via
from clinia_async.ingest.outcomes import Disposition, RecordOutcome
from clinia_async.ingest.reading import InputFormat, identity_of, read_ndjson, read_records
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
    "InputError",
    "InputFormat",
    "JobStopped",
    "NetworkGivenUp",
    "OnExisting",
    "Record",
    "RecordOutcome",
    "Report",
    "Via",
    "identity_of",
    "read_ndjson",
    "read_records",
]
