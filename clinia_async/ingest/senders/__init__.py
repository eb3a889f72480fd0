"""How a chunk is sent, by bulk, bundle or single requests, and what its answers mean for its records.

May import ingest.records, ingest.outcomes. What an answer proves is in `clinia_async.calls.reconciliation`.
"""
