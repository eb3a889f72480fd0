"""A job of several processes on one machine: a coordinator, its workers, and what goes between them.

May import everything in ingest. Nothing here reads records or sends requests: each worker runs a job as one
process would, on its share of the input.
"""

from clinia_async.ingest.processes.job import ProcessIngestion

__all__ = ["ProcessIngestion"]
