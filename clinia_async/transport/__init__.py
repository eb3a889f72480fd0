"""HTTP requests: one attempt, its retries, and how many may be in flight. The one user of aiohttp's client.

May import models, errors, serialization and calls; not tasks. What an outcome proves does not belong here.

Names are loaded when they are first used; `__init__.pyi` says to type checkers where each is defined.
"""

from clinia_async.models.lazy_loading import lazy_names

__all__, __getattr__, __dir__ = lazy_names(
    __name__,
    {
        "adaptive_limit": "AdaptiveLimit ConcurrencyLimits",
        "http_transport": "HttpSession Transport TransportOptions Wire",
        "shared_limit": "SharedLimit",
    },
)
