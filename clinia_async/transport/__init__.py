"""HTTP requests: one attempt, its retries, and how many may be in flight. The one user of aiohttp's client.

May import models, errors, serialization and calls; not tasks. What an outcome proves does not belong here.

Names are loaded when they are first used; `__init__.pyi` says to type checkers where each is defined.
"""

from clinia_async.models.lazy_loading import home_of, load

_HOME_OF = home_of(
    {
        "adaptive_limit": "AdaptiveLimit ConcurrencyLimits",
        "http_transport": "HttpSession Transport TransportOptions Wire",
        "shared_limit": "SharedLimit",
    }
)

__all__ = sorted(_HOME_OF)  # noqa: PLE0605  the table above is the one list of the names


def __getattr__(name: str) -> object:
    return load(__name__, _HOME_OF, name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
