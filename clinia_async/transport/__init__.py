"""HTTP requests: one attempt, its retries, how many are in flight. The only user of aiohttp's client.

May import models, errors, serialization and calls; not tasks. What an outcome proves does not belong here.
"""

from clinia_async.transport.http_transport import HttpSession, Transport, Wire

__all__ = ["HttpSession", "Transport", "Wire"]
