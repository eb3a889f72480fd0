"""The journal of a job on disk, and how a job goes on from it. The only user of SQLite in ingest.

May import ingest.records and ingest.outcomes. No record and no key is written here.
"""
