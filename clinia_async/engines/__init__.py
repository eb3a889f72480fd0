"""Adapters of distributed engines: each partition of a collection is one call of `ingest_partition`.

May import ingest and what is below. Each module needs its engine, which is an extra. What happens to a record
does not belong here.
"""
