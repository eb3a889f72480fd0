"""The way of records through a job: reading, chunking, waiting for their turn, workers, checkpoints.

May import everything in ingest but job and partition. Nothing here knows about formats or HTTP.
"""
