"""How a chunk is sent, by bulk, bundle or single requests, and what its answers mean for its records.

May import ingest.records and ingest.outcomes. What an answer proves belongs to
`clinia_async.calls.reconciliation`.
"""
