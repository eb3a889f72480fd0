__all__: list[str]

from clinia_async.ingest.journal.journal import Journal as Journal
