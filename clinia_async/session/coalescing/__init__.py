"""Writes that are made at the same time, sent together in one bulk.

May import session.submissions, tasks, transport and what is below. What an answer proves belongs to calls.

Names are loaded when they are first used; `__init__.pyi` says to type checkers where each is defined.
"""

from clinia_async.models.lazy_loading import lazy_names

__all__, __getattr__, __dir__ = lazy_names(
    __name__,
    {
        "bulk_member": "KeyedWrite Record SharedBulk",
        "coalescer": "Coalescer Service",
    },
)
