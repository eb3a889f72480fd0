"""The journal of a job on disk, and how a job goes on from it. The only user of SQLite in ingest.

May import ingest.records and ingest.outcomes. No record and no key is written here.

Names are loaded when they are first used, as few jobs have a journal; `__init__.pyi` says to type checkers
where each is defined.
"""

from clinia_async.models.lazy_loading import lazy_names

__all__, __getattr__, __dir__ = lazy_names(__name__, {"journal": "Journal"})
