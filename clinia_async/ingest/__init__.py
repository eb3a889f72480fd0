"""Ingestion: many records, one outcome each, and a report that is true on every exit.

May import session and what is below. What proves an outcome belongs to calls, and the sending of one request
to session and transport.
"""

from clinia_async.ingest.job import Ingestion
from clinia_async.ingest.journal.file import JournalBusy, JournalError, JournalMismatch
from clinia_async.ingest.options import IngestionOptions, OnUnknown, Via
from clinia_async.ingest.outcomes.dead_letters import DeadLetters
from clinia_async.ingest.outcomes.outcome import Disposition, RecordOutcome
from clinia_async.ingest.outcomes.report import Report
from clinia_async.ingest.partition import PartitionConfig, PartitionReceipt, RowFailure, ingest_partition
from clinia_async.ingest.pipeline.input_reader import SourceCancelled
from clinia_async.ingest.processes.job import ProcessIngestion, ReadOptions, WorkerDied
from clinia_async.ingest.readers.column_mapping import ColumnMapping
from clinia_async.ingest.readers.compression import InputError
from clinia_async.ingest.readers.fhir_definitions import FhirDefinitions, fhir_definitions
from clinia_async.ingest.readers.fhir_identity import fhir_address
from clinia_async.ingest.readers.fhir_records import FhirContent
from clinia_async.ingest.readers.files import identity_of, read_ndjson, read_records
from clinia_async.ingest.readers.formats import InputFormat
from clinia_async.ingest.readers.row_source import rows
from clinia_async.ingest.readers.table_options import TableOptions
from clinia_async.ingest.records.chunk import ChunkLimits
from clinia_async.ingest.records.record import BadRecord, Blank, Record
from clinia_async.ingest.records.record_stream import RecordStream
from clinia_async.ingest.senders.retrying_session import AccessRefused, JobStopped, NetworkGivenUp

__all__ = [
    "AccessRefused",
    "BadRecord",
    "Blank",
    "ChunkLimits",
    "ColumnMapping",
    "DeadLetters",
    "Disposition",
    "FhirContent",
    "FhirDefinitions",
    "Ingestion",
    "IngestionOptions",
    "InputError",
    "InputFormat",
    "JobStopped",
    "JournalBusy",
    "JournalError",
    "JournalMismatch",
    "NetworkGivenUp",
    "OnUnknown",
    "PartitionConfig",
    "PartitionReceipt",
    "ProcessIngestion",
    "ReadOptions",
    "Record",
    "RecordOutcome",
    "RecordStream",
    "Report",
    "RowFailure",
    "SourceCancelled",
    "TableOptions",
    "Via",
    "WorkerDied",
    "fhir_address",
    "fhir_definitions",
    "identity_of",
    "ingest_partition",
    "read_ndjson",
    "read_records",
    "rows",
]
