"""Files and tables to records: NDJSON, CSV, Parquet, FHIR, compressed or not.

May import ingest.records and ingest.outcomes. Nothing here sends or knows about tasks.

Names are loaded when they are first used; `__init__.pyi` says to type checkers where each is defined.
"""

from clinia_async.models.lazy_loading import lazy_names

__all__, __getattr__, __dir__ = lazy_names(
    __name__,
    {
        "csv_reader": "read_csv",
        "dead_letter_reader": "DeadLetterReader LARGEST_LETTER",
        "fhir_reader": "FhirReader",
        "json_reader": "read_json",
        "parquet_reader": "read_parquet",
        "table_rows": "RowReader",
        "zip_archive": "Archive ArchiveMember BadArchive ends_with_archive",
    },
)
