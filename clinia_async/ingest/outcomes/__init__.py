"""What became of each record: outcomes, the report, dead letters.

May import ingest.records. What proves an outcome belongs to `clinia_async.calls.reconciliation`.
"""
