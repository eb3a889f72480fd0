"""HTTP requests: one attempt, its retries, and how many may be in flight. The only user of the aiohttp client.

May import models, errors, serialization and calls; not tasks. What an outcome proves does not belong here.
"""

from clinia_async.transport.http_transport import HttpSession, Transport, Wire

__all__ = ["HttpSession", "Transport", "Wire"]
