"""Writes that are made at the same time, sent together in one bulk.

May import session.submissions, tasks, transport and what is below. What an answer proves belongs to calls.

Names are loaded when they are first used; `__init__.pyi` says to type checkers where each is defined.
"""

from clinia_async.models.lazy_loading import home_of, load

_HOME_OF = home_of(
    {
        "bulk_member": "KeyedWrite Record SharedBulk",
        "coalescer": "Coalescer Service",
    }
)

__all__ = sorted(_HOME_OF)  # noqa: PLE0605  the table above is the one list of the names


def __getattr__(name: str) -> object:
    return load(__name__, _HOME_OF, name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
