"""`Session`: every call of the API as a method, over one transport and one poller.

May import everything below; not ingest. Rules about one call belong to calls, about HTTP to transport.
"""

from clinia_async.session.session import Session

__all__ = ["Session"]
