"""An asyncio-first client for the Clinia health-data platform.

Names are loaded when they are first used, so that the command line can show its help without
loading an HTTP client. Type checkers read in `__init__.pyi` where each name is defined.
"""

from clinia_async.models.lazy_loading import lazy_names

__all__, __getattr__, __dir__ = lazy_names(
    __name__,
    {
        "calls.bundle_builder": "BundleBuilder",
        "calls": (
            "BatchWrite Browse Bulk Bundle CreateContained CreatePartition CreateRelationship"
            " CreateResource CreateSource DeleteContained DeletePartition DeleteRelationship"
            " DeleteResource DeleteSource GetBulkResult GetCollection GetPartition GetPurge"
            " GetRelationship GetRelationshipDefinition GetResource GetSource GetTask ListPartitions"
            " ListRelationshipDefinitions ListSources Purge PutCollection PutProfile"
            " PutRelationshipDefinition Repeat RetrySafety UpdateRelationship UpsertContained"
            " UpsertRelationship UpsertResource"
        ),
        "calls.conflicts": "Existing OnExisting",
        "errors": (
            "AlreadyExists ApiError CliniaError ConfigError ConnectionFailed ContentTooLarge"
            " CredentialsFailed DecodeError Evidence FailedPrecondition GatewayError GatherError Internal"
            " InvalidArgument InvalidWrite NotFound OutOfRange Outcome PermissionDenied ProtocolError"
            " RedirectRefused RequestError"
            " RequestTimeout SessionClosed TaskCancelled TaskDropped TaskError TaskFailed"
            " TaskPollError TaskTimeout TaskUnconfirmed Unauthenticated Unimplemented WriteConflict"
        ),
        "transport.adaptive_limit": "ConcurrencyLimits GateLimits",
        "ingest.senders.retrying_session": "AccessRefused JobStopped NetworkGivenUp",
        "ingest.records.record": "BadRecord Blank Record",
        "ingest.records.chunk": "ChunkLimits",
        "ingest.readers.column_mapping": "ColumnMapping",
        "ingest.outcomes.dead_letters": "DeadLetters",
        "ingest.outcomes.outcome": "Disposition RecordOutcome",
        "ingest.readers.fhir_content": "FhirContent",
        "ingest.readers.fhir_definitions": "FhirDefinitions fhir_definitions",
        "ingest.job": "Ingestion",
        "ingest.options": "IngestionOptions OnUnknown Via",
        "ingest.readers.compression": "InputError",
        "ingest.readers.formats": "InputFormat",
        "ingest.journal.errors": "JournalBusy JournalError JournalMismatch",
        "ingest.partition": "PartitionConfig PartitionReceipt RowFailure ingest_partition",
        "ingest.processes.job": "ProcessIngestion ReadOptions WorkerDied",
        "ingest.records.record_stream": "RecordStream",
        "ingest.outcomes.report": "Report",
        "ingest.pipeline.input_reader": "SourceCancelled",
        "ingest.readers.table_options": "TableOptions",
        "ingest.readers.fhir_identity": "fhir_address",
        "ingest.readers.files": "identity_of read_ndjson read_records",
        "ingest.readers.row_source": "rows",
        "models.identifiers": "escape_dots unescape_dots",
        "models": (
            "Action Cardinality Collection CollectionConnection CollectionConnectionJson"
            " CollectionJson CollectionProfile CollectionProfileJson CollectionType ConnectionEnd"
            " ConnectionEndJson Contained ContainedInJson ContainedJson DataSource DataSourceJson"
            " DefinitionEnd DefinitionEndJson ErrorInfo ErrorType Hit HitType Identifier"
            " IdentifierJson Mdm MdmJson Meta MetaJson Modules ModulesJson OtherRecord OtherSource"
            " Partition PartitionJson PartitionStatus Patch PatchJson PatchOp Period PeriodJson"
            " PipelineExecution PipelineStatus Profile ProfileJson ProfileType PurgeOperation Receipt"
            " ReconciliationRules ReconciliationRulesJson ReconciliationType Ref RefJson Relationship"
            " RelationshipBodyJson RelationshipConnection RelationshipConnectionJson"
            " RelationshipDefinition RelationshipDefinitionJson RelationshipJson Resource"
            " ResourceJson SearchModule Source SourceCollection SourceCollectionJson SourceMapping"
            " SourceMappingJson SourceType TargetType TaskSnapshot TaskStatus Value"
        ),
        "tasks.pacing": "LearnedPace Learner Pace",
        "tasks.share_of_age": "ShareOfAge",
        "tasks.poller": "Polling",
        "models.batch_result": "BatchResult",
        "transport.retry": "RetryPolicy",
        "models.secret": "Secret",
        "session.session": "Session",
        "serialization.drift": "DriftKind",
        "serialization.exact_json": "RawJson",
        "session.ensured": "Ensured",
        "session.source_session": "SourceSession",
        "session.submissions": "InDoubt Submission",
        "models.task_id": "TaskId TaskKind",
        "tasks.task": "Task",
        "transport": "TransportOptions Wire",
        "tasks.task_state": "TaskStats",
    },
)

__version__ = "0.1.0"
