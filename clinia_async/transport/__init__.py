"""HTTP requests: one attempt, its retries, and how many may be in flight. The one user of aiohttp's client.

May import models, errors, serialization and calls; not tasks. What an outcome proves does not belong here.
"""

from clinia_async.transport.http_transport import HttpSession, Transport, TransportOptions, Wire

__all__ = ["HttpSession", "Transport", "TransportOptions", "Wire"]
