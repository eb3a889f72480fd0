"""Files and tables to records: NDJSON, CSV, Parquet, FHIR, compressed or not.

May import ingest.records and ingest.outcomes. Nothing here sends or knows about tasks.
"""
